"""One run of a model, watched: every call of a module, and every call of a torch function with the coordinates it makes."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from flowplane.recorder.numbers import numeric
from flowplane.recorder.reduction import first_tensor
from flowplane.recorder.tracing.coordinates import NONE, Coordinates, padded_steps
from flowplane.recorder.tracing.functions import is_layer, kind_of_function
from flowplane.recorder.tracing.graph import Graph
from flowplane.recorder.tracing.operations import RECURRENT
from flowplane.recorder.tracing.rules import CARRIED, FRESH, REDUCED, SORTED, WRITTEN, coordinates_after, name_of, tensors_in

__all__ = ["Call", "Key", "Watch"]

#: (module, number of its call), or for a function (module, number of its call, function, number within that call).
Key = tuple[Any, ...]
#: Modules in which no function counts.
CLOSED = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
#: Calls of functions within one module after which coordinates are carried no further there.
MOST = 50_000
#: Tensors that a model returns, of which all are looked at.
MOST_OUTPUTS = 16
#: Calls that make ids of other numbers, and those that look ids up in a table.
CHOSEN = {"argmax", "argmin"}
LOOKED_UP = {"embedding", "embedding_bag"}
#: Whole numbers that they return are not new ids; whole numbers that they take only say where others go.
ORDERED, PLACED = SORTED | REDUCED, WRITTEN | RECURRENT
#: Calls that make tensors from other things.
CREATED = {"tensor", "as_tensor", "asarray", "from_numpy", "frombuffer"}
#: Calls that count, and the place in the graph of what was counted.
COUNTING, POSITION = {"cumsum", "arange", "cumprod"}, -2


@dataclass
class Call:
    """A call of a module or function: what it returned, as coordinates and shape.

    Arguments:
        parent: the call of the module in which it was made; None for the model's own.
        kind: of a function, as in `kind_of_function`.
        handed_on: whether it returned its input's own storage, whole and unchanged.
        start, stop: of the graph, the first node that was made in it, and the first one after it.
        lengths: of the sequences that were packed.
        numbers: of the functions that were called in it, by name.
        functions: calls of functions in it, but for those in modules inside.
        returned: the tensor that a function returned.
    """

    key: Key
    module: nn.Module
    parent: Call | None
    kind: str | None = None
    shape: tuple[int, ...] | None = None
    floating: bool = False
    complex: bool = False
    own: Coordinates | None = None
    node: int = -1
    start: int = 0
    stop: int = 0
    handed_on: bool = False
    in_vmap: bool = False
    absorbed: bool = False
    lengths: Tensor | None = None
    numbers: Counter[str] = field(default_factory=Counter)
    functions: list[Call] = field(default_factory=list)
    returned: weakref.ref[Tensor] | None = None

    @property
    def function(self) -> str | None:
        """The function's name, if it is a call of a function."""
        return self.key[2] if len(self.key) > 2 else None

    @property
    def around(self) -> Iterator[Call]:
        """The calls of modules in which it was made, the nearest first."""
        above = self.parent
        while above is not None:
            yield above
            above = above.parent


