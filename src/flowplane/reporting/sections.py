"""The sections of a report: which figures, tables and sentences stand in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.analysis.explaining import estimate_words
from flowplane.core.results import Flags, said
from flowplane.errors import InputError
from flowplane.reporting.denoised import saturation_words, spectrum_words
from flowplane.reporting.flow_sections import FLOW_SECTIONS, flow_figures, flow_text
from flowplane.reporting.gradients import gradient_words, idle_words
from flowplane.reporting.layers import SILENT, LayerNumbers, counts, layer_numbers, layers_called
from flowplane.reporting.markup import Markup, count, element, joined, paragraphs, table
from flowplane.reporting.moves import move_words, moves_by_layer, transport_flags
from flowplane.reporting.provenance import CITATIONS
from flowplane.reporting.stream_words import stream_words
from flowplane.reporting.subject import Subject, readable
from flowplane.reporting.tables import claims_rows, layer_table, validity_table
from flowplane.reporting.training import learning_words, training_words
from flowplane.reporting.words import claim_words, decodable_words, geometry_words, plane_words, summary_words

__all__ = ["SECTIONS", "citations", "figures_of", "layers_of", "shared_figures", "text_of"]

#: Rows of what was left out that are listed.
MOST_LEFT_OUT = 100
#: Anchor: short name and heading, in the order of the page.
SECTIONS = {
    "summary": ("Summary", "Summary"),
    "movement": ("Movement", "Movement: what moves, and where it goes"),
    "cost": ("Cost", "Cost: how straight the paths are, and what they cost"),
    "steps": ("Steps", "Steps: how many are enough"),
    "plane": ("Plane", "Information plane: what the layers know"),
    "geometry": ("Geometry", "Geometry: how the layers lay out their points"),
    "training": ("Training", "Training"),
    "gradients": ("Gradients", "Gradient phases"),
    "transport": ("Transport", "Transport: how the layers move the data"),
    "stream": ("Residual stream", "Residual stream: what the path through the blocks costs"),
    "figures": ("Figures", "Further figures of the experiment"),
    "layers": ("Layers", "Layers: what was recorded, and what was not"),
    "validity": ("Validity", "Validity: how far the numbers can be trusted"),
    "claims": ("Claims", "Claims"),
    "provenance": ("Provenance", "Provenance"),
}


def layers_of(subject: Subject) -> list[LayerNumbers]:
    """The numbers of each layer; none without a plane."""
    return [] if subject.plane is None else layer_numbers(subject.plane, subject.falls)


def text_of(section: str, subject: Subject, layers: list[LayerNumbers]) -> Markup:
    """Words and tables of a section; empty where the subject has nothing to say in it."""
    notes = subject.notes.get(section, [])
    if section in FLOW_SECTIONS and subject.flow is not None:
        return flow_text(section, subject, subject.flow)
    if section == "summary":
        return _summary(subject, layers)
    if section == "plane":
        return _plane(subject, layers, notes)
    if section == "geometry" and subject.geometry is not None:
        return paragraphs([*geometry_words(subject.geometry), *notes])
    if section == "training" and subject.metrics is not None:
        return paragraphs([*training_words(subject.metrics), *notes])
    if section == "gradients" and subject.phases is not None:
        return paragraphs([*gradient_words(subject.phases, subject.idle), *_idle(subject), *notes])
    if section == "transport" and subject.transport is not None:
        return paragraphs([*move_words(subject.transport), *notes])
    if section == "stream" and subject.stream is not None:
        return paragraphs([*stream_words(subject.stream), *notes])
    if section == "layers":
        return _layers(subject)
    if section == "validity":
        return _validity(subject, layers)
    if section == "claims":
        return joined(paragraphs(claim_words(subject.claims)), claims_rows(subject.claims)) if subject.claims else Markup("")
    if section == "provenance":
        return _provenance(subject)
    return paragraphs(notes)


def _plane(subject: Subject, layers: list[LayerNumbers], notes: list[str]) -> Markup:
    """What the plane says, and denoising beside it."""
    plane, told, full = subject.plane, [], []
    if plane is not None:
        told = [*plane_words(layers, plane["epoch"].values), *decodable_words(plane)]
        if subject.resolved is not None and said(plane, "i_xt", "estimator") == "Pairwise":
            most = float(plane.attrs.get("input_entropy", np.nan))
            full = saturation_words(layers, most, float(plane["resolution"]))
    spectrum = [] if subject.spectrum is None else spectrum_words(subject.spectrum) + subject.notes.get("denoising", [])
    return joined(*(paragraphs(part) for part in ([*told, *notes], full, spectrum)))


def figures_of(section: str, subject: Subject) -> dict[str, go.Figure]:
    """The figures of a section by name; a Dataset with nothing to draw has none."""
    from flowplane import plot

    if subject.flow is not None:
        return flow_figures(section, subject.flow)
    draw: dict[str, tuple[xr.Dataset | None, Callable[[xr.Dataset], dict[str, go.Figure]]]] = {
        "plane": (subject.plane if subject.resolved is None else subject.resolved, _plane_figures),
        "training": (subject.metrics, lambda found: {"training-curves": plot.metrics(found)}),
        "geometry": (subject.geometry, lambda found: {"layer-geometry": plot.layer_geometry(found)}),
        "gradients": (subject.phases, _gradient_figures),
        "transport": (subject.transport, _transport_figures),
        "stream": (subject.stream, lambda found: {"layer-budget": plot.layer_budget(found)}),
    }
    found, make = draw.get(section, (None, _plane_figures))
    figures = _made(found, make)
    if section == "plane":
        figures |= _made(subject.spectrum, lambda found: {"denoising-spectrum": plot.denoising_spectrum(found)})
    return figures


def shared_figures(section: str, subjects: Sequence[Subject]) -> dict[str, go.Figure]:
    """Figures that several subjects share, by the name of the figure that they replace in each: training curves."""
    from flowplane import plot

    known = {subject.title: subject.metrics for subject in subjects if subject.metrics is not None}
    if section != "training" or len(known) < 2:
        return {}
    try:
        return {"training-curves": plot.metrics(known)}
    except InputError:  # nothing in it is finite
        return {}


def _made(found: xr.Dataset | None, make: Callable[[xr.Dataset], dict[str, go.Figure]]) -> dict[str, go.Figure]:
    """The figures of a Dataset; none where there is nothing to draw."""
    if found is None:
        return {}
    try:
        return make(readable(found))
    except InputError:
        return {}


def _plane_figures(plane: xr.Dataset) -> dict[str, go.Figure]:
    from flowplane import plot

    try:
        figures = {"information-plane": plot.information_plane(plane)}
    except InputError:  # without labels no point is finite
        figures = {"input-information": plot.input_information(plane)}
    for name, draw in (("decodable-depth", plot.decodable_depth), ("resolution-curves", plot.resolution_curves)):
        try:
            figures[name] = draw(plane)
        except InputError:  # of a plane with one channel, or without labels
            continue
    return figures


def _gradient_figures(found: xr.Dataset) -> dict[str, go.Figure]:
    """Of the layers that have parameters."""
    from flowplane import plot

    known = np.isfinite(found["gradient_mean"].transpose("replica", "epoch", "layer").values).any(axis=(0, 1))
    return {"gradient-phases": plot.gradient_phases(found.isel(layer=np.flatnonzero(known)))} if known.any() else {}


def _transport_figures(found: xr.Dataset) -> dict[str, go.Figure]:
    from flowplane import plot

    return {"transport-profile": plot.layer_transport(found), "layer-similarity": plot.layer_similarity(found)}


def _summary(subject: Subject, layers: list[LayerNumbers]) -> Markup:
    broken = [sentence for sentence in subject.notes.get("summary", []) if sentence]
    about = joined(*(element("p", sentence, class_="caution") for sentence in broken), paragraphs([subject.about]))
    if subject.plane is None:
        return joined(about, paragraphs(claim_words(subject.claims) if subject.claims else []))
    attrs = subject.plane.attrs
    inputs, labels = (float(attrs.get(name, float("nan"))) for name in ("input_entropy", "label_information"))
    moves = moves_by_layer(subject.transport)
    bounds = {name: said(subject.plane, name, "bound") or "estimate" for name in ("i_xt", "i_ty")}
    single = subject.plane.sizes["epoch"] < 2
    end = f"At epoch {int(subject.plane['epoch'].max()):,}" if single or broken else ""
    resolution = float(subject.plane.coords.get("resolution", np.nan)) if subject.resolved is not None else np.nan
    rows = layer_table(layers, moves, subject.plane.sizes["replica"], bounds, single, resolution)
    claims = claim_words(subject.claims) if subject.claims else []
    *known, trusted = summary_words(layers, inputs, labels, bounds, single, end, resolution)
    sentences = [
        *known,
        *([] if subject.metrics is None else learning_words(subject.metrics)),
        *decodable_words(subject.plane),
        *_idle(subject),
        *move_words(subject.transport)[:2],
        trusted,
        *claims,
    ]
    findings = element("ul", *(element("li", sentence) for sentence in sentences if sentence), class_="findings")
    return joined(about, findings, rows)


def _idle(subject: Subject) -> list[str]:
    """Layers of which no parameter moves, in a sentence."""
    if subject.phases is None:
        return []
    names = dict(zip(subject.phases["layer"].values.tolist(), layers_called(subject.phases), strict=True))
    return idle_words([names[name] for name in subject.idle])


def _layers(subject: Subject) -> Markup:
    """Each layer and how it became rows; what ran but was left out, and why."""
    head, rows = subject.layers
    if not rows:
        return Markup("")
    taken = table("Layers that were recorded, in the order in which they end", head, rows, class_="facts")
    names, others = subject.left_out
    if not others:
        return taken
    shown = others[:MOST_LEFT_OUT]
    more = [f"{len(others) - len(shown)} more are in `rec.left_out`."] if len(others) > len(shown) else []
    left = table("What ran but was not recorded", names, shown, class_="facts")
    ran = f"{count(len(others), 'module or function', 'modules and functions')} not recorded"
    return joined(taken, element("details", element("summary", ran), left, paragraphs(more)))


def _validity(subject: Subject, layers: list[LayerNumbers]) -> Markup:
    """Every flag raised, of the information and of the transport."""
    moved = transport_flags(subject.transport)
    notes = paragraphs(subject.notes.get("validity", []))
    if subject.plane is None or "flags" not in subject.plane:
        return joined(paragraphs(["Information was not estimated."]), notes, moved)

    about = " ".join(estimate_words(readable(subject.plane)))
    raised = Flags.raised(subject.plane["flags"])
    counted = [where.values for name, where in raised.items() if counts(subject.plane, name) and name not in SILENT]
    flagged, total = int(np.any(counted, axis=0).sum()), subject.plane["flags"].size
    told = f"{flagged:,} of {total:,} values (one for each replica, epoch and layer) carry a validity warning."
    if not flagged:
        far = any(layer.far for layer in layers)
        told = "No flag is raised, but bounds lie far apart." if far else "No validity warnings."
    return joined(paragraphs([told, about]), notes, validity_table(subject.plane, layers), moved)


def _provenance(subject: Subject) -> Markup:
    rows = [[name, value] for name, value in subject.facts.items()]
    facts = element(
        "details",
        element("summary", "Settings and versions"),
        table("Settings and versions", ["what", "value"], rows, class_="facts"),
        open="",
    )
    lines = element("pre", element("code", subject.recipe), tabindex="0", aria_label="Code that makes this page again")
    recipe = joined(element("h3", "To reproduce this page"), lines) if subject.recipe else Markup("")
    return joined(facts, recipe)


def citations() -> Markup:
    """How to cite what a report shows."""
    return joined(element("h3", "How to cite"), element("ul", *(element("li", text) for text in CITATIONS)))
