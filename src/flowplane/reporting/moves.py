"""How each layer moves the data, in words."""

from __future__ import annotations

import xarray as xr

__all__ = ["move_words", "moves_by_layer"]


def moves_by_layer(found: xr.Dataset | None) -> dict[str, str]:
    """A few words for each layer; empty without a transport profile."""
    return {}


def move_words(found: xr.Dataset) -> list[str]:
    """What the transport profile says."""
    return []
