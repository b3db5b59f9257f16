"""Numbers of a trace as Plotly writes them to JSON: lists, or base64 with a type."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

__all__ = ["is_numeric", "values_of", "written"]


def values_of(given: Any) -> np.ndarray:
    """The numbers, NaN where there is none.

    Example:
        >>> values_of([1, None]).tolist(), values_of({"dtype": "i1", "bdata": "AQI="}).tolist()
        ([1.0, nan], [1, 2])
    """
    if isinstance(given, dict):
        return np.frombuffer(base64.b64decode(given["bdata"]), dtype=np.dtype(given["dtype"]))
    return np.asarray([np.nan if value is None else value for value in given], dtype=float)


def written(values: np.ndarray) -> list[float | None]:
    """As a list, in as few digits as say which number of its type it is; None for what is not finite.

    Example:
        >>> written(np.array([0.1, np.nan], np.float32))
        [0.1, None]
    """
    return [float(str(value)) if np.isfinite(value) else None for value in values]


def is_numeric(given: Any) -> bool:
    """Whether these are numbers in a row, not texts or a matrix."""
    if isinstance(given, dict):
        return "shape" not in given
    return isinstance(given, list) and all(value is None or isinstance(value, int | float) for value in given)
