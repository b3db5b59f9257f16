"""Critics of the variational estimators: small networks, many trained at once, and what they are trained for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from flowplane.core.stacked import Parameters, adam, forward, network

__all__ = ["Classifier", "InfoNCE", "Objective", "Schedule", "Smile", "Trained", "evaluate", "train"]

#: Numbers in the vector that each side of a separable critic f(x, t) = g(x)·h(t) gives.
EMBEDDING = 32
#: The most samples scored against each other when a critic is evaluated: log2 of it is InfoNCE's ceiling.
EVALUATION_BATCH = 2048
#: The fewest steps per epoch; batches are smaller where samples are few.
STEPS = 4
#: Less than this, in nats, counts as no gain: where classes lie apart the loss falls for ever, by ever less.
GAIN = 1e-3
#: Critics are judged at a running average of their parameters with this decay per step.
AVERAGING = 0.95


@dataclass(frozen=True)
class Schedule:
    """How critics are trained."""

    batch_size: int
    epochs: int
    patience: int
    learning_rate: float


class Score(NamedTuple):
    """What critics reach on some samples, in nats, and each sample's part in its sampling error."""

    value: Float[Tensor, " model"]
    influence: Float[Tensor, "model sample"]


class Trained(NamedTuple):
    """Critics at their best on the validation samples, and how they came there; nats."""

    parameters: Parameters
    #: What the objective gained in training, on the training samples, until it was stopped.
    learned: Float[Tensor, " model"]
    #: What it gained on the validation samples in the last epochs, as many as the patience, if it was not stopped before.
    unfinished: Float[Tensor, " model"]


