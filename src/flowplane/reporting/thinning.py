"""Of a large recording as much as a report needs: a few tens of snapshots, a few replicas."""

from __future__ import annotations

import numpy as np

from flowplane.recording import Recording

__all__ = ["REPLICAS", "SNAPSHOTS", "even_in_time", "thinned"]

#: Snapshots and replicas that a report measures at most.
SNAPSHOTS = 40
REPLICAS = 10


def even_in_time(epochs: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the epochs, evenly in log(epoch), first and last included.

    Example:
        >>> even_in_time(np.arange(1001), 6)
        array([   0,    3,   15,   62,  250, 1000])
    """
    ordered = np.unique(epochs)
    if len(ordered) <= most:
        return ordered
    times = np.log10(ordered + 1.0)
    for wanted in range(most, 4 * most):  # neighbours in time may fall on one snapshot: ask for more until there are enough
        places = np.unique(np.abs(times[:, None] - np.linspace(times[0], times[-1], wanted)).argmin(axis=0))
        if len(places) >= most:
            break
    return ordered[places[np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))]]


def thinned(rec: Recording, snapshots: int = SNAPSHOTS, replicas: int = REPLICAS) -> tuple[Recording, str]:
    """A part of a recording that is small enough, and a sentence on what was left out; empty where nothing was."""
    epochs = even_in_time(rec.epochs, snapshots)
    kept = rec.replicas[:replicas]
    parts = []
    if len(epochs) < len(rec.epochs):
        parts.append(f"{len(epochs)} of {len(rec.epochs)} snapshots, evenly in log(epoch)")
    if len(kept) < len(rec.replicas):
        parts.append(f"the first {len(kept)} of {len(rec.replicas)} replicas")
    said = f"To be made in seconds, this page measures {' and '.join(parts)}." if parts else ""
    return rec.sel(epoch=epochs.tolist(), replica=kept.tolist()), said
