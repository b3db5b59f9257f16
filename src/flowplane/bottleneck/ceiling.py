"""A ceiling over c(q) = Σ_x p(x) exp(−β KL(p(y|x) ‖ q)) / Z(x) that no q in the simplex exceeds, by branch and bound.

Where c is largest q is the mean Σ_x u(x) p(y|x), u(x) the share of x in c(q), so that each q_y lies between the least and
the greatest p(y|x). That box is cut into smaller ones, for each of which there are two bounds. With any ν, and s_y the slope
of the secant of β q log q on the box's side y,

    log c(q) ≤ log Σ_x p(x)/Z(x) exp(β H(Y|x) + θ·p(y|x)) + Σ_y max (β q log q − θ_y q_y),    θ = s + ν,

at the largest: there log c(q) is max_u H(u) + Σ_x u(x) (log p(x)/Z(x) + β H(Y|x)) − β H(q), whose last term is at most
its secants, and ν are the multipliers of the sides. The narrower the box, the tighter this is, but around a maximum it would
have to be cut for ever. There, with q₀ a peak, u and m its shares and their mean, d = q − q₀ and τ_y = β d_y/q₀_y,

    log c(q) ≤ log c(q₀) + β KL(q ‖ q₀) − τ·(q − m) + log Σ_x u(x) exp(τ·(p(y|x) − m)),

and what is added to log c(q₀) is negative on all of the box if a matrix is: KL is at most a quadratic form, and exp(z) at
most 1 + z + ψ z², ψ from the greatest z (Bennett 1962).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.bottleneck.codebook import Problem

__all__ = ["ceiling"]

#: Numbers p(y|x) processed for a β in all and per round, and numbers in one array.
WORK, ROUND, BLOCK = 1 << 22, 1 << 16, 1 << 21
#: The most rounds: at a corner of the simplex one box may be halved for ever.
LONGEST = 300
#: Newton's steps towards the best ν.
STEPS = 4
#: A box is cut where the relaxed maximum lies, but at least this share of its side from the ends; how much width counts.
EDGE, WIDE = 0.25, 0.1
#: The least number of nats that is proved.
LEAST = 1e-11
#: What rounding may hide, in nats, for β = 0 and each unit of β.
ROUNDING = 1e-14


def ceiling(
    problem: Problem, dual: Float[Tensor, "beta state"], peaks: Float[Tensor, "beta peak y"], tolerance: float
) -> Float[Tensor, " beta"]:
    """For each β a bound on log c(q) over all q, in nats: at most `tolerance` unless c does, or the work ran out.

    Arguments:
        dual: log p(x)/Z(x); what is returned holds for any other numbers too.
        peaks: log q of the highest maxima known.

    Example:
        >>> joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
        >>> problem = Problem(joint.sum(1), 2 * joint, torch.tensor([2.0]).double())  # β below 1/λ_2 = 2.78
        >>> from flowplane.bottleneck.codebook import Codebook
        >>> one = Codebook(torch.ones(1, 1).double(), torch.full((1, 1, 2), 0.5).double().log())
        >>> bool(ceiling(problem, one.dual(problem), one.words, 1e-9) <= 1e-9)  # one cluster is optimal
        True
    """
    states = problem.conditional
    terms = _Terms(problem, dual, peaks, tolerance)
    beta = torch.arange(len(dual), device=dual.device)
    found, left = torch.zeros_like(dual[:, 0]), torch.full_like(beta, WORK // states.numel())
    boxes = terms.boxes(beta, *(side.expand(len(beta), -1) for side in (states.amin(0), states.amax(0))))
    while True:
        done = (boxes.bound <= terms.enough[boxes.beta]) | (left[boxes.beta] <= 0)
        found = found.scatter_reduce(0, boxes.beta[done], boxes.bound[done], "amax")
        boxes = boxes.take(~done)
        if len(boxes.beta) == 0:
            return found + ROUNDING * (1 + problem.betas)
        first = boxes.highest(max(1, ROUND // states.numel()))
        cut = boxes.take(first)
        halves = terms.boxes(*cut.halves())
        left -= torch.bincount(halves.beta, minlength=len(left)) + 1 + WORK // states.numel() // LONGEST
        boxes = boxes.take(~first).joined(halves)


class _Boxes(NamedTuple):
    """Which β they belong to, between which q, under which bound, and which side to cut where."""

    beta: Int[Tensor, " box"]
    low: Float[Tensor, "box y"]
    high: Float[Tensor, "box y"]
    bound: Float[Tensor, " box"]
    axis: Int[Tensor, " box"]
    place: Float[Tensor, " box"]

    def take(self, chosen: Tensor) -> _Boxes:
        return _Boxes(*(column[chosen] for column in self))

    def joined(self, other: _Boxes) -> _Boxes:
        return _Boxes(*(torch.cat(columns) for columns in zip(self, other, strict=True)))

    def highest(self, most: int) -> Bool[Tensor, " box"]:
        """Those of the highest bounds, `most` for each β."""
        order = self.bound.argsort(descending=True, stable=True)
        order = order[self.beta[order].argsort(stable=True)]
        count = torch.bincount(self.beta)
        rank = torch.arange(len(order), device=order.device) - (count.cumsum(0) - count)[self.beta[order]]
        return torch.zeros_like(order, dtype=torch.bool).index_fill(0, order[rank < most], True)

    def halves(self) -> tuple[Int[Tensor, " half"], Float[Tensor, "half y"], Float[Tensor, "half y"]]:
        """β, low and high of the halves: sides no longer than the others allow, as Σ_y q_y = 1."""
        axis, place = self.axis[:, None], self.place[:, None]
        low = torch.cat([self.low, self.low.scatter(1, axis, place)])
        high = torch.cat([self.high.scatter(1, axis, place), self.high])
        low, high = (
            torch.maximum(low, high + 1 - high.sum(1, keepdim=True) - ROUNDING),
            torch.minimum(high, low + 1 - low.sum(1, keepdim=True) + ROUNDING),
        )
        some = (low <= high).all(1)
        return self.beta.repeat(2)[some], low[some], high[some]


class _Terms:
    """What the bounds of all boxes are made of."""

    def __init__(self, problem: Problem, dual: Tensor, peaks: Tensor, tolerance: float) -> None:
        self.states, self.scale = problem.conditional, problem.betas
        self.squares = (self.states[:, :, None] * self.states[:, None]).flatten(1)
        logs = problem.log_kernel(peaks).add_(dual[..., None])
        self.height, self.share = logs.logsumexp(1), logs.softmax(1).mT
        self.peaks, self.mean = peaks, self.share @ self.states
        self.own = dual - self.scale[:, None] * torch.special.xlogy(self.states, self.states).sum(1)
        self.enough = (2.0 * self.height.amax(1)).clamp(min=max(tolerance, LEAST)) - ROUNDING * (1 + self.scale)

    def boxes(self, beta: Int[Tensor, " box"], low: Float[Tensor, "box y"], high: Float[Tensor, "box y"]) -> _Boxes:
        """With bounds, and with the side along which the relaxation is loosest."""
        (n, k), peaks = self.states.shape, self.peaks.shape[1]
        parts = zip(*(column.split(max(1, BLOCK // max(n, k * max(k, peaks)))) for column in (beta, low, high)), strict=True)
        bound, axis, place = (torch.cat(column) for column in zip(*(self._bounds(*part) for part in parts), strict=True))
        return _Boxes(beta, low, high, bound, axis, place)

    def _bounds(self, beta: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bound, at, loose = self._relaxed(beta, low, high)
        high_still = (bound > self.enough[beta]).nonzero().ravel()
        around = self._around_peaks(*(column[high_still] for column in (beta, low, high, at)))
        bound[high_still] = torch.minimum(bound[high_still], around)
        axis = loose.argmax(1, keepdim=True)
        near, far, place = (column.gather(1, axis).squeeze(1) for column in (low, high, at))
        margin = EDGE * (far - near)
        return bound, axis.squeeze(1), torch.minimum(torch.maximum(place, near + margin), far - margin)

    def _relaxed(self, beta: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The first bound, where its maximum lies, and how far each secant is above β q log q, there and in the middle."""
        scale, k = self.scale[beta, None], low.shape[1]
        middle, width = (low + high) / 2, high - low
        about = middle.where(middle > 0, 1.0)

        def bend(q: Tensor) -> Tensor:  # how far q log q is above its tangent in the middle
            return scale * (torch.special.xlogy(q, q / about) - q + middle)

        start = bend(low)
        slope = torch.where(width > 0, (bend(high) - start) / width, 0.0)
        constant = (start - slope * low - scale * middle).sum(1) + scale[:, 0]
        theta, own = scale * about.log() + slope, self.own[beta]
        force = torch.zeros_like(low)
        bound = torch.full_like(constant, torch.inf)
        at = middle
        for step in range(STEPS + 1):
            score = torch.addmm(own, theta + force, self.states.mT)
            value = score.logsumexp(1) + constant - torch.where(force > 0, force * low, force * high).sum(1)
            share = score.softmax(1)
            mean = share @ self.states
            at = torch.where((value < bound)[:, None], mean, at)
            bound = torch.minimum(bound, value)
            if step == STEPS or bool((bound <= self.enough[beta]).all()):
                break
            up, down = (mean < low) | (force > 0), (mean > high) | (force < 0)
            free = up | down
            spread = (share @ self.squares).unflatten(1, (k, k)) - mean[:, :, None] * mean[:, None]
            spread *= free[:, :, None] & free[:, None]
            diagonal = spread.diagonal(dim1=1, dim2=2)
            diagonal += torch.where(free, 1e-12 + 1e-3 * diagonal, 1.0)
            move = torch.linalg.solve_ex(spread, torch.where(up, low - mean, high - mean) * free)[0].nan_to_num(nan=0.0)
            force = torch.where(up, (force + move).clamp(min=0.0), torch.where(down, (force + move).clamp(max=0.0), 0.0))
        at = torch.minimum(torch.maximum(at, low), high)
        loose, widest = (start + slope * (q - low) - bend(q) for q in (at, middle))
        return bound, at, loose + WIDE * widest

    def _around_peaks(self, beta: Tensor, low: Tensor, high: Tensor, at: Tensor) -> Tensor:
        """The second bound, about the peak nearest to `at`; infinite where the matrix is not negative."""
        scale, k = self.scale[beta, None], low.shape[1]
        place = beta, torch.einsum("by,bpy->bp", at, self.peaks[beta]).argmax(1)
        q, mean, share = self.peaks[place].exp(), self.mean[place], self.share[place]
        low, high = (low - q) / q, (high - q) / q
        drift = scale[:, 0] * torch.maximum(low * (mean - q), high * (mean - q)).sum(1)
        back = scale * torch.minimum(low * (mean - q), high * (mean - q)).sum(1, keepdim=True)
        weight = share * _exponential(scale * (high @ self.states.mT) - back)
        first = mean * weight.sum(1, keepdim=True) / 2 - weight @ self.states
        spread = (
            (weight @ self.squares).unflatten(1, (k, k))
            + first[:, :, None] * mean[:, None]
            + mean[:, :, None] * first[:, None]
        )
        root = q.rsqrt()
        matrix = scale[..., None] * spread * root[:, :, None] * root[:, None]
        matrix.diagonal(dim1=1, dim2=2).add_(_entropy(low) - 1 + 1e-12)
        negative = torch.linalg.cholesky_ex(-matrix.nan_to_num(nan=1.0, posinf=1.0))[1] == 0
        return torch.where(negative, self.height[place] + drift.clamp(min=0.0), torch.inf)


def _exponential(greatest: Tensor) -> Tensor:
    """The least ψ with exp(z) ≤ 1 + z + ψ z² for all z up to the greatest."""
    z = greatest.clamp(-700.0, 700.0)
    small = z.abs() < 1e-2
    safe = z.where(~small, 1.0)
    least = torch.where(small, 0.5 + z.clamp(min=0.0) / 5, (safe.expm1() - safe) / safe.square())
    return least.where(greatest <= 700.0, torch.inf)


def _entropy(least: Tensor) -> Tensor:
    """The least κ with (1 + t) log(1 + t) − t ≤ κ t² for all t from the least on."""
    t = least.clamp(min=-1.0)
    small = t.abs() < 1e-2
    safe = t.where(~small, 1.0)
    return torch.where(small, 0.5 - t.clamp(max=0.0) / 5, (torch.special.xlogy(1 + safe, 1 + safe) - safe) / safe.square())
