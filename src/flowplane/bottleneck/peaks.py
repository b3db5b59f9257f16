"""Where c(q) = Σ_x p(x) exp(−β KL(p(y|x) ‖ q)) / Z(x) is largest: the certificate, and the codewords to add."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.bottleneck.blahut_arimoto import log_probability
from flowplane.bottleneck.codebook import Codebook, Problem, as_logits, as_words

__all__ = ["binary_grid", "binary_peaks", "climbed_peaks"]

#: Peaks that are kept; starts from which all climb.
PEAKS, MANY = 32, 500


def binary_grid(problem: Problem, most: int) -> Float[Tensor, "word 2"]:
    """log q for two classes, from the smallest p(y|x) to the largest, where all maxima of c are; p(y) and p(y|x) among them.

    Even in φ = 2 arcsin √q, where the kernel is 1/√β wide everywhere: half of that apart, but no more than `most`. With
    more states than `most` / 2 their own places are left out.
    """
    root = torch.atan2(problem.conditional[:, 0].sqrt(), problem.conditional[:, 1].sqrt())  # φ / 2
    low, high = float(root.min()), float(root.max())
    count = min(most, 2 + math.ceil(4 * (high - low) * math.sqrt(float(problem.betas.max()))))
    angle = torch.linspace(low, high, count, dtype=torch.float64, device=root.device)
    even = log_probability(torch.stack([angle.sin(), angle.cos()], 1).square())
    states = log_probability(problem.conditional)
    few = states if len(states) <= most / 2 else states[torch.stack([root.argmin(), root.argmax()])]
    words = torch.cat([few, even[1:-1], log_probability(problem.marginal)[None]])
    return words[as_logits(words).ravel().argsort()]


def _log_c(problem: Problem, dual: Float[Tensor, "beta state"], words: Tensor) -> Float[Tensor, "beta word"]:
    """log c(q); `dual` is log p(x)/Z(x)."""
    return (problem.log_kernel(words).add_(dual[..., None])).logsumexp(1)


def binary_peaks(
    problem: Problem, book: Codebook, grid: Float[Tensor, "beta word 2"], most: int = 8
) -> tuple[Float[Tensor, "beta peak 2"], Float[Tensor, "beta peak"]]:
    """The highest local maxima of c for two classes and log c there: those of a grid, then by bisected Newton steps.

    In θ = log q_0/q_1 the slope of log c is β (E p(0|x) − q_0), the mean taken with the terms of c as weights.
    """
    dual = book.dual(problem)
    height = _log_c(problem, dual, grid)
    theta = as_logits(grid).squeeze(-1)
    edge = height.new_full((len(height), 1), -torch.inf)
    left, right = torch.cat([edge, height[:, :-1]], 1), torch.cat([height[:, 1:], edge], 1)
    peak = height.where((height >= left) & (height >= right), -torch.inf)
    count = min(most, theta.shape[1])
    place = peak.topk(count, 1).indices
    low = theta.gather(1, (place - 1).clamp(min=0))
    high = theta.gather(1, (place + 1).clamp(max=theta.shape[1] - 1))
    at = theta.gather(1, place)
    zero = problem.conditional[:, 0]
    beta = problem.betas[:, None]
    for _ in range(12):
        words = as_words(at[..., None])
        terms = problem.log_kernel(words).add_(dual[..., None]).softmax(1)
        mean = (terms * zero[:, None]).sum(1)
        q = words[..., 0].exp()
        slope = mean - q
        low, high = torch.where(slope > 0, at, low), torch.where(slope > 0, high, at)
        spread = (terms * (zero[:, None] - mean[:, None]).square()).sum(1)
        curvature = beta * spread - q * words[..., 1].exp()
        newton = at - slope / curvature.where(curvature < 0, -torch.inf)
        inside = (newton > low) & (newton < high) & (curvature < 0)
        at = torch.where(inside, newton, (low + high) / 2)
    both = torch.cat([grid.gather(1, place[..., None].expand(-1, -1, 2)), as_words(at[..., None])], 1)
    value = torch.cat([height.gather(1, place), _log_c(problem, dual, as_words(at[..., None]))], 1)
    value = value.where(torch.cat([peak.gather(1, place)] * 2, 1) > -torch.inf, -torch.inf)
    return both, value


def climbed_peaks(
    problem: Problem, book: Codebook, starts: Float[Tensor, "beta start y"], steps: int = 30
) -> tuple[Float[Tensor, "beta peak y"], Float[Tensor, "beta peak"]]:
    """The highest points of c that mean shift reaches from the `starts`, and log c there.

    q ← Σ_x p(y|x) u(x) with u(x) the share of x in c(q): each step climbs, as one of expectation and maximisation does. Of
    many starts only the highest climb.
    """
    dual = book.dual(problem)
    words = starts if starts.shape[1] <= MANY else _highest(problem, dual, starts)
    for _ in range(steps):
        words = _shifted(problem, dual, words)
    words = _highest(problem, dual, words)
    return words, _log_c(problem, dual, words)


def _highest(problem: Problem, dual: Float[Tensor, "beta state"], words: Tensor) -> Float[Tensor, "beta peak y"]:
    place = _log_c(problem, dual, words).topk(min(PEAKS, words.shape[1]), 1).indices
    return words.gather(1, place[..., None].expand(-1, -1, words.shape[2]))


def _shifted(problem: Problem, dual: Float[Tensor, "beta state"], words: Tensor) -> Float[Tensor, "beta word y"]:
    share = problem.log_kernel(words).add_(dual[..., None]).softmax(1)
    return log_probability(share.mT @ problem.conditional)
