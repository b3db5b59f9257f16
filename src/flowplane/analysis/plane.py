"""The information plane of a recording."""

from __future__ import annotations

import xarray as xr

from flowplane.analysis.choice import suitable_measure
from flowplane.core.measure import Measure
from flowplane.errors import InputError, Text
from flowplane.information.binned import Binned
from flowplane.information.estimator import Continuous
from flowplane.recording import ModelRecording, Recording, require_recording

__all__ = ["information_plane"]


def information_plane(
    rec: Recording, estimator: Measure | None = None, *, samples: str = "all", noise: float | None = None
) -> xr.Dataset:
    """Where each layer stands in the plane (I(X;T), I(T;Y)), replica by replica, epoch by epoch (§B3).

    Arguments:
        rec: from `fp.train` or `fp.open`, or a part of it from `rec.sel`.
        estimator: None for `fp.Binned(30)`; of a model for the first measure that was taken online or, without any, for
            the one that `flowplane.analysis.choice.suitable_measure` chooses.
        samples: "all", or each replica's own "train" or "test" part.
        noise: variance of Gaussian noise added to each unit, the channel of an estimator that has none of its own.

    Returns:
        Dataset (replica, epoch, layer): `i_xt`, `i_ty`, `h_t` in bits, each with `_lower` and `_upper`, and `flags`. Its
        attrs name the channel and the ceilings `input_entropy` = H(X) and `label_information` = I(X;Y), in bits: H(Y) for
        hard labels.

    Raises:
        InputError: not a Recording, or what `Recording.measure` refuses.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> plane = fp.information_plane(rec, fp.Binned(30))
        >>> dict(plane.i_xt.sizes), plane.i_xt.units
        ({'replica': 2, 'epoch': 2, 'layer': 2}, 'bits')
        >>> plane.channel
        '{"layer1": "30 equal bins on [-1, 1]", "layer2": "30 equal bins on [0, 1]"}'
    """
    rec = require_recording(rec)
    if estimator is None and isinstance(rec, ModelRecording):
        online = rec.online
        plane = next(iter(online.values())) if online else rec.measure(suitable_measure(rec).measure, samples)
        return _described(rec, plane)
    measure = Binned(30) if estimator is None else estimator
    if noise is not None:
        if not isinstance(measure, Continuous):
            found = Text(f"a variance for {type(measure).__name__}")
            raise InputError("noise", found, "None: this estimator has a channel of its own")
        measure = measure.with_channel(noise)
    return _described(rec, rec.measure(measure, samples))


def _described(rec: Recording, plane: xr.Dataset) -> xr.Dataset:
    """The plane, with what figures say of the recording and where its ceilings are."""
    task = rec.task
    plane.attrs |= {
        "task": task.name,
        "network": rec.architecture,
        "activation": rec.activation,
        "input_entropy": task.input_entropy,
        "label_information": task.information,
    }
    return plane
