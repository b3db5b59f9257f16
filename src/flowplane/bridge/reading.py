"""From denoisers' errors to numbers with intervals: I(X;T) and I(T;Y) of batch members, and each sample's part (§C)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit
from torch import Tensor

from flowplane.bridge.classes import class_gap
from flowplane.bridge.layers import upper_bound
from flowplane.bridge.levels import Levels
from flowplane.bridge.pairs import pair_information
from flowplane.bridge.points import SETS, Points, principal_axes
from flowplane.bridge.training import Schedule
from flowplane.core.results import CONFIDENCE, Z
from flowplane.core.threads import one_thread, shared
from flowplane.information.known import Known, Quantity
from flowplane.information.probes.folds import FOLDS, Folds, grouped_error, held_together

__all__ = ["BIT", "STUDENT", "Read", "by_fitting", "by_points", "folds_of"]

#: Of independent sets of draws of noise, standard errors on either side.
STUDENT = float(stdtrit(SETS - 1, 0.5 + CONFIDENCE / 2))
BIT = math.log(2.0)
#: Two ways to read a label further apart than this, in bits, give no answer.
APART = 0.5
#: Networks that gained more than this, in bits, in the second half of their training were still learning.
LATE = 0.03
#: With this many samples half are enough to train on: two folds.
MANY, FEW_FOLDS = 4000, 2
#: Of pairs without networks: none is trained.
UNTRAINED = Schedule(hidden=(8,), steps=0)
#: Work per batch member, roughly.
NANOSECONDS = 1e9


class Read(NamedTuple):
    """One quantity of each batch member and each sample's part in it, whose mean by p(x) it is; bits."""

    quantity: Quantity
    terms: Float[Tensor, "batch sample"]
    #: Whether two ways to read it lie far apart, where there are two.
    apart: Bool[Tensor, " batch"] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Read]) -> Read:
        """One batch from its members."""
        apart = [part.apart for part in parts if part.apart is not None]
        terms = torch.cat([part.terms for part in parts])
        return cls(Quantity.joined([part.quantity for part in parts]), terms, torch.cat(apart) if apart else None)


def by_points(
    values: Float[Tensor, "batch sample unit"], known: Known, noise: Float[Tensor, " batch"]
) -> tuple[Read, Read | None]:
    """I(X;T) and I(T;Y) of the law on the samples; the intervals are those of the noise drawn. For numbers, which are
    not classes, I(T;Y) is learned."""
    found = [_of_law(t, known, float(level)) for t, level in zip(values, noise, strict=True)]
    i_xt, i_ty = zip(*found, strict=True)
    if known.targets is not None:
        return _stacked(i_xt), by_fitting(values, known, noise, False, Schedule(), of_labels_alone=True)[1]
    return _stacked(i_xt), None if known.conditional is None else _stacked(i_ty)


def _of_law(t: Float[Tensor, "sample unit"], known: Known, noise: float) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Value, standard error and terms of both, in nats."""
    law = Points(t, known.mass, known.conditional)
    levels = Levels.between([noise], float(law.variances.sum()), t.device)
    curve = law.curve(levels, known.seed)
    value, error = _integral(curve.spread, curve.errors[0], levels, known.mass)
    value = value + levels.tail(law.variances)[0]
    # each sample's own error says which it is; the mean of the others' is known better
    terms = levels.integral(curve.missed)[:, 0]
    i_xt = (value, error, terms + value - known.mass @ terms)
    value, error = _integral(curve.gap, curve.errors[3], levels, known.mass)
    value = value + law.between / (2 * max(noise, levels.top))
    terms = levels.integral(curve.gap)[:, 0]
    return i_xt, (value, error, terms + value - known.mass @ terms)


def _integral(each: Tensor, errors: Tensor, levels: Levels, mass: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over samples and its standard error: levels are drawn independently."""
    return levels.integral(mass @ each)[0], (levels.weights[0] * errors).square().sum().sqrt()


def _stacked(parts: tuple[tuple[Tensor, ...], ...]) -> Read:
    value, error, terms = (torch.stack(column) / BIT for column in zip(*parts, strict=True))
    return Read(Quantity.around(value, STUDENT / Z * error), terms)


