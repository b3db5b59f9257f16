"""A figure on a phone: its panels one under the other, colour bar below, legend above."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

__all__ = ["narrow_layout", "panels_across"]

#: Pixels of a panel, of the gap below it, and of the colour bar.
PANEL, GAP, BAR = 230, 58, 52
#: Pixels below the lowest axis for its numbers and title; of a panel that is alone.
BELOW, ALONE = 78, 340
#: Pixels between two rows where panels keep titles of their own below them.
TITLED = 78
#: Pixels of a letter, a line's sample and a row of a legend, and across the axes of a phone.
LETTER, LINE, ROW, ACROSS = 6.2, 45, 19, 290
#: Letters of a vertical title that are as long as a panel is high.
LONGEST = 32
#: Pixels of the smallest letters.
SMALLEST = 8
TAG = re.compile(r"<[^>]*>")
#: Letters of an axis label that stands upright below a panel, and the pixels that each takes.
SHORT, UPRIGHT = 9, 5
#: x axis and y axis.
Panel = tuple[dict[str, Any], dict[str, Any]]
#: Parts of the width between panels that stand beside each other.
BETWEEN = 0.14


def panels_across(layout: dict[str, Any], data: list[dict[str, Any]]) -> int:
    """How many panels stand beside each other."""
    return max(1, len({round(x["domain"][0], 4) for x, _ in _panels(layout, data)}))


def narrow_layout(layout: dict[str, Any], data: list[dict[str, Any]], columns: int = 1) -> dict[str, Any]:
    """The layout of a wide figure, rearranged for a narrow place.

    Arguments:
        data: the figure's traces: panels without any are left out, and a legend needs room.
        columns: panels beside each other: 1 for a phone, 2 for half a screen.
    """
    new = deepcopy(layout)
    panels = _panels(new, data)
    margin = new.setdefault("margin", {})
    margin |= {"l": min(int(margin.get("l", 80)), 58), "r": 62 if _right_notes(new) else 22}
    tall = _heights(panels, columns)
    gap = GAP if len({_text(x) for x, _ in panels if _text(x)}) < 2 else TITLED
    plot = ALONE if len(panels) < 2 else sum(tall) + (len(tall) - 1) * gap
    bars = [axis for key, axis in new.items() if key.startswith("coloraxis") and axis.get("showscale", True)]
    below = BELOW + UPRIGHT * _longest(panels)
    for place, axis in enumerate(bars):
        title = axis.get("colorbar", {}).get("title", {})
        title = title if isinstance(title, dict) else {"text": title}
        axis["colorbar"] = {
            **axis.get("colorbar", {}),
            "orientation": "h",
            "x": 0.5,
            "xanchor": "center",
            "len": 1.0,
            "y": -(below + BAR * place) / plot,
            "yanchor": "top",
            "thickness": 12,
            "title": {**title, "side": "top"},
        }
    if len(panels) > 1:
        _rearrange(new, panels, columns, [height / plot for height in tall], gap / plot)
    for _, y in panels:
        if _text(y):
            y["title"] = {**(y["title"] if isinstance(y["title"], dict) else {}), "text": _folded(_text(y))}
    for x, _ in panels:
        if x.get("tickangle") == 0 and x.get("ticktext"):
            x["tickfont"] = {**x.get("tickfont", {}), "size": _fitting(x["ticktext"], x.get("tickfont", {}).get("size", 12))}
    rows = _legend_rows(new, data, ACROSS * columns)
    new["legend"] = {
        **new.get("legend", {}),
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 1 + 24 / plot,
        "yanchor": "bottom",
        "font": {**new.get("legend", {}).get("font", {}), "size": 11},
        "borderwidth": 0,
    }
    new["font"] = {**new.get("font", {}), "size": 12}
    margin |= {"t": 30 + 26 * (rows > 0) + ROW * max(0, rows - 1), "b": below + BAR * len(bars)}
    new["height"] = plot + margin["t"] + margin["b"]
    return new


def _panels(layout: dict[str, Any], data: list[dict[str, Any]]) -> list[Panel]:
    """x axis and y axis of each panel in which something is drawn, row by row, from the left."""
    found, drawn = [], {trace.get("xaxis", "x") for trace in data}
    for key, axis in layout.items():
        if not key.startswith("xaxis") or not isinstance(axis, dict) or "domain" not in axis:
            continue
        anchor = axis.get("anchor", "y")
        other = layout.get(f"yaxis{anchor[1:]}", {})
        if f"x{key[5:]}" in drawn and anchor[:1] == "y" and "domain" in other and not other.get("overlaying"):
            found.append((axis, other))
    return sorted(found, key=lambda panel: (-round(panel[1]["domain"][1], 4), round(panel[0]["domain"][0], 4)))


def _longest(panels: list[Panel]) -> int:
    """Letters of the longest label that stands upright below an axis."""
    lengths = [len(str(text)) for x, _ in panels if x.get("tickangle") for text in x.get("ticktext") or ()]
    return max(lengths, default=0)


def _right_notes(layout: dict[str, Any]) -> bool:
    """Whether something stands right of the axes."""
    notes = [note for note in layout.get("annotations", ()) if note.get("xref") == "paper"]
    return any(float(note.get("x", 0)) + (note.get("xanchor") == "left") * 1e-6 > 1 for note in notes)


def _heights(panels: list[Panel], columns: int) -> list[float]:
    """Pixels of each row: those of the highest panels, and of others in proportion."""
    heights = [y["domain"][1] - y["domain"][0] for _, y in panels] or [1.0]
    rows = [max(heights[k : k + columns]) for k in range(0, len(heights), columns)]
    return [PANEL * row / max(heights) for row in rows]


def _legend_rows(layout: dict[str, Any], data: list[dict[str, Any]], width: int) -> int:
    """Lines of a legend above the axes: entries are as wide as the widest, groups with a title stand one under another."""
    if layout.get("showlegend") is False:
        return 0
    seen = (trace for trace in data if trace.get("visible") in (None, True))
    named = [trace for trace in seen if trace.get("name") and trace.get("showlegend") is not False]
    groups = {trace.get("legendgroup") for trace in named if trace.get("legendgrouptitle")}
    if groups:
        return len(named) + len(groups)
    widest = max((LINE + LETTER * len(TAG.sub("", trace["name"])) for trace in named), default=0)
    return -(-len(named) // max(1, int(width // max(1, widest)))) if named else int(layout.get("showlegend") is True)


def _fitting(texts: list[str], size: float) -> float:
    """A size of letters at which level labels do not touch each other on a phone."""
    longest = max(len(line) for text in texts for line in str(text).split("<br>"))
    return min(size, max(SMALLEST, ACROSS // (len(texts) * 0.75 * max(1, longest))))


def _folded(text: str) -> str:
    """A title that is longer than a panel is high, in two lines."""
    breaks = [k for k, letter in enumerate(text) if letter == " "]
    if len(TAG.sub("", text)) <= LONGEST or "<br>" in text or not breaks:
        return text
    middle = min(breaks, key=lambda k: abs(k - len(text) / 2))
    return f"{text[:middle]}<br>{text[middle + 1 :]}"


def _rearrange(layout: dict[str, Any], panels: list[Panel], columns: int, tall: list[float], gap: float) -> None:
    """Panels row by row, with their own titles and those of the axes that they shared."""
    titles = [note for note in layout.get("annotations", ()) if note.get("xref") == "paper" and note.get("yref") == "paper"]
    below = [x["title"] for x, _ in panels if _text(x)]
    shared = below[-1] if below and len({_text({"title": title}) for title in below}) == 1 else None
    beside = {round(y["domain"][1], 4): y["title"] for _, y in reversed(panels) if _text(y)}
    wide = (1 - BETWEEN * (columns - 1)) / columns
    moved, first = [], panels[0][1]
    ticks = next(({key: x[key] for key in ("tickvals", "ticktext")} for x, _ in reversed(panels) if x.get("ticktext")), None)
    for k, (x, y) in enumerate(panels):
        row, column = divmod(k, columns)
        left, top = column * (wide + BETWEEN), 1 - sum(tall[:row]) - row * gap
        old = sum(x["domain"]) / 2, y["domain"][1]
        moved += [
            (note, left + wide / 2, top)
            for note in titles
            if abs(note.get("x", 9) - old[0]) < 0.01 and abs(note.get("y", 9) - old[1]) < 0.01
        ]
        if "matches" in y and not _text(y):
            y["title"] = beside.get(round(old[1], 4), {"text": ""})
        first = y if column == 0 else first
        if column and _text(y) == _text(first):
            y["title"] = {"text": ""}
        if x.get("showticklabels") is False and ticks and max(map(len, map(str, ticks["ticktext"]))) < SHORT:
            x |= {"showticklabels": True, **ticks}
        elif (
            ticks
            and x.get("ticktext") == panels[-1][0].get("ticktext") == ticks["ticktext"]
            and max(map(len, map(str, ticks["ticktext"]))) >= SHORT
        ):
            x["showticklabels"] = k + columns >= len(panels)  # upright, they would reach into the next panel
        if x.get("showticklabels") is False and "matches" in x and not ticks:
            x["showticklabels"] = True
        if y.get("showticklabels") is False and column == 0:
            y["showticklabels"] = True
        if shared is not None:
            x["title"] = shared if k + columns >= len(panels) else {"text": ""}
        x["domain"], y["domain"] = [left, left + wide], [max(0.0, top - tall[row]), top]
    for note, across, top in moved:
        note |= {"x": across, "y": top}


def _text(axis: dict[str, Any]) -> str:
    title = axis.get("title", "")
    return str(title.get("text", "") if isinstance(title, dict) else title)
