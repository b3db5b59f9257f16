"""A flow in numbers: entropy, Fisher information, variance and the cost of transport as functions of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowplane.core.arrays import as_tensor
from flowplane.core.points import check_count, check_seed
from flowplane.core.results import stamp
from flowplane.core.streams import PROFILE, generator
from flowplane.transport.densities.smoothing import MixtureSmoothing
from flowplane.transport.maps.state import State, squared
from flowplane.transport.profiles.optimal import Pairs, gaussian_distance

if TYPE_CHECKING:
    from flowplane.transport.maps.base import TransportMap

__all__ = ["VARIABLES", "closed_particles", "flow_profile", "gaussian_moments"]

#: Particles between which the exact distance is taken.
PAIRED = 1000

#: Name, units and long name of each variable over `time`.
VARIABLES = {
    "entropy": ("nats", "H[p_t], the mean of −log p_t"),
    "entropy_rate": ("nats per unit of time", "dH/dt, the mean of ∇·v_t"),
    "fisher_information": ("nats per unit of time", "E|s|², s = ∇log p_t"),
    "variance": ("squared units of x", "tr Cov(x_t)"),
    "cost": ("squared units of x", "E|x_t − x_0|²"),
    "wasserstein": ("units of x", "W_2(p_0, p_t)"),
    "optimality": ("1", "W_2²(p_0, p_t)/E|x_t − x_0|²; 1 is optimal"),
    "kinetic_energy": ("squared units of x per unit of time", "∫_0^t E|v|² dt"),
    "benamou_brenier_gap": ("squared units of x", "t·∫_0^t E|v|² dt − W_2²(p_0, p_t); 0 is optimal"),
    "straightness": ("1", "E|x_t − x_0|²/(t·∫_0^t E|v|² dt); 1 is straight and at constant speed"),
}
#: What the Fisher information is of a flow with a covariance of the noise.
ANISOTROPIC = "E[sᵀDs], s = ∇log p_t, D the covariance of the noise per unit of time"


def flow_profile(
    flow: TransportMap,
    samples: int = 10_000,
    times: Any = None,
    *,
    seed: Any = 0,
    also: Callable[[State, Tensor, float], None] | None = None,
) -> xr.Dataset:
    """What a flow does to its source density, as functions of time (§A1, §A5, §A7).

    Arguments:
        flow: a map that knows its source density.
        samples: particles drawn from it; the same ones at all times.
        times: increasing, within [0, flow.time]; None is 21 even ones, both ends included.
        seed: of the particles.
        also: called with the state at each time, the weights of the particles and the time.

    Returns:
        A Dataset over `time` with `entropy`, `entropy_rate` (dH/dt as the mean divergence of the velocity, independent of
        the Fisher information), `fisher_information`, `variance`, `cost`, `wasserstein`, `optimality`, `kinetic_energy`,
        `benamou_brenier_gap` and `straightness`, each with its standard error over the particles, `…_error`. Where p_0 is a
        Gaussian and every map along the path is affine, nothing is random and the errors are 0; otherwise W_2 is exact
        between the first 1,000 particles, and the cost, the energy and the ratios are taken on the same ones. On a polygon
        of layers the states between two layers are those on the straight lines. Entropy and Fisher information are NaN
        where the source is bare atoms. `time` has the flow's `time_units`; the attribute `metric` is "identity", or
        "noise_covariance" where the Fisher information is taken in that of the flow, which then is a coordinate.

    Raises:
        InputError: a flow without source, times outside [0, flow.time], samples below 2.

    Example:
        >>> import math
        >>> import flowplane as fp
        >>> profile = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=math.inf).profile(times=[0.0, 0.2, 0.4])
        >>> profile.variance.values.round(6), profile.fisher_information.values.round(4), profile.entropy.attrs["units"]
        (array([1. , 0.6, 0.2]), array([1.    , 1.6667, 5.    ]), 'nats')
    """
    samples, seed = check_count("samples", samples, 2), check_seed(seed)
    source = flow.known_source()
    instants = flow.instants(times)
    particles = _particles(flow, samples, seed)
    states = flow.source_states(particles.points, instants)
    paired = particles.points if particles.exact else particles.points[:PAIRED]
    energy = flow.kinetic(paired, instants)
    variance = _variance_of(flow, particles)
    columns: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIABLES}
    for t, state, spent in zip(instants, states, energy, strict=True):
        row = _measured(state, particles, flow.metric)
        row["variance"] = variance(state.position, flow.variance_change(float(t)))
        row |= _transport(paired, state.position[: len(paired)], float(t), spent, particles)
        if also is not None:
            also(state, particles.weights, float(t))
        for name, pair in row.items():
            columns[name].append(pair)
    variables: dict[str, Any] = {}
    for name, (units, long_name) in VARIABLES.items():
        values, errors = zip(*columns[name], strict=True)
        variables[name] = ("time", list(values), {"units": units, "long_name": long_name})
        variables[f"{name}_error"] = ("time", list(errors), {"units": units, "long_name": f"standard error of {name}"})
    coords, attrs = flow.about()
    coords |= {"time": ("time", instants, {"long_name": "time", "units": flow.time_units})}
    if flow.metric is not None:
        variables["fisher_information"][2]["long_name"] = ANISOTROPIC
    attrs |= {
        "samples": 0 if particles.exact else samples,
        "wasserstein_samples": 0 if particles.exact else len(paired),
        "method": "closed form" if particles.exact else "particles",
        "representation": getattr(flow, "representation", ""),
        "source": repr(source),
    }
    if source.has_density and np.isnan(variables["fisher_information"][1]).any():
        attrs["missing"] = f"the Fisher information is not computed for such a flow in {flow.dimension} dimensions"
    return stamp(xr.Dataset(variables, coords, attrs), "flow_profile", seed=seed)


class _Particles(NamedTuple):
    """Points with weights: equal ones, or 2d that give every quadratic mean of a Gaussian exactly."""

    points: Tensor
    weights: Tensor
    exact: bool


def closed_particles(flow: TransportMap) -> _Particles | None:
    """For a Gaussian that stays one, its 2d points μ ± √d·√λ_i u_i, which have its first two moments; None elsewhere."""
    source = flow.known_source()
    smoothing = source.smoothing
    if not (flow.affine and isinstance(smoothing, MixtureSmoothing) and smoothing.terms == 1):
        return None
    values, vectors = torch.linalg.eigh(smoothing.covariances[0])
    arms = (vectors * (values * source.dimension).sqrt()).T
    points = smoothing.means[0] + torch.cat([arms, -arms])
    return _Particles(points, torch.full_like(points[:, 0], 1 / len(points)), True)


def _particles(flow: TransportMap, samples: int, seed: int) -> _Particles:
    """Random particles, or those that give the moments of a Gaussian exactly."""
    closed = closed_particles(flow)
    if closed is not None:
        return closed
    source = flow.known_source()
    points = source.draw(samples, generator(seed, PROFILE))
    return _Particles(points, torch.full_like(points[:, 0], 1 / samples), False)


def _mean(values: Tensor, particles: _Particles) -> tuple[float, float]:
    """Mean and standard error."""
    if particles.exact:
        return float((values * particles.weights).sum()), 0.0
    return float(values.double().mean()), float(values.double().std()) / len(values) ** 0.5


def _variance_of(flow: TransportMap, particles: _Particles) -> Callable[[Tensor, float | None], tuple[float, float]]:
    """tr Cov(p_t): that of p_0, which is known, and the change, known too or measured on the particles. Their scatter at
    the start cancels, so that depths can be compared."""
    covariance = as_tensor("covariance", flow.known_source().covariance)
    known = float(covariance.diagonal().sum(dtype=torch.float64))

    def spread(points: Tensor) -> Tensor:
        return (points - (points * particles.weights.unsqueeze(1)).sum(0)).square().sum(1)

    begun = spread(particles.points)

    def variance(points: Tensor, change: float | None) -> tuple[float, float]:
        value, error = (change, 0.0) if change is not None else _mean(spread(points) - begun, particles)
        return known + value, error

    return variance


def _measured(state: State, particles: _Particles, metric: Tensor | None) -> dict[str, tuple[float, float]]:
    return {
        "entropy": _mean(-state.log_prob, particles),
        "entropy_rate": _mean(state.divergence, particles),
        "fisher_information": _mean(squared(state.score, metric), particles),
    }


def _transport(
    start: Tensor, end: Tensor, t: float, energy: Tensor, particles: _Particles
) -> dict[str, tuple[float, float]]:
    part = particles if particles.exact else _Particles(start, particles.weights, False)
    costs = (end - start).square().sum(1)
    cost, cost_error = _mean(costs, part)
    kinetic, kinetic_error = _mean(energy, part)
    work = t * kinetic
    straight = min(1.0, cost / work) if work > 0 else 1.0
    if particles.exact:
        distance = gaussian_distance(*gaussian_moments(start), *gaussian_moments(end)) ** 0.5 if t > 0 else 0.0
        errors = dict.fromkeys(("wasserstein", "optimality", "benamou_brenier_gap", "straightness"), 0.0)
        ratio = min(1.0, distance**2 / cost) if cost > 0 else 1.0
    else:
        found, spent = Pairs.of(*(part.double().cpu().numpy() for part in (start, end))), energy.double().cpu().numpy()
        ratio = found.optimality if t > 0 else 1.0
        distance = (ratio * cost) ** 0.5
        errors = {
            "wasserstein": found.wasserstein.standard_error,
            "optimality": found.optimality.standard_error,
            "benamou_brenier_gap": found.error(t * spent - found.distances),
            "straightness": found.error(found.costs - straight * t * spent) / work if work > 0 else 0.0,
        }
    return {
        "cost": (cost, cost_error),
        "kinetic_energy": (kinetic, kinetic_error),
        "wasserstein": (distance, errors["wasserstein"]),
        "optimality": (float(ratio), errors["optimality"]),
        "benamou_brenier_gap": (work - distance**2, errors["benamou_brenier_gap"]),
        "straightness": (straight, errors["straightness"]),
    }


def gaussian_moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of equally likely points."""
    mean = points.mean(0)
    apart = points - mean
    return mean, apart.T @ apart / len(points)
