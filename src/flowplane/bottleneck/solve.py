"""The global solution of the bottleneck for given β: codewords are added until the certificate holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.bottleneck.accelerate import accelerated
from flowplane.bottleneck.blahut_arimoto import log_probability
from flowplane.bottleneck.codebook import Codebook, Problem
from flowplane.bottleneck.peaks import binary_grid, binary_peaks, climbed_peaks
from flowplane.bottleneck.polish import polished
from flowplane.bottleneck.weights import best_weights

__all__ = ["MANY", "Solution", "certified", "corner", "leaves_trivial", "solve", "solve_with_neighbours", "trivial"]

#: Numbers in the largest array that is worked on at once.
BLOCK = 1 << 21
#: Weights below this are dropped, and words that are joined cost no more than this, in nats.
NEGLIGIBLE = 1e-12
#: Parameters of a codebook up to which Newton's method is used on it.
NEWTON = 800
#: Codewords for two classes: those to be weighted at first, and those where c is looked at.
COARSE, FINE = 160, 400
#: Rounds; with more states than `MANY` a round is long, and what a few reach is returned.
ROUNDS, FEW_ROUNDS, MANY = 12, 3, 200
#: How often βs are compared with each other.
CROSSINGS = 4
#: So many βs are added where fewer were asked for, and how far beyond on either side they lie.
NEIGHBOURS, BEYOND = 12, 2.0


class Solution(NamedTuple):
    """A codebook for each β, F of it and a lower bound on F of any, in nats, and the steps taken."""

    book: Codebook
    value: Float[Tensor, " beta"]
    bound: Float[Tensor, " beta"]
    steps: Int[Tensor, " beta"]

    def improved(self, place: Tensor, other: Solution) -> Solution:
        """With the better codebook and the better bound for some of the βs."""
        better = other.value < self.value[place]
        return Solution(
            self.book.put(place[better], other.book.take(better)),
            self.value.index_copy(0, place, torch.minimum(other.value, self.value[place])),
            self.bound.index_copy(0, place, torch.maximum(other.bound, self.bound[place])),
            self.steps.index_add(0, place, other.steps),
        )

    def unsettled(self, tolerance: float) -> Bool[Tensor, " beta"]:
        """Where the value is not known to be within `tolerance` of the optimum."""
        return self.value - self.bound > tolerance


def solve_with_neighbours(problem: Problem, tolerance: float, mixtures: Float[Tensor, "mixture y"]) -> Solution:
    """`solve`, with βs around those wanted added where these are few: comparing them finds what one alone misses."""
    b = len(problem.betas)
    if problem.binary or b > NEIGHBOURS or len(problem.mass) > MANY:
        return solve(problem, tolerance, mixtures)
    low, high = float(problem.betas.min()) / BEYOND, float(problem.betas.max()) * BEYOND
    more = torch.from_numpy(np.geomspace(low, high, NEIGHBOURS))
    found = solve(problem._replace(betas=torch.cat([problem.betas, more])), tolerance, mixtures)
    return Solution(
        found.book.take(torch.arange(b, device="cpu")).packed(), found.value[:b], found.bound[:b], found.steps[:b]
    )


def solve(problem: Problem, tolerance: float, mixtures: Float[Tensor, "mixture y"]) -> Solution:
    """Solutions whose F is at most `tolerance` nats above the optimum, unless the rounds run out.

    Both ends are tried first, one cluster and T = X. Then a round finds the best weights on a set of codewords (for two
    classes all, finely spaced; else p(y|x) and p(y)), moves the codewords that carry weight to where F is stationary, and
    looks for q with c(q) > 1: those join the set. With three classes or more maxima of c can be missed: where the encoder of
    another β turns out to be better, its codewords are taken in.

    Arguments:
        mixtures: more places from which maxima of c are looked for, with three classes or more.
    """
    n, b = len(problem.mass), len(problem.betas)
    size = max(1, BLOCK // (n * min(n + COARSE, FINE) if problem.binary else n * (n + len(mixtures))))
    places = _starting_points(problem, mixtures)
    words = binary_grid(problem, COARSE) if problem.binary else places[: n + 1]
    parts = [
        _solved(problem.take(k), tolerance, *_spread(len(k), places, words))
        for k in torch.arange(b, device="cpu").split(size)
    ]
    value, bound, steps = (torch.cat(column) for column in zip(*(part[1:] for part in parts), strict=True))
    solution = Solution(Codebook.stacked([part.book for part in parts]), value, bound, steps)
    for _ in range(0 if problem.binary else CROSSINGS):
        worse, better = _improvable(problem, solution, tolerance)
        for place, source in zip(worse.split(size), better.split(size), strict=True):
            near = solution.book.words[source]
            more = [torch.cat([near, kind], 1) for kind in _spread(len(place), places, words)]
            found = _solved(problem.take(place), tolerance, *more)
            solution = solution._replace(bound=solution.bound.index_fill(0, place, -torch.inf)).improved(place, found)
        if len(worse) == 0:
            break
    return solution


def _spread(count: int, *words: Float[Tensor, "_ y"]) -> list[Float[Tensor, "beta _ y"]]:
    return [kind.expand(count, -1, -1) for kind in words]


def _improvable(problem: Problem, solution: Solution, tolerance: float) -> tuple[Int[Tensor, " some"], Int[Tensor, " some"]]:
    """The βs at which the encoder of another β has a smaller Lagrangian, and which other."""
    i_xt, i_ty = solution.book.plane(problem)
    crossed = i_xt - problem.betas[:, None] * i_ty
    best, source = crossed.min(1)
    rounding = 1e-13 * (1 + problem.betas)
    worse = (best < crossed.diagonal() - tolerance - rounding).nonzero().ravel()
    return worse, source[worse]


def certified(
    problem: Problem, book: Codebook, places: Float[Tensor, "beta place y"]
) -> tuple[Solution, Float[Tensor, "beta peak y"]]:
    """The codebook with its F and the lower bound by the certificate, and where c is largest, looked for from `places`."""
    if problem.binary:
        peaks, height = binary_peaks(problem, book, places)
    else:
        peaks, height = climbed_peaks(problem, book, torch.cat([places, book.words], 1))
    value = book.value(problem)
    bound = value - height.amax(1).clamp(min=0.0)
    return Solution(book, value, bound, torch.zeros(len(value), dtype=torch.int64, device=value.device)), peaks


def trivial(problem: Problem) -> Codebook:
    """One cluster."""
    b = len(problem.betas)
    return Codebook(problem.mass.new_ones(b, 1), log_probability(problem.marginal).expand(b, 1, -1))


def identity(problem: Problem) -> Codebook:
    """T = X."""
    b = len(problem.betas)
    return Codebook(problem.mass.expand(b, -1), log_probability(problem.conditional).expand(b, -1, -1))


def corner(problem: Problem) -> Solution:
    """The exact solution where y is a function of x: one cluster up to β = 1, T = Y above, where F is H(Y)."""
    b, k = len(problem.betas), problem.conditional.shape[1]
    labels = log_probability(torch.eye(k, dtype=torch.float64, device=problem.mass.device)).expand(b, -1, -1)
    below = (problem.betas <= 1).nonzero().ravel()
    book = Codebook(problem.marginal.expand(b, -1), labels).put(below, trivial(problem.take(below)))
    value = problem.betas.clamp(max=1.0) * torch.special.entr(problem.marginal).sum()
    return Solution(book, value, value, torch.zeros(b, dtype=torch.int64, device=problem.betas.device))


def leaves_trivial(problem: Problem, mixtures: Float[Tensor, "mixture y"]) -> Bool[Tensor, " beta"]:
    """Where one cluster is not optimal."""
    found, _ = certified(problem, trivial(problem), *_spread(len(problem.betas), _starting_points(problem, mixtures)))
    return found.unsettled(1e-9)


def _starting_points(problem: Problem, mixtures: Float[Tensor, "mixture y"]) -> Float[Tensor, "place y"]:
    """log q from which maxima of c are looked for."""
    if problem.binary:
        return binary_grid(problem, FINE)
    return log_probability(torch.cat([problem.conditional, problem.marginal[None], mixtures]))


def _solved(
    problem: Problem, tolerance: float, places: Float[Tensor, "beta place y"], words: Float[Tensor, "beta word y"]
) -> Solution:
    """`solve` with maxima of c looked for from `places`, and weights put on `words` at first."""
    solution, _ = certified(problem, trivial(problem), places)
    running = solution.unsettled(tolerance).nonzero().ravel()
    if len(running) and not problem.binary:
        part = problem.take(running)
        book, steps = accelerated(part, identity(part), cycles=2)
        found, _ = certified(part, book, places[running])
        solution = solution.improved(running, found._replace(steps=steps))
        running = solution.unsettled(tolerance).nonzero().ravel()
    words = words[running]
    for turn in range(ROUNDS if len(problem.mass) <= MANY else FEW_ROUNDS):
        if len(running) == 0:
            break
        part = problem.take(running)
        book, steps = best_weights(part, words, min(1e-8, tolerance))
        if problem.binary and turn == 0:
            book = book.grouped(part, _hills(book.weight))
        book, more = _refined(part, book.packed(1e-9), 1e-6 / 100 ** (turn % 4), tolerance)
        found, peaks = certified(part, book, places[running])
        solution = solution.improved(running, found._replace(steps=steps + more))
        still = solution.unsettled(tolerance)[running]
        running = running[still]
        words = torch.cat([book.words[still], peaks[still]], 1)
    return solution


def _hills(weight: Float[Tensor, "beta word"]) -> Int[Tensor, "beta word"]:
    """The number of the hill of weight that each word of a grid is on."""
    left, right = weight[:, :-2], weight[:, 2:]
    valley = (weight[:, 1:-1] < left) & (weight[:, 1:-1] <= right)
    return torch.nn.functional.pad(valley, (1, 1)).cumsum(1)


def _refined(problem: Problem, book: Codebook, resolution: float, tolerance: float) -> tuple[Codebook, Int[Tensor, " beta"]]:
    """Moved to where F is stationary: by plain steps, extrapolated, then by Newton's where there are not too many words."""
    steps = torch.zeros(len(book.weight), dtype=torch.int64, device=book.weight.device)
    if not problem.binary:
        book, steps = accelerated(problem, book, max(1e-10, tolerance / 100))
    book = book.packed(1e-9).without_duplicates(problem, resolution).packed()
    size = (book.weight > 0).sum(1) * book.words.shape[2]
    magnitude = torch.frexp(size.double()).exponent
    for level in magnitude[size <= NEWTON].unique().tolist():
        alike = ((magnitude == level) & (size <= NEWTON)).nonzero().ravel()
        for place in alike.split(max(1, 2 * BLOCK >> 2 * level)):
            better, more = polished(problem.take(place), book.take(place).packed())
            book, steps = book.put(place, better), steps.index_add(0, place, more)
    return book.packed(NEGLIGIBLE).without_duplicates(problem, NEGLIGIBLE).packed(), steps
