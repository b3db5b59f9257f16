"""flowplane inside other libraries: `lightning`, `transformers` and `tensorboard`; each of these modules needs its library.

None is imported until it is asked for.
"""
