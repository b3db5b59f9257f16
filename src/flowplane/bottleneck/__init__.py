"""The information bottleneck bound: its curve, its critical points, and how near an encoder comes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "concave_hull": "flowplane.bottleneck.deterministic",
    "critical_betas": "flowplane.bottleneck.bifurcation",
    "curve_distance": "flowplane.bottleneck.distance",
    "deterministic_ib": "flowplane.bottleneck.deterministic",
    "encoder_beta": "flowplane.bottleneck.encoder",
    "gaussian_ib": "flowplane.bottleneck.gaussian",
    "ib_curve": "flowplane.bottleneck.curve",
    "slowing_down": "flowplane.bottleneck.slowness",
    "symbol_beta": "flowplane.bottleneck.encoder",
}

__all__ = [
    "concave_hull",
    "critical_betas",
    "curve_distance",
    "deterministic_ib",
    "encoder_beta",
    "gaussian_ib",
    "ib_curve",
    "slowing_down",
    "symbol_beta",
]

if TYPE_CHECKING:
    from flowplane.bottleneck.bifurcation import critical_betas
    from flowplane.bottleneck.curve import ib_curve
    from flowplane.bottleneck.deterministic import concave_hull, deterministic_ib
    from flowplane.bottleneck.distance import curve_distance
    from flowplane.bottleneck.encoder import encoder_beta, symbol_beta
    from flowplane.bottleneck.gaussian import gaussian_ib
    from flowplane.bottleneck.slowness import slowing_down


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowplane.bottleneck' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
