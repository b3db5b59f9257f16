"""One figure per file, named after the result that it draws. A file that stands here is found by `fp.plot.show`."""
