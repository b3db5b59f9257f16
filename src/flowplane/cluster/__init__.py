"""Sweeps over a grid of parameters, on this machine's cores or on a Dask cluster.

Names are imported when they are used: Dask's scheduler loads this package too, and needs none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "Study": "flowplane.cluster.study",
    "gather": "flowplane.cluster.gathering",
    "sweep": "flowplane.cluster.sweeping",
    "train_or_resume": "flowplane.cluster.study",
}

__all__ = ["Study", "gather", "sweep", "train_or_resume"]

if TYPE_CHECKING:
    from flowplane.cluster.gathering import gather
    from flowplane.cluster.study import Study, train_or_resume
    from flowplane.cluster.sweeping import sweep


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowplane.cluster' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
