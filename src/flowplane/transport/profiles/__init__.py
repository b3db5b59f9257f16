"""What is measured of a map or flow: its course, its equation, its distance from optimal transport."""
