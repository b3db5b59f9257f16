"""The nearest samples' classes, or numbers, as a probe (§D2)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.information.probes.calibration import FLOOR, log_prior
from flowplane.information.probes.folds import Folds

__all__ = ["neighbours", "neighbours_mean"]

#: How many neighbours are tried, and which shares of the prior beside theirs: 1 is the prior alone.
COUNTS = (1, 2, 4, 8, 16, 32, 64)
SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


def neighbours(
    rows: Float[Tensor, "batch row component"], classes: Int[Tensor, " row"], folds: Folds
) -> Float[Tensor, "batch row class"]:
    """ln q(y|t): the classes of the nearest rows of the training set beside the prior; how many neighbours and how much of
    the prior is chosen on a quarter of it."""
    count = int(classes.max()) + 1
    found = rows.new_empty((*rows.shape[:2], count), dtype=torch.float64)
    for fold in folds:
        prior = log_prior(classes[fold.search], count).exp()
        own = classes[fold.choice].reshape(1, -1, 1).expand(len(rows), -1, -1)
        losses = []
        for votes in _votes(rows, classes, count, fold.search, fold.choice):
            right = votes.gather(2, own)[..., 0]
            of_prior = prior[classes[fold.choice]]
            losses.append([-((1 - share) * right + share * of_prior).log().mean(1) for share in SHARES])
        best = torch.stack([torch.stack(each) for each in losses]).flatten(0, 1).argmin(0)
        prior = log_prior(classes[fold.training], count).exp()
        share = torch.tensor(SHARES, device=rows.device, dtype=torch.float64)[best % len(SHARES)][:, None, None]
        votes = torch.stack(list(_votes(rows, classes, count, fold.training, fold.held)))
        q = (1 - share) * votes[best // len(SHARES), torch.arange(len(rows), device=rows.device)] + share * prior
        found[:, fold.held] = ((1 - FLOOR) * q + FLOOR / count).log()
    return found


def _votes(
    rows: Tensor, classes: Tensor, count: int, pool: Tensor, asked: Tensor
) -> list[Float[Tensor, "batch asked class"]]:
    """The share of each class among the nearest rows of the pool, for each of `COUNTS`."""
    near = _nearest(rows, pool, asked)
    members = torch.nn.functional.one_hot(classes[pool], count).double()
    return [members[near[:, :, : min(k, near.shape[2])]].mean(2) for k in COUNTS]


def _nearest(rows: Tensor, pool: Tensor, asked: Tensor) -> Int[Tensor, "batch asked near"]:
    distances = torch.cdist(rows[:, asked], rows[:, pool])
    return distances.topk(min(max(COUNTS), len(pool)), largest=False, sorted=True).indices


def neighbours_mean(
    rows: Float[Tensor, "batch row component"], numbers: Float[Tensor, " row"], fitted: Tensor, asked: Tensor
) -> Float[Tensor, "option batch asked"]:
    """The mean of the nearest rows' numbers, for each of `COUNTS`."""
    near = numbers[fitted][_nearest(rows, fitted, asked)]
    return torch.stack([near[:, :, : min(k, near.shape[2])].mean(2) for k in COUNTS])
