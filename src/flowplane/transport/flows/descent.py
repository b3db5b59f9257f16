"""Wasserstein gradient flows: steepest descent of a functional of the density (§A2)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.core.modes import in_own_modes
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density, Normal
from flowplane.transport.flows.blobs import BlobFlow
from flowplane.transport.flows.fokker_planck import FokkerPlanckFlow
from flowplane.transport.flows.functionals import Entropy, Functional, KullbackLeibler, NegativeEntropy, PotentialEnergy
from flowplane.transport.flows.heat import heat_flow
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.ode import ODEMap
from flowplane.transport.maps.state import State
from flowplane.transport.maps.wrapped import WrappedMap
from flowplane.transport.profiles.profile import flow_profile

__all__ = ["GradientFlow", "gradient_flow"]


def gradient_flow(
    functional: Functional, density: Density, time: float, *, kernel: float | None = None, max_step: float | None = None
) -> GradientFlow:
    """The flow v = −∇(δF/δp) along which F[p] falls fastest, dF/dt = −∫|v|²p (SM; docs/papers.md §A2).

    Exact, with p_t in closed form, for the entropy and its negative (both heat equations), for KL towards a Gaussian target
    (Fokker–Planck), and for a potential energy. Otherwise (other targets, porous media and their reverse) by the
    blob method: weighted particles carry the density, smoothed by a Gaussian of variance `kernel`; they are the exact
    gradient flow of the functional of that smoothed density, which differs from F by O(kernel).

    No claim of the papers is tested by it. It is here because §A2 reads every layer as a step of such a descent and lists
    these functionals with their equations, each of which the tests check against a closed form or finite differences; the
    continuous denoiser is the flow of `Entropy`.

    Arguments:
        functional: `Entropy()`, `NegativeEntropy()`, `KullbackLeibler(target)`, `InternalEnergy(alpha)`,
            `TsallisEntropy(alpha)`, `RenyiEntropy(alpha)` or `PotentialEnergy(V)` of `fp.transport`.
        density: p_0, not bare points.
        time: how long it flows; for `Entropy` below t*.
        kernel: the variance of the blobs; None is a part of the least variance of p_0 and the target, 1/100 in one
            dimension and 1/11 in two, and Silverman's rule above.
        max_step: the longest step in time of the solver, as in `ODEMap`: without it a slope so narrow that particles
            cross it within a step is passed over. Without effect where nothing is solved.

    Returns:
        A flow whose `profile()` also has `energy`, F[p_t], and `dissipation`, ∫|v_t|²p_t.

    Raises:
        InputError: not a functional, bare points, a time that is not positive or past t*, a kernel or a step that is not
            positive.

    Example:
        >>> import flowplane as fp
        >>> target = fp.Normal(2.0, 0.5)
        >>> flow = fp.gradient_flow(fp.transport.KullbackLeibler(target), fp.Normal(0.0, 1.0), time=3.0)
        >>> flow.profile(times=[0.0, 3.0]).energy.values.round(3)
        array([4.153, 0.   ])
    """
    if not isinstance(functional, Functional):
        expected = "a functional of fp.transport, such as fp.transport.KullbackLeibler(target)"
        raise InputError("functional", functional, expected)
    if not isinstance(density, Density):
        raise InputError("density", Text(type(density).__name__), "a density, such as fp.Normal")
    for name, value in (("time", time), ("kernel", kernel), ("max_step", max_step)):
        if value is not None and (not isinstance(value, (int, float, np.number)) or not 0 < value < math.inf):
            raise InputError(name, value, "a positive number")
    density.require_density()
    target = functional.target if isinstance(functional, KullbackLeibler) else density
    if target.dimension != density.dimension:
        raise InputError("target", Text(f"{target.dimension} dimensions"), f"{density.dimension}, as the density has")
    return GradientFlow(_core(functional, density, float(time), kernel, max_step), density, functional)


def _core(
    functional: Functional, density: Density, time: float, kernel: float | None, max_step: float | None
) -> TransportMap:
    if isinstance(functional, (Entropy, NegativeEntropy)):
        return heat_flow(density, time, 1.0 if isinstance(functional, Entropy) else -1.0, max_step)
    if isinstance(functional, PotentialEnergy):
        return ODEMap(lambda _, x: functional.drift(x), density.dimension, time=time, source=density, max_step=max_step)
    if isinstance(functional, KullbackLeibler) and isinstance(functional.target, Normal):
        return FokkerPlanckFlow(density, functional.target, time, max_step)
    return BlobFlow(functional, density, time, kernel, max_step)


class GradientFlow(WrappedMap):
    """What `gradient_flow` makes."""

    def __init__(self, core: TransportMap, density: Density, functional: Functional) -> None:
        super().__init__(core, density)
        self.functional = functional
        self.representation = core.description if isinstance(core, BlobFlow) else "exact"
        # a functional in nats has no units, and its velocity those of 1/x
        heat = self.time_units == "variance of noise"
        self.time_units = self.time_units if heat or functional.units != "nats" else "squared units of x"
        #: The variance of the blobs; 0 where the flow is exact.
        self.kernel = core.kernel if isinstance(core, BlobFlow) else 0.0

    def variance_change(self, t: float) -> float | None:
        """Where the core knows it."""
        return self.core.variance_change(t)

    @in_own_modes
    def profile(self, samples: int = 10_000, times: Any = None, *, seed: Any = 0) -> xr.Dataset:
        """`flow_profile`, and F[p_t] as `energy` and ∫|v_t|²p_t as `dissipation`, each with its standard error.

        With blobs both are those of the blobs themselves, without sampling: the functional of the smoothed density.
        """
        rows: list[tuple[float, ...]] = []

        def energies(state: State, weights: Float[Tensor, " sample"], t: float) -> None:
            if isinstance(self.core, BlobFlow):
                energy, dissipation = self.core.energy(t)
                rows.append((energy, 0.0, dissipation, 0.0))
                return
            rows.append(_energy_of(self.functional, state, weights))

        profile = flow_profile(self, samples, times, seed=seed, also=energies)
        if profile.attrs["samples"] == 0:
            rows = [(energy, 0.0, dissipation, 0.0) for energy, _, dissipation, _ in rows]
        columns = np.array(rows).T
        about = {
            "energy": (self.functional.units, "F[p_t]"),
            "dissipation": (f"{self.functional.units} per unit of time", "∫|v_t|²p_t = −dF/dt"),
        }
        for place, (name, (units, long_name)) in enumerate(about.items()):
            error = {"units": units, "long_name": f"standard error of {name}"}
            profile[name] = ("time", columns[2 * place], {"units": units, "long_name": long_name})
            profile[f"{name}_error"] = ("time", columns[2 * place + 1], error)
        return profile.assign_attrs(functional=repr(self.functional))

    def __repr__(self) -> str:
        return f"GradientFlow({self.functional!r}, {self.source!r}, time {self.time:g})"


def _energy_of(functional: Functional, state: State, weights: Tensor) -> tuple[float, float, float, float]:
    """F and ∫|v|²p from particles, with standard errors."""
    integrand = functional.integrand(state.position.clone(), state.log_prob.clone())
    mean = (weights * integrand).sum()
    error = integrand.std() / len(integrand) ** 0.5
    reach = (functional.value(mean + error) - functional.value(mean - error)).abs() / 2
    speed = state.velocity.square().sum(1)
    return (
        float(functional.value(mean)),
        float(reach) if torch.isfinite(reach) else float(error),
        float((weights * speed).sum()),
        float(speed.std()) / len(speed) ** 0.5,
    )
