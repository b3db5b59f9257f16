"""The bottleneck as the problem of a codebook: weights on points of the simplex, and the certificate of the optimum.

With q_t = p(y|t), minimising I(X;T) − β I(T;Y) is minimising

    F(w, q) = −Σ_x p(x) log Z(x),   Z(x) = Σ_t w_t exp(−β KL(p(y|x) ‖ q_t))     (nats; the Lagrangian is F − β I(X;Y)),

which is convex in the weights w, over all codewords q in the simplex at once. So a solution is optimal if and only if

    c(q) = Σ_x p(x) exp(−β KL(p(y|x) ‖ q)) / Z(x) ≤ 1 for each q,

and F is at most log max_q c(q) above the optimum (the bottleneck is a rate-distortion problem with KL as its distortion:
Harremoës and Tishby 2007; the bound is Csiszár's for such problems, and Lindsay's 1983 for mixtures).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bottleneck.blahut_arimoto import LOWEST, log_probability

__all__ = ["Codebook", "Problem", "as_logits", "as_words", "centroids"]


#: The most nats by which the dual of the rarest states is lowered.
LITTLE = 25.0

#: β KL, in nats, as far apart as two words may be on one hill of c.
HILL = 1.0


class Problem(NamedTuple):
    """p(x), p(y|x) and the values of β for which the same joint is to be solved."""

    mass: Float[Tensor, " state"]
    conditional: Float[Tensor, "state y"]
    betas: Float[Tensor, " beta"]

    @property
    def marginal(self) -> Float[Tensor, " y"]:
        """p(y)."""
        return self.mass @ self.conditional

    @property
    def binary(self) -> bool:
        """Whether there are two classes, so that the simplex is a line."""
        return self.conditional.shape[1] == 2

    def log_kernel(self, words: Float[Tensor, "beta word y"]) -> Float[Tensor, "beta state word"]:
        """−β KL(p(y|x) ‖ q), for logarithms of codewords q."""
        own = torch.special.xlogy(self.conditional, self.conditional).sum(1)
        apart = torch.matmul(self.conditional, words.mT).sub_(own[:, None]).clamp_(max=0.0)
        return apart.mul_(self.betas[:, None, None])

    def take(self, chosen: Tensor) -> Problem:
        """For some of the βs."""
        return self._replace(betas=self.betas[chosen])


class Codebook(NamedTuple):
    """For each β codewords log q and their weights, which sum to 1; a word of weight 0 is a filler."""

    weight: Float[Tensor, "beta word"]
    words: Float[Tensor, "beta word y"]

    def log_joint(self, problem: Problem) -> Float[Tensor, "beta state word"]:
        """log of w_t exp(−β KL(p(y|x) ‖ q_t))."""
        return problem.log_kernel(self.words).add_(self.weight.log()[:, None])

    def value(self, problem: Problem) -> Float[Tensor, " beta"]:
        """F(w, q) in nats."""
        return -(self.log_joint(problem).logsumexp(2) @ problem.mass)

    def dual(self, problem: Problem) -> Float[Tensor, "beta state"]:
        """log p(x)/Z(x)."""
        return problem.mass.log() - self.log_joint(problem).logsumexp(2)

    def lowered_dual(self, problem: Problem, spare: float) -> Float[Tensor, "beta state"]:
        """`dual`, at most 0, and lower the rarer x is, as long as that moves a bound on F by at most `spare` nats.

        F hardly depends on whether a rare state has the codeword that it needs; c, through its Z(x), may be 10^9 too large.
        """
        lower = (spare / (len(problem.mass) * problem.mass)).clamp(max=LITTLE)
        return self.dual(problem).clamp(max=0.0) - lower

    def encoder(self, problem: Problem) -> Float[Tensor, "beta state word"]:
        """p(t|x)."""
        return self.log_joint(problem).softmax(2)

    def plane(self, problem: Problem) -> tuple[Float[Tensor, " beta"], Float[Tensor, " beta"]]:
        """I(X;T) and I(T;Y) of the encoder, in nats."""
        encoder = self.encoder(problem)
        own = centroids(problem, encoder)
        i_xt = problem.mass @ torch.special.xlogy(encoder, encoder).sum(2).T + torch.special.entr(own.weight).sum(1)
        marginal = problem.marginal.log()
        i_ty = (own.weight * (own.words.exp() * (own.words - marginal)).sum(2)).sum(1)
        return i_xt.clamp(min=0.0), i_ty.clamp(min=0.0)

    def take(self, chosen: Tensor) -> Codebook:
        """For some of the βs."""
        return Codebook(self.weight[chosen], self.words[chosen])

    def packed(self, smallest: float = 0.0) -> Codebook:
        """Words whose weight is above `smallest` only, heaviest first, in as few columns as the fullest β needs.

        Unused columns of a β repeat its own heaviest word, so that no β sees the words of another.
        """
        weight = self.weight.where(self.weight > smallest, 0.0)
        order = weight.argsort(dim=1, descending=True, stable=True)[:, : max(1, int((weight > 0).sum(1).max()))]
        weight = weight.gather(1, order)
        order = order.where(weight > 0, order[:, :1])
        words = self.words.gather(1, order[..., None].expand(-1, -1, self.words.shape[2]))
        return Codebook(weight / weight.sum(1, keepdim=True), words)

    @classmethod
    def stacked(cls, books: Sequence[Codebook]) -> Codebook:
        """Those of some βs after those of others."""
        width = max(book.weight.shape[1] for book in books)
        weights, words = zip(*(book._widened(width) for book in books), strict=True)
        return cls(torch.cat(weights), torch.cat(words))

    def put(self, place: Tensor, other: Codebook) -> Codebook:
        """With the codebooks of some βs replaced."""
        width = max(self.weight.shape[1], other.weight.shape[1])
        mine, theirs = self._widened(width), other._widened(width)
        return Codebook(mine.weight.index_copy(0, place, theirs.weight), mine.words.index_copy(0, place, theirs.words))

    def _widened(self, width: int) -> Codebook:
        more = width - self.weight.shape[1]
        if more == 0:
            return self
        words = torch.cat([self.words, self.words[:, :1].expand(-1, more, -1)], 1)
        return Codebook(torch.nn.functional.pad(self.weight, (0, more)), words)

    def grouped(self, problem: Problem, group: Int[Tensor, "beta word"]) -> Codebook:
        """Words with the same number merged, at the centroid of what they encode: never a larger loss for that encoder."""
        encoder = self.encoder(problem)
        together = torch.zeros_like(encoder[..., : int(group.max()) + 1])
        return centroids(problem, together.scatter_add_(2, group[:, None].expand_as(encoder), encoder))

    def without_duplicates(self, problem: Problem, resolution: float) -> Codebook:
        """Words on the hill of a heavier one are joined to it where that costs at most about `resolution` nats."""
        own = (self.words.exp() * self.words).sum(2)
        apart = (own[..., None] - self.words.exp() @ self.words.mT) * problem.betas[:, None, None]
        near = ((apart <= HILL) & (apart * self.weight[..., None] <= resolution)).to(torch.uint8)
        first = near.argmax(2)  # the words are ordered by weight; every word is near itself
        first = first.gather(1, first)
        alone = first == torch.arange(first.shape[1], device=first.device)
        return self if bool(alone.all()) else self.grouped(problem, first)


def centroids(problem: Problem, encoder: Float[Tensor, "beta state word"]) -> Codebook:
    """The codebook of an encoder p(t|x): p(t) and the centroids p(y|t), its best codewords."""
    together = problem.mass[:, None] * encoder
    weight = together.sum(1)
    centroid = together.mT @ problem.conditional / weight.clamp(min=torch.finfo(torch.float64).tiny)[..., None]
    return Codebook(weight, log_probability(centroid))


def as_logits(words: Float[Tensor, "*beta word y"]) -> Float[Tensor, "*beta word free"]:
    """log q_y / q_last."""
    return words[..., :-1] - words[..., -1:]


def as_words(logits: Float[Tensor, "*beta word free"]) -> Float[Tensor, "*beta word y"]:
    """Back to log q, no lower than `LOWEST`."""
    whole = torch.cat([logits, logits.new_zeros(*logits.shape[:-1], 1)], -1)
    return whole.log_softmax(-1).clamp(min=LOWEST)
