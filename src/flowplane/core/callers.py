"""Which line of the user's a warning names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["outside"]

#: The package's folder.
HERE = str(Path(__file__).parents[1]) + os.sep


def outside() -> int:
    """The `stacklevel` at which a warning from the calling function names the user's line that led to it."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(HERE):
        frame, level = frame.f_back, level + 1
    return level
