"""Blahut and Arimoto's iteration on codebooks, extrapolated: for codebooks too large for Newton's method."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from flowplane.bottleneck.codebook import Codebook, Problem, centroids

__all__ = ["accelerated"]


def accelerated(
    problem: Problem, book: Codebook, tolerance: float = 1e-10, cycles: int = 20
) -> tuple[Codebook, Int[Tensor, " beta"]]:
    """Cycles of two plain steps and one extrapolated (SQUAREM, Varadhan and Roland 2008) while F falls by `tolerance`.

    Returns the codebook, with F no larger, and the plain steps that each β took.
    """
    value = book.value(problem)
    taken = torch.zeros(len(value), dtype=torch.int64, device=value.device)
    running = torch.arange(len(value), device=value.device)
    for _ in range(cycles):
        part = problem.take(running)
        start = book.take(running)
        one = _plain(part, start)
        two = _plain(part, one)
        far = _extrapolated(start, one, two)
        bold, plain = far.value(part), two.value(part)
        bolder = bold < plain
        new = two.put(bolder.nonzero().ravel(), far.take(bolder))
        book = book.put(running, new)
        fall = value[running] - torch.minimum(bold, plain)
        value[running] -= fall
        taken[running] += 2
        running = running[fall > tolerance]
        if len(running) == 0:
            break
    return book, taken


def _plain(problem: Problem, book: Codebook) -> Codebook:
    return centroids(problem, book.encoder(problem))


def _extrapolated(start: Codebook, one: Codebook, two: Codebook) -> Codebook:
    """Along the second difference of log p(t) and log p(y|t)."""
    tiny = torch.finfo(torch.float64).tiny
    points = [torch.cat([book.weight.clamp(min=tiny).log()[..., None], book.words], 2) for book in (start, one, two)]
    metric = two.weight[..., None] * torch.cat([torch.ones_like(two.weight)[..., None], two.words.exp()], 2)
    change = points[1] - points[0]
    bend = points[2] - points[1] - change
    size = ((metric * change.square()).sum((1, 2)) / (metric * bend.square()).sum((1, 2)).clamp(min=tiny)).sqrt()
    stride = size.clamp(1.0, 100.0)[:, None, None]
    far = points[0] + 2 * stride * change + stride.square() * bend
    weight = far[..., 0].where(two.weight > 0, -torch.inf).softmax(1)
    return Codebook(weight, far[..., 1:].log_softmax(2).clamp(min=-700.0))
