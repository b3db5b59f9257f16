"""Width and the double limit: networks as integrals over hidden units."""
