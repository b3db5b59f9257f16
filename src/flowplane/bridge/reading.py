"""From denoisers' errors to numbers with intervals: I(X;T) and I(T;Y) of batch members, and each sample's part (§C)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import stdtrit
from torch import Tensor

from flowplane.bridge.classes import class_gap
from flowplane.bridge.layers import upper_bound
from flowplane.bridge.levels import Levels
from flowplane.bridge.points import SETS, Points, principal_axes
from flowplane.bridge.training import Schedule
from flowplane.information.known import Known, Quantity, Z
from flowplane.information.probes.folds import Folds, grouped_error, held_together
from flowplane.information.schema import CONFIDENCE

__all__ = ["BIT", "STUDENT", "Read", "by_fitting", "by_points", "folds_of"]

#: Of independent sets of draws of noise, standard errors on either side.
STUDENT = float(stdtrit(SETS - 1, 0.5 + CONFIDENCE / 2))
BIT = math.log(2.0)


class Read(NamedTuple):
    """One quantity of each batch member and each sample's part in it, whose mean by p(x) it is; bits."""

    quantity: Quantity
    terms: Float[Tensor, "batch sample"]
    #: How far apart two read-outs lie, where there are two.
    apart: Float[Tensor, " batch"] | None = None


def by_points(
    values: Float[Tensor, "batch sample unit"], known: Known, noise: Float[Tensor, " batch"]
) -> tuple[Read, Read | None]:
    """I(X;T) and I(T;Y) of the law on the samples. The intervals are those of the noise drawn."""
    found = [_of_law(t, known, float(level)) for t, level in zip(values, noise, strict=True)]
    i_xt, i_ty = zip(*found, strict=True)
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
    """Of the mean over samples, and its standard error: levels are drawn independently."""
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
) -> tuple[Read | None, Read | None]:
    """I(X;T), where there is noise, and I(T;Y), where there are classes, by denoisers that are judged on samples they were
    not fitted to. The intervals hold 95 % of the sampling error; of classes the squared gap as well.

    Arguments:
        relative: whether the noise is a share of the samples' own total variance, and varies with it.
        schedule: of networks; None for normals alone.
    """
    i_xt = i_ty = None
    if bool((noise > 0).all()):
        folds, together = folds_of(known)
        terms = upper_bound(values, folds, noise[:, None], known.seed, schedule).terms[:, :, 0] / BIT
        influence = terms + _of_scale(values, noise) / BIT if relative else terms
        i_xt = Read(Quantity.around(terms.mean(1), grouped_error(influence, together)), terms)
    if known.labels is not None:
        folds, together = folds_of(known, known.labels)
        gap = class_gap(values, known.labels, folds, noise, known.seed, schedule)
        loss = gap.loss / BIT
        quantity, apart = Quantity.around(loss.mean(1), grouped_error(loss, together)), None
        if gap.square is not None:
            square = gap.square.mean(1) / BIT
            quantity = quantity.hull(Quantity(square, square, square))
            apart = (square - quantity.value).abs()
        i_ty = Read(quantity, loss, apart)
    return i_xt, i_ty


def folds_of(known: Known, labels: Int[Tensor, " sample"] | None = None) -> tuple[Folds, Int[Tensor, " sample"]]:
    """Folds, stratified by labels where there are any, and the number of each sample's group."""
    groups = held_together(known)
    classes = np.zeros(known.samples, np.int64) if labels is None else labels.cpu().numpy()
    return Folds.of(classes, groups, known.seed, known.device), torch.from_numpy(groups).to(known.device)


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
