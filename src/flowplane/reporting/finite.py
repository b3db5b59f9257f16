"""Where the activations of a recording stop being numbers: training diverged, and what came before can be measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from flowplane.errors import InputError
from flowplane.recording import Recording
from flowplane.reporting.thinning import small_part

__all__ = ["finite_part"]

#: Bytes of activations looked at together.
MEMORY = 1 << 28


def finite_part(rec: Recording) -> tuple[Recording | None, str]:
    """The snapshots before the first whose activations are NaN or infinite, with a sentence; empty where all are finite.

    The last layer is looked at first, at the snapshots and in the replicas that a report measures; all layers at the last of
    these. None stands for a recording that is not finite from its first snapshot on.
    """
    try:
        return _before(rec)
    except InputError:  # no activations were kept: nothing to look at
        return rec, ""


def _before(rec: Recording) -> tuple[Recording | None, str]:
    rec = rec.sel(epoch=sorted(rec.epochs.tolist()))
    part, _ = small_part(rec)
    epochs = part.epochs
    if _first_bad(part, part.layers[-1:], epochs) is None and _first_bad(part, part.layers, epochs[-1:]) is None:
        return rec, ""
    # a hidden layer may have gone before the last one did, and both between two of the snapshots that are measured
    bad = _first_bad(part, part.layers, epochs)
    fine = max((epoch for epoch in epochs if bad is None or epoch < bad), default=-1)
    few = rec.sel(replica=part.replicas.tolist())
    bad = _first_bad(few, few.layers, rec.epochs[(rec.epochs > fine) & (rec.epochs <= (epochs[-1] if bad is None else bad))])
    return (rec, "") if bad is None else _said(rec, few, bad)


def _said(rec: Recording, few: Recording, bad: int) -> tuple[Recording | None, str]:
    before = rec.epochs[rec.epochs < bad]
    broken = np.atleast_1d(~_finite(few.sel(epoch=bad), few.layers).all(axis=(1, 2)))
    where = f" in {int(broken.sum())} of {len(broken)} replicas" if len(broken) > 1 else ""
    # numbers too large for 16 bits are infinite in the recording alone
    cause = (
        "training diverged, or they are too large for float16"
        if rec.attrs.get("dtype") == "float16"
        else "training diverged"
    )
    if len(before):
        said = f"From epoch {bad:,} on activations are NaN or infinite{where}: {cause}; the page shows what came before."
        return rec.sel(epoch=before.tolist()), said
    return None, (
        f"Already at epoch {bad:,}, the first that was recorded, activations are NaN or infinite{where}: nothing can be "
        "measured of the layers."
    )


def _first_bad(rec: Recording, layers: Sequence[str], epochs: np.ndarray) -> int | None:
    """The first of these epochs, which are in order, at which a value is not finite."""
    if len(epochs) == 0:
        return None
    finite = _finite(rec.sel(epoch=epochs.tolist()), layers).all(axis=(0, 2))
    return None if finite.all() else int(epochs[finite.argmin()])


def _finite(rec: Recording, layers: Sequence[str]) -> np.ndarray:
    """Whether all values are finite (replica, epoch, layer)."""
    found = np.ones((len(rec.replicas), len(rec.epochs), len(layers)), bool)
    for replicas, epochs, outputs in rec.blocks(layers, MEMORY):
        for layer, values in outputs.items():
            found[replicas, epochs, layers.index(layer)] = torch.isfinite(values).all(-1).all(-1).numpy()
    return found
