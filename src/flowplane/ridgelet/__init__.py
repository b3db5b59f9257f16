"""Width: a network with infinitely many units as an integral, and back (§A10, §A11). Functions in, units out."""

from flowplane.ridgelet.finite import ShallowNetwork, Units, finite_network, least_squares_network, units_of
from flowplane.ridgelet.integral import transform
from flowplane.ridgelet.limit import WideLimit, network
from flowplane.ridgelet.monte_carlo import monte_carlo_transform
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.residual import ResidualNetwork
from flowplane.ridgelet.spectrum import Spectrum
from flowplane.ridgelet.truncation import activation_transform, missed_share

__all__ = [
    "Pair",
    "ResidualNetwork",
    "ShallowNetwork",
    "Spectrum",
    "Units",
    "WideLimit",
    "activation_transform",
    "finite_network",
    "least_squares_network",
    "missed_share",
    "monte_carlo_transform",
    "network",
    "transform",
    "units_of",
]
