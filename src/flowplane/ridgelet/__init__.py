"""Width: a network with infinitely many units as an integral, and back (A10). Functions in, units out."""

from flowplane.ridgelet.integral import monte_carlo_transform, transform
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.spectrum import Spectrum

__all__ = ["Pair", "Spectrum", "monte_carlo_transform", "transform"]
