"""The information bottleneck bound: its curve, its critical points, and how near an encoder comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.bottleneck.bifurcation import critical_betas as critical_betas
    from flowplane.bottleneck.curve import ib_curve as ib_curve
    from flowplane.bottleneck.deterministic import concave_hull as concave_hull
    from flowplane.bottleneck.deterministic import deterministic_ib as deterministic_ib
    from flowplane.bottleneck.distance import curve_distance as curve_distance
    from flowplane.bottleneck.encoder import encoder_beta as encoder_beta
    from flowplane.bottleneck.encoder import symbol_beta as symbol_beta
    from flowplane.bottleneck.gaussian import gaussian_ib as gaussian_ib
    from flowplane.bottleneck.slowness import slowing_down as slowing_down
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
