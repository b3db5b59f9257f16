"""Verdicts on claim A-7: what errors of trained denoisers say."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.experiments.claim import Claim
from flowplane.experiments.transport.flows import order_of
from flowplane.experiments.verdicts import around, at_least_log, at_most_log, sign

__all__ = ["all_claims", "orders"]

#: What is left of the displacement, squared, when the optimal map counts as reached.
REACHED = 0.05
#: Around the 1/n of a regression.
ORDER_REACH = 0.3
#: How many times nearer to g* a trained network is than the controls, squared.
APART = 3.0


def all_claims(errors: xr.Dataset, widths: xr.Dataset, controls: xr.Dataset, memory: xr.Dataset) -> list[Claim]:
    """The claims of the experiment learned-dae; every number stands for a density, over seeds."""
    names = ", ".join(map(str, errors["density"].values))
    n = int(errors["samples"][-1])
    last = errors["error"].isel(samples=-1).transpose("seed", "density").values
    return [
        reached_claim(last, f"{n} points: {names}"),
        fall_claim(errors, names),
        affine_claim(errors),
        excess_claim(errors.isel(samples=-1), f"{n} points: {names}"),
        width_claim(widths),
        *control_claims(controls, last, names),
        memory_claim(memory, names),
        attention_claim(errors.isel(samples=-1), f"{n} points: {names}"),
    ]


def reached_claim(last: np.ndarray, where: str) -> Claim:
    """The error at the largest sample is small; errors (seed, density)."""
    statement = f"a trained network is near the optimal map: E|g − g*|²/E|g* − x̃|² is at most {REACHED:g}, from {where}"
    return _below("A-7", "headline", statement, last, REACHED, "1")


def fall_claim(errors: xr.Dataset, names: str) -> Claim:
    """The error falls with the size of the sample: minus its order is positive."""
    return Claim(
        id="A-7.sample-size",
        role="part",
        statement=f"the error falls like n^−k with the number n of points, k > 0: {names}",
        **sign(-orders(errors["error"], "samples")),
        units="1",
    )


def affine_claim(errors: xr.Dataset) -> Claim:
    """An affine network on Gaussian data is a regression, whose error is of order 1/n."""
    gaussian = errors["affine_error"].dropna("density", how="all")
    return Claim(
        id="A-7.affine",
        role="part",
        statement="an affine network on Gaussian data: the error is of order n^k, k = −1 as of any regression",
        **around(orders(gaussian, "samples"), -1.0, ORDER_REACH),
        units="1",
    )


def excess_claim(last: xr.Dataset, where: str) -> Claim:
    """How far the loss is above the least one."""
    percent = 100 * last["excess"].transpose("seed", "density").values
    return _below(
        "A-7.loss", "part", f"the loss is within {REACHED:.0%} of the least one, from {where}", percent, 100 * REACHED, "%"
    )


def width_claim(widths: xr.Dataset) -> Claim:
    """The error falls with the width."""
    names = ", ".join(map(str, widths["density"].values))
    return Claim(
        id="A-7.width",
        role="part",
        statement="the error falls like w^−k with the width w of two hidden layers, fresh points at every step, k > 0: "
        + names,
        **sign(-orders(widths["error"], "width")),
        units="1",
    )


def control_claims(controls: xr.Dataset, last: np.ndarray, names: str) -> list[Claim]:
    """The errors of networks that should not be near, over that of the trained one; and of the identity, 1 by definition."""
    values = controls["error"].transpose("control", "seed", "density").values
    rows = {str(name): part / last for name, part in zip(controls["control"].values, values, strict=True)}
    rows["identity"] = 1 / last
    return [
        Claim(
            id=f"A-7.control-{key}",
            role="control",
            statement=f"{name}: its error over the trained network's, above {APART:g} everywhere: {names}",
            **at_least_log(ratios, APART),
            units="1",
        )
        for (name, ratios), key in zip(rows.items(), ("untrained", "other-noise", "identity"), strict=True)
    ]


def memory_claim(memory: xr.Dataset, names: str) -> Claim:
    """On a few points, nothing held out, training goes to the empirical denoiser."""
    ratios = (memory["to_attention"] / memory["to_optimum"]).transpose("seed", "density").values
    statement = (
        f"memorisation: on {memory.attrs['points']} points and nothing held out a network goes to attention over them, not "
        f"to g*: squared distance from the first over that from the second, at most 0.5: {names}"
    )
    return _below("A-7.memory", "part", statement, ratios, 0.5, "1")


def attention_claim(last: xr.Dataset, where: str) -> Claim:
    """Who is nearer to g* on a large sample, the network or attention over its points?"""
    ratios = np.log10((last["error"] / last["attention_error"]).transpose("seed", "density").values)
    return Claim(
        id="A-7.attention",
        role="reported",
        statement=f"a network is nearer to g* than attention over its points: −log₁₀ of the errors' ratio, from {where}",
        **sign(-ratios),
        units="decades",
    )


def _below(name: str, role: str, statement: str, values: np.ndarray, limit: float, units: str) -> Claim:
    """Errors (seed, density) that should not be above a limit."""
    judged = at_most_log(values, limit)
    limits = (limit,) * len(judged["measured"])
    return Claim(id=name, role=role, statement=statement, **judged, reference=limits, units=units)


def orders(errors: xr.DataArray, along: str) -> np.ndarray:
    """The slope of log error against log scale for each seed and density, (seed, density)."""
    scales = errors[along].values.astype(float)
    values = errors.transpose("seed", "density", along).values
    return order_of(scales, values)