class Watch(TorchFunctionMode):
    """Watches one run; use as a context manager around the model's call.

    Arguments:
        model: the model; its own call is the one of the name "".
        inputs: of this run, the samples first.
        carried: whether coordinates are carried beside each tensor.
        keep: called with each call and what it returned, padded where it was packed.
        functions: whether functions are looked at.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: list[Tensor],
        carried: bool,
        keep: Callable[[Call, Tensor], None],
        functions: bool = True,
        names: Mapping[nn.Module, str] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.carried, self.keep, self.functions = model, carried, keep, functions
        self.names = {module: name for name, module in model.named_modules()} if names is None else names
        seen = list(model.named_modules()) if functions or carried else []
        self.owners = {id(part): name for name, module in seen for part in module._parameters.values()}
        self.owning = {id(part): module for _, module in seen for part in module._parameters.values()}
        self.calls: list[Call] = []
        self.graph = Graph()
        self._table: Any = WeakTensorKeyDictionary()
        self._stack: list[tuple[Call, list[tuple[Tensor, int | None]]]] = []
        self._times: Counter[str] = Counter()
        self._kept = {id(part) for part in model.buffers()} | set(self.owners)
        #: What calls made that depends on no sample.
        self._made: Any = WeakTensorKeyDictionary()
        self._seen: Counter[str] = Counter()
        #: Modules in which coordinates were carried no further.
        self.lost: set[str] = set()
        #: Nodes of what the model returned.
        self.outputs: list[int] = []
        self._inputs = tuple(inputs)
        if carried:
            for values in inputs:
                self._register(values)

    def known(self, tensor: Any) -> Coordinates | None:
        """Coordinates of a tensor; None where it is the same for all samples."""
        return self._table.get(tensor) if isinstance(tensor, Tensor) and not _wrapped(tensor) else None

    def run(self, call: Callable[[], Any]) -> None:
        """Watch one run: the model's own call is whatever is called and returned here."""
        handles = []
        for module in self.names:
            if module is self.model:
                continue
            # as a function of Module: a scripted module's own method refuses
            handles.append(nn.Module.register_forward_pre_hook(module, self._begin, with_kwargs=True))
            handles.append(nn.Module.register_forward_hook(module, self._end, with_kwargs=True))
        try:
            self._begin(self.model, self._inputs, {})
            with self if self.functions or self.carried else nullcontext():
                output = call()
            self._end(self.model, (), {}, output)
            parts = output if isinstance(output, tuple | list) else ()
            self.outputs = [own.node for own in (self.known(first_tensor(each)) for each in parts[:MOST_OUTPUTS]) if own]
            self.outputs = self.outputs or [self.calls[-1].node]
        finally:
            for handle in handles:
                handle.remove()

    def _register(self, values: Tensor) -> None:
        node = self.graph.input()
        samples = torch.arange(float(len(values)), dtype=torch.float32, device="cpu").reshape(-1, *(1,) * (values.ndim - 1))
        # rows, or sequences of them: maps have their channels where the first convolution finds them
        units = torch.arange(float(values.shape[-1]), dtype=torch.float32, device="cpu") if values.ndim in (2, 3) else None
        if units is not None:
            units = units.reshape((1,) * (values.ndim - 1) + (-1,))
        self._table[values] = Coordinates(tuple(values.shape), samples, units, node=node)

    # modules

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        name = "" if module is self.model else self.names[module]
        self._times[name] += 1
        with torch._C.DisableTorchFunction():
            given = [(each, _version(each)) for each in tensors_in([*args, kwargs]) if not _wrapped(each)]
        parent = self._stack[-1][0] if self._stack else None
        call = Call((name, self._times[name]), module, parent, start=len(self.graph.parents))
        self._stack.append((call, given))

    def _end(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        with torch._C.DisableTorchFunction():
            while self._stack and self._stack[-1][0].module is not module:  # an exception left them
                self._stack.pop()
            if not self._stack:
                return
            call, given = self._stack.pop()
            call.stop = len(self.graph.parents)
            packed = _packed(output)
            found = packed.data if packed is not None else first_tensor(output)
            if found is None:
                self.calls.append(call)
                return
            if self.carried and not _wrapped(found) and self.known(found) is None and found not in self._made:
                self._opaque(module, found, [each for each, _ in given])
            self._fill(call, found, packed)
            if packed is None:
                call.handed_on = not any(True for _ in module.parameters()) and any(
                    _same_storage(found, each, version) for each, version in given
                )
            for other in call.functions:
                same = other.returned is not None and other.returned() is found
                other.absorbed = other.node == call.node and (call.node >= 0 or same)
            self._emit(call, found, packed)

    def _opaque(self, module: nn.Module, found: Tensor, given: list[Tensor]) -> None:
        """What a module returned in which no function was seen: of a scripted one the axes are those of an input of the same
        lengths."""
        owns = [own for own in map(self.known, given) if own is not None]
        node = self.graph.add(tuple(own.node for own in owns))
        scripted = isinstance(module, torch.jit.ScriptModule)
        alike = next((own for own in owns if scripted and own.shape == tuple(found.shape)), None)
        self._table[found] = (alike or Coordinates(tuple(found.shape))).at(node)

    def _fill(self, call: Call, found: Tensor, packed: PackedSequence | None = None) -> None:
        call.shape, call.complex = tuple(found.shape), found.is_complex()
        call.floating = numeric(found)
        call.in_vmap = _wrapped(found)
        call.own = self.known(found)
        call.node = -1 if call.own is None else call.own.node
        if packed is not None:
            padded, call.lengths = pad_packed_sequence(packed, batch_first=True)
            call.shape = tuple(padded.shape)
            if call.own is not None:
                call.own = _unpacked(packed, call.own)

    def _emit(self, call: Call, found: Tensor, packed: PackedSequence | None = None) -> None:
        self.calls.append(call)
        if call.floating and not call.in_vmap:
            self.keep(call, found if packed is None else pad_packed_sequence(packed, batch_first=True)[0])

    # functions

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = name_of(function)
        if name in ("shape", "dtype", "device", "size", "dim", "ndim", "is_nested", "requires_grad", "layout", "is_cuda"):
            return function(*args, **kwargs)
        before: dict[int, Coordinates | None] = {}
        inside = self._stack[-1][0].key[0] if self._stack else ""
        carried = self.carried and inside not in self.lost
        if carried:
            self._seen[inside] += 1
            if self._seen[inside] >= MOST:
                self.lost.add(inside)
            before = {id(each): self.known(each) for each in tensors_in([*args, kwargs])}
        output = function(*args, **kwargs)
        outputs = list(tensors_in(output))
        if function is torch.Tensor.__setitem__:
            outputs = [args[0]]
        if outputs and not any(map(_wrapped, outputs)):
            with torch._C.DisableTorchFunction():
                self._called(function, name, args, kwargs, outputs, before if carried else None)
        return output

    def _called(
        self,
        function: Any,
        name: str,
        args: Any,
        kwargs: dict[str, Any],
        outputs: list[Tensor],
        before: dict[int, Coordinates | None] | None,
    ) -> None:
        known: Callable[[Any], Coordinates | None] | None = None
        if before is not None:
            near = dict(before)
            known = lambda tensor: near.get(id(tensor))  # noqa: E731
            try:
                found = coordinates_after(
                    function, name, _on_cpu(args, near), _on_cpu(kwargs, near), _on_cpu(outputs, near), known
                )
            except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, NotImplementedError):
                found = [None] * len(outputs)  # the passes decide
            self._place(name, args, outputs, found, before)
        if self._stack:
            self._listed(name, args, kwargs, outputs, known)

    def _place(
        self,
        name: str,
        args: Any,
        outputs: list[Tensor],
        found: list[Coordinates | None],
        before: dict[int, Coordinates | None],
    ) -> None:
        moves = name in CARRIED
        if _whole(outputs[0]) and (not moves or name in COUNTING) and name not in ORDERED:
            return self._place_whole(name, args, outputs, found, before)
        parents = [self._source(each, before.get(id(each)), ids) for each, ids in self._sources(name, args, outputs, before)]
        parents = [parent for parent in parents if parent != -1]
        # packing sequences also returns their sizes
        data = not moves or not isinstance(args[0], Tensor) or numeric(args[0])
        shared = -1  # all that one call returns is one node: a recurrent layer's states and its outputs
        for each, own in zip(outputs, found, strict=True):
            node = -1
            if moves and parents and isinstance(args[0], Tensor) and _same_storage(each, args[0], _version(each)):
                node = parents[0]  # a view of all of it is the same tensor
            elif parents and (numeric(each) or not data or name in CHOSEN):
                if shared < 0:
                    shared = POSITION if set(parents) == {POSITION} else self.graph.add(tuple(parents), name)
                node = shared
            self._enter(each, own, node, name)
        return None

    def _sources(
        self, name: str, args: Any, outputs: list[Tensor], before: dict[int, Coordinates | None]
    ) -> Iterator[tuple[Tensor, bool]]:
        """The tensors that numbers come from, and whether they are ids: not those that only say where they go."""
        if name in FRESH:
            return
        moves = name in CARRIED
        if moves and isinstance(args[0], Tensor):
            table = name == "getitem" and before.get(id(args[0])) is None
            for each in tensors_in(args[1:] if table else args[:1]):
                yield each, table or not numeric(each)
            return
        ids = name in LOOKED_UP or (name not in PLACED and numeric(outputs[0]))
        for each in tensors_in(args):
            if numeric(each) or (ids and _whole(each)):
                yield each, not numeric(each)

    def _source(self, each: Tensor, own: Coordinates | None, ids: bool) -> int:
        """The node of a tensor that numbers come from; −1 for none."""
        if own is not None:
            return own.node
        if (numeric(each) or (ids and not self._inputs)) and self._from_elsewhere(each):
            # made of what was there last, in NumPy or by vmap; where no input is a tensor, it is an input
            return len(self.graph.parents) - 1 if self._inputs else self.graph.input()
        return -1

    def _place_whole(
        self,
        name: str,
        args: Any,
        outputs: list[Tensor],
        found: list[Coordinates | None],
        before: dict[int, Coordinates | None],
    ) -> None:
        """Whole numbers that were computed: ids of their own (labels shifted by one), an input like others; or positions,
        counted from a mask, which are not ids."""
        owns = [own for own in (before.get(id(each)) for each in tensors_in(args)) if own is not None]
        positions = name in COUNTING or any(own.node == POSITION for own in owns)
        for each, own in zip(outputs, found, strict=True):
            apart = own is not None and own.sample is not None
            node = (POSITION if positions else self.graph.input()) if apart else -1
            self._enter(each, own, node, name)

    def _enter(self, each: Tensor, own: Coordinates | None, node: int, name: str) -> None:
        """What is known of a tensor that a call of this name returned."""
        if own is None and node == -1:
            if each in self._table:
                del self._table[each]
            if self._inputs or name not in CREATED:
                self._made[each] = True
        else:
            self._table[each] = (own or Coordinates(tuple(each.shape))).at(node)

    def _from_elsewhere(self, tensor: Tensor) -> bool:
        """Whether no call that was seen made a tensor, and it is neither a parameter nor a buffer."""
        return not isinstance(tensor, nn.Parameter) and id(tensor) not in self._kept and tensor not in self._made

    def _listed(self, name: str, args: Any, kwargs: dict[str, Any], outputs: list[Tensor], known: Any) -> None:
        """Keeps the call of a function that counts as a layer."""
        inside = self._stack[-1][0]
        if not self.functions or any(isinstance(call.module, CLOSED) for call, _ in self._stack):
            return
        weights = [each for each in tensors_in([*args, kwargs]) if id(each) in self.owners]
        kind = kind_of_function(name, args, outputs[0].shape, [self.owners[id(each)] for each in weights])
        calling = {call.module for call, _ in self._stack}
        away = [each for each in weights if self.owning[id(each)] not in calling]
        if kind is None and (not away or name in CARRIED):
            return
        where, module = inside.key[:2], inside.module
        counted = inside
        if away:
            owner = self.owners[id(away[0])]
            where, module, counted = (owner, 0), self.owning[id(away[0])], self._stack[0][0]
        label = f"{where[0]}.{name}" if away else name
        counted.numbers[label] += 1  # whatever is known in this run, so that numbers are the same in all
        if kind is not None and known is not None and not is_layer(kind, name, args, self.known(outputs[0]), known):
            return
        call = Call((*where, name, counted.numbers[label]), module, inside, kind or "weights")
        inside.functions.append(call)
        call.returned = weakref.ref(outputs[0])
        self._fill(call, outputs[0])
        self._emit(call, outputs[0])


