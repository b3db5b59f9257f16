"""Maps of R^d: what moves points, and its inverse, density and derivative."""
