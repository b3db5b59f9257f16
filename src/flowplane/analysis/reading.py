"""How a recording is read where nobody says how: what was measured online or what is measured now, and by which channel."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from flowplane.core.measure import Measure
from flowplane.core.points import check_positive
from flowplane.core.results import Flags, stamp
from flowplane.errors import InputError, Text, unknown
from flowplane.information.binned import Binned
from flowplane.information.estimator import Continuous
from flowplane.information.ksg import KSG
from flowplane.information.pairwise import Pairwise
from flowplane.recording import ModelRecording, Recording, require_recording

__all__ = ["BINS", "DIMS", "Reading", "own_plane", "reading", "suitable_measure"]

#: Of a plane, and of what is made of it.
DIMS = ("replica", "epoch", "layer")
#: The bins of an ensemble's layers.
BINS = Binned(30)
PARTS = ("all", "train", "test")
#: Variances of the noise that are tried, in those of the layer's units.
VARIANCES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
#: So much noise is taken that no more than this share of the layers is saturated, at the first and at the last snapshot.
MOST_SATURATED = 0.25


class Reading(NamedTuple):
    """The plane of a recording, and in a sentence why it was read that way."""

    plane: xr.Dataset
    reason: str


class Choice(NamedTuple):
    """An estimator, and in a sentence why it was chosen or what is wrong with it."""

    measure: Measure
    reason: str
    valid: bool = True


def reading(
    rec: Recording, estimator: Measure | None = None, *, samples: str = "all", noise_variance: float | None = None
) -> Reading:
    """The plane of a recording over (replica, epoch, layer), with H(X) and I(X;Y) in its attributes.

    An estimator that is given is taken. Otherwise: of a model the first measure taken while it was recorded that gives
    I(X;T) and I(T;Y), or without any what `suitable_measure` chooses; of an ensemble 30 bins, or KSG where the networks have
    noise of their own.

    Raises:
        InputError: not a Recording, unknown samples, a noise variance that is not above 0, for an estimator that has a
            channel of its own or beside a measure that was taken online, or what `Recording.measure` refuses.
    """
    rec = require_recording(rec)
    if samples not in PARTS:
        raise unknown("samples", samples, PARTS)
    if samples != "all":
        _ = rec.split  # where there is none, it says so
    if noise_variance is not None:
        check_positive("noise_variance", noise_variance, "the variance of Gaussian noise, above 0, or None")
    if estimator is None:
        online = _online(rec) if samples == "all" else None
        if online is not None:
            name, plane = online
            if noise_variance is not None:
                found = Text(f"{noise_variance} beside {name}, taken while it was recorded")
                raise InputError("noise_variance", found, "None, or estimator= one that takes it")
            return Reading(_described(rec, plane), f"{name}, as measured while it was recorded")
        choice = suitable_measure(rec)
    else:
        choice = Choice(estimator, "it was asked for")
    measure = choice.measure if noise_variance is None else _with_channel(choice.measure, noise_variance)
    return Reading(_described(rec, rec.measure(measure, samples)), choice.reason)


def suitable_measure(rec: Recording) -> Choice:
    """The estimator that reads a recording where none is given and none was taken online (§B3, §B4).

    Ensembles are read by the paper's channel, 30 bins, and networks with noise of their own by KSG, which needs no channel.
    To the layers of a model Gaussian noise is added in proportion to the variance of the layer's units at that epoch, the
    least of `VARIANCES` under which most layers of the first replica are not saturated at the first and the last snapshot:
    so a layer whose values only grow or shrink neither learns nor compresses.

    Raises:
        InputError: not a Recording.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), replicas=1, epochs=2, snapshots=2)
        >>> suitable_measure(rec).measure
        Binned(bins=30, range='activation', correction=None)
    """
    rec = require_recording(rec)
    if not rec.deterministic:
        return Choice(KSG(4), "the network has noise of its own, so information is finite without bins or more noise")
    if not isinstance(rec, ModelRecording):
        return Choice(BINS, "30 bins are the paper's channel")
    ends = sorted({int(rec.epochs.min()), int(rec.epochs.max())})
    part = rec.sel(replica=rec.replicas[0], epoch=ends)
    measures = [Pairwise(variance, relative="unit") for variance in VARIANCES]
    place = bisect_left(measures, True, key=lambda measure: _saturated(part, measure) <= MOST_SATURATED)
    trouble = "without noise every input would stand alone"
    if place == len(measures):
        reason = f"{trouble}; even under noise of {VARIANCES[-1]:g} times their variance many layers tell every sample apart"
        return Choice(measures[-1], f"{reason}: I(X;T) says nothing here", False)
    noise = f"noise of {VARIANCES[place]:g} times the variance of its units at that epoch is added to each layer"
    return Choice(measures[place], f"{trouble}; so Gaussian {noise}, the least that keeps most layers from it")


def own_plane(rec: Recording, plane: Any, names: tuple[str, ...]) -> xr.Dataset:
    """The plane at the replicas, epochs and layers that `rec` shows, in its order, over (replica, epoch, layer).

    Arguments:
        plane: from `fp.information_plane` of this recording or of more of it; None for the recording's own `reading`.
        names: the variables that are needed, in bits.

    Raises:
        InputError: no such Dataset, other dimensions or units, or replicas, epochs or layers missing in it.
    """
    if plane is None:
        plane = reading(rec).plane
    if not isinstance(plane, xr.Dataset) or not set(names) <= set(plane):
        found = sorted(map(str, plane)) if isinstance(plane, xr.Dataset) else type(plane).__name__
        raise InputError("plane", Text(f"{found}"), f"what fp.information_plane makes, with {', '.join(names)}")
    for name in names:
        if set(plane[name].dims) != set(DIMS):
            raise InputError("plane", Text(f"{name} over {plane[name].dims}"), f"{name} over {DIMS}")
        if plane[name].attrs.get("units") != "bits":
            raise InputError("plane", Text(f"{name} in {plane[name].attrs.get('units')!r}"), f"{name} in bits")
    for key, value in rec.identity.items():
        if plane.attrs.get(key, value) != value:
            raise InputError("plane", Text(f"that of {key} {plane.attrs[key]!r}"), f"one of this recording, {key} {value!r}")
    chosen = {}
    for dim, mine in (("replica", rec.replicas.tolist()), ("epoch", rec.epochs.tolist()), ("layer", list(rec.layers))):
        theirs = plane[dim].values.tolist() if dim in plane.coords else []
        places = {label: place for place, label in enumerate(theirs)}
        missing = [label for label in mine if label not in places]
        if missing:
            raise InputError(
                "plane", Text(f"{dim}s without {missing[0]}"), f"a plane of this recording, with all {dim}s of it"
            )
        chosen[dim] = np.array([places[label] for label in mine])
    return plane[list(names)].transpose(*DIMS).isel(chosen)


def _online(rec: Recording) -> tuple[str, xr.Dataset] | None:
    """The first measure of a model taken online that is a plane, with its name."""
    if not isinstance(rec, ModelRecording):
        return None
    planes = {name: plane for name, plane in rec.online.items() if {"i_xt", "i_ty"} <= set(plane)}
    return next(iter(planes.items()), None)


def _with_channel(measure: Measure, noise_variance: float) -> Measure:
    if not isinstance(measure, Continuous):
        found = Text(f"a variance for {type(measure).__name__}")
        raise InputError("noise_variance", found, "None: this estimator has a channel of its own")
    return measure.with_channel(noise_variance)


def _described(rec: Recording, plane: xr.Dataset) -> xr.Dataset:
    """The plane, with what figures say of the recording and where its ceilings are."""
    ceilings: dict[str, Any] = {"input_entropy": rec.task.input_entropy, "label_information": rec.task.information}
    return stamp(plane, "information_plane", **rec.identity, **ceilings)


def _saturated(rec: Recording, measure: Measure) -> float:
    """The share of layers that are, at the snapshot where it is largest."""
    raised = Flags.raised(rec.measure(measure)["flags"])
    return float(raised["saturated"].mean(["replica", "layer"]).max()) if "saturated" in raised else 0.0
