"""Figures: a labelled Dataset in, a Plotly figure out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "class_particles": "flowplane.plot.separation",
    "convergence": "flowplane.plot.orders",
    "denoiser_fields": "flowplane.plot.denoisers",
    "depth_curves": "flowplane.plot.depth",
    "displacement_curves": "flowplane.plot.displacement",
    "displacement_fields": "flowplane.plot.stacked",
    "embedding_comparison": "flowplane.plot.embeddings",
    "equivalence_errors": "flowplane.plot.stacked",
    "error_surface": "flowplane.plot.surface",
    "estimator_convergence": "flowplane.plot.readings",
    "estimator_curves": "flowplane.plot.readings",
    "estimators": "flowplane.plot.readings",
    "flow_field": "flowplane.plot.field",
    "flow_in_time": "flowplane.plot.spacetime",
    "flow_profiles": "flowplane.plot.profiles",
    "gradient_phase_curves": "flowplane.plot.gradients",
    "information_plane": "flowplane.plot.plane",
    "information_planes": "flowplane.plot.multiples",
    "layer_beta_curves": "flowplane.plot.bound",
    "layer_similarity": "flowplane.plot.likeness",
    "layers_and_bound": "flowplane.plot.bound",
    "relaxation_points": "flowplane.plot.relaxation",
    "ridgelet_spectrum": "flowplane.plot.ridges",
    "save": "flowplane.plot.export",
    "separation_curves": "flowplane.plot.separation",
    "slowing_down_curve": "flowplane.plot.bound",
    "spread_comparison": "flowplane.plot.spread",
    "swept_curves": "flowplane.plot.swept",
    "training_curves": "flowplane.plot.training",
    "transport_profile": "flowplane.plot.transported",
}

__all__ = [
    "class_particles",
    "convergence",
    "denoiser_fields",
    "depth_curves",
    "displacement_curves",
    "displacement_fields",
    "embedding_comparison",
    "equivalence_errors",
    "error_surface",
    "estimator_convergence",
    "estimator_curves",
    "estimators",
    "flow_field",
    "flow_in_time",
    "flow_profiles",
    "gradient_phase_curves",
    "information_plane",
    "information_planes",
    "layer_beta_curves",
    "layer_similarity",
    "layers_and_bound",
    "relaxation_points",
    "ridgelet_spectrum",
    "save",
    "separation_curves",
    "slowing_down_curve",
    "spread_comparison",
    "swept_curves",
    "training_curves",
    "transport_profile",
]

if TYPE_CHECKING:
    from flowplane.plot.bound import layer_beta_curves, layers_and_bound, slowing_down_curve
    from flowplane.plot.denoisers import denoiser_fields
    from flowplane.plot.depth import depth_curves
    from flowplane.plot.displacement import displacement_curves
    from flowplane.plot.embeddings import embedding_comparison
    from flowplane.plot.export import save
    from flowplane.plot.field import flow_field
    from flowplane.plot.gradients import gradient_phase_curves
    from flowplane.plot.likeness import layer_similarity
    from flowplane.plot.multiples import information_planes
    from flowplane.plot.orders import convergence
    from flowplane.plot.plane import information_plane
    from flowplane.plot.profiles import flow_profiles
    from flowplane.plot.readings import estimator_convergence, estimator_curves, estimators
    from flowplane.plot.relaxation import relaxation_points
    from flowplane.plot.ridges import ridgelet_spectrum
    from flowplane.plot.separation import class_particles, separation_curves
    from flowplane.plot.spacetime import flow_in_time
    from flowplane.plot.spread import spread_comparison
    from flowplane.plot.stacked import displacement_fields, equivalence_errors
    from flowplane.plot.surface import error_surface
    from flowplane.plot.swept import swept_curves
    from flowplane.plot.training import training_curves
    from flowplane.plot.transported import transport_profile


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowplane.plot' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