def by_fitting(
    values: Float[Tensor, "batch sample unit"],
    known: Known,
    noise: Float[Tensor, " batch"],
    relative: bool,
    schedule: Schedule | None,
    *,
    of_labels_alone: bool = False,
) -> tuple[Read | None, Read | None]:
    """I(X;T) and I(T;Y), each None where it cannot be given, by denoisers that are judged on samples they were not fitted
    to. The intervals hold 95 % of the sampling error; where it is read in two ways, they cover both.

    Through noise T is a function of x; without any I(X;T) is that of the inputs as they are given. Networks of all folds of
    a member train together, members side by side: none knows of the others.

    Arguments:
        relative: whether the noise is a share of the samples' own total variance, and varies with it.
        schedule: of networks; None for normals alone.
        of_labels_alone: whether I(X;T) is not asked for.
    """

    def of_inputs(member: int) -> Read:
        t, level = values[member : member + 1], noise[member : member + 1]
        if float(level) > 0:
            return _through_noise(t, known, level, relative, schedule)
        return _of_pair(t[0], known.inputs, known, 0.0, schedule)

    def of_labels(member: int) -> Read:
        t, level = values[member : member + 1], noise[member : member + 1]
        if known.targets is None:
            return _of_classes(t, known, level, schedule)
        return _of_pair(t[0], known.targets, known, float(level), schedule)

    wanted = [not of_labels_alone and (known.inputs is not None or float(noise.max()) > 0), known.labelled]
    tasks = [(kind, member) for member in range(len(values)) for kind in range(2) if wanted[kind]]
    found: dict[tuple[int, int], Read] = {}

    def work(first: int, last: int) -> None:
        for kind, member in tasks[first:last]:
            found[kind, member] = (of_inputs, of_labels)[kind](member)

    _ = known.mass, known.symbols, known.labels  # before threads ask for them
    with one_thread(values.device.type == "cpu"):
        shared(work, len(tasks), NANOSECONDS * len(tasks))
    i_xt, i_ty = (
        Read.joined([found[kind, member] for member in range(len(values))]) if wanted[kind] else None for kind in range(2)
    )
    return i_xt, i_ty


def _through_noise(
    t: Float[Tensor, "1 sample unit"], known: Known, noise: Tensor, relative: bool, schedule: Schedule | None
) -> Read:
    folds, groups = folds_of(known)
    terms = upper_bound(t, folds, noise[:, None], known.seed, schedule).terms[:, :, 0] / BIT
    influence = terms + _of_scale(t, noise) / BIT if relative else terms
    return Read(Quantity.around(terms.mean(1), grouped_error(influence, groups)), terms)


def _of_classes(t: Float[Tensor, "1 sample unit"], known: Known, noise: Tensor, schedule: Schedule | None) -> Read:
    assert known.labels is not None
    folds, groups = folds_of(known, known.labels)
    gap = class_gap(t, known.labels, folds, noise, known.seed, schedule)
    loss, expected = gap.loss / BIT, gap.expected.mean(1) / BIT
    quantity = Quantity.around(loss.mean(1), grouped_error(loss, groups))
    apart = ((expected - quantity.value).abs() > APART) | (gap.late / BIT > LATE)
    return Read(quantity.hull(Quantity(expected, expected, expected)), loss, apart)


def _of_pair(
    t: Float[Tensor, "sample unit"], other: Tensor | None, known: Known, noise: float, schedule: Schedule | None
) -> Read:
    assert other is not None
    if bool((t == t[0]).all()) or bool((other == other[0]).all()):
        nothing = torch.zeros_like(t[:1, 0])
        return Read(Quantity(nothing, nothing, nothing), torch.zeros_like(t[None, :, 0]))
    train = UNTRAINED if schedule is None else None
    found = pair_information(t, other, held_together(known), variance=noise, seed=known.seed, schedule=train)
    ends = torch.tensor([[found.value], [found.lower], [found.upper]], dtype=torch.float64, device=t.device)
    apart = torch.tensor([not found.converged], device=t.device)
    return Read(Quantity(*ends), found.pointwise[None].to(t.device), apart)


def folds_of(known: Known, labels: Int[Tensor, " sample"] | None = None) -> tuple[Folds, Int[Tensor, " sample"]]:
    """Folds, stratified by labels where there are any, and the number of each sample's group."""
    groups = held_together(known)
    classes = np.zeros(known.samples, np.int64) if labels is None else labels.cpu().numpy()
    count = FOLDS if known.samples < MANY else FEW_FOLDS
    return Folds.of(classes, groups, known.seed, known.device, count), torch.from_numpy(groups).to(known.device)


def _of_scale(values: Tensor, noise: Tensor) -> Float[Tensor, "batch sample"]:
    """What each sample moves the information by in moving the total variance, and with it the noise: dI/d ln σ² is
    −mmse/2σ², here that of a normal."""
    centred = values - values.mean(1, keepdim=True)
    square = centred.square().sum(2)
    total = square.mean(1, keepdim=True)
    slopes = []
    for t, level in zip(values, noise, strict=True):
        variances = principal_axes(t, torch.full((len(t),), 1 / len(t), dtype=t.dtype, device=t.device))[1]
        slopes.append(-0.5 * (variances / (variances + level)).sum())
    return torch.stack(slopes)[:, None] * (square / total - 1.0)
