"""A recording, measured for a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from flowplane.analysis.compression import compression
from flowplane.analysis.denoising import denoising_spectrum, with_denoised
from flowplane.analysis.geometry import layer_geometry
from flowplane.core.frames import layer_table
from flowplane.core.results import Flags
from flowplane.errors import InputError, Text
from flowplane.information.estimator import NUMBERS
from flowplane.information.resolution import shown as shown_at
from flowplane.recording import ARRAYS, Recording
from flowplane.reporting.finite import finite_part
from flowplane.reporting.gradients import idle_layers
from flowplane.reporting.markup import count, listed, number
from flowplane.reporting.provenance import about_equal, recording_facts, recording_recipe
from flowplane.reporting.reasons import reason
from flowplane.reporting.subject import Subject, Table
from flowplane.reporting.thinning import FOLLOWED, small_part, snapshots_followed
from flowplane.reporting.training import metric_called

__all__ = ["DENOISING", "PARTS", "of_recording"]

#: What is measured of a recording, and what more where it is denoised: one step of progress each.
PARTS, DENOISING = 6, 1

#: Layers times snapshots that a report denoises at most, of one replica: seconds each.
DENOISED = 12
#: Snapshots with exact plans among those that are followed.
PLANNED = 3


def of_recording(
    rec: Recording,
    title: str,
    denoising: bool = False,
    cluster: Any = None,
    advance: Callable[[float], None] = lambda amount: None,
) -> Subject:
    """Measure a recording, thinned where it is large: information plane, training, gradients, transport.

    Arguments:
        title: what the report calls it.
        denoising: whether layers are denoised as well.
        cluster: who analyses it, as for `fp.report`.
        advance: called with 1 for each of `PARTS` that is done, or cannot be.
    """
    shown, broken = finite_part(rec)
    sections = ("plane", "geometry", "gradients", "transport", "stream", "training")
    notes: dict[str, list[str]] = {"summary": [broken], **{section: [] for section in sections}}
    metrics, why = _tried(advance, "training", lambda: _known(rec.metrics.load()))
    never = [] if why else _never_finite(rec)
    broken_metrics = listed([metric_called(name) for name in never])
    verb = "is" if len(never) == 1 else "are"
    if never:
        notes["training"].append(f"{broken_metrics[0].upper()}{broken_metrics[1:]} {verb} NaN or infinite at every epoch.")
    notes["training"].append(
        why or ("" if never or metrics is not None else "No loss or other number was given while it was recorded.")
    )
    plane, falls, geometry, phases, transport, stream, spectrum = (None,) * 7
    chosen, left_out = "", ""
    idle: tuple[str, ...] = ()
    if shown is None:
        found, why = _tried(advance, "gradients", lambda: _phases(rec))
        phases, idle = found or (None, ())
        notes["gradients"].append(why)
        for section in ("plane", "geometry", "transport"):
            notes[section].append("Nothing can be measured here: activations are NaN or infinite at every snapshot.")
    else:
        part, left_out = small_part(shown)
        found, why = _tried(advance, "plane", lambda: _plane(part, cluster))
        plane, chosen = found or (None, "")
        if plane is not None and "resolution" in plane.dims and len(part.replicas) == 1:
            falls = compression(part, plane)
        notes["plane"] += [left_out, chosen and f"Estimator: {chosen}.", why]
        if denoising:
            few, notes["denoising"] = _few(part)
            spectrum, why = _tried(advance, "denoising", lambda: _spectrum(few, cluster))
            notes["plane"].append(why)
            if spectrum is not None and plane is not None and "resolution" in plane.dims:
                plane = with_denoised(plane, spectrum)
        geometry, why = _tried(advance, "geometry", lambda: layer_geometry(part))
        notes["geometry"].append(why)
        found, why = _tried(advance, "gradients", lambda: _phases(shown))
        phases, idle = found or (None, ())
        notes["gradients"].append(why)
        transport, why = _tried(advance, "transport", lambda: _transport(part, cluster))
        notes["transport"].append(why)
        stream, why = _tried(advance, "stream", lambda: _stream(part, cluster))
        notes["stream"].append(why)
    facts = recording_facts(rec, plane, chosen, left_out)
    taken, left = _layers(rec)
    return Subject(
        title,
        _about(rec, plane),
        None if plane is None else shown_at(plane),
        metrics,
        phases,
        transport,
        notes=notes,
        facts=facts,
        layers=taken,
        left_out=left,
        resolved=plane if plane is not None and "resolution" in plane.dims else None,
        falls=falls,
        geometry=geometry,
        stream=stream,
        spectrum=spectrum,
        idle=idle,
        recipe=recording_recipe(rec, denoising),
    )


def _tried(advance: Callable[[float], None], section: str, make: Any) -> tuple[Any, str]:
    """What is made, or None and why it cannot be."""
    try:
        return make(), ""
    except InputError as error:
        return None, reason(section, error)
    finally:
        advance(1)


def _layers(rec: Recording) -> tuple[Table, Table]:
    """Which layers of a model were taken, how each became rows, and what else ran."""
    if rec.kind != "model":
        return ((), ()), ((), ())
    shown = layer_table([layer for layer in rec.attrs["layers"] if layer["name"] in rec.layers])
    shown["deterministic"] = shown["deterministic"].map({True: "yes", False: "no: one draw of its noise"})
    head = ("layer", "type", "shape of a sample", "axes of units", "reduction", "numbers per row", "deterministic")
    left = rec.left_out.astype(str)
    return (head, shown.astype(str).values.tolist()), (("name", "kind", "calls", "shape", "why"), left.values.tolist())


def _plane(rec: Recording, cluster: Any) -> tuple[xr.Dataset, str]:
    """The information plane, the one that `fp.information_plane` gives, and why it is read that way."""
    from flowplane.analysis.reading import reading

    found = reading(rec, cluster=cluster)
    return found.plane, found.reason


def _known(metrics: xr.Dataset) -> xr.Dataset | None:
    """The metrics that have a value somewhere."""
    names = [name for name in metrics.data_vars if np.isfinite(metrics[name].values).any()]
    return metrics[names] if names else None


def _never_finite(rec: Recording) -> list[str]:
    """Metrics of a model without any finite value; an ensemble without held-out data has such metrics too, by design."""
    if rec.kind != "model":
        return []
    metrics = rec.metrics.load()
    return [str(name) for name in metrics.data_vars if metrics[name].size and not np.isfinite(metrics[name].values).any()]


def _phases(rec: Recording) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Drift and diffusion, and the layers of which no parameter moves."""
    from flowplane.analysis.phases import gradient_phases

    return gradient_phases(rec), tuple(idle_layers(rec.gradients))


