"""What each layer knows: estimators of mutual information, arrays in, numbers out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "convergence": "flowplane.information.plateau",
    "explain": "flowplane.information.words",
    "parse_estimator": "flowplane.information.named",
}

__all__ = ["convergence", "explain", "parse_estimator"]

if TYPE_CHECKING:
    from flowplane.information.named import parse_estimator
    from flowplane.information.plateau import convergence
    from flowplane.information.words import explain


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowplane.information' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
