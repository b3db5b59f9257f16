"""Lower bounds on F of any codebook: the dual of the bottleneck, and two bounds that hold without it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.bottleneck.blahut_arimoto import log_probability
from flowplane.bottleneck.ceiling import ceiling
from flowplane.bottleneck.codebook import Codebook, Problem
from flowplane.bottleneck.peaks import climbed_peaks

__all__ = ["lower_bound"]

#: Numbers in the largest array that is worked on at once.
BLOCK = 1 << 21


def lower_bound(
    problem: Problem, dual: Float[Tensor, "beta state"], book: Codebook, tolerance: float
) -> Float[Tensor, " beta"]:
    """A lower bound on F of any codebook, in nats, for each β: within `tolerance` of F of this one if that can be shown.

    The greatest of three. Where Σ_x v(x) exp(−β KL(p(y|x) ‖ q)) ≤ C for all q, F ≥ Σ_x p(x) log v(x)/p(x) − log C. C is
    (1) the `ceiling`, or (2) the most that Σ_x v(x) exp(−β JS(x, x')) is for any x', JS the divergence of Jensen and
    Shannon: of all states let x' be the nearest to q; then KL(p(y|x) ‖ q) is at least the mean of both, which is at least
    JS. (3) I(T;Y) ≤ η I(X;T), η the greatest total variation between two p(y|x) (Dobrushin).

    Arguments:
        dual: log v(x), such as log p(x)/Z(x) of a codebook near the optimum.
    """
    states, beta = problem.conditional, problem.betas
    farthest = torch.cdist(states, states, p=1.0).max() / 2
    own = torch.special.xlogy(states, states).sum(1)
    everything = problem.mass @ own + torch.special.entr(problem.marginal).sum()
    free = everything * torch.minimum(beta, 1.0 / farthest)
    apart = torch.cat([_jensen_shannon(some, states) for some in states.split(max(1, BLOCK // states.numel()))])
    value = (dual - problem.mass.log()) @ problem.mass
    near = torch.stack([(one - b * apart).logsumexp(1).max() for one, b in zip(dual, beta, strict=True)])
    bound = torch.maximum(value - near, free)
    left = (book.value(problem) - bound > tolerance).nonzero().ravel()
    size = max(1, BLOCK // (len(own) * (len(own) + book.weight.shape[1])))
    for some in left.split(size) if len(left) else ():
        part = problem.take(some)
        places = torch.cat([log_probability(states).expand(len(some), -1, -1), book.words[some]], 1)
        peaks, height = climbed_peaks(part, dual[some], places)
        top = height.amax(1)
        high = ceiling(part, dual[some] - top[:, None], torch.cat([peaks, book.words[some]], 1), tolerance / 2)
        bound[some] = torch.maximum(bound[some], value[some] - top - high)
    return bound


def _jensen_shannon(some: Float[Tensor, "some y"], states: Float[Tensor, "state y"]) -> Float[Tensor, "some state"]:
    """H((p + p')/2) − H(p)/2 − H(p')/2 in nats."""
    own, others = (torch.special.entr(p).sum(1) for p in (some, states))
    middle = torch.special.entr((some[:, None] + states) / 2).sum(2)
    return (middle - (own[:, None] + others) / 2).clamp(min=0.0)
