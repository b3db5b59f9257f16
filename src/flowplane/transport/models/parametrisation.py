"""What a network may predict, and the velocity that follows from it (§E1)."""

from __future__ import annotations

from collections.abc import Callable

from flowplane.transport.models.paths import PathPoint

__all__ = ["PREDICTIONS"]


def _velocity(p: PathPoint) -> tuple[float, float]:
    return 0.0, 1.0


def _noise(p: PathPoint) -> tuple[float, float]:
    """x̂ = (x − σ ε̂)/α."""
    return p.alpha_rate / p.alpha, p.sigma_rate - p.alpha_rate * p.sigma / p.alpha


def _denoised(p: PathPoint) -> tuple[float, float]:
    """ε̂ = (x − α x̂)/σ."""
    return p.sigma_rate / p.sigma, p.alpha_rate - p.sigma_rate * p.alpha / p.sigma


def _score(p: PathPoint) -> tuple[float, float]:
    """ε̂ = −σ s."""
    of_x, of_noise = _noise(p)
    return of_x, -p.sigma * of_noise


def _salimans(p: PathPoint) -> tuple[float, float]:
    """x̂ = (α x − σ v̂)/(α² + σ²), ε̂ = (σ x + α v̂)/(α² + σ²)."""
    size = p.alpha**2 + p.sigma**2
    along = p.alpha_rate * p.alpha + p.sigma_rate * p.sigma
    return along / size, (p.sigma_rate * p.alpha - p.alpha_rate * p.sigma) / size


#: By what is predicted: a and b of the velocity u = α̇ x̂ + σ̇ ε̂ = a·x + b·prediction.
PREDICTIONS: dict[str, Callable[[PathPoint], tuple[float, float]]] = {
    "velocity": _velocity,
    "noise": _noise,
    "denoised": _denoised,
    "score": _score,
    "v": _salimans,
}
