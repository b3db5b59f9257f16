"""What the experiments of the second lens have in common: paired comparisons of depths, entropy balances, orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Real

from flowplane.core.results import Z
from flowplane.core.streams import EVALUATION, PROFILE, generator
from flowplane.experiments.claim import Claim
from flowplane.experiments.verdicts import exactly, with_ends
from flowplane.transport import DenoisingFlow, TransportMap, denoising_flow
from flowplane.transport.densities import Density

__all__ = [
    "DISTANCE",
    "balance_claim",
    "depth_label",
    "entropy_balance",
    "fall_claim",
    "flows_by_depth",
    "order_of",
    "stacked",
    "variance_by_depth",
]

#: What compositions and shallow maps are compared with.
DISTANCE = {"long_name": "RMS distance to the continuous flow", "units": "units of x"}
#: Standard errors that the largest of a few dozen deviations may have.
LARGEST_DEVIATION = 4.0


def depth_label(layers: int | float) -> str:
    """What a figure calls a depth.

    Example:
        >>> depth_label(1), depth_label(4), depth_label(math.inf)
        ('shallow, L = 1', 'L = 4', 'continuous')
    """
    return "continuous" if layers == math.inf else f"{'shallow, ' if layers == 1 else ''}L = {layers:g}"


def flows_by_depth(
    density: Density, time: float, depths: Sequence[int | float], **arguments: Any
) -> dict[str, DenoisingFlow]:
    """A flow for each depth, by its label."""
    return {depth_label(layers): denoising_flow(density, time, layers, **arguments) for layers in depths}


def variance_by_depth(
    flows: Mapping[str, TransportMap], samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """tr Cov at the end of each flow, its standard error, each particle's squared distance from the mean (flow, sample).

    The same particles run through all flows; the scatter of where they start is taken out by their known variance.
    """
    source = next(iter(flows.values())).known_source()
    x = source.draw(samples, generator(seed, PROFILE))  # the points of `profile`
    known = float(np.trace(np.atleast_2d(source.covariance)))

    def spread(points: Any) -> np.ndarray:
        return np.asarray(((points - points.mean(0)) ** 2).sum(1).cpu(), dtype=float)

    begun = spread(x)
    squares = np.stack([spread(flow.forward(x)) for flow in flows.values()])
    change = squares - begun
    return known + change.mean(1), change.std(1, ddof=1) / np.sqrt(samples), squares


def fall_claim(name: str, statement: str, squares: np.ndarray) -> Claim:
    """Reported: whether each flow's variance is below that of the one before it, on the same particles.

    Arguments:
        squares: from `variance_by_depth`, the flows in order of depth.
    """
    falls = squares[:-1] - squares[1:]
    mean = falls.mean(1)
    reach = Z * falls.std(1, ddof=1) / np.sqrt(falls.shape[1])
    against = "contradicted" if (mean + reach < 0).any() else "inconclusive"
    return Claim(
        id=name,
        role="reported",
        statement=statement,
        **with_ends(mean, mean - reach, mean + reach),
        verdict="reproduced" if (mean - reach > 0).all() else against,
        units="units of x²",
    )


def entropy_balance(flow: TransportMap, samples: int, seed: int, times: np.ndarray | None = None) -> xr.Dataset:
    """dH/dt and −J side by side: H on particles, its rate as the mean divergence and by differences in time, J, and the
    difference between rate and −J with the standard error of the pairs."""
    instants = flow.instants(times)
    states = flow.source_states(flow.known_source().draw(samples, generator(seed, EVALUATION)), instants)
    metric = flow.metric

    def column(values: list[Any]) -> np.ndarray:
        return np.array([np.asarray(value.cpu(), dtype=float) for value in values])

    entropy = column([-state.log_prob for state in states])
    rate = column([state.divergence for state in states])
    information = column(
        [((state.score if metric is None else state.score @ metric) * state.score).sum(1) for state in states]
    )
    gap = rate + information

    def error(values: np.ndarray) -> np.ndarray:
        return values.std(1, ddof=1) / np.sqrt(samples)

    nats, per_time = {"units": "nats"}, {"units": "nats per unit of time"}
    return xr.Dataset(
        {
            "entropy": ("time", entropy.mean(1), nats),
            "entropy_rate": ("time", rate.mean(1), per_time),
            "entropy_difference": ("time", np.gradient(entropy.mean(1), instants, edge_order=2), per_time),
            "fisher_information": ("time", information.mean(1), per_time),
            "gap": ("time", gap.mean(1), per_time | {"long_name": "dH/dt + J"}),
            "gap_error": ("time", error(gap), per_time),
        },
        {"time": ("time", instants, {"units": flow.time_units})},
        {"flow": repr(flow), "samples": samples, "seed": seed},
    )


def balance_claim(name: str, role: str, statement: str, balances: Sequence[xr.Dataset]) -> Claim:
    """The claim that entropy falls at the rate −J: the largest deviation of each balance in standard errors, at most 4."""
    deviations = []
    falling = True
    for balance in balances:
        error = np.maximum(balance["gap_error"].values, 1e-9 * np.abs(balance["fisher_information"].values))
        deviations.append(float(np.max(np.abs(balance["gap"].values) / error)))
        falling &= bool((np.diff(balance["entropy"].values) < 0).all())
    judged = exactly(deviations, (0.0,) * len(deviations), LARGEST_DEVIATION)
    if not falling:
        judged["verdict"] = "contradicted"
    return Claim(id=name, role=role, statement=statement, **judged, units="standard errors")


def stacked(parts: Mapping[str, xr.Dataset], dimension: str) -> xr.Dataset:
    """Datasets of equal shape along a new dimension; each keeps times of its own."""
    index = xr.DataArray(list(parts), dims=dimension, name=dimension)
    bare = [part.rename_dims(time="instant").reset_index("time").reset_coords("time") for part in parts.values()]
    return xr.concat(bare, index, combine_attrs="drop")


def order_of(scales: Real[np.ndarray, " step"], errors: Float[np.ndarray, "*curve step"]) -> Float[np.ndarray, "*curve"]:
    """The slope of log error against log scale, by least squares, of each curve.

    Example:
        >>> order_of(np.array([1.0, 2.0, 4.0]), np.array([[3.0, 12.0, 48.0], [1.0, 0.5, 0.25]])).round(6).tolist()
        [2.0, -1.0]
    """
    place = np.log(scales) - np.log(scales).mean()
    return np.asarray(np.log(errors) @ place / (place @ place))
