"""What a noisy layer says of a class, by denoisers that know it (§C2, §C3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from flowplane.bridge.layers import DENSITY, HIGHEST, LOWEST, of_samples, rows_of
from flowplane.bridge.levels import TOP, Levels
from flowplane.bridge.mixtures import STRAYING, Mixtures
from flowplane.bridge.training import Denoiser, Range, Rows, Schedule, train
from flowplane.core.streams import EVALUATION, HELD_OUT, TRAINING, torch_generator
from flowplane.information.probes.folds import Folds

__all__ = ["ClassGap", "class_gap"]

#: With more classes normals alone are used.
CLASSES = 20
#: Noise is added from this share of the channel's on, without a channel of the variance within classes.
FIRST, BOTTOM = 0.03, 1e-4
#: Draws of a channel's noise for each sample, and pairs of a noise and its negative at each level; of many samples fewer.
DRAWS, PAIRS = (4, 2), (2, 1)
MANY = 2000
#: How much of what networks add is taken, and how sure of itself a posterior may be.
TAKEN, SURE = (0.0, 0.5, 1.0, 1.5), (0.0, 0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)


class ClassGap(NamedTuple):
    """By sample, in nats: what the posterior of the classes says of the sample's own, and what it expects to say."""

    loss: Float[Tensor, "member sample"]
    expected: Float[Tensor, "member sample"]
    #: What the second half of training added, on training points.
    late: Float[Tensor, " member"]


