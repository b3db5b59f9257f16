"""Whatever needs several epochs or layers: functions from a Recording to a labelled Dataset; and what any Dataset says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.analysis.betas import layer_betas as layer_betas
    from flowplane.analysis.citing import cite as cite
    from flowplane.analysis.comparison import compare_estimators as compare_estimators
    from flowplane.analysis.denoising import denoising_spectrum as denoising_spectrum
    from flowplane.analysis.denoising import pointwise_information as pointwise_information
    from flowplane.analysis.denoising import with_denoised as with_denoised
    from flowplane.analysis.dependence import mutual_information as mutual_information
    from flowplane.analysis.diffusion import weight_diffusion as weight_diffusion
    from flowplane.analysis.estimators import parse_estimator as parse_estimator
    from flowplane.analysis.explaining import explain as explain
    from flowplane.analysis.geometry import layer_geometry as layer_geometry
    from flowplane.analysis.noisy import noisy_information as noisy_information
    from flowplane.analysis.phases import gradient_phases as gradient_phases
    from flowplane.analysis.plane import information_plane as information_plane
    from flowplane.analysis.relaxation import relaxation_times as relaxation_times
    from flowplane.analysis.replicas import replica_spread as replica_spread
    from flowplane.analysis.transport.budget import layer_budget as layer_budget
    from flowplane.analysis.transport.layers import layer_transport as layer_transport
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
