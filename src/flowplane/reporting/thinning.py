"""As much of a large recording as a report needs: a few tens of snapshots, a few replicas."""

from __future__ import annotations

from flowplane.recording import Recording

__all__ = ["REPLICAS", "SNAPSHOTS", "small_part", "snapshots_followed", "snapshots_shown"]

#: Snapshots and replicas that a report measures at most.
SNAPSHOTS = 40
REPLICAS = 10
#: For a model, whose layers take longer than those of the papers' networks: layers times snapshots, and the least snapshots.
STEPS, FEWEST = 100, 8
#: Steps from layer to layer, over all snapshots, that a report follows at most; and snapshots, at least and at most.
FOLLOWED, FEW, MANY = 150, 3, 8


def snapshots_shown(rec: Recording) -> int:
    """How many snapshots a report measures at most."""
    return SNAPSHOTS if rec.kind == "ensemble" else min(max(STEPS // len(rec.layers), FEWEST), SNAPSHOTS)


def snapshots_followed(rec: Recording) -> int:
    """How many snapshots a report follows from layer to layer at most."""
    return min(max(FOLLOWED // len(rec.layers), FEW), MANY)


def small_part(rec: Recording, snapshots: int | None = None, replicas: int = REPLICAS) -> tuple[Recording, str]:
    """A part of a recording that is small enough, and a sentence on what was left out; empty where nothing was."""
    part = rec.thin(snapshots or snapshots_shown(rec)).sel(replica=rec.replicas[:replicas].tolist())
    parts = []
    if len(part.epochs) < len(rec.epochs):
        parts.append(f"{len(part.epochs)} of {len(rec.epochs)} snapshots, evenly in log(epoch)")
    if len(part.replicas) < len(rec.replicas):
        first = "the first" if len(part.replicas) == 1 else f"the first {len(part.replicas)}"
        parts.append(f"{first} of {len(rec.replicas)} replicas")
    said = f"To stay fast, this page measures {' and '.join(parts)}." if parts else ""
    return part, said
