"""Figures: a labelled Dataset in, a Plotly figure out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "information_plane": "flowplane.plot.plane",
    "information_planes": "flowplane.plot.multiples",
    "save": "flowplane.plot.export",
    "training_curves": "flowplane.plot.training",
}

__all__ = ["information_plane", "information_planes", "save", "training_curves"]

if TYPE_CHECKING:
    from flowplane.plot.export import save
    from flowplane.plot.multiples import information_planes
    from flowplane.plot.plane import information_plane
    from flowplane.plot.training import training_curves


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowplane.plot' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
