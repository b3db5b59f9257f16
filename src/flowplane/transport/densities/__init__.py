"""Densities on R^d that can be smoothed, and so made to flow."""

from flowplane.transport.densities.base import Density
from flowplane.transport.densities.curves import rings, swiss_roll, two_moons
from flowplane.transport.densities.empirical import Empirical
from flowplane.transport.densities.gaussian import GaussianMixture, Normal

__all__ = ["Density", "Empirical", "GaussianMixture", "Normal", "rings", "swiss_roll", "two_moons"]
