"""I(T;Y) of any two vectors by denoising one of them, without the other and with it (§C2, §C3)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bridge.canonical import Canonical
from flowplane.bridge.evaluation import Judged, judge
from flowplane.bridge.training import Range, Rows, Schedule, train
from flowplane.core.results import Z
from flowplane.core.streams import EVALUATION, NOISE, SUBSETS, TRAINING, generator, torch_generator
from flowplane.errors import InputError, Text
from flowplane.information.probes.scores import normal_scores

__all__ = ["Found", "pair_information", "schedule_for"]

LN2 = math.log(2.0)
#: Parts of which each is judged by a network of the others, and parts of those of which one chooses.
FOLDS, CHOOSING = 5, 8
#: The range of τ, in units of the least variance given the other vector and of the variance, and where it is mostly drawn.
LOWEST, HIGHEST, CENTRE, SPREAD = 1e-3, 100.0, 0.3, 1.5
#: Nodes in the lowest decade and in the rest.
LOW_NODES, NODES = 4, 16
#: What lies below the lowest decade, of what that holds, if the integrand falls like √τ (a density with edges) or like τ.
BELOW = (1 / (math.sqrt(10) - 1), 1 / 9)
#: LD and SQ further apart than this, in nats and of the value, give no answer; nor do LD of samples that were held out and
#: of others. Of benchmark-mi's spirals and Student's t it tells those that are read low, and no task that is read well.
APART, SHARE_APART = 0.1, 0.2
#: What first weights, batches and folds add to the error, in nats: shuffled pairs read up to this.
TRAINED = 0.02
#: Of what networks find, about as much again may have escaped them: they smooth, in all read-outs alike. So may this share
#: of what they find only in the rows they learned from: it is 1.5 for spirals of 2,000 samples, and of 10,000.
ESCAPED, FORGOTTEN = 0.25, 1.6
#: Noises per row where there is a channel.
COPIES = 4
#: The fewest groups: all parts have some.
FEWEST = 2 * FOLDS


class Found(NamedTuple):
    """Information in bits."""

    value: float
    lower: float
    upper: float
    #: Each row's part, whose mean is the value.
    pointwise: Float[Tensor, " sample"]
    #: SQ − LD: what the excess loss of the networks makes of the value, read in two ways.
    gap: float
    #: How much more is found in samples that the networks learned from.
    remembered: float
    #: Whether both are small.
    converged: bool


def pair_information(
    first: Float[Tensor, "sample unit"],
    second: Float[Tensor, "sample feature"],
    groups: Int[np.ndarray, " sample"] | None = None,
    *,
    variance: float = 0.0,
    seed: int = 0,
    schedule: Schedule | None = None,
) -> Found:
    """I(T + N(0, tI); Y), T the `first`, Y the `second`.

    Of the two the one with fewer equal values is denoised, on a tie the one with fewer units: its density must exist.
    If there is still a tie, both are, and the larger LD says which to read. Both are mapped to normal scores and on to
    canonical coordinates, which changes no information; a channel's noise is drawn before. Without any steps of training
    this is the information of two normal vectors.

    Arguments:
        groups: equal for rows that belong together; no network judges a row of a group that it was trained on.
        variance: t of the channel, in the square of the units of T.
        schedule: of the networks, else by the number of rows.

    Raises:
        InputError: fewer than ten groups.

    Example:
        >>> y = torch.randn(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> found = pair_information(y, y, variance=1.0, schedule=Schedule(hidden=(8,), steps=20))
        >>> bool(found.lower < 0.5 < found.upper)
        True
    """
    rows, device = len(first), first.device
    groups = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
    if (count := int(groups.max()) + 1) < FEWEST:
        raise InputError("groups", Text(f"{count} of them"), f"{FEWEST} or more rows that do not belong together")
    copies = COPIES if variance > 0 else 1
    first, second = first.double().repeat(copies, 1), second.double().repeat(copies, 1)
    if variance > 0:
        noise = torch.randn(first.shape, generator=torch_generator(seed, NOISE), dtype=torch.float64, device="cpu")
        first = first + math.sqrt(variance) * noise.to(device)
    sides = [(_repeats(values[:rows]), values.shape[1]) for values in (first, second)]
    scored, repeated = [_scores(first), _scores(second)], np.tile(groups, copies)
    schedule = schedule or schedule_for(rows)
    readings = [
        _read(scored[denoised], scored[1 - denoised], repeated, seed, schedule)
        for denoised in (0, 1)
        if sides[denoised] <= sides[1 - denoised]
    ]
    return _found(max(readings, key=lambda reading: float(reading.loss_difference.mean())), rows, groups)


def schedule_for(rows: int) -> Schedule:
    """Steps and batches for this many rows."""
    return Schedule() if rows < 5000 else replace(Schedule(), steps=1600, batch_size=512)


class _Readings(NamedTuple):
    """In nats."""

    loss_difference: Float[Tensor, " row"]
    squared_gap: Float[Tensor, " row"]
    #: What of their mean is owed to the networks, and how uncertain it is by what lies below all levels that were looked at.
    learned: float
    unseen: float
    #: How much larger the loss difference is in rows that were trained on.
    remembered: float


def _read(t: Tensor, y: Tensor, groups: np.ndarray, seed: int, schedule: Schedule) -> _Readings:
    fold, chooses = _dealt(groups, seed, t.device)
    each = torch.arange(FOLDS, device=t.device)[:, None]
    held, choosing = fold == each, (fold != each) & (chooses == each)
    base = Canonical.of(t, y, ~held)
    least = base.variance.log()
    lowest, highest = math.log(LOWEST) + float(least.min()), math.log(HIGHEST)
    levels = Range.same(lowest, highest, math.log(CENTRE) + float(least.mean()), SPREAD, t.device)
    training = Rows.of(~held & ~choosing)
    denoiser = train(base.single(), levels, training, Rows.of(choosing), schedule, torch_generator(seed, TRAINING))
    nodes, weights, below = _nodes(lowest, highest)
    judging = Rows.of(held)
    at_nodes = torch.from_numpy(nodes).to(t.device).expand(FOLDS, -1)
    denoiser, noises = replace(denoiser, base=base), torch_generator(seed, EVALUATION)
    losses, gaps = _gains(judge(denoiser, judging, at_nodes, 1, noises))
    of_nodes = torch.from_numpy(weights).to(t.device)
    found = t.new_zeros((2, len(t)))
    own = judging.own
    found[0, judging.places[own]] = (base.loss_difference(judging.places) + losses @ of_nodes)[own]
    found[1, judging.places[own]] = (base.squared_gap(judging.places) + gaps @ of_nodes)[own]
    learned = (losses + gaps)[own].mean(0) / 2
    unseen = learned @ torch.from_numpy(below).to(t.device)
    # a fifth of the rows that each was trained on says it as well
    known = Rows.of(~held & ~choosing & (fold == (each + 1) % FOLDS))
    trained = base.loss_difference(known.places) + _gains(judge(denoiser, known, at_nodes, 1, noises))[0] @ of_nodes
    remembered = float(trained[known.own].mean() - found[0].mean())
    return _Readings(found[0], found[1], float(learned @ of_nodes), abs(float(unseen)), remembered)


def _gains(judged: Judged) -> tuple[Float[Tensor, "model row node"], Float[Tensor, "model row node"]]:
    """What the networks add to the integrands of LD and of SQ, over log τ."""
    base, learned = judged
    with_condition, without = base.given - learned.given, base.without - learned.without
    return (with_condition - without) / 2, (learned.gap - base.gap) / 2


def _nodes(lowest: float, highest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, weights with the tails beyond both ends, and the weights of the uncertain part of the lower tail."""
    decade = lowest + math.log(10.0)
    low, high = (np.polynomial.legendre.leggauss(count) for count in (LOW_NODES, NODES))
    panels = ((low, lowest, decade), (high, decade, highest))
    nodes = np.concatenate([start + (end - start) * (rule[0] + 1) / 2 for rule, start, end in panels])
    weights = np.concatenate([rule[1] * (end - start) / 2 for rule, start, end in panels])
    below = np.where(nodes < decade, weights, 0.0)
    weights = weights + below * (BELOW[0] + BELOW[1]) / 2
    # the squared gap itself is constant for large τ, the integrand over log τ falls like 1/τ
    weights[-1] += math.exp(nodes[-1] - highest)
    return nodes, weights, below * (BELOW[0] - BELOW[1]) / 2


def _found(readings: _Readings, rows: int, groups: np.ndarray) -> Found:
    both = torch.stack([readings.loss_difference, readings.squared_gap]).reshape(2, -1, rows).mean(1) / LN2
    pointwise = both.mean(0)
    value, (low, high) = float(pointwise.mean()), sorted(both.mean(1).tolist())
    # the log ratio's own spread knows that its parameters are the samples'; that of the mean of both read-outs does not
    deviations = np.bincount(groups, (both[0] - both[0].mean()).cpu().numpy())
    sampling = Z * math.sqrt((deviations**2).sum()) / rows
    half = math.hypot(sampling, readings.unseen / LN2, TRAINED / LN2)
    gap, remembered = float((both[1] - both[0]).mean()), readings.remembered / LN2
    escaped = max(0.0, ESCAPED * readings.learned / LN2, FORGOTTEN * remembered)
    converged = max(abs(gap), remembered) <= APART / LN2 + SHARE_APART * abs(value)
    return Found(value, min(low, value - half), max(high, value + half + escaped), pointwise, gap, remembered, converged)


def _dealt(groups: np.ndarray, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The fold of each row, and the fold for which it chooses, if it is trained on; groups stay together."""
    order = generator(seed, SUBSETS).permutation(int(groups.max()) + 1)[groups]
    return torch.from_numpy(order % FOLDS).to(device), torch.from_numpy(order // FOLDS % CHOOSING).to(device)


def _repeats(values: Float[Tensor, "sample unit"]) -> int:
    """Most repeated values of a unit: where there are many, it has no density."""
    return max(len(values) - len(torch.unique(unit)) for unit in values.T)


def _scores(values: Float[Tensor, "sample unit"]) -> Float[Tensor, "sample unit"]:
    columns = [normal_scores(unit) for unit in values.cpu().numpy().T]
    return torch.from_numpy(np.stack(columns, 1)).to(values.device)
