"""One plain step of the Blahut–Arimoto iteration for the information bottleneck, for many β at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LOWEST", "log_probability", "step"]

#: What stands for log 0 in a codeword: finite, so that 0 · log 0 is 0 and nothing is NaN.
LOWEST = -700.0


def log_probability(p: Tensor) -> Tensor:
    """log p in nats, no lower than `LOWEST`."""
    return p.log().clamp(min=LOWEST)


def step(
    mass: Float[Tensor, " state"],
    conditional: Float[Tensor, "state y"],
    encoder_log: Float[Tensor, "beta state cluster"],
    betas: Float[Tensor, " beta"],
) -> Float[Tensor, "beta state cluster"]:
    """log p(t|x) in nats after one pass through the self-consistent equations (§B6).

    p(t) = Σ_x p(x) p(t|x), p(y|t) = Σ_x p(y|x) p(x|t), then p(t|x) = p(t)/Z(x) exp(−β KL(p(y|x) ‖ p(y|t))). A cluster that
    has died, −∞ for each x, stays dead.

    Example:
        >>> conditional = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
        >>> start = torch.tensor([[0.6, 0.4], [0.4, 0.6]], dtype=torch.float64).log()[None]
        >>> step(torch.full((2,), 0.5).double(), conditional, start, torch.tensor([5.0]).double()).exp()[0].round(decimals=3)
        tensor([[0.6610, 0.3390],
                [0.3360, 0.6640]], dtype=torch.float64)
    """
    together = mass[:, None] * encoder_log.exp()
    weight = together.sum(1)
    codeword = together.mT @ conditional / weight.clamp(min=torch.finfo(torch.float64).tiny)[..., None]
    # log p(x) cancels in Z: KL up to a term of x alone
    score = betas[:, None, None] * (conditional @ log_probability(codeword).mT) + weight.log()[:, None]
    return score.log_softmax(-1)
