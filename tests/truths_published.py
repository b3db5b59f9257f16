"""The forty tasks of benchmark-mi, written anew: normal and Student's t pairs, and what maps one to one from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special
from truths import (
    Pair,
    Sample,
    Truth,
    additive_uniform,
    dense,
    elliptic,
    half_cube,
    mapped,
    sparse,
    swiss_roll,
    wiggly_t,
    wiggly_x,
)

__all__ = ["published"]


def _turned(z: np.ndarray, first: int, speed: float) -> np.ndarray:
    """Two neighbouring coordinates turn by `speed` times the squared norm, which stays."""
    angle = speed * (z**2).sum(1)
    turned = z.copy()
    turned[:, first] = np.cos(angle) * z[:, first] - np.sin(angle) * z[:, first + 1]
    turned[:, first + 1] = np.sin(angle) * z[:, first] + np.cos(angle) * z[:, first + 1]
    return turned


def _spiralled(base: Truth, name: str, title: str, d: int) -> Truth:
    """x turns in its first plane, t in its second, at a speed of 1/d."""
    return mapped(base, name, title, lambda x: _turned(x, 0, 1 / d), lambda t: _turned(t, 1, 1 / d))


def _two_humps(weight: float, low: float, high: float) -> np.ndarray:
    """The quantile function of a mixture of two normals of variance 1, on a grid of the uniform's normal scores."""
    values = np.linspace(low - 9.0, high + 9.0, 200_001)
    lower = weight * special.ndtr(values - low) + (1 - weight) * special.ndtr(values - high)
    upper = weight * special.ndtr(low - values) + (1 - weight) * special.ndtr(high - values)
    scores = np.where(lower < 0.5, special.ndtri(lower.clip(1e-300)), -special.ndtri(upper.clip(1e-300)))
    return np.stack([scores, values])


def _bimodal(z: np.ndarray, table: np.ndarray) -> np.ndarray:
    return np.interp(z, *table)


def _unlabelled(truth: Truth) -> Truth:
    """The same pair without a label, as it was published."""

    def draw(rng: np.random.Generator, n: int) -> Sample:
        return truth.draw(rng, n)._replace(labels=None)

    return replace(truth, draw=draw, exact=lambda: Pair(truth.exact().i_xt, None), span=None, binned=None)


def published() -> list[Truth]:
    """Under their names there."""
    one = elliptic("1v1-normal-0.75", "normal 1 + 1, ρ = 0.75", dense(2, 0.75), 1)
    of_x, of_t = _two_humps(0.3, 0.0, 5.0), _two_humps(0.5, -1.0, 3.0)
    found = [
        one,
        mapped(one, "normal_cdf-1v1-normal-0.75", "Φ of both, ρ = 0.75", special.ndtr, special.ndtr),
        *(replace(additive_uniform(width), name=f"1v1-additive-{width:g}") for width in (0.1, 0.75)),
        mapped(
            one, "1v1-bimodal-0.75", "two humps each, ρ = 0.75", lambda x: _bimodal(x, of_x), lambda t: _bimodal(t, of_t)
        ),
        mapped(one, "wiggly-1v1-normal-0.75", "wiggly, ρ = 0.75", wiggly_x, wiggly_t),
        mapped(one, "half_cube-1v1-normal-0.75", "half-cube, ρ = 0.75", half_cube, half_cube),
        mapped(one, "swissroll_x-normal_cdf-1v1-normal-0.75", "x on a Swiss roll, ρ = 0.75", swiss_roll, special.ndtr),
    ]
    found += [
        elliptic(f"multinormal-dense-{d}-{d}-0.5", f"normal {d} + {d}, all ρ = 0.5", dense(2 * d, 0.5), d)
        for d in (2, 3, 5, 25, 50)
    ]
    for d in (2, 3, 5, 25):
        name, title = f"multinormal-sparse-{d}-{d}-2-2.0", f"normal {d} + {d}, two pairs ρ = 0.8"
        pairs = elliptic(name, title, sparse(d, 2, 0.8), d)
        found.append(pairs)
        if d > 2:
            uniform = mapped(pairs, f"normal_cdf-{name}", f"Φ of {title}", special.ndtr, special.ndtr)
            found += [
                uniform,
                mapped(pairs, f"half_cube-{name}", f"half-cube of {title}", half_cube, half_cube),
                _spiralled(pairs, f"spiral-{name}", f"spiral of {title}", d),
                _spiralled(uniform, f"spiral-normal_cdf-{name}", f"spiral of Φ of {title}", d),
            ]
    for d, degrees in ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3)):
        name, title = f"student-identity-{d}-{d}-{degrees}", f"Student's t {d} + {d}, ν = {degrees}"
        student = elliptic(name, title, np.eye(2 * d), d, degrees=float(degrees))
        found.append(student)
        if (d, degrees) in ((1, 1), (2, 1), (3, 2), (5, 2)):
            found.append(mapped(student, f"asinh-{name}", f"asinh of {title}", np.arcsinh, np.arcsinh))
    return [_unlabelled(truth) for truth in found]
