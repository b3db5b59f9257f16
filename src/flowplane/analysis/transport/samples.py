"""Which samples and which start an analysis of layers follows, within a budget of memory."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from flowplane.errors import InputError, Text
from flowplane.recording import Recording

__all__ = ["FEWEST", "compacted", "drawn_samples"]

#: The fewest samples that are measured.
FEWEST = 16
#: Bytes per number of the points in the common space: their copies, in several precisions, held at one time.
COPIES = 24


def drawn_samples(rec: Recording, samples: int, embedding: str, seed: int, memory_budget: int) -> Int[np.ndarray, " sample"]:
    """The samples that are followed, in random order: as many as are asked for, as there are, and as fit into memory.

    Raises:
        InputError: fewer than `FEWEST` samples there, or in memory.
    """
    count = len(rec.task)
    if count < FEWEST:
        raise InputError("rec", Text(f"{count} samples"), f"a recording with {FEWEST} samples or more")
    widths = rec.layer_coordinates()["width"][1]
    start = rec.input_points
    clouds = len(widths) + (start is not None)
    turns = {"pad": 0, "principal": 3, "procrustes": 6, "random": 2 * clouds}[embedding]

    def needed(n: int) -> int:
        common = max(widths) if start is None else max(*widths, min(start.shape[1], max(widths) + n))
        return COPIES * clouds * common * n + 8 * turns * common**2

    most = min(count, samples)
    while most >= FEWEST and needed(most) > memory_budget:
        most -= max(1, most // 20)
    if most < FEWEST:
        found, expected = Text(f"{memory_budget:,} bytes"), f"{needed(FEWEST):,} or more, for {FEWEST} samples in all layers"
        raise InputError("memory_budget", found, expected)
    return np.random.default_rng(seed).permutation(count)[:most]


def compacted(start: Float[np.ndarray, "sample feature"], widest: int) -> Float[np.ndarray, "sample other"]:
    """Inputs turned within the coordinates that no layer has, where one number per sample is enough.

    Every distance between inputs and to points that are 0 there stays as it is: so does all of the transport.

    Arguments:
        widest: units of the widest layer.

    Example:
        >>> compacted(np.array([[1.0, 3.0, 4.0, 0.0]]), 1).round(6).tolist() in ([[1.0, 5.0]], [[1.0, -5.0]])
        True
    """
    n, features = start.shape
    if features <= widest + n:
        return start
    own = start[:, widest:].astype(np.float64)
    upper = np.asarray(np.linalg.qr(own.T, mode="r"))
    return np.hstack([start[:, :widest].astype(np.float64), upper.T])
