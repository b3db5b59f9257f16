"""A flow, measured for a report."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import shorten
from typing import Any

import numpy as np
import xarray as xr

from flowplane.errors import InputError
from flowplane.plot.filmstrip import MOST, image_shape
from flowplane.reporting.flow_numbers import few
from flowplane.reporting.flow_words import path_words
from flowplane.reporting.markup import count
from flowplane.reporting.provenance import versions
from flowplane.reporting.reasons import reason
from flowplane.reporting.subject import Measured, Subject
from flowplane.transport import LearnedVelocity, TransportMap, flow_history, flow_samples

__all__ = ["PARTS", "of_flow"]

#: What is measured of a flow: one step of progress each.
PARTS = 4
#: Times that are shown, and particles that a page draws.
MOMENTS, DRAWN = 11, 200
#: Most letters in the description of a flow.
LETTERS = 300
#: Grid points per dimension.
GRID = {1: 161, 2: 41}
#: Particles that are measured, at most and at least; between the two their numbers together do not pass NUMBERS.
PARTICLES, FEWEST, NUMBERS = 1000, 100, 200_000
#: Dimensions up to which entropy and its rate are followed over time.
WIDE = 1000

NO_SOURCE = (
    "This flow does not know the density that it moves, so no particle can be drawn from it: what moves, how straight, what "
    "it costs and how many steps are enough cannot be shown. Give it one, source=…, when it is made."
)
FEW = (
    "W_2 and the optimality over time are those between the same few particles, which lie too far apart to be paired: both "
    "come out too large, the optimality near 1 whatever the flow does."
)
TOO_WIDE = f"In more than {WIDE:,} dimensions this page does not follow variance, entropy and W_2 over time."
LAYERS = (
    "This flow is made of layers, each of which is one step already: there is no velocity field to integrate in fewer steps."
)


def of_flow(flow: TransportMap, title: str, advance: Callable[[float], None] = lambda amount: None) -> Subject:
    """Measure a flow: what moves over time, what it spends, how many steps it needs, and where it takes its samples.

    Arguments:
        title: what the report calls it.
        advance: called with 1 for each of `PARTS` that is done, or cannot be.
    """
    attrs = flow.about()[1]
    called = shorten(repr(flow), LETTERS, placeholder=" …")
    facts = _facts(flow, called, attrs)
    recipe = f'import flowplane as fp\nflow = …  # {called}\nfp.report(flow, "report.html")'
    # a velocity trained here follows the path of its pairs, which is not a Gaussian one
    path = "" if isinstance(flow, LearnedVelocity) else path_words(attrs)
    about = f"A flow in {count(flow.dimension, 'dimension')}: {called}. {path}".rstrip()
    nothing = Measured(flow.dimension)
    if flow.source is None:
        advance(PARTS)
        return Subject(
            title, about, notes={"summary": [NO_SOURCE]}, facts=facts | versions(None), flow=nothing, recipe=recipe
        )
    particles = int(np.clip(NUMBERS // flow.dimension, FEWEST, PARTICLES))
    times = np.linspace(0.0, flow.time, MOMENTS)
    notes: dict[str, list[str]] = {"movement": [], "cost": [], "steps": []}

    def tried(section: str, make: Callable[[], xr.Dataset]) -> xr.Dataset | None:
        try:
            return make()
        except InputError as error:
            notes[section].append(f"Part of this cannot be shown. {reason(section, error)}")
            return None
        finally:
            advance(1)

    profile = tried("movement", lambda: flow.profile(particles, times)) if flow.dimension <= WIDE else None
    if flow.dimension > WIDE:
        advance(1)
        notes["movement"].append(TOO_WIDE)
    elif profile is not None:
        notes["movement"] += _missing(flow, profile)
    budget = tried("cost", lambda: flow.budget(particles))
    steps = tried("steps", lambda: flow.steps(particles)) if flow.continuous else None
    if not flow.continuous:
        advance(1)
        notes["steps"].append(LAYERS)
    if few(budget, "transport") and profile is not None:
        notes["movement"].append(FEW)
    history, samples = _seen(flow, times, tried)
    found = Measured(flow.dimension, profile, budget, steps, history, samples)
    facts |= {"particles": f"{particles:,}, seed 0"}
    return Subject(title, about, notes=notes, facts=facts | versions(None), flow=found, recipe=recipe)


def _seen(
    flow: TransportMap, times: np.ndarray, tried: Callable[..., xr.Dataset | None]
) -> tuple[xr.Dataset | None, xr.Dataset | None]:
    """The field up to two dimensions, and samples where there are more, or where the field cannot be shown."""
    if flow.dimension in GRID:
        points = GRID[flow.dimension]
        history = tried("movement", lambda: flow_history(flow, DRAWN, times=times, points=points))
        if history is not None:
            return history, None
    image = image_shape(getattr(flow, "shape", (flow.dimension,))) is not None
    return None, tried("movement", lambda: flow_samples(flow, MOST if image else DRAWN, times=times))


def _missing(flow: TransportMap, profile: xr.Dataset) -> list[str]:
    """Why the profile has less than usual."""
    if flow.source is not None and not flow.source.has_density:
        return ["The source is a set of bare points, so neither an entropy nor a density can be given."]
    missing = str(profile.attrs.get("missing", ""))
    return [f"{missing[:1].upper()}{missing[1:]}."] if missing else []


def _facts(flow: TransportMap, called: str, attrs: dict[str, Any]) -> dict[str, str]:
    units = "" if flow.time_units == "1" else f" ({flow.time_units})"
    facts = {
        "flow": called,
        "source": "not known" if flow.source is None else repr(flow.source),
        "dimensions": f"{flow.dimension:,}",
        "time": f"from 0 to {flow.time:.6g}{units}",
    }
    names = {"path": "path of the model", "predicts": "what the model predicts"}
    known = () if isinstance(flow, LearnedVelocity) else names
    return facts | {names[name]: str(attrs[name]) for name in known if name in attrs}
