"""What a measure is: one snapshot's arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol, runtime_checkable

import xarray as xr
from torch import Tensor

__all__ = ["Calibrated", "Measure", "NeedsFunction", "TakesDeterminism"]


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


@runtime_checkable
class TakesDeterminism(Protocol):
    """A measure that is a dataclass with a field `deterministic`: whether T is known to be a function of x.

    A recording knows; `Recording.measure` replaces the field by `Recording.deterministic`. I(X;T) is then infinite under an
    estimator of continuous distributions, unless that adds noise. A field of the same name in a measure inside the measure
    is the outer measure's own business.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    deterministic: bool


@runtime_checkable
class NeedsFunction(Protocol):
    """A measure that may take T for a function of x, so that distinct inputs leave H(T|X) = 0.

    Where `needs_function` is True, `Recording.measure` refuses recordings of networks that have noise of their own: one
    draw an input would count the noise as information about x.
    """

    needs_function: ClassVar[bool]