def _on_cpu(value: Any, owns: dict[int, Coordinates | None]) -> Any:
    """Nested arguments with places and masks where coordinates are, on the CPU; what is known of them goes along."""
    if isinstance(value, Tensor):
        if value.is_cpu or numeric(value):
            return value
        near = value.cpu()
        owns[id(near)] = owns.get(id(value))
        return near
    if isinstance(value, tuple | list) and any(True for _ in tensors_in(value)):
        return type(value)([_on_cpu(part, owns) for part in value])
    return {name: _on_cpu(part, owns) for name, part in value.items()} if isinstance(value, dict) else value


def _whole(tensor: Tensor) -> bool:
    """Whether its numbers are whole: ids, lengths, places."""
    return not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool


def _version(tensor: Tensor) -> int | None:
    try:
        return tensor._version
    except RuntimeError:  # made in inference mode
        return None


def _wrapped(tensor: Tensor) -> bool:
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def _same_storage(found: Tensor, given: Tensor, version: int | None) -> bool:
    """Whether it is the given tensor, whole and as it was."""
    if found.layout != torch.strided or given.layout != torch.strided or found.numel() != given.numel():
        return False
    same = found.data_ptr() == given.data_ptr() and found.numel() > 0 and found.dtype == given.dtype
    return same and (version is not None and _version(found) == version)


def _packed(output: Any) -> PackedSequence | None:
    if isinstance(output, PackedSequence):
        return output
    first = output[0] if isinstance(output, tuple) and output else None
    return first if isinstance(first, PackedSequence) else None


def _unpacked(packed: PackedSequence, own: Coordinates) -> Coordinates:
    """The coordinates of a packed sequence's numbers, padded as the numbers are."""

    def padded(values: Tensor) -> Tensor:
        return pad_packed_sequence(PackedSequence(values, *packed[1:]), batch_first=True, padding_value=NONE)[0]

    return padded_steps(padded, own).at(own.node)
