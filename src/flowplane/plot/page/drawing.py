"""Plotly figures made ready for a page: no fixed width, one control of the epochs, layouts for wide and narrow places."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from re import sub
from typing import Any

import numpy as np
import plotly.graph_objects as go

from flowplane.plot.page.columns import columns_of, panels_of, plain, sentence
from flowplane.plot.page.narrow import narrow_layout, panels_across
from flowplane.plot.page.numbers import is_numeric, values_of, written
from flowplane.plot.style import WRAP
from flowplane.plot.thinning import kept_rows

__all__ = ["SLIDER", "Drawn", "drawn", "figure_of", "share_ranges"]

#: Pixels that a panel needs to stand beside one other, or several.
PAIRED, PANEL = 310, 250
#: Points that a trace drawn by WebGL keeps as SVG.
POINTS = 6_000
#: Pixels that slider and buttons took below the axes.
SLIDER = 65
#: Pixels across a figure that does not say.
WIDTH = 900


@dataclass(frozen=True)
class Drawn:
    """A figure for the page: what stands around it, and what Plotly is given."""

    name: str
    #: title, subtitle, what it shows in a sentence, width and the pixels above the axes that a title takes, data, frames,
    #: wide, middle and narrow layouts, breakpoint, controls, choice, columns, panels: JSON-able.
    content: dict[str, Any]


def drawn(name: str, figure: go.Figure | Drawn) -> Drawn:
    """Take a figure apart for the page: its title goes into the caption, its slider becomes the page's own.

    Traces drawn by WebGL are drawn as SVG, which prints and needs no code made at run time. A figure that was taken apart
    before, and read from its page, gets another name.
    """
    if isinstance(figure, Drawn):
        return Drawn(name, figure.content)
    parts = json.loads(figure.to_json())
    layout, data, frames = parts["layout"], parts["data"], parts.get("frames", [])
    title = layout.pop("title", {})
    layout.pop("template", None)
    controls, choice = _controls(layout, frames), _choice(layout)
    if controls:
        del layout["sliders"]
        layout.pop("updatemenus", None)
    height = int(layout.pop("height", None) or 450)
    width = int(layout.pop("width", None) or WIDTH)
    margin = layout.setdefault("margin", {})
    legend_above = layout.get("legend", {}).get("y", 0) > 1
    titles_above = any(_above(note) for note in layout.get("annotations", ()))
    top = 70 if legend_above and titles_above else 46 if legend_above or titles_above else 20
    saved = max(0, int(margin.get("t", 100)) - top)
    margin["t"] = int(margin.get("t", 100)) - saved
    below = SLIDER * (bool(controls) + bool(choice))
    margin["b"] = max(45, int(margin.get("b", 80)) - below)
    layout |= {"height": height - saved - below, "autosize": False, "template": BLANK}
    for trace in data:
        _without_webgl(trace)
    across, columns = panels_across(layout), columns_of(layout)
    content = {
        "title": plain(title.get("text")) or name,
        "subtitle": plain(sub(r"[;·\s]*<br>", "; ", str(title.get("subtitle", {}).get("text") or "").replace(WRAP, " "))),
        "sentence": sentence(data, columns),
        "width": width,
        "above": saved,
        "data": data,
        "frames": frames,
        "wide": layout,
        "middle": narrow_layout(layout, columns=2) if across > 2 else None,
        "narrow": narrow_layout(layout),
        "breakpoint": max(2 * PAIRED, PANEL * across),
        "controls": controls,
        "choice": choice,
        "columns": columns,
        "panels": panels_of(layout),
    }
    return Drawn(name, content)


def figure_of(ready: Drawn) -> go.Figure:
    """The figure again, under its title and as it is first shown, without sliders: for a still picture.

    Example:
        >>> figure = go.Figure(go.Scatter(y=[1, 2]), {"title": {"text": "A line"}})
        >>> figure_of(drawn("line", figure)).layout.title.text
        'A line'
    """
    content = ready.content
    layout, above = content["wide"], content["above"]
    title = {"text": escape(content["title"]), "x": 0.02, "xanchor": "left"}
    title["subtitle"] = {"text": escape(content["subtitle"]), "font": {"size": 12, "color": "#555"}}
    margin = layout["margin"] | {"t": layout["margin"]["t"] + above}
    whole = {"title": title, "margin": margin, "width": content["width"], "height": layout["height"] + above}
    return go.Figure(content["data"], layout | whole, skip_invalid=True)


#: Instead of a template of a thousand entries; what a figure says itself comes after it.
BLANK: dict[str, Any] = {
    "layout": {
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {"color": "#222222"},
        "xaxis": {"gridcolor": "#e6e6e6", "zerolinecolor": "#e6e6e6", "automargin": True, "title": {"standoff": 14}},
        "yaxis": {"gridcolor": "#e6e6e6", "zerolinecolor": "#e6e6e6", "automargin": True, "title": {"standoff": 10}},
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#888888", "font": {"color": "#222222"}},
        "annotationdefaults": {"arrowcolor": "#444444"},
    }
}


def _above(note: dict[str, Any]) -> bool:
    return note.get("yref") == "paper" and float(note.get("y", 0)) >= 0.999 and note.get("yanchor", "bottom") == "bottom"


def _controls(layout: dict[str, Any], frames: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The slider's frames and texts; None where no slider moves frames."""
    steps = [step for slider in layout.get("sliders", ())[:1] for step in slider["steps"]]
    if not steps or any(step.get("method") != "animate" for step in steps):
        return None
    points = {trace["type"] for frame in frames for trace in frame.get("data", ())} == {"scatter"}
    return {
        "frames": [step["args"][0][0] for step in steps],
        # lines and points move by themselves, which takes a tenth of the time that drawing everything anew does
        "redraw": not points or any("layout" in frame for frame in frames),
        **_slider(layout["sliders"][0]),
    }


