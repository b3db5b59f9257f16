"""A model looked at without leaving a trace: eval mode, no gradients, random states put back, hooks taken off."""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowplane.errors import InputError, Text
from flowplane.recorder.inputs import ProbeInputs
from flowplane.recorder.layers import Call, chosen_layers
from flowplane.recorder.numbers import side_by_side, widened
from flowplane.recorder.reduction import Reduction, first_tensor, reduction
from flowplane.recorder.state import require_initialised, state_kept

__all__ = ["ACTIVATIONS", "Layer", "Probe", "batch_size", "device_of", "rows_of_each", "side_effect_free", "unwrapped"]

#: Bytes of a batch's raw outputs that are held together.
BATCH_BYTES = 1 << 26
#: Samples in a batch, at most.
BATCH = 1024
#: Samples with which a model is traced.
TRACED = 3
ACTIVATIONS = {nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.ReLU: "relu", nn.Softmax: "softmax"}
#: Stands for the model itself among the names of its modules.
ROOT = ""
#: Wrappers around a model, and where it is in them.
WRAPPERS = ("_orig_mod", "module")


@dataclass(frozen=True)
class Layer:
    """A call that is recorded: its name, the module's name and the number of the call, and how its output becomes rows."""

    name: str
    module_name: str
    call: int
    module: nn.Module
    shape: tuple[int, ...]
    rule: str
    reduce: Reduction
    width: int

    @property
    def activation(self) -> str | None:
        """The function that it ends in; None where it is not known."""
        return next((name for kind, name in ACTIVATIONS.items() if type(self.module) is kind), None)

    def described(self) -> dict[str, Any]:
        """As the recording's configuration holds it."""
        return {
            "name": self.name,
            "module": type(self.module).__name__,
            "shape": list(self.shape),
            "reduce": self.rule,
            "width": self.width,
            "activation": self.activation,
        }


def unwrapped(model: Any) -> nn.Module:
    """The model inside torch.compile's and DataParallel's wrappers.

    Raises:
        InputError: no Module, or one in FullyShardedDataParallel.
    """
    if not isinstance(model, nn.Module):
        raise InputError("model", Text(type(model).__name__), "a torch.nn.Module")
    wrapped = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, wrapped) or type(model).__name__ == "OptimizedModule":
        model = next(getattr(model, name) for name in WRAPPERS if hasattr(model, name))
    if any(type(part).__name__ == "FullyShardedDataParallel" for part in model.modules()):
        found = Text("a model in FullyShardedDataParallel, whose layers have no parameters of their own")
        raise InputError("model", found, "one sharded by torch.distributed.fsdp.fully_shard, or whole in this process")
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError("model", Text("a scripted model"), "the Module that it was made of: scripted ones take no hooks")
    if any(part.is_meta for part in model.parameters()):
        wanted = "one with weights: model.to_empty(device=…), then load them"
        raise InputError("model", Text("a model on the meta device"), wanted)
    require_initialised(model)
    return model


