"""A figure on a phone: its panels one under the other, colour bar below, legend above."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

__all__ = ["narrow_layout", "panels_across"]

#: Pixels of a panel, of the gap below it, and of the colour bar.
PANEL, GAP, BAR = 230, 64, 60
#: Pixels below the lowest axis for its numbers and title; of a panel that is alone.
BELOW, ALONE = 52, 340


def panels_across(layout: dict[str, Any]) -> int:
    """How many panels stand beside each other."""
    return max(1, len({round(x["domain"][0], 4) for x, _, _ in _panels(layout)}))


def narrow_layout(layout: dict[str, Any]) -> dict[str, Any]:
    """The layout of a wide figure, rearranged for 300 to 500 pixels."""
    new = deepcopy(layout)
    panels = _panels(new)
    margin = new.setdefault("margin", {})
    margin |= {"l": min(int(margin.get("l", 80)), 58), "r": 14}
    if _right_notes(new):
        margin["r"] = 62
    count = max(1, len(panels))
    plot = ALONE if count == 1 else count * PANEL + (count - 1) * GAP
    bars = [axis for key, axis in new.items() if key.startswith("coloraxis") and axis.get("showscale", True)]
    for axis in bars:
        title = axis.get("colorbar", {}).get("title", {})
        axis["colorbar"] = {
            **axis.get("colorbar", {}), "orientation": "h", "x": 0.5, "xanchor": "center", "len": 1.0, "y": -BELOW / plot,
            "yanchor": "top", "thickness": 12, "title": {**(title if isinstance(title, dict) else {"text": title}), "side": "top"},
        }  # fmt: skip
    bottom = BELOW + BAR * len(bars)
    top = 30 + (46 if new.get("showlegend") is not False else 0)
    if count > 1:
        _stack(new, panels, PANEL / plot, GAP / plot)
    new["legend"] = {**new.get("legend", {}), "orientation": "h", "x": 0, "xanchor": "left", "y": 1 + 24 / plot, "yanchor": "bottom",
                     "font": {"size": 11}, "borderwidth": 0}  # fmt: skip
    new["font"] = {**new.get("font", {}), "size": 12}
    margin |= {"t": top, "b": bottom}
    new["height"] = plot + top + bottom
    return new


def _panels(layout: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any], str]]:
    """x axis and y axis of each panel, row by row, from the left."""
    found = []
    for key, axis in layout.items():
        if not key.startswith("xaxis") or not isinstance(axis, dict) or "domain" not in axis:
            continue
        anchor = axis.get("anchor", "y")
        other = layout.get(f"yaxis{anchor[1:]}", {})
        if anchor[:1] == "y" and "domain" in other and not other.get("overlaying"):
            found.append((axis, other, key))
    return sorted(found, key=lambda panel: (-round(panel[1]["domain"][1], 4), round(panel[0]["domain"][0], 4)))


def _right_notes(layout: dict[str, Any]) -> bool:
    """Whether something stands right of the axes."""
    return any(note.get("xref") == "paper" and float(note.get("x", 0)) > 1 for note in layout.get("annotations", ()))


def _stack(
    layout: dict[str, Any], panels: list[tuple[dict[str, Any], dict[str, Any], str]], tall: float, gap: float
) -> None:
    titles = [note for note in layout.get("annotations", ()) if note.get("xref") == "paper" and note.get("yref") == "paper"]
    placed: set[int] = set()
    y_title: Any = None
    x_title = next((x["title"] for x, _, _ in reversed(panels) if _text(x)), None)
    rows: dict[float, Any] = {}
    for x, y, _ in panels:
        rows.setdefault(round(y["domain"][1], 4), y.get("title"))
    for k, (x, y, _) in enumerate(panels):
        (left, right), (_, high) = x["domain"], y["domain"]
        top = 1 - k * (tall + gap)
        for note in titles:
            if id(note) not in placed and abs(note["x"] - (left + right) / 2) < 0.01 and abs(note["y"] - high) < 0.01:
                note |= {"x": 0.5, "y": top}
                placed.add(id(note))
        y_title = rows[round(high, 4)] or y_title
        x["domain"], y["domain"] = [0, 1], [max(0.0, top - tall), top]
        y.setdefault("title", y_title)
        if not _text(y) and y_title:
            y["title"] = y_title
        if y.get("showticklabels") is False and "matches" in y:
            y["showticklabels"] = True
        if k == len(panels) - 1 and x_title and not _text(x):
            x["title"] = x_title


def _text(axis: dict[str, Any]) -> str:
    title = axis.get("title", "")
    return str(title.get("text", "") if isinstance(title, dict) else title)
