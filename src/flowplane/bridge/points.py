"""Denoising by the points themselves: exact for the law that lies on them (§A3, §C1, §C2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
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
PAIRS, DRAWS, SETS = 1 << 23, 2048, 8
#: On a line the noise is integrated by the trapezoid rule, from −REACH to REACH standard deviations, for so many points.
REACH, STEPS, FEW = 9.0, 128, 512
#: Exponents that are kept: below the first nothing is left of a share, beyond the second float64 overflows.
LEAST, MOST = -700.0, 600.0
#: Of work on a pair, about.
PAIR_NANOSECONDS = 5.0


class Curve(NamedTuple):
    """What denoising by the points leaves at each level τ, in squared units.

    The mean over samples of `spread` and of `missed` is mmse(τ), of `gap` what knowing y adds; their errors are those of the
    noise drawn, 0 where it is integrated.
    """

    #: E tr Cov(T|T_τ), E|t_i − g_τ|² and E|g_τ − g_τ(·|y)|² given each sample; the last None without labels.
    spread: Float[Tensor, "sample node"]
    missed: Float[Tensor, "sample node"]
    gap: Float[Tensor, "sample node"] | None
    spread_error: Float[Tensor, " node"]
    gap_error: Float[Tensor, " node"] | None

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
        found: list[_Node | None] = [None] * count

        def work(first: int, last: int) -> None:
            for place in range(first, last):
                found[place] = law.node(float(levels.tau[place]), np.random.SeedSequence(seed, spawn_key=(NOISE, place)))

        with one_thread(self.t.device.type == "cpu"):
            shared(work, count, PAIR_NANOSECONDS * law.pairs * count)
        nodes = [node for node in found if node is not None]
        spread, missed = (torch.stack([getattr(node, name) for node in nodes], 1) for name in ("spread", "missed"))
        errors = torch.stack([node.errors for node in nodes])
        if law.columns is None:
            return Curve(spread, missed, None, errors[:, 0], None)
        gap = torch.stack([node.gap for node in nodes if node.gap is not None], 1)
        return Curve(spread, missed, gap, errors[:, 0], errors[:, 1])


def principal_axes(
    t: Float[Tensor, "sample unit"], mass: Float[Tensor, " sample"]
) -> tuple[Float[Tensor, "sample direction"], Float[Tensor, " direction"]]:
    """The points about their mean along the directions in which they vary, the widest first, and the variances there.

    Example:
        >>> along, variances = principal_axes(torch.tensor([[0.0, 0.0], [6.0, 8.0]]).double(), torch.full((2,), 0.5).double())
        >>> along.abs().tolist(), variances.tolist()
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


class _Node(NamedTuple):
    """Of one level: as in `Curve`; the errors are those of `spread` and `gap`."""

    spread: Float[Tensor, " sample"]
    missed: Float[Tensor, " sample"]
    gap: Float[Tensor, " sample"] | None
    errors: Float[Tensor, "2"]


