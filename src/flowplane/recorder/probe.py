"""A model, its probe inputs and its layers, as they were traced: rows of every snapshot."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowplane.core.callers import outside
from flowplane.errors import InputError, Text
from flowplane.recorder.inputs import ProbeInputs
from flowplane.recorder.layers import chosen_layers, layout_of, left_out
from flowplane.recorder.looking import device_of, side_effect_free
from flowplane.recorder.numbers import side_by_side, widened
from flowplane.recorder.processes import class_name
from flowplane.recorder.reduction import Reduction, reduction
from flowplane.recorder.tracing.coordinates import Order, order_of
from flowplane.recorder.tracing.trace import Judged, Run, traced
from flowplane.recorder.tracing.watching import Call, Watch

__all__ = ["Layer", "Probe"]

#: Bytes of a batch's raw outputs that are held together.
BATCH_BYTES = 1 << 26
#: Samples in a batch, at most.
BATCH = 1024
#: The most tokens that are rows, and the seed with which they are drawn.
TOKENS, TOKEN_SEED = 4096, 0
ACTIVATIONS = {nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.ReLU: "relu", nn.Softmax: "softmax"}


@dataclass(frozen=True)
class Layer:
    """A call that is recorded: what the runs found out about it, the shape of a sample's rows, and how these are reduced."""

    judged: Judged
    shape: tuple[int, ...]
    units: tuple[int, ...] | None
    reduction: Reduction
    width: int
    #: The place of the layer to whose numbers it adds what it computes from them, among those recorded; −1 for the inputs.
    adds_to: int | None = None

    @property
    def name(self) -> str:
        """As it is shown: with the number of the call where there are several."""
        return self.judged.name

    @property
    def module(self) -> nn.Module:
        """The module, or the one in whose call the function was called."""
        return self.judged.call.module

    @property
    def parameters(self) -> Iterator[nn.Parameter]:
        """Those of the module; the model itself, and functions, have none of their own."""
        whole = self.judged.call.key[0] and not self.judged.call.function
        return self.module.parameters() if whole else iter(())

    @property
    def places(self) -> int:
        """Places or tokens of a sample."""
        units = self.units or ()
        return math.prod(length for axis, length in enumerate(self.shape, 1) if axis not in units)

    @property
    def kind(self) -> str:
        """The class of the module, or the name of the function."""
        return self.judged.call.function or class_name(self.module)

    @property
    def deterministic(self) -> bool:
        """Whether the same inputs give the same numbers."""
        return not self.judged.noisy

    @property
    def activation(self) -> str | None:
        """The function that it ends in; None where it is not known."""
        if (function := self.judged.call.function) is not None:
            return function if function in ACTIVATIONS.values() else None
        return next((name for kind, name in ACTIVATIONS.items() if type(self.module) is kind), None)

    def described(self) -> dict[str, Any]:
        """As the recording's configuration holds it."""
        return {
            "name": self.name,
            "module": self.kind,
            "shape": list(self.shape),
            "units": None if self.units is None else list(self.units),
            "reduce": self.reduction.words,
            "width": self.width,
            "activation": self.activation,
            "deterministic": self.deterministic,
            "adds_to": self.adds_to,
        }


