"""Several panels in one figure: where each stands, and what figures with one panel per layer have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from flowplane.plot.style import COLUMNS, NARROWEST, styled

__all__ = ["Grid", "layer_panels", "with_logarithmic_axes"]


class Grid(NamedTuple):
    """Panels in rows, from left to right.

    Example:
        >>> grid = Grid.of(5, 3)
        >>> grid.rows, grid.place(3), grid.lowest(1), grid.lowest(2)
        (2, {'row': 2, 'col': 1}, False, True)
    """

    panels: int
    columns: int

    @classmethod
    def of(cls, count: int, most: int = COLUMNS) -> Grid:
        """This many panels, at most `most` of them side by side."""
        return cls(count, min(count, most))

    @property
    def rows(self) -> int:
        """How many there are, the last one perhaps not full."""
        return -(-self.panels // self.columns)

    def place(self, panel: int) -> dict[str, int]:
        """Row and column of a panel, as Plotly counts them."""
        return {"row": 1 + panel // self.columns, "col": 1 + panel % self.columns}

    def lowest(self, panel: int) -> bool:
        """Whether no panel stands below this one."""
        return panel + self.columns >= self.panels


def layer_panels(titles: Sequence[str]) -> tuple[go.Figure, Grid]:
    """An empty figure with one panel per layer, all on the same vertical axis."""
    grid = Grid.of(len(titles))
    figure = make_subplots(
        rows=grid.rows,
        cols=grid.columns,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=60 / (270 * grid.rows),
        subplot_titles=list(titles),
    )
    figure.update_annotations(font_size=14)
    return figure, grid


def with_logarithmic_axes(
    figure: go.Figure,
    grid: Grid,
    title: str,
    subtitle: str,
    *,
    x: np.ndarray,
    x_title: str,
    y_range: Sequence[float],
    y_title: str,
) -> go.Figure:
    """The common look of `layer_panels`: both axes logarithmic, their titles at the edges, the legend below.

    Arguments:
        x: all values on the horizontal axis, ascending.
        y_range: log10 of the ends of the vertical axis.
    """
    for panel in range(grid.panels):
        place = grid.place(panel)
        if grid.lowest(panel):
            figure.update_xaxes(title=x_title, **place)
        if place["col"] == 1:
            figure.update_yaxes(title=y_title, **place)
    reach = np.log10([x[0], x[-1]])
    figure.update_xaxes(type="log", dtick=1, exponentformat="power", range=[reach[0] - 0.08, reach[1] + 0.08])
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", range=y_range)
    height = 190 + 270 * grid.rows
    return styled(
        figure,
        title,
        subtitle,
        width=max(110 + 330 * grid.columns, NARROWEST),
        height=height,
        margin={"l": 85, "r": 25, "t": 105, "b": 115},
        legend={"orientation": "h", "x": 0, "y": -62 / (height - 220), "yanchor": "top"},
    )
