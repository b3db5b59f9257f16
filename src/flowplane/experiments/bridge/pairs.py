"""Pairs of vectors whose information is known: tasks of Czyż et al., *Beyond Normal* (NeurIPS 2023), arXiv 2306.11078."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from scipy import special

from flowplane.core.streams import SAMPLES, generator

__all__ = ["PAIRS", "KnownPair"]

Map = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class KnownPair:
    """x and t normal, or Student's t, with a covariance, and then each mapped one to one.

    Example:
        >>> pair = PAIRS["normal 1 + 1"]
        >>> x, t = pair.sample(1000, 0)
        >>> x.shape, t.shape, round(pair.nats, 4)
        ((1000, 1), (1000, 1), 0.4133)
    """

    covariance: Float[np.ndarray, "both both"]
    of_x: Map | None = None
    of_t: Map | None = None
    #: Of freedom; None for normals.
    degrees: float | None = None

    @property
    def dimension(self) -> int:
        """Of x, and of t."""
        return len(self.covariance) // 2

    @property
    def nats(self) -> float:
        """I(X;T): maps that lose nothing change nothing."""
        d = self.dimension
        parts = self.covariance[:d, :d], self.covariance[d:, d:], self.covariance
        logs = [float(np.linalg.slogdet(part)[1]) for part in parts]
        found = (logs[0] + logs[1] - logs[2]) / 2
        if self.degrees is not None:
            nu = self.degrees
            terms = [special.gammaln(k / 2) - k / 2 * special.digamma(k / 2) for k in (nu, nu + d, nu + 2 * d)]
            found += float(terms[0] + terms[2] - 2 * terms[1])
        return found

    def sample(self, n: int, seed: int) -> tuple[Float[np.ndarray, "sample feature"], Float[np.ndarray, "sample unit"]]:
        """n independent pairs."""
        rng = generator(seed, SAMPLES)
        both = rng.standard_normal((n, 2 * self.dimension)) @ np.linalg.cholesky(self.covariance).T
        if self.degrees is not None:
            both *= np.sqrt(self.degrees / rng.chisquare(self.degrees, (n, 1)))
        x, t = both[:, : self.dimension], both[:, self.dimension :]
        return (x if self.of_x is None else self.of_x(x)), (t if self.of_t is None else self.of_t(t))


def _dense(d: int, correlation: float = 0.5) -> Float[np.ndarray, "both both"]:
    return np.full((2 * d, 2 * d), correlation) + (1 - correlation) * np.eye(2 * d)


def _sparse(d: int) -> Float[np.ndarray, "both both"]:
    """Two coordinates of x, and two of t, with a correlation of 0.8."""
    covariance = np.eye(2 * d)
    for k in range(2):
        covariance[k, d + k] = covariance[d + k, k] = 0.8
    return covariance


def _half_cube(z: np.ndarray) -> np.ndarray:
    return np.sign(z) * np.abs(z) ** 1.5


def _wiggly_x(z: np.ndarray) -> np.ndarray:
    return z + 0.4 * np.sin(z) + 0.2 * np.sin(1.7 * z + 1.0) + 0.03 * np.sin(3.3 * z - 2.5)


def _wiggly_t(z: np.ndarray) -> np.ndarray:
    return z - 0.4 * np.sin(0.4 * z) + 0.17 * np.sin(1.3 * z + 3.5) + 0.02 * np.sin(4.3 * z - 2.5)


def _spiral(first: int, z: np.ndarray) -> np.ndarray:
    """Two neighbouring coordinates turn by the squared norm over the dimension; the norm stays."""
    angle = (z**2).sum(1) / z.shape[1]
    turned = z.copy()
    turned[:, first] = np.cos(angle) * z[:, first] - np.sin(angle) * z[:, first + 1]
    turned[:, first + 1] = np.sin(angle) * z[:, first] + np.cos(angle) * z[:, first + 1]
    return turned


#: By the names under which results list them: up to 5 + 5 dimensions.
PAIRS = {
    "normal 1 + 1": KnownPair(_dense(1, 0.75)),
    "wiggly 1 + 1": KnownPair(_dense(1, 0.75), _wiggly_x, _wiggly_t),
    "half-cube 1 + 1": KnownPair(_dense(1, 0.75), _half_cube, _half_cube),
    "Student 1 + 1, ν = 1": KnownPair(np.eye(2), degrees=1.0),
    "Student 2 + 2, ν = 2": KnownPair(np.eye(4), degrees=2.0),
    "asinh Student 3 + 3, ν = 2": KnownPair(np.eye(6), np.arcsinh, np.arcsinh, degrees=2.0),
    "normal 2 + 2": KnownPair(_dense(2)),
    "normal 3 + 3": KnownPair(_dense(3)),
    "normal 5 + 5": KnownPair(_dense(5)),
    "half-cube of sparse 5 + 5": KnownPair(_sparse(5), _half_cube, _half_cube),
    "spiral of sparse 3 + 3": KnownPair(_sparse(3), partial(_spiral, 0), partial(_spiral, 1)),
    "spiral of sparse 5 + 5": KnownPair(_sparse(5), partial(_spiral, 0), partial(_spiral, 1)),
}
