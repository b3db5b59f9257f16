"""What nodes |a| < A miss: the reconstruction's bias, frequency by frequency (§A10)."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowplane.core.arrays import as_numbers
from flowplane.core.points import check_positive
from flowplane.errors import InputError, Text
from flowplane.ridgelet.pairs import Pair

__all__ = ["activation_transform", "missed_share"]

#: Gauss–Legendre nodes on [0, s], and where e^{−ω²/2} is below rounding.
NODES, END = 200, 12.0


def activation_transform(activation: str, frequency: Any) -> np.ndarray:
    """σ̂(ω) = ∫σ(z)e^{−iωz}dz at ω ≠ 0: real for the even ones, i times what is given for tanh and sigmoid.

    Arguments:
        activation: any of `Pair`'s but sin, which has ω = ±1 only.
        frequency: ω ≠ 0.

    Raises:
        InputError: sin, or ω = 0.

    Example:
        >>> activation_transform("relu", [2.0])
        array([-0.25])
    """
    w = as_numbers("frequency", frequency).astype(np.float64)
    if activation == "sin":
        raise InputError("activation", activation, "one with a transform at every frequency")
    if (w == 0).any():
        raise InputError("frequency", Text("0"), "frequencies that are not 0")
    bell = np.exp(-(w**2) / 2)
    with np.errstate(over="ignore"):
        return {
            "tanh": lambda: -np.pi / np.sinh(np.pi * w / 2),
            "sigmoid": lambda: -np.pi / np.sinh(np.pi * w),
            "relu": lambda: -1 / w**2,
            "softplus": lambda: -np.pi / (w * np.sinh(np.pi * w)),
            "gelu": lambda: -bell * (1 + 1 / w**2),
            "silu": lambda: -(np.pi**2) / np.sinh(np.pi * w) / np.tanh(np.pi * w),
            "gaussian": lambda: np.sqrt(2 * np.pi) * bell,
        }[Pair(activation).activation]()


def missed_share(pair: Pair, frequency: Any, *, largest: float) -> np.ndarray:
    """The share of f̂(ξ) that nodes with |a| < A do not give back, in any dimension m.

    S[R] over |a| < A has the transform K f̂(ξ)(1 − D(|ξ|/A)), D(s) = ∫_{|ω|<s} conj(ρ̂_0)σ̂ dω / (2π∫ρ_0σ): 0 for small s,
    like s³ for the orders that `Pair` takes by itself and like s for the least ones.

    Arguments:
        pair: σ and ρ.
        frequency: |ξ|, in the units of 1/x, any shape.
        largest: A.

    Returns:
        D, of the same shape; a little above 1 or below 0 where conj(ρ̂_0)σ̂ changes sign.

    Raises:
        InputError: A that is not above 0.

    Example:
        >>> missed_share(Pair("tanh"), [0.5, 1.0], largest=10.0).round(6)
        array([7.3e-05, 5.8e-04])
    """
    s = np.abs(as_numbers("frequency", frequency).astype(np.float64)) / check_positive("largest", largest)
    if pair.activation == "sin":
        return (s > 1).astype(np.float64)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    ends = np.minimum(s, END)[..., None]
    places = np.maximum((nodes + 1) * ends / 2, 1e-150)  # whose square is not 0
    # conj((iω)^k) σ̂: for even k (−1)^{k/2} ω^k σ̂; for odd k σ̂ = i σ', (−i)^k i = (−1)^{(k−1)/2}
    density = places**pair.k * np.exp(-(places**2) / 2) * activation_transform(pair.activation, places)
    return (-1) ** (pair.k // 2) * (density @ weights) * ends[..., 0] / (2 * np.pi * pair.integral)
