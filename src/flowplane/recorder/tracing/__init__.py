"""What a model does with its samples, traced and never guessed (docs/tracing.md)."""
