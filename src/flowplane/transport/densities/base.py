"""What every density can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_tensor
from flowplane.core.modes import in_own_modes
from flowplane.core.points import Form, as_points, check_count, check_seed
from flowplane.core.streams import ENTROPY, SAMPLES, generator
from flowplane.errors import InputError
from flowplane.transport.densities.smoothing import Smoothing
from flowplane.transport.estimate import Estimate

__all__ = ["Density"]


class Density(ABC):
    """A probability density p on R^d: samples, log p and its score in closed form, and p * N(0, C).

    `sample` answers in the kind, dtype and device of the parameters; functions of x in those of x. Everything is computed in
    float64 on the device of the parameters (a float32 `Empirical` in float32).
    """

    dimension: int
    #: p * N(0, sI) for every s that it allows.
    smoothing: Smoothing
    #: False for bare atoms.
    has_density: bool = True
    _form: Form

    @property
    @abstractmethod
    def mean(self) -> Any:
        """E x, shape (d,)."""

    @property
    @abstractmethod
    def covariance(self) -> Any:
        """Cov x, shape (d, d)."""

    @property
    def scale(self) -> float:
        """√(tr Cov/d), the standard deviation per coordinate."""
        covariance = as_tensor("covariance", self.covariance).double()
        return float(covariance.diagonal().mean().sqrt())

    @abstractmethod
    def smoothed(self, covariance: Any) -> Density:
        """p * N(0, C): the density of x + ε, where ε ~ N(0, C).

        Arguments:
            covariance: a variance in every direction, or a symmetric positive definite matrix.

        Raises:
            InputError: not a covariance of this dimension.
        """

    @abstractmethod
    def whitened(self, matrix: Float[Tensor, "feature feature"]) -> Density:
        """The density of Mx, for an invertible matrix M."""

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator) -> Float[Tensor, "sample feature"]:
        """n independent points as a tensor of the smoothing's dtype and device, from a generator on the CPU, so that every
        device sees the same."""

    @in_own_modes
    def sample(self, n: int, seed: Any = None) -> Any:
        """n independent points, shape (n, d).

        Arguments:
            n: how many.
            seed: None draws other points at every call. A whole number draws the same points again for the same n, others
                for another n, never those that a flow's measures or training draw, whatever their seeds. A NumPy or torch
                generator goes on where it is.

        Raises:
            InputError: n is not a whole number above 0; seed is none of these.

        Example:
            >>> import flowplane as fp
            >>> p = fp.Normal(0.0, 1.0)
            >>> bool((p.sample(3, seed=0) == p.sample(3, seed=0)).all()), bool((p.sample(3) == p.sample(3)).any())
            (True, False)
        """
        count = check_count("n", n)
        own = np.random.default_rng() if seed is None else generator(check_seed(seed), SAMPLES, count)
        return Form(self._form.dtype, self._form.device, (count,)).points(self.draw(count, own))

    @in_own_modes
    def log_prob(self, x: Any) -> Any:
        """log p(x) in nats, shape (…) for x of shape (…, d).

        Raises:
            InputError: x has another dimension, is empty, or holds NaN; the density is bare atoms.
        """
        self.require_density()
        rows, form = self._rows(x)
        return form.values(self.smoothing.log_prob(0.0, rows))

    @in_own_modes
    def score(self, x: Any) -> Any:
        """∇log p(x), shape (…, d), in closed form.

        Raises:
            InputError: x has another dimension, is empty, or holds NaN; the density is bare atoms.
        """
        self.require_density()
        rows, form = self._rows(x)
        return form.points(self.smoothing.score(0.0, rows))

    @in_own_modes
    def entropy(self, samples: int = 10_000, seed: Any = 0) -> Estimate:
        """Differential entropy −∫p log p in nats: a float that carries its standard error and its method.

        In closed form for a Gaussian, otherwise the mean of −log p over `samples` points of p.
        """
        samples = check_count("samples", samples, 2)
        self.require_density()
        surprise = -self.smoothing.log_prob(0.0, self.draw(samples, generator(check_seed(seed), ENTROPY)))
        error = float(surprise.std()) / samples**0.5
        return Estimate(float(surprise.mean()), error, f"Monte Carlo, {samples} points", "nats")

    def require_density(self) -> None:
        """Raise InputError for bare atoms, which have no log_prob, score or entropy."""
        if not self.has_density:
            expected = "one, because atoms have no density: Empirical(points, kernel_covariance=…) or .smoothed(variance)"
            raise InputError("kernel_covariance", None, expected)

    def _rows(self, x: Any) -> tuple[Float[Tensor, "sample feature"], Form]:
        return as_points("x", x, self.dimension, self.smoothing.dtype, self.smoothing.device)
