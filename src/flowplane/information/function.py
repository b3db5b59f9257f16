"""Whether T is a function of x, as far as samples show it: by inputs that repeat, or by near ones."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.core.points import in_scale, standardised

__all__ = ["Near", "near_pairs", "not_a_function"]

#: Values of equal inputs that differ by no more than this share of the layer's spread are equal: single precision rounds.
ROUNDING = 1e-5
#: Samples of a sample's own input, in the mean, from which H(T|X) is measured.
OFTEN = 20
#: Neighbours of each sample that are compared, and pairs whose squared distance in x is at most this share of a typical one:
#: farther apart T may differ much and still be a function.
NEIGHBOURS, NEAR = 8, 0.05
#: Samples whose neighbours are looked for, at most.
ASKED = 1024
#: Fewer such pairs say nothing. Noise is what remains of T's variance at distance 0, flagged above this share of it by this
#: many standard errors. Three units' tanh of a normal x, 40 draws: with noise of 1 % of their variance found in all in one
#: dimension from 200 samples and in two from 1,000, of 10 % in three from 1,000, of half in five; in eight nothing is near.
#: Never without noise, not even for a step in x or sin 200x.
PAIRS, SHARE, ERRORS = 64, 0.001, 4.0


class Near(NamedTuple):
    """Pairs of samples that are near in x, their squared distance as a share of a typical one, and how many pairs count as
    independent: as if there were one per sample, since those that share a sample are not."""

    first: Int[Tensor, " pair"]
    second: Int[Tensor, " pair"]
    distance: Float[Tensor, " pair"]
    independent: int


def near_pairs(inputs: Float[Tensor, "sample feature"]) -> Near | None:
    """Neighbours in x, each feature at its own spread; None where too few are near."""
    n = len(inputs)
    x, _ = standardised(inputs)
    varying = int((x.amin(0) < x.amax(0)).sum())
    if n <= NEIGHBOURS or varying == 0:
        return None
    asked = torch.linspace(0, n - 1, min(n, ASKED), dtype=torch.float64, device=x.device).long()
    squares = x.square().sum(1)
    apart = squares[asked, None] + squares - 2 * x[asked] @ x.T
    apart[torch.arange(len(asked), device=x.device), asked] = torch.inf
    square, place = apart.topk(NEIGHBOURS, largest=False)
    near = square.clamp_min(0.0) / (2 * varying)
    row, rank = (near <= NEAR).nonzero(as_tuple=True)
    if len(row) < PAIRS:
        return None
    return Near(asked[row], place[row, rank], near[row, rank], min(len(asked), len(row)))


def not_a_function(
    values: Float[Tensor, "batch sample unit"], symbols: Int[Tensor, " sample"], near: Near | None
) -> Bool[Tensor, " batch"]:
    """Whether each batch member has noise that x does not explain.

    Where inputs repeat, they decide: T is a function if equal inputs have equal T throughout; where they repeat often,
    H(T|X) is measured, and noise is allowed. Elsewhere half the mean squared difference of T between neighbours is
    extrapolated to distance 0 in x by a straight line in the squared distance, the gamma test, and one in the distance,
    for steps: a function leaves nothing there, noise its variance. Where none are near, in many dimensions, nothing is said.

    References:
        Stefánsson, Končar and Jones, *A note on the Gamma test*, Neural Computing & Applications 5 (1997).
    """
    t, _ = in_scale(values, (1, 2))
    t = t - t.mean(1, keepdim=True)
    total = t.square().sum(2).mean(1)
    if int(symbols.max()) + 1 < len(symbols):
        return _differ(t, symbols, total)
    if near is None:
        return torch.zeros(len(values), dtype=torch.bool, device=values.device)
    apart = (t[:, near.first] - t[:, near.second]).square().sum(2) / (2 * total.clamp_min(1e-300)[:, None])
    noisy = total > 0
    for way in (near.distance, near.distance.sqrt()):
        centred = way - way.mean()
        slope = (apart @ centred / centred.square().sum().clamp_min(1e-300)).clamp_min(0.0)
        left = apart - slope[:, None] * way
        far = way.mean().square() / centred.square().mean().clamp_min(1e-300)  # a line is less certain outside its points
        noisy &= left.mean(1) > SHARE + ERRORS * left.std(1) * ((1.0 + far) / near.independent).sqrt()
    return noisy


def _differ(t: Float[Tensor, "batch sample unit"], symbols: Int[Tensor, " sample"], total: Tensor) -> Bool[Tensor, " batch"]:
    """Whether samples of the same input have values that differ by more than rounding, and are few."""
    count = torch.bincount(symbols)
    if float(count[symbols].double().mean()) >= OFTEN:
        return torch.zeros(len(t), dtype=torch.bool, device=t.device)
    first = torch.zeros(int(symbols.max()) + 1, dtype=torch.int64, device=symbols.device)
    first[symbols] = torch.arange(len(symbols), device=symbols.device)
    return ((t - t[:, first[symbols]]).abs().amax(2) > ROUNDING * total.sqrt()[:, None]).any(1)
