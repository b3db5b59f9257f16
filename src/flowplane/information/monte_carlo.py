"""The information that passes through Gaussian noise, integrated numerically: what the bounds on it are held to (§B4)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from flowplane.core.points import check_count, check_positive, in_scale, row_blocks
from flowplane.core.renamed import renamed
from flowplane.core.results import CONFIDENCE, Z
from flowplane.information.estimator import Estimator, constant_units, raised
from flowplane.information.known import Estimates, Known, Quantity

__all__ = ["MonteCarlo"]

#: `saturated` where I(X;T) exceeds this share of H(X).
SATURATION = 0.99
#: Draws of the noise in all, by default: with few points, one draw each says little about what noise does.
DRAWS = 1000
#: Standard deviations of the noise beyond which it does not matter how far points are apart: squares must not overflow.
FAR = 1e150


@renamed
@dataclass(frozen=True)
class MonteCarlo(Estimator):
    """I(X;T+Z) and I(T+Z;Y), Z ~ N(0, σ²I), where T is a function of x and the samples are all possible x: exact but
    for the error of a Monte Carlo integral.

    T + Z is then a mixture of normals around the samples, whose log density is averaged over draws from it:
    I(X;T+Z) = −E log p(t+z) − ½ d log(2πeσ²), and I(T+Z;Y) = H(Y) + E log p(y|t+z).

    See also: Goldfeld et al. (ICML 2019), arXiv 1810.05728. docs/papers.md §B3, §B4.

    Arguments:
        noise_variance: σ² of the noise, a coordinate of the result.
        draws: of the noise, for each sample; None for as many as make a thousand in all.
        deterministic: T is known to be a function of x; else the flag `not_a_function` says where the inputs show that it is
            not.

    Intervals hold the error of the integral, not that of samples from a larger population: for these see `Pairwise`.

    Raises:
        InputError: a variance that is not above 0, fewer than one draw.

    Example:
        >>> plane = MonteCarlo(0.01)([[-1.0], [1.0]], [0, 1])
        >>> round(float(plane.i_xt), 6), round(float(plane.i_ty), 6)
        (1.0, 1.0)
    """

    block_values: ClassVar[int] = 1 << 18
    needs_function: ClassVar[bool] = True

    noise_variance: float
    draws: int | None = None
    deterministic: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        variance = check_positive("noise_variance", self.noise_variance, "the variance of Gaussian noise, above 0")
        object.__setattr__(self, "noise_variance", variance)
        if self.draws is not None:
            object.__setattr__(self, "draws", check_count("draws", self.draws))

    def _about(self, known: Known) -> dict[str, Any]:
        return {
            "channel": f"Gaussian noise of variance {self.noise_variance:.6g} added to each unit",
            "i_xt": {"x": "every sample is its own x, and there are no others"},
            "coords": {"noise_variance": self.noise_variance},
        }

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        n, units = values.shape[1:]
        count = self.draws or -(-DRAWS // n)
        noise = np.random.default_rng([known.seed, 4]).normal(size=(count, n, units))
        columns = known.mass.unsqueeze(1)
        if known.conditional is not None:
            columns = torch.cat([columns, columns * known.conditional], 1)
        draws = torch.from_numpy(noise).to(values.device)
        members = [self._member(layer.double(), draws, columns, known) for layer in values]
        i_xt, i_ty, h_t = (Quantity.stacked(column) for column in zip(*members, strict=True))
        h_x = float(torch.special.entr(known.mass).sum() / math.log(2.0))
        constant = constant_units(values).any(1)
        flags = raised(known, values, saturated=i_xt.value >= SATURATION * h_x, constant_units=constant)
        return Estimates(i_xt, i_ty, h_t, flags)

    def _member(self, t: Tensor, noise: Tensor, columns: Tensor, known: Known) -> tuple[Quantity, Quantity, Quantity]:
        n, units = t.shape
        # distances in units of σ√2
        t, power = in_scale(t, (0, 1))
        centres = (t - t.mean(0)) * min(float(power) / math.sqrt(2 * self.noise_variance), FAR)
        squares = centres.square().sum(1)
        density = torch.empty((len(noise), n, columns.shape[1]), dtype=torch.float64, device=t.device)
        for draw in range(len(noise)):
            points = centres + noise[draw] / math.sqrt(2.0)
            for rows in row_blocks(n, t.device):
                some = points[rows]
                d = torch.addmm(squares, some, centres.T, alpha=-2.0).add_(some.square().sum(1, keepdim=True))
                # relative to the density of the noise around the sample's own centre, which is never small
                own = noise[draw, rows].square().sum(1, keepdim=True) / 2
                d = torch.maximum(d - own, -own)
                d[torch.arange(len(d), device=d.device), torch.arange(rows.start, rows.stop, device=d.device)] = 0.0
                density[draw, rows] = d.neg_().exp_() @ columns
        logs = torch.where(known.mass > 0, density[:, :, 0], 1.0).log2()
        i_xt = self._mean(-logs, known)
        h_z = 0.5 * units * math.log2(2 * math.pi * math.e * self.noise_variance)
        h_t = Quantity(*(part + h_z for part in i_xt))
        if known.conditional is None:
            nan = torch.full_like(i_xt.value, torch.nan)
            return i_xt, Quantity(nan, nan, nan), h_t
        posterior = (density[:, :, 1:] / density[:, :, :1].clamp_min(1e-300)).clamp(0.0, 1.0)
        left = torch.special.entr(posterior).sum(2) / math.log(2.0)
        surprise = self._mean(known.label_entropy - left, known)
        return i_xt, surprise, h_t

    def _mean(self, terms: Float[Tensor, "draw sample"], known: Known) -> Quantity:
        """The mean over all samples and draws: only the noise is random, so differences between samples are no error."""
        value = (terms @ known.mass).mean()
        draws, n = terms.shape
        # with one draw all differences are attributed to the noise: an upper limit
        spread = terms.var(0) if draws > 1 else terms.var(1).expand(n)
        error = ((spread * known.mass.square()).sum() / draws).sqrt()
        student = float(stdtrit(max(n * (draws - 1), n - 1), 0.5 + CONFIDENCE / 2)) / Z
        return Quantity.around(value, student * error)
