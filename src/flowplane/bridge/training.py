"""Denoisers that are learned: an unlearned posterior mean and what small networks, trained together, add to it (§C3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.bridge.network import initial, residual
from flowplane.core.stacked import Parameters, adam

__all__ = ["Base", "Denoiser", "Guess", "Range", "Rows", "Schedule", "taken", "train"]

#: Share of the levels that is drawn evenly over the range.
EVEN = 0.3
#: Decay per step of the running average of the parameters.
AVERAGING = 0.99
#: Noises that each row of the choosing part is given, and the most of F that is taken: averaged weights lag, F is too small.
DRAWS, MOST = 4, 2.0
#: Standard errors, over the rows that choose, by which a network has to do better than none.
CAUTION = 1.0


class Guess(NamedTuple):
    """What is known of the clean values before anything is learned."""

    #: The posterior mean ĝ_0.
    mean: Float[Tensor, "model row unit"]
    #: √(sτ), about the posterior's standard deviation: the denoiser is ĝ_0 + √(sτ)·F.
    scale: Float[Tensor, "model row unit"]
    #: What F is a function of, beside log τ; of order 1.
    features: Float[Tensor, "model row feature"]


def taken(values: Float[Tensor, "model sample unit"], rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row unit"]:
    """The samples of these numbers, each model's own."""
    return values.gather(1, rows[:, :, None].expand(-1, -1, values.shape[2]))


@runtime_checkable
class Base(Protocol):
    """A frozen object: clean values, and posterior means as far as they need no learning. A model is a member and a fold."""

    @property
    def features(self) -> int:
        """How many features a guess has."""

    def clean(self, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row unit"]:
        """T of the rows of these numbers, in the units in which the noise is added."""

    def guess(
        self,
        noisy: Float[Tensor, "model row unit"],
        level: Float[Tensor, "model row"],
        rows: Int[Tensor, "model row"],
        given: Bool[Tensor, "model row"],
    ) -> Guess:
        """For T + N(0, τI) at the level τ, the condition of these rows given or not; the features say which.

        In the floating dtype of `noisy`.
        """


class Rows(NamedTuple):
    """Row numbers, as many as each model has; the rest of a line repeats some of them."""

    places: Int[Tensor, "model row"]
    counts: Int[Tensor, " model"]

    @classmethod
    def of(cls, chosen: Bool[Tensor, "model row"]) -> Rows:
        """The rows that are chosen.

        Example:
            >>> Rows.of(torch.tensor([[True, False, True], [False, True, False]])).places.tolist()
            [[0, 2], [1, 1]]
        """
        counts = chosen.sum(1)
        order = (~chosen).to(torch.int8).argsort(dim=1, stable=True)
        place = torch.arange(int(counts.max()), device=chosen.device) % counts[:, None].clamp_min(1)
        return cls(order.gather(1, place), counts)

    @property
    def own(self) -> Bool[Tensor, "model row"]:
        """Whether a number is not a repetition."""
        return torch.arange(self.places.shape[1], device=self.counts.device) < self.counts[:, None]


@dataclass(frozen=True)
class Range:
    """Where levels log τ are drawn: a part evenly over their range, the others normally around the integrand.

    Each is one number for all models or (model, 1), on the device of the rows.
    """

    lowest: Float[Tensor, "..."]
    highest: Float[Tensor, "..."]
    centre: Float[Tensor, "..."]
    spread: Float[Tensor, "..."]

    @classmethod
    def same(cls, lowest: float, highest: float, centre: float, spread: float, device: torch.device) -> Range:
        """The same for all models."""
        given = torch.tensor([lowest, highest, centre, spread], dtype=torch.float32, device=device)
        return cls(*given.unbind())

    def draw(self, models: int, rows: int, generator: torch.Generator) -> Float[Tensor, "model row"]:
        """Range log τ."""
        even, near, which = (
            kind((models, rows), generator).to(self.lowest.device) for kind in (_uniform, _normal, _uniform)
        )
        even = self.lowest + (self.highest - self.lowest) * even
        near = (self.centre + self.spread * near).clamp(self.lowest, self.highest)
        return torch.where(which < EVEN, even, near)

    def place(self, log_level: Tensor) -> Tensor:
        """Where in the range, which is −1 … 1."""
        return (2 * log_level - self.highest - self.lowest) / (self.highest - self.lowest)


@dataclass(frozen=True)
class Schedule:
    """How networks are trained; of the snapshots one is chosen."""

    hidden: tuple[int, ...] = (96, 96, 96)
    steps: int = 800
    batch_size: int = 256
    learning_rate: float = 5e-3
    snapshots: int = 8
    #: Share of the rows whose condition is given.
    given: float = 0.75


@dataclass(frozen=True)
class Denoiser:
    """ĝ = ĝ_0 + share·√(sτ)·F, without the condition by the first of each two, with it by the second."""

    base: Base
    levels: Range
    parameters: tuple[Parameters, Parameters]
    share: Float[Tensor, "2 model"]

    @torch.no_grad()
    def __call__(self, guess: Guess, log_level: Float[Tensor, "model row"], given: bool) -> Float[Tensor, "model row unit"]:
        """The posterior means, from the guesses for the same rows, all with the condition or all without."""
        found = residual(self.parameters[given], guess.features.float(), self.levels.place(log_level).float())
        share = self.share[int(given), :, None, None]
        return guess.mean + (share * found).to(guess.mean.dtype) * guess.scale


def train(
    base: Base, levels: Range, training: Rows, choosing: Rows, schedule: Schedule, generator: torch.Generator
) -> Denoiser:
    """Least squares over noises, levels and rows; then, by rows that were not trained on, a snapshot and how much of it.

    Arguments:
        training: of each model.
        choosing: of each model, none of them trained on.
        generator: of first weights, batches and noises.
    """
    device = training.places.device
    models, units = len(training.places), base.clean(training.places[:, :1]).shape[2]
    parameters = initial(base.features, units, schedule.hidden, models, generator, device)
    moments = [torch.zeros_like(part) for part in parameters], [torch.zeros_like(part) for part in parameters]
    average = [part.clone() for part in parameters]
    choice = _Choice(base, levels, choosing, average, generator)
    shown = {round(k * schedule.steps / schedule.snapshots) for k in range(1, schedule.snapshots + 1)}
    for step in range(1, schedule.steps + 1):
        place = _uniform((models, schedule.batch_size), generator).to(device).double()
        rows = training.places.gather(1, (place * training.counts[:, None]).long())
        batch = _noised(base, levels, rows, schedule.given, generator)
        with torch.enable_grad():
            parameters = [part.requires_grad_() for part in parameters]
            loss = _loss(parameters, batch, levels).mean(1).sum()
            gradients = torch.autograd.grad(loss, parameters)
        rate = schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / schedule.steps))
        parameters = adam(parameters, gradients, moments, step, rate)
        torch._foreach_lerp_(average, parameters, max(1 - AVERAGING, 1 / step))
        if step in shown:
            choice.look(average)
    return Denoiser(base, levels, (choice.best[0], choice.best[1]), choice.share)


