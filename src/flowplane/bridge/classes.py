"""What a noisy layer says of a class: the gap between denoisers that know it and one that does not (§C2, §C3)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bridge.evaluation import judge
from flowplane.bridge.layers import DENSITY, HIGHEST, LOWEST, of_samples, rows_of
from flowplane.bridge.levels import TOP, Levels
from flowplane.bridge.mixtures import Mixtures
from flowplane.bridge.training import Range, Schedule, train
from flowplane.core.streams import EVALUATION, HELD_OUT, TRAINING, torch_generator
from flowplane.information.probes.folds import Folds

__all__ = ["ClassGap", "class_gap"]

#: Without noise what networks add is integrated from this share of the mean variance within classes.
BOTTOM = 1e-4
#: Pairs of a noise and its negative for each sample that is judged.
DRAWS = 2


class ClassGap(NamedTuple):
    """By sample, in nats: what knowing the class saves in the loss of denoisers, and the squared gap between them."""

    loss: Float[Tensor, "member sample"]
    #: None where there are no networks.
    square: Float[Tensor, "member sample"] | None


def class_gap(
    values: Float[Tensor, "member sample unit"],
    classes: Int[Tensor, " sample"],
    folds: Folds,
    noise: Float[Tensor, " member"],
    seed: int,
    schedule: Schedule | None,
) -> ClassGap:
    """I(T_t;Y) of values of total variance 1, by denoisers that are fitted to the folds that do not judge them: of a normal
    for each class and of their mixture, and what networks add.

    The loss that knowing the class saves, integrated over all noise from t on, is E ln q_t(t̃|y)/q_t(t̃) for the densities q
    that unlearned denoisers belong to; in expectation it is at most I(T_t;Y).

    Arguments:
        schedule: of networks that add to the mixtures' denoisers; None for none.
    """
    parts = list(folds)
    loss = values.new_zeros(values.shape[:2])
    models = []
    for t, own, level in zip(values, loss, noise.tolist(), strict=True):
        for place, fold in enumerate(parts):
            random = torch_generator(seed, HELD_OUT, place, device=t.device)
            models.append(Mixtures.chosen(t, classes, fold.search, fold.choice, level, random))
            own[fold.held] = models[-1].gains(fold.held, level, random)[0]
    if schedule is None:
        return ClassGap(loss, None)
    base = Mixtures.together(models)
    each = noise.repeat_interleave(len(parts))
    low = torch.where(each > 0, each, BOTTOM * base.inside.mean(1)).clamp(max=HIGHEST / 2).log()
    range_ = Range.same(min(math.log(LOWEST), float(low.min())), math.log(HIGHEST), -1.0, 1.5, values.device)
    stream = torch_generator(seed, TRAINING, 1, device=values.device)
    denoiser = train(base, range_, rows_of(parts, "search", values), rows_of(parts, "choice", values), schedule, stream)
    levels = [Levels.between([start], HIGHEST / TOP, values.device, DENSITY) for start in low.exp().tolist()]
    nodes = torch.stack([own.tau for own in levels])
    held = rows_of(parts, "held", values)
    stream = torch_generator(seed, EVALUATION, 1, device=values.device)
    judged = judge(denoiser, held, nodes.log(), DRAWS, stream)
    weights = torch.stack([own.weights[0] for own in levels])[:, None] * nodes[:, None]
    without, given = judged.base.without - judged.learned.without, judged.base.given - judged.learned.given
    saved = ((given - without) * weights).sum(2, keepdim=True)
    tail = judged.learned.gap[:, :, -1:] / 2  # above the top the squared gap itself does not change
    gap = (judged.learned.gap * weights).sum(2, keepdim=True) + tail
    return ClassGap(loss + of_samples(saved, held, values)[:, :, 0], of_samples(gap, held, values)[:, :, 0])
