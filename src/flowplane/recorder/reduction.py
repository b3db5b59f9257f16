"""From what a module returns to one point per sample: feature maps and token sequences are reduced by a stated rule."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from flowplane.errors import InputError, Text, unknown
from flowplane.recorder.hashing import HASHED, hashed

__all__ = ["LAYOUTS", "RULES", "Reduction", "checked_rule", "first_tensor", "reduction"]

RULES = ("auto", "flatten", "mean", "max", "last", "cls", "tokens")
LAYOUTS = ("channels_first", "channels_last")
#: Entries of a dict or a model output that are taken before others.
PREFERRED = ("last_hidden_state", "logits")

#: From rows (sample, …) and which places are not padding to (sample, unit).
Rows = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Reduction:
    """How a layer's outputs become rows.

    Arguments:
        words: what it does.
        rows: as a function of outputs (sample, …) and of which places are not padding.
        statistic: "mean" or "max" where it is one over all places.
    """

    words: str
    rows: Rows
    statistic: str | None = None


def checked_rule(reduce: Any) -> Any:
    """The rule. Raises InputError for anything else."""
    if callable(reduce):
        return reduce
    if not isinstance(reduce, str) or reduce not in RULES:
        raise unknown("reduce", reduce, [*RULES, "a callable"])
    return reduce


def first_tensor(output: Any) -> Tensor | None:
    """The tensor that stands for a module's output: itself, a dict's `last_hidden_state` or `logits`, otherwise the first
    one with samples in it; None where there is none.

    Example:
        >>> first_tensor({"loss": torch.tensor(1.0), "logits": torch.zeros(2, 3)}).shape
        torch.Size([2, 3])
    """
    if isinstance(output, Tensor):
        return output if output.ndim else None
    parts: list[Any] = []
    if isinstance(output, Mapping):
        parts = [*(output[name] for name in PREFERRED if name in output), *output.values()]
    elif isinstance(output, tuple | list):
        parts = list(output)
    elif is_dataclass(output):
        parts = [getattr(output, each.name) for each in fields(output)]
    for part in parts:
        found = first_tensor(part)
        if found is not None:
            return found
    return None


def reduction(layer: str, shape: Sequence[int], units: tuple[int, ...] | None, rule: Any, varies: bool = False) -> Reduction:
    """What the rule means for rows (sample, *shape).

    Arguments:
        units: axes that are units, from 1; all others are places. None: not known.
        varies: whether a sample's shape depends on the rest of the batch.

    Raises:
        InputError: a rule that needs tokens where there are none, or one shape where there is none.
    """
    axes = tuple(range(1, len(shape) + 1))
    if callable(rule):
        name = getattr(rule, "__name__", type(rule).__name__)
        return Reduction(name, rule if _takes_a_mask(rule) else lambda rows, mask: rule(rows))
    known = axes if units is None and len(axes) <= 1 else units
    places = () if known is None else tuple(axis for axis in axes if axis not in known)
    sequence = len(places) == 1 and known is not None and (not known or places[0] < known[0])
    if rule == "tokens":
        if not places:
            found = Text(f"layer {layer!r} with outputs of shape {('sample', *shape)}")
            raise InputError("reduce", found, "'tokens' for layers with tokens or places only; name them in layers=")
        return Reduction("every token a sample", _over(places, _tokens, varies))
    if varies and (rule == "flatten" or (rule == "auto" and not sequence)):
        found = Text(f"{rule!r} for layer {layer!r}, whose shape {tuple(shape)} depends on the other samples of the batch")
        raise InputError("reduce", found, "'mean', 'max', 'last', 'cls' or a callable, or inputs padded to one length")
    if len(axes) <= 1 or (known is not None and not places):
        return Reduction("as it is" if len(axes) <= 1 else "flattened", _flattened)
    if known is None or rule == "flatten" or (rule == "auto" and not sequence):
        why = " (which axis is units is not known)" if known is None else ""
        numbers = int(torch.Size(shape).numel())
        if rule != "flatten" and numbers > HASHED:
            return Reduction(f"hashed to {HASHED} numbers{why}", lambda rows, mask: hashed(rows.flatten(1)))
        return Reduction(f"flattened{why}", _flattened)
    if rule in ("last", "cls"):
        if not sequence:
            found = Text(f"layer {layer!r} with outputs of shape {('sample', *shape)}")
            raise InputError("reduce", found, f"{rule!r} for layers (sample, token, unit) only; name them in layers=")
        which, one = ("last", _last) if rule == "last" else ("first", _first)
        return Reduction(f"{which} token", _over(places, one, varies))
    statistic, name, over = ("max", "maximum", _most) if rule == "max" else ("mean", "mean", _mean)
    return Reduction(f"{name} over {'tokens' if sequence else 'places'}", _over(places, over, varies), statistic)


def _takes_a_mask(rule: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(rule).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len([each for each in positional if each.default is each.empty]) >= 2 or "mask" in [e.name for e in positional]


def _flattened(rows: Tensor, mask: Tensor | None) -> Tensor:
    return rows.reshape(len(rows), -1)


def _over(places: tuple[int, ...], reduce: Rows, varies: bool) -> Rows:
    """For rows (sample, place, unit): all places as one axis, and a mask only where it covers these places; batches that
    vary may leave out places that are padding in all their samples."""

    def of(rows: Tensor, mask: Tensor | None) -> Tensor:
        n = len(rows)
        count = int(torch.Size([rows.shape[axis] for axis in places]).numel())
        front = rows.movedim(places, tuple(range(1, len(places) + 1))).reshape(n, count, -1)
        if mask is None or mask.ndim != 2 or len(mask) != n or mask.shape[1] < count:
            return reduce(front, None)
        fits = mask.shape[1] == count or (varies and not bool(mask[:, count:].any()))
        return reduce(front, mask[:, :count] if fits else None)

    return of


def _mean(rows: Float[Tensor, "n place unit"], mask: Bool[Tensor, "n place"] | None) -> Tensor:
    if mask is None:
        return rows.mean(1)
    weights = mask.to(rows).unsqueeze(2)
    return torch.where(mask.unsqueeze(2), rows, 0).sum(1) / weights.sum(1).clamp(min=1)


def _most(rows: Float[Tensor, "n place unit"], mask: Bool[Tensor, "n place"] | None) -> Tensor:
    if mask is None:
        return rows.amax(1)
    most = torch.where(mask.unsqueeze(2), rows, -torch.inf).amax(1)
    return torch.where(mask.any(1, keepdim=True), most, 0)


def _last(rows: Float[Tensor, "n place unit"], mask: Bool[Tensor, "n place"] | None) -> Tensor:
    if mask is None:
        return rows[:, -1]
    order = torch.arange(mask.shape[1], device=mask.device)
    return rows[torch.arange(len(rows), device=rows.device), (mask * order).amax(1)]


def _first(rows: Float[Tensor, "n place unit"], mask: Bool[Tensor, "n place"] | None) -> Tensor:
    if mask is None:
        return rows[:, 0]
    return rows[torch.arange(len(rows), device=rows.device), mask.int().argmax(1)]


def _tokens(rows: Float[Tensor, "n place unit"], mask: Bool[Tensor, "n place"] | None) -> Tensor:
    return rows.flatten(0, 1) if mask is None else rows[mask]
