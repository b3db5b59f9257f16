"""Derivatives of the unit Gaussian density, and of its Hilbert transform (§A10)."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import dawsn
from torch import Tensor

__all__ = ["gaussian_derivative", "hilbert_derivative"]

#: From here on Dawson's function is taken from its asymptotic series: the recurrence of its derivatives multiplies rounding
#: by z^n, the series is good to e^{−z²/2}. Where they meet, derivatives up to the 9th are good to 1e-11 of their maximum.
FAR = 9.0
TERMS = 30
#: From here on a third of the terms give all digits.
VERY_FAR, FEWER_TERMS = 18.0, 10


def gaussian_derivative(order: int, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """g^{(n)}(z) of g(z) = e^{−z²/2}/√(2π): (−1)^n He_n(z) g(z).

    Example:
        >>> gaussian_derivative(2, torch.zeros(1, dtype=torch.float64)).item()
        -0.3989422804014327
    """
    previous, polynomial = torch.zeros_like(z), torch.ones_like(z)
    for n in range(order):
        previous, polynomial = polynomial, z * polynomial - n * previous
    return polynomial * torch.exp(-z * z / 2) * ((-1) ** order / math.sqrt(2 * math.pi))


def hilbert_derivative(order: int, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """(Hg)^{(n)}(z), H ↔ −i sgn ω: Hg(z) = (√2/π) D(z/√2), D Dawson's function; on the processor in float64.

    h = Hg satisfies h' = 1/π − z h, hence h^{(n+1)} = −z h^{(n)} − n h^{(n−1)}, and far out
    h(z) ~ (1/π) Σ_j (2j−1)!!/z^{2j+1}, differentiated term by term.

    Example:
        >>> z = torch.tensor([0.0, 30.0], dtype=torch.float64)
        >>> hilbert_derivative(1, z).numpy().round(5)  # 1/π, and about −1/(π z²)
        array([ 0.31831, -0.00035])
    """
    places = z.detach().to("cpu", torch.float64).numpy()
    far = np.abs(places) > FAR
    x = np.where(far, 0.0, places)
    previous, current = np.zeros_like(x), math.sqrt(2) / math.pi * dawsn(x / math.sqrt(2))
    for n in range(order):
        previous, current = current, -x * current - n * previous + (1 / math.pi if n == 0 else 0.0)
    if far.any():
        z_far = places[far]
        near = np.abs(z_far) < VERY_FAR
        values = np.empty_like(z_far)
        values[near], values[~near] = _series(order, z_far[near], TERMS), _series(order, z_far[~near], FEWER_TERMS)
        current[far] = values
    return torch.from_numpy(np.ascontiguousarray(current)).to(z)


def _series(order: int, z: np.ndarray, terms: int) -> np.ndarray:
    """(−1)^n/π Σ_j (2j−1)!! (2j+n)!/(2j)! z^{−(2j+1+n)}, cut where the terms stop falling."""
    coefficients = [
        math.prod(range(1, 2 * j, 2)) * math.factorial(2 * j + order) / math.factorial(2 * j) for j in range(terms)
    ]
    squares = 1 / z**2
    total = np.zeros_like(z)
    for coefficient in reversed(coefficients):
        total = total * squares + coefficient
    return (-1) ** order / math.pi * total / z ** (1 + order)
