"""flowplane inside other libraries: `lightning`, `transformers`, `tensorboard`, each a module of its own that needs the library.

Nothing here is imported until it is asked for.
"""
