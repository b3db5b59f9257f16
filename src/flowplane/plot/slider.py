"""A slider through the frames of a figure, with a play button."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

__all__ = ["add_choice", "add_slider"]


def add_slider(figure: go.Figure, frames: Mapping[str, str], prefix: str, y: float, start: float, active: int = 0) -> None:
    """A slider below the axes.

    Arguments:
        frames: names of the figure's frames and what the slider says at each.
        prefix: before what it says.
        y, start: where it stands, in parts of the plot: its height, and where from the left it begins.
        active: the frame that is shown first.
    """
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    play = still | {"fromcurrent": True, "frame": {"duration": 130, "redraw": True}}
    steps = [{"method": "animate", "label": label, "args": [[name], still]} for name, label in frames.items()]
    buttons = [
        {"label": "▶ play", "method": "animate", "args": [None, play]},
        {"label": "❚❚ pause", "method": "animate", "args": [[None], still]},
    ]
    figure.update_layout(
        sliders=[_slider(steps, prefix, y, start, active)],
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "buttons": buttons,
                "x": 0.0,
                "y": y - 0.02,
                "xanchor": "left",
                "yanchor": "top",
                "pad": {"t": 8},
                "showactive": False,
                "font": {"size": 12},
            }
        ],
    )


def add_choice(
    figure: go.Figure, choices: Mapping[str, Sequence[bool]], prefix: str, y: float, start: float, active: int = 0
) -> None:
    """One more slider, which says which traces are seen.

    Arguments:
        choices: what the slider says, and whether each trace is seen there.
        prefix, y, start, active: as for `add_slider`.
    """
    steps = [{"method": "restyle", "label": name, "args": [{"visible": list(seen)}]} for name, seen in choices.items()]
    figure.update_layout(sliders=[*figure.layout.sliders, _slider(steps, prefix, y, start, active)])


def _slider(steps: list[dict[str, Any]], prefix: str, y: float, start: float, active: int) -> dict[str, Any]:
    return {
        "active": active,
        "steps": steps,
        "x": start,
        "len": 1 - start,
        "y": y,
        "pad": {"t": 0, "b": 0},
        "currentvalue": {"prefix": prefix, "xanchor": "right", "font": {"size": 14, "color": "#222"}},
        "font": {"size": 1, "color": "rgba(0,0,0,0)"},
        "ticklen": 0,
        "minorticklen": 0,
    }
