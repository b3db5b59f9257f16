"""Width: a network with infinitely many units as an integral, and back (§A10, §A11). Functions in, units out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.ridgelet.finite import ShallowNetwork as ShallowNetwork
    from flowplane.ridgelet.finite import Units as Units
    from flowplane.ridgelet.finite import finite_network as finite_network
    from flowplane.ridgelet.finite import least_squares_network as least_squares_network
    from flowplane.ridgelet.finite import units_of as units_of
    from flowplane.ridgelet.integral import transform as transform
    from flowplane.ridgelet.limit import WideLimit as WideLimit
    from flowplane.ridgelet.limit import network as network
    from flowplane.ridgelet.monte_carlo import monte_carlo_transform as monte_carlo_transform
    from flowplane.ridgelet.pairs import Pair as Pair
    from flowplane.ridgelet.residual import ResidualNetwork as ResidualNetwork
    from flowplane.ridgelet.spectrum import Spectrum as Spectrum
    from flowplane.ridgelet.truncation import activation_transform as activation_transform
    from flowplane.ridgelet.truncation import missed_share as missed_share
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
