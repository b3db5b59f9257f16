"""When snapshots are taken, and what the mini-batches of an epoch are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

__all__ = ["epoch_batches", "even_places", "log_spaced"]


def log_spaced(total: int, snapshots: int) -> np.ndarray:
    """Exactly min(snapshots, total + 1) distinct epochs from 0 to `total`, both included, evenly spaced in log(epoch).

    Where neighbours would round to the same epoch the next free one is taken, and the rest is spread anew.

    Example:
        >>> log_spaced(8000, 8).tolist()
        [0, 1, 4, 18, 83, 381, 1746, 8000]
        >>> log_spaced(3, 100).tolist()
        [0, 1, 2, 3]
    """
    count = min(snapshots, total + 1)
    epochs = [0]
    if count > 2:
        epochs.append(1)
    while len(epochs) < count - 1:
        remaining = count - len(epochs)
        last = epochs[-1]
        epochs.append(max(last + 1, round(last * (total / last) ** (1 / remaining))))
    if total > 0:
        epochs.append(total)
    return np.array(epochs, dtype=np.int64)


def even_places(epochs: Int[np.ndarray, " epoch"], count: int) -> Int[np.ndarray, " place"]:
    """Positions of exactly min(count, len(epochs)) epochs, those nearest to even places in log(1 + epoch), first and last
    included, in their own order. Where two places fall on one epoch the next free one is taken.

    Example:
        >>> even_places(np.arange(101), 5).tolist(), even_places(np.arange(10), 8).tolist()
        ([0, 2, 9, 31, 100], [0, 1, 2, 3, 4, 5, 6, 9])
    """
    count = min(count, len(epochs))
    order = np.argsort(epochs, kind="stable")
    times = np.log1p(epochs[order].astype(float))
    nearest = np.abs(times - np.linspace(times[0], times[-1], count)[:, None]).argmin(1)
    steps = np.arange(count)
    free = np.maximum.accumulate(nearest - steps) + steps  # past the one before
    chosen = np.minimum(free, len(epochs) - count + steps)  # and as many left as are still to come
    return np.sort(order[chosen])


def epoch_batches(samples: int, batch_size: int, drop_last: bool) -> list[slice]:
    """The mini-batches of an epoch as slices of its order (§B2: batches of min(batch_size, samples)).

    Example:
        >>> epoch_batches(10, 4, True), len(epoch_batches(10, 4, False)), len(epoch_batches(10, 512, True))
        ([slice(0, 4, None), slice(4, 8, None)], 3, 1)
    """
    size = min(batch_size, samples)
    stop = samples - samples % size if drop_last else samples
    return [slice(first, min(first + size, stop)) for first in range(0, stop, size)]
