"""Functionals of a density whose steepest descent in the Wasserstein metric is a flow of particles (§A2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.errors import InputError
from flowplane.transport.densities import Density

__all__ = [
    "Entropy",
    "Functional",
    "InternalEnergy",
    "KullbackLeibler",
    "NegativeEntropy",
    "PotentialEnergy",
    "RenyiEntropy",
    "TsallisEntropy",
]

Column = Float[Tensor, " sample"]


@runtime_checkable
class Functional(Protocol):
    """F[p], written so that points of p and their log p give its value."""

    #: Of F.
    units: str

    def integrand(self, x: Float[Tensor, "sample feature"], log_prob: Column) -> Column:
        """The integrand whose mean over points of p is F[p] (for Rényi's entropy: ∫p^α)."""
        ...

    def value(self, mean: Tensor) -> Tensor:
        """F[p] from the mean of the integrand."""
        ...

    def pressure(self, density: Column, weights: Column) -> Column:
        """φ(p) with v = −φ(p)∇p − ∇(φ(p)p) + drift, the part of the velocity that comes from the density itself."""
        ...

    def drift(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """The part of the velocity that comes from outside."""
        ...


class _Plain:
    """A functional that is the mean of its integrand, without a drift."""

    units = "nats"

    def value(self, mean: Tensor) -> Tensor:
        """The mean itself."""
        return mean

    def drift(self, x: Tensor) -> Tensor:
        """None."""
        return torch.zeros_like(x)


@dataclass(frozen=True)
class Entropy(_Plain):
    """H[p] = −∫p log p; v = ∇log p, the backward heat equation ∂p = −Δp."""

    def integrand(self, x: Tensor, log_prob: Tensor) -> Tensor:
        """−log p."""
        return -log_prob

    def pressure(self, density: Tensor, weights: Tensor) -> Tensor:
        """−1/p."""
        return -1 / density


@dataclass(frozen=True)
class NegativeEntropy(_Plain):
    """−H[p]; v = −∇log p, the heat equation ∂p = Δp."""

    def integrand(self, x: Tensor, log_prob: Tensor) -> Tensor:
        """log p."""
        return log_prob

    def pressure(self, density: Tensor, weights: Tensor) -> Tensor:
        """1/p."""
        return 1 / density


@dataclass(frozen=True)
class KullbackLeibler(_Plain):
    """KL(p‖q); v = ∇log q − ∇log p, the Fokker–Planck equation towards `target` q.

    Raises:
        InputError: a target that is not a density.
    """

    target: Density

    def __post_init__(self) -> None:
        if not isinstance(self.target, Density):
            raise InputError("target", self.target, "a density, such as fp.Normal")
        self.target.require_density()

    def integrand(self, x: Tensor, log_prob: Tensor) -> Tensor:
        """log p − log q."""
        return log_prob - self.target.smoothing.log_prob(0.0, x)

    def pressure(self, density: Tensor, weights: Tensor) -> Tensor:
        """1/p."""
        return 1 / density

    def drift(self, x: Tensor) -> Tensor:
        """∇log q."""
        return self.target.smoothing.score(0.0, x)


class _Power(_Plain):
    """±(1/(α−1))∫p^α."""

    alpha: float
    sign: float
    units = "1"

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def integrand(self, x: Tensor, log_prob: Tensor) -> Tensor:
        """±p^{α−1}/(α−1)."""
        return self.sign * ((self.alpha - 1) * log_prob).exp() / (self.alpha - 1)

    def pressure(self, density: Tensor, weights: Tensor) -> Tensor:
        """±p^{α−2}."""
        return self.sign * density ** (self.alpha - 2)


@dataclass(frozen=True)
class InternalEnergy(_Power):
    """(1/(α−1))∫p^α; v = −αp^{α−2}∇p, the porous medium equation ∂p = Δp^α.

    Raises:
        InputError: α not positive, or 1.
    """

    alpha: float = 2.0
    sign = 1.0


@dataclass(frozen=True)
class TsallisEntropy(_Power):
    """−(1/(α−1))∫p^α; v = αp^{α−2}∇p, the backward porous medium equation ∂p = −Δp^α.

    Raises:
        InputError: α not positive, or 1.
    """

    alpha: float = 2.0
    sign = -1.0


@dataclass(frozen=True)
class RenyiEntropy(_Plain):
    """log ∫p^α/(1−α); v is that of Tsallis' entropy divided by ∫p^α: the same paths by another clock.

    Raises:
        InputError: α not positive, or 1.
    """

    alpha: float = 2.0

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def integrand(self, x: Tensor, log_prob: Tensor) -> Tensor:
        """p^{α−1}."""
        return ((self.alpha - 1) * log_prob).exp()

    def value(self, mean: Tensor) -> Tensor:
        """log(mean)/(1−α)."""
        return mean.log() / (1 - self.alpha)

    def pressure(self, density: Tensor, weights: Tensor) -> Tensor:
        """−p^{α−2}/∫p^α."""
        return -(density ** (self.alpha - 2)) / (weights * density ** (self.alpha - 1)).sum()


@dataclass(frozen=True)
class PotentialEnergy(_Plain):
    """∫V p; v = −∇V: every particle runs downhill on its own.

    Arguments:
        potential: V as a function of a float64 tensor (n, d), a tensor (n,), differentiable by torch.

    Raises:
        InputError: not a function.
    """

    potential: Callable[[Tensor], Tensor]
    units = "units of V"

    def __post_init__(self) -> None:
        if not callable(self.potential):
            raise InputError("potential", self.potential, "a function of points (n, d)")

    def integrand(self, x: Tensor, log_prob: Tensor) -> Tensor:
        """V."""
        return self.potential(x.clone())

    def pressure(self, density: Tensor, weights: Tensor) -> Tensor:
        """None."""
        return torch.zeros_like(density)

    def drift(self, x: Tensor) -> Tensor:
        """−∇V."""
        with torch.enable_grad():
            place = x if x.requires_grad else x.detach().requires_grad_()
            height = self.potential(place.clone())
            if not isinstance(height, Tensor) or height.shape != x.shape[:1] or not height.requires_grad:
                raise InputError("potential", height, f"a differentiable tensor of shape ({len(x)},), one number per point")
            (slope,) = torch.autograd.grad(height.sum(), place, create_graph=x.requires_grad)
        return -slope


def _check_alpha(alpha: float) -> None:
    if not isinstance(alpha, (int, float)) or not 0 < alpha < float("inf") or alpha == 1:
        raise InputError("alpha", alpha, "a positive number other than 1")
