"""What is measured of points on their way through layers."""
