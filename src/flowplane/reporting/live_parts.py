"""The parts of a live page: what is computed of a recording for each, and what stands in it for all runs together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.analysis.phases import gradient_phases
from flowplane.analysis.reading import reading
from flowplane.core.executors import Serial
from flowplane.core.results import said
from flowplane.errors import InputError
from flowplane.information.decodable import Decodable
from flowplane.information.resolution import shown as shown_at
from flowplane.plot.names import escaped
from flowplane.plot.page.document import figure_block
from flowplane.plot.page.drawing import drawn
from flowplane.recording import Recording
from flowplane.reporting.finite import finite_part
from flowplane.reporting.layers import layer_numbers
from flowplane.reporting.markup import Markup, count, element, joined, paragraphs, table
from flowplane.reporting.reasons import known_reason
from flowplane.reporting.sections import figures_of
from flowplane.reporting.subject import Subject
from flowplane.reporting.tables import layer_table, validity_table
from flowplane.reporting.thinning import small_part

__all__ = ["COMPUTED", "PARTS", "Found", "NobodyWatchesError", "While", "compute", "curves", "drawn_part"]

#: The parts of the page in their order, and the analyses behind them that take longer than a moment, the quickest first.
PARTS = {
    "curves": "Training curves",
    "plane": "Information plane",
    "decodable": "Decodable bits by depth",
    "gradients": "Gradient phases",
    "layers": "Layers",
}
COMPUTED = ("gradients", "plane", "decodable")
#: Layers times snapshots that are measured before what was found is kept; snapshots at which an ensemble is decoded.
PIECE, DECODED = 20, 8
NO_METRICS = "No loss or other number was given while it was recorded."
NOTHING_DECODED = "No classes were given as labels, or no activations were kept: there is nothing to decode."
NOT_SHOWN = "This cannot be shown for this recording."
NOT_READ = "The recording could not be read to its end; the page tries again at its next snapshot."


class Found(NamedTuple):
    """What was computed of a recording, None where it cannot be, and a sentence beside it."""

    data: xr.Dataset | None
    note: str = ""


class NobodyWatchesError(Exception):
    """The page was closed, or nobody looks at it: what is being computed is not needed."""


class While(Serial):
    """Does what there is to do here, one after the other, as long as somebody looks.

    Arguments:
        watched: whether somebody does.
    """

    def __init__(self, watched: Callable[[], bool]) -> None:
        self._watched = watched

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.check()
            yield function(item)

    def check(self) -> None:
        """Raise NobodyWatchesError where nobody looks any more."""
        if not self._watched():
            raise NobodyWatchesError


# -- what is computed -------------------------------------------------------------------------------------------------


def curves(rec: Recording) -> xr.Dataset:
    """The metrics, read in a moment."""
    return rec.metrics.load()


def compute(part: str, rec: Recording, executor: While, before: Found | None, plane: Found | None) -> Found:
    """One of `COMPUTED`, of a recording at its newest commit.

    Arguments:
        before: the same at an earlier commit.
        plane: the newest plane.
    """
    analyses = {"plane": _plane, "decodable": _decodable, "gradients": _gradients}
    earlier = None if before is None else before.data
    try:
        return _finite(rec, lambda shown: analyses[part](shown, executor, earlier, plane))
    except InputError as error:
        if error.argument == "path":
            return Found(earlier, NOT_READ)
        return Found(None, known_reason(part, error) or (NOTHING_DECODED if part == "decodable" else NOT_SHOWN))
    except NobodyWatchesError:
        raise
    except Exception:  # deleted or overwritten meanwhile; what went wrong does not matter to the page's reader
        return Found(earlier, NOT_READ)


def _finite(rec: Recording, analyse: Callable[[Recording], Found]) -> Found:
    """What an analysis finds; where training diverged, of what came before."""
    try:
        return analyse(rec)
    except InputError as error:
        if error.argument != "activations":
            raise
        shown, note = finite_part(rec)
        if shown is None or not note:
            raise
        found = analyse(shown)
        return found._replace(note=" ".join(filter(None, [found.note, note])))


def _plane(rec: Recording, executor: While, earlier: xr.Dataset | None, plane: Found | None) -> Found:
    part, note = small_part(rec)
    return Found(_gradually(part, earlier, executor, lambda few: reading(few, cluster=executor).plane), note)


def _decodable(rec: Recording, executor: While, earlier: xr.Dataset | None, plane: Found | None) -> Found:
    """A model's plane holds it; for an ensemble the first replica is decoded, at a few snapshots."""
    if plane is not None and plane.data is not None and said(plane.data, "i_ty", "estimator") == "Decodable":
        return plane
    part, note = small_part(rec, DECODED, 1)
    return Found(_gradually(part, earlier, executor, lambda few: few.measure(Decodable(), cluster=executor)), note)


def _gradients(rec: Recording, executor: While, earlier: xr.Dataset | None, plane: Found | None) -> Found:
    part, note = small_part(rec)
    return Found(gradient_phases(part), note)


