"""A field made integrable: a smooth cutoff that is 1 where the trajectories go (§A11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_numbers, as_tensor
from flowplane.core.points import as_points, check_positive
from flowplane.core.streams import TRAINING, generator
from flowplane.errors import InputError, Text

__all__ = ["Field", "Region", "as_field"]

#: Steps of the Runge–Kutta method that looks where the trajectories of a bare velocity go.
LOOKING_STEPS = 64
#: Points that show where the trajectories go, where only the flow's source is known.
LOOKING_POINTS = 1000
#: The box around the trajectories is wider than they are by this part of its width on each side.
SLACK = 0.05


@dataclass(frozen=True)
class Field:
    """A velocity v_t(x) for 0 ≤ t ≤ time, and points whose trajectories are to be followed."""

    velocity: Callable[[float, Tensor], Tensor]
    time: float
    points: Float[Tensor, "sample feature"]
    #: Positions of the points along their trajectories, all times together.
    visited: Float[Tensor, "visit feature"]

    def at(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """v_t(x), checked.

        Raises:
            InputError: a shape other than that of x, NaN.
        """
        try:
            answer = self.velocity(t, x.clone())
        except TypeError as error:
            raise InputError("field", Text(f"a function that fails: {error}"), "v(t, x) of a float and a tensor") from error
        v = as_tensor("field", answer).to(x)
        if v.shape != x.shape:
            raise InputError(
                "field", Text(f"velocities of shape {tuple(v.shape)}"), f"shape {tuple(x.shape)}, as the points"
            )
        if not bool(torch.isfinite(v).all()):
            found = Text(f"{int((~torch.isfinite(v)).any(1).sum())} velocities that are not finite at time {t:.4g}")
            raise InputError("field", found, "a field that is finite where the cutoff is above 0")
        return v


@dataclass(frozen=True)
class Region:
    """The cutoff χ(x) = ∏_i c((|x_i − m_i| − r_i)/margin_i) around a box with centre m and half widths r; c falls from 1 at
    0 to 0 at 1, with all its derivatives continuous."""

    centre: Float[Tensor, " feature"]
    half: Float[Tensor, " feature"]
    margin: Float[Tensor, " feature"]

    @classmethod
    def around(cls, visited: Float[Tensor, "visit feature"], margin: Any = None) -> Region:
        """The box around some points, a little wider; the margin is as wide as half the box unless it is given.

        Raises:
            InputError: a margin that is not positive.
        """
        low, high = visited.amin(0), visited.amax(0)
        width = (high - low).clamp_min(1e-3 * float((high - low).max().clamp_min(1e-12)))
        half = (0.5 + SLACK) * width
        reach = half.clone() if margin is None else torch.full_like(half, check_positive("margin", margin))
        return cls((low + high) / 2, half, reach)

    @property
    def radius(self) -> float:
        """χ is 0 beyond this distance from the origin."""
        return float((self.centre.abs() + self.half + self.margin).norm())

    def __call__(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """χ(x)."""
        return _fall((((x - self.centre).abs() - self.half) / self.margin).clamp(0, 1)).prod(1)

    def grid(self, spacing: float) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """Even points of the box in which χ is not 0, at most `spacing` apart, and the volume of a cell for each."""
        axes, volume = [], 1.0
        for centre, reach in zip(self.centre.tolist(), (self.half + self.margin).tolist(), strict=True):
            count = max(8, int(np.ceil(2 * reach / spacing)))
            # χ and all its derivatives are 0 at both ends, so that an even rule is as good as any
            axes.append(
                centre - reach + (torch.arange(count, dtype=torch.float64, device="cpu") + 0.5) * (2 * reach / count)
            )
            volume *= 2 * reach / count
        x = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes)).to(self.centre)
        return x, torch.full_like(x[:, 0], volume)


def _fall(u: Tensor) -> Tensor:
    """From 1 at 0 to 0 at 1, infinitely often differentiable."""
    before, after = torch.exp(-1 / u.clamp_min(1e-300)), torch.exp(-1 / (1 - u).clamp_min(1e-300))
    return after / (before + after)


def as_field(field: Any, points: Any, time: Any, seed: int) -> Field:
    """A flow with `velocity`, `time` and `source`, or a function v(t, x) with points and a time.

    Raises:
        InputError: neither of the two; points or time missing; points of a dimension other than 1, 2 or 3.
    """
    flow = hasattr(field, "velocity") and hasattr(field, "time")
    if not callable(field.velocity if flow else field):
        raise InputError("field", Text(type(field).__name__), "a flow, or a function v(t, x) of a float and a tensor (n, d)")
    if points is None:
        source = getattr(field, "source", None)
        if source is None:
            raise InputError("points", None, "points where the trajectories begin: this field knows no source density")
        points = source.sample(LOOKING_POINTS, generator(seed, TRAINING))
    rows, form = as_points("points", points, None)
    if len(form.batch) != 1 or rows.shape[1] > 3:
        found = Text(f"shape {(*form.batch, rows.shape[1])}")
        raise InputError("points", found, "points of shape (n, d), d = 1, 2 or 3: more dimensions need too many nodes")
    if not flow and time is None:
        raise InputError("time", None, "how long a field v(t, x) is followed")
    last = check_positive("time", field.time if time is None else time)
    if flow and last > field.time:
        raise InputError("time", last, f"at most {field.time:g}, as long as the flow goes")
    velocity = field.velocity if flow else field
    bare = Field(velocity, last, rows, rows)
    if flow and hasattr(field, "trajectory"):
        visited = torch.as_tensor(as_numbers("field", field.trajectory(rows, np.linspace(0.0, last, 21))), device="cpu").to(
            rows
        )
        visited = visited.reshape(-1, rows.shape[1])
    else:
        visited = torch.cat(list(_followed(bare)))
    return Field(velocity, last, rows, visited)


def _followed(field: Field) -> list[Tensor]:
    """Positions along the trajectories, by the classical Runge–Kutta method."""
    step, x, seen = field.time / LOOKING_STEPS, field.points, [field.points]
    for k in range(LOOKING_STEPS):
        t = k * step
        first = field.at(t, x)
        second = field.at(t + step / 2, x + step / 2 * first)
        third = field.at(t + step / 2, x + step / 2 * second)
        fourth = field.at(t + step, x + step * third)
        x = x + step / 6 * (first + 2 * second + 2 * third + fourth)
        seen.append(x)
    return seen
