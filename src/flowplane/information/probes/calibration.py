"""A probe's confidence, chosen on samples that it was not fitted to: between its own answer and the prior (§D2)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["FLOOR", "calibrated", "log_prior", "temperature"]

#: Share of the uniform distribution (for a number, of the prior) in each answer, so that no sample can cost 40 bits.
FLOOR = 1e-3
#: Steps of Newton's method, and how much sharper a probe may be made.
STEPS, SHARPEST = 12, 20.0


def log_prior(classes: Int[Tensor, " row"], count: int) -> Float[Tensor, " class"]:
    """ln of the classes' frequencies, half a sample added to each."""
    found = torch.bincount(classes, minlength=count).double() + 0.5
    return (found / found.sum()).log()


def temperature(
    logits: Float[Tensor, "batch row class *problem"], prior: Float[Tensor, " class"], classes: Int[Tensor, " row"]
) -> tuple[Float[Tensor, "batch *problem"], Float[Tensor, "batch *problem"]]:
    """The β ≥ 0 with the least loss of softmax(β (logits − prior) + prior), 0 being the prior; and that loss in nats."""
    prior = prior.reshape(-1, *(1,) * (logits.ndim - 3)).to(logits)
    evidence = logits - prior
    at = classes.reshape(1, -1, 1, *(1,) * (logits.ndim - 3)).expand(len(logits), -1, 1, *logits.shape[3:])
    own = evidence.gather(2, at).squeeze(2)
    best = torch.zeros_like(own[:, 0])
    loss = -torch.log_softmax(prior.expand(evidence.shape[1:]), 1)[None].expand_as(evidence).gather(2, at).squeeze(2).mean(1)
    beta = torch.ones_like(best)
    for _ in range(STEPS):
        log_q = torch.log_softmax(beta[:, None, None] * evidence + prior, 2)
        found = -log_q.gather(2, at).squeeze(2).mean(1)
        best = torch.where(found < loss, beta, best)
        loss = torch.minimum(found, loss)
        q = log_q.exp()
        mean = (q * evidence).sum(2)
        bend = ((q * evidence.square()).sum(2) - mean.square()).mean(1)
        beta = (beta - (mean - own).mean(1) / bend.clamp_min(1e-12)).clamp(0.0, SHARPEST)
    return best, loss


def calibrated(
    logits: Float[Tensor, "batch row class"], prior: Float[Tensor, " class"], beta: Float[Tensor, " batch"]
) -> Float[Tensor, "batch row class"]:
    """ln of a probe's answer, in float64, with a share of the uniform distribution."""
    prior = prior.double()
    log_q = torch.log_softmax(beta.double()[:, None, None] * (logits.double() - prior) + prior, 2)
    floor = torch.full_like(log_q, math.log(FLOOR / log_q.shape[2]))
    return torch.logaddexp(log_q + math.log1p(-FLOOR), floor)
