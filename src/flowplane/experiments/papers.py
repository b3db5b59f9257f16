"""The claims of the two papers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAPERS", "PAPER_CLAIMS", "PaperClaim", "head_of"]

#: The papers, by the letter that the ids of their claims begin with.
PAPERS = {
    "A": "Sonoda and Murata, Transport Analysis of Infinitely Deep Neural Network (2019)",
    "B": "Shwartz-Ziv and Tishby, Opening the Black Box of Deep Neural Networks via Information (2017)",
}


@dataclass(frozen=True)
class PaperClaim:
    """What a paper says, in a sentence."""

    id: str
    statement: str

    @property
    def paper(self) -> str:
        """Its key in `PAPERS`."""
        return self.id[0]


PAPER_CLAIMS = {
    claim.id: claim
    for claim in (
        PaperClaim("A-1", "deeper denoising autoencoders transport faster"),
        PaperClaim("A-2", "the continuous denoising autoencoder solves the backward heat equation"),
        PaperClaim("A-3", "entropy falls along the flow, at the rate of the Fisher information"),
        PaperClaim("A-4", "the shallow autoencoder is a step of backward heat to first order only"),
        PaperClaim("A-5", "features of deeper autoencoders separate classes better"),
        PaperClaim("A-6", "a stack of autoencoders is a composition of them"),
        PaperClaim("A-7", "a trained autoencoder reaches the optimal map"),
        PaperClaim("A-8", "the ridgelet transform reconstructs, and finite width converges to it"),
        PaperClaim("A-9", "the double continuum limit converges, in depth and in width"),
        PaperClaim("B-1", "layers first fit, then compress"),
        PaperClaim("B-2", "with few samples compression goes too far and loses I(T;Y)"),
        PaperClaim("B-3", "gradients pass from drift to diffusion near the start of compression"),
        PaperClaim("B-4", "converged layers lie near the information bottleneck's curve and satisfy its equations"),
        PaperClaim("B-5", "with more hidden layers fewer epochs lead to the same generalisation"),
        PaperClaim("B-6", "the relaxation time grows exponentially with the compression"),
        PaperClaim("B-7", "weights diffuse like a Wiener process after the transition"),
        PaperClaim("B-8", "very different networks reach the same optimum"),
        PaperClaim("B-9", "layers settle near the critical points of the information bottleneck's curve"),
        PaperClaim("B-10", "contested: without double saturation (ReLU, linear) there is no compression"),
    )
}


def head_of(name: str) -> str | None:
    """The paper's claim that an id stands under; None for a claim of neither paper, whose id begins with an X.

    Example:
        >>> head_of("B-10.binned.relu.sgd"), head_of("A-1"), head_of("X-shallow-optimal")
        ('B-10', 'A-1', None)
    """
    head = name.partition(".")[0]
    return head if head in PAPER_CLAIMS else None
