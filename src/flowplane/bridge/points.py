"""Denoising by the points themselves: exact for the law that lies on them (§A3, §C1, §C2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bridge.levels import Levels
from flowplane.core.points import row_blocks
from flowplane.core.streams import NOISE
from flowplane.core.threads import one_thread, shared

__all__ = ["SETS", "Curve", "Points", "principal_axes"]

#: Pairs of a point and a noisy one at each level, about; draws of the noise for each point at most; independent sets of
#: them, whose differences are the error.
PAIRS, DRAWS, SETS = 1 << 22, 2048, 8
#: Draws in each set from which on they are the same, evenly spread ones for all points; fewer are each point's own.
EVEN = 64
#: Noisy points that are worked on together, about.
ROWS = 4096
#: On a line the noise is integrated by the trapezoid rule, from −REACH to REACH standard deviations, for this many points.
REACH, STEPS, FEW = 9.0, 128, 512
#: Exponents that are kept, in float64 and in float32: below the first nothing is left of a share, beyond the second it
#: overflows. float32 is for many points that are not too far apart for the noise.
WIDE, NARROW = (-700.0, 600.0), (-80.0, 80.0)
MANY, COARSE = 1000, 1e4
#: Work per pair, roughly.
PAIR_NANOSECONDS = 5.0


class Curve(NamedTuple):
    """What denoising by the points leaves at each level τ, in squared units.

    The mean over samples of `spread` and of `missed` is mmse(τ), of `gap` what knowing y adds; errors are those of the noise
    drawn, 0 where it is integrated.
    """

    #: E tr Cov(T|T_τ), E|t_i − g_τ|², E ln p(T_τ|t_i)/p(T_τ), which is information by densities, and E|g_τ − g_τ(·|y)|²
    #: given each sample; the last 0 without labels.
    spread: Float[Tensor, "sample node"]
    missed: Float[Tensor, "sample node"]
    surprise: Float[Tensor, "sample node"]
    gap: Float[Tensor, "sample node"]
    #: Standard errors of their means over samples, in the same order.
    errors: Float[Tensor, "4 node"]


@dataclass(frozen=True, eq=False)
class Points:
    """Points t_i of probability p_i: given t̃ = t + N(0, τI) the posterior mean is attention over all of them.

    Arguments:
        t: in float64.
        mass: p_i.
        rule: p(y|x_i), or ones and zeros.
    """

    t: Float[Tensor, "sample unit"]
    mass: Float[Tensor, " sample"]
    rule: Float[Tensor, "sample class"] | None = None

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        return principal_axes(self.t, self.mass)

    @property
    def variances(self) -> Float[Tensor, " direction"]:
        """Eigenvalues of the covariance, above 0."""
        return self._axes[1]

    @property
    def between(self) -> float:
        """The variance of E[T|Y], the sum over units; 0 without labels."""
        if self.rule is None:
            return 0.0
        share = self.mass[:, None] * self.rule
        prior = share.sum(0)
        means = share.T @ self._axes[0] / prior.clamp_min(1e-300)[:, None]
        return float(prior @ means.square().sum(1))

    def curve(self, levels: Levels, seed: int) -> Curve:
        """The errors at the levels' nodes, integrated over noise that the seed draws for each node by itself.

        Example:
            >>> pair = Points(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), torch.full((2,), 0.5).double())
            >>> levels = Levels.between([1.0], 1.0)
            >>> nats = levels.integral(pair.curve(levels, 0).spread.mean(0)) + levels.tail(pair.variances)
            >>> round(float(nats) / math.log(2), 6)
            0.485944
        """
        law = _Law.of(self._axes[0], self.mass, self.rule)
        count = len(levels.tau)
        found = self.t.new_zeros(count, 4, len(self.t))
        errors = self.t.new_zeros(4, count)

        def work(first: int, last: int) -> None:
            for place in range(first, last):
                stream = np.random.SeedSequence(seed, spawn_key=(NOISE, place))
                found[place], errors[:, place] = law.node(float(levels.tau[place]), stream)

        with one_thread(self.t.device.type == "cpu"):
            shared(work, count, PAIR_NANOSECONDS * law.pairs * count)
        spread, missed, surprise, gap = found.permute(1, 2, 0)
        return Curve(spread, missed, surprise, gap, errors)


def principal_axes(
    t: Float[Tensor, "sample unit"], mass: Float[Tensor, " sample"]
) -> tuple[Float[Tensor, "sample direction"], Float[Tensor, " direction"]]:
    """The points about their mean along the directions in which they vary, the widest first, and the variances there.

    Example:
        >>> pair = torch.tensor([[0.0, 0.0], [6.0, 8.0]], dtype=torch.float64)
        >>> along, variances = principal_axes(pair, torch.full((2,), 0.5, dtype=torch.float64))
        >>> along.abs().round(decimals=9).tolist(), variances.round(decimals=9).tolist()
        ([[5.0], [5.0]], [25.0])
    """
    varies = t.amin(0) < t.amax(0)  # else a mean that is rounded makes it so
    centred = torch.where(varies, t - mass @ t, 0.0)
    weighted = centred * mass.sqrt()[:, None]
    n, units = t.shape
    if units <= n:
        squares, axes = torch.linalg.eigh(weighted.T @ weighted)
    else:
        squares, shares = torch.linalg.eigh(weighted @ weighted.T)
        axes = weighted.T @ shares / squares.clamp_min(1e-300).sqrt()
    kept = squares > 1e-14 * squares[-1].clamp_min(1e-300) * max(n, units)
    return (centred @ axes[:, kept]).flip(1), squares[kept].flip(0)


@dataclass(frozen=True, eq=False)
class _Law:
    """The points along their axes, class by class where labels are hard, and what attention sums over them."""

    #: The place of each among the samples.
    order: Int[Tensor, " sample"]
    t: Float[Tensor, "sample direction"]
    mass: Float[Tensor, " sample"]
    #: t, 1 and |t|².
    values: Float[Tensor, "sample value"]
    #: For hard labels where each class stands; for a rule p(y|x) and its products with t and 1.
    members: list[slice]
    rule: Float[Tensor, "sample class"] | None
    columns: Float[Tensor, "sample column"] | None

    @classmethod
    def of(cls, t: Tensor, mass: Tensor, rule: Tensor | None) -> _Law:
        """Rule: p(y|x), of ones and zeros where labels are hard."""
        order, members = torch.arange(len(t), device=t.device), [slice(0, len(t))]
        rule = None if rule is None else rule[:, mass @ rule > 0]
        hard = rule is not None and bool(((rule == 0) | (rule == 1)).all())
        if hard and rule is not None:
            order = rule.argmax(1).argsort(stable=True)
            ends = rule.sum(0).long().cumsum(0).tolist()
            members = [slice(first, last) for first, last in pairwise([0, *ends])]
        t, mass = t[order], mass[order]
        square = t.square().sum(1, keepdim=True)
        values = torch.cat([t, torch.ones_like(square), square], 1)
        if rule is None or hard:
            return cls(order, t, mass, values, members, None, None if rule is None else values[:, :-1])
        return cls(order, t, mass, values, members, rule, (rule[:, :, None] * values[:, None, :-1]).flatten(1))

    @property
    def pairs(self) -> int:
        """Of a point and a noisy one, at a level."""
        return len(self.t) * len(self.t) * self._draws

    @property
    def _draws(self) -> int:
        n = len(self.t)
        if self.exact:
            return STEPS + 1
        wanted = max(1, min(DRAWS, PAIRS // (n * n)))
        return wanted if wanted < SETS else SETS * (wanted // SETS)

    def noise(self, stream: np.random.SeedSequence) -> Iterator[tuple[Int[Tensor, " draw"], Tensor, Tensor]]:
        """Standard noise (draw, sample or 1, direction), some draws at a time, and the set and weight of each draw."""
        n, directions = self.t.shape
        draws, together = self._draws, max(1, ROWS // n)
        if self.exact:
            places = torch.linspace(-REACH, REACH, draws, dtype=torch.float64, device=self.t.device)
            weights = torch.exp(-places.square() / 2)
            parts = torch.zeros(draws, dtype=torch.int64, device=self.t.device)
            yield from zip(
                *(each.split(together) for each in (parts, weights / weights.sum(), places[:, None, None])), strict=True
            )
            return
        rng = np.random.Generator(np.random.PCG64(stream))
        each = max(1, draws // SETS)
        for first in range(0, draws, together if each < EVEN else each):
            count = min(draws - first, together) if each < EVEN else each
            if each < EVEN:
                noise = torch.from_numpy(rng.normal(size=(count, n, directions)))
            else:
                engine = torch.quasirandom.SobolEngine(directions, scramble=True, seed=int(rng.integers(1 << 31)))
                engine.fast_forward(1)  # the first point is kept in the caller's default dtype
                noise = torch.special.ndtri(engine.draw(each, dtype=torch.float64).clamp(1e-12, 1 - 1e-12))[:, None]
            parts = (first + torch.arange(count, device=self.t.device)) // each
            weights = torch.full((count,), 1.0 / each, dtype=torch.float64, device=self.t.device)
            yield from zip(*(one.split(together) for one in (parts, weights, noise.to(self.t.device))), strict=True)

    @property
    def exact(self) -> bool:
        """Whether the noise is integrated and not drawn."""
        return self.t.shape[1] == 1 and len(self.t) <= FEW

    def node(self, tau: float, stream: np.random.SeedSequence) -> tuple[Float[Tensor, "4 sample"], Float[Tensor, "4"]]:
        """All that is asked of one level, and the standard errors of the means."""
        n, directions = self.t.shape
        keys = torch.cat([self.t / tau, (-self.values[:, -1:] / (2 * tau)) + self.mass.clamp_min(1e-300).log()[:, None]], 1)
        sets = 1 if self.exact else min(self._draws, SETS)
        found, means = self.t.new_zeros(4, n), self.t.new_zeros(4, sets)
        for parts, weights, drawn in self.noise(stream):
            # drawn in the samples' own order, so that labels change nothing
            noise = drawn.expand(-1, n, directions)[:, self.order]
            each = self._denoised(math.sqrt(tau), noise, keys)
            means.index_add_(1, parts, (each @ self.mass) * weights)
            found += torch.einsum("qdn,d->qn", each, weights) / sets
        back = torch.empty_like(found).index_copy_(1, self.order, found)
        if self.exact:
            return back, means.new_zeros(4)
        if sets > 1:
            return back, means.std(1) / math.sqrt(sets)
        # of one draw all differences are taken for the noise's: an upper limit
        return back, ((found - means).square() @ self.mass.square()).sqrt()

    def _denoised(self, scale: float, noise: Float[Tensor, "draw sample direction"], keys: Tensor) -> Tensor:
        """tr Cov(T|t̃), |t_i − g|², ln p(t̃|t_i)/p(t̃) and |g − g(·|y)|² of each draw and sample (4, draw, sample)."""
        draws, n, directions = noise.shape
        t, noise = self.t.repeat(draws, 1), noise.reshape(-1, directions)
        noisy = t + scale * noise
        # exponents are relative to the sample's own, which is never small
        own = (noise.square().sum(1) - (noisy / scale).square().sum(1)) / 2
        queries = torch.cat([noisy, torch.ones_like(noisy[:, :1])], 1)
        found = self.t.new_zeros(4, draws * n)
        # half as long in float32, where that is fine enough for the noise of one draw
        coarse = n >= MANY and float(self.values[:, -1].max()) < COARSE * scale * scale
        kind, least, most = (torch.float32, *NARROW) if coarse else (torch.float64, *WIDE)
        columns = None if self.columns is None else self.columns.to(kind)
        queries, keys, own, values = (part.to(kind) for part in (queries, keys.T, own[:, None], self.values))
        firsts = n * torch.arange(draws, device=self.t.device)[:, None]
        for members in self.members:
            everywhere = (firsts + torch.arange(members.start, members.stop, device=self.t.device)).flatten()
            for block in row_blocks(n, self.t.device, len(everywhere)):
                rows = everywhere[block]
                shares = torch.addmm(own[rows], queries[rows], keys).clamp_(least, most).exp_()
                sums = (shares @ values).double()
                density = sums[:, directions]
                sums = sums / density[:, None]
                mean = sums[:, :directions]
                found[0, rows] = (sums[:, -1] - mean.square().sum(1)).clamp_min_(0.0)
                found[1, rows] = (t[rows] - mean).square().sum(1)
                found[2, rows] = -density.log()
                if columns is None:
                    continue
                if self.rule is None:
                    inside = (shares[:, members] @ columns[members]).double()
                    found[3, rows] = (mean - inside[:, :-1] / inside[:, -1:]).square().sum(1)
                else:
                    inside = (shares @ columns).double().unflatten(1, (self.rule.shape[1], -1))
                    apart = mean[:, None] - inside[:, :, :-1] / inside[:, :, -1:].clamp_min(1e-300)
                    found[3, rows] = (self.rule[rows % n] * apart.square().sum(2)).sum(1)
        return found.reshape(4, draws, n)
