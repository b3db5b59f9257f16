"""Densities along plane curves: mixtures with nodes on the curve, so that log_prob, score and flow are exact (§A5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowplane.core.arrays import as_numbers
from flowplane.errors import InputError
from flowplane.transport.densities.gaussian import GaussianMixture

__all__ = ["rings", "swiss_roll", "two_moons"]

#: Between neighbouring nodes, in standard deviations: the ripple this leaves is exp(−2π²/0.9²) ≈ 3e-11 of the density.
SPACING = 0.9
MOST_NODES = 20_000
#: However wide the noise: a circle of three nodes would not be round.
LEAST_NODES = 32


def two_moons(noise: float = 0.1) -> GaussianMixture:
    """Two half circles of radius 1 that interlock, as in scikit-learn's `make_moons`, equally likely.

    Arguments:
        noise: standard deviation across the curve; the continuous flow ends at noise²/2.

    Raises:
        InputError: noise not positive, or so small that more than 20,000 nodes would be needed.

    Example:
        >>> p = two_moons(noise=0.1)
        >>> p.mean.round(6)
        array([0.5 , 0.25])
    """
    angle = _middles(math.pi, _checked(noise, 2 * math.pi))
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    return _along(np.concatenate([upper, lower]), noise)


def swiss_roll(noise: float = 0.1, turns: float = 1.5) -> GaussianMixture:
    """A plane spiral that winds outwards from radius 1/2 by 1 per turn, evenly along its length.

    Arguments:
        noise: standard deviation across the curve.
        turns: how often it winds.

    Raises:
        InputError: noise or turns not positive, or too small a noise.

    Example:
        >>> swiss_roll(noise=0.1).sample(3, seed=0).shape
        (3, 2)
    """
    if not _positive(turns) or turns > 100:
        raise InputError("turns", turns, "a positive number, 100 or less")
    angle = np.linspace(0.0, 2 * math.pi * turns, 20_001)
    radius = 0.5 + angle / (2 * math.pi)
    speed = np.hypot(radius, 1 / (2 * math.pi))
    length = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(angle))])
    angle = np.interp(_middles(length[-1], _checked(noise, length[-1])), length, angle)
    radius = 0.5 + angle / (2 * math.pi)
    return _along(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), noise)


def rings(noise: float = 0.1, radii: Sequence[float] = (1.0, 2.0)) -> GaussianMixture:
    """Circles around the origin, each with the same probability.

    Arguments:
        noise: standard deviation across the curve.
        radii: one or more, positive.

    Raises:
        InputError: noise or a radius not positive, no radius, or too small a noise.

    Example:
        >>> rings(noise=0.1, radii=(1.0,)).mean.round(6) + 0.0
        array([0., 0.])
    """
    sizes = as_numbers("radii", radii).astype(float).reshape(-1)
    if len(sizes) == 0 or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise InputError("radii", radii, "one or more positive numbers")
    spacing = _checked(noise, float(2 * math.pi * sizes.sum()))
    nodes, shares = [], []
    for size in sizes:
        angle = _middles(2 * math.pi * size, spacing) / size
        nodes.append(size * np.stack([np.cos(angle), np.sin(angle)], 1))
        shares.append(np.full(len(angle), 1 / len(angle) / len(sizes)))
    return _along(np.concatenate(nodes), noise, np.concatenate(shares))


def _positive(value: Any) -> bool:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return bool(number and math.isfinite(value) and value > 0)


def _checked(noise: Any, length: float) -> float:
    """The spacing of the nodes."""
    if not _positive(noise):
        raise InputError("noise", noise, "a positive standard deviation")
    if length / (SPACING * noise) > MOST_NODES:
        raise InputError(
            "noise", noise, f"{length / (SPACING * MOST_NODES):.2g} or more: a smaller one needs too many nodes"
        )
    return SPACING * float(noise)


def _middles(length: float, spacing: float) -> np.ndarray:
    """Middles of equal pieces of a line, no longer than `spacing`."""
    pieces = max(LEAST_NODES, math.ceil(length / spacing))
    return (np.arange(pieces) + 0.5) * length / pieces


def _along(nodes: np.ndarray, noise: float, weights: np.ndarray | None = None) -> GaussianMixture:
    return GaussianMixture(np.full(len(nodes), 1 / len(nodes)) if weights is None else weights, nodes, float(noise) ** 2)
