"""Verdicts on claim A-7: what errors of trained denoisers say."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.experiments.claim import Claim, at_most, mean_interval, near, sign, with_ends
from flowplane.experiments.transport.flows import order_of

__all__ = ["all_claims", "orders"]

#: What is left of the displacement, squared, when the optimal map counts as reached.
REACHED = 0.05
#: Around the 1/n of a regression.
ORDER_REACH = 0.3
#: How many times nearer to g* a trained network is than the controls, squared.
APART = 3.0


def all_claims(errors: xr.Dataset, widths: xr.Dataset, controls: xr.Dataset, memory: xr.Dataset, scale: str) -> list[Claim]:
    """The claims of the experiment learned-dae; every number stands for a density, over seeds."""
    names = ", ".join(map(str, errors["density"].values))
    n = int(errors["samples"][-1])
    last = errors["error"].isel(samples=-1).transpose("seed", "density").values
    return [
        reached_claim(last, f"{n} points: {names}", scale),
        fall_claim(errors, names, scale),
        affine_claim(errors, scale),
        excess_claim(errors.isel(samples=-1), f"{n} points: {names}", scale),
        width_claim(widths, scale),
        *control_claims(controls, last, names, scale),
        memory_claim(memory, names, scale),
        attention_claim(errors.isel(samples=-1), f"{n} points: {names}", scale),
    ]


def reached_claim(last: np.ndarray, where: str, scale: str) -> Claim:
    """The error at the largest sample is small; errors (seed, density)."""
    mean, interval, verdict = geometric_at_most(last, REACHED)
    statement = f"a trained network is near the optimal map: E|g − g*|²/E|g* − x̃|² is at most {REACHED:g}, from {where}"
    limits = (REACHED,) * len(mean)
    return Claim("A-7", statement, mean, interval, limits, None, verdict, scale, 0.0, "1")


def fall_claim(errors: xr.Dataset, names: str, scale: str) -> Claim:
    """The error falls with the size of the sample: minus its order is positive."""
    mean, interval, verdict = sign(-orders(errors["error"], "samples"))
    statement = f"the error falls like n^−k with the number n of points, k > 0: {names}"
    return Claim("A-7.sample-size", statement, mean, interval, None, None, verdict, scale, 0.0, "1")


def affine_claim(errors: xr.Dataset, scale: str) -> Claim:
    """An affine network on Gaussian data is a regression, whose error is of order 1/n."""
    gaussian = errors["affine_error"].dropna("density", how="all")
    mean, interval, _ = mean_interval(orders(gaussian, "samples"))
    verdict = near(interval[:, 0], interval[:, 1], -1.0, ORDER_REACH) if np.isfinite(interval).all() else "inconclusive"
    measured, pairs = with_ends(mean, *interval.T)
    statement = "an affine network on Gaussian data: the error is of order n^k, k = −1 as of any regression"
    return Claim("A-7.affine", statement, measured, pairs, (-1.0,), (ORDER_REACH,), verdict, scale, 0.0, "1")


def excess_claim(last: xr.Dataset, where: str, scale: str) -> Claim:
    """How far the loss is above the least one."""
    percent = 100 * last["excess"].transpose("seed", "density").values
    mean, interval, verdict = geometric_at_most(percent, 100 * REACHED)
    statement = f"the loss is within {REACHED:.0%} of the least one, from {where}"
    limits = (100 * REACHED,) * len(mean)
    return Claim("A-7.loss", statement, mean, interval, limits, None, verdict, scale, 0.0, "%")


def width_claim(widths: xr.Dataset, scale: str) -> Claim:
    """The error falls with the width."""
    mean, interval, verdict = sign(-orders(widths["error"], "width"))
    names = ", ".join(map(str, widths["density"].values))
    statement = (
        f"the error falls like w^−k with the width w of two hidden layers, fresh points at every step, k > 0: {names}"
    )
    return Claim("A-7.width", statement, mean, interval, None, None, verdict, scale, 0.0, "1")


def control_claims(controls: xr.Dataset, last: np.ndarray, names: str, scale: str) -> list[Claim]:
    """The errors of networks that should not be near, over that of the trained one; and of the identity, 1 by definition."""
    found = []
    values = controls["error"].transpose("control", "seed", "density").values
    rows = {str(name): part / last for name, part in zip(controls["control"].values, values, strict=True)}
    rows["identity"] = 1 / last
    for (name, ratios), key in zip(rows.items(), ("untrained", "other-noise", "identity"), strict=True):
        # ratios span decades: their logarithms are averaged
        mean, interval, verdict = sign(np.log10(ratios / APART))
        back = tuple(float(APART * 10**value) for value in mean)
        ends = tuple((float(APART * 10**low), float(APART * 10**high)) for low, high in interval)
        statement = f"control: {name}: its error over the trained network's, above {APART:g} everywhere: {names}"
        found.append(Claim(f"A-7.control-{key}", statement, back, ends, None, None, verdict, scale, 0.0, "1"))
    return found


def memory_claim(memory: xr.Dataset, names: str, scale: str) -> Claim:
    """On a few points, nothing held out, training goes to the empirical denoiser."""
    ratios = (memory["to_attention"] / memory["to_optimum"]).transpose("seed", "density").values
    mean, interval, verdict = geometric_at_most(ratios, 0.5)
    statement = (
        f"memorisation: on {memory.attrs['points']} points and nothing held out a network goes to attention over them, not "
        f"to g*: squared distance from the first over that from the second, at most 0.5: {names}"
    )
    return Claim("A-7.memory", statement, mean, interval, (0.5,) * len(mean), None, verdict, scale, 0.0, "1")


def attention_claim(last: xr.Dataset, where: str, scale: str) -> Claim:
    """Reported: who is nearer to g* on a large sample, the network or attention over its points?"""
    ratios = np.log10((last["error"] / last["attention_error"]).transpose("seed", "density").values)
    mean, interval, verdict = sign(-ratios)
    statement = (
        f"reported: a network is nearer to g* than attention over its points: −log₁₀ of the errors' ratio, from {where}"
    )
    return Claim("A-7.attention", statement, mean, interval, None, None, verdict, scale, 0.0, "decades")


def geometric_at_most(values: np.ndarray, limit: float) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...], str]:
    """`at_most` for positive numbers that span decades: the mean and interval of their logarithms.

    Example:
        >>> geometric_at_most(np.array([[0.01], [0.1], [1.0]]), 200.0)[::2]
        ((0.1,), 'reproduced')
    """
    mean, interval, verdict = at_most(np.log10(values), float(np.log10(limit)))
    back = tuple(round(10.0**value, 12) for value in mean)
    return back, tuple((float(10.0**low), float(10.0**high)) for low, high in interval), verdict


def orders(errors: xr.DataArray, along: str) -> np.ndarray:
    """The slope of log error against log scale for each seed and density, (seed, density)."""
    scales = errors[along].values.astype(float)
    values = errors.transpose("seed", "density", along).values
    return np.array([[order_of(scales, curve) for curve in seed] for seed in values])
