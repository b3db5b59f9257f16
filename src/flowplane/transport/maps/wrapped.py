"""A map made of another one, in other coordinates or under another name."""

from __future__ import annotations

import copy

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.transport.densities import Density
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.state import Motion, State

__all__ = ["WrappedMap"]


class WrappedMap(TransportMap):
    """R ∘ core ∘ R⁻¹ for a symmetric positive definite R, the identity where `root` is None."""

    core: TransportMap

    def __init__(self, core: TransportMap, source: Density, root: Float[Tensor, "feature feature"] | None = None) -> None:
        self.core, self.source, self.time = core, source, core.time
        self.dimension, self.dtype, self.device = core.dimension, core.dtype, core.device
        self.affine, self.continuous, self.time_units = core.affine, core.continuous, core.time_units
        self._root = root
        self._white = None if root is None else torch.linalg.inv(root)

    def made_of(self) -> str:
        """That of the flow."""
        return self.core.made_of()

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """The flow."""
        return self._out(self.core.forward(self._in(x)))

    def backward(
        self, y: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """The way back."""
        origin, log_det = self.core.backward(self._in(y))
        return self._out(origin), log_det

    def origin(self, y: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """The way back, without what the density needs."""
        return self._out(self.core.origin(self._in(y)))

    def log_det(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """The same in all coordinates."""
        return self.core.log_det(self._in(x))

    def path(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> Float[Tensor, "time sample feature"]:
        """The paths."""
        return self._out(self.core.path(self._in(x), times))

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """v_t(x)."""
        return self._out(self.core.field(t, self._in(x)))

    def current(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """The velocity of the particle that is at x."""
        return self._out(self.core.current(t, self._in(x)))

    def until(self, t: float) -> WrappedMap:
        """The flow, stopped at time t."""
        part = copy.copy(self)
        part.time, part.core = t, self.core.at(t)
        return part

    def pushed_log_prob(self, y: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log p_t(y)."""
        return self.core.pushed_log_prob(self._in(y)) + self._log_volume

    def kinetic(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Float[Tensor, "time sample"]:
        """∫vᵀGv dt."""
        return self.core.kinetic(self._in(x), times, self._inner(metric))

    def motion(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Motion:
        """The paths."""
        found = self.core.motion(self._in(x), times, self._inner(metric))
        return found._replace(position=self._out(found.position))

    def pieces(self, x: Float[Tensor, "sample feature"]) -> np.ndarray:
        """The core's."""
        return self.core.pieces(self._in(x))

    def log_likelihood(self, y: Float[Tensor, "sample feature"]) -> tuple[Tensor, Tensor]:
        """log p_t(y)."""
        found, error = self.core.log_likelihood(self._in(y))
        return found + self._log_volume, error

    def evolve(self, start: State, times: np.ndarray) -> list[State]:
        """States, in the original coordinates."""
        if self._white is None:
            return self.core.evolve(start, times)
        begun = start._replace(
            position=self._in(start.position), log_prob=start.log_prob - self._log_volume, score=self._out(start.score)
        )
        return [self._state_out(state) for state in self.core.evolve(begun, times)]

    def source_states(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> list[State]:
        """States of particles of the source."""
        return [self._state_out(state) for state in self.core.source_states(self._in(x), times)]

    @property
    def _log_volume(self) -> float:
        return 0.0 if self._white is None else float(torch.linalg.slogdet(self._white)[1])

    def _inner(self, metric: Tensor | None) -> Tensor | None:
        """A metric in the core's coordinates."""
        if self._root is None:
            return metric
        return self._root @ self._root if metric is None else self._root @ metric @ self._root

    def _state_out(self, state: State) -> State:
        return State(
            self._out(state.position),
            state.log_prob + self._log_volume,
            self._in(state.score),
            self._out(state.velocity),
            state.divergence,
        )

    def _in(self, x: Tensor) -> Tensor:
        return x if self._white is None else x @ self._white.to(x.dtype)

    def _out(self, x: Tensor) -> Tensor:
        return x if self._root is None else x @ self._root.to(x.dtype)
