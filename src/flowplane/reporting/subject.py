"""What one column of a report is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import xarray as xr

from flowplane.core.results import quantities, said
from flowplane.experiments.claim import Claim

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from flowplane.plot.page.drawing import Drawn

__all__ = ["Measured", "Subject", "readable"]

#: Names of columns, and rows.
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
#: Channels that a caption names one by one.
MOST_CHANNELS = 4


@dataclass(frozen=True)
class Measured:
    """What was measured of a flow, None where it cannot be: over time, what it spends, how many steps it needs, and where it
    takes its density or samples."""

    dimension: int
    profile: xr.Dataset | None = None
    budget: xr.Dataset | None = None
    steps: xr.Dataset | None = None
    history: xr.Dataset | None = None
    samples: xr.Dataset | None = None


@dataclass(frozen=True)
class Subject:
    """A recording, a flow, or what an experiment found: the Datasets, figures and claims to be shown, None or empty
    where there is none, and why."""

    #: What the column is called.
    title: str
    #: What was recorded or run, a sentence.
    about: str
    #: At one resolution, where it was read at several.
    plane: xr.Dataset | None = None
    metrics: xr.Dataset | None = None
    phases: xr.Dataset | None = None
    transport: xr.Dataset | None = None
    #: Further figures, of an experiment.
    figures: dict[str, go.Figure | Drawn] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    #: Sentences that a section says besides what its numbers say: why it is empty, what was left out.
    notes: dict[str, list[str]] = field(default_factory=dict)
    #: Where everything comes from: name and value.
    facts: dict[str, str] = field(default_factory=dict)
    #: Of a model: its layers, a row each, and what ran but was not recorded; columns and rows.
    layers: Table = ((), ())
    left_out: Table = ((), ())
    #: The plane at all resolutions, and by layer and resolution whether it compresses; None where it has one channel.
    resolved: xr.Dataset | None = None
    falls: xr.Dataset | None = None
    geometry: xr.Dataset | None = None
    #: Names of the layers of which no parameter moves.
    idle: tuple[str, ...] = ()
    #: What points spend in the residual stream, where there is one.
    stream: xr.Dataset | None = None
    #: How hard the layers are to denoise, where that was asked for.
    spectrum: xr.Dataset | None = None
    #: Of a flow.
    flow: Measured | None = None
    #: The lines that reproduce it.
    recipe: str = ""


def readable(plane: xr.Dataset) -> xr.Dataset:
    """The same plane; where the layers have many channels, its attribute names the first two and how many there are."""
    shown = plane.copy()
    for name in quantities(plane):
        channels = said(plane, name, "channel").split("; ")
        if len(channels) > MOST_CHANNELS:
            shown[name].attrs["channel"] = f"{'; '.join(channels[:2])}; … ({len(channels)} different ones)"
    return shown
