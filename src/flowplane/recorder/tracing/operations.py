"""What calls that compute over units do to coordinates: products, convolutions, recurrent layers and attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from flowplane.recorder.tracing.contraction import contracted, einsum_letters, matmul_letters
from flowplane.recorder.tracing.coordinates import Coordinates, joined, reduced

__all__ = ["CONVOLVED", "PRODUCTS", "RECURRENT", "Known", "units_last", "units_set"]

#: The coordinates of a tensor; None for one that is the same for all samples.
Known = Callable[[Any], Coordinates | None]

CONVOLVED = {f"conv{kind}{d}d" for kind in ("", "_transpose", "_tbc") for d in (1, 2, 3)}
CHANNELS = CONVOLVED | {"batch_norm", "pixel_shuffle"}
RECURRENT = {"gru", "lstm", "rnn_tanh", "rnn_relu"}
CELLS = {f"{kind}_cell" for kind in RECURRENT}
PRODUCTS = {"matmul", "mm", "bmm", "mv", "dot", "einsum", "addmm", "baddbmm", "addbmm"}


def units_set(
    name: str, args: Sequence[Any], kwargs: dict[str, Any], outputs: list[Tensor], known: Known
) -> list[Coordinates | None] | None:
    """Coordinates for calls that contract axes or set units; None for all others."""
    shape = tuple(outputs[0].shape)
    own = known(args[0]) if args and isinstance(args[0], Tensor) else None
    if name == "linear":
        return [_linear(own, shape)]
    if name in CHANNELS and own is not None:
        channels = _channels(own, shape)
        training = kwargs.get("training", args[5] if len(args) > 5 else False)
        return [replace(channels, mixed=True) if name == "batch_norm" and training and own.sample is not None else channels]
    if name == "layer_norm" and own is not None:
        normed = args[1] if len(args) > 1 else kwargs["normalized_shape"]
        elsewhere = own.unit is not None and any(length > 1 for length in own.unit.shape[:-1])
        return [own if len(normed) > 1 or elsewhere else units_last(own, shape)]
    if name in ("embedding", "one_hot"):
        ids = known(args[0])
        found = None if ids is None or ids.sample is None else ids.sample.unsqueeze(-1)
        return [units_last(Coordinates(shape, found, None, ids is not None and ids.mixed), shape)]
    if name in PRODUCTS:
        return [_product(name, args, kwargs, shape, known)]
    if name in RECURRENT:
        return _recurrent(args, outputs, known)
    if name in CELLS and own is not None:
        return [units_last(reduced(own, [-1], (*own.shape[:-1], 1)), tuple(each.shape)) for each in outputs]
    if name == "multi_head_attention_forward":
        return _attended([known(each) for each in args[:3]], outputs, 0)
    if name == "scaled_dot_product_attention":
        return _attended([known(each) for each in args[:3]], outputs, -2)
    return None


def units_last(own: Coordinates, shape: tuple[int, ...]) -> Coordinates:
    """The same samples, and the units on the last axis."""
    unit = torch.arange(float(shape[-1]), dtype=torch.float32, device="cpu").reshape((1,) * (len(shape) - 1) + (-1,))
    return Coordinates(shape, own.sample, unit, own.mixed)


def _linear(own: Coordinates | None, shape: tuple[int, ...]) -> Coordinates:
    if own is None:
        return units_last(Coordinates(shape), shape)
    flat = reduced(own, [-1], shape)
    elsewhere = own.unit is not None and own.unit.numel() > 1 and own.unit.shape[-1] == 1
    # where units repeat along an axis, as in rows that were flattened, places are in it as well
    apart = elsewhere and own.unit is not None and len(own.unit.unique()) == own.unit.numel()
    return Coordinates(shape, flat.sample, flat.unit, flat.mixed) if apart else units_last(flat, shape)


def _channels(own: Coordinates, shape: tuple[int, ...]) -> Coordinates:
    """Channels are on axis 1; numbers come from a neighbourhood, so the samples must not vary within."""
    flat = reduced(own, range(1, len(own.shape)), shape) if own.shape != shape else reduced(own, [], shape)
    unit = (
        torch.arange(float(shape[1]), dtype=torch.float32, device="cpu").reshape(1, -1, *(1,) * (len(shape) - 2))
        if len(shape) > 1
        else None
    )
    return Coordinates(shape, flat.sample, unit, flat.mixed)


def _product(
    name: str, args: Sequence[Any], kwargs: dict[str, Any], shape: tuple[int, ...], known: Known
) -> Coordinates | None:
    if name == "einsum":
        tensors = list(args[1:] if not isinstance(args[1], tuple | list) else args[1])
        letters = einsum_letters(str(args[0]), [each.ndim for each in tensors], len(shape))
    else:
        tensors = [each for each in args if isinstance(each, Tensor)][-2:] if len(args) > 1 else [args[0], kwargs["other"]]
        letters = matmul_letters(tensors[0].ndim, tensors[1].ndim)
    return None if letters is None else contracted(shape, letters, [known(each) for each in tensors])


def _recurrent(args: Sequence[Any], outputs: list[Tensor], known: Known) -> list[Coordinates | None]:
    own = known(args[0])
    if own is None:
        return [None] * len(outputs)
    flat = reduced(own, [-1], (*own.shape[:-1], 1))
    found: list[Coordinates | None] = [units_last(flat, tuple(outputs[0].shape))]
    packed = len(own.shape) == 2 and isinstance(args[1], Tensor) and not args[1].is_floating_point()
    for each in outputs[1:]:
        sample, mixed = flat.sample, flat.mixed
        if packed and sample is not None:  # the first step has all samples
            sample = sample.expand(own.shape[0], 1)[: each.shape[1]].unsqueeze(0)
        elif sample is not None and each.ndim == 3:
            # batch_first is the last argument: the states have the samples on axis 1 all the same
            first = bool(args[-1]) if isinstance(args[-1], bool) else False
            over = reduced(flat, [1 if first else 0], (*flat.shape[:-1], 1))
            sample, mixed = over.sample, over.mixed
            sample = sample.transpose(0, 1) if first and sample is not None else sample
        found.append(units_last(Coordinates(tuple(each.shape), sample, None, mixed), tuple(each.shape)))
    return found


def _attended(owns: list[Coordinates | None], outputs: list[Tensor], over: int) -> list[Coordinates | None]:
    """Queries keep their places; keys and values are seen as a whole along the axis `over`."""
    shape = tuple(outputs[0].shape)
    parts = []
    for place, own in enumerate(owns):
        if own is not None:
            seen = reduced(own, [-1] if place == 0 else [over, -1], (*own.shape[:-1], 1))
            length = shape[:-1] if place == 0 else seen.shape[:-1]
            parts.append(Coordinates((*length, 1), seen.sample, None, seen.mixed))
    values = owns[2] if len(owns) > 2 else None
    found = joined(shape, parts)
    if over == -2 and values is not None and values.unit is not None and values.unit.shape[-1] > 1:
        # heads of several queries may share one of keys and values: units lie along the same axes, as many as there are
        lengths = [n if was > 1 else 1 for n, was in zip(shape, values.unit.shape, strict=True)]
        lengths[-2] = 1
        unit = torch.arange(float(torch.Size(lengths).numel()), dtype=torch.float32, device="cpu").reshape(lengths)
        result = Coordinates(shape, found.sample, unit, found.mixed)
    else:
        result = units_last(found, shape)
    return [result, *([None] * (len(outputs) - 1))]
