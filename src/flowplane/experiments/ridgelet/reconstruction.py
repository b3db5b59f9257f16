"""How far a reconstruction from ridgelet coefficients is from a unit Gaussian, and how far it has to be (docs/papers.md
§A10).
"""

from __future__ import annotations

import numpy as np
from scipy.special import j0

from flowplane.ridgelet import Pair, Spectrum, missed_share, transform

__all__ = [
    "gaussian",
    "gaussian_spectrum",
    "grid_points",
    "normal_points",
    "origin_error",
    "relative_error",
    "truncated_gaussian",
]

#: Where the unit Gaussian is cut off.
REACH = 5.0
#: Distances of offsets where σ is smooth, and where it has a kink: there the error goes with their square, and two of them
#: tell its limit.
SMOOTH, KINKED = (0.4,), (0.08, 0.04)
#: f has no frequencies above the first, ρ(a·x − b) none above the second times |a|.
BAND, WAVES = 5.0, 7.0


def gaussian(x: np.ndarray) -> np.ndarray:
    """f(x) = e^{−|x|²/2}."""
    return np.exp(-np.square(x).sum(1) / 2)


def grid_points(count: int, dimension: int) -> np.ndarray:
    """A full grid of `count` places per axis."""
    axis = np.linspace(-REACH, REACH, count)
    return np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), -1).reshape(-1, dimension)


def normal_points(dimension: int, count: int = 60, seed: int = 0) -> np.ndarray:
    """Where errors are measured: drawn from N(0, I)."""
    return np.random.default_rng(seed).normal(size=(count, dimension))


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Root mean square error over the root mean square of the target."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def truncated_gaussian(pair: Pair, x: np.ndarray, largest: float) -> np.ndarray:
    """What |a| < A keeps of f, without any error of quadrature: f less the share of each frequency that is missed."""
    xi = np.linspace(0.0, 10.0, 2001)
    m, r = x.shape[1], np.linalg.norm(x, axis=1)
    waves = np.multiply.outer(r, xi)
    turned = {1: np.cos, 2: j0, 3: lambda phase: np.sinc(phase / np.pi)}[m](waves)
    surface = {1: np.sqrt(2 / np.pi), 2: xi, 3: np.sqrt(2 / np.pi) * xi**2}[m]
    return gaussian(x) - np.trapezoid(missed_share(pair, xi, largest=largest) * surface * np.exp(-(xi**2) / 2) * turned, xi)


def gaussian_spectrum(
    pair: Pair, dimension: int, largest: float, grid: tuple[int, int], directions: int | None = None
) -> Spectrum:
    """The transform of f, with points close enough for the largest |a|."""
    # a sum over points is exact for a product with no frequencies above 2π over their distance
    count = int(np.ceil(2 * REACH * (BAND + WAVES * largest) / (2 * np.pi))) + 1
    x = grid_points(count, dimension)
    extent = (largest, largest * REACH + pair.tail(dimension))
    return transform(gaussian(x), x, pair=pair, extent=extent, grid=grid, directions=directions)


def origin_error(pair: Pair, largest: float, nodes: int) -> float:
    """1 − S[R](0)/(K f(0)) in the plane; f turns into itself, so that a few directions say it all."""
    found = []
    for step in KINKED if pair.activation == "relu" else SMOOTH:
        offsets = 2 * int(np.ceil((largest * REACH + pair.tail(2)) / step))
        spectrum = gaussian_spectrum(pair, 2, largest, (nodes, offsets), directions=2)
        found.append(1 - float(spectrum.reconstruct(np.zeros((1, 2)))[0]))
    return found[0] if len(found) == 1 else (4 * found[1] - found[0]) / 3
