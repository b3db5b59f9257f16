"""Paths at the public edge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flowplane.errors import InputError

__all__ = ["as_path", "from_here"]


def as_path(name: str, value: Any) -> Path:
    """`value` as a path, `~` expanded. Raises InputError for what cannot be a path."""
    if not isinstance(value, str | os.PathLike) or "\0" in str(value):
        raise InputError(name, value, "a path")
    path = Path(value).expanduser()
    try:
        path.exists()
    except OSError as error:
        raise InputError(name, str(value), f"a path ({error.strerror})") from error
    return path


def from_here(path: str) -> str:
    """An absolute path as one would write it in the working directory, if it lies there; anything else as it is.

    Example:
        >>> from_here(os.path.join(os.getcwd(), "run.fp")), from_here(os.path.join(os.sep, "elsewhere", "run.fp"))
        ('run.fp', '/elsewhere/run.fp')
    """
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):  # not below it, or it no longer exists
        return path
