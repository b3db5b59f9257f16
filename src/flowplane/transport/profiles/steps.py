"""How many steps a flow needs: ends of Euler's and Heun's methods against the flow itself (§E3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from torch import Tensor

from flowplane.core.points import check_count, check_positive, check_seed
from flowplane.core.results import Flags, stamp
from flowplane.core.streams import STEPS, generator
from flowplane.errors import InputError, Text
from flowplane.transport.maps.ode import solve

if TYPE_CHECKING:
    from flowplane.transport.maps.base import TransportMap

__all__ = ["NUMBERS", "STEPS_FLAGS", "flow_steps"]

NUMBERS = (1, 2, 4, 8, 16, 32, 64, 128)
#: Relative tolerances of the adaptive solver.
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
#: The default error asked for, as a share of how far the particles move.
SHARE = 0.01
STEPS_FLAGS = Flags(
    {
        "not_reached": (
            "the error asked for is not reached with the largest number of steps",
            "More `numbers`, or a larger `within`.",
        )
    }
)

Field = Callable[[float, Tensor], Tensor]


def flow_steps(
    flow: TransportMap, samples: int = 1000, numbers: Any = None, *, within: float | None = None, seed: Any = 0
) -> xr.Dataset:
    """The error of N equal steps against N, and the least N whose error is small enough (§E3).

    Arguments:
        flow: with a source density and a velocity field; layers are steps already.
        samples: particles drawn from the source.
        numbers: of steps, increasing; None is 1, 2, 4, … 128.
        within: the root mean square error that is small enough, in units of x; None is a hundredth of √E|Δ|², how far the
            particles move.
        seed: of the particles.

    Returns:
        A Dataset over (`solver`, `steps`), the solvers "euler" and "heun": `distance`, √E|x_N − x|² to the ends x that the
        flow's own solver finds, and `evaluations` of the velocity. Over `tolerance`: `adaptive_distance` and
        `adaptive_evaluations` of an adaptive solver (dopri5). Over `solver`: `least_steps`, the least N within the error,
        found by halving between two of the numbers; NaN and flagged `not_reached` where the largest is too small.
        Distances have a standard error over the particles, `…_error`.

    Raises:
        InputError: a flow without source or of layers, numbers that do not increase, within not positive.

    Example:
        >>> import math
        >>> import flowplane as fp
        >>> found = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=math.inf).steps(samples=100)
        >>> found.least_steps.values.tolist(), found.distance.sel(solver="heun", steps=128).item() < 1e-4
        ([33.0, 7.0], True)
    """
    if not flow.continuous:
        found = Text(f"{type(flow).__name__}, a map of layers")
        raise InputError("flow", found, "a flow along a velocity field: layers are steps already")
    count, seed = check_count("samples", samples, 2), check_seed(seed)
    counts = _numbers(numbers)
    x = flow.known_source().draw(count, generator(seed, STEPS)).to(flow.device, flow.dtype)
    end = flow.forward(x)
    moved = float((end - x).double().square().sum(1).mean().sqrt())
    enough = SHARE * moved if within is None else check_positive("within", within)
    off = np.empty((len(METHODS), len(counts), 2))
    least = np.full(len(METHODS), np.nan)
    for row, method in enumerate(METHODS.values()):
        for column, number in enumerate(counts):
            off[row, column] = _distance(method(flow.field, x, flow.time, number), end)
        least[row] = _least(partial(_off, flow, method, x, end), counts, off[row], enough)
    adaptive = np.array([_adaptive(flow, x, end, tolerance) for tolerance in TOLERANCES])
    return _told(flow, counts, off, least, adaptive, {"samples": count, "within": enough, "moved": moved}, seed)


def euler(field: Field, x: Tensor, time: float, number: int) -> Tensor:
    """Ends of N steps of length time/N: x + h·v_t(x)."""
    step = time / number
    for k in range(number):
        x = x + step * field(k * step, x)
    return x


def heun(field: Field, x: Tensor, time: float, number: int) -> Tensor:
    """Ends of N steps with the mean of the velocities at both ends of each."""
    step = time / number
    for k in range(number):
        first = field(k * step, x)
        second = field(min((k + 1) * step, time), x + step * first)
        x = x + step / 2 * (first + second)
    return x


METHODS: dict[str, Callable[[Field, Tensor, float, int], Tensor]] = {"euler": euler, "heun": heun}


def _off(flow: TransportMap, method: Callable, x: Tensor, end: Tensor, number: int) -> float:
    return _distance(method(flow.field, x, flow.time, number), end)[0]


def _distance(found: Tensor, end: Tensor) -> tuple[float, float]:
    """√E|x_N − x|² and its standard error."""
    squares = (found - end).double().square().sum(1)
    value = float(squares.mean().sqrt())
    return value, float(squares.std()) / len(squares) ** 0.5 / (2 * value) if value > 0 else 0.0


def _least(error: Callable[[int], float], counts: list[int], off: np.ndarray, enough: float) -> float:
    """The least number of steps, by halving between the last that is not enough and the next."""
    does = off[:, 0] <= enough
    if not does[-1]:
        return np.nan
    place = len(counts) - int(np.argmin(does[::-1])) if not does.all() else 0
    high, low = counts[place], counts[place - 1] if place else 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle) <= enough else (middle, high)
    return float(high)


def _adaptive(flow: TransportMap, x: Tensor, end: Tensor, tolerance: float) -> tuple[float, float, int]:
    calls = 0

    def counted(t: float, place: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return flow.field(t, place)

    scale = float(end.double().square().mean().sqrt())
    found = solve(counted, x, np.array([0.0, flow.time]), tolerance, tolerance * scale)[-1]
    return *_distance(found, end), calls


def _told(
    flow: TransportMap,
    counts: list[int],
    off: np.ndarray,
    least: np.ndarray,
    adaptive: np.ndarray,
    attrs: dict[str, Any],
    seed: int,
) -> xr.Dataset:
    length = {"units": "units of x"}
    both, along = ("solver", "steps"), "tolerance"
    distance, error = {"long_name": "√E|x_N − x|²"}, {"long_name": "standard error of distance"}
    calls = {"units": "1", "long_name": "evaluations of the velocity"}
    order = np.arange(1, len(METHODS) + 1)[:, None]
    missed = np.where(np.isnan(least), STEPS_FLAGS.bits("not_reached"), 0).astype(np.int32)
    name = "least number of steps within the error"
    variables = {
        "distance": (both, off[..., 0], length | distance),
        "distance_error": (both, off[..., 1], length | error),
        "evaluations": (both, order * np.array(counts), calls),
        "adaptive_distance": (along, adaptive[:, 0], length | {"long_name": "√E|x_τ − x|² of the adaptive solver"}),
        "adaptive_distance_error": (along, adaptive[:, 1], length | {"long_name": "standard error of adaptive_distance"}),
        "adaptive_evaluations": (along, adaptive[:, 2].astype(int), calls),
        "least_steps": ("solver", least, {"units": "1", "long_name": name}),
        "least_steps_flags": ("solver", missed, STEPS_FLAGS.attrs(name)),
    }
    coords = {
        "solver": list(METHODS),
        "steps": ("steps", counts, {"long_name": "steps N", "units": "1"}),
        "tolerance": ("tolerance", list(TOLERANCES), {"long_name": "relative tolerance", "units": "1"}),
    }
    return stamp(xr.Dataset(variables, coords, flow.about()[1] | attrs), "steps", seed=seed)


def _numbers(numbers: Any) -> list[int]:
    counts = [check_count("numbers", number) for number in (NUMBERS if numbers is None else np.atleast_1d(numbers).tolist())]
    if not counts or any(later <= earlier for earlier, later in pairwise(counts)):
        raise InputError("numbers", Text(str(counts)), "whole numbers that increase")
    return counts
