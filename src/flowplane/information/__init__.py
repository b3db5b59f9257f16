"""What each layer knows: estimators of mutual information, arrays in, numbers out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {"convergence": "flowplane.information.plateau"}

__all__ = ["convergence"]

if TYPE_CHECKING:
    from flowplane.information.plateau import convergence


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowplane.information' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