@dataclass(frozen=True, eq=False)
class _Law:
    """The points along their axes, and what attention sums over them."""

    t: Float[Tensor, "sample direction"]
    mass: Float[Tensor, " sample"]
    #: t, 1 and |t|².
    values: Float[Tensor, "sample value"]
    #: For hard labels the class of each sample, and its members; for a rule p(y|x) and its products with t and 1.
    members: list[Int[Tensor, " member"]]
    rule: Float[Tensor, "sample class"] | None
    columns: Float[Tensor, "sample column"] | None

    @classmethod
    def of(cls, t: Tensor, mass: Tensor, rule: Tensor | None) -> _Law:
        """Rule: p(y|x), of ones and zeros where labels are hard."""
        square = t.square().sum(1, keepdim=True)
        values = torch.cat([t, torch.ones_like(square), square], 1)
        everyone = torch.arange(len(t), device=t.device)
        if rule is None:
            return cls(t, mass, values, [everyone], None, None)
        rule = rule[:, mass @ rule > 0]
        if bool(((rule == 0) | (rule == 1)).all()):
            classes = rule.argmax(1)
            return cls(t, mass, values, [everyone[classes == y] for y in range(rule.shape[1])], None, values[:, :-1])
        columns = (rule[:, :, None] * values[:, None, :-1]).flatten(1)
        return cls(t, mass, values, [everyone], rule, columns)

    @property
    def pairs(self) -> int:
        """Of a point and a noisy one, at a level."""
        return len(self.t) * len(self.t) * self._draws

    @property
    def _draws(self) -> int:
        n = len(self.t)
        if self.t.shape[1] == 1 and n <= FEW:
            return STEPS + 1
        wanted = max(1, min(DRAWS, PAIRS // (n * n)))
        return wanted if wanted < SETS else SETS * (1 << int(math.log2(wanted // SETS)))

    def noise(self, stream: np.random.SeedSequence) -> Iterator[tuple[int, float, Tensor]]:
        """For each draw its set, its weight in that set, and the standard noise of each sample or of all."""
        n, directions = self.t.shape
        device, draws = self.t.device, self._draws
        if directions == 1 and n <= FEW:
            places = torch.linspace(-REACH, REACH, draws, dtype=torch.float64, device=device)
            weights = torch.exp(-places.square() / 2)
            for place, weight in zip(places, (weights / weights.sum()).tolist(), strict=True):
                yield 0, weight, place.reshape(1, 1)
            return
        rng = np.random.Generator(np.random.PCG64(stream))
        if draws < SETS:
            for draw in range(draws):
                yield draw, 1.0, torch.from_numpy(rng.normal(size=(n, directions))).to(device)
            return
        each = draws // SETS
        for part in range(SETS):
            engine = torch.quasirandom.SobolEngine(directions, scramble=True, seed=int(rng.integers(1 << 31)))
            places = engine.draw(each, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
            for row in torch.special.ndtri(places).to(device):
                yield part, 1.0 / each, row[None]

    def node(self, tau: float, stream: np.random.SeedSequence) -> _Node:
        """All that is asked of one level."""
        n, directions = self.t.shape
        keys = torch.cat([self.t / tau, (-self.values[:, -1:] / (2 * tau)) + self.mass.clamp_min(1e-300).log()[:, None]], 1)
        exact = directions == 1 and n <= FEW
        sets = 1 if exact else min(self._draws, SETS)
        found = self.t.new_zeros(3, n)
        parts = self.t.new_zeros(2, sets)
        for part, weight, noise in self.noise(stream):
            missed, spread, gap = self._denoised(math.sqrt(tau), noise.expand(n, directions), keys)
            parts[0, part] += weight * (spread @ self.mass)
            parts[1, part] += weight * (gap @ self.mass)
            found += weight / sets * torch.stack([spread, missed, gap])
        if exact:
            errors = parts.new_zeros(2)
        elif sets > 1:
            errors = parts.std(1) / math.sqrt(sets)
        else:  # all differences are taken for the noise's: an upper limit
            means = found[::2] @ self.mass
            errors = ((found[::2] - means[:, None]).square() @ self.mass.square()).sqrt()
        return _Node(found[0], found[1], None if self.columns is None else found[2], errors)

    def _denoised(self, scale: float, noise: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """|t_i − g|², tr Cov(T|t̃) and |g − g(·|y)|² of each sample at its noisy place."""
        n, directions = self.t.shape
        noisy = self.t + scale * noise
        # exponents are relative to the sample's own, which is never small
        own = (noise.square().sum(1) - (noisy / scale).square().sum(1)) / 2
        queries = torch.cat([noisy, torch.ones_like(noisy[:, :1])], 1)
        missed, spread, gap = (self.t.new_zeros(n) for _ in range(3))
        for members in self.members:
            for block in row_blocks(n, self.t.device):
                rows = members[block]
                if len(rows) == 0:
                    break
                shares = torch.addmm(own[rows, None], queries[rows], keys.T).clamp_(LEAST, MOST).exp_()
                sums = shares @ self.values
                sums = sums / sums[:, directions, None]
                mean = sums[:, :directions]
                missed[rows] = (self.t[rows] - mean).square().sum(1)
                spread[rows] = (sums[:, -1] - mean.square().sum(1)).clamp_min_(0.0)
                if self.columns is None:
                    continue
                if self.rule is None:
                    inside = shares[:, members] @ self.columns[members]
                    gap[rows] = (mean - inside[:, :-1] / inside[:, -1:]).square().sum(1)
                else:
                    inside = (shares @ self.columns).unflatten(1, (self.rule.shape[1], -1))
                    apart = mean[:, None] - inside[:, :, :-1] / inside[:, :, -1:].clamp_min(1e-300)
                    gap[rows] = (self.rule[rows] * apart.square().sum(2)).sum(1)
        return missed, spread, gap