def _gradually(
    rec: Recording, earlier: xr.Dataset | None, executor: While, analyse: Callable[[Recording], xr.Dataset]
) -> xr.Dataset:
    """What an analysis finds at all snapshots. Many new ones are measured a few at a time, where a cache keeps what was
    found, so that little is lost and little waited for when the page is closed."""
    known = set() if earlier is None else set(earlier["epoch"].values.tolist())
    new = [epoch for epoch in rec.epochs.tolist() if epoch not in known]
    size = max(1, PIECE // len(rec.layers))
    if len(new) > size and rec.path is not None and os.access(rec.path, os.W_OK):
        for first in range(0, len(new), size):
            executor.check()
            analyse(rec.sel(epoch=new[first : first + size]))
    return analyse(rec)


# -- what stands in the page ------------------------------------------------------------------------------------------


def drawn_part(part: str, found: Mapping[str, Found], recordings: Mapping[str, Recording]) -> tuple[Markup, dict[str, Any]]:
    """Words, tables and figures of a part, and what Plotly is given, by the names of figures.

    Arguments:
        found: by the titles of runs what was computed for the part; for the layers, the planes.
        recordings: by the titles of runs.
    """
    if part == "layers":
        return _layers(found, recordings), {}
    several = len(recordings) > 1
    data = {title: each.data for title, each in found.items() if each.data is not None}
    figures = _figures(part, data) if data else {}
    notes = [(title, each.note) for title, each in found.items() if each.note]
    if not figures and not notes:
        notes = [(title, _absent(part)) for title in found]
    words = [element("p", f"{title}: {note}" if several else note) for title, note in notes]
    ready = [drawn(name, figure) for name, figure in figures.items()]
    markup = [figure_block(each, whose=next(iter(data)) if len(data) == 1 else count(len(data), "run")) for each in ready]
    return joined(*markup, *words), {each.name: each.content for each in ready}


def _absent(part: str) -> str:
    return {"curves": NO_METRICS, "decodable": NOTHING_DECODED}.get(part, NOT_SHOWN)


def _figures(part: str, data: Mapping[str, xr.Dataset]) -> dict[str, go.Figure]:
    """The figures of a part by name; none where there is nothing to draw."""
    from flowplane import plot

    one = next(iter(data.values())) if len(data) == 1 else None
    if part == "gradients":
        return {
            f"gradient-phases-{place}" if one is None else "gradient-phases": figure.update_layout(
                title_text=escaped(f"{figure.layout.title.text}: {title}") if one is None else figure.layout.title.text
            )
            for place, (title, found) in enumerate(data.items())
            for figure in figures_of("gradients", Subject(title, "", phases=found)).values()
        }
    if part == "plane" and one is not None:
        named = {"information-plane": plot.information_plane, "input-information": plot.input_information}
        for name, draw in named.items():
            try:
                return {name: draw(one)}
            except InputError:  # without labels no point is finite
                continue
        return {}
    if part == "plane":
        planes = {escaped(title): shown_at(plane) for title, plane in data.items() if _has_points(plane)}
        return {"information-planes": plot.information_planes(planes)} if planes else {}
    draw, name = {"curves": (plot.metrics, "training-curves"), "decodable": (plot.decodable_depth, "decodable-depth")}[part]
    drawable = {}
    for title, found in data.items():
        try:
            draw(found)
        except InputError:  # a run with nothing to draw
            continue
        drawable[title] = found
    if not drawable:
        return {}
    return {name: draw(drawable if len(drawable) > 1 else next(iter(drawable.values())))}


def _has_points(plane: xr.Dataset) -> bool:
    return bool((np.isfinite(plane["i_xt"]) & np.isfinite(plane["i_ty"])).any())


def _layers(found: Mapping[str, Found], recordings: Mapping[str, Recording]) -> Markup:
    """Layer by layer, what is known as soon as it is."""
    parts: list[Any] = []
    meanings: list[Any] = []
    for title, rec in recordings.items():
        parts.append(element("h3", title) if len(recordings) > 1 else "")
        plane = found[title].data if title in found else None
        if plane is None:
            here = rec.layer_coordinates()
            rows = [[name, here["layer_type"][1][k], f"{here['width'][1][k]:,}"] for k, name in enumerate(here["layer"][1])]
            parts.append(table("Layers, in the order in which they compute", ["layer", "type", "units"], rows))
            continue
        at = shown_at(plane)
        bounds = {name: said(at, name, "bound") or "estimate" for name in ("i_xt", "i_ty")}
        resolution = float(at["resolution"]) if "resolution" in plane.dims else float("nan")
        numbers = layer_numbers(at)
        parts.append(layer_table(numbers, {}, at.sizes["replica"], bounds, at.sizes["epoch"] < 2, resolution))
        parts.append(paragraphs([f"As at epoch {int(at['epoch'].max()):,}."]))
        meanings.append(validity_table(at, numbers))
    if any(meanings):
        said_of_flags = element("details", element("summary", "What the flags mean"), *meanings)
        parts.append(element("div", said_of_flags, id="validity"))
    return joined(*parts)
