"""Slow, obvious versions of what flowplane.ridgelet computes (docs/papers.md §A10), none of which shares its code."""

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(500)


def ridgelet_function(order, dimension, z):
    """ρ(z) = (1/2π) ∫ |ω|^m (iω)^k e^{−ω²/2} e^{iωz} dω, by Gauss–Legendre on ω > 0 (exact to rounding for |z| < 60)."""
    w, weights = 6 * (NODES + 1), 6 * WEIGHTS
    hat = w**dimension * (1j * w) ** order * np.exp(-(w**2) / 2)
    return (np.exp(1j * np.multiply.outer(z, w)) @ (weights * hat)).real / np.pi


def coefficients(values, weights, points, order, a, b):
    """Σ_i w_i f_i ρ(a_j·x_i − b_j), a row of a for each b."""
    dimension = points.shape[1]
    return np.array(
        [
            (weights * values) @ ridgelet_function(order, dimension, points @ one - other)
            for one, other in zip(a, b, strict=True)
        ]
    )


def constant(order, sigma_hat, dimension):
    """K = (2π)^{m−1} ∫ conj(ρ̂) σ̂/|ω|^m dω over ω ≠ 0, with σ̂ in closed form."""
    w = np.linspace(1e-9, 14, 400_001)
    total = 0.0
    for sign in (1, -1):
        omega = sign * w
        hat = np.abs(omega) ** dimension * (1j * omega) ** order * np.exp(-(omega**2) / 2)
        total += np.trapezoid((np.conj(hat) * sigma_hat(omega) / np.abs(omega) ** dimension), w)
    return ((2 * np.pi) ** (dimension - 1) * total).real


#: σ̂(ω) at ω ≠ 0, complex.
TRANSFORMS = {
    "tanh": lambda w: -1j * np.pi / np.sinh(np.pi * w / 2),
    "sigmoid": lambda w: -1j * np.pi / np.sinh(np.pi * w),
    "relu": lambda w: -1 / w**2 + 0j,
    "softplus": lambda w: -np.pi / (w * np.sinh(np.pi * w)) + 0j,
    "gaussian": lambda w: np.sqrt(2 * np.pi) * np.exp(-(w**2) / 2) + 0j,
}