class Probe:
    """A model, its probe inputs and the layers to look at.

    Arguments:
        tokens: which tokens (sample, token) are samples under reduce="tokens", beside the mask of the inputs.
        layout: which axis is units, by names or patterns of layers.

    Raises:
        InputError: layers, a rule or a layout that do not fit, or a model that fails on the inputs.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: ProbeInputs,
        layers: Any,
        rule: Any,
        tokens: Tensor | None = None,
        layout: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.mask = inputs.mask if tokens is None else tokens if inputs.mask is None else tokens & inputs.mask
        self.rule = rule
        with side_effect_free(model):
            self.trace = traced(
                model, self._run_of(), inputs.count, inputs.whole, inputs.size if isinstance(inputs.size, int) else None
            )
        if not self.trace.tested:
            message = f"the model takes {self.trace.samples} samples only: whether it keeps them apart could not be tested"
            warnings.warn(message, RuntimeWarning, stacklevel=outside())
        if self.trace.lost:
            where = ", ".join(name or "the model itself" for name in self.trace.lost)
            message = f"too many calls in {where} to follow where each number comes from: name the layers you want"
            warnings.warn(message, RuntimeWarning, stacklevel=outside())
        chosen = chosen_layers(model, self.trace, layers)
        given = layout_of(layout, chosen)
        self.layers = [self._layer(judged, given.get(judged.name)) for judged in chosen]
        if layers is None:
            self.layers = self._without_reductions(self.layers)
        self.layers = [replace(layer, adds_to=self._adds_to(place)) for place, layer in enumerate(self.layers)]
        #: What ran but is not recorded, and why.
        self.left_out = left_out(self.trace, [layer.judged for layer in self.layers])
        shapes = [layer.shape for layer in self.layers]
        self.batch = _batch_size(inputs, shapes)
        self.samples = inputs.count
        #: Under reduce="tokens", (row, 2): the sample and the place of each token that is a row; None otherwise.
        self.tokens: np.ndarray | None = None
        self.tokens_said = ""
        if rule == "tokens":
            every = self.inputs.count * self.layers[0].places if self.mask is None else int(self.mask.sum())
            self.mask = _chosen_tokens(inputs.count, {layer.places for layer in self.layers}, self.mask)
            self.tokens = self.mask.nonzero().numpy(force=True)
            self.samples = len(self.tokens)
            if self.samples < every:
                self.tokens_said = f"{self.samples:,} of {every:,}, drawn with seed {TOKEN_SEED}"

    def of(self, inputs: ProbeInputs) -> Probe:
        """The same layers of the same model, on other inputs of the same form."""
        other = copy(self)
        other.inputs, other.mask, other.samples = inputs, inputs.mask, inputs.count
        return other

    @property
    def deterministic(self) -> bool:
        """Whether the same inputs give the same numbers in all layers that are recorded."""
        return all(layer.deterministic for layer in self.layers)

    def _run_of(self) -> Run:
        def run(samples: Tensor) -> Any:
            some = self.inputs.take(samples)
            batch = some.batch(0, some.count, device_of(self.model))
            return some.sample_tensors(batch), lambda: some.call(self.model, batch)

        return run

    def _layer(self, judged: Judged, layout: str | None) -> Layer:
        order, shape = judged.order, judged.call.shape
        assert order is not None and shape is not None
        left = [length for axis, length in enumerate(shape) if axis not in order.axes]
        own = tuple(left if order.each == 1 else [order.each, *left])
        units = judged.units
        if layout is not None:
            if len(own) < 2:
                found = Text(f"{layout!r} for layer {judged.name!r} with outputs of shape {('sample', *own)}")
                raise InputError("layout", found, "layers with places beside units")
            units = (len(own),) if layout == "channels_last" else (1 if order.each == 1 else 2,)
        made = reduction(judged.name, own, units, self.rule, judged.varies)
        n = self.trace.samples
        mask = None if self.mask is None else self.mask[:n]
        example = torch.zeros(n, *own, dtype=torch.complex64 if judged.call.complex else torch.float32, device="cpu")
        try:
            rows = made.rows(example, mask)
        except Exception as error:  # a callable may raise anything
            if not callable(self.rule):
                raise
            found = Text(f"a failure for layer {judged.name!r} with outputs of shape {tuple(example.shape)}: {error}")
            raise InputError("reduce", found, "a callable from outputs to (sample, unit)") from error
        wanted = n if self.rule != "tokens" else None
        if not isinstance(rows, Tensor) or rows.ndim != 2 or (wanted is not None and len(rows) != wanted):
            found = Text(
                f"{tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__} for layer {judged.name!r}"
            )
            raise InputError("reduce", found, f"a callable from {(n, *own)} to (sample, unit)")
        return Layer(judged, own, units, made, rows.shape[1] * (2 if rows.is_complex() else 1))

    def _without_reductions(self, layers: list[Layer]) -> list[Layer]:
        """A layer that only reduces the one before it as that one is reduced already is one with it: by what the call is."""
        kept: list[Layer] = []
        for layer in layers:
            before = kept[-1] if kept else None
            statistic = None if before is None else before.reduction.statistic
            single = layer.units is not None and all(
                length == 1 for axis, length in enumerate(layer.shape, 1) if axis not in layer.units
            )
            call = layer.judged.call
            if before is None or not single or not self.trace.graph.reduces(before.judged.call.node, call.node, statistic):
                kept.append(layer)
            else:
                layer.judged.why = f"the {before.reduction.words} as which {before.name} is recorded"
        return kept

    def _adds_to(self, place: int) -> int | None:
        """The nearest layer before that every path passes and to which this one adds; −1 for the inputs."""
        graph, end = self.trace.graph, self.layers[place].judged.call.node
        for before in reversed(range(place)):
            start = self.layers[before].judged.call.node
            if start in self.trace.states and graph.adds(start, end):
                return before
        return -1 if any(graph.adds(start, end) for start in graph.inputs) else None

    def __call__(self) -> list[np.ndarray]:
        """All layers' rows (sample, unit) on the CPU, float32 or, of a layer in double precision, float64.

        Raises:
            InputError: the model no longer returns what it did.
        """
        rows = [np.empty((0, layer.width), np.float32) for layer in self.layers]
        places = {layer.judged.call.key: k for k, layer in enumerate(self.layers)}
        filled = [0] * len(rows)
        with side_effect_free(self.model):
            for start in range(0, self.inputs.count, self.batch):
                stop = min(start + self.batch, self.inputs.count)
                mask = None if self.mask is None else self.mask[start:stop]

                # a batch of one has no order of its own: its sample is passed twice and taken once
                twice = stop - start == 1 and self.carried
                mask = mask.repeat(2, 1) if twice and mask is not None else mask
                size = 2 if twice else stop - start

                def keep(
                    call: Call, values: Tensor, mask: Tensor | None = mask, size: int = size, twice: bool = twice
                ) -> None:
                    place = places.get(call.key)
                    if place is not None:
                        part = self._rows(self.layers[place], call, values, mask, size)
                        part = part[: len(part) // 2] if twice else part
                        if not filled[place]:
                            rows[place] = np.empty((self.samples, part.shape[1]), part.dtype)
                        rows[place][filled[place] : filled[place] + len(part)] = part
                        filled[place] += len(part)

                self._watched(
                    torch.tensor([start, start], device="cpu") if twice else torch.arange(start, stop, device="cpu"), keep
                )
        for count, layer in zip(filled, self.layers, strict=True):
            if count != self.samples:
                found = Text(f"layer {layer.name!r} not called as at the start")
                raise InputError("model", found, "the same calls at every snapshot")
        return rows

    @property
    def carried(self) -> bool:
        """Whether coordinates are carried: some layer's rows have no order of their own."""
        return any(layer.judged.carried for layer in self.layers)

    def _watched(self, samples: Tensor, keep: Any) -> None:
        """One batch. Coordinates are carried only where a layer's rows have no order of their own."""
        some = self.inputs.take(samples)
        batch = some.batch(0, some.count, device_of(self.model))
        calls = [layer.judged.call for layer in self.layers]
        functions = any(call.function for call in calls)
        carried = self.carried
        modules = None if functions or carried else {call.module: call.key[0] for call in calls}
        given = self.inputs.sample_tensors(batch) if carried else []
        watch = Watch(self.model, given, carried, keep, functions=functions, names=modules)
        watch.run(lambda: self.inputs.call(self.model, batch))

    def _rows(self, layer: Layer, call: Call, values: Tensor, mask: Tensor | None, size: int) -> np.ndarray:
        order: Order | str | None = layer.judged.order
        if layer.judged.carried:
            order = "no order" if call.own is None else order_of(call.own, size)
        found = order.rows(values.detach()) if isinstance(order, Order) else None
        known = found is not None and len(found) == size and found.ndim == len(layer.shape) + 1
        if found is None or not known or (not layer.judged.varies and tuple(found.shape[1:]) != layer.shape):
            shape = None if found is None else tuple(found.shape[1:])
            raise InputError("model", Text(f"{shape} per sample in layer {layer.name!r}"), f"{layer.shape}, as at the start")
        if mask is None and call.lengths is not None:
            lengths = order.rows(call.lengths) if isinstance(order, Order) and order.axes == (0,) else call.lengths
            mask = torch.arange(found.shape[1], device=lengths.device) < lengths.unsqueeze(1)
        reduced = layer.reduction.rows(widened(found), None if mask is None else mask.to(found.device))
        return side_by_side(reduced).cpu().numpy()  # type: ignore[no-any-return]


