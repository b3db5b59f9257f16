"""`fp.record`: what the layers of a model that is not trained do, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from flowplane.core.measure import Measure
from flowplane.errors import InputError
from flowplane.recorder.session import Session
from flowplane.recording import ModelRecording

__all__ = ["record"]


def record(
    model: nn.Module,
    inputs: Any,
    labels: Any = None,
    *,
    path: Any = None,
    layers: Any = None,
    measures: Sequence[Measure] = (),
    keep: Sequence[str] = ("activations",),
    reduce: str | Callable[[torch.Tensor], torch.Tensor] = "auto",
    layout: Mapping[str, str] | None = None,
    mask: Any = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    batch: int | str | None = "auto",
    views: Any = None,
    unembed: Any = None,
    dtype: str = "float32",
    mode: str = "create",
) -> ModelRecording:
    """The Recording of a model as it is: one epoch, 0, without gradients.

    The model is probed as by `fp.Recorder`, in eval mode, and left as it was.

    Arguments:
        model, inputs, labels and all that are not named here: as of `fp.Recorder`; with mode="resume" a recording that
            already exists is returned.
        keep: "activations", or nothing where `measures` alone are asked for.

    Raises:
        InputError: what `fp.Recorder` refuses; gradients, of which there are none.

    Example:
        >>> import flowplane as fp
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> rec = fp.record(model, x, x[:, 0] > 0)
        >>> rec.layers, rec.epochs.tolist(), rec.activations("1").shape
        (('0', '1', '2'), [0], (1, 1, 50, 3))
    """
    kept = (keep,) if isinstance(keep, str) else tuple(keep)
    if "gradients" in kept:
        raise InputError("keep", list(kept), "'activations': a model that is not trained has no gradients")
    called: dict[str, Any] = {"layout": layout, "mask": mask, "forward": forward, "batch": batch}
    called |= {"views": views, "unembed": unembed}
    session = Session(model, inputs, labels, path, layers, measures, kept, reduce, dtype, mode, **called)
    try:
        session.begin({"snapshots": 1, "epochs": None}, 1, epoch=0)
        return session.recording
    finally:
        session.close()
