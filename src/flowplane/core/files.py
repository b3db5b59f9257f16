"""Files that are written whole or not at all, texts in UTF-8 whatever the locale is."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["whole_file", "write_text"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write what will be at `path` once the block is over: beside it, under a name that ends as it does.

    Where the block raises, nothing is left of it, and what was at `path` stays.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder, "numbers.txt")) as part:
        ...         _ = part.write_text("1 2 3")
        ...     os.listdir(folder)
        ['numbers.txt']
    """
    target = Path(os.path.realpath(path))  # a link stays one
    part = target.with_name(f".{os.getpid()}-{threading.get_ident()}.{target.name}")
    try:
        yield part
        os.replace(part, target)
    finally:
        if part.exists():  # it never did in a folder that cannot be written to
            part.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text whole, or leave the file as it was."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
