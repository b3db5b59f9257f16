"""flowplane inside other libraries: `lightning`, `transformers` and `tensorboard`, modules that each need their library, and
`trackers`, which needs none.

None is imported until it is asked for.
"""