def _choice(layout: dict[str, Any]) -> dict[str, Any] | None:
    """A second slider, which says which traces are seen."""
    return next(
        (
            {"visible": [step["args"][0]["visible"] for step in slider["steps"]], **_slider(slider)}
            for slider in layout.get("sliders", ())[1:]
        ),
        None,
    )


def _slider(slider: dict[str, Any]) -> dict[str, Any]:
    """What a slider says at each step, what that is, and where it stands first."""
    return {
        "labels": [str(step["label"]) for step in slider["steps"]],
        "prefix": str(slider.get("currentvalue", {}).get("prefix", "")).strip(" :=") or "frame",
        "active": int(slider.get("active", 0)),
    }


def _without_webgl(trace: dict[str, Any]) -> None:
    """Scattergl as scatter. Where there are more points than a page can draw quickly, some are kept, those that belong
    together whole: such as the layers of one replica at one epoch (`plot.thinning.columns`)."""
    if trace["type"] != "scattergl":
        return
    trace["type"] = "scatter"
    count = len(values_of(trace.get("x", [])))
    if count <= POINTS:
        return
    meta = trace.get("meta")
    together = max(map(len, meta["columns"].values())) if isinstance(meta, dict) and "columns" in meta else 1
    kept = np.arange(count).reshape(-1, together)[kept_rows(count // together, POINTS // together)].ravel()
    for owner, key in ((trace, "x"), (trace, "y"), (trace.get("marker", {}), "color")):
        if isinstance(owner.get(key), dict | list):
            owner[key] = written(values_of(owner[key])[kept])


def share_ranges(figures: list[Drawn]) -> None:
    """The same range on each axis that all of these figures have and call the same, and on their colours."""
    if len(figures) < 2:
        return
    axes = set.intersection(*({key for key in figure.content["wide"] if key[1:5] == "axis"} for figure in figures))
    for axis in sorted(axes):
        if len({_called(figure.content["wide"], axis) for figure in figures}) > 1:
            continue
        ranges = [_range(figure.content, axis) for figure in figures]
        known = [ends for ends in ranges if ends is not None]
        if len(known) == len(figures):
            both = [min(low for low, _ in known), max(high for _, high in known)]
            for figure in figures:
                for layout in _layouts(figure):
                    layout[axis] = {**layout.get(axis, {}), "range": both, "autorange": False}
    colors = [figure.content["wide"].get("coloraxis") for figure in figures]
    if all(color and "cmax" in color for color in colors):
        ends = {"cmin": min(color["cmin"] for color in colors), "cmax": max(color["cmax"] for color in colors)}
        bar = max(colors, key=lambda color: color["cmax"]).get("colorbar", {})
        ticks = {key: bar[key] for key in ("tickvals", "ticktext") if key in bar}
        for figure in figures:
            for layout in _layouts(figure):
                layout["coloraxis"] |= ends
                layout["coloraxis"]["colorbar"] = {**layout["coloraxis"].get("colorbar", {}), **ticks}


def _called(layout: dict[str, Any], axis: str) -> tuple[str, ...]:
    """An axis's title, and all that stand below panels: what is drawn against another time is not compared."""
    titles = {key: str((part.get("title") or {}).get("text") or "") for key, part in layout.items() if key[1:5] == "axis"}
    return titles[axis], *sorted({title for key, title in titles.items() if key[0] == "x" and title})


def _layouts(figure: Drawn) -> list[dict[str, Any]]:
    return [figure.content[name] for name in ("wide", "middle", "narrow") if figure.content[name]]


def _range(content: dict[str, Any], axis: str) -> tuple[float, float] | None:
    """What an axis shows: its own range, or that of the data on it with a margin; None for one without numbers."""
    layout = content["wide"][axis]
    if layout.get("range"):
        return tuple(layout["range"])
    letter, name = axis[0], axis[0] + axis[5:]
    values = [
        values_of(trace[letter])
        for trace in content["data"]
        if trace.get(f"{letter}axis", letter) == name and is_numeric(trace.get(letter))
    ]
    together = np.concatenate(values) if values else np.empty(0)
    if layout.get("type") == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            together = np.log10(together)
    together = together[np.isfinite(together)]
    if not len(together):
        return None
    low, high = float(together.min()), float(together.max())
    margin = 0.05 * (high - low) or 0.5
    return (0.0 if layout.get("rangemode") == "tozero" and low >= 0 else low - margin), high + margin
