"""How a recording is read by default: what was measured online or what is measured now, and by which channel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from flowplane.analysis.consistency import judged
from flowplane.core.executors import Executor, executor_of
from flowplane.core.measure import Measure
from flowplane.core.points import check_positive
from flowplane.core.results import stamp
from flowplane.core.threads import one_thread_each
from flowplane.errors import InputError, NotRecorded, Text, unknown
from flowplane.information.binned import Binned
from flowplane.information.decodable import Decodable
from flowplane.information.estimator import NUMBERS, Continuous
from flowplane.information.ksg import KSG
from flowplane.information.pairwise import TOTAL, Pairwise
from flowplane.information.resolution import Resolutions, checked_resolutions, shown
from flowplane.recording import ModelRecording, Recording, require_recording

__all__ = ["BINS", "DIMS", "Reading", "own_plane", "reading"]

#: Of a plane, and of what is made of it.
DIMS = ("replica", "epoch", "layer")
#: The bins of an ensemble's layers.
BINS = Binned(30)
PARTS = ("all", "train", "test")
#: Why a model is read as it is.
RESOLVED = (
    "Pairwise at several resolutions, as noise in proportion to a layer's total variance means the same in every layer; "
    "Decodable for the label, as what a probe decodes needs no noise"
)


class Reading(NamedTuple):
    """The plane of a recording, and in a sentence why it was read that way."""

    plane: xr.Dataset
    reason: str


@one_thread_each()
def reading(
    rec: Recording,
    estimator: Measure | str | None = None,
    *,
    samples: str = "all",
    noise_variance: float | None = None,
    resolution: Any = None,
    cluster: Any = None,
) -> Reading:
    """The plane of a recording over (replica, epoch, layer), with H(X) and I(X;Y) in its attributes.

    An estimator that is given is taken; the name of a measure that was taken while the model was recorded reads that.
    Otherwise a model is read at resolutions that were chosen before it was looked at, the same for all layers and epochs
    (§D1), and by what a linear probe decodes (§D2); one that kept no activations by the first measure that was taken online
    and gives I(X;T) and I(T;Y). An ensemble is read by 30 bins, or by KSG where the networks have noise of their own.

    Raises:
        InputError: not a Recording, unknown samples, a noise variance or a resolution that is not above 0, or that the
            estimator cannot honour, no activations and no such measure, or what `Recording.measure` refuses.
    """
    rec = require_recording(rec)
    if samples not in PARTS:
        raise unknown("samples", samples, PARTS)
    if samples != "all":
        _ = rec.split  # where there is none, it says so
    if noise_variance is not None:
        check_positive("noise_variance", noise_variance, "the variance of Gaussian noise, above 0, or None")
    resolutions = checked_resolutions(resolution)
    if estimator is None:
        with executor_of(cluster) as executor:
            found = _usual(rec, samples, resolutions, noise_variance, resolution is not None, executor)
    elif isinstance(estimator, str):
        _refuse(f"{estimator}, taken while it was recorded", noise_variance, resolution)
        found = Reading(_named(rec, estimator), "it was asked for")
    else:
        measure = _honouring(estimator, noise_variance, None if resolution is None else resolutions)
        with executor_of(cluster) as executor:
            plane = judged(rec, rec.measure(measure, samples, cluster=executor), executor)
        found = Reading(plane, "it was asked for")
    return found._replace(plane=_described(rec, found.plane))


def _usual(
    rec: Recording,
    samples: str,
    resolutions: tuple[float, ...],
    noise_variance: float | None,
    asked: bool,
    executor: Executor,
) -> Reading:
    """How a recording is read where no estimator is given; `asked`, whether resolutions are."""
    if isinstance(rec, ModelRecording) and "activations" not in rec.attrs["keep"]:
        name, plane = _online(rec)
        _refuse(f"{name}, taken while it was recorded", noise_variance, resolutions if asked else None)
        return Reading(plane, f"{name}, as measured while it was recorded: activations were not kept")
    if isinstance(rec, ModelRecording) or asked:
        _refuse("a reading at resolutions", noise_variance, None)
        return Reading(_resolved(rec, samples, resolutions, executor), RESOLVED)
    reason = "30 bins, the paper's channel"
    measure: Measure = BINS
    if not rec.deterministic:
        measure, reason = (
            KSG(4),
            "KSG, as the network has noise of its own: its information is finite without bins or more noise",
        )
    measure = _honouring(measure, noise_variance, None)
    return Reading(rec.measure(measure, samples, cluster=executor), reason)


def _resolved(rec: Recording, samples: str, resolutions: tuple[float, ...], executor: Executor) -> xr.Dataset:
    """I(X;T) at each resolution, and what is decodable of Y, which has none."""
    inputs = rec.measure(Resolutions(resolutions), samples, cluster=executor)
    label = rec.measure(Decodable(), samples, cluster=executor)
    of_label = [name for name in label.data_vars if str(name).startswith(("i_ty", "accuracy"))]
    if not np.isfinite(label["accuracy"]).any() or rec.targets is not None:  # numbers are decoded, not classes
        of_label = [name for name in of_label if not str(name).startswith("accuracy")]
    if rec.task.labels is None:
        of_label = [name for name in of_label if str(name).startswith("i_ty") and name != "i_ty_error"]
    plane = inputs.drop_vars([name for name in inputs.data_vars if str(name).startswith("i_ty")])
    return plane.assign({name: label[name] for name in of_label})


def _refuse(what: str, noise_variance: float | None, resolution: Any) -> None:
    """Raise InputError for a channel beside what has one of its own."""
    for name, value in (("noise_variance", noise_variance), ("resolution", resolution)):
        if value is not None:
            raise InputError(name, Text(f"{value} beside {what}"), "None, or estimator= one that takes it")


def _honouring(measure: Measure, noise_variance: float | None, resolutions: tuple[float, ...] | None) -> Measure:
    """The measure with a channel that was asked for. Raises InputError for one that it cannot have."""
    if resolutions is not None:
        if not isinstance(measure, Pairwise) or measure.relative != TOTAL:
            found = Text(f"{resolutions} beside {type(measure).__name__}")
            raise InputError("resolution", found, "None, no estimator, or fp.Pairwise(…, relative='total')")
        _refuse("a reading at resolutions", noise_variance, None)
        return Resolutions(resolutions, measure.bound)
    if noise_variance is None:
        return measure
    if not isinstance(measure, Continuous):
        found = Text(f"a variance for {type(measure).__name__}")
        raise InputError("noise_variance", found, "None: this estimator has a channel of its own")
    return measure.with_channel(noise_variance)


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
    plane = shown(plane)
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


def _online(rec: ModelRecording) -> tuple[str, xr.Dataset]:
    """The first measure of a model taken online that is a plane, with its name.

    Raises:
        NotRecorded: none is.
    """
    for name, plane in rec.online.items():
        if {"i_xt", "i_ty"} <= set(plane):
            return name, plane
    found = Text("a recording without activations, in which no measure gives I(X;T) and I(T;Y)")
    raise NotRecorded("rec", found, "keep=('activations', …) while recording, or estimator= a measure that was taken then")


def _named(rec: Recording, name: str) -> xr.Dataset:
    """What a measure of this name found while the model was recorded."""
    known = rec.online if isinstance(rec, ModelRecording) else {}
    if name not in known:
        taken = f", or the name of a measure taken while recording: {', '.join(known)}" if known else ""
        raise InputError("estimator", name, f"an estimator such as fp.KSG(){taken}")
    return known[name]


def _described(rec: Recording, plane: xr.Dataset) -> xr.Dataset:
    """The plane, with what figures say of the recording and where its ceilings are."""
    ceilings: dict[str, Any] = {"input_entropy": rec.task.input_entropy}
    if "i_ty" not in plane or plane["i_ty"].attrs.get("labels") != NUMBERS:  # numbers have no ceiling
        ceilings["label_information"] = rec.task.information
    return stamp(plane, "information_plane", **rec.identity, **ceilings)
