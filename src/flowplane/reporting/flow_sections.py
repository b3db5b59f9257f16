"""The sections of a report on a flow."""

from __future__ import annotations

import plotly.graph_objects as go
import xarray as xr

from flowplane.analysis.explaining import flag_words, raised_flags
from flowplane.core.results import with_flags
from flowplane.errors import InputError
from flowplane.reporting.flow_words import cost_words, movement_words, step_words, straight_words
from flowplane.reporting.markup import Markup, element, joined, listed, paragraphs, table
from flowplane.reporting.subject import Measured, Subject

__all__ = ["FLOW_SECTIONS", "flow_figures", "flow_text"]

FLOW_SECTIONS = ("summary", "movement", "cost", "steps", "validity")


def flow_text(section: str, subject: Subject, flow: Measured) -> Markup:
    """Words and tables of a section."""
    notes = subject.notes.get(section, [])
    if section == "summary":
        return _summary(subject, flow)
    if section == "movement":
        return paragraphs([*movement_words(flow.budget, flow.profile), *notes])
    if section == "cost":
        return paragraphs([*straight_words(flow.budget), *cost_words(flow.budget), *notes])
    if section == "steps":
        return paragraphs([*step_words(flow.steps), *notes])
    return _validity(flow, notes)


def flow_figures(section: str, flow: Measured) -> dict[str, go.Figure]:
    """The figures of a section by name."""
    from flowplane import plot

    draw = {
        "movement": (
            ("flow-history", flow.history, plot.flow_history),
            ("flow-samples", flow.samples, plot.flow_samples),
            ("flow-profile", flow.profile, plot.flow_profile),
        ),
        "cost": (("budget", flow.budget, plot.budget),),
        "steps": (("steps", flow.steps, plot.steps),),
    }
    figures: dict[str, go.Figure] = {}
    for name, found, make in draw.get(section, ()):
        try:
            if found is not None:
                figures[name] = make(found)
        except InputError:  # nothing in it is finite
            continue
    return figures


def _summary(subject: Subject, flow: Measured) -> Markup:
    missing = [element("p", sentence, class_="caution") for sentence in subject.notes.get("summary", []) if sentence]
    sentences = [
        *movement_words(flow.budget, flow.profile)[:2],
        *straight_words(flow.budget),
        *cost_words(flow.budget)[:2],
        *step_words(flow.steps)[:1],
    ]
    findings = element("ul", *(element("li", sentence) for sentence in sentences), class_="findings") if sentences else ""
    return joined(paragraphs([subject.about]), *missing, findings)


def _validity(flow: Measured, notes: list[str]) -> Markup:
    """Every flag raised, and what it means."""
    found = [with_flags(dataset) for dataset in (flow.profile, flow.budget, flow.steps) if dataset is not None]
    rows = [row for dataset in found for row in _flag_rows(dataset)]
    if not found:
        return paragraphs(["Nothing was measured of this flow, so nothing can be trusted or doubted.", *notes])
    said = "" if rows else "No validity warnings."
    head = ["flag", "concerns", "what it means", "what to do"]
    return joined(paragraphs([said, *notes]), table("Numbers in doubt", head, rows) if rows else "")


def _flag_rows(dataset: xr.Dataset) -> list[list[str]]:
    words = flag_words(dataset) if "flags" in dataset else {}
    return [
        [
            name.replace("_", " "),
            listed([quantity.replace("_", " ") for quantity in concerned]),
            f"{words[name].meaning[:1].upper()}{words[name].meaning[1:]}.",
            words[name].advice,
        ]
        for name, (_, concerned) in raised_flags(dataset).items()
    ]
