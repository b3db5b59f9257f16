"""What a measure is: one snapshot's arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import xarray as xr
from torch import Tensor

from flowplane.errors import InputError, Text

__all__ = ["LayerFacts", "Measure", "check_measure", "of_samples", "prepared", "require_function"]


@dataclass(frozen=True, eq=False)
class LayerFacts:
    """What a recording knows of a layer before it is measured."""

    #: The function that the layer ends in: tanh, relu, …; None where it is not known.
    activation: str | None
    #: Whether T is a function of x: the network has no noise of its own.
    deterministic: bool
    #: The layer's values over the whole recording (batch, sample, unit), block by block.
    blocks: Callable[[], Iterator[Tensor]]


class Measure(Protocol):
    """A frozen object called with activations (*batch, sample, unit); the leading dimensions survive in the result.

    Any callable of these arguments will do: one without `prepared` is taken as it is. One with an attribute `takes_targets`
    that is true is given regression targets in place of the classes they were cut into, one with `takes_groups` also
    `groups=`, equal for rows of one sample, where tokens are rows.
    """

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

    def prepared(self, layer: LayerFacts) -> Measure:
        """The measure, with whatever a layer's whole recording decides fixed, such as the range of its bins.

        Raises:
            InputError: the layer cannot be measured in this way.
        """
        return self


def prepared(measure: Any, layer: LayerFacts) -> Any:
    """The measure, prepared for a layer where it can be."""
    own = getattr(measure, "prepared", None)
    return measure if own is None else own(layer)


def of_samples(measure: Any, labels: Any, targets: Any, groups: Any) -> dict[str, Any]:
    """The labels that a measure is given, and the groups of rows of one sample where it asks for them; each None where there
    is none."""
    known = {"labels": targets if targets is not None and getattr(measure, "takes_targets", False) else labels}
    return known | ({"groups": groups} if groups is not None and getattr(measure, "takes_groups", False) else {})


def require_function(measure: Any, layer: LayerFacts) -> None:
    """Raise InputError for a measure that takes T to be a function of x (H(T|X) = 0 for distinct inputs) where T is not
    one: with one draw per input, the noise would count as information about x."""
    if not layer.deterministic:
        wanted = "an estimator that takes inputs as they are (KSG, …): the network of this recording has noise of its own"
        raise InputError("measure", Text(type(measure).__name__), wanted)


def check_measure(name: str, measure: Any) -> Any:
    """The measure. Raises InputError for what cannot be called, and for a class."""
    if isinstance(measure, type):
        raise InputError(
            name, Text(f"the class {measure.__name__}"), f"an estimator made from it, such as {measure.__name__}(…)"
        )
    if not callable(measure):
        raise InputError(name, measure, "an estimator such as fp.Binned(30)")
    return measure
