"""Values of β that show the whole curve of a joint."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.bottleneck.codebook import Problem
from flowplane.bottleneck.joint import information
from flowplane.bottleneck.solve import leaves_trivial, solve

__all__ = ["default_betas"]

#: How many lie below the first split, even in log β, and even along the curve; and with many states, at a second each.
COUNTS, FEW, MANY = (5, 50, 45), (3, 14, 13), 200
#: The share of I(X;Y) at which the grid ends.
NEARLY_ALL = 0.999
#: The share of I(X;Y) that a chord of the rough curve may span.
LONGEST = 0.05
#: Error allowed in the rough curve, in nats.
ROUGH = 1e-6


def default_betas(mass: Float[Tensor, " state"], conditional: Float[Tensor, "state y"]) -> Float[np.ndarray, " beta"]:
    """100 values of β (30 with more than 200 states) that show the whole curve.

    From half of where the solution leaves the origin to where I(T;Y) is about 0.999 I(X;Y). Half are even in log β, half
    about even in I(T;Y): where y is nearly a function of x, the whole curve has β close to 1.
    """
    problem = Problem(mass, conditional, mass.new_ones(1))
    below, even, along = COUNTS if len(mass) <= MANY else FEW
    everything = information(mass, conditional) * math.log(2.0)
    second = second_correlation(problem)
    if everything < 1e-12 or second < 1e-12:
        return np.geomspace(0.5, 100.0, below + even + along)
    low, high = _departure(problem, max(1.0, 1.0 / second))
    # no further, since β (I(X;Y) − I(T;Y)) ≤ H(X)
    far = max(2.0 * high, float(torch.special.entr(mass).sum()) / ((1 - NEARLY_ALL) * everything))
    betas, i_ty = _rough_curve(problem, np.geomspace(low, far, 12 if len(mass) <= MANY else 6))
    last = betas[int(np.argmax(i_ty >= NEARLY_ALL * i_ty[-1]))]
    levels = np.linspace(0.0, NEARLY_ALL * i_ty[-1], along + 2)[1:-1]
    halves = np.geomspace(low, last, even), np.exp(np.interp(levels, i_ty, np.log(betas)))
    return np.sort(np.concatenate([np.geomspace(0.5 * low, low, below, endpoint=False), *halves]))


def second_correlation(problem: Problem) -> float:
    """λ_2, the square of the second singular value of p(x,y)/√(p(x)p(y)): one cluster is unstable from β = 1/λ_2 on."""
    scaled = problem.mass[:, None].sqrt() * problem.conditional / problem.marginal.sqrt()
    found = torch.linalg.svdvals(scaled)
    return float(found[1]) ** 2 if len(found) > 1 else 0.0


def _departure(problem: Problem, unstable: float) -> tuple[float, float]:
    """Two β between which the trivial solution ceases to be optimal: c exceeds 1 somewhere. At `unstable` it has."""
    low, high = 1.0, unstable
    for _ in range(3):
        part = problem._replace(betas=torch.linspace(low, high, 24, dtype=torch.float64, device=problem.mass.device))
        leaves = leaves_trivial(part)
        leaves[-1] = True
        first = int(leaves.to(torch.uint8).argmax())
        low, high = float(part.betas[max(first - 1, 0)]), float(part.betas[first])
    return low, high


def _rough_curve(problem: Problem, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """β and I(T;Y), nats: chords too long are broken where the curve has their slope, 1/β."""
    known, plane = np.empty(0), np.empty((2, 0))
    for _ in range(6 if len(problem.mass) <= MANY else 3):
        part = problem._replace(betas=torch.from_numpy(betas))
        known = np.concatenate([known, betas])
        plane = np.concatenate([plane, torch.stack(solve(part, ROUGH, problem.conditional[:0]).book.plane(part)).numpy()], 1)
        order = np.argsort(known)
        known, plane = known[order], np.maximum.accumulate(plane[:, order], 1)
        rise, run = np.diff(plane[1]), np.diff(plane[0])
        long = rise > plane[1, -1] * LONGEST
        betas = np.setdiff1d((run[long] / rise[long]).clip(known[:-1][long], known[1:][long]), known)
        if len(betas) == 0:
            break
    return known, plane[1]
