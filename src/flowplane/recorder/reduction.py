"""From what a module returns to a point a sample: feature maps and token sequences are reduced by a stated rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flowplane.errors import InputError, Text, unknown

__all__ = ["RULES", "Reduction", "checked_rule", "first_tensor", "reduction"]

RULES = ("auto", "flatten", "mean", "tokens")
#: "auto" flattens feature maps up to so many numbers, and takes their mean over space above.
FLATTENED = 1024
#: Entries of a dict or a model output that are taken before others.
PREFERRED = ("last_hidden_state", "logits")
#: Modules whose outputs are (sample, channel, place): anything else of three dimensions is (sample, token, unit).
CHANNELS_FIRST = (
    nn.Conv1d,
    nn.ConvTranspose1d,
    nn.BatchNorm1d,
    nn.MaxPool1d,
    nn.AvgPool1d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveMaxPool1d,
)

Reduction = Callable[[Tensor, Tensor | None], Tensor]


def checked_rule(reduce: Any) -> Any:
    """The rule. Raises InputError for what is none."""
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


def reduction(layer: str, module: nn.Module, shape: tuple[int, ...], rule: Any) -> tuple[str, Reduction]:
    """What the rule means for a layer of this shape, without the samples, in words and as a function of (output, mask).

    Raises:
        InputError: "tokens" for a layer that has none.
    """
    channels_first = len(shape) >= 3 or isinstance(module, CHANNELS_FIRST)
    if callable(rule):
        return getattr(rule, "__name__", type(rule).__name__), lambda values, mask: rule(values)
    if rule == "tokens":
        if len(shape) != 2 or channels_first:
            found = Text(f"layer {layer!r} with outputs of shape {('sample', *shape)}")
            raise InputError("reduce", found, "'tokens' for layers (sample, token, unit) only; name them in layers=")
        return "every token a sample", _tokens
    if len(shape) <= 1:
        return "as it is", lambda values, mask: values.reshape(len(values), -1)
    numbers = int(torch.Size(shape).numel())
    if rule == "flatten" or (rule == "auto" and channels_first and numbers <= FLATTENED):
        return "flattened", lambda values, mask: values.flatten(1)
    if channels_first:
        return "mean over places", lambda values, mask: values.flatten(2).mean(2)
    return "mean over tokens", _mean_of_tokens


def _mean_of_tokens(values: Tensor, mask: Tensor | None) -> Tensor:
    values = values.flatten(2)
    if mask is None or mask.shape != values.shape[:2]:
        return values.mean(1)
    weights = mask.to(values).unsqueeze(2)
    return (values * weights).sum(1) / weights.sum(1).clamp(min=1)


def _tokens(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values.flatten(0, 1)
    return values[mask]
