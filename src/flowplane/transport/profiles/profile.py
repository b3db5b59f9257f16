"""A flow in numbers: entropy, Fisher information, variance and the cost of transport as functions of time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowplane.core.arrays import as_tensor
from flowplane.core.points import check_count, check_seed
from flowplane.transport.densities.smoothing import MixtureSmoothing
from flowplane.transport.profiles.optimal import gaussian_distance, optimality

if TYPE_CHECKING:
    from flowplane.transport.maps.base import State, TransportMap

__all__ = ["VARIABLES", "flow_profile"]

#: Particles between which the exact distance is taken.
PAIRED = 1000

#: Name, units and long name of each variable over `time`.
VARIABLES = {
    "entropy": ("nats", "H[p_t], the mean of −log p_t"),
    "entropy_rate": ("nats per unit of time", "dH/dt, the mean of ∇·v_t"),
    "fisher_information": ("nats per unit of time", "E[sᵀDs], s = ∇log p_t, D the covariance of the noise"),
    "variance": ("squared units of x", "tr Cov(x_t)"),
    "cost": ("squared units of x", "E|x_t − x_0|²"),
    "wasserstein": ("units of x", "W_2(p_0, p_t)"),
    "optimality": ("1", "W_2²(p_0, p_t)/E|x_t − x_0|²; 1 is optimal"),
    "kinetic_energy": ("squared units of x per unit of time", "∫_0^t E|v|² dt"),
    "benamou_brenier_gap": ("squared units of x", "t·∫_0^t E|v|² dt − W_2²(p_0, p_t); 0 is optimal"),
    "straightness": ("1", "E|x_t − x_0|²/(t·∫_0^t E|v|² dt); 1 is straight and at constant speed"),
}


def flow_profile(
    flow: TransportMap,
    samples: int = 10_000,
    times: Any = None,
    seed: int = 0,
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
        `benamou_brenier_gap` and `straightness`. The first five and `kinetic_energy` have a standard error over the
        particles, `…_error`. Where p_0 is a Gaussian and every map on the way is affine nothing is random and the errors
        are 0; otherwise W_2 is exact between the first 1,000 particles, and the cost, the energy and the ratios are taken on
        the same ones. On a polygon of layers the states between two layers are those on the straight lines. Entropy and
        Fisher information are NaN where the source is bare atoms.

    Raises:
        InputError: a flow without source, times outside [0, flow.time], samples below 2.

    Example:
        >>> import flowplane as fp
        >>> profile = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=None).profile(times=[0.0, 0.2, 0.4])
        >>> profile.variance.values.round(6), profile.fisher_information.values.round(4), profile.entropy.attrs["units"]
        (array([1. , 0.6, 0.2]), array([1.    , 1.6667, 5.    ]), 'nats')
    """
    from flowplane.transport.maps.straight import THIRD_DIMENSION

    samples = check_count("samples", samples, 2)
    source = flow.known_source()
    instants = flow.instants(times)
    particles = _particles(flow, samples, check_seed(seed))
    states = flow.source_states(particles.points, instants)
    paired = particles.points if particles.exact else particles.points[:PAIRED]
    energy = flow.kinetic(paired, instants)
    variance = _variance_of(flow, particles)
    columns: dict[str, list[float]] = {name: [] for name in VARIABLES}
    errors: dict[str, list[float]] = {}
    noise = getattr(flow, "noise", None)
    # that of a stack is another one at each layer and place: no metric for all
    metric = noise if isinstance(noise, Tensor) else None
    for t, state, spent in zip(instants, states, energy, strict=True):
        row = _measured(state, particles, metric) | {"variance": variance(state.position, flow.variance_change(float(t)))}
        row |= _transport(paired, state.position[: len(paired)], float(t), spent, particles)
        if also is not None:
            also(state, particles.weights, float(t))
        for name, (value, error) in row.items():
            columns[name].append(value)
            if error is not None:
                errors.setdefault(f"{name}_error", []).append(error)
    variables: dict[str, Any] = {}
    for name, (units, long_name) in VARIABLES.items():
        variables[name] = ("time", columns[name], {"units": units, "long_name": long_name})
        if f"{name}_error" in errors:
            about = {"units": units, "long_name": f"standard error of {name}"}
            variables[f"{name}_error"] = ("time", errors[f"{name}_error"], about)
    attrs = {
        "flow": repr(flow),
        "samples": 0 if particles.exact else samples,
        "wasserstein_samples": 0 if particles.exact else len(paired),
        "method": "closed form" if particles.exact else "particles",
        "representation": getattr(flow, "representation", ""),
        "parameters": json.dumps({"samples": samples, "seed": seed}),
        "source": repr(source),
    }
    if source.has_density and np.isnan(columns["fisher_information"]).any():
        attrs["missing"] = f"the Fisher information of layers is not computed above {THIRD_DIMENSION} dimensions"
    return xr.Dataset(variables, {"time": ("time", instants, {"long_name": "time", "units": "variance of noise"})}, attrs)


class _Particles(NamedTuple):
    """Points with weights: equal ones, or 2d that give every quadratic mean of a Gaussian exactly."""

    points: Tensor
    weights: Tensor
    exact: bool


def _particles(flow: TransportMap, samples: int, seed: int) -> _Particles:
    """Random particles; for a Gaussian that stays one, its 2d points μ ± √d·√λ_i u_i, which have its first two moments."""
    source = flow.known_source()
    smoothing = source.smoothing
    if flow.affine and isinstance(smoothing, MixtureSmoothing) and smoothing.terms == 1:
        values, vectors = torch.linalg.eigh(smoothing.covariances[0])
        arms = (vectors * (values * source.dimension).sqrt()).T
        points = smoothing.means[0] + torch.cat([arms, -arms])
        return _Particles(points, torch.full_like(points[:, 0], 1 / len(points)), True)
    points = source.draw(samples, seed)
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


def _measured(state: State, particles: _Particles, metric: Tensor | None) -> dict[str, tuple[float, float | None]]:
    from flowplane.transport.maps.base import squared

    return {
        "entropy": _mean(-state.log_prob, particles),
        "entropy_rate": _mean(state.divergence, particles),
        "fisher_information": _mean(squared(state.score, metric), particles),
    }


def _transport(
    start: Tensor, end: Tensor, t: float, energy: Tensor, particles: _Particles
) -> dict[str, tuple[float, float | None]]:
    part = particles if particles.exact else _Particles(start, particles.weights, False)
    cost, cost_error = _mean((end - start).square().sum(1), part)
    kinetic, kinetic_error = _mean(energy, part)
    if t == 0:
        distance, ratio = 0.0, 1.0
    elif particles.exact:
        distance = gaussian_distance(*_gaussian_moments(start), *_gaussian_moments(end)) ** 0.5
        ratio = min(1.0, distance**2 / cost) if cost > 0 else 1.0
    else:
        ratio = optimality(start, end)
        distance = (ratio * cost) ** 0.5
    return {
        "cost": (cost, cost_error),
        "wasserstein": (distance, None),
        "optimality": (ratio, None),
        "kinetic_energy": (kinetic, kinetic_error),
        "benamou_brenier_gap": (t * kinetic - distance**2, None),
        "straightness": (min(1.0, cost / (t * kinetic)) if t * kinetic > 0 else 1.0, None),
    }


def _gaussian_moments(points: Tensor) -> tuple[Tensor, Tensor]:
    mean = points.mean(0)
    apart = points - mean
    return mean, apart.T @ apart / len(points)
