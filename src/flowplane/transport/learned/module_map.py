"""What it means to call a map that is a PyTorch module as well."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from flowplane.core.modes import own_modes
from flowplane.errors import InputError, Text
from flowplane.transport.maps.base import TransportMap

__all__ = ["ModuleMap"]


class ModuleMap(nn.Module, TransportMap):
    """A transport map and a module at once. Called with floating tensors it is a module: hooks fire, the answer is
    differentiable, NaN gives NaN; everything else is checked as points and answered in kind. Subclasses give
    `forward(x, differentiable=False)` for x of shape (…, d).
    """

    def __call__(self, x: Any) -> Any:
        """The map's value at x of shape (…, d), in its kind."""
        if isinstance(x, Tensor) and x.is_floating_point():
            if x.ndim == 0 or x.shape[-1] != self.dimension:
                raise InputError("x", Text(f"shape {tuple(x.shape)}"), f"points of shape (…, {self.dimension})")
            return nn.Module.__call__(self, x, differentiable=True)
        with own_modes():
            rows, form = self._rows("x", x)
            return form.points(nn.Module.__call__(self, rows))
