"""What one column of a report is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import xarray as xr

from flowplane.experiments.claim import Claim

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Subject", "harmless"]


@dataclass(frozen=True)
class Subject:
    """A recording, or what an experiment found: the Datasets, figures and claims to be shown, None or empty where there is
    none, and why."""

    #: What the column is called.
    title: str
    #: What was recorded or run, a sentence.
    about: str
    plane: xr.Dataset | None = None
    metrics: xr.Dataset | None = None
    phases: xr.Dataset | None = None
    transport: xr.Dataset | None = None
    #: Further figures, of an experiment.
    figures: dict[str, go.Figure] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    #: Sentences that a section says besides what its numbers say: why it is empty, what was left out.
    notes: dict[str, list[str]] = field(default_factory=dict)
    #: Where everything comes from: name and value.
    facts: dict[str, str] = field(default_factory=dict)
    #: The lines that reproduce it.
    recipe: str = ""


def harmless(dataset: xr.Dataset) -> xr.Dataset:
    """The same Dataset with all texts that a figure may show escaped: Plotly takes `<b>` in a name for a tag.

    Example:
        >>> plane = xr.Dataset({"i_xt": ("layer", [1.0])}, {"layer": ["<b>1"]}, {"task": "a & b"})
        >>> harmless(plane).layer.item(), harmless(plane).attrs["task"]
        ('&lt;b&gt;1', 'a &amp; b')
    """
    texts = {
        name: (coordinate.dims, [_escaped(value) for value in coordinate.values.ravel().tolist()])
        for name, coordinate in dataset.coords.items()
        if coordinate.dtype.kind in "UOT" and coordinate.ndim == 1
    }
    attrs = {name: _escaped(value) for name, value in dataset.attrs.items()}
    renamed = {name: _escaped(name) for name in map(str, dataset.data_vars) if _escaped(name) != name}
    return dataset.assign_coords(texts).assign_attrs(attrs).rename(renamed)


def _escaped(value: object) -> object:
    # quotes stay: attributes that hold JSON are read again by the figures
    return escape(value, quote=False) if isinstance(value, str) else value