@dataclass(frozen=True)
class Objective(ABC):
    """What networks are trained for and measured by; a model is a network of one batch member and one fold."""

    t: Float[Tensor, "member sample unit"]
    member: Int[Tensor, " model"]

    @abstractmethod
    def initial(self, hidden: tuple[int, ...], generator: torch.Generator) -> Parameters:
        """The same network for each model, one that knows nothing: its value is 0."""

    @abstractmethod
    def objective(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Float[Tensor, " model"]:
        """What is to be maximised, over the samples of these numbers."""

    @abstractmethod
    def score(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Score:
        """The information that is found on the samples of these numbers."""

    def of(self, kept: Tensor) -> Objective:
        """The objective of some of the models."""
        return replace(self, member=self.member[kept])

    def layer(self, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row unit"]:
        """The activations of each model's samples."""
        return _taken(self.t.flatten(0, 1), rows + self.member[:, None] * self.t.shape[1])


@dataclass(frozen=True)
class Separable(Objective):
    """A critic f(x, t) = g(x)·h(t) of pairs; scores of n x's and n t's cost 2n passes through a network, not n²."""

    x: Float[Tensor, "sample feature"]

    def initial(self, hidden: tuple[int, ...], generator: torch.Generator) -> Parameters:
        models, sides = len(self.member), (self.x.shape[1], self.t.shape[2])
        g, h = (network((width, *hidden, EMBEDDING), models, generator, self.t.device) for width in sides)
        return g + [torch.zeros_like(part) if part is h[-2] or part is h[-1] else part for part in h]

    def scores(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row row"]:
        """f(x_i, t_j)."""
        half = len(parameters) // 2
        g, h = forward(parameters[:half], _taken(self.x, rows)), forward(parameters[half:], self.layer(rows))
        return g @ h.mT


class InfoNCE(Separable):
    """I ≥ E[log (e^f(x_i,t_i) / (1/K) Σ_j e^f(x_i,t_j))] over batches of K pairs, and ≤ log K."""

    def objective(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Float[Tensor, " model"]:
        scores, n = self.scores(parameters, rows), rows.shape[1]
        own = torch.arange(n, device=rows.device).repeat(len(rows))
        missed = cross_entropy(scores.flatten(0, 1), own, reduction="none").view(len(rows), n)
        return math.log(n) - missed.mean(1)

    def score(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Score:
        logarithms = self.scores(parameters, rows).log_softmax(2)
        terms = logarithms.diagonal(dim1=1, dim2=2).double() + math.log(rows.shape[1])
        as_negative = logarithms.softmax(2).sum(1).double()
        return Score(terms.mean(1), terms - as_negative)


@dataclass(frozen=True)
class Smile(Separable):
    """Trained by the Jensen–Shannon bound; I ≈ E[f] − log E[clip(e^f, e^−τ, e^τ)], the second over independent pairs."""

    clip: float

    def objective(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Float[Tensor, " model"]:
        scores, n = self.scores(parameters, rows), rows.shape[1]
        joint = scores.diagonal(dim1=1, dim2=2)
        independent = (softplus(scores).sum((1, 2)) - softplus(joint).sum(1)) / (n * (n - 1))
        return -softplus(-joint).mean(1) - independent

    def score(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Score:
        scores, n = self.scores(parameters, rows), rows.shape[1]
        joint = scores.diagonal(dim1=1, dim2=2).double()
        ratios = scores.clamp(-self.clip, self.clip).exp_()
        ratios.diagonal(dim1=1, dim2=2).zero_()
        by_x, by_t = (ratios.sum(side).double() / (n - 1) for side in (2, 1))
        mean = by_x.mean(1)
        return Score(joint.mean(1) - mean.log(), joint - (by_x + by_t) / mean[:, None])


@dataclass(frozen=True)
class Classifier(Objective):
    """I(T;Y) ≥ H(Y) + E[log q(y|t)]."""

    y: Int[Tensor, " sample"]
    prior: Float[Tensor, " class"]

    def initial(self, hidden: tuple[int, ...], generator: torch.Generator) -> Parameters:
        models, sizes = len(self.member), (self.t.shape[2], *hidden, len(self.prior))
        *first, weight, _ = network(sizes, models, generator, self.t.device)
        return [*first, torch.zeros_like(weight), self.prior.log().float().expand(models, 1, -1).clone()]

    def _terms(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row"]:
        logits = forward(parameters, self.layer(rows))
        return logits.log_softmax(2).gather(2, self.y[rows][:, :, None])[:, :, 0]

    def objective(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Float[Tensor, " model"]:
        return self._terms(parameters, rows).mean(1)

    def score(self, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Score:
        terms = self._terms(parameters, rows).double() - self.prior.log()[self.y[rows]]
        return Score(terms.mean(1), terms)


def train(
    objective: Objective,
    hidden: tuple[int, ...],
    training: Int[Tensor, "model row"],
    validation: Int[Tensor, "model row"],
    schedule: Schedule,
    generator: torch.Generator,
) -> Trained:
    """Maximises the objective by Adam, each model until its validation samples have not gained for `patience` epochs."""
    parameters = objective.initial(hidden, generator)
    moments = [torch.zeros_like(part) for part in parameters], [torch.zeros_like(part) for part in parameters]
    best = [part.clone() for part in parameters]
    start = _mean_objective(objective, parameters, training)
    reached = _mean_objective(objective, parameters, validation)
    history = [reached.clone()]
    learned, when = torch.zeros_like(start), torch.zeros(len(start), dtype=torch.int64, device=start.device)
    running = torch.arange(len(start), device=start.device)
    size = max(1, min(schedule.batch_size, training.shape[1] // STEPS))
    average = [part.clone() for part in parameters]
    count, steps = 0, training.shape[1] // size
    here, rows, checks = objective, training, validation
    for epoch in range(1, schedule.epochs + 1):
        order = torch.randperm(training.shape[1], generator=generator, device="cpu")[: steps * size].reshape(steps, size)
        gained = torch.zeros(len(running), device=start.device, dtype=torch.float32)
        for batch in order.to(start.device):
            parameters = [part.requires_grad_() for part in parameters]
            value = here.objective(parameters, rows[:, batch])
            gradients = torch.autograd.grad(-value.sum(), parameters)
            count += 1
            parameters = adam(parameters, gradients, moments, count, schedule.learning_rate)
            torch._foreach_lerp_(average, parameters, max(1 - AVERAGING, 1 / count))
            gained += value.detach() / steps
        learned[running] = gained - start[running]
        now = _mean_objective(here, average, checks)
        better = now > reached[running] + GAIN
        for kept, part in zip(best, average, strict=True):
            kept[running[better]] = part[better]
        reached[running[better]], when[running[better]] = now[better], epoch
        history.append(reached.clone())
        on = epoch - when[running] < schedule.patience
        if not on.all():
            running, rows, checks, here = running[on], rows[on], checks[on], here.of(on)
            parameters, average = [part[on] for part in parameters], [part[on] for part in average]
            moments = [part[on] for part in moments[0]], [part[on] for part in moments[1]]
        if not len(running):
            break
    late = torch.zeros_like(reached)
    late[running] = (reached - history[max(0, len(history) - 1 - schedule.patience)])[running]
    return Trained(best, learned.double(), late.double())


@torch.no_grad()
def evaluate(
    objective: Objective, parameters: Parameters, rows: Int[Tensor, "model row"], most: int = EVALUATION_BATCH
) -> Score:
    """The score on all rows but a few, in equal batches of `most` rows at most.

    One model at a time: the scores of all pairs are large.
    """
    found = []
    for model in range(len(rows)):
        own = torch.tensor([model], device=rows.device)
        here, part = objective.of(own), [layer[own] for layer in parameters]
        scores = [here.score(part, batch) for batch in _batches(rows[own], most)]
        centred = [score.influence - score.influence.mean(1, keepdim=True) for score in scores]
        found.append(Score(torch.stack([score.value for score in scores]).mean(0), torch.cat(centred, 1)))
    values, influences = zip(*found, strict=True)
    return Score(torch.cat(values), torch.cat(influences))


@torch.no_grad()
def _mean_objective(objective: Objective, parameters: Parameters, rows: Int[Tensor, "model row"]) -> Float[Tensor, " model"]:
    return torch.stack([objective.objective(parameters, batch) for batch in _batches(rows, EVALUATION_BATCH // 4)]).mean(0)


def _taken(values: Float[Tensor, "sample feature"], rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row feature"]:
    """The rows of these numbers: as by an index, in half its time."""
    return values.index_select(0, rows.flatten()).unflatten(0, rows.shape)


def _batches(rows: Int[Tensor, "model row"], most: int) -> Iterator[Int[Tensor, "model row"]]:
    """Equal batches, as few as can be."""
    count = -(-rows.shape[1] // most)
    return iter(rows[:, : rows.shape[1] // count * count].chunk(count, 1))
