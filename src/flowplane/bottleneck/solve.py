"""The global solution of the bottleneck for given β: codewords are added until the certificate holds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.bottleneck.accelerate import accelerated
from flowplane.bottleneck.blahut_arimoto import log_probability
from flowplane.bottleneck.codebook import Codebook, Problem
from flowplane.bottleneck.peaks import binary_grid, binary_peaks, climbed, climbed_peaks
from flowplane.bottleneck.polish import polished
from flowplane.bottleneck.weights import best_weights

__all__ = ["Solution", "certified", "corner", "leaves_trivial", "solve", "trivial"]

#: Numbers in the largest array that is worked on at once.
BLOCK = 1 << 21
#: Weights below this are dropped; words that are joined in the end, and weights that are not quite the best, cost no more
#: than this, in nats.
NEGLIGIBLE = 1e-12
#: Parameters of a codebook up to which Newton's method is used on it.
NEWTON = 2500
#: Numbers of codewords for two classes: those weighted at first, and those where c is evaluated.
COARSE, FINE = 160, 400
#: Rounds of adding codewords.
ROUNDS = 30


class Solution(NamedTuple):
    """A codebook for each β, its F, a lower bound on F of any and the dual that it comes from, in nats; the steps taken.

    The bound assumes that all maxima of c have been found; `flowplane.bottleneck.lower` does not.
    """

    book: Codebook
    value: Float[Tensor, " beta"]
    bound: Float[Tensor, " beta"]
    dual: Float[Tensor, "beta state"]
    steps: Int[Tensor, " beta"]

    def improved(self, place: Tensor, other: Solution) -> Solution:
        """With the better codebook and the better bound for some of the βs."""
        better, nearer = other.value < self.value[place], other.bound > self.bound[place]
        return Solution(
            self.book.put(place[better], other.book.take(better)),
            self.value.index_copy(0, place, torch.minimum(other.value, self.value[place])),
            self.bound.index_copy(0, place[nearer], other.bound[nearer]),
            self.dual.index_copy(0, place[nearer], other.dual[nearer]),
            self.steps.index_add(0, place, other.steps),
        )

    def unsettled(self, tolerance: float) -> Bool[Tensor, " beta"]:
        """Where the value is not known to be within `tolerance` of the optimum."""
        return self.value - self.bound > tolerance


def solve(problem: Problem, tolerance: float, mixtures: Float[Tensor, "mixture y"]) -> Solution:
    """Solutions whose F is at most `tolerance` nats above the optimum, as far as maxima of c are found; each β by itself.

    Both ends are tried first, one cluster and T = X. Then a round finds the best weights on a set of codewords (for two
    classes all, finely spaced; else p(y|x) and p(y)), moves the codewords that carry weight to where F is stationary, and
    looks for q with c(q) > 1: those join the set.

    Arguments:
        mixtures: places from which, when no more are found, such q are looked for, one after the other: the first k of them
            act as they would alone, and another place never makes F larger.
    """
    n = len(problem.mass)
    size = max(1, BLOCK // (n * min(n + COARSE, FINE) if problem.binary else n * (n + len(mixtures))))
    parts = [
        _solved(problem.take(k), tolerance, mixtures)
        for k in torch.arange(len(problem.betas), device=problem.betas.device).split(size)
    ]
    rest = (torch.cat(column) for column in zip(*(part[1:] for part in parts), strict=True))
    return Solution(Codebook.stacked([part.book for part in parts]), *rest)


def _spread(problem: Problem, words: Float[Tensor, "word y"]) -> Float[Tensor, "beta word y"]:
    return words.expand(len(problem.betas), -1, -1)


def certified(
    problem: Problem, book: Codebook, places: Float[Tensor, "beta place y"], tolerance: float
) -> tuple[Solution, Float[Tensor, "beta peak y"]]:
    """The codebook with its F and the lower bound by the highest c that is found, and where: looked for from `places`."""
    dual = book.lowered_dual(problem, tolerance / 2)
    if problem.binary:
        peaks, height = binary_peaks(problem, dual, places)
    else:
        peaks, height = climbed_peaks(problem, dual, torch.cat([places, book.words], 1))
    bound = (dual - problem.mass.log()) @ problem.mass - height.amax(1).clamp(min=0.0)
    return Solution(book, book.value(problem), bound, dual, torch.zeros_like(bound, dtype=torch.int64)), peaks


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
    return Solution(book, value, value, book.dual(problem), torch.zeros(b, dtype=torch.int64, device=problem.betas.device))


def leaves_trivial(problem: Problem) -> Bool[Tensor, " beta"]:
    """Where one cluster is not optimal."""
    found, _ = certified(problem, trivial(problem), _places(problem, FINE), 1e-9)
    return found.unsettled(1e-9)


def _places(problem: Problem, count: int) -> Float[Tensor, "beta place y"]:
    """log q from which maxima of c are looked for: with two classes about `count`, else all p(y|x), and p(y)."""
    if problem.binary:
        return _spread(problem, binary_grid(problem, count))
    return _spread(problem, log_probability(torch.cat([problem.conditional, problem.marginal[None]])))


def _solved(problem: Problem, tolerance: float, mixtures: Float[Tensor, "mixture y"]) -> Solution:
    """`solve` for as many β as memory holds."""
    places = _places(problem, FINE)
    solution, _ = certified(problem, trivial(problem), places, tolerance)
    running = solution.unsettled(tolerance).nonzero().ravel()
    if len(running) and not problem.binary:
        part = problem.take(running)
        book, steps = accelerated(part, identity(part), cycles=2)
        found, _ = certified(part, book, places[running], tolerance)
        solution = solution.improved(running, found._replace(steps=steps))
        running = solution.unsettled(tolerance).nonzero().ravel()
    solution = _rounds(problem, solution, tolerance, running, _places(problem, COARSE)[running])
    starts = _spread(problem, log_probability(mixtures))
    first = torch.zeros_like(solution.steps)  # of the mixtures left
    running = torch.arange(len(first), device=first.device)
    while len(running):
        part, book = problem.take(running), solution.book.take(running)
        peaks, height = climbed(part, solution.dual[running], starts[running])
        missed = (height > tolerance) & (torch.arange(len(mixtures), device=mixtures.device) >= first[running, None])
        some = missed.any(1).nonzero().ravel()
        place = missed[some].to(torch.uint8).argmax(1) if len(some) else some
        running = running[some]
        first[running] = place + 1
        solution = solution._replace(bound=solution.bound.index_fill(0, running, -torch.inf))
        words = torch.cat([book.words[some], peaks[some, place][:, None]], 1)
        solution = _rounds(problem, solution, tolerance, running, words)
    return solution


def _rounds(
    problem: Problem,
    solution: Solution,
    tolerance: float,
    running: Int[Tensor, " some"],
    words: Float[Tensor, "some word y"],
) -> Solution:
    """Weights on words, words moved, words added, for some of the βs until they converge."""
    places = _places(problem, FINE)
    for turn in range(ROUNDS):
        if len(running) == 0:
            break
        part = problem.take(running)
        book, steps = best_weights(part, words, NEGLIGIBLE)
        if problem.binary and turn == 0:
            book = book.grouped(part, _hills(book.weight))
        book, more = _refined(part, book.packed(NEGLIGIBLE), 1e-6 / 100 ** min(turn, 3), tolerance)
        found, peaks = certified(part, book, places[running], tolerance)
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
    book = book.packed(NEGLIGIBLE).without_duplicates(problem, resolution).packed()
    size = (book.weight > 0).sum(1) * book.words.shape[2]
    magnitude = torch.frexp(size.double()).exponent
    for level in magnitude[size <= NEWTON].unique().tolist():
        alike = ((magnitude == level) & (size <= NEWTON)).nonzero().ravel()
        for place in alike.split(max(1, 2 * BLOCK >> 2 * level)):
            better, more = polished(problem.take(place), book.take(place).packed())
            book, steps = book.put(place, better), steps.index_add(0, place, more)
    return book.packed(NEGLIGIBLE).without_duplicates(problem, NEGLIGIBLE).packed(), steps
