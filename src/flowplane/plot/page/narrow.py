"""A figure on a phone: its panels one under the other, colour bar below, legend above."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

__all__ = ["narrow_layout", "panels_across"]

#: Pixels of a panel, of the gap below it, and of the colour bar.
PANEL, GAP, BAR = 230, 58, 52
#: Pixels below the lowest axis for its numbers and title; of a panel that is alone.
BELOW, ALONE = 78, 340
#: Letters of an axis label that stands upright below a panel, and the pixels that each takes.
SHORT, UPRIGHT = 9, 5
#: x axis and y axis.
Panel = tuple[dict[str, Any], dict[str, Any]]
#: Parts of the width between panels that stand beside each other.
BETWEEN = 0.14


def panels_across(layout: dict[str, Any]) -> int:
    """How many panels stand beside each other."""
    return max(1, len({round(x["domain"][0], 4) for x, _ in _panels(layout)}))


def narrow_layout(layout: dict[str, Any], columns: int = 1) -> dict[str, Any]:
    """The layout of a wide figure, rearranged for a narrow place.

    Arguments:
        columns: panels beside each other: 1 for a phone, 2 for half a screen.
    """
    new = deepcopy(layout)
    panels = _panels(new)
    margin = new.setdefault("margin", {})
    margin |= {"l": min(int(margin.get("l", 80)), 58), "r": 62 if _right_notes(new) else 14}
    rows = -(-max(1, len(panels)) // columns)
    plot = ALONE if len(panels) < 2 else rows * PANEL + (rows - 1) * GAP
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
        _rearrange(new, panels, columns, PANEL / plot, GAP / plot)
    legend = new.get("showlegend") is not False
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
    margin |= {"t": 30 + 26 * legend, "b": below + BAR * len(bars)}
    new["height"] = plot + margin["t"] + margin["b"]
    return new


def _panels(layout: dict[str, Any]) -> list[Panel]:
    """x axis and y axis of each panel, row by row, from the left."""
    found = []
    for key, axis in layout.items():
        if not key.startswith("xaxis") or not isinstance(axis, dict) or "domain" not in axis:
            continue
        anchor = axis.get("anchor", "y")
        other = layout.get(f"yaxis{anchor[1:]}", {})
        if anchor[:1] == "y" and "domain" in other and not other.get("overlaying"):
            found.append((axis, other))
    return sorted(found, key=lambda panel: (-round(panel[1]["domain"][1], 4), round(panel[0]["domain"][0], 4)))


def _longest(panels: list[Panel]) -> int:
    """Letters of the longest label that stands upright below an axis."""
    lengths = [len(str(text)) for x, _ in panels if x.get("tickangle") for text in x.get("ticktext") or ()]
    return max(lengths, default=0)


def _right_notes(layout: dict[str, Any]) -> bool:
    """Whether something stands right of the axes."""
    return any(note.get("xref") == "paper" and float(note.get("x", 0)) > 1 for note in layout.get("annotations", ()))


def _rearrange(layout: dict[str, Any], panels: list[Panel], columns: int, tall: float, gap: float) -> None:
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
        left, top = column * (wide + BETWEEN), 1 - row * (tall + gap)
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
        elif ticks and max(map(len, map(str, ticks["ticktext"]))) >= SHORT:
            x["showticklabels"] = k + columns >= len(panels)  # upright, they would reach into the next panel
        if y.get("showticklabels") is False and column == 0:
            y["showticklabels"] = True
        if shared is not None:
            x["title"] = shared if k + columns >= len(panels) else {"text": ""}
        x["domain"], y["domain"] = [left, left + wide], [max(0.0, top - tall), top]
    for note, across, top in moved:
        note |= {"x": across, "y": top}


def _text(axis: dict[str, Any]) -> str:
    title = axis.get("title", "")
    return str(title.get("text", "") if isinstance(title, dict) else title)
