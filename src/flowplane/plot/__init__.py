"""Figures: a labelled Dataset in, a Plotly figure out.

A figure is named after the result that it draws, and `show` draws any result that has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.plot.export import save as save
    from flowplane.plot.figures.budget import budget as budget
    from flowplane.plot.figures.class_particles import class_particles as class_particles
    from flowplane.plot.figures.compare_estimators import compare_estimators as compare_estimators
    from flowplane.plot.figures.convergence import convergence as convergence
    from flowplane.plot.figures.critical_betas import critical_betas as critical_betas
    from flowplane.plot.figures.critical_slowing_down import critical_slowing_down as critical_slowing_down
    from flowplane.plot.figures.decodable_depth import decodable_depth as decodable_depth
    from flowplane.plot.figures.denoiser_fields import denoiser_fields as denoiser_fields
    from flowplane.plot.figures.denoising_spectrum import denoising_spectrum as denoising_spectrum
    from flowplane.plot.figures.depth_curves import depth_curves as depth_curves
    from flowplane.plot.figures.displacement_fields import displacement_fields as displacement_fields
    from flowplane.plot.figures.embedding_influence import embedding_influence as embedding_influence
    from flowplane.plot.figures.equivalence_errors import equivalence_errors as equivalence_errors
    from flowplane.plot.figures.error_orders import error_orders as error_orders
    from flowplane.plot.figures.error_surface import error_surface as error_surface
    from flowplane.plot.figures.estimate import estimate as estimate
    from flowplane.plot.figures.estimator_curves import estimator_curves as estimator_curves
    from flowplane.plot.figures.flow_history import flow_history as flow_history
    from flowplane.plot.figures.flow_profile import flow_profile as flow_profile
    from flowplane.plot.figures.flow_samples import flow_samples as flow_samples
    from flowplane.plot.figures.gradient_phases import gradient_phases as gradient_phases
    from flowplane.plot.figures.ib_curve import ib_curve as ib_curve
    from flowplane.plot.figures.information_plane import information_plane as information_plane
    from flowplane.plot.figures.information_planes import information_planes as information_planes
    from flowplane.plot.figures.input_information import input_information as input_information
    from flowplane.plot.figures.layer_beta_curves import layer_beta_curves as layer_beta_curves
    from flowplane.plot.figures.layer_betas import layer_betas as layer_betas
    from flowplane.plot.figures.layer_budget import layer_budget as layer_budget
    from flowplane.plot.figures.layer_geometry import layer_geometry as layer_geometry
    from flowplane.plot.figures.layer_similarity import layer_similarity as layer_similarity
    from flowplane.plot.figures.layer_transport import layer_transport as layer_transport
    from flowplane.plot.figures.metrics import metrics as metrics
    from flowplane.plot.figures.pointwise_information import pointwise_information as pointwise_information
    from flowplane.plot.figures.relaxation_times import relaxation_times as relaxation_times
    from flowplane.plot.figures.replica_spread import replica_spread as replica_spread
    from flowplane.plot.figures.resolution_curves import resolution_curves as resolution_curves
    from flowplane.plot.figures.ridgelet_spectrum import ridgelet_spectrum as ridgelet_spectrum
    from flowplane.plot.figures.separation_curves import separation_curves as separation_curves
    from flowplane.plot.figures.steps import steps as steps
    from flowplane.plot.figures.sweep import sweep as sweep
    from flowplane.plot.figures.training_history import training_history as training_history
    from flowplane.plot.figures.weight_diffusion import weight_diffusion as weight_diffusion
    from flowplane.plot.registry import draws as draws
    from flowplane.plot.registry import show as show
else:
    #: Names of 0.1, and what they are called now; to be deleted at 1.0.
    RENAMED = {
        "displacement_curves": "weight_diffusion",
        "embedding_comparison": "embedding_influence",
        "estimator_convergence": "convergence",
        "estimators": "compare_estimators",
        "flow_field": "flow_history",
        "flow_in_time": "flow_history",
        "flow_profiles": "flow_profile",
        "gradient_phase_curves": "gradient_phases",
        "layers_and_bound": "layer_betas",
        "relaxation_points": "relaxation_times",
        "slowing_down_curve": "critical_slowing_down",
        "spread_comparison": "replica_spread",
        "swept_curves": "sweep",
        "training_curves": "metrics",
        "transport_profile": "layer_transport",
    }
    __getattr__, __dir__, __all__ = lazy(__name__, RENAMED)
