"""Canonical coordinates of two vectors, and the normal conditional denoiser, which acts on them one by one (§C3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.bridge.training import Guess, taken

__all__ = ["Canonical"]

#: The least variance that may be left of a coordinate given the other vector, of 1.
FLOOR = 1e-5
#: Directions with less than this share of the largest variance are left out: they are functions of the others.
CONSTANT = 1e-9
#: log τ of the integrals that need no learning goes from minus this to this.
EXTENT, NODES = 25.0, 240


@dataclass(frozen=True)
class Canonical:
    """T and Y, each white; T_j correlates with Y_j only. Given Y, T_j is as if normal about ρ_j Y_j with variance 1 − ρ_j².

    A model is a fold, with coordinates of its training rows. Solves `flowplane.bridge.training.Base`.
    """

    t: Float[Tensor, "model sample unit"]
    y: Float[Tensor, "model sample feature"]
    correlation: Float[Tensor, "model unit"]

    @classmethod
    def of(
        cls, t: Float[Tensor, "sample unit"], y: Float[Tensor, "sample feature"], training: Bool[Tensor, "model sample"]
    ) -> Canonical:
        """The canonical coordinates of each model's training rows, of all rows.

        Example:
            >>> y = torch.randn(500, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            >>> round(float(Canonical.of(2 * y, y, torch.ones(1, 500, dtype=torch.bool)).correlation), 3)
            1.0
        """
        t, y = _spanned(t), _spanned(y)
        folds = [_canonical(t, y, rows) for rows in training]
        return cls(*(torch.stack(part) for part in zip(*folds, strict=True)))

    def single(self) -> Canonical:
        """The same in float32, in which networks are trained."""
        return replace(self, t=self.t.float(), y=self.y.float(), correlation=self.correlation.float())

    @property
    def features(self) -> int:
        """t̃ about its mean given Y, t̃, the logarithm of the first's length, Y, that of its length, whether Y is given."""
        return 2 * self.t.shape[2] + self.y.shape[2] + 3

    @property
    def variance(self) -> Float[Tensor, "model unit"]:
        """Of T_j given Y."""
        return 1 - self.correlation.square()

    def clean(self, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row unit"]:
        """T of the rows of these numbers."""
        return taken(self.t, rows)

    def guess(
        self,
        noisy: Float[Tensor, "model row unit"],
        level: Float[Tensor, "model row"],
        rows: Int[Tensor, "model row"],
        given: Bool[Tensor, "model row"],
    ) -> Guess:
        """m + s(t̃ − m), s = v/(v + τ), with v = 1 and m = 0, or 1 − ρ² and ρY."""
        told, level = given[:, :, None], level[:, :, None]
        y = taken(self.y, rows) * told
        mean = _leading(y, noisy.shape[2]) * self.correlation[:, None]
        variance = torch.where(told, self.variance[:, None], torch.ones_like(self.variance)[:, None])
        shrink = variance / (variance + level)
        about = (noisy - mean) / (variance + level).sqrt()
        features = [about, noisy / (1 + level).sqrt(), _log_length(about), y, _log_length(y), told.to(noisy.dtype)]
        return Guess(mean + shrink * (noisy - mean), (shrink * level).sqrt(), torch.cat(features, 2))

    def loss_difference(self, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row"]:
        """½∫ (|T − ĝ_0|² − |T − ĝ_0Y|²)/τ² dτ of each row in nats: ln N(T; ρY, 1 − ρ²) − ln N(T; 0, 1)."""
        t, variance = self.clean(rows), self.variance[:, None]
        mean = _leading(taken(self.y, rows), t.shape[2]) * self.correlation[:, None]
        return 0.5 * (t.square() - (t - mean).square() / variance - variance.log()).sum(2)

    def squared_gap(self, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row"]:
        """½∫ |ĝ_0Y − ĝ_0|²/τ² dτ of each row in nats, the mean over all noises.

        The difference is τ/(v + τ)·m − (1 − v)τ/((v + τ)(1 + τ))·t̃.
        """
        t, variance = self.clean(rows), self.variance[:, :, None]
        mean = _leading(taken(self.y, rows), t.shape[2]) * self.correlation[:, None]
        places, weights = np.polynomial.legendre.leggauss(NODES)
        level = torch.from_numpy(np.exp(EXTENT * places)).to(t)
        weight = torch.from_numpy(EXTENT * weights).to(t) * level
        of_mean = 1 / (variance + level)
        of_noisy = (1 - variance) * of_mean / (1 + level)
        squares = [
            (first * second) @ weight for first, second in ((of_mean, of_mean), (of_mean, of_noisy), (of_noisy, of_noisy))
        ]
        noise = of_noisy.square() @ (weight * level)
        both, cross, noisy = (square[:, None] for square in squares)
        return 0.5 * (both * mean.square() - 2 * cross * mean * t + noisy * t.square() + noise[:, None]).sum(2)


def _spanned(values: Float[Tensor, "sample unit"]) -> Float[Tensor, "sample direction"]:
    """The directions in which the values spread, each with variance 1."""
    centred = values.double() - values.double().mean(0)
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
    kept = variances > CONSTANT * variances[-1].clamp_min(1e-300)
    return centred @ (axes[:, kept] / variances[kept].sqrt())


def _canonical(t: Tensor, y: Tensor, rows: Bool[Tensor, " sample"]) -> tuple[Tensor, Tensor, Tensor]:
    t, y = _white(t, rows), _white(y, rows)
    count = int(rows.sum())
    left, found, right = torch.linalg.svd(t[rows].T @ y[rows] / count, full_matrices=True)
    correlation = t.new_zeros(t.shape[1])
    correlation[: len(found)] = _true_correlation(found, t.shape[1] / count, y.shape[1] / count)
    return t @ left, y @ right.T, correlation.clamp(max=math.sqrt(1 - FLOOR))


def _white(values: Tensor, rows: Bool[Tensor, " sample"]) -> Tensor:
    centred = values - values[rows].mean(0)
    variances, axes = torch.linalg.eigh(centred[rows].T @ centred[rows] / rows.sum())
    return centred @ (axes / variances.clamp_min(CONSTANT).sqrt())


def _true_correlation(found: Float[Tensor, " pair"], by_t: float, by_y: float) -> Float[Tensor, " pair"]:
    """The correlation that reads like those found, with this many coordinates per row; 0 where chance alone reads as much.

    r̂² = r²(1 − a + a/r²)(1 − b + b/r²) in the limit of many coordinates (Bao, Hu, Pan, Zhou 2019, arXiv 1704.02408).
    """
    square = (1 - by_t) * (1 - by_y)
    half = (found.square() - by_y * (1 - by_t) - by_t * (1 - by_y)) / 2
    root = (half.square() - square * by_t * by_y).clamp_min(0.0).sqrt()
    true = (half + root) / max(square, CONSTANT)
    chance = (half <= 0) | (half.square() < square * by_t * by_y)
    return torch.where(chance, 0.0, true.clamp(0.0, 1.0).sqrt())


def _leading(y: Float[Tensor, "model row feature"], units: int) -> Float[Tensor, "model row unit"]:
    """The coordinates of Y that those of T correlate with, 0 where there is none."""
    return torch.nn.functional.pad(y[:, :, :units], (0, max(0, units - y.shape[2])))


def _log_length(values: Float[Tensor, "model row unit"]) -> Float[Tensor, "model row 1"]:
    return 0.5 * (values.square().mean(2, keepdim=True) + 0.1).log()
