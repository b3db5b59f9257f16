"""Where each number of a tensor comes from: which sample, and which unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Coordinates", "Order", "full", "joined", "order_of", "padded_steps", "reduced", "shortened", "unit_axes"]

#: A number that comes from no sample: padding, a parameter.
NONE = -1.0


@dataclass(frozen=True, eq=False)
class Coordinates:
    """For a tensor of this shape: the sample and the unit of each number, and its place in the graph of calls.

    Arguments:
        sample: as the tensor, with length 1 along axes where it is the same; −1 is none. None: of no sample at all.
        unit: likewise; None where it is not known.
        mixed: whether some number comes from several samples.
        node: of the graph; −1 is none.
    """

    shape: tuple[int, ...]
    sample: Tensor | None = None
    unit: Tensor | None = None
    mixed: bool = False
    node: int = -1

    def at(self, node: int) -> Coordinates:
        """The same at another place of the graph."""
        return replace(self, node=node)


@dataclass(frozen=True, eq=False)
class Order:
    """How a tensor's numbers become rows: these axes to the front and flattened, then these places of it, `each` per sample.

    Arguments:
        places: (sample · each); None where they are in order already.
    """

    axes: tuple[int, ...]
    places: Int[Tensor, " place"] | None = None
    each: int = 1

    def rows(self, values: Tensor) -> Tensor:
        """(sample, …), or (sample, place, …) where a sample has several rows.

        Example:
            >>> Order((1,)).rows(torch.zeros(5, 3, 2)).shape
            torch.Size([3, 5, 2])
            >>> Order((0,), torch.tensor([0, 2, 1, 3]), 2).rows(torch.arange(4)).tolist()
            [[0, 2], [1, 3]]
        """
        front = values.movedim(self.axes, tuple(range(len(self.axes))))
        if len(self.axes) > 1:
            front = front.flatten(0, len(self.axes) - 1)
        if self.places is None:
            return front
        front = front.index_select(0, self.places.to(front.device))
        return front if self.each == 1 else front.unflatten(0, (-1, self.each))


def full(coordinate: Tensor | None, shape: Sequence[int]) -> Tensor:
    """A coordinate in the shape of its tensor.

    Example:
        >>> full(torch.tensor([[0.0], [1.0]]), (2, 2)).tolist(), full(None, (2,)).tolist()
        ([[0.0, 0.0], [1.0, 1.0]], [-1.0, -1.0])
    """
    return (
        torch.full(tuple(shape), NONE, dtype=torch.float32, device="cpu")
        if coordinate is None
        else coordinate.expand(tuple(shape))
    )


def shortened(coordinate: Float[Tensor, "..."]) -> Tensor | None:
    """A coordinate with length 1 along the axes where it is the same; None where there is none at all.

    Example:
        >>> shortened(torch.tensor([[0.0, 0.0], [1.0, 1.0]])).tolist(), shortened(torch.full((2,), -1.0))
        ([[0.0], [1.0]], None)
    """
    for axis in sorted(range(coordinate.ndim), key=lambda axis: -coordinate.shape[axis]):
        if coordinate.shape[axis] > 1:
            first = coordinate.narrow(axis, 0, 1)
            if bool((coordinate == first).all()):
                coordinate = first
    if coordinate.numel() == 0 or (coordinate.numel() == 1 and coordinate.item() == NONE):
        return None
    # a view would keep all of it
    return coordinate.clone() if coordinate.numel() < 1024 else coordinate.contiguous()


def joined(shape: Sequence[int], parts: Iterable[Coordinates]) -> Coordinates:
    """Coordinates of what is computed number by number from several tensors, whose shapes broadcast to this one.

    Example:
        >>> one, other = (Coordinates((2, 1), torch.tensor([[a], [b]])) for a, b in ((0.0, 1.0), (1.0, 0.0)))
        >>> joined((2, 1), [one, one]).mixed, joined((2, 1), [one, other]).mixed
        (False, True)
    """
    sample: Tensor | None = None
    unit: Tensor | None = None
    mixed = False
    for part in sorted(parts, key=lambda part: -torch.Size(part.shape).numel()):
        mixed |= part.mixed
        if unit is None and part.unit is not None:
            unit = _led(part.unit, len(shape))
        if part.sample is None:
            continue
        other = _led(part.sample, len(shape))
        if sample is None:
            sample = other
        elif sample is not other and not (sample.shape == other.shape and torch.equal(sample, other)):
            mixed |= bool(((sample != other) & (sample != NONE) & (other != NONE)).any())
            sample = torch.where(sample == NONE, other, sample)
    return Coordinates(tuple(shape), sample, unit, mixed)


def _led(coordinate: Tensor, ndim: int) -> Tensor:
    return coordinate.reshape((1,) * (ndim - coordinate.ndim) + coordinate.shape)


def reduced(own: Coordinates, axes: Iterable[int], shape: Sequence[int], keep: bool = True) -> Coordinates:
    """Coordinates of what is computed from all numbers along some axes.

    Arguments:
        shape: of the result.
        keep: whether those axes are kept.
    """
    axes = sorted({axis % len(own.shape) for axis in axes}) if own.shape else []
    sample, unit, mixed = own.sample, own.unit, own.mixed
    for axis in axes:
        if sample is not None and sample.shape[axis] > 1:
            most = sample.amax(axis, keepdim=True)
            least = torch.where(sample == NONE, torch.inf, sample).amin(axis, keepdim=True)
            mixed |= bool(((most != NONE) & (least != most)).any())
            sample = most
        if unit is not None and unit.shape[axis] > 1:
            unit = None
    if not keep and axes:
        sample, unit = (None if each is None else each.squeeze(tuple(axes)) for each in (sample, unit))
    return Coordinates(tuple(shape), sample, unit, mixed)


def order_of(own: Coordinates, samples: int) -> Order | str:
    """How the samples are arranged in a tensor, or in words why they are not.

    Example:
        >>> order_of(Coordinates((2, 3), torch.tensor([[0.0, 1.0, 2.0]])), 3).axes
        (1,)
        >>> order_of(Coordinates((2, 1), torch.tensor([[0.0], [2.0]])), 3)
        'rows are a part of the samples'
    """
    if own.sample is None:
        return "depends on no sample"
    axes = tuple(axis for axis, length in enumerate(own.sample.shape) if length > 1)
    if not axes:
        return Order(()) if samples == 1 else "rows are of one sample"
    if len(axes) > 1:  # along one axis only, but for what is padding
        for axis in axes:
            alone = reduced(replace(own, mixed=False), [other for other in axes if other != axis], own.shape)
            if not alone.mixed and alone.sample is not None and bool((alone.sample != NONE).all()):
                return order_of(alone, samples)
    found = own.sample.squeeze(tuple(set(range(own.sample.ndim)) - set(axes))).flatten().long()
    if samples == 1 and bool((found >= 0).any()):
        return Order(())
    if len(found) == samples and torch.equal(found, torch.arange(samples, device="cpu")):
        return Order(axes)
    if bool((found < 0).any()):
        return "rows are a part of the samples"
    counts = torch.bincount(found, minlength=samples)
    if len(counts) != samples or int(counts.min()) != int(counts.max()):
        return "rows are a part of the samples"
    return Order(axes, torch.argsort(found, stable=True), int(counts[0]))


def padded_steps(padded: Callable[[Tensor], Tensor], own: Coordinates) -> Coordinates:
    """Coordinates of packed sequences (step, unit) that are padded: every step of each keeps its units.

    Arguments:
        padded: how they are, −1 where there is no step.
    """
    sample = padded(full(own.sample, own.shape).contiguous())
    unit = None if own.unit is None or own.unit.shape[0] > 1 else own.unit.unsqueeze(0)
    return Coordinates(tuple(sample.shape), shortened(sample), unit, own.mixed)


def unit_axes(own: Coordinates, order: Order) -> tuple[int, ...] | None:
    """The axes, from 1, that are units in the rows that an order makes; None where they are not known.

    Example:
        >>> own = Coordinates((4, 2, 5), torch.arange(2.0).reshape(1, 2, 1), torch.arange(5.0).reshape(1, 1, 5))
        >>> unit_axes(own, Order((1,)))
        (2,)
    """
    if own.unit is None or any(own.unit.shape[axis] > 1 for axis in order.axes):
        return None
    left = [axis for axis in range(len(own.shape)) if axis not in order.axes]
    first = 1 if order.each == 1 else 2
    # one channel: whatever is left are places
    return tuple(first + place for place, axis in enumerate(left) if own.unit.shape[axis] > 1)
