"""Where the activations of a recording are not finite, and why: the snapshots that are can be measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from flowplane.errors import InputError
from flowplane.recording import Recording
from flowplane.reporting.markup import called, listed
from flowplane.reporting.thinning import small_part

__all__ = ["finite_part"]

#: Bytes of activations looked at together.
MEMORY = 1 << 28


def finite_part(rec: Recording) -> tuple[Recording | None, str]:
    """The snapshots whose activations are finite, with a sentence on the others; empty where all are finite.

    These are the snapshots before the first that is not finite; where that is the very first, as of a model whose batch
    normalisation has not seen data yet, those after the last such one. The last layer is looked at first, at the snapshots
    and in the replicas that a report measures; all layers at the last of these. None stands for a recording that is finite
    at no snapshot.
    """
    try:
        return _finite_run(rec.sel(epoch=sorted(rec.epochs.tolist())))
    except InputError:  # no activations were kept: nothing to look at
        return rec, ""


def _finite_run(rec: Recording) -> tuple[Recording | None, str]:
    part, _ = small_part(rec)
    epochs = part.epochs
    if _first_bad(part, part.layers[-1:], epochs) is None and _first_bad(part, part.layers, epochs[-1:]) is None:
        return rec, ""
    # a hidden layer may have gone before the last one did, and both between two of the snapshots that are measured
    finite = np.atleast_1d(_finite(part, part.layers).all(axis=(0, 2)))
    if not finite.any():
        return None, _said(rec, part, int(epochs[0]), (), ())
    if not finite[0]:
        last, start = map(int, epochs[[finite.argmax() - 1, finite.argmax()]])
        late, after = _finite_run(rec.sel(epoch=rec.epochs[rec.epochs >= start].tolist()))
        shown = [] if late is None else late.epochs.tolist()
        return late, f"{_said(rec, part, last, (), shown)} {after}".strip()
    bad = None if finite.all() else int(epochs[finite.argmin()])
    fine = max(epoch for epoch in epochs if bad is None or epoch < bad)
    few = rec.sel(replica=part.replicas.tolist())
    bad = _first_bad(few, few.layers, rec.epochs[(rec.epochs > fine) & (rec.epochs <= (epochs[-1] if bad is None else bad))])
    if bad is None:
        return rec, ""
    before = rec.epochs[rec.epochs < bad]
    return rec.sel(epoch=before.tolist()), _said(rec, few, bad, before.tolist(), ())


def _said(rec: Recording, few: Recording, bad: int, before: Sequence[int], after: Sequence[int]) -> str:
    """From or until which epoch activations are not finite, why, and what is shown instead."""
    broken = np.atleast_1d(~_finite(few.sel(epoch=bad), few.layers).all(axis=(1, 2)))
    where = f" in {int(broken.sum())} of {len(broken)} replicas" if len(broken) > 1 else ""
    what = f"activations are NaN or infinite{where}"
    if len(before):
        return f"From epoch {bad:,} on, {what}: {_cause(rec, bad)}. This page shows what came before."
    if len(after):
        return f"Up to epoch {bad:,}, {what}: {_cause(rec, bad)}. This page begins at epoch {int(after[0]):,}."
    first = int(rec.epochs[0])
    return f"At every snapshot from epoch {first:,} on, {what}: {_cause(rec, first)}. Nothing can be measured in the layers."


def _cause(rec: Recording, bad: int) -> str:
    """Why activations of the probe inputs are not finite from an epoch on, as far as losses and gradients say.

    A model is probed in eval mode: where it goes on learning, its training did not diverge.
    """
    if rec.attrs.get("dtype") == "float16":  # numbers too large for 16 bits are infinite in the recording alone
        return "training diverged, or they are too large for float16"
    learning = _learning(rec, bad)
    if learning is None and rec.kind == "ensemble":
        return "training diverged"
    if learning is None:
        return f"training diverged, or the probe inputs or {_statistics(rec)} are not finite"
    if not learning:
        return "training diverged"
    return (
        f"training itself goes on, so the cause is something that only eval mode uses, such as {_statistics(rec)}, or lies "
        "in the probe inputs"
    )


def _statistics(rec: Recording) -> str:
    kinds = {layer: rec.layer_type_of(layer) for layer in rec.layers}
    names = [called(layer, kind) for layer, kind in kinds.items() if "BatchNorm" in kind]
    return f"the running statistics of {listed(names, 3) if names else 'batch normalisation'}"


def _learning(rec: Recording, bad: int) -> bool | None:
    """Whether losses or gradients are still finite at the end of a recording whose activations are not; None where
    this is not known."""
    seen: list[bool] = []
    metrics = rec.metrics.load()
    late = metrics.sel(train_epoch=metrics["train_epoch"] >= max(bad, 1))
    losses = [late[name].values for name in late.data_vars if "loss" in str(name).lower() and late[name].size]
    seen += [any(bool(np.isfinite(values[:, -1]).any()) for values in losses)] if losses else []
    if (rec.epochs > max(bad, 1)).any():  # the gradients of the very epoch may be those before it happened
        try:
            gradients = rec.gradients["gradient_mean"].sel(epoch=int(rec.epochs.max())).values
        except InputError:
            return any(seen) if seen else None
        seen += [True] if np.isfinite(gradients).any() else []
    return any(seen) if seen else None


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
