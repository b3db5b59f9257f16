"""Where c(q) = Σ_x p(x) exp(−β KL(p(y|x) ‖ q)) / Z(x) is largest: the certificate, and the codewords to add."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.bottleneck.blahut_arimoto import log_probability
from flowplane.bottleneck.codebook import Problem, as_logits, as_words

__all__ = ["binary_grid", "binary_peaks", "climbed", "climbed_peaks"]

#: Peaks that are kept, and the most numbers in a step of Newton's method.
PEAKS, WORK = 32, 1 << 26
#: Steps of a climb: of mean shift, and at most this many of Newton's method; and the gain in log c that ends it.
SHIFTS, NEWTONS, GAIN = 30, 30, 1e-15
#: How near, in nats of β KL, two words are on one hill.
SAME = 1e-5


def binary_grid(problem: Problem, count: int) -> Float[Tensor, "word 2"]:
    """log q for two classes, from the smallest p(y|x) to the largest, where all maxima of c are; p(y) and p(y|x) among them.

    Even in φ = 2 arcsin √q, where the kernel is 1/√β wide everywhere. With more states than `count` / 2 their own places are
    left out.
    """
    root = torch.atan2(problem.conditional[:, 0].sqrt(), problem.conditional[:, 1].sqrt())  # φ / 2
    low, high = float(root.min()), float(root.max())
    angle = torch.linspace(low, high, count, dtype=torch.float64, device=root.device)
    even = log_probability(torch.stack([angle.sin(), angle.cos()], 1).square())
    states = log_probability(problem.conditional)
    few = states if len(states) <= count / 2 else states[torch.stack([root.argmin(), root.argmax()])]
    words = torch.cat([few, even[1:-1], log_probability(problem.marginal)[None]])
    return words[as_logits(words).ravel().argsort()]


def _log_c(problem: Problem, dual: Float[Tensor, "beta state"], words: Tensor) -> Float[Tensor, "beta word"]:
    """log c(q); `dual` is log p(x)/Z(x)."""
    return (problem.log_kernel(words).add_(dual[..., None])).logsumexp(1)


def binary_peaks(
    problem: Problem, dual: Float[Tensor, "beta state"], grid: Float[Tensor, "beta word 2"]
) -> tuple[Float[Tensor, "beta peak 2"], Float[Tensor, "beta peak"]]:
    """The highest local maxima of c for two classes and log c there: those of a grid, then by bisected Newton steps.

    In θ = log q_0/q_1 the slope of log c is β (E p(0|x) − q_0), the mean taken with the terms of c as weights.
    """
    height = _log_c(problem, dual, grid)
    theta = as_logits(grid).squeeze(-1)
    edge = height.new_full((len(height), 1), -torch.inf)
    left, right = torch.cat([edge, height[:, :-1]], 1), torch.cat([height[:, 1:], edge], 1)
    peak = height.where((height >= left) & (height >= right), -torch.inf)
    place = peak.topk(min(PEAKS, theta.shape[1]), 1).indices
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
    problem: Problem, dual: Float[Tensor, "beta state"], starts: Float[Tensor, "beta start y"]
) -> tuple[Float[Tensor, "beta peak y"], Float[Tensor, "beta peak"]]:
    """The highest maxima of c that are reached from the `starts`, and log c there; `dual` is log p(x)/Z(x).

    All climb to the top, except the lowest if there are so many states or classes that this would take too long.
    """
    most = max(PEAKS, WORK // (len(problem.mass) * starts.shape[2] ** 2))
    words, _ = _distinct(problem, *climbed(problem, dual, starts, newtons=0), most)
    return _distinct(problem, *climbed(problem, dual, words, shifts=0), PEAKS)


def climbed(
    problem: Problem,
    dual: Float[Tensor, "beta state"],
    words: Float[Tensor, "beta word y"],
    shifts: int = SHIFTS,
    newtons: int = NEWTONS,
) -> tuple[Float[Tensor, "beta word y"], Float[Tensor, "beta word"]]:
    """Each word moved to where log c is larger, and log c there.

    First by mean shift, q ← Σ_x p(y|x) u(x) with u(x) the share of x in c(q): each step climbs, as one of expectation and
    maximisation does, but ever more slowly where a codeword is about to split. Then also by Newton's method in the logits of
    q, wherever that climbs more, until nothing is gained.
    """
    for _ in range(shifts):
        words = _shifted(problem, dual, words)
    height = _log_c(problem, dual, words)
    running = torch.ones_like(height, dtype=torch.bool)
    for _ in range(newtons):
        place = running.any(0).nonzero().ravel()
        at, before = words[:, place], height[:, place]
        best = before
        for candidate in (_newton(problem, dual, words[:, place]), _shifted(problem, dual, words[:, place])):
            value = _log_c(problem, dual, candidate)
            better = (value > best) & running[:, place]
            at, best = candidate.where(better[..., None], at), value.where(better, best)
        words = words.index_copy(1, place, at)
        height = height.index_copy(1, place, best)
        running[:, place] &= best - before > GAIN
        if not bool(running.any()):
            break
    return words, height


def _distinct(
    problem: Problem, words: Float[Tensor, "beta word y"], height: Float[Tensor, "beta word"], most: int
) -> tuple[Float[Tensor, "beta peak y"], Float[Tensor, "beta peak"]]:
    """Highest first, `most` at most; those next to a higher one are left out, the highest in their place."""
    order = height.argsort(dim=1, descending=True, stable=True)
    words, height = words.gather(1, order[..., None].expand_as(words)), height.gather(1, order)
    own = (words.exp() * words).sum(2)
    near = (own[..., None] - words.exp() @ words.mT) * problem.betas[:, None, None] <= SAME
    alone = near.to(torch.uint8).argmax(2) == torch.arange(words.shape[1], device=words.device)
    place = alone.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, : int(alone.sum(1).max())][:, :most]
    place = place.where(alone.gather(1, place), 0)
    return words.gather(1, place[..., None].expand(-1, -1, words.shape[2])), height.gather(1, place)


def _shifted(problem: Problem, dual: Float[Tensor, "beta state"], words: Tensor) -> Float[Tensor, "beta word y"]:
    share = problem.log_kernel(words).add_(dual[..., None]).softmax(1)
    return log_probability(share.mT @ problem.conditional)


def _newton(problem: Problem, dual: Float[Tensor, "beta state"], words: Tensor) -> Float[Tensor, "beta word y"]:
    """Newton's step up log c in the logits of q, each curvature as if the hill were concave, at most 1 in each logit."""
    share = problem.log_kernel(words).add_(dual[..., None]).softmax(1)
    mean, q, states = share.mT @ problem.conditional, words.exp(), problem.conditional
    slope = (mean - q)[..., :-1]
    squares = (states[:, :, None] * states[:, None]).flatten(1)
    spread = (share.mT @ squares).unflatten(2, (states.shape[1],) * 2) - mean[..., :, None] * mean[..., None, :]
    bend = torch.diag_embed(q) - q[..., :, None] * q[..., None, :] - problem.betas[:, None, None, None] * spread
    values, vectors = torch.linalg.eigh(bend[..., :-1, :-1])
    step = (vectors @ ((vectors.mT @ slope[..., None]) / values.abs().clamp(min=1e-12)[..., None])).squeeze(-1)
    return as_words(as_logits(words) + step.clamp(-1.0, 1.0))
