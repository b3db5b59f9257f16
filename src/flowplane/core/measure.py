"""What a measure is: one snapshot's arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import xarray as xr
from torch import Tensor

__all__ = ["Calibrated", "Measure"]


class Measure(Protocol):
    """A frozen object called with activations (*batch, sample, unit); the leading dimensions survive in the result."""

    def __call__(
        self,
        activations: Any,
        labels: Any = None,
        *,
        inputs: Any = None,
        conditional: Any = None,
        probability: Any = None,
        seed: int = 0,
    ) -> xr.Dataset: ...


@runtime_checkable
class Calibrated(Protocol):
    """A measure with a parameter that belongs to a layer over the whole recording, such as the range of its bins."""

    def calibrated(self, activation: str | None, blocks: Callable[[], Iterator[Tensor]]) -> Measure:
        """The measure with that parameter settled, from the layer's activation function or from its values.

        `blocks()` yields the layer's values (batch, sample, unit) block by block; it is called only where needed.
        """
        ...
