"""What a figure's numbers are called, panel by panel: the columns of its table, and a sentence for screen readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import unescape
from re import fullmatch, sub
from typing import Any

import numpy as np

from flowplane.plot.page.numbers import values_of

__all__ = ["columns_of", "panels_of", "plain", "sentence"]

#: Pairs of axes, and names of curves, that a sentence lists at most.
MOST = 6
#: Digits below and above the line.
RAISED = {"sub": str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋"), "sup": str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")}
SCRIPT = {"sub": "_", "sup": "^"}


def plain(text: Any) -> str:
    """A figure's text as it is read: without Plotly's tags, entities as what they stand for.

    Example:
        >>> plain("<b>loss</b> &lt; 1"), plain("W<sub>2</sub> = 10<sup>-2</sup>"), plain("x<sub>l−1</sub>")
        ('loss < 1', 'W₂ = 10⁻²', 'x_l−1')
    """
    text = str((text.get("text") if isinstance(text, dict) else text) or "")
    text = sub(r"<(sub|sup)>([\d+-]*)</\1>", lambda found: found[2].translate(RAISED[found[1]]), text)
    text = sub(r"<(sub|sup)>", lambda found: SCRIPT[found[1]], sub(r"</su[bp]>", "", text))
    return " ".join(unescape(sub(r"</?(?:b|i|br|span|a)(?:\s[^<>]*)?/?>", " ", text)).split())


def columns_of(layout: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By axis and colour axis of a layout what it shows, and the scale of its numbers where that is not their own.

    An axis without a title is called as the one that it stands in line with. The scale is "epoch" for log10(epoch + 1)
    and "log10" for powers of ten, as the axis labels its ticks; numbers that it labels by names have these.

    Example:
        >>> layout = {"xaxis": {"title": {"text": "epoch"}, "tickvals": [0.0, np.log10(11.0)], "ticktext": ["0", "10"]}}
        >>> columns_of(layout)
        {'xaxis': {'name': 'epoch', 'scale': 'epoch', 'texts': {}}}
    """
    found: dict[str, dict[str, Any]] = {}
    for key, axis in layout.items():
        if key[1:5] == "axis":
            found[key] = {"name": _called(layout, key), "scale": _scale(axis), "texts": _texts(axis)}
        elif key.startswith("coloraxis"):
            bar = axis.get("colorbar", {})
            found[key] = {"name": plain(bar.get("title")) or "colour", "scale": _scale(bar), "texts": {}}
    for column in found.values():
        if column["scale"] == "log10":
            column["name"] = f"log10 of {column['name']}"
        if column["scale"] == "epoch":
            column["name"] = column["name"].removesuffix(" (logarithmic)")
    return found


def panels_of(layout: Mapping[str, Any]) -> dict[str, str]:
    """The titles of panels, by their axes: {"xaxis2 yaxis2": "accuracy"}."""
    titles = {}
    for key, axis in layout.items():
        if key[:5] != "xaxis" or "domain" not in axis:
            continue
        anchor = f"yaxis{axis.get('anchor', 'y')[1:]}"
        middle, top = sum(axis["domain"]) / 2, layout.get(anchor, {}).get("domain", [0, 1])[1]
        for note in layout.get("annotations", ()):
            above = note.get("xref") == note.get("yref") == "paper" and abs(float(note.get("y", 9)) - top) < 0.01
            if above and abs(float(note.get("x", 9)) - middle) < 0.01:
                titles[f"{key} {anchor}"] = plain(note.get("text"))
    return titles


def sentence(data: Iterable[Mapping[str, Any]], columns: Mapping[str, Mapping[str, Any]]) -> str:
    """What is drawn against what, and the names in the legend."""
    pairs, names = [], []
    for trace in data:
        if trace["type"] == "image":
            pairs.append("pictures")
            continue
        x, y = (columns.get(axis_of(trace, letter), {}).get("name", letter) for letter in "xy")
        of = ""
        if trace["type"] in ("heatmap", "contour"):
            of = f"{columns.get(str(trace.get('coloraxis')), {}).get('name') or trace.get('name') or 'colour'} by "
        pairs.append(f"{of}{x} and {y}" if of else f"{y} against {x}")
        if trace.get("name") and trace.get("showlegend") is not False:
            names.append(plain(trace["name"]))
    shown = _few(pairs, "; ")
    return f"{shown[:1].upper()}{shown[1:]}{': ' if names else ''}{_few(names, ', ')}." if shown else ""


def axis_of(trace: Mapping[str, Any], letter: str) -> str:
    """The layout's name of a trace's axis: xaxis2 for x2."""
    return f"{letter}axis{str(trace.get(f'{letter}axis', letter))[1:]}"


def _few(texts: list[str], between: str) -> str:
    different = list(dict.fromkeys(texts))
    more = [f"{len(different) - MOST} more"] if len(different) > MOST else []
    return between.join([*different[:MOST], *more])


def _called(layout: Mapping[str, Any], key: str) -> str:
    """An axis's title, or that of one in line with it, or of all others."""
    if own := plain(layout[key].get("title")):
        return own
    others = {other: plain(axis.get("title")) for other, axis in layout.items() if other[:5] == key[:5]}
    known = {other: title for other, title in others.items() if title}
    in_line = [title for other, title in known.items() if layout[other].get("domain") == layout[key].get("domain")]
    return in_line[0] if in_line else next(iter(known.values())) if len(set(known.values())) == 1 else key[0]


def _scale(axis: Mapping[str, Any]) -> str:
    """What the ticks say that the numbers stand for."""
    places, texts = axis.get("tickvals"), [str(text) for text in axis.get("ticktext") or ()]
    if places is None or not texts:
        return ""
    at = values_of(places)
    for scale, pattern, place in (
        ("epoch", r"([\d,]+)", lambda n: np.log10(n + 1)),
        ("log10", r"10<sup>(-?\d+)</sup>", float),
    ):
        found = [fullmatch(pattern, text) for text in texts]
        numbers = [float(match[1].replace(",", "")) for match in found if match]
        if len(numbers) == len(at) and np.allclose([place(n) for n in numbers], at) and any(at):
            return scale
    return ""


def _texts(axis: Mapping[str, Any]) -> dict[str, str]:
    """Names that stand for whole numbers."""
    texts = [plain(text) for text in axis.get("ticktext") or ()]
    if _scale(axis) or all(fullmatch(r"-?[\d,.]+", text) for text in texts):
        return {}
    at = values_of(axis.get("tickvals", []))
    return {str(int(place)): text for place, text in zip(at, texts, strict=False) if place == int(place)}
