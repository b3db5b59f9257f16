"""Transport maps: what moves the points of R^d, over a time (§A1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.modes import in_own_modes
from flowplane.core.points import as_points, as_times
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.maps.state import Motion, State, squared

if TYPE_CHECKING:
    import xarray as xr

    from flowplane.transport.maps.composition import Composition

__all__ = ["TransportMap"]


class TransportMap(ABC):
    """A map of R^d that moves each point along a path for `time`, and with the points a density.

    Points have shape (…, d); answers come in the kind, dtype and device of the points. `f @ g` applies g, then f.
    Subclasses give the kernels, which work on rows of `dtype` on `device`: `forward`, `backward`, `log_det`, `path`,
    `field`, `until`, `evolve` and `kinetic`.
    """

    #: `map @ array` is not a composition: NumPy must not try.
    __array_ufunc__ = None
    dimension: int
    #: How long the map takes.
    time: float
    #: What `time` counts: "variance of noise" of a denoiser, "1" where nothing is known of it.
    time_units: str = "1"
    #: D, the covariance of the noise for each unit of time, in which the Fisher information is taken; None is the identity.
    metric: Float[Tensor, "feature feature"] | None = None
    #: The density that it moves, where it is known.
    source: Density | None
    #: Whether it is affine at every time, so that a Gaussian stays one.
    affine: bool = False
    #: Whether it follows a velocity field, dx/dt = v_t(x); layers do not.
    continuous: bool = False
    dtype: torch.dtype = torch.float64
    device: torch.device = torch.device("cpu")

    # kernels

    @abstractmethod
    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """The map."""

    @abstractmethod
    def backward(
        self, y: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """Where each point came from, NaN where it came from nowhere, and log |det ∇g| there."""

    def origin(self, y: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """Where each point came from, NaN where it came from nowhere."""
        return self.backward(y)[0]

    @abstractmethod
    def log_det(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log |det ∇g(x)|."""

    @abstractmethod
    def path(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> Float[Tensor, "time sample feature"]:
        """Where points from x are at increasing times within [0, time]."""

    @abstractmethod
    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """v_t(x)."""

    def current(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """The velocity of the particle that is at x at time t; NaN where none can be."""
        return self.field(t, x)

    @abstractmethod
    def until(self, t: float) -> TransportMap:
        """The part of the map up to time t, for 0 < t ≤ time."""

    @abstractmethod
    def evolve(self, start: State, times: np.ndarray) -> list[State]:
        """The states at increasing times of particles that begin in `start`."""

    @abstractmethod
    def kinetic(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Float[Tensor, "time sample"]:
        """∫vᵀGv dt along the path from x up to increasing times, G the metric; None is the identity."""

    def motion(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Motion:
        """The paths from x up to increasing times, speeds and energies in a metric; None is the identity."""
        path = self.path(x, times)
        speeds = [squared(self.current(float(t), place), metric).sqrt() for t, place in zip(times, path, strict=True)]
        return Motion(path, torch.stack(speeds), self.kinetic(x, times, metric))

    def pieces(self, x: Float[Tensor, "sample feature"]) -> np.ndarray:
        """Times from 0 to the end between which the paths from x are so smooth that a few nodes describe them."""
        return np.array([0.0, self.time])

    def log_likelihood(self, y: Float[Tensor, "sample feature"]) -> tuple[Tensor, Tensor]:
        """`pushed_log_prob` and its standard error, 0 where nothing is estimated."""
        found = self.pushed_log_prob(y)
        return found, torch.zeros_like(found)

    # the public edge

    @in_own_modes
    def __call__(self, x: Any) -> Any:
        """Where the map takes points x of shape (…, d).

        Raises:
            InputError: another dimension, no points, NaN.
        """
        rows, form = self._rows("x", x)
        return form.points(self.forward(rows))

    @in_own_modes
    def inverse(self, y: Any) -> Any:
        """Where points y of shape (…, d) came from.

        Raises:
            InputError: another dimension, no points, NaN, or points that the map does not reach.
        """
        rows, form = self._rows("y", y)
        origin = self.origin(rows)
        missed = int(torch.isnan(origin).any(1).sum())
        if missed:
            raise InputError("y", Text(f"{missed} points that the map does not reach"), "points in the range of the map")
        return form.points(origin)

    @in_own_modes
    def log_det_jacobian(self, x: Any) -> Any:
        """log |det ∇g(x)|, shape (…) for x of shape (…, d)."""
        rows, form = self._rows("x", x)
        return form.values(self.log_det(rows))

    @in_own_modes
    def trajectory(self, x: Any, times: Any = None) -> Any:
        """Positions of points from x at increasing `times`, shape (time, …, d); None is 21 even times, both ends.

        Raises:
            InputError: times outside [0, time] or not increasing, or bad points.
        """
        rows, form = self._rows("x", x)
        instants = self.instants(times)
        return form.path(self.path(rows, instants), instants)

    @in_own_modes
    def velocity(self, t: float, x: Any) -> Any:
        """v_t(x), shape (…, d). On a polygon of layers: (g(x) − x)/Δt for the layer g that acts at time t.

        Raises:
            InputError: t outside [0, time], or bad points.
        """
        rows, form = self._rows("x", x)
        return form.points(self.field(float(as_times(t, self.time, "t")[0]), rows))

    @in_own_modes
    def log_prob(self, y: Any) -> Any:
        """log of the density that the map carries `source` to, in nats, at y: −∞ where no point arrives.

        By change of variables, log p_0(x) − log |det ∇g(x)| with g(x) = y; for an ODE log |det| is the integral of the
        divergence along the path.

        Raises:
            InputError: the map has no source density, or its source is bare atoms; bad points.
        """
        rows, form = self._rows("y", y)
        return form.values(self.pushed_log_prob(rows))

    def pushed_log_prob(self, y: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """`log_prob` as a kernel."""
        source = self.known_source()
        source.require_density()
        origin, log_det = self.backward(y)
        reached = ~torch.isnan(origin).any(1)
        answer = torch.full_like(y[:, 0], -torch.inf)
        if reached.any():
            answer[reached] = source.smoothing.log_prob(0.0, origin[reached]) - log_det[reached]
        return answer

    def at(self, t: float) -> TransportMap:
        """The map up to time t: `flow.at(t).log_prob` is log p_t.

        Raises:
            InputError: t is not in (0, time].
        """
        instant = float(as_times(t, self.time, "t")[0])
        if instant == 0:
            raise InputError("t", t, f"a time in (0, {self.time:g}]; at 0 nothing has moved yet")
        return self if instant == self.time else self.until(instant)

    @in_own_modes
    def profile(self, samples: int = 10_000, times: Any = None, *, seed: Any = 0) -> xr.Dataset:
        """Entropy, Fisher information, variance and the cost of transport as functions of time: see `flow_profile`."""
        from flowplane.transport.profiles.profile import flow_profile

        return flow_profile(self, samples, times, seed=seed)

    @in_own_modes
    def budget(self, samples: int = 1000, *, seed: Any = 0) -> xr.Dataset:
        """What the flow spends on transport, and wastes on coupling, bending and pace: see `flow_budget`."""
        from flowplane.transport.profiles.budget import flow_budget

        return flow_budget(self, samples, seed=seed)

    @in_own_modes
    def steps(self, samples: int = 1000, numbers: Any = None, *, within: float | None = None, seed: Any = 0) -> xr.Dataset:
        """How far the ends of N Euler or Heun steps are off, and how few steps do: see `flow_steps`."""
        from flowplane.transport.profiles.steps import flow_steps

        return flow_steps(self, samples, numbers, within=within, seed=seed)

    @in_own_modes
    def bits_per_dimension(self, x: Any, *, width: float = 1.0) -> xr.Dataset:
        """The log-likelihood of points in nats and in bits per dimension: see `flow_likelihood`."""
        from flowplane.transport.profiles.likelihood import flow_likelihood

        return flow_likelihood(self, x, width=width)

    def about(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Coordinates and attributes of a Dataset about the map: `metric` is "identity", or "noise_covariance" where the map
        has one, which then is a coordinate (feature, other_feature)."""
        attrs = {"flow": repr(self), "time_units": self.time_units, "metric": "identity"}
        if self.metric is None:
            return {}, attrs
        told = {"units": "1", "long_name": "D, the covariance of the noise for each unit of time"}
        matrix = self.metric.double().cpu().numpy()
        return {"noise_covariance": (("feature", "other_feature"), matrix, told)}, attrs | {"metric": "noise_covariance"}

    def __matmul__(self, other: TransportMap) -> Composition:
        from flowplane.transport.maps.composition import Composition

        if not isinstance(other, TransportMap):
            return NotImplemented
        return Composition([other, self])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dimension} dimensions, time {self.time:g})"

    def made_of(self) -> str:
        """Its layers in words, as a notebook shows them."""
        return "a velocity field, dx/dt = v_t(x)" if self.continuous else "one layer"

    def _repr_html_(self) -> str:
        from flowplane.transport.maps.html import flow_html

        return flow_html(self)

    def known_source(self) -> Density:
        """The source density. Raises InputError where the map has none."""
        if self.source is None:
            raise InputError("source", None, "a map that knows the density it moves: pass source=… when it is made")
        return self.source

    def source_states(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> list[State]:
        """The states of particles drawn from `source` at x; NaN in place of log p and score where it is bare atoms."""
        return self.evolve(self._start(x), times)

    def variance_change(self, t: float) -> float | None:
        """tr Cov(p_t) − tr Cov(p_0) where it is known exactly."""
        return None

    def instants(self, times: Any) -> np.ndarray:
        """Checked times; None is 21 even ones, both ends included."""
        return np.linspace(0.0, self.time, 21) if times is None else as_times(times, self.time)

    def _start(self, x: Tensor) -> State:
        source = self.known_source()
        blank = torch.full_like(x, torch.nan)
        if not source.has_density:
            return State(x, blank[:, 0], blank, blank, blank[:, 0])
        return State(x, source.smoothing.log_prob(0.0, x), source.smoothing.score(0.0, x), blank, blank[:, 0])

    def _rows(self, name: str, x: Any) -> tuple[Tensor, Any]:
        return as_points(name, x, self.dimension, self.dtype, self.device)