def class_gap(
    values: Float[Tensor, "member sample unit"],
    classes: Int[Tensor, " sample"],
    folds: Folds,
    noise: Float[Tensor, " member"],
    seed: int,
    schedule: Schedule | None,
) -> ClassGap:
    """I(T_t;Y) of values of total variance 1, by denoisers that are fitted to the folds that do not judge them.

    The error of denoising t given the class k, ½ ∫ |t − ĝ_τ(t_τ|k)|²/τ² dτ, is −ln p(t|k) up to a term that all classes
    share; so denoisers make a posterior q(k|t) ∝ p_k p(t|k). H(Y) + E ln q(y|t) is at most I(T;Y) in expectation, whatever
    the denoisers are. It is C2's gap, with the denoiser that does not know the class made from those that do: if it were
    learned separately, its own errors would count as information. The unlearned part is one normal per class; networks add
    what is not normal. Their weight and a temperature are chosen on training points.

    Arguments:
        schedule: of networks; None for normals alone.
    """
    parts, device = list(folds), values.device
    tried: list[Mixtures] = []
    fitted: list[Mixtures] = []
    for t, level in zip(values, noise.tolist(), strict=True):
        for place, fold in enumerate(parts):
            random = torch_generator(seed, HELD_OUT, place, device=device)
            for kept, one in zip((tried, fitted), Mixtures.chosen(t, classes, fold, level, random), strict=True):
                kept.append(one)
    channel = noise.repeat_interleave(len(parts))
    held = _Asked.of(
        Mixtures.together(fitted), rows_of(parts, "held", values), channel, torch_generator(seed, EVALUATION, 1)
    )
    late = torch.zeros_like(noise)
    if schedule is None or int(classes.max()) >= CLASSES:
        taken, sure = torch.zeros_like(channel), torch.ones_like(channel)
    else:
        base = Mixtures.together(tried)
        low = torch.where(channel > 0, channel, BOTTOM * base.inside.mean(1)).clamp(max=HIGHEST / 2).log()
        lowest = min(math.log(LOWEST), float(low.min()))
        range_ = Range.same(lowest, math.log(HIGHEST), -1.0, 1.5, device)
        search, choice = (rows_of(parts, kind, values) for kind in ("search", "choice"))
        asked = _Asked.of(base, choice, channel, torch_generator(seed, EVALUATION, 2))

        def trained(steps: int) -> tuple[Denoiser, _Asked]:
            told = replace(schedule, given=1.0, steps=steps)
            found = train(base, range_, search, choice, told, torch_generator(seed, TRAINING, 1, device=device))
            return found, asked.learned(found, base, torch_generator(seed, EVALUATION, 3))

        denoiser, choosing = trained(schedule.steps)
        taken, sure = choosing.best()
        if bool((taken > 0).any()):
            held = held.learned(denoiser, base, torch_generator(seed, EVALUATION, 4))
            before = trained(schedule.steps // 2)[1]
            late = (choosing.gain(taken, sure) - before.gain(*before.best())).reshape(len(values), -1).mean(1)
    loss, expected = (each.mean(1)[:, :, None] for each in held.read(taken, sure))
    said, expects = (of_samples(each, held.rows, values)[:, :, 0] for each in (loss, expected))
    return ClassGap(said, expects, late)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Rows of each model behind the channel's noise, some draws each, and what speaks for each class."""

    base: Mixtures
    rows: Rows
    channel: Float[Tensor, " model"]
    #: The channel's noise; places are those of the model that is asked.
    noise: Float[Tensor, "draw sample unit"]
    #: ln q_t(t̃|k) by the normals, and what networks add.
    normal: Float[Tensor, "model draw row class"]
    added: Float[Tensor, "model draw row class"]

    @classmethod
    def of(cls, base: Mixtures, rows: Rows, channel: Tensor, random: torch.Generator) -> _Asked:
        """By the normals alone."""
        draws = DRAWS[base.places.shape[1] >= MANY] if float(channel.max()) > 0 else 1
        shape = (draws, *base.places.shape[1:])
        noise = torch.randn(shape, generator=random, dtype=torch.float64, device=random.device).to(channel.device)
        each = []
        for draw in noise:
            noisy = base.clean(rows.places) + channel.sqrt()[:, None, None] * draw[rows.places]
            each.append(base.logs(noisy, channel[:, None].expand(rows.places.shape)))
        normal = torch.stack(each, 1)
        return cls(base, rows, channel, noise, normal, torch.zeros_like(normal))

    @torch.no_grad()
    def learned(self, denoiser: Denoiser, base: Mixtures, random: torch.Generator) -> _Asked:
        """With what the networks save of the loss of `base`, their unlearned part, for each class in turn.

        T̃ = T + N(0, tI) is itself denoised from T̃ + N(0, sI): its posterior mean is t̃' + (s/τ)(ĝ_τ − t̃'), τ = t + s.
        """
        clean, places, channel = base.clean(self.rows.places), self.rows.places, self.channel[:, None]
        inside = base.inside.mean(1).tolist()
        starts = [max(FIRST * t, BOTTOM * own) for t, own in zip(self.channel.tolist(), inside, strict=True)]
        levels = [Levels.between([min(start, HIGHEST / 2)], HIGHEST / TOP, clean.device, DENSITY) for start in starts]
        steps = pad_sequence([own.tau for own in levels], padding_value=HIGHEST)
        weights = pad_sequence([own.weights[0] for own in levels])
        added = torch.zeros_like(self.added)
        told = torch.ones(places.shape, dtype=torch.bool, device=places.device)
        pairs = PAIRS[base.places.shape[1] >= MANY]
        asserted = [replace(base, classes=torch.full_like(base.classes, k)) for k in range(base.means.shape[1])]
        for draw, noise in enumerate(self.noise):
            start = clean + channel.sqrt()[:, :, None] * noise[places]
            for s, weight in zip(steps, weights, strict=True):
                tau = (channel + s[:, None]).expand(places.shape)
                share = (s[:, None] / tau)[:, :, None]
                for sign in pairs * (1, -1):
                    if sign == 1:
                        more = torch.randn(clean.shape, generator=random, dtype=torch.float64, device=random.device)
                    noisy = start + sign * s.sqrt()[:, None, None] * more.to(clean.device)
                    for k, one in enumerate(asserted):
                        guess = one.guess(noisy, tau, places, told)
                        unlearned, better = (
                            (start - noisy - share * (mean - noisy)).square().sum(2)
                            for mean in (guess.mean, denoiser(guess, tau.log(), True))
                        )
                        added[:, draw, :, k] += weight[:, None] * (unlearned - better) / (2 * pairs)
        return replace(self, added=added)

    def best(self) -> tuple[Float[Tensor, " model"], Float[Tensor, " model"]]:
        """How much of the networks each model should take, and how sure it may be, by these rows."""
        options = [(taken, sure) for taken in TAKEN for sure in SURE]
        gains = [self.gain(*(torch.full_like(self.channel, part) for part in option)) for option in options]
        chosen = torch.tensor(options, dtype=torch.float64, device=self.channel.device)[torch.stack(gains).argmax(0)]
        return chosen[:, 0], chosen[:, 1]

    def gain(self, taken: Tensor, sure: Tensor) -> Float[Tensor, " model"]:
        """What is said of these rows, the mean in nats."""
        own = self.rows.own[:, None]
        return (self.read(taken, sure)[0] * own).sum((1, 2)) / (own.sum((1, 2)) * len(self.noise))

    def read(self, taken: Tensor, sure: Tensor) -> tuple[Float[Tensor, "model draw row"], Float[Tensor, "model draw row"]]:
        """ln q(y|t̃)/p_y of each row's own class, and what the posterior expects of it."""
        taken, sure, prior = taken[:, None, None, None], sure[:, None, None, None], self.base.shares.log()[:, None, None]
        posterior = (prior + sure * (self.normal + taken * self.added)).log_softmax(3)
        found = torch.logaddexp(posterior - prior + math.log1p(-STRAYING), torch.full_like(posterior, math.log(STRAYING)))
        y = self.base.classes[self.rows.places][:, None, :, None].expand(-1, found.shape[1], -1, 1)
        return found.gather(3, y)[:, :, :, 0], (posterior.exp() * found).sum(3)
