"""Many points, each with the same Gaussian around it: denoising by attention over the points (A3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from flowplane.transport.smoothing import LOG_2PI, in_chunks

__all__ = ["PointSmoothing"]

#: On a GPU the memory-efficient kernel wants rows that are a multiple of this.
ROW = 8


class PointSmoothing:
    """Points x_j of weight w_j, smoothed by N(0, H): p_s = Σ_j w_j N(x_j, H + sI).

    In the axes of H, whose variances are h_i, the posterior mean given x̃ is attention over the points: softmax over j of
    Σ_i x̃_i x_ji/(h_i + s) − Σ_i x_ji²/2(h_i + s) + log w_j. The last two terms are one more column of the keys; its
    counterpart among the values gives the second moment for nothing. The points are centred first: far from the origin the
    logits would cancel.
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
        self.kernel = torch.zeros(points.shape[1], points.shape[1]).to(points) if kernel is None else kernel
        self._variances, self._axes = self._split(kernel)
        self.least_variance = float(self._variances.min())
        self._centre = points.mean(0, dtype=torch.float64)
        self._centred = self._moved(points)
        self._log_weights = log_weights
        self._log_total = math.log(len(points)) if log_weights is None else 0.0

    def log_prob(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log p_s(x) by a sum over all points, some of the rows at a time."""
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
        variances = self._variances + s
        x = self._moved(x)
        mean, second = self._attend(variances, x)
        spread = second - (mean / variances).square().sum(1)
        return self._turned((mean - x) / variances), spread - (1 / variances).sum()

    def hessian(self, s: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """(H + sI)⁻¹(Cov[x_j | x̃] − H − sI)(H + sI)⁻¹."""
        variances = self._variances + s
        bare = torch.diag(1 / variances)

        def matrix(x: Tensor) -> Tensor:
            shares = self._logits(variances, x).softmax(1)
            mean = shares @ self._centred
            # one row of the matrix at a time: no temporary is larger than the points
            second = torch.stack([shares @ (self._centred * column.unsqueeze(1)) for column in self._centred.T], 1)
            spread = second - mean.unsqueeze(2) * mean.unsqueeze(1)
            inner = spread / (variances.unsqueeze(1) * variances) - bare
            return inner if self._axes is None else self._axes @ inner @ self._axes.T

        return in_chunks(matrix, self._moved(x), len(self._centred) + self.dimension**2)

    def third_derivative(
        self, s: float, x: Float[Tensor, "sample feature"]
    ) -> Float[Tensor, "sample feature feature feature"]:
        """The third central moment of x_j given x̃, multiplied by (H + sI)⁻¹ in its three places."""
        variances = self._variances + s
        d = self.dimension
        pairs = self._centred.unsqueeze(2) * self._centred.unsqueeze(1)
        products = (pairs.unsqueeze(3) * self._centred[:, None, None, :]).reshape(len(self._centred), -1)

        def tensor(x: Tensor) -> Tensor:
            shares = self._logits(variances, x).softmax(1)
            mean = shares @ self._centred
            second = (shares @ pairs.reshape(len(pairs), -1)).reshape(-1, d, d)
            third = (shares @ products).reshape(-1, d, d, d)
            bent = second.unsqueeze(3) * mean[:, None, None, :]
            third = third - bent - bent.permute(0, 1, 3, 2) - bent.permute(0, 3, 2, 1)
            third = third + 2 * torch.einsum("ni,nj,nl->nijl", mean, mean, mean)
            third = third / (variances[:, None, None] * variances[:, None] * variances)
            if self._axes is None:
                return third
            return torch.einsum("nijl,ai,bj,cl->nabc", third, self._axes, self._axes, self._axes)

        return in_chunks(tensor, self._moved(x), len(self._centred) + d**3)

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

    def _attend(self, variances: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """E[x_j | x̃ = x] and Σ_i E[x_ji² | x̃ = x]/(h_i + s)²."""
        scale = variances.rsqrt()
        queries = self._padded(x * scale, torch.ones_like(x[:, 0]))
        keys = self._padded(self._centred * scale, self._bias(variances))
        values = self._padded(self._centred, (self._centred / variances).square().sum(1))
        moments = F.scaled_dot_product_attention(queries[None, None], keys[None, None], values[None, None], scale=1.0)[0, 0]
        return moments[:, : self.dimension], moments[:, self.dimension]

    def _padded(self, rows: Tensor, column: Tensor) -> Tensor:
        rows = torch.cat([rows, column.unsqueeze(1)], 1)
        extra = -rows.shape[1] % ROW if rows.is_cuda else 0
        return F.pad(rows, (0, extra)) if extra else rows
