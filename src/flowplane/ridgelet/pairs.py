"""Activations and the ridgelet functions that belong to them (§A10)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from flowplane.core.points import check_count
from flowplane.errors import InputError, Text, unknown
from flowplane.ridgelet.derivatives import gaussian_derivative, hilbert_derivative

__all__ = ["ACTIVATIONS", "Pair"]

#: Nodes of each half line in ∫ρ_0σ db, and where g is below rounding.
NODES, END = 256, 14.0
#: Of the orders; reconstructions get worse from some eight above the least on.
HIGHEST = 12
#: Where derivatives of g up to the tenth are 1e-8 of their maximum.
SHORT = 9.0


@dataclass(frozen=True)
class Activation:
    """σ with what is known of it: `parity` of the part that counts, the `least` k, the k taken if none is said, and with
    which power of |z| it grows (for sin −1: what oscillates is cut off at less cost, None: it falls like a Gaussian)."""

    function: Callable[[Tensor], Tensor]
    parity: int
    least: int
    order: int
    growth: int | None = 0


#: Odd: tanh, sigmoid − 1/2 and sin. Even: the bump and what the others have besides z/2.
ACTIVATIONS = {
    "tanh": Activation(torch.tanh, 1, 1, 3),
    "sigmoid": Activation(torch.sigmoid, 1, 1, 3),
    "relu": Activation(torch.relu, 0, 2, 4, 1),
    "softplus": Activation(lambda z: F.softplus(z, threshold=40.0), 0, 2, 4, 1),
    "gelu": Activation(F.gelu, 0, 2, 4, 1),
    "silu": Activation(F.silu, 0, 2, 4, 1),
    "gaussian": Activation(lambda z: torch.exp(-z * z / 2), 0, 0, 2, None),
    "sin": Activation(torch.sin, 1, 0, 1, -1),
}


@dataclass(frozen=True)
class Pair:
    """An activation σ and a ridgelet function ρ that is admissible with it in every dimension (§A10).

    ρ = Λ^m ρ_0 in dimension m, Λ^m ↔ |ω|^m, ρ_0 = g^{(k)} the k-th derivative of the unit Gaussian density. Then
    S[R[f;ρ]] = K f with K = (2π)^m ∫ρ_0σ db. The higher k, the sooner a truncated |a| < A suffices: with k two above the
    least the error falls like A⁻³, with the least like A⁻¹ (sin needs no more than its least: it has one frequency).

    Arguments:
        activation: σ, one of tanh, sigmoid, relu, softplus, gelu, silu, gaussian (e^{−z²/2}), sin.
        order: k; None is 3 for tanh and sigmoid, 4 for relu, softplus, gelu and silu, 2 for gaussian, 1 for sin.

    Raises:
        InputError: an unknown activation, or an order with which the pair is not admissible.

    Example:
        >>> pair = Pair("tanh")
        >>> pair.order, round(pair.integral, 5)
        (3, 0.3636)
        >>> Pair("relu", 1)
        Traceback (most recent call last):
        ...
        flowplane.errors.InputError: order: found 1, expected an even number, 2 or more, for relu: ...
    """

    activation: str = "tanh"
    order: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.activation, str) or self.activation not in ACTIVATIONS:
            raise unknown("activation", self.activation, ACTIVATIONS)
        if self.order is None:
            object.__setattr__(self, "order", ACTIVATIONS[self.activation].order)
        else:
            object.__setattr__(self, "order", check_count("order", self.order, 0))
            if self.k > HIGHEST:
                raise InputError("order", self.order, f"{HIGHEST} at most: beyond, ρ oscillates too much for any quadrature")
            self._check()

    def _check(self) -> None:
        """Refuse what does not reconstruct, with the reason."""
        known, order = ACTIVATIONS[self.activation], self.k
        reasons = []
        if order < known.least:
            reasons.append(
                f"ρ_0 needs {known.least} vanishing moment{'s' if known.least > 1 else ''} or more, because σ has a part "
                "at frequency ω = 0, which does not count"
            )
        if order % 2 != known.parity:
            kinds = ("even", "odd")
            reasons.append(f"what counts of σ is {kinds[known.parity]}, and cancels against an {kinds[order % 2]} ρ_0")
        if not reasons:
            return
        if order < known.least and order % 2 == known.parity:
            reasons.append("the integral over ω ≠ 0 is infinite")
        elif abs(self.integral) > 1e-9:
            reasons.append(f"∫ρ_0σ = {self.integral:.5f} comes from the point ω = 0: such a pair reconstructs 0")
        kind = "an odd" if known.parity else "an even"
        least = known.least + (known.least + known.parity) % 2
        expected = f"{kind} number, {least} or more, for {self.activation}: {'; '.join(reasons)}"
        raise InputError("order", Text(f"{order}"), expected)

    @property
    def k(self) -> int:
        """The order of ρ_0, a number."""
        assert self.order is not None
        return self.order

    @property
    def integral(self) -> float:
        """∫ρ_0σ db, to rounding."""
        return _integral(self.activation, self.k)

    def constant(self, dimension: int) -> float:
        """K = (2π)^m ∫ρ_0σ db (§A10).

        Raises:
            InputError: `dimension` is not a whole number, 1 or more.

        Example:
            >>> round(Pair("gaussian", 0).constant(1), 5)
            4.44288
        """
        return (2 * math.pi) ** check_count("dimension", dimension) * self.integral

    def activation_values(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """σ(z).

        Example:
            >>> Pair("relu").activation_values(torch.tensor([-1.0, 2.0])).tolist()
            [0.0, 2.0]
        """
        return ACTIVATIONS[self.activation].function(z)

    def ridgelet(self, z: Float[Tensor, "*shape"], dimension: int) -> Float[Tensor, "*shape"]:
        """ρ(z) = Λ^m g^{(k)}(z): (−1)^{m/2} g^{(k+m)} for even m, (−1)^{(m−1)/2} H g^{(k+m)} for odd m, H ↔ −i sgn ω.

        For even m it falls like the Gaussian, for odd m only like |z|^{−(m+k+1)}.

        Raises:
            InputError: `dimension` is not a whole number, 1 or more.

        Example:
            >>> Pair("gaussian", 0).ridgelet(torch.zeros(1), 2).numpy().round(5)  # −g''(0)
            array([0.39894], dtype=float32)
        """
        m = check_count("dimension", dimension)
        derivative = gaussian_derivative if m % 2 == 0 else hilbert_derivative
        return derivative(self.k + m, z) * (-1) ** (m // 2)

    def tail(self, dimension: int, share: float = 1e-5) -> float:
        """T such that ∫_{|z|>T} |ρσ| dz is about a share of max |ρ|: how far offsets must reach beyond a·x.

        Example:
            >>> Pair("tanh").tail(2) < 10 < Pair("tanh").tail(1)
            True
        """
        growth = ACTIVATIONS[self.activation].growth
        if dimension % 2 == 0 or growth is None:
            return SHORT
        # |ρ| ~ n!/(π |z|^{n+1}) with n = k + m
        n = self.k + dimension
        near = torch.linspace(0.0, SHORT, 801, dtype=torch.float64, device="cpu")
        size = float(self.ridgelet(near, dimension).abs().max())
        return max(SHORT, (math.factorial(n) / (math.pi * max(n - growth, 1) * share * size)) ** (1 / (n - growth)))


@lru_cache(maxsize=256)
def _integral(activation: str, order: int) -> float:
    """Gauss–Legendre on each side of 0, where ReLU has its kink."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = torch.from_numpy((nodes + 1) * END / 2)
    z = torch.cat([-half, half])
    product = gaussian_derivative(order, z) * ACTIVATIONS[activation].function(z)
    return float(product @ torch.from_numpy(np.tile(weights * END / 2, 2)))