def _batch_size(inputs: ProbeInputs, shapes: Sequence[tuple[int, ...]]) -> int:
    """Samples per call, where layers return numbers of these shapes per sample."""
    raw = sum(math.prod(shape) * 4 for shape in shapes) + 1
    batches = -(-inputs.count // max(1, min(BATCH, BATCH_BYTES // raw)))
    # equally large, so that the last one is not a single sample
    return inputs.calls_of(-(-inputs.count // batches))


def _chosen_tokens(count: int, lengths: set[int], mask: Tensor | None) -> Tensor:
    """Which tokens (sample, token) are rows, where every token is one: at most `TOKENS`, drawn from all that are not
    padding.

    Raises:
        InputError: layers or a mask with different numbers of tokens.
    """
    if len(lengths) > 1:
        raise InputError("reduce", Text(f"layers of {sorted(lengths)} tokens"), "layers with the same number of tokens")
    (tokens,) = lengths
    mask = torch.ones(count, tokens, dtype=torch.bool, device="cpu") if mask is None else mask.flatten(1).bool()
    if mask.shape[1] != tokens:
        found = Text(f"{tokens} tokens in layers and {mask.shape[1]} in labels or attention_mask")
        raise InputError("reduce", found, "the same number of tokens")
    places = mask.flatten().nonzero()[:, 0].numpy(force=True)
    if len(places) <= TOKENS:
        return mask
    drawn = np.random.default_rng(TOKEN_SEED).choice(places, TOKENS, replace=False)
    return torch.zeros(mask.numel(), dtype=torch.bool, device="cpu").index_fill_(0, torch.from_numpy(drawn), 1).view_as(mask)