class _Batch(NamedTuple):
    features: Float[Tensor, "model row feature"]
    log_level: Float[Tensor, "model row"]
    #: What F should be, (T − ĝ_0)/√(sτ), and the weight of its square in the integrand over log τ, s.
    target: Float[Tensor, "model row unit"]
    weight: Float[Tensor, "model row unit"]


def _noised(base: Base, levels: Range, rows: Tensor, given: float, generator: torch.Generator) -> _Batch:
    device, shape = rows.device, (rows.shape[0], rows.shape[1])
    clean = base.clean(rows).float()
    log_level = levels.draw(*shape, generator)
    level = log_level.exp()
    noisy = clean + level.sqrt()[:, :, None] * _normal(clean.shape, generator).to(device)
    told = (_uniform(shape, generator) < given).to(device)
    guess = base.guess(noisy, level, rows, told)
    return _Batch(guess.features, log_level, (clean - guess.mean) / guess.scale, guess.scale**2 / level[:, :, None])


def _loss(parameters: Parameters, batch: _Batch, levels: Range) -> Float[Tensor, "model row"]:
    """Squares, weighted by √s: high levels, where s falls like 1/τ, teach the conditional mean that all the others need."""
    found = residual(parameters, batch.features, levels.place(batch.log_level))
    return (batch.weight.sqrt() * (batch.target - found).square()).sum(2)


class _Choice:
    """The best parameters so far, without the condition and with it, and how much of F to take: none if it only harms."""

    def __init__(self, base: Base, levels: Range, rows: Rows, first: Parameters, generator: torch.Generator) -> None:
        self.levels = levels
        self.own = rows.own.repeat(1, DRAWS)
        again = rows.places.repeat(1, DRAWS)
        self.batches = [_noised(base, levels, again, given, generator) for given in (0.0, 1.0)]
        self.best = [[part.clone() for part in first] for _ in range(2)]
        self.share = torch.zeros((2, len(again)), dtype=torch.float32, device=again.device)
        self.gained = torch.zeros_like(self.share)

    @torch.no_grad()
    def look(self, parameters: Parameters) -> None:
        """Keeps the parameters of those models that are better by them."""
        for given, batch in enumerate(self.batches):
            found = residual(parameters, batch.features, self.levels.place(batch.log_level))
            weight = batch.weight * self.own[:, :, None]
            product, square = (weight * found * batch.target).sum((1, 2)), (weight * found.square()).sum((1, 2))
            share = (product / square.clamp_min(1e-12)).clamp(0.0, MOST)
            each = (
                weight * (2 * share[:, None, None] * found * batch.target - (share[:, None, None] * found).square())
            ).sum(2)
            gained, of_rows = each.sum(1), each.unflatten(1, (DRAWS, -1)).sum(1)
            error = (of_rows - of_rows.mean(1, keepdim=True)).square().sum(1).sqrt()
            better = (gained > self.gained[given]) & (gained > CAUTION * error)
            self.share[given, better], self.gained[given, better] = share[better], gained[better]
            for kept, part in zip(self.best[given], parameters, strict=True):
                kept[better] = part[better]


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float32, device=generator.device)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float32, device=generator.device)
