"""The best weights for given codewords: a convex problem, by a primal-dual interior point."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bottleneck.codebook import Codebook, Problem

__all__ = ["best_weights"]

#: Entries of the kernel this far below the largest of their row, in nats, are 0: products of them would only be denormal.
NEGLIGIBLE = -340.0

Direction = tuple[Tensor, Tensor, Tensor]


def best_weights(
    problem: Problem, words: Float[Tensor, "beta word y"], tolerance: float, steps: int = 60
) -> tuple[Codebook, Int[Tensor, " beta"]]:
    """Weights w ≥ 0 that minimise F(w, q) for fixed q, to a duality gap of `tolerance` nats; and the steps each β took.

    Primal: min −Σ_x p(x) log (A w)_x + Σ_t w_t, A the kernel; dual: max Σ_x p(x) log v_x under Aᵀv ≤ 1 (Koenker and Mizera
    2014). Newton steps on w·s = μ, s = 1 − Aᵀv, v·(A w) = p with μ ever smaller, each corrected as Mehrotra does.
    """
    score = problem.log_kernel(words)
    score -= score.amax(2, keepdim=True)  # each row of A times a number: F moves by a constant
    kernel = score.exp_().masked_fill_(score < NEGLIGIBLE, 0.0)
    p = problem.mass.expand(len(words), -1)
    w = words.new_full(words.shape[:2], 1.0 / words.shape[1])
    z = _times(kernel, w)
    v = p / z
    v = v / (1.1 * _times(kernel.mT, v).amax(1, keepdim=True))
    s = 1 - _times(kernel.mT, v)
    taken = torch.zeros(len(words), dtype=torch.int64, device=words.device)
    for _ in range(steps):
        gap = (p * (p / (z * v)).log()).sum(1) + w.sum(1).log()  # F of w over its sum, less the dual
        running = gap > tolerance
        if not bool(running.any()):
            break
        newton = _Newton(kernel, w, v, s, z)
        ahead = newton.direction(-w * s, p - v * z)
        w1, _, s1 = _moved(ahead, w, v, s, 1.0)
        mean = (w * s).mean(1, keepdim=True)
        target = mean * ((w1 * s1).mean(1, keepdim=True) / mean) ** 3
        direction = newton.direction(target - w * s - ahead[0] * ahead[2], p - v * z - ahead[1] * _times(kernel, ahead[0]))
        moved = _moved(direction, w, v, s, 0.995)
        w, v, s = (torch.where(running[:, None], new, old) for new, old in zip(moved, (w, v, s), strict=True))
        z = _times(kernel, w)
        taken += running
    return Codebook(w / w.sum(1, keepdim=True), words), taken


class _Newton:
    """The linear system of one step, factored once: in the states or in the words, whichever are fewer."""

    def __init__(self, kernel: Tensor, w: Tensor, v: Tensor, s: Tensor, z: Tensor) -> None:
        self.kernel, self.w, self.v, self.s, self.z = kernel, w, v, s, z
        self.by_state = kernel.shape[1] <= kernel.shape[2]
        if self.by_state:
            system = (kernel * (w / s)[:, None]) @ kernel.mT
            diagonal = z / v
        else:
            system = (kernel * (v / z)[..., None]).mT @ kernel
            diagonal = s / w
        system.diagonal(dim1=1, dim2=2).add_(diagonal)
        self.scale = system.diagonal(dim1=1, dim2=2).rsqrt()
        system *= self.scale[:, None]
        system *= self.scale[..., None]
        system.diagonal(dim1=1, dim2=2).add_(1e-14)
        self.factor = torch.linalg.cholesky_ex(system)[0]

    def direction(self, product: Tensor, fit: Tensor) -> Direction:
        """dw, dv, ds with s·dw + w·ds = `product`, z·dv + v·(A dw) = `fit` and ds = −Aᵀdv."""
        if self.by_state:
            dv = self._solved(fit / self.v - _times(self.kernel, product / self.s))
            ds = -_times(self.kernel.mT, dv)
            return (product - self.w * ds) / self.s, dv, ds
        dw = self._solved(product / self.w + _times(self.kernel.mT, fit / self.z))
        dv = (fit - self.v * _times(self.kernel, dw)) / self.z
        return dw, dv, -_times(self.kernel.mT, dv)

    def _solved(self, right: Tensor) -> Tensor:
        found = torch.cholesky_solve((self.scale * right)[..., None], self.factor).squeeze(-1)
        return (self.scale * found).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None]).squeeze(-1)


def _moved(direction: Direction, w: Tensor, v: Tensor, s: Tensor, fraction: float) -> Direction:
    """As far along as everything stays positive."""
    dw, dv, ds = direction
    primal = (fraction * _reach(w, dw)).clamp(max=1.0)
    dual = (fraction * torch.minimum(_reach(v, dv), _reach(s, ds))).clamp(max=1.0)
    return w + primal * dw, v + dual * dv, s + dual * ds


def _reach(value: Tensor, change: Tensor) -> Tensor:
    ratio = torch.where(change < 0, -value / change, torch.inf)
    return ratio.amin(1, keepdim=True)
