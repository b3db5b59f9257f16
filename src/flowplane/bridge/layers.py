"""How much of a layer passes through noise, by denoisers that are judged on samples they have not seen (§C1, §C3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.bridge.evaluation import judge
from flowplane.bridge.gaussian import Gaussian
from flowplane.bridge.levels import TOP, Levels
from flowplane.bridge.training import Guess, Range, Rows, Schedule, taken, train
from flowplane.core.streams import EVALUATION, TRAINING, torch_generator
from flowplane.information.probes.folds import Fold, Folds

__all__ = ["Bound", "of_samples", "rows_of", "upper_bound"]

#: Directions, the widest ones, in which a network may know better than the normal.
DIRECTIONS = 32
#: The range of noise in which networks are trained, in units of the total variance, wider where less is asked for: above it
#: they have nothing to add. Nodes for each factor e of noise.
LOWEST, HIGHEST, DENSITY = 1e-3, 100.0, 2.5
#: Pairs of a noise and its negative for each sample that is judged.
DRAWS = 2


class Bound(NamedTuple):
    """The curves of each sample, by denoisers that have not seen it, at noise variances t."""

    #: ½ ∫_t^∞ E|t_i − ĝ_τ|²/τ² dτ in nats; the mean over samples is an upper bound on I(T;T_t) in expectation.
    terms: Float[Tensor, "member sample start"]
    #: E|t_i − ĝ_t|², and that of the normals alone.
    missed: Float[Tensor, "member sample start"]
    linear: Float[Tensor, "member sample start"]


def upper_bound(
    values: Float[Tensor, "member sample unit"],
    folds: Folds,
    noise: Float[Tensor, "member start"],
    seed: int,
    schedule: Schedule | None,
) -> Bound:
    """How much of values of total variance 1 passes through noise of several variances, increasing along `start`.

    Arguments:
        schedule: of networks that add to the normals' denoisers; None for none.
    """
    fitted = [[Gaussian.chosen(t, fold.search, fold.choice) for fold in folds] for t in values]
    terms, linear = (values.new_zeros(*values.shape[:2], noise.shape[1]) for _ in range(2))
    for member, (t, level) in enumerate(zip(values, noise, strict=True)):
        for gaussian, fold in zip(fitted[member], folds, strict=True):
            terms[member, fold.held] = gaussian.terms(t[fold.held], level)
            linear[member, fold.held] = gaussian.errors(t[fold.held], level)
    if schedule is None:
        return Bound(terms, linear, linear)
    saved, at_starts = _learned(values, fitted, list(folds), noise, seed, schedule)
    return Bound(terms - saved, linear - at_starts, linear)


def _learned(
    values: Tensor, fitted: list[list[Gaussian]], parts: list[Fold], noise: Tensor, seed: int, schedule: Schedule
) -> tuple[Float[Tensor, "member sample start"], Float[Tensor, "member sample start"]]:
    """What networks save of the normals' loss, in nats, and of their error at each start."""
    models = [(t, one) for t, row in zip(values, fitted, strict=True) for one in row]
    width = min(DIRECTIONS, *(len(one.variances) for _, one in models))
    base = _Normals(
        torch.stack([one.along(t)[0][:, :width] for t, one in models]),
        torch.stack([one.variances[:width] for _, one in models]).clamp_min(1e-12),
    )
    range_ = Range.same(math.log(min(LOWEST, float(noise.min()))), math.log(HIGHEST), -1.0, 1.5, values.device)
    stream = torch_generator(seed, TRAINING, 0, device=values.device)
    denoiser = train(base, range_, rows_of(parts, "search", values), rows_of(parts, "choice", values), schedule, stream)
    levels = [Levels.between(row.tolist(), HIGHEST / TOP, values.device, DENSITY).with_starts for row in noise]
    nodes = torch.stack([own.tau for own in levels])
    held = rows_of(parts, "held", values)
    stream = torch_generator(seed, EVALUATION, 0, device=values.device)
    judged = judge(denoiser, held, nodes.log().repeat_interleave(len(parts), 0), DRAWS, stream, conditioned=False)
    saved = of_samples(judged.base.without - judged.learned.without, held, values) * nodes[:, None]
    integral = torch.stack([own.integral(row) for own, row in zip(levels, saved, strict=True)])
    return integral, saved[:, :, -noise.shape[1] :]


def rows_of(parts: Sequence[Fold], name: str, values: Float[Tensor, "member sample unit"]) -> Rows:
    """Rows of one kind of each fold, for each member by itself."""
    chosen = torch.zeros((len(parts), values.shape[1]), dtype=torch.bool, device=values.device)
    for own, fold in zip(chosen, parts, strict=True):
        own[getattr(fold, name)] = True
    return Rows.of(chosen.repeat(len(values), 1))


def of_samples(each: Float[Tensor, "model row node"], held: Rows, values: Tensor) -> Float[Tensor, "member sample node"]:
    """What each fold's model found of the rows that it held out, by member and sample."""
    found = each.new_zeros(len(each), values.shape[1], each.shape[2])
    places = held.places[:, :, None].expand(-1, -1, each.shape[2])
    found.scatter_(1, places, each)
    return found.unflatten(0, (len(values), -1)).sum(1)


@dataclass(frozen=True, eq=False)
class _Normals:
    """Samples along the axes of each model's normal, and the posterior means under it."""

    places: Float[Tensor, "model sample unit"]
    variances: Float[Tensor, "model unit"]

    @property
    def features(self) -> int:
        return self.places.shape[2]

    def clean(self, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row unit"]:
        return taken(self.places, rows)

    def guess(self, noisy: Tensor, level: Tensor, rows: Tensor, given: Bool[Tensor, "model row"]) -> Guess:
        variances, level = self.variances[:, None].to(noisy.dtype), level[:, :, None].to(noisy.dtype)
        share = variances / (variances + level)
        return Guess(share * noisy, (share * level).sqrt(), noisy / (variances + level).sqrt())
