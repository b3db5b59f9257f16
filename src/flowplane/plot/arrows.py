"""Many arrows as one broken line, which a browser draws at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

__all__ = ["arrow_line"]

#: Length and half width of a head, as parts of its arrow.
HEAD, WIDTH = 0.3, 0.18


def arrow_line(
    start: Float[np.ndarray, "arrow 2"], move: Float[np.ndarray, "arrow 2"], color: str, width: float, **options: Any
) -> go.Scatter:
    """Arrows from points along moves, in the units of the axes.

    Example:
        >>> arrow_line(np.zeros((1, 2)), np.ones((1, 2)), "#000000", 1.0).x
        array([0.  , 1.  , 0.52, 1.  , 0.88,  nan], dtype=float32)
    """
    tip = start + move
    across = np.stack([-move[:, 1], move[:, 0]], 1)
    left, right = (tip - HEAD * move + side * WIDTH * across for side in (1, -1))
    line = np.stack([start, tip, left, tip, right, np.full_like(tip, np.nan)], 1).reshape(-1, 2).astype(np.float32)
    return go.Scatter(
        x=line[:, 0], y=line[:, 1], mode="lines", line={"color": color, "width": width}, hoverinfo="skip", **options
    )