@contextmanager
def side_effect_free(model: nn.Module) -> Iterator[None]:
    """What happens inside changes no random state, training flag or gradient mode, and runs eagerly in full precision."""
    devices = sorted({part.device.index or 0 for part in model.parameters() if part.device.type == "cuda"})
    kind = device_of(model).type
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(kind, enabled=False))
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and importing it takes a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(state_kept(model))  # some models count or average in eval mode as well
        try:
            torch.backends.mha.set_fastpath_enabled(False)  # it skips modules, and with them their outputs
            for part in model.modules():
                part.training = False
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def device_of(model: nn.Module) -> torch.device:
    """Where a model's first parameter or buffer is."""
    tensors = [*model.parameters(), *model.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def batch_size(inputs: ProbeInputs, shapes: Sequence[tuple[int, ...]]) -> int:
    """Samples a call, where layers return numbers of these shapes a sample."""
    raw = sum(math.prod(shape) * 4 for shape in shapes) + 1
    batches = -(-inputs.count // max(1, min(BATCH, BATCH_BYTES // raw)))
    # equally large, so that the last one is no single sample
    return inputs.calls_of(-(-inputs.count // batches))


def rows_of_each(count: int, shapes: Sequence[tuple[int, ...]], mask: Tensor | None) -> int:
    """Rows of each layer (token, unit) of so many samples, where every token is one.

    Raises:
        InputError: layers of unlike numbers of tokens, or a mask of another number.
    """
    lengths = {shape[0] for shape in shapes}
    if len(lengths) > 1:
        raise InputError("reduce", Text(f"layers of {sorted(lengths)} tokens"), "layers with the same number of tokens")
    tokens = lengths.pop()
    if mask is None:
        return count * tokens
    if mask.shape[1] != tokens:
        found = Text(f"{tokens} tokens in layers and {mask.shape[1]} in labels or attention_mask")
        raise InputError("reduce", found, "one number of tokens")
    return int(mask.sum())


class Probe:
    """A model, its probe inputs and the layers to look at.

    Arguments:
        tokens: which tokens (sample, token) are samples under reduce="tokens", beside the mask of the inputs.

    Raises:
        InputError: layers or a rule that do not fit, or a model that fails on the inputs.
    """

    def __init__(self, model: nn.Module, inputs: ProbeInputs, layers: Any, rule: Any, tokens: Tensor | None = None) -> None:
        self.model = model
        self.inputs = inputs
        self.mask = inputs.mask if tokens is None else tokens if inputs.mask is None else tokens & inputs.mask
        self.rule = rule
        names = {module: name for name, module in model.named_modules() if module is not model}
        calls: list[Call] = []
        times: Counter[str] = Counter()

        def seen(module: nn.Module, arguments: Any, output: Any) -> None:
            name = names[module]
            times[name] += 1
            found = first_tensor(output)
            calls.append(Call(name, times[name], module, None if found is None else found.detach().clone()))

        self.traced = inputs.calls_of(min(TRACED, inputs.count))
        with side_effect_free(model):
            with _hooked(names, seen):
                own = first_tensor(self._forward(0, self.traced))
            again = first_tensor(self._forward(0, self.traced))
        #: Whether the same inputs give the same outputs in eval mode.
        self.deterministic = own is None or again is None or torch.equal(own, again)
        chosen = chosen_layers(model, calls, own, layers, self.traced)
        self.layers = [self._layer(call) for call in chosen]
        shapes = [layer.shape for layer in self.layers]
        self.batch = batch_size(inputs, shapes)
        self.samples = rows_of_each(inputs.count, shapes, self.mask) if rule == "tokens" else inputs.count

    def _layer(self, call: Call) -> Layer:
        assert call.output is not None
        rule, reduce = reduction(call.name, call.module, tuple(call.output.shape[1:]), self.rule)
        mask = None if self.mask is None else self.mask[: self.traced].to(call.output.device)
        rows = reduce(widened(call.output), mask)
        wanted = self.traced if self.rule != "tokens" else None
        if not isinstance(rows, Tensor) or rows.ndim != 2 or (wanted is not None and len(rows) != wanted):
            shape = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            found = Text(f"{shape} for layer {call.name!r}")
            raise InputError("reduce", found, f"a callable from {tuple(call.output.shape)} to (sample, unit)")
        width = rows.shape[1] * (2 if rows.is_complex() else 1)
        bare = ROOT if call.module is self.model else call.name.partition("#")[0]
        return Layer(call.name, bare, call.number, call.module, tuple(call.output.shape[1:]), rule, reduce, width)

    def _forward(self, start: int, stop: int) -> Any:
        return self.inputs.call(self.model, self.inputs.batch(start, stop, device_of(self.model)))

    def __call__(self) -> list[np.ndarray]:
        """All layers' rows (sample, unit) on the CPU, float32 or, of a layer in double precision, float64.

        Raises:
            InputError: the model no longer returns what it did.
        """
        rows: list[np.ndarray] = [np.empty((0, layer.width), np.float32) for layer in self.layers]
        places = {(layer.module_name, layer.call): k for k, layer in enumerate(self.layers)}
        modules = {layer.module: layer.module_name for layer in self.layers if layer.module_name != ROOT}
        times: Counter[str] = Counter()
        filled = [0] * len(rows)
        mask: Tensor | None = None

        def keep(place: int, output: Any) -> None:
            layer, values = self.layers[place], first_tensor(output)
            if values is None or tuple(values.shape[1:]) != layer.shape:
                shape = None if values is None else tuple(values.shape[1:])
                raise InputError(
                    "model", Text(f"{shape} a sample in layer {layer.name!r}"), f"{layer.shape}, as at the start"
                )
            reduced = layer.reduce(widened(values.detach()), None if mask is None else mask.to(values.device))
            part = side_by_side(reduced).cpu()
            if not filled[place]:
                rows[place] = np.empty((self.samples, layer.width), part.numpy().dtype)
            rows[place][filled[place] : filled[place] + len(part)] = part.numpy()
            filled[place] += len(part)

        def seen(module: nn.Module, arguments: Any, output: Any) -> None:
            name = modules[module]
            times[name] += 1
            place = places.get((name, times[name]))
            if place is not None:
                keep(place, output)

        with side_effect_free(self.model), _hooked(modules, seen):
            for start in range(0, self.inputs.count, self.batch):
                stop = min(start + self.batch, self.inputs.count)
                mask = None if self.mask is None else self.mask[start:stop]
                times.clear()
                output = self._forward(start, stop)
                if (ROOT, 1) in places:
                    keep(places[ROOT, 1], output)
                del output
        if any(count != self.samples for count in filled):
            missing = self.layers[next(k for k, count in enumerate(filled) if count != self.samples)].name
            raise InputError(
                "model", Text(f"layer {missing!r} not called as at the start"), "the same calls at every snapshot"
            )
        return rows


@contextmanager
def _hooked(modules: dict[nn.Module, str], hook: Callable[[nn.Module, Any, Any], None]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
