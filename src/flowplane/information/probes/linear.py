"""Multinomial regression on a layer, all folds and strengths of all snapshots at once; and the classes' means (§D2)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.information.probes.calibration import calibrated, log_prior, temperature
from flowplane.information.probes.folds import FOLDS, Folds

__all__ = ["linear", "prototypes"]

#: λ of the penalty ½λ|W|² on the sum of losses.
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
#: Steps of Nesterov's method while strengths are tried, and from there on with the one that was chosen.
STEPS, MORE_STEPS = 25, 15
#: Logits that are worked on at once: they stay in a processor's cache.
BLOCK = 1 << 20


def linear(
    rows: Float[Tensor, "batch row component"], classes: Int[Tensor, " row"], folds: Folds
) -> Float[Tensor, "batch row class"]:
    """ln q(y|t) of a linear probe, of each row by the fold that holds it out.

    Strength and temperature are chosen on a quarter of each training set, then the probe is fitted to the whole of it. In
    principal components Böhning's bound on the Hessian, ½ XᵀX + λ, is diagonal, and Nesterov's steps are divided by it.
    """
    count = int(classes.max()) + 1
    step = max(1, BLOCK // (rows.shape[1] * count * FOLDS * len(STRENGTHS)))
    return torch.cat([_linear(part, classes, count, folds) for part in rows.split(step)])


def _linear(rows: Tensor, classes: Tensor, count: int, folds: Folds) -> Tensor:
    x = torch.cat([rows, torch.ones_like(rows[:, :, :1])], 2).float()
    strengths = torch.tensor(STRENGTHS, dtype=x.dtype, device=x.device).repeat(FOLDS)
    start = x.new_zeros(len(x), x.shape[2], count, len(strengths))
    tried = _fitted(
        x, classes, folds.search.repeat_interleave(len(STRENGTHS), 1), strengths.expand(len(x), -1), start, STEPS
    )
    chosen, betas = [], []
    for k, fold in enumerate(folds):
        own = tried[..., k * len(STRENGTHS) : (k + 1) * len(STRENGTHS)]
        logits = torch.einsum("bnm,bmcs->bncs", x[:, fold.choice], own)
        beta, loss = temperature(logits, log_prior(classes[fold.search], count), classes[fold.choice])
        best = loss.argmin(1)
        chosen.append(best)
        betas.append(beta.gather(1, best[:, None])[:, 0])
    best = torch.stack(chosen, 1)  # (batch, fold)
    places = best + len(STRENGTHS) * torch.arange(FOLDS, device=best.device)
    start = tried.gather(3, places[:, None, None].expand(-1, *tried.shape[1:3], -1))
    weights = _fitted(x, classes, folds.training, strengths[best], start, MORE_STEPS)
    found = rows.new_empty((*rows.shape[:2], count), dtype=torch.float64)
    for k, fold in enumerate(folds):
        logits = x[:, fold.held].double() @ weights[..., k].double()
        found[:, fold.held] = calibrated(logits, log_prior(classes[fold.training], count), betas[k])
    return found


def _fitted(
    x: Float[Tensor, "batch row component"],
    classes: Int[Tensor, " row"],
    taken: Bool[Tensor, "row problem"],
    strengths: Float[Tensor, "batch problem"],
    start: Float[Tensor, "batch component class problem"],
    steps: int,
) -> Float[Tensor, "batch component class problem"]:
    """Weights of each problem, whose rows are those taken; the last component, which is constant, is not penalised."""
    count = start.shape[2]
    penalty = strengths[:, None, None, :] * x.new_ones(x.shape[2], 1, 1)
    penalty[:, -1] = 0.0
    curvature = 0.5 * x.square().sum(1)[:, :, None, None] + penalty
    taken = taken.to(x)[None, :, None, :]
    right = torch.nn.functional.one_hot(classes, count).to(x)[None, :, :, None] * taken
    weights, ahead, pace = start, start, 1.0
    for _ in range(steps):
        logits = (x @ ahead.flatten(2)).unflatten(2, (count, -1))
        error = torch.softmax(logits, 2).mul_(taken).sub_(right)
        slope = (x.mT @ error.flatten(2)).unflatten(2, (count, -1)) + penalty * ahead
        moved = ahead - slope / curvature
        faster = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * pace * pace))
        ahead = moved + (pace - 1.0) / faster * (moved - weights)
        weights, pace = moved, faster
    return weights


def prototypes(
    rows: Float[Tensor, "batch row component"], classes: Int[Tensor, " row"], folds: Folds
) -> Float[Tensor, "batch row class"]:
    """ln q(y|t) from the distance to the mean of each class in the training set: for many classes of a few samples each."""
    count = int(classes.max()) + 1
    found = rows.new_empty((*rows.shape[:2], count), dtype=torch.float64)
    for fold in folds:
        beta, _ = temperature(
            _near_means(rows, classes, count, fold.search, fold.choice),
            log_prior(classes[fold.search], count),
            classes[fold.choice],
        )
        prior = log_prior(classes[fold.training], count)
        found[:, fold.held] = calibrated(_near_means(rows, classes, count, fold.training, fold.held), prior, beta)
    return found


def _near_means(rows: Tensor, classes: Tensor, count: int, fitted: Tensor, asked: Tensor) -> Tensor:
    """−|t − μ_y|²/2s² + ln p̂(y), s² the mean variance within a class; a class without samples is at the mean of all."""
    members = torch.nn.functional.one_hot(classes[fitted], count).to(rows)
    sums, sizes = members.T @ rows[:, fitted], members.sum(0)[:, None]
    means = (sums + rows[:, fitted].mean(1, keepdim=True)) / (sizes + 1.0)  # few samples say little about a mean
    spread = (rows[:, fitted] - means[:, classes[fitted]]).square().mean((1, 2)).clamp_min(1e-12)
    asked_rows = rows[:, asked]
    nearness = asked_rows @ means.mT - 0.5 * means.square().sum(2)[:, None]
    return nearness / spread[:, None, None] + log_prior(classes[fitted], count).to(rows)
