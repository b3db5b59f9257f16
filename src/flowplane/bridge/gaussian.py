"""The Gaussian part: what linear denoisers leave, judged on samples that they were not fitted to (§C1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Gaussian", "linear_bound"]

#: Shares of the mean variance that an eigenvalue may be shrunk to.
SHRINKAGES = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Noise, as shares of the total variance, over which a shrinkage has to do well: the same whatever is asked for.
JUDGED = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


def linear_bound(
    variances: Float[Tensor, "*batch direction"], noise: Float[Tensor, " start"]
) -> Float[Tensor, "*batch start"]:
    """½ Σ ln(1 + λ/t) in nats: the information of a normal of these variances through noise of variance t.

    Example:
        >>> round(linear_bound(torch.tensor([3.0]), torch.tensor([1.0])).item() / 0.693147, 5)
        1.0
    """
    return 0.5 * torch.log1p(variances[..., None] / noise).sum(-2)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A normal fitted to samples, its eigenvalues shrunk towards their mean; directions in which the samples do not vary,
    where there are more units than samples, have the share of that mean that shrinking gives them."""

    mean: Float[Tensor, " unit"]
    axes: Float[Tensor, "unit direction"]
    variances: Float[Tensor, " direction"]
    #: Variance in each direction that `axes` leave out, and how many these are.
    rest: float
    left: int

    @classmethod
    def fitted(cls, t: Float[Tensor, "sample unit"]) -> Gaussian:
        """By mean and covariance of the samples, not shrunk."""
        mean = t.mean(0)
        centred = t - mean
        n, units = t.shape
        if units < n:
            variances, axes = torch.linalg.eigh(centred.T @ centred / n)
        else:
            squares, shares = torch.linalg.eigh(centred @ centred.T / n)
            kept = squares > 1e-12 * squares[-1].clamp_min(1e-300) * n
            variances = squares[kept]
            axes = centred.T @ shares[:, kept] / (variances * n).sqrt()
        return cls(mean, axes.flip(1), variances.clamp_min(0.0).flip(0), 0.0, units - len(variances))

    def shrunk(self, share: float) -> Gaussian:
        """With eigenvalues shrunk towards their mean over all directions."""
        level = float(self.variances.sum()) / (len(self.variances) + self.left)
        return replace(self, variances=(1 - share) * self.variances + share * level, rest=share * level)

    @classmethod
    def chosen(cls, t: Float[Tensor, "sample unit"], search: Int[Tensor, " row"], choice: Int[Tensor, " row"]) -> Gaussian:
        """Fitted to both kinds of rows, with the shrinkage that leaves least of `choice` if it is fitted to `search`."""
        rows = torch.cat([search, choice])
        total = float(t[rows].var(0, correction=0).sum()) or 1.0
        noise = torch.tensor(JUDGED, dtype=torch.float64, device=t.device) * total
        tried = cls.fitted(t[search])
        left = [float(tried.shrunk(share).terms(t[choice], noise).mean(0).sum()) for share in SHRINKAGES]
        return cls.fitted(t[rows]).shrunk(SHRINKAGES[left.index(min(left))])

    def along(self, t: Float[Tensor, "sample unit"]) -> tuple[Float[Tensor, "sample direction"], Float[Tensor, " sample"]]:
        """Samples along the axes, and their squared distance from them."""
        centred = t - self.mean
        places = centred @ self.axes
        return places, (centred.square().sum(1) - places.square().sum(1)).clamp_min(0.0)

    def terms(self, t: Float[Tensor, "sample unit"], noise: Float[Tensor, " start"]) -> Float[Tensor, "sample start"]:
        """½ ∫_t^∞ E|t_i − ĝ_τ|²/τ² dτ for each sample and the linear denoiser ĝ, in nats; its mean over samples that the
        normal was not fitted to is an upper bound on I(T; T_t) in expectation."""
        places, beyond = self.along(t)
        known, other = self.variances[:, None] + noise, self.rest + noise
        of_normal = torch.log1p(self.variances[:, None] / noise).sum(0) + self.left * torch.log1p(self.rest / noise)
        beside = places.square() @ (1 / known) - (self.variances[:, None] / known).sum(0)
        return 0.5 * (of_normal + beside + (beyond[:, None] - self.left * self.rest) / other)

    def errors(self, t: Float[Tensor, "sample unit"], noise: Float[Tensor, " start"]) -> Float[Tensor, "sample start"]:
        """E|t_i − ĝ_τ|² of each sample: the linear denoiser's bias, and the noise that it lets through."""
        places, beyond = self.along(t)
        known, other = self.variances[:, None] / (self.variances[:, None] + noise), self.rest / (self.rest + noise)
        through = noise * (known.square().sum(0) + self.left * other.square())
        return places.square() @ (1 - known).square() + beyond[:, None] * (1 - other).square() + through
