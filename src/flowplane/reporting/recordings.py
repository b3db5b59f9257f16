"""A recording, measured for a report."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane.core.measure import Measure
from flowplane.errors import InputError
from flowplane.information.binned import Binned
from flowplane.recording import Recording
from flowplane.reporting.markup import count, number
from flowplane.reporting.provenance import recording_facts, recording_recipe
from flowplane.reporting.subject import Subject
from flowplane.reporting.thinning import thinned

__all__ = ["of_recording"]


def of_recording(rec: Recording, title: str) -> Subject:
    """Measure a recording, thinned where it is large: information plane, training, gradients, transport.

    Arguments:
        title: what the report calls it.
    """
    part, left_out = thinned(rec)
    notes: dict[str, list[str]] = {"plane": [left_out], "gradients": [], "transport": [], "training": []}
    measure, reason = chosen_measure(part)
    plane, why = _tried(lambda: _plane(part, measure))
    notes["plane"] += [f"Estimator: {reason}", why]
    metrics, why = _tried(lambda: _known(rec.metrics.load()))
    notes["training"].append(
        why or ("" if metrics is not None else "No loss or other number was given while it was recorded.")
    )
    phases, why = _tried(lambda: _phases(rec, plane))
    notes["gradients"].append(why and f"There is nothing to show here: {why}")
    transport, why = _tried(lambda: _transport(part))
    notes["transport"].append(why)
    facts = recording_facts(rec, plane, reason, left_out)
    return Subject(
        title, _about(rec), plane, metrics, phases, transport, notes=notes, facts=facts, recipe=recording_recipe(rec)
    )


def chosen_measure(rec: Recording) -> tuple[Measure, str]:
    """The estimator of a report, and why it is that one."""
    return Binned(30), "bins, as in the paper: 30 equal bins a unit."


def _tried(make: Any) -> tuple[Any, str]:
    """What is made, or None and why it cannot be."""
    try:
        return make(), ""
    except InputError as error:
        return None, f"{str(error)[0].upper()}{str(error)[1:]}."


def _plane(rec: Recording, measure: Measure) -> xr.Dataset:
    from flowplane.analysis.plane import information_plane

    return information_plane(rec, measure)


def _known(metrics: xr.Dataset) -> xr.Dataset | None:
    """The metrics that have a value somewhere."""
    names = [name for name in metrics.data_vars if np.isfinite(metrics[name].values).any()]
    return metrics[names] if names else None


def _phases(rec: Recording, plane: xr.Dataset | None) -> xr.Dataset:
    from flowplane.analysis.phases import gradient_phases

    return gradient_phases(rec)


def _transport(rec: Recording) -> xr.Dataset:
    from flowplane.analysis.moving import layer_transport

    return layer_transport(rec)


def _about(rec: Recording) -> str:
    task, networks = rec.task, count(len(rec.replicas), "network")
    shape = f"{rec.architecture} {rec.activation}".strip()
    seen = f"on the task “{task.name}”" if rec.kind == "ensemble" else "a model of your own"
    said = f"{networks[0].upper()}{networks[1:]}, {shape}, {seen}, seen at {count(len(task.inputs), 'input')} and at "
    said += f"{count(len(rec.epochs), 'snapshot')} from epoch {int(rec.epochs.min()):,} to {int(rec.epochs.max()):,}."
    labels = str(rec.attrs.get("labels", ""))
    if labels.startswith("targets"):
        said += f" What they are to learn are numbers: labels here are {labels}."
    information = getattr(task, "information", float("nan"))
    if np.isfinite(information):
        said += (
            f" The inputs hold {number(task.input_entropy, 'bits')}, of which {number(information, 'bits')} tell the label."
        )
    return said
