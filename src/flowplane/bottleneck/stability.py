"""Whether a solution of the bottleneck is stable, and optimal: λ_2(M_t) of its clusters, and codewords it lacks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.bottleneck.codebook import Codebook, Problem, as_logits, as_words

__all__ = ["highest", "instability", "split_words"]

#: Where c is searched beside each codeword, in logits along the direction in which it would split.
BESIDE = (0.01, 0.1, 0.3, 1.0, 3.0)
#: Steps up the hills of c, and the gain in log c that ends them.
CLIMBS, GAIN = 60, 1e-15


def instability(
    problem: Problem, book: Codebook
) -> tuple[Float[Tensor, "beta word"], Float[Tensor, "beta word y"], Float[Tensor, "beta word y"]]:
    """λ_2(M_t), M_t(y, y') = Σ_x p(x|t) p(y|x) p(y'|x)/p(y'|t); p(y|t); and ∂ log p(y|t) in which t splits at βλ_2 = 1.

    M_t is similar to the symmetric Σ_x p(x|t) p(y|x) p(y'|x)/√(p(y|t)p(y'|t)), whose first eigenvalue is 1.
    """
    together = book.log_joint(problem).softmax(2) * problem.mass[:, None]
    inside = together / together.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    centroid = inside.mT @ problem.conditional
    root = centroid.clamp(min=torch.finfo(torch.float64).tiny).sqrt()
    scaled = problem.conditional / root[:, :, None]  # beta, word, state, y
    matrix = torch.einsum("bxt,btxy,btxz->btyz", inside, scaled, scaled)
    values, vectors = torch.linalg.eigh(matrix)
    direction = vectors[..., -2] / root
    return values[..., -2], centroid, direction / direction.abs().amax(2, keepdim=True)


def split_words(book: Codebook, cluster: int, direction: Float[Tensor, " y"], apart: float) -> Float[Tensor, "1 word y"]:
    """The codewords of one β with those of a cluster moved apart to both sides."""
    words = book.words[0]
    rest = torch.cat([words[:cluster], words[cluster + 1 :]])
    sides = torch.stack([words[cluster] + apart * direction, words[cluster] - apart * direction]).log_softmax(1)
    return torch.cat([rest, as_words(as_logits(sides))])[None]


def highest(problem: Problem, book: Codebook) -> tuple[Float[Tensor, " beta"], Float[Tensor, "beta y"]]:
    """The greatest log c(q) = log Σ_x p(x) exp(−β KL(p(y|x) ‖ q))/Z(x), and log q there: 0 at codewords of the optimum.

    Newton's steps in the logits of q where they climb, mean shift q ← Σ_x p(y|x) u(x) where that climbs more, u(x) the share
    of x in c(q); from each p(y|x) and from both sides of each codeword.
    """
    states = problem.conditional
    own = torch.special.xlogy(states, states).sum(1)
    dual = book.dual(problem) - problem.betas[:, None] * own
    beta = problem.betas[:, None, None]

    def shares(logits: Tensor) -> Tensor:
        return torch.matmul(states, as_words(logits).mT).mul_(beta).add_(dual[..., None])

    at = _starts(problem, book)
    terms = shares(at)
    height = terms.logsumexp(1)
    for _ in range(CLIMBS):
        q = as_words(at).exp()
        u = terms.softmax(1)
        mean = u.mT @ states
        slope = (mean - q)[..., :-1]
        spread = torch.einsum("bxw,xy,xz->bwyz", u, states, states) - mean[..., :, None] * mean[..., None, :]
        bend = torch.diag_embed(q) - q[..., :, None] * q[..., None, :] - problem.betas[:, None, None, None] * spread
        newton = at + _ascent(bend[..., :-1, :-1], slope)
        shift = as_logits(mean.clamp(min=1e-300).log())
        candidates = [(shares(logits), logits) for logits in (newton, shift)]
        before = height
        for found, logits in candidates:
            value = found.logsumexp(1)
            better = value > height
            at = torch.where(better[..., None], logits, at)
            terms = torch.where(better[:, None], found, terms)
            height = torch.where(better, value, height)
        if float((height - before).max()) < GAIN:
            break
    top = height.argmax(1)
    return height.amax(1), as_words(at)[torch.arange(len(top), device=top.device), top]


def _starts(problem: Problem, book: Codebook) -> Float[Tensor, "beta start free"]:
    """Each p(y|x), halfway to its neighbours in the list, and both sides of each codeword."""
    direction = instability(problem, book)[2]
    offsets = torch.tensor(
        [side * offset for offset in BESIDE for side in (-1.0, 1.0)], dtype=torch.float64, device=direction.device
    )
    beside = (book.words[:, :, None] + offsets[:, None] * direction[:, :, None]).flatten(1, 2)
    states = problem.conditional
    between = (states[1:] + states[:-1]) / 2
    plain = torch.cat([states, between]).clamp(min=1e-300).log().expand(len(beside), -1, -1)
    return as_logits(torch.cat([plain, beside], 1))


def _ascent(bend: Float[Tensor, "beta word free free"], slope: Float[Tensor, "beta word free"]) -> Tensor:
    """Newton's step, each curvature taken as if the hill were concave, at most 1 in each logit."""
    if bend.shape[-1] == 1:
        size = bend.squeeze(-1).abs()
        return (slope / size.clamp(min=1e-12)).clamp(-1.0, 1.0)
    values, vectors = torch.linalg.eigh(bend)
    size = values.abs().clamp(min=1e-12)[..., None]
    return (vectors @ ((vectors.mT @ slope[..., None]) / size)).squeeze(-1).clamp(-1.0, 1.0)
