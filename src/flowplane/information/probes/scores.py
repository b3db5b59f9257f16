"""What a probe says about a number: a normal around its prediction, against the number's normal without it (§D2)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri
from torch import Tensor

from flowplane.information.probes.calibration import FLOOR
from flowplane.information.probes.folds import Folds

__all__ = ["Predict", "gained", "normal_scores", "ridge"]

#: λ of the penalty ½λ|w|² beside half the sum of squares.
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
#: The least standard deviation that a prediction may claim, in that of the number.
SHARPEST = 1e-3

#: From rows (batch, row, component), numbers (row,), places fitted to and asked for to predictions (option, batch, asked).
Predict = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def normal_scores(numbers: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Quantiles of the standard normal at the numbers' ranks; equal numbers share theirs.

    Example:
        >>> normal_scores(np.array([10.0, 1000.0, 20.0])).round(2).tolist()
        [-0.67, 0.67, 0.0]
    """
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(ndtri(ranks[place.ravel()] / (len(numbers) + 1)))


def gained(
    rows: Float[Tensor, "batch row component"], scores: Float[Tensor, " row"], folds: Folds, predict: Predict
) -> Float[Tensor, "batch row"]:
    """ln N(y; ŷ(t), s²) − ln N(y; 0, 1) of each row by the fold that holds it out, in nats.

    Which option, how far predictions are shrunk to 0, and s² are chosen on a quarter of each training set. In expectation it
    is at most I(T;Y), whatever the law of the residuals.
    """
    found = rows.new_empty(rows.shape[:2], dtype=torch.float64)
    members = torch.arange(len(rows), device=rows.device)
    for fold in folds:
        tried = predict(rows, scores, fold.search, fold.choice)
        wanted = scores[fold.choice]
        slope = (tried * wanted).sum(2) / tried.square().sum(2).clamp_min(1e-12)
        slope = slope.clamp(0.0, 2.0)
        square = (wanted - slope[:, :, None] * tried).square().mean(2)
        best = square.argmin(0)
        mean = predict(rows, scores, fold.training, fold.held)[best, members] * slope[best, members][:, None]
        variance = square[best, members].clamp_min(SHARPEST**2)[:, None]
        y = scores[fold.held]
        gain = 0.5 * (y.square() - (y - mean).square() / variance - variance.log())
        found[:, fold.held] = torch.logaddexp(gain + math.log1p(-FLOOR), torch.full_like(gain, math.log(FLOOR)))
    return found


def ridge(
    rows: Float[Tensor, "batch row component"], scores: Float[Tensor, " row"], fitted: Tensor, asked: Tensor
) -> Float[Tensor, "option batch asked"]:
    """Predictions of ridge regression, for each of `STRENGTHS`."""
    x, y = rows[:, fitted], scores[fitted]
    centre, level = x.mean(1, keepdim=True), y.mean()
    x = x - centre
    penalties = torch.tensor(STRENGTHS, dtype=x.dtype, device=x.device)[:, None, None, None]
    gram = x.mT @ x + penalties * torch.eye(x.shape[2], dtype=x.dtype, device=x.device)
    weights = torch.linalg.solve(gram, x.mT @ (y - level)[:, None])
    return ((rows[:, asked] - centre) @ weights)[..., 0] + level
