"""What training does to the weights: drift and diffusion, relaxation, the spread of replicas (arrays in, numbers out)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "against_wiener": "flowplane.dynamics.comparison",
    "align": "flowplane.dynamics.alignment",
    "coincidence": "flowplane.dynamics.timing",
    "compression_costs": "flowplane.dynamics.relaxation",
    "compression_start": "flowplane.dynamics.timing",
    "diffusion_exponent": "flowplane.dynamics.diffusion",
    "drift_norm": "flowplane.dynamics.gradients",
    "fit_laws": "flowplane.dynamics.laws",
    "layer_compression": "flowplane.dynamics.relaxation",
    "mean_interval": "flowplane.dynamics.diffusion",
    "mean_squared_displacement": "flowplane.dynamics.diffusion",
    "median_crossing": "flowplane.dynamics.crossing",
    "ornstein_uhlenbeck": "flowplane.dynamics.processes",
    "per_weight": "flowplane.dynamics.gradients",
    "phase_crossing": "flowplane.dynamics.crossing",
    "relaxation_delays": "flowplane.dynamics.relaxation",
    "slope_interval": "flowplane.dynamics.laws",
    "update_spectrum": "flowplane.dynamics.diffusion",
    "velocity_autocorrelation": "flowplane.dynamics.diffusion",
    "weight_distance": "flowplane.dynamics.alignment",
    "wiener": "flowplane.dynamics.processes",
}

__all__ = [
    "against_wiener",
    "align",
    "coincidence",
    "compression_costs",
    "compression_start",
    "diffusion_exponent",
    "drift_norm",
    "fit_laws",
    "layer_compression",
    "mean_interval",
    "mean_squared_displacement",
    "median_crossing",
    "ornstein_uhlenbeck",
    "per_weight",
    "phase_crossing",
    "relaxation_delays",
    "slope_interval",
    "update_spectrum",
    "velocity_autocorrelation",
    "weight_distance",
    "wiener",
]

if TYPE_CHECKING:
    from flowplane.dynamics.alignment import align, weight_distance
    from flowplane.dynamics.comparison import against_wiener
    from flowplane.dynamics.crossing import median_crossing, phase_crossing
    from flowplane.dynamics.diffusion import (
        diffusion_exponent,
        mean_interval,
        mean_squared_displacement,
        update_spectrum,
        velocity_autocorrelation,
    )
    from flowplane.dynamics.gradients import drift_norm, per_weight
    from flowplane.dynamics.laws import fit_laws, slope_interval
    from flowplane.dynamics.processes import ornstein_uhlenbeck, wiener
    from flowplane.dynamics.relaxation import compression_costs, layer_compression, relaxation_delays
    from flowplane.dynamics.timing import coincidence, compression_start


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowplane.dynamics' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
