"""How much of a layer passes through noise, by denoisers that are judged on samples they have not seen (§C1, §C3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.polynomial.legendre import leggauss
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.bridge.evaluation import judge
from flowplane.bridge.gaussian import Gaussian
from flowplane.bridge.training import Guess, Range, Rows, Schedule, train
from flowplane.core.streams import EVALUATION, TRAINING, torch_generator
from flowplane.information.probes.folds import Fold, Folds

__all__ = ["log_nodes", "of_samples", "rows_of", "upper_bound"]

#: Directions, the widest ones, in which a network may know better than the normal.
DIRECTIONS = 32
#: Noise, in units of the total variance, above which a network has nothing to add; nodes for each factor e of noise.
HIGHEST, DENSITY = 100.0, 2.5
#: Pairs of a noise and its negative for each sample that is judged.
DRAWS = 2


def upper_bound(
    values: Float[Tensor, "member sample unit"],
    folds: Folds,
    noise: Float[Tensor, " member"],
    seed: int,
    schedule: Schedule | None,
) -> Float[Tensor, "member sample"]:
    """½ ∫_t^∞ E|t_i − ĝ_τ|²/τ² dτ of each sample of values of total variance 1, in nats, ĝ fitted to the folds that do not judge it; the mean over samples
    is an upper bound on I(T;T_t) in expectation.

    Arguments:
        schedule: of networks that add to the normals' denoisers; None for none.
    """
    fitted = [[Gaussian.chosen(t, fold.search, fold.choice) for fold in folds] for t in values]
    found = values.new_zeros(values.shape[:2])
    for t, own, gaussians, level in zip(found, values, fitted, noise, strict=True):
        for gaussian, fold in zip(gaussians, folds, strict=True):
            t[fold.held] = gaussian.terms(own[fold.held], level[None])[:, 0]
    if schedule is None:
        return found
    return found - _learned(values, fitted, folds, noise, seed, schedule)


def _learned(
    values: Tensor, fitted: list[list[Gaussian]], folds: Folds, noise: Tensor, seed: int, schedule: Schedule
) -> Float[Tensor, "member sample"]:
    """What networks save of the normals' loss, in nats."""
    parts = list(folds)
    models = [(t, one) for t, row in zip(values, fitted, strict=True) for one in row]
    width = min(DIRECTIONS, *(len(one.variances) for _, one in models))
    base = _Normals(
        torch.stack([one.along(t)[0][:, :width] for t, one in models]),
        torch.stack([one.variances[:width] for _, one in models]).clamp_min(1e-12),
    )
    low = noise.repeat_interleave(len(parts)).clamp(max=HIGHEST / 2).log()
    range_ = Range(float(low.min()), math.log(HIGHEST), -1.0, 1.5)
    stream = torch_generator(seed, TRAINING, 0, device=values.device)
    denoiser = train(base, range_, rows_of(parts, "search", values), rows_of(parts, "choice", values), schedule, stream)
    nodes, shares = log_nodes(low, math.log(HIGHEST))
    held = rows_of(parts, "held", values)
    judged = judge(denoiser, held, nodes, DRAWS, torch_generator(seed, EVALUATION, 0, device=values.device))
    saved = ((judged.base.without - judged.learned.without) * shares[:, None]).sum(2) / 2
    return of_samples(saved, held, values)


def rows_of(parts: Sequence[Fold], name: str, values: Float[Tensor, "member sample unit"]) -> Rows:
    """Rows of one kind of each fold, for each member by itself."""
    chosen = torch.zeros((len(parts), values.shape[1]), dtype=torch.bool, device=values.device)
    for own, fold in zip(chosen, parts, strict=True):
        own[getattr(fold, name)] = True
    return Rows.of(chosen.repeat(len(values), 1))


def of_samples(each: Float[Tensor, "model row"], held: Rows, values: Tensor) -> Float[Tensor, "member sample"]:
    """What each fold's model found of the rows that it held out, by member and sample."""
    found = each.new_zeros(len(each), values.shape[1])
    return found.scatter_(1, held.places, each).reshape(len(values), -1, values.shape[1]).sum(1)


def log_nodes(low: Float[Tensor, " model"], high: float) -> tuple[Tensor, Tensor]:
    """Gauss–Legendre nodes of log τ from each low end to the high one, and their weights (model, node)."""
    longest = float((high - low).max())
    places, shares = (torch.from_numpy(part).to(low.device) for part in leggauss(max(8, math.ceil(DENSITY * longest))))
    half = (high - low)[:, None] / 2
    return low[:, None] + half * (places + 1), half * shares


@dataclass(frozen=True, eq=False)
class _Normals:
    """Samples along the axes of each model's normal, and the posterior means under it."""

    places: Float[Tensor, "model sample unit"]
    variances: Float[Tensor, "model unit"]

    @property
    def features(self) -> int:
        return self.places.shape[2]

    def clean(self, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row unit"]:
        return self.places.gather(1, rows[:, :, None].expand(-1, -1, self.places.shape[2]))

    def guess(self, noisy: Tensor, level: Tensor, rows: Tensor, given: Bool[Tensor, "model row"]) -> Guess:
        variances, level = self.variances[:, None].to(noisy.dtype), level[:, :, None].to(noisy.dtype)
        share = variances / (variances + level)
        return Guess(share * noisy, (share * level).sqrt(), noisy / (variances + level).sqrt())
