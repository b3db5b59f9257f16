"""Which modules are the layers of a model: by default those whose outputs the next ones compute on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from flowplane.errors import InputError, Text, unknown
from flowplane.recorder.numbers import numeric

__all__ = ["OUTPUT", "Call", "chosen_layers", "like"]

CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
#: What the model itself returns, where no module returned it already.
OUTPUT = "output"


@dataclass(frozen=True)
class Call:
    """One call of a module while the model was traced: the module's name, which call of it, what it returned."""

    name: str
    number: int
    module: nn.Module
    output: Tensor | None


def chosen_layers(model: nn.Module, calls: Sequence[Call], output: Tensor | None, layers: Any, samples: int) -> list[Call]:
    """The calls to record, in the order in which they were made; their names may end in "#k", the k-th call of several.

    Arguments:
        calls: of all modules, in the order of their ends.
        output: of the model itself.
        layers: None for the default; names, patterns such as "h.*", module types, or a list of these.

    Raises:
        InputError: unknown names, patterns that fit nothing, modules that were not called or return no floating-point
            tensor with the samples first.
    """
    taken = any(call.name == OUTPUT for call in calls)
    own = Call(f"{OUTPUT} of the model" if taken else OUTPUT, 1, model, output)
    times = Counter(call.name for call in calls)
    numbered = [_numbered(call, times) for call in calls]
    if layers is None:
        return _default(model, numbered, own, samples)
    wanted = [layers] if isinstance(layers, str | type) else list(layers) if isinstance(layers, Sequence) else None
    if not wanted:
        raise InputError("layers", layers, "None, or names, patterns or types of modules")
    names = (name for call in numbered for name in (call.name, call.name.partition("#")[0]))
    known = [*dict.fromkeys(names), own.name]
    chosen: list[Call] = []
    for each in wanted:
        fitting = [call for call in numbered if _fits(call, each)]
        fitting += [own] if isinstance(each, str) and _fits(own, each) else []
        if not fitting:
            _refuse(model, each, known)
        chosen += [call for call in fitting if call not in chosen]
    for call in chosen:
        if not _recordable(call, samples):
            shape = None if call.output is None else tuple(call.output.shape)
            found = Text(f"{call.name!r}, which returns {'no tensor' if shape is None else f'shape {shape}'}")
            raise InputError("layers", found, "modules that return floating-point numbers, the samples first")
    return sorted(chosen, key=[*numbered, own].index)


def _numbered(call: Call, times: Counter[str]) -> Call:
    return call if times[call.name] == 1 else Call(f"{call.name}#{call.number}", call.number, call.module, call.output)


def _fits(call: Call, wanted: Any) -> bool:
    if isinstance(wanted, type):
        return isinstance(call.module, wanted)
    bare = call.name.partition("#")[0]
    return wanted in (call.name, bare) or (isinstance(wanted, str) and (like(call.name, wanted) or like(bare, wanted)))


def like(name: str, pattern: str) -> bool:
    """Whether a dotted name fits a pattern: * and ? stand for what is within one part, ** for any number of parts.

    Example:
        >>> [like(name, "h.*") for name in ("h.0", "h.0.mlp", "h")], like("h.0.mlp", "h.**"), like("h.0.mlp", "**.mlp")
        ([True, False, False], True, True)
    """
    return _parts_like(name.split("."), pattern.split("."))


def _parts_like(name: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_parts_like(name[skipped:], pattern[1:]) for skipped in range(len(name) + 1))
    return bool(name) and fnmatchcase(name[0], pattern[0]) and _parts_like(name[1:], pattern[1:])


def _refuse(model: nn.Module, wanted: Any, known: list[str]) -> None:
    if isinstance(wanted, str) and wanted in dict(model.named_modules()):
        raise InputError("layers", wanted, "modules that the model calls on these inputs; this one it does not")
    if not isinstance(wanted, str | type):
        raise InputError("layers", wanted, "names, patterns or types of modules")
    raise unknown("layers", wanted.__name__ if isinstance(wanted, type) else wanted, known)


def _recordable(call: Call, samples: int) -> bool:
    output = call.output
    return output is not None and numeric(output) and output.ndim >= 1 and len(output) == samples


def _default(model: nn.Module, calls: list[Call], own: Call, samples: int) -> list[Call]:
    """The root's children, containers and stacks of blocks opened; a wrapper around one model is opened as well."""
    usable = [call for call in calls if _recordable(call, samples)]
    root, prefix = model, ""
    while True:
        names = set(_opened(root, prefix))
        found = [call for call in usable if call.name.partition("#")[0] in names]
        single = {call.name for call in found}
        if len(single) != 1 or not _has_called_children(found[0], usable):
            break
        root, prefix = found[0].module, f"{found[0].name}."
    if _recordable(own, samples):
        found.append(own)
    distinct: list[Call] = []
    for call in found:
        if not any(_same(call.output, other.output) for other in distinct):
            distinct.append(call)
    if not distinct:
        raise InputError(
            "model", Text(type(model).__name__), "a model that returns floating-point numbers, the samples first"
        )
    return distinct


def _has_called_children(call: Call, usable: Sequence[Call]) -> bool:
    if isinstance(call.module, (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
        return False
    return sum(other.name.startswith(f"{call.name}.") for other in usable) > 1


def _opened(module: nn.Module, prefix: str) -> Iterator[str]:
    """Names of a module's children, where containers and what holds a stack of blocks are replaced by theirs."""
    for name, child in module.named_children():
        if isinstance(child, CONTAINERS) or (not isinstance(module, nn.ModuleList) and _holds_stack(child)):
            yield from _opened(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _holds_stack(module: nn.Module) -> bool:
    """Whether a list of blocks is in it, such as those of a transformer."""
    return any(isinstance(part, nn.ModuleList) and len(part) > 1 for part in module.modules())


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two outputs are the same numbers in the same order: dropout in eval mode, flattening."""
    assert one is not None and other is not None
    return one.numel() == other.numel() and torch.equal(one.flatten(), other.flatten())
