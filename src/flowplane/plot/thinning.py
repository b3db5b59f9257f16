"""Clouds of points, made light enough for a page without losing a layer."""

from __future__ import annotations

import numpy as np

__all__ = ["kept_rows"]


def kept_rows(rows: int, most: int) -> np.ndarray:
    """Which rows of a cloud are drawn: all, or so many of them chosen at random, always the same.

    A row holds what belongs together, such as all layers of one replica at one epoch. At even steps through rows whose
    number is a product, some replicas or epochs would never be seen.

    Example:
        >>> kept_rows(3, 5), len(kept_rows(1000, 5))
        (array([0, 1, 2]), 5)
    """
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, max(most, 1), replace=False))
