"""Which figures draw which result."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, TypeVar

from flowplane.core.lazy import public
from flowplane.core.results import result_of
from flowplane.errors import InputError, Text
from flowplane.plot import figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["draws", "registered", "show"]

Drawer = TypeVar("Drawer", bound=Callable[..., Any])


def draws(*results: str) -> Callable[[Drawer], Drawer]:
    """A figure, a function of a Dataset, of these results: names in `flowplane.core.results.RESULTS`."""

    def marked(figure: Drawer) -> Drawer:
        figure.results = results  # type: ignore[attr-defined]
        return figure

    return marked


def registered() -> dict[str, list[Callable[..., Any]]]:
    """The figures of every result that has one, from all files of `flowplane.plot.figures`; first the one of its name."""
    found: dict[str, list[Callable[..., Any]]] = {}
    for file in iter_modules(figures.__path__):
        figure = public(f"{figures.__name__}.{file.name}", file.name)
        for result in getattr(figure, "results", ()):
            found.setdefault(result, []).append(figure)
    return {result: sorted(found[result], key=lambda figure: figure.__name__ != result) for result in sorted(found)}


def show(dataset: Any) -> go.Figure:
    """The figure of any result: of those that draw it, the first that can draw this one.

    Raises:
        InputError: not a Dataset of flowplane, a result without a figure, or what its first figure refuses.

    Example:
        >>> import flowplane as fp
        >>> show(fp.ib_curve([[0.4, 0.1], [0.1, 0.4]], [1.5, 3.0, 5.0])).layout.yaxis.title.text
        'I(T;Y) [bits]'
    """
    result = result_of(dataset)
    known = registered()
    if result not in known:
        raise InputError("dataset", Text(f"{result!r}, which has no figure"), f"one of {', '.join(known)}")
    refused: list[InputError] = []
    for figure in known[result]:
        try:
            return figure(dataset)
        except InputError as error:
            refused.append(error)
    raise refused[0]
