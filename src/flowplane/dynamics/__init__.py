"""What training does to the weights: drift and diffusion, relaxation, the spread of replicas (arrays in, numbers out)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.dynamics.alignment import align as align
    from flowplane.dynamics.alignment import weight_distance as weight_distance
    from flowplane.dynamics.comparison import against_wiener as against_wiener
    from flowplane.dynamics.crossing import median_crossing as median_crossing
    from flowplane.dynamics.crossing import phase_crossing as phase_crossing
    from flowplane.dynamics.diffusion import diffusion_exponent as diffusion_exponent
    from flowplane.dynamics.diffusion import mean_squared_displacement as mean_squared_displacement
    from flowplane.dynamics.diffusion import update_spectrum as update_spectrum
    from flowplane.dynamics.diffusion import velocity_autocorrelation as velocity_autocorrelation
    from flowplane.dynamics.gradients import drift_norm as drift_norm
    from flowplane.dynamics.gradients import per_weight as per_weight
    from flowplane.dynamics.laws import fit_laws as fit_laws
    from flowplane.dynamics.laws import slope_interval as slope_interval
    from flowplane.dynamics.processes import ornstein_uhlenbeck as ornstein_uhlenbeck
    from flowplane.dynamics.processes import wiener as wiener
    from flowplane.dynamics.relaxation import compression_costs as compression_costs
    from flowplane.dynamics.relaxation import layer_compression as layer_compression
    from flowplane.dynamics.relaxation import relaxation_delays as relaxation_delays
    from flowplane.dynamics.timing import coincidence as coincidence
    from flowplane.dynamics.timing import compression_start as compression_start
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