def _few(rec: Recording) -> tuple[Recording, list[str]]:
    """The first replica at a few snapshots, the last among them, and a sentence on what was left out."""
    snapshots = DENOISED // len(rec.layers)
    few = rec.thin(snapshots) if snapshots > 1 else rec.sel(epoch=[int(rec.epochs.max())])
    few = few.sel(replica=rec.replicas[:1].tolist())
    parts = []
    if len(few.epochs) < len(rec.epochs):
        parts.append(f"at {len(few.epochs)} of {count(len(rec.epochs), 'snapshot')}")
    if len(few.replicas) < len(rec.replicas):
        parts.append("in the first replica")
    return few, [f"Denoising takes seconds per layer, so it is done {listed(parts)} only."] if parts else []


def _spectrum(rec: Recording, cluster: Any) -> xr.Dataset:
    """How hard the layers are to denoise. Raises InputError where nothing can be said of any."""
    found = denoising_spectrum(rec, cluster=cluster)
    if not np.isfinite(found["mmse"]).any():
        why = ", ".join(name.replace("_", " ") for name in Flags.names(found["flags"]))
        raise InputError("spectrum", Text(f"No layer could be denoised ({why})"), "at least one")
    return found


def _transport(rec: Recording, cluster: Any) -> xr.Dataset:
    """The transport profile, of deep networks at fewer snapshots; exact plans, between fewer points of these, at a few."""
    from flowplane.analysis.transport.layers import layer_transport

    shown = rec.thin(snapshots_followed(rec))
    exact = 1000 if len(shown.epochs) * len(rec.layers) <= FOLLOWED // 2 else 300
    return layer_transport(shown, exact=exact, exact_snapshots=PLANNED, cluster=cluster)


def _stream(rec: Recording, cluster: Any) -> xr.Dataset | None:
    """What points spend in the residual stream, at as many snapshots as are followed; None where there is no stream."""
    from flowplane.analysis.transport.budget import layer_budget
    from flowplane.analysis.transport.stream import residual_stream

    found = residual_stream(rec)
    if found is None:
        return None
    return layer_budget(found.rec.thin(snapshots_followed(found.rec)), from_inputs=found.from_inputs, cluster=cluster)


def _about(rec: Recording, plane: xr.Dataset | None) -> str:
    task, networks = rec.task, count(len(rec.replicas), "network")
    shape = f"{rec.architecture} {rec.activation}".strip()
    what = f"{networks[0].upper()}{networks[1:]} ({shape}) on the task “{task.name}”" if rec.kind == "ensemble" else shape
    if rec.attrs.get("source") == ARRAYS:
        what = f"Activations of {count(len(rec.layers), 'layer')}, given as arrays"
    rows = "input" if rec.row_samples is None else "token"
    told = f"{what}, probed with {count(len(task.inputs), rows)} at "
    first, last = int(rec.epochs.min()), int(rec.epochs.max())
    when = f"from epoch {first:,} to {last:,}" if last > first else f"of epoch {first:,}"
    told += f"{count(len(rec.epochs), 'snapshot')} {when}."
    labels = about_equal(str(rec.attrs.get("labels", "")))
    if plane is not None and "i_ty" in plane and plane["i_ty"].attrs.get("labels") == NUMBERS:
        told += " The labels are numbers or tags, and I(T;Y) is about these, not about classes: it has no ceiling."
    elif labels.startswith("targets"):
        told += f" The targets are numbers; labels here are {labels}."
    information = getattr(task, "information", float("nan"))
    if np.isfinite(information) and rec.targets is None:
        told += (
            f" The inputs hold {number(task.input_entropy, 'bits')}, of which {number(information, 'bits')} determine the "
            "label."
        )
    return told
