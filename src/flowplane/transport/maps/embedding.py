"""Spaces of different dimension (§A8)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F

from flowplane.core.points import as_points, check_count
from flowplane.errors import InputError, Text

__all__ = ["embed"]


def embed(*clouds: Any, dimension: int | None = None) -> tuple[Any, ...]:
    """Points of different dimension, all in one space: missing coordinates are 0, so that distances stay (§A8).

    A layer that changes the dimension is a transport there: from the embedded inputs to the embedded outputs.

    Arguments:
        clouds: points (…, d), each with its own d.
        dimension: of the common space; None is the largest d.

    Returns:
        The same points, (…, dimension), each in its own kind, dtype and device.

    Raises:
        InputError: no points, NaN, or a dimension below the largest d.

    Example:
        >>> x, y = embed([[1.0, 2.0]], [[3.0]])
        >>> x, y
        (array([[1., 2.]]), array([[3., 0.]]))
    """
    if not clouds:
        raise InputError("clouds", Text("none"), "points, one array or more")
    read = [as_points(f"clouds[{k}]", cloud, None) for k, cloud in enumerate(clouds)]
    largest = max(rows.shape[1] for rows, _ in read)
    common = largest if dimension is None else check_count("dimension", dimension)
    if common < largest:
        raise InputError("dimension", dimension, f"{largest} or more, the largest dimension given")
    return tuple(form.points(F.pad(rows, (0, common - rows.shape[1]))) for rows, form in read)
