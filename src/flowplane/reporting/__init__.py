"""Results put before a reader."""
