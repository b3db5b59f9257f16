"""Which calls of a model are its layers: by default its states, otherwise those that are named."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from flowplane.core.callers import outside
from flowplane.errors import InputError, Text, unknown
from flowplane.recorder.reduction import LAYOUTS
from flowplane.recorder.tracing.trace import Judged, Trace

__all__ = ["chosen_layers", "layout_of", "left_out", "like"]

#: Layers that are taken where none are named.
MOST = 40
HANDED_ON = "returns its input unchanged"
#: How reasons begin that only say where the numbers are; they stand last.
MERELY = ("inside ", "the same tensor as ", "not chosen")


def chosen_layers(model: nn.Module, trace: Trace, layers: Any) -> list[Judged]:
    """The calls to record, in the order in which they ended.

    Arguments:
        layers: None for the default; names, patterns such as "h.*", module types, or a list of these. Names may end in
            "#k", the k-th call of several.

    Raises:
        InputError: unknown names, patterns that fit nothing, calls that cannot be recorded, with the reason.
    """
    if layers is None:
        return _default(model, trace)
    wanted = [layers] if isinstance(layers, str | type) else list(layers) if isinstance(layers, Sequence) else None
    if not wanted:
        raise InputError("layers", layers, "None, or names, patterns or types of modules")
    calls = [each for each in trace.calls if not each.call.absorbed]
    chosen: list[Judged] = []
    for each in wanted:
        named = [call for call in calls if each in (call.name, call.bare)] if isinstance(each, str) else []
        # a call that returns its input is the same tensor again: it is recorded only where it is named
        fitting = named or [call for call in calls if _fits(call, each) and not call.call.handed_on]
        if not fitting:
            _refuse(model, each, calls)
        usable = [call for call in fitting if call.why is None]
        if not usable:
            found = Text(f"{fitting[0].name!r}, which {_clause(fitting[0])}")
            raise InputError("layers", found, "layers whose rows are samples: `left_out` says why each of these is not one")
        chosen += [call for call in usable if call not in chosen]
    return sorted(chosen, key=trace.calls.index)


def _clause(judged: Judged) -> str:
    why = judged.why or ""
    verbs = ("returns", "mixes", "depends", "hands", "keeps")
    return why if why.startswith(verbs) else f"is left out: {why}"


def _fits(judged: Judged, wanted: Any) -> bool:
    if isinstance(wanted, type):
        return judged.call.function is None and bool(judged.call.key[0]) and isinstance(judged.call.module, wanted)
    if not judged.call.key[0] and judged.call.function is None:  # the model itself fits no pattern
        return False
    return isinstance(wanted, str) and (like(judged.name, wanted) or like(judged.bare, wanted))


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


def _refuse(model: nn.Module, wanted: Any, calls: Sequence[Judged]) -> None:
    if isinstance(wanted, str) and wanted in dict(model.named_modules()):
        raise InputError("layers", wanted, "modules that the model calls on these inputs; it does not call this one")
    if not isinstance(wanted, str | type):
        raise InputError("layers", wanted, "names, patterns or types of modules")
    known = dict.fromkeys(name for call in calls if call.why is None for name in (call.name, call.bare))
    raise unknown("layers", wanted.__name__ if isinstance(wanted, type) else wanted, list(known))


def _default(model: nn.Module, trace: Trace) -> list[Judged]:
    found = [each for each in trace.calls if each.default]
    if not found:
        reasons = "; ".join(f"{each.name}: {each.why}" for each in trace.calls[:5])
        name = Text(f"{type(model).__name__}, of which no call has the samples as rows ({reasons or 'none was seen'})")
        raise InputError("model", name, "a model that returns floating-point numbers for each sample")
    missing: dict[str | None, list[str]] = {}
    for each in trace.calls:
        if each.missing:
            missing.setdefault(each.why, []).append(each.name)
    if missing:
        some = "; ".join(f"{', '.join(names[:5])}{', …' if names[5:] else ''} ({why})" for why, names in missing.items())
        warnings.warn(f"not recorded, though layers of the model: {some}", RuntimeWarning, stacklevel=outside())
    if len(found) > MOST:
        places = [round(k * (len(found) - 1) / (MOST - 1)) for k in range(MOST)]
        message = f"{MOST} of {len(found)} layers are recorded, evenly spaced; name others in layers=[…]"
        warnings.warn(message, RuntimeWarning, stacklevel=outside())
        found = [found[place] for place in places]
    return found


def layout_of(layout: Mapping[str, str] | None, chosen: Sequence[Judged]) -> dict[str, str]:
    """What a user says of the axes of layers, by their names.

    Raises:
        InputError: patterns that fit no layer, words other than those of `LAYOUTS`.
    """
    found: dict[str, str] = {}
    for pattern, value in (layout or {}).items():
        if value not in LAYOUTS:
            raise unknown("layout", value, LAYOUTS)
        fitting = [each.name for each in chosen if pattern in (each.name, each.bare) or _fits(each, pattern)]
        if not fitting:
            raise unknown("layout", pattern, [each.name for each in chosen])
        found |= dict.fromkeys(fitting, value)
    return found


def left_out(trace: Trace, chosen: Sequence[Judged]) -> list[dict[str, Any]]:
    """What ran but is not recorded, and why: one entry per module or function, shape and reason."""
    nodes = {each.call.node: each for each in chosen if each.call.node >= 0}
    recorded = {id(each.call): each for each in chosen}
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for each in trace.calls:
        if id(each.call) in recorded or each.call.absorbed:
            continue
        why = each.why or (HANDED_ON if each.call.handed_on else _because(each, nodes, recorded))
        kind = "function" if each.call.function else "module"
        shape = "" if each.call.shape is None else str(tuple(each.call.shape[1:]))
        row = rows.setdefault(
            (each.bare, shape, why), {"name": each.bare, "kind": kind, "calls": 0, "shape": shape, "why": why}
        )
        row["calls"] += 1
    return sorted(rows.values(), key=lambda row: row["why"].startswith(MERELY))


def _because(judged: Judged, nodes: dict[int, Judged], recorded: dict[int, Judged]) -> str:
    if judged.call.node in nodes:
        return f"the same tensor as {nodes[judged.call.node].name}"
    for above in judged.call.around:
        if id(above) in recorded and above.parent is not None:  # all are inside the model
            return f"inside {recorded[id(above)].name}"
    return "not chosen: name it in layers="
