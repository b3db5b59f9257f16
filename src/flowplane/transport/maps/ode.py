"""Continuous flows: dx/dt = v_t(x), integrated with tolerances (§A1)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import check_count, check_positive, check_seed
from flowplane.core.streams import PROBES, generator
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.state import Motion, State, squared

__all__ = ["ODEMap", "accepted_steps", "solve"]

#: Up to this dimension the divergence is exact, one backward pass per coordinate.
EXACT_DIMENSION = 10
#: Particles whose steps say where the paths of all are smooth.
PILOTS = 64
#: Steps, taken or not, from one time that is asked for to the next: more than any smooth velocity needs.
MOST = 100_000


class ODEMap(TransportMap):
    """The flow of dx/dt = v(t, x) from time 0 to `time`, by an adaptive Runge–Kutta method (torchdiffeq, dopri5).

    Arguments:
        velocity: v(t, x) for a float t and a float64 tensor x (n, d), a tensor of the same shape, differentiable by torch if
            `log_det_jacobian` or `log_prob` is wanted; each row may depend on that row of x
            only. It may write into x.
        dimension: d.
        time: how long the flow runs.
        source: the density that flows, where it is known.
        divergence: ∇·v(t, x) as a tensor (n,); None takes it from `velocity` by automatic differentiation: exactly up to 10
            dimensions, above by Hutchinson's estimate.
        rtol, atol: of every coordinate of every particle at every step.
        max_step: the longest step in time. The solver sees the velocity at a few times of each step only, and where nothing
            happens its steps grow up to the whole of `time`. Without `max_step` a pulse shorter than a step is passed over,
            without an error. The pulse's width is short enough; there are time/max_step steps at least.
        probes: random ±1 vectors of Hutchinson's estimate, the same along the whole path (Grathwohl et al., FFJORD, 2019).
        seed: of the probes.
        time_units: what `time` counts.

    Raises:
        InputError: an argument out of range, a velocity of another shape; later, a velocity that becomes so steep that the
            solver cannot go on.

    Example:
        >>> shrink = ODEMap(lambda t, x: -x, dimension=1, time=1.0)
        >>> shrink([[1.0]]).round(6), shrink.log_det_jacobian([[1.0]]).round(6)
        (array([[0.367879]]), array([-1.]))
        >>> pulse = lambda t, x: torch.full_like(x, 1000 * np.exp(-np.pi * (1000 * (t - 0.3)) ** 2))  # of area 1
        >>> [ODEMap(pulse, 1, time=1.0, max_step=step)([[0.0]]).round(6).item() for step in (None, 1e-3)]
        [0.0, 1.0]
    """

    continuous = True
    #: Whether `field_and_divergence` has a closed form.
    divergence_known: bool = False

    def __init__(
        self,
        velocity: Callable[[float, Tensor], Tensor],
        dimension: int,
        *,
        time: float,
        source: Density | None = None,
        divergence: Callable[[float, Tensor], Tensor] | None = None,
        rtol: float = 1e-8,
        atol: float = 1e-9,
        max_step: float | None = None,
        probes: int = 8,
        seed: Any = 0,
        time_units: str = "1",
    ) -> None:
        if not callable(velocity):
            raise InputError("velocity", velocity, "a function of (t, x)")
        for name, value in (("time", time), ("rtol", rtol), ("atol", atol)):
            if not isinstance(value, (int, float, np.number)) or not 0 < value < np.inf:
                raise InputError(name, value, "a positive number")
        self.dimension = check_count("dimension", dimension)
        if source is not None and source.dimension != self.dimension:
            raise InputError("source", source, f"a density in {self.dimension} dimensions")
        self.velocity_of, self.divergence_of = velocity, divergence
        self.time, self.source = float(time), source
        self.rtol, self.atol, self.time_units = float(rtol), float(atol), time_units
        self.max_step = None if max_step is None else check_positive("max_step", max_step)
        self.probes, self.seed = check_count("probes", probes), check_seed(seed)
        self._drawn: Tensor | None = None
        if source is not None:
            self.device = source.smoothing.device

    # what a subclass with closed forms replaces

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """v_t(x); differentiable where x is."""
        with torch.set_grad_enabled(x.requires_grad):
            v = self.velocity_of(t, x.clone())
        if not isinstance(v, Tensor) or v.shape != x.shape or v.is_complex():
            found = Text(f"shape {tuple(v.shape)} in {v.dtype}" if isinstance(v, Tensor) else type(v).__name__)
            raise InputError("velocity", found, f"a tensor of real numbers of shape {tuple(x.shape)}, that of x")
        return v

    def field_and_divergence(
        self, t: float, x: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """v_t(x) and (∇·v_t)(x)."""
        if self.divergence_of is not None:
            return self.field(t, x), self.divergence_of(t, x.clone())
        v, traces = self._field_and_traces(t, x)
        return v, traces.mean(1)

    def rows_at_once(self, rows: int) -> int:
        """How many points' gradients are taken together."""
        return rows

    def _field_and_traces(self, t: float, x: Tensor) -> tuple[Tensor, Float[Tensor, "sample estimate"]]:
        """v and its divergence: the exact one, or one estimate for each probe."""
        exact = self.dimension <= EXACT_DIMENSION
        size = self.rows_at_once(len(x))
        probes = () if exact else self._signs(x).split(size, 1)
        found = []
        for k, rows in enumerate(x.split(size)):
            with torch.enable_grad():
                place = rows.detach().contiguous().requires_grad_()
                v = self.field(t, place)
                _require_differentiable(v)
                traces = _trace(v, place) if exact else _estimates(v, place, probes[k])
            found.append((v.detach(), traces))
        parts = tuple(torch.cat(column) for column in zip(*found, strict=True))
        return parts[0], parts[1]

    def _signs(self, x: Tensor) -> Float[Tensor, "probe sample feature"]:
        """The probes, drawn once for as many points."""
        if self._drawn is None or self._drawn.shape[1:] != x.shape or self._drawn.device != x.device:
            coins = generator(self.seed, PROBES).integers(2, size=(self.probes, *x.shape), dtype=np.int8)
            self._drawn = torch.from_numpy(2 * coins - 1).to(x.device)
        return self._drawn

    # the kernels

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """x_T for x_0 = x."""
        return self._integrate(x, self.field, np.array([0.0, self.time]))[-1]

    def path(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> Float[Tensor, "time sample feature"]:
        """x_t at each time."""
        return self._from_zero(x, self.field, times)

    def backward(
        self, y: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """The way back, and the integral of the divergence along it."""
        columns = torch.cat([y, torch.zeros_like(y[:, :1])], 1)
        end = self._integrate(columns, self._with_divergence, np.array([self.time, 0.0]))[-1]
        return end[:, : self.dimension], -end[:, self.dimension]

    def origin(self, y: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """The flow backward in time, without the divergence."""
        return self._integrate(y, self.field, np.array([self.time, 0.0]))[-1]

    def log_det(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """∫(∇·v_t)(x_t) dt."""
        columns = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
        return self._integrate(columns, self._with_divergence, np.array([0.0, self.time]))[-1][:, self.dimension]

    def kinetic(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Float[Tensor, "time sample"]:
        """∫vᵀGv dt, integrated beside the path."""
        columns = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
        return self._from_zero(columns, self._with_energy(metric), times)[:, :, self.dimension]

    def motion(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Motion:
        """One integration, between whose steps positions are interpolated."""
        derivative = self._with_energy(metric)
        columns = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
        found = self._from_zero(columns, derivative, times, interpolated=True)
        path = found[:, :, : self.dimension]
        speeds = [squared(self.field(float(t), place), metric).sqrt() for t, place in zip(times, path, strict=True)]
        return Motion(path, torch.stack(speeds), found[:, :, self.dimension])

    def pieces(self, x: Float[Tensor, "sample feature"]) -> np.ndarray:
        """The solver's own steps with some of the particles."""
        return accepted_steps(self.field, x[:PILOTS], self.time, self.rtol, self.atol, self.max_step)

    def log_likelihood(self, y: Float[Tensor, "sample feature"]) -> tuple[Tensor, Tensor]:
        """An estimate for each probe: their mean, and its standard error from their scatter."""
        if self.divergence_known or self.divergence_of is not None or self.dimension <= EXACT_DIMENSION:
            return super().log_likelihood(y)
        source, d = self.known_source(), self.dimension
        source.require_density()
        columns = torch.cat([y, y.new_zeros(len(y), self.probes)], 1)

        def derivative(t: float, columns: Tensor) -> Tensor:
            return torch.cat(self._field_and_traces(t, columns[:, :d]), 1)

        end = self._integrate(columns, derivative, np.array([self.time, 0.0]))[-1]
        error = end[:, d:].std(1) / self.probes**0.5 if self.probes > 1 else torch.full_like(y[:, 0], torch.nan)
        return source.smoothing.log_prob(0.0, end[:, :d]) + end[:, d:].mean(1), error

    def until(self, t: float) -> ODEMap:
        """The same flow, stopped at time t."""
        part = copy.copy(self)
        part.time = t
        return part

    def evolve(self, start: State, times: np.ndarray) -> list[State]:
        """Beside the path: d log p/dt = −∇·v and, up to ten dimensions, ds/dt = −(∇v)ᵀs − ∇(∇·v), s the score."""
        d = self.dimension
        if torch.isnan(start.log_prob).any():  # bare atoms: NaN beside the path would stop the solver
            ways = zip(times, self.path(start.position, times), strict=True)
            unknown = start.log_prob, start.score
            return [State(x, *unknown, *self.field_and_divergence(float(t), x)) for t, x in ways]
        if d > EXACT_DIMENSION:
            return self._evolve_without_score(start, times)

        def derivative(t: float, columns: Tensor) -> Tensor:
            v, divergence, dragged = self._derivatives(t, columns[:, :d], columns[:, d + 1 :])
            return torch.cat([v, -divergence.unsqueeze(1), dragged], 1)

        columns = torch.cat([start.position, start.log_prob.unsqueeze(1), start.score], 1)
        states = []
        for t, found in zip(times, self._from_zero(columns, derivative, times), strict=True):
            v, divergence = self.field_and_divergence(float(t), found[:, :d])
            states.append(State(found[:, :d], found[:, d], found[:, d + 1 :], v, divergence))
        return states

    def _evolve_without_score(self, start: State, times: np.ndarray) -> list[State]:
        columns = torch.cat([start.position, -start.log_prob.unsqueeze(1)], 1)
        unknown = torch.full_like(start.score[:1], torch.nan).expand_as(start.score)
        states = []
        for t, found in zip(times, self._from_zero(columns, self._with_divergence, times), strict=True):
            x = found[:, : self.dimension]
            states.append(State(x, -found[:, self.dimension], unknown, *self.field_and_divergence(float(t), x)))
        return states

    def _with_energy(self, metric: Tensor | None) -> Callable[[float, Tensor], Tensor]:
        def derivative(t: float, columns: Tensor) -> Tensor:
            v = self.field(t, columns[:, : self.dimension])
            return torch.cat([v, squared(v, metric).unsqueeze(1)], 1)

        return derivative

    def _derivatives(self, t: float, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            v = self.field(t, place)
            _require_differentiable(v)
            rows = [torch.autograd.grad(v[:, i].sum(), place, create_graph=True)[0] for i in range(self.dimension)]
            jacobian = torch.stack(rows, 1)
            divergence = jacobian.diagonal(dim1=1, dim2=2).sum(1)
            slope = torch.zeros_like(place)
            if divergence.requires_grad:
                (slope,) = torch.autograd.grad(divergence.sum(), place, allow_unused=True, materialize_grads=True)
        dragged = -torch.einsum("nij,ni->nj", jacobian.detach(), score) - slope
        return v.detach(), divergence.detach(), dragged

    def _with_divergence(self, t: float, columns: Tensor) -> Tensor:
        v, divergence = self.field_and_divergence(t, columns[:, : self.dimension])
        return torch.cat([v, divergence.unsqueeze(1)], 1)

    def _from_zero(
        self, state: Tensor, derivative: Callable[[float, Tensor], Tensor], times: np.ndarray, interpolated: bool = False
    ) -> Tensor:
        """States at `times`, of which the first may be 0."""
        if times[-1] == 0:
            return state.unsqueeze(0)
        whole = times if times[0] == 0 else np.concatenate([[0.0], times])
        return self._integrate(state, derivative, whole, interpolated)[-len(times) :]

    def _integrate(
        self, state: Tensor, derivative: Callable[[float, Tensor], Tensor], times: np.ndarray, interpolated: bool = False
    ) -> Tensor:
        return solve(derivative, state, times, self.rtol, self.atol, self.max_step, interpolated=interpolated)


def _require_differentiable(v: Tensor) -> None:
    if not v.requires_grad:
        raise InputError("velocity", Text("a result that torch cannot differentiate"), "divergence=… as well")


def _trace(v: Tensor, place: Tensor) -> Float[Tensor, "sample 1"]:
    """∇·v, one backward pass per coordinate."""
    total = torch.zeros_like(v[:, 0])
    for i in range(v.shape[1]):
        (row,) = torch.autograd.grad(v[:, i].sum(), place, retain_graph=i + 1 < v.shape[1])
        total = total + row[:, i]
    return total.unsqueeze(1)


def _estimates(v: Tensor, place: Tensor, probes: Float[Tensor, "probe sample feature"]) -> Float[Tensor, "sample probe"]:
    """zᵀ(∇v)z for each probe z."""
    found = []
    for k, signs in enumerate(probes):
        probe = signs.to(v.dtype)
        (back,) = torch.autograd.grad((v * probe).sum(), place, retain_graph=k + 1 < len(probes))
        found.append((back * probe).sum(1))
    return torch.stack(found, 1)


def accepted_steps(
    derivative: Callable[[float, Tensor], Tensor],
    state: Tensor,
    time: float,
    rtol: float,
    atol: float,
    max_step: float | None = None,
) -> np.ndarray:
    """The times from 0 to `time` at which the solver's steps begin and end."""
    begun: list[float] = []
    solve(derivative, state, np.array([0.0, time]), rtol, atol, max_step, accepted=begun.append)
    return np.unique(np.array([*begun, time]))


def solve(
    derivative: Callable[[float, Tensor], Tensor],
    state: Tensor,
    times: np.ndarray,
    rtol: float,
    atol: float,
    max_step: float | None = None,
    *,
    interpolated: bool = False,
    accepted: Callable[[float], None] | None = None,
) -> Tensor:
    """States at monotone times from the one at the first, (time, *state.shape), by steps of at most `max_step`.

    Arguments:
        interpolated: steps end at the last time only, and states at those before are interpolated.
        accepted: called with the time at which each step began that was taken.

    Raises:
        InputError: the derivative grows so steep that no step is small enough, or is so rough that too many are needed.
    """
    with torch.device("cpu"):  # where it keeps its constants from then on
        from torchdiffeq import odeint

    start, span = float(times[0]), float(times[-1] - times[0])
    last = start

    def rate(part: Tensor, y: Tensor) -> Tensor:
        nonlocal last
        last = start + span * float(part)
        return span * derivative(last, y)

    if accepted is not None:
        tell = accepted
        rate.callback_accept_step = lambda part, y, step: tell(start + span * float(part))  # type: ignore[attr-defined]
    # time in parts of the whole: the solver's first steps are absolute. Steps end at the times that are asked for, so that
    # nothing is evaluated beyond the last one, where the flow may be over
    parts = torch.as_tensor((times - start) / span, dtype=torch.float64, device=state.device)
    longest = np.inf if max_step is None else max_step / abs(span)
    most = MOST if max_step is None else MOST + int(10 / longest)
    options = {"norm": _largest, "step_t": parts[-1:] if interpolated else parts, "max_step": longest, "max_num_steps": most}
    try:
        with torch.no_grad():
            # the largest error of any particle counts, not the root mean square over all
            found: Any = odeint(rate, state, parts, rtol=rtol, atol=atol, method="dopri5", options=options)
    except AssertionError as error:
        if "max_num_steps" in str(error):
            expected = f"a smooth one without randomness: {most:,} steps did not lead beyond that time"
            raise InputError("velocity", Text(f"one that is rough near time {last:.6g}"), expected) from error
        expected = "a velocity that stays finite: the solver cannot go on from there"
        raise InputError("velocity", Text(f"a singularity near time {last:.6g}"), expected) from error
    return found


def _largest(value: Tensor) -> Tensor:
    return value.abs().max()
