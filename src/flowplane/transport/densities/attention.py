"""Many points, each with the same Gaussian around it: denoising by attention over the points (§A3)."""

from __future__ import annotations

import math
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from flowplane.transport.densities.smoothing import LOG_2PI, in_chunks

__all__ = ["PointSmoothing"]

#: On a GPU the memory-efficient kernel needs row lengths that are a multiple of this.
ROW = 8
#: Up to this dimension second and third moments are columns of the attention's values as well.
SMALL = 4
#: Squared spread of the points over the variance, beyond which float32 is left for float64: logits then err by 1e-3.
COARSE = 1e4


class PointSmoothing:
    """Points x_j of weight w_j, smoothed by N(0, H): p_s = Σ_j w_j N(x_j, H + sI).

    In the axes of H, whose variances are h_i, the posterior mean given x̃ is attention over the points: softmax over j of
    Σ_i x̃_i x_ji/(h_i + s) − Σ_i x_ji²/2(h_i + s) + log w_j. The last two terms are one more column of the keys; its
    counterpart among the values gives the second moment at no extra cost. The points are centred first: far from the origin
    the logits would cancel. Points in float32 are computed in float32 unless their spread is too large for the noise.
    """

    def __init__(
        self,
        points: Float[Tensor, "point feature"],
        log_weights: Float[Tensor, " point"] | None = None,
        kernel: Float[Tensor, "feature feature"] | None = None,
    ) -> None:
        self.terms, self.dimension = points.shape
        self.dtype, self.device = points.dtype, points.device
        self.points = points
        self.kernel = (
            torch.zeros(points.shape[1], points.shape[1], dtype=points.dtype, device=points.device)
            if kernel is None
            else kernel
        )
        self._variances, self._axes = self._split(kernel)
        self.least_variance = float(self._variances.min())
        self._centre = points.mean(0, dtype=torch.float64)
        self._centred = self._moved(points)
        self._reach = float(self._centred.square().sum(1).max())
        self._log_weights = log_weights
        self._log_total = math.log(len(points)) if log_weights is None else 0.0

    def log_prob(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log p_s(x) by a sum over all points, some of the rows at a time."""
        if self._too_coarse(s):
            return self._precise.log_prob(s, x).to(self.dtype)
        variances = self._variances + s
        constant = self._log_total + 0.5 * float(variances.log().sum()) + 0.5 * self.dimension * LOG_2PI

        def rows(x: Tensor) -> Tensor:
            return self._logits(variances, x).logsumexp(1) - (x.square() / (2 * variances)).sum(1)

        return in_chunks(rows, self._moved(x), len(self._centred)) - constant

    def score(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """(H + sI)⁻¹(E[x_j | x̃ = x] − x)."""
        return self.score_and_divergence(s, x)[0]

    def score_and_divergence(
        self, s: float, x: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """The score, and Σ_i (Var[x_ji | x̃]/(h_i + s) − 1)/(h_i + s)."""
        if self._too_coarse(s):
            score, divergence = self._precise.score_and_divergence(s, x)
            return score.to(self.dtype), divergence.to(self.dtype)
        variances = self._variances + s
        x = self._moved(x)
        squares = (self._centred / variances).square().sum(1, keepdim=True)
        moments = self._attend(variances, x, torch.cat([self._centred, squares], 1))
        mean, second = moments[:, :-1], moments[:, -1]
        spread = second - (mean / variances).square().sum(1)
        return self._turned((mean - x) / variances), spread - (1 / variances).sum()

    def hessian(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """(H + sI)⁻¹(Cov[x_j | x̃] − H − sI)(H + sI)⁻¹."""
        if self._too_coarse(s):
            return self._precise.hessian(s, x).to(self.dtype)
        variances = self._variances + s
        mean, second = self._posterior(variances, self._moved(x), 2)
        spread = second - mean.unsqueeze(2) * mean.unsqueeze(1)
        inner = spread / (variances.unsqueeze(1) * variances) - torch.diag(1 / variances)
        return inner if self._axes is None else self._axes @ inner @ self._axes.T

    def third_derivative(
        self, s: float, x: Float[Tensor, "sample feature"]
    ) -> Float[Tensor, "sample feature feature feature"]:
        """The third central moment of x_j given x̃, multiplied by (H + sI)⁻¹ in its three places."""
        if self._too_coarse(s):
            return self._precise.third_derivative(s, x).to(self.dtype)
        variances = self._variances + s
        mean, second, third = self._posterior(variances, self._moved(x), 3)
        bent = second.unsqueeze(3) * mean[:, None, None, :]
        third = third - bent - bent.permute(0, 1, 3, 2) - bent.permute(0, 3, 2, 1)
        third = third + 2 * torch.einsum("ni,nj,nl->nijl", mean, mean, mean)
        third = third / (variances[:, None, None] * variances[:, None] * variances)
        if self._axes is None:
            return third
        return torch.einsum("nijl,ai,bj,cl->nabc", third, self._axes, self._axes, self._axes)

    def _posterior(self, variances: Tensor, x: Tensor, order: int) -> list[Tensor]:
        """E[x_j], E[x_j⊗x_j], … given x̃, up to an order."""
        d, points = self.dimension, self._centred
        if d <= SMALL:
            products = [points]
            for _ in range(order - 1):
                products.append((products[-1].unsqueeze(2) * points.unsqueeze(1)).reshape(len(points), -1))
            found = self._attend(variances, x, torch.cat(products, 1))
            parts = found.split([part.shape[1] for part in products], 1)
            return [part.reshape(-1, *(d,) * (k + 1)) for k, part in enumerate(parts)]

        def moments(x: Tensor) -> tuple[Tensor, ...]:
            shares = self._logits(variances, x).softmax(1)
            parts = [shares @ points]
            # one row of the matrix at a time: no temporary is larger than the points
            parts.append(torch.stack([shares @ (points * column.unsqueeze(1)) for column in points.T], 1))
            if order == 3:
                third = [shares @ (points * (a * b).unsqueeze(1)) for a in points.T for b in points.T]
                parts.append(torch.stack(third, 1).reshape(-1, d, d, d))
            return tuple(parts)

        return list(in_chunks(moments, x, len(points) + d**order))

    def _split(self, kernel: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The kernel's variances and its axes in columns; no axes where it is the same in every direction."""
        if kernel is None:
            return torch.zeros(self.dimension, dtype=self.dtype, device=self.device), None
        values, vectors = torch.linalg.eigh(kernel.to(self.device, torch.float64))
        same = float(values[-1] - values[0]) <= 1e-12 * float(values[-1])
        return values.to(self.dtype), None if same else vectors.to(self.dtype)

    def _moved(self, x: Tensor) -> Tensor:
        x = (x - self._centre).to(self.dtype)
        return x if self._axes is None else x @ self._axes

    def _turned(self, x: Tensor) -> Tensor:
        return x if self._axes is None else x @ self._axes.T

    def _bias(self, variances: Tensor) -> Tensor:
        bias = -(self._centred.square() / (2 * variances)).sum(1)
        return bias if self._log_weights is None else bias + self._log_weights

    def _logits(self, variances: Tensor, x: Tensor) -> Tensor:
        return (x / variances) @ self._centred.T + self._bias(variances)

    def _attend(self, variances: Tensor, x: Tensor, values: Tensor) -> Tensor:
        """E[values_j | x̃ = x]; rows are padded with zeros to one width, so that the memory-efficient kernel is kept."""
        scale = variances.rsqrt()
        queries = torch.cat([x * scale, torch.ones_like(x[:, :1])], 1)
        keys = torch.cat([self._centred * scale, self._bias(variances).unsqueeze(1)], 1)
        width = max(keys.shape[1], values.shape[1])
        width += -width % ROW if x.is_cuda else 0
        parts = (F.pad(rows, (0, width - rows.shape[1]))[None, None] for rows in (queries, keys, values))
        query, key, value = parts
        return F.scaled_dot_product_attention(query, key, value, scale=1.0)[0, 0, :, : values.shape[1]]

    def _too_coarse(self, s: float) -> bool:
        """Whether float32 would lose the logits, which are as large as the squared spread over the variance."""
        return self.dtype == torch.float32 and self._reach > COARSE * (self.least_variance + s)

    @cached_property
    def _precise(self) -> PointSmoothing:
        """The same in float64."""
        log_weights = None if self._log_weights is None else self._log_weights.double()
        return PointSmoothing(self.points.double(), log_weights, self.kernel.double())
