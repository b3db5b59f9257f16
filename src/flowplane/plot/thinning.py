"""Clouds of points, made light enough for a page without losing a layer; and what else is known of each point."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowplane.plot.names import escaped

__all__ = ["columns", "kept_rows"]


def columns(**known: Any) -> dict[str, dict[str, list[Any]]]:
    """A trace's `meta`: what else is known of its points, for the figure's table; shorter columns begin again.

    Where a cloud is made lighter, as many points as the longest column has stay together: the layers of one replica.

    Example:
        >>> columns(layer=["0", "1"], epoch=np.array([5]))
        {'columns': {'layer': ['0', '1'], 'epoch': [5]}}
    """
    listed = {name: np.asarray(values).tolist() for name, values in known.items()}
    return {"columns": {name: [escaped(v) if isinstance(v, str) else v for v in part] for name, part in listed.items()}}


def kept_rows(rows: int, most: int) -> np.ndarray:
    """Which rows of a cloud are drawn: all, or this many of them chosen at random, always the same.

    A row holds what belongs together, such as all layers of one replica at one epoch. At even steps through rows whose
    number is a product, some replicas or epochs would never be seen.

    Example:
        >>> kept_rows(3, 5), len(kept_rows(1000, 5))
        (array([0, 1, 2]), 5)
    """
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, max(most, 1), replace=False))
