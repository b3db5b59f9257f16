"""Information through noise by slow sums: the Gaussian channel's errors integrated on a fine grid (§C1, §C2)."""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate, stats

__all__ = ["line_information", "line_mmse", "mixture_gap", "mixture_information"]

REACH = 12.0
STEPS = 24_001


def _law(points: np.ndarray, mass: np.ndarray, tau: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grid of t̃, its density, and the posterior of each point there."""
    spread = REACH * math.sqrt(tau)
    grid = np.linspace(points.min() - spread, points.max() + spread, STEPS)
    each = mass * stats.norm.pdf(grid[:, None], points, math.sqrt(tau))
    density = each.sum(1)
    return grid, density, each / np.maximum(density, 1e-300)[:, None]


def line_mmse(points: np.ndarray, mass: np.ndarray, tau: float) -> float:
    """E Var(T|T + N(0, τ)) of atoms on a line."""
    grid, density, posterior = _law(points, mass, tau)
    variance = posterior @ points**2 - (posterior @ points) ** 2
    return float(integrate.trapezoid(density * variance, grid))


def line_information(points: np.ndarray, mass: np.ndarray, noise: float) -> float:
    """I(T; T + N(0, t)) of atoms on a line in bits: the entropy of the sum less that of the noise."""
    grid, density, _ = _law(points, mass, noise)
    entropy = -integrate.trapezoid(density * np.log(np.maximum(density, 1e-300)), grid)
    return float((entropy - 0.5 * math.log(2 * math.pi * math.e * noise)) / math.log(2.0))


def mixture_information(means: np.ndarray, shares: np.ndarray, variance: float, noise: float) -> float:
    """I(T + N(0, t); Y) in bits for T|Y = k ~ N(μ_k, v) on a line: the same entropies."""
    return line_information(means, shares, variance + noise)


def mixture_gap(means: np.ndarray, shares: np.ndarray, variance: float, noise: float) -> float:
    """The same by denoisers: ½ ∫_t^∞ E|g_τ − g_τ(·|Y)|²/τ² dτ, in bits."""

    def integrand(log_tau: float) -> float:
        tau = math.exp(log_tau)
        grid, density, posterior = _law(means, shares, variance + tau)
        share = variance / (variance + tau)
        # g_k = μ_k + s(t̃ − μ_k): the classes' posterior means differ by (1 − s)(μ_k − μ_j)
        spread = posterior @ means**2 - (posterior @ means) ** 2
        return float(integrate.trapezoid(density * (1 - share) ** 2 * spread, grid)) / tau

    top = 1e4 * (variance + float(shares @ means**2))
    found, _ = integrate.quad(integrand, math.log(noise), math.log(top), epsabs=1e-9, limit=200)
    between = float(shares @ means**2 - (shares @ means) ** 2)
    return 0.5 * (found + between / top) / math.log(2.0)
