"""A density and its convolutions with Gaussian noise: what every denoising flow is made of.

For p a sum of Gaussians, p_s = p * N(0, sI) is known for every s above −(smallest variance), negative ones included:
positive s is the noise of a denoiser (§A3), s = −2t the density at time t of the continuous flow (§A5).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["MixtureSmoothing", "RoundSmoothing", "Smoothing", "in_chunks", "mixture_smoothing"]

LOG_2PI = math.log(2 * math.pi)
#: Numbers that one temporary may hold: 128 MiB in float64.
TEMPORARY = 1 << 24
#: Squared distance between components over the least variance, beyond which squares are not written out: they would cancel.
SPREAD = 1e5


@runtime_checkable
class Smoothing(Protocol):
    """p_s = p * N(0, sI): its logarithm and the derivatives of that, at points."""

    dimension: int
    dtype: torch.dtype
    device: torch.device
    #: The least variance: s must stay above its negative.
    least_variance: float
    #: How many Gaussians it is a sum of.
    terms: int

    def log_prob(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log p_s(x), in nats."""
        ...

    def score(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """∇log p_s(x)."""
        ...

    def score_and_divergence(
        self, s: float, x: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """∇log p_s(x) and Δlog p_s(x)."""
        ...

    def hessian(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """∇²log p_s(x); the denoiser's Jacobian is I + s∇²log p_s, the posterior covariance divided by s."""
        ...

    def third_derivative(
        self, s: float, x: Float[Tensor, "sample feature"]
    ) -> Float[Tensor, "sample feature feature feature"]:
        """∇³log p_s(x)."""
        ...


class MixtureSmoothing:
    """Gaussians with any covariances: one eigendecomposition serves every s."""

    def __init__(
        self,
        weights: Float[Tensor, " component"],
        means: Float[Tensor, "component feature"],
        covariances: Float[Tensor, "component feature feature"],
    ) -> None:
        self.weights, self.means, self.covariances = weights, means, covariances
        self.terms, self.dimension = means.shape
        self.dtype, self.device = means.dtype, means.device
        self._centre = weights @ means
        self._centred = means - self._centre
        self._log_weights = weights.log()
        values, vectors = torch.linalg.eigh(covariances)
        self.eigenvalues = values
        self.least_variance = float(values.min())
        # rows of `axes` are all eigenvectors, one component after another
        self._axes = vectors.transpose(1, 2).reshape(-1, self.dimension)
        self._offsets = torch.einsum("kij,kj->ki", vectors.transpose(1, 2), self._centred)

    def log_prob(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log p_s(x)."""
        return in_chunks(lambda rows: self.component_log_probs(s, rows).logsumexp(1), x, self._width)

    def component_log_probs(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample component"]:
        """log w_k N(x; μ_k, Σ_k + sI)."""
        return self._logs(s, x).T

    def score(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """Σ r_k(x) (Σ_k + sI)⁻¹ (μ_k − x), r_k the probability of component k given x."""

        def rows(x: Tensor) -> Tensor:
            logs, pulls, _ = self._terms(s, x)
            return self._pulled(logs.softmax(0), pulls)

        return in_chunks(rows, x, self._width)

    def score_and_divergence(
        self, s: float, x: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """∇log p_s and Δlog p_s = Σ r_k (|g_k|² − tr P_k) − |∇log p_s|², g_k the score of component k, P_k its precision."""

        def both(rows: Tensor) -> tuple[Tensor, Tensor]:
            logs, pulls, precisions = self._terms(s, rows)
            shares = logs.softmax(0)
            score = self._pulled(shares, pulls)
            own = pulls.square().sum(1) - precisions.sum(1)
            return score, (shares * own).sum(0) - score.square().sum(1)

        return in_chunks(both, x, self._width)

    def hessian(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """M − ∇log p_s ∇log p_sᵀ with M = Σ r_k (g_k g_kᵀ − P_k)."""

        def matrix(rows: Tensor) -> Tensor:
            _, _, score, second = self._moments(s, rows)
            return second - score.unsqueeze(2) * score.unsqueeze(1)

        return in_chunks(matrix, x, self._width * self.dimension)

    def third_derivative(
        self, s: float, x: Float[Tensor, "sample feature"]
    ) -> Float[Tensor, "sample feature feature feature"]:
        """Σ r_k (g_k⊗g_k⊗g_k − 3P_k⊗g_k) − 3M⊗s + 2s⊗s⊗s, s = ∇log p_s, where 3A⊗b is summed over the three places of b."""

        def tensor(rows: Tensor) -> Tensor:
            shared, forces, score, second = self._moments(s, rows)
            third = torch.einsum("nki,nkj,nkl->nijl", shared, forces, forces)
            bent = torch.einsum("kij,nkl->nijl", self._curvature(s), shared) + second.unsqueeze(3) * score[:, None, None, :]
            third = third - bent - bent.permute(0, 1, 3, 2) - bent.permute(0, 3, 2, 1)
            return third + 2 * torch.einsum("ni,nj,nl->nijl", score, score, score)

        return in_chunks(tensor, x, self._width * self.dimension**2)

    @property
    def _width(self) -> int:
        return self.means.numel()

    def _logs(self, s: float, x: Tensor) -> Tensor:
        """log w_k N(x; μ_k, Σ_k + sI), (component, sample)."""
        return self._terms(s, x)[0]

    def _terms(self, s: float, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log w_k N(x; μ_k, Σ_k + sI); (Σ_k + sI)⁻¹(x − μ_k) in the component's own axes; the precisions along those.

        Samples come last, so that sums over components and coordinates are sums of long rows.
        """
        precisions = (1.0 / (self.eigenvalues + s)).unsqueeze(2)
        along = (self._axes @ (x - self._centre).T).reshape(self.terms, self.dimension, -1) - self._offsets.unsqueeze(2)
        pulls = along * precisions
        constant = self._log_weights.unsqueeze(1) + 0.5 * precisions.log().sum(1) - 0.5 * self.dimension * LOG_2PI
        return constant - 0.5 * (along * pulls).sum(1), pulls, precisions

    def _moments(self, s: float, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """r_k g_k, g_k, ∇log p_s and M."""
        logs, pulls, _ = self._terms(s, x)
        shares = logs.softmax(0).T
        forces = -torch.einsum("kin,kij->nkj", pulls, self._axes.reshape(-1, self.dimension, self.dimension))
        shared = forces * shares.unsqueeze(2)
        second = shared.transpose(1, 2) @ forces - torch.einsum("nk,kij->nij", shares, self._curvature(s))
        return shared, forces, shared.sum(1), second

    def _curvature(self, s: float) -> Tensor:
        """P_k = (Σ_k + sI)⁻¹."""
        axes = self._axes.reshape(-1, self.dimension, self.dimension)
        return axes.transpose(1, 2) @ (axes / (self.eigenvalues + s).unsqueeze(2))

    def _pulled(self, shares: Tensor, pulls: Tensor) -> Tensor:
        return -((shares.unsqueeze(1) * pulls).reshape(-1, shares.shape[1]).T @ self._axes)


class _IsotropicSmoothing(MixtureSmoothing):
    """Components that are round: everything by matrix products, nothing for each coordinate of each component."""

    def score(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """Σ r_k(x)(μ_k − x)/(σ_k² + s)."""
        pulls = self._pulls(self._precisions(s))

        def rows(x: Tensor) -> Tensor:
            means = (pulls.T @ self._logs(s, x).softmax(0)).T
            return means[:, 1:] - (x - self._centre) * means[:, :1]

        return in_chunks(rows, x, 2 * self.terms)

    def score_and_divergence(
        self, s: float, x: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """The same, and Σ r_k(|x − μ_k|²/(σ_k² + s)² − d/(σ_k² + s)) − |∇log p_s|²."""
        precisions, d = self._precisions(s), self.dimension
        pulls = self._pulls(precisions)
        squares = (precisions.unsqueeze(1) * self._centred).square().sum(1)
        columns = torch.cat([pulls, precisions.unsqueeze(1) * pulls, squares.unsqueeze(1)], 1)

        def both(rows: Tensor) -> tuple[Tensor, Tensor]:
            means = (columns.T @ self._logs(s, rows).softmax(0)).T
            rows = rows - self._centre
            score = means[:, 1 : d + 1] - rows * means[:, :1]
            size = rows.square().sum(1) * means[:, d + 1] - 2 * (rows * means[:, d + 2 : 2 * d + 2]).sum(1) + means[:, -1]
            return score, size - d * means[:, 0] - score.square().sum(1)

        return in_chunks(both, x, 2 * self.terms)

    def _logs(self, s: float, x: Tensor) -> Tensor:
        """log w_k N(x; μ_k, (σ_k² + s)I), linear in x and |x|², (component, sample)."""
        x = x - self._centre
        precisions = self._precisions(s)
        constant = self._log_weights + 0.5 * self.dimension * (precisions.log() - LOG_2PI)
        constant = constant - 0.5 * precisions * self._centred.square().sum(1)
        slopes = torch.cat([precisions.unsqueeze(1) * self._centred, -0.5 * precisions.unsqueeze(1)], 1)
        return torch.addmm(constant.unsqueeze(1), slopes, torch.cat([x, x.square().sum(1, keepdim=True)], 1).T)

    def _precisions(self, s: float) -> Tensor:
        return 1.0 / (self.eigenvalues[:, 0] + s)

    def _pulls(self, precisions: Tensor) -> Tensor:
        """1 and μ_k, times the precision."""
        return precisions.unsqueeze(1) * torch.cat([torch.ones_like(self._centred[:, :1]), self._centred], 1)


class RoundSmoothing(_IsotropicSmoothing):
    """N(μ, vI), in any number of dimensions: no matrix is made until it is asked for."""

    def __init__(self, mean: Float[Tensor, " feature"], variance: float) -> None:
        self.weights, self.means = torch.ones_like(mean[:1]), mean.unsqueeze(0)
        self.terms, self.dimension = self.means.shape
        self.dtype, self.device = mean.dtype, mean.device
        self._centre, self._centred = mean, torch.zeros_like(self.means)
        self._log_weights = torch.zeros_like(self.weights)
        self.eigenvalues = torch.full_like(self.means, variance)
        self.least_variance = float(variance)

    @cached_property
    def covariances(self) -> Float[Tensor, "1 feature feature"]:  # type: ignore[override]
        """vI."""
        return torch.diag_embed(self.eigenvalues)

    @cached_property
    def _axes(self) -> Tensor:  # type: ignore[override]
        return torch.eye(self.dimension, dtype=self.dtype, device=self.device)

    @property
    def _offsets(self) -> Tensor:  # type: ignore[override]
        return self._centred

    @property
    def _width(self) -> int:
        return self.dimension


def mixture_smoothing(
    weights: Float[Tensor, " component"],
    means: Float[Tensor, "component feature"],
    covariances: Float[Tensor, "component feature feature"],
) -> MixtureSmoothing:
    """The smoothing of Σ w_k N(μ_k, Σ_k), by the shorter way where all Σ_k are multiples of the identity."""
    variances = covariances.diagonal(dim1=1, dim2=2)
    identity = torch.eye(means.shape[1], dtype=means.dtype, device=means.device)
    round_ones = variances.mean(1)[:, None, None] * identity
    reach = float((means - weights @ means).square().sum(1).max()) / float(variances.min())
    if reach < SPREAD and float((covariances - round_ones).abs().max()) <= 1e-13 * float(variances.max()):
        return _IsotropicSmoothing(weights, means, round_ones)
    return MixtureSmoothing(weights, means, covariances)


def in_chunks(function: Callable[[Tensor], Any], x: Tensor, width: int) -> Any:
    """`function` of a few rows at a time, so that a temporary of `width` numbers per row stays within 128 MiB."""
    rows = max(1, TEMPORARY // max(width, 1))
    if len(x) <= rows:
        return function(x)
    parts = [function(chunk) for chunk in x.split(rows)]
    if isinstance(parts[0], tuple):
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))
    return torch.cat(parts)
