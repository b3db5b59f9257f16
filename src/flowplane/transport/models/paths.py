"""Gaussian paths x_τ = α_τ x_data + σ_τ ε, by name or by two functions of τ (§E1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from flowplane.core.arrays import as_tensor
from flowplane.errors import InputError, Text, unknown

__all__ = ["LEAST", "PATHS", "GaussianPath", "PathPoint", "as_path"]

#: The least α and σ at which a prediction determines the velocity.
LEAST = 1e-3
#: Places at which these are sought, and bisections that then find the place to rounding.
GRID, HALVINGS = 1001, 60
#: Step of the differences that are rates, as a part of the path.
STEP = 1e-3
#: A five-point rule of fourth order at each place among five even ones.
STENCILS = np.array(
    [[-25, 48, -36, 16, -3], [-3, -10, 18, -6, 1], [1, -8, 0, 8, -1], [-1, 6, -18, 10, 3], [3, -16, 36, -48, 25]]
) / np.array([[12.0]])

Function = Callable[[float], float]


class PathPoint(NamedTuple):
    """α, σ and their rates dα/dτ, dσ/dτ at one τ."""

    alpha: float
    sigma: float
    alpha_rate: float
    sigma_rate: float


@dataclass(frozen=True)
class GaussianPath:
    """x_τ = α_τ x_data + σ_τ ε for τ from `noise` to `data`, either of which may be the larger."""

    name: str
    alpha: Function
    sigma: Function
    noise: float
    data: float
    #: dα/dτ and dσ/dτ; None takes them from differences.
    rates: Callable[[float], tuple[float, float]] | None = None

    def at(self, tau: float) -> PathPoint:
        """α, σ and their rates."""
        alpha, sigma = self.alpha(tau), self.sigma(tau)
        if self.rates is not None:
            return PathPoint(alpha, sigma, *self.rates(tau))
        return PathPoint(alpha, sigma, self._rate(self.alpha, tau), self._rate(self.sigma, tau))

    def tau(self, s: float) -> float:
        """The τ that s ∈ [0, 1], from noise to data, stands for."""
        return self.noise + s * (self.data - self.noise)

    def within(self, noise: float, data: float) -> GaussianPath:
        """A part of the path."""
        return replace(self, noise=noise, data=data, rates=self.rates or self._rates)

    def reachable(self) -> tuple[float, float]:
        """The first and last τ, from noise to data, with α, σ ≥ 1e-3.

        Raises:
            InputError: there is none.
        """
        places = np.linspace(self.noise, self.data, GRID).tolist()
        good = [self._told(tau) for tau in places]
        if True not in good:
            raise InputError("path", self.name, f"α and σ of {LEAST:g} or more at some time")
        first, last = good.index(True), GRID - 1 - good[::-1].index(True)
        noise = places[0] if first == 0 else self._edge(places[first - 1], places[first])
        data = places[-1] if last == GRID - 1 else self._edge(places[last + 1], places[last])
        return noise, data

    def _told(self, tau: float) -> bool:
        return min(self.alpha(tau), self.sigma(tau)) >= LEAST

    def _edge(self, bad: float, good: float) -> float:
        for _ in range(HALVINGS):
            middle = (bad + good) / 2
            bad, good = (bad, middle) if self._told(middle) else (middle, good)
        return good

    def _rates(self, tau: float) -> tuple[float, float]:
        """Differences within the whole path, whatever part of it is used."""
        return self._rate(self.alpha, tau), self._rate(self.sigma, tau)

    def _rate(self, function: Function, tau: float) -> float:
        """dα/dτ by differences that stay within the path."""
        low, high = sorted((self.noise, self.data))
        step = STEP * (high - low)
        place = next((k for k in (2, 1, 3, 0, 4) if tau - k * step >= low and tau + (4 - k) * step <= high), 2)
        values = [function(tau + (k - place) * step) for k in range(5)]
        return float(STENCILS[place] @ values) / step


def _turn(tau: float) -> float:
    return math.pi * tau / 2


PATHS = {
    "linear": GaussianPath("linear", lambda t: t, lambda t: 1 - t, 0.0, 1.0, lambda t: (1.0, -1.0)),
    "vp": GaussianPath(
        "vp",
        lambda t: math.cos(_turn(t)),
        lambda t: math.sin(_turn(t)),
        1.0,
        0.0,
        lambda t: (-math.pi / 2 * math.sin(_turn(t)), math.pi / 2 * math.cos(_turn(t))),
    ),
    "ve": GaussianPath("ve", lambda t: 1.0, lambda t: t, 80.0, 0.002, lambda t: (0.0, 1.0)),
}


def as_path(path: Any, predicts: str, times: Any) -> GaussianPath:
    """The path of a name, of two functions of τ, or as it is, from the first to the last time that can be reached.

    Arguments:
        predicts: for a velocity all of the path can be reached, otherwise what has α, σ ≥ 1e-3.
        times: two τ between which it is to go, in any order; None is as far as it can.

    Raises:
        InputError: another path, functions that are not finite, times that cannot be reached.
    """
    ends = _ends(times)
    if isinstance(path, str):
        if path not in PATHS:
            raise unknown("path", path, PATHS)
        whole = PATHS[path]
    elif isinstance(path, GaussianPath):
        whole = path
    elif isinstance(path, tuple) and len(path) == 2 and all(callable(part) for part in path):
        whole = _given(*path, ends or (0.0, 1.0))
    else:
        raise InputError("path", path, f"{', '.join(map(repr, PATHS))}, or (alpha, sigma), two functions of τ")
    noise, data = (whole.noise, whole.data) if predicts == "velocity" else whole.reachable()
    if ends is None:
        return whole.within(noise, data)
    low, high = sorted((noise, data))
    for tau in ends:
        if not low <= tau <= high:
            point = whole.at(min(max(tau, min(whole.noise, whole.data)), max(whole.noise, whole.data)))
            found = Text(f"τ = {tau:g}, where α = {point.alpha:.3g} and σ = {point.sigma:.3g}")
            raise InputError("times", found, f"times from {low:.6g} to {high:.6g}, which can be reached")
    return whole.within(*(ends if noise < data else ends[::-1]))


def _given(alpha: Callable, sigma: Callable, ends: tuple[float, float]) -> GaussianPath:
    def plain(name: str, function: Callable) -> Function:
        def value(tau: float) -> float:
            try:
                found = float(function(torch.tensor(tau, dtype=torch.float64, device="cpu")))
            except Exception as error:
                raise InputError("path", Text(f"{name}: {error} at τ = {tau:g}"), "two functions that are finite") from error
            if not math.isfinite(found):
                raise InputError("path", Text(f"{name} = {found} at τ = {tau:g}"), "two functions that are finite")
            return found

        return value

    first, second = plain("alpha", alpha), plain("sigma", sigma)
    low, high = ends
    if first(low) * second(high) > first(high) * second(low):  # σ/α is larger at the noise's end
        low, high = high, low
    return GaussianPath("given", first, second, low, high)


def _ends(times: Any) -> tuple[float, float] | None:
    if times is None:
        return None
    given = as_tensor("times", times).double().flatten().tolist()
    if len(given) != 2 or not all(map(math.isfinite, given)) or given[0] == given[1]:
        raise InputError("times", times, "two different times, the first and the last")
    return min(given), max(given)
