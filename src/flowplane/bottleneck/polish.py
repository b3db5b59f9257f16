"""Newton's method on weights and codewords together, quadratic near the optimum, for many β at once."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bottleneck.codebook import Codebook, Problem, as_logits, as_words, centroids

__all__ = ["polished"]

#: Values of F closer than this, in nats, differ by rounding only.
ROUNDING = 1e-14
#: A predicted decrease of F, in nats, below which a step is the last.
NOTHING = 1e-22
#: Parameters of which the complete data know less than this, words at the edge of the simplex, are left to the plain steps.
UNKNOWN = 1e-13


def polished(problem: Problem, book: Codebook, steps: int = 30) -> tuple[Codebook, Int[Tensor, " beta"]]:
    """A codebook of no larger F(w, q), where F is stationary unless the steps ran out; and the steps each β took.

    Levenberg–Marquardt damping, in units of the information C of the complete data: with much damping a step is a
    Blahut–Arimoto step, scaled down; without, Newton's. A weight that a step would make negative becomes 0. A plain step
    follows, which takes words at the edge of the simplex to their place; in logits they would never arrive.
    """
    weight, words = book.weight.clone(), book.words.clone()
    damping = torch.full_like(problem.betas, 1e-2)
    running = torch.arange(len(damping), device=damping.device)
    taken = torch.zeros_like(running)
    for _ in range(steps):
        part, now = problem.take(running), Codebook(weight[running], words[running])
        joint = now.log_joint(part)
        step, decrease = _solved(*_derivatives(part, now, joint.softmax(2)), damping[running])
        ahead = _ahead(now, step)
        joint_ahead = ahead.log_joint(part)
        fall = (joint_ahead.logsumexp(2) - joint.logsumexp(2)) @ part.mass
        better = (fall >= -ROUNDING) & (decrease >= 0)
        plain = centroids(part, joint_ahead[better].softmax(2))
        weight[running[better]], words[running[better]] = plain
        taken[running] += 1
        damping[running] *= damping.new_tensor([10.0, 0.1])[better.long()]
        running = running[~(better & (decrease < NOTHING)) & (damping[running] < 1e8)]
        if len(running) == 0:
            break
    return Codebook(weight, words), taken


def _ahead(book: Codebook, step: Float[Tensor, "beta value"]) -> Codebook:
    m = book.weight.shape[1]
    weight = (book.weight * (1 + step[:, :m])).clamp(min=0.0)
    logits = as_logits(book.words)
    logits = logits + step[:, m:].reshape(logits.shape).clamp(-100.0, 100.0)
    return Codebook(weight / weight.sum(1, keepdim=True), as_words(logits))


def _derivatives(
    problem: Problem, book: Codebook, r: Float[Tensor, "beta state word"]
) -> tuple[
    Float[Tensor, "beta value"], Float[Tensor, "beta parameter parameter"], Float[Tensor, "beta parameter parameter"]
]:
    """Gradient and Hessian of F + Σ w in (log w, logits), and C, the part of the Hessian that the complete data have.

    r is p(t|x). The Hessian leaves out w·∂F/∂w, so that a step in log w is Newton's step in w, relative to w.
    """
    q = book.words.exp()[..., :-1]
    m, k = q.shape[1:]
    beta = problem.betas[:, None, None, None]
    weighted = r * problem.mass[:, None]
    apart = beta * (problem.conditional[:, None, :-1] - q[:, None])  # ∂ log kernel / ∂ logits
    share = weighted.sum(1)  # p(t)
    slope = torch.einsum("bxt,bxtk->btk", weighted, apart)
    gradient = torch.cat([book.weight - share, -slope.flatten(1)], 1)

    features = torch.cat([r, (r[..., None] * apart).flatten(2)], 2) * problem.mass.sqrt()[:, None]
    hessian = features.mT @ features
    spread = beta * (torch.diag_embed(q) - q[..., :, None] * q[..., None, :]) * share[..., None, None]
    own = spread - torch.einsum("bxt,bxtk,bxtl->btkl", weighted, apart, apart)
    complete = torch.zeros_like(hessian)
    place = torch.arange(m, device=hessian.device)
    rows = m + torch.arange(m * k, device=hessian.device).reshape(m, k)
    complete[:, place, place] = share
    complete[:, rows[:, :, None], rows[:, None]] = spread
    hessian[:, rows[:, :, None], rows[:, None]] += own
    hessian[:, place[:, None], rows] -= slope
    hessian[:, rows, place[:, None]] -= slope
    return gradient, hessian, complete


def _solved(gradient: Tensor, hessian: Tensor, complete: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """The damped step and the decrease of F that it predicts: below 0 where the damped Hessian is not positive definite."""
    known = complete.diagonal(dim1=1, dim2=2)
    still = known < UNKNOWN
    scale = known.clamp(min=UNKNOWN).rsqrt().masked_fill(still, 0.0)
    system = (hessian + damping[:, None, None] * complete) * scale[:, None] * scale[..., None]
    system.diagonal(dim1=1, dim2=2).add_(still.double() + 1e-13)
    factor, failed = torch.linalg.cholesky_ex(system)
    right = (-scale * gradient)[..., None]
    step = torch.cholesky_solve(right, factor)
    decrease = (right * step).sum((1, 2)) / 2
    fine = (failed == 0) & torch.isfinite(decrease)
    return torch.where(fine[:, None], scale * step.squeeze(-1), 0.0), torch.where(fine, decrease, -1.0)
