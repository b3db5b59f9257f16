"""Particles at one time, with what the density and the flow are there."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

__all__ = ["THIRD_DIMENSION", "Motion", "State", "squared"]

#: Up to this dimension third derivatives are computed, and with them the score of what a denoiser makes.
THIRD_DIMENSION = 16


class State(NamedTuple):
    """Particles at one time."""

    position: Float[Tensor, "sample feature"]
    #: log p_t(x_t) in nats.
    log_prob: Float[Tensor, " sample"]
    #: ∇log p_t(x_t).
    score: Float[Tensor, "sample feature"]
    #: v_t(x_t).
    velocity: Float[Tensor, "sample feature"]
    #: (∇·v_t)(x_t) = −d log p_t(x_t)/dt.
    divergence: Float[Tensor, " sample"]


class Motion(NamedTuple):
    """The paths of particles, at several times."""

    position: Float[Tensor, "time sample feature"]
    #: |v_t(x_t)|.
    speed: Float[Tensor, "time sample"]
    #: ∫|v|² dt up to each time.
    energy: Float[Tensor, "time sample"]


def squared(v: Float[Tensor, "sample feature"], metric: Float[Tensor, "feature feature"] | None) -> Float[Tensor, " sample"]:
    """vᵀGv of each row, G the metric; None is the identity."""
    return (v.square() if metric is None else (v @ metric) * v).sum(1)
