"""What a model does with its samples, traced and never guessed (docs/tracing.md): it will take the place of `layers`,
`reduction` and the tracing in `probe`, which the Recorder uses still."""
