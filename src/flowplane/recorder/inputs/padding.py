"""Which tokens are padding: what the inputs' names and values, or `mask=`, say about it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from flowplane.core.arrays import as_tensor
from flowplane.core.callers import outside
from flowplane.errors import InputError, Text

__all__ = ["explicit_mask", "found_mask", "is_mask", "parameters_of"]

#: Masks that are true at tokens in every library, those of an encoder first.
AT_TOKENS = ("attention_mask", "input_mask", "token_mask", "valid_mask", "decoder_attention_mask")
#: Masks that are true at padding, as torch has them.
AT_PADDING = ("src_key_padding_mask", "key_padding_mask", "tgt_key_padding_mask")
#: Masks that are true at one or the other, depending on the model.
AT_EITHER = ("padding_mask", "pad_mask", "mask", "masks", "sequence_mask", "seq_mask", "attn_mask", "src_mask")


def parameters_of(model: nn.Module | None) -> dict[str, inspect.Parameter]:
    """The parameters of a model's forward; none where they cannot be read."""
    try:
        return {} if model is None else dict(inspect.signature(model.forward).parameters)
    except (TypeError, ValueError):
        return {}


def is_mask(name: str) -> bool:
    """Whether an argument of this name says where something is, so that it may be infinite."""
    return "mask" in name or "bias" in name


def explicit_mask(mask: Any, count: int) -> Tensor:
    """`mask=` (sample, token), True at tokens.

    Raises:
        InputError: the wrong shape, numbers other than 0 and 1, samples without a token.
    """
    values = as_tensor("mask", mask).cpu()
    if values.ndim != 2 or len(values) != count:
        raise InputError("mask", Text(f"shape {tuple(values.shape)}"), f"shape ({count}, tokens), one row per sample")
    if not bool(((values == 0) | (values == 1)).all()):
        raise InputError("mask", Text("numbers other than 0 and 1"), "True at tokens, False at padding")
    kept = values.bool()
    empty = int((~kept.any(1)).sum())
    if empty:
        raise InputError("mask", Text(f"{empty} samples without a token"), "True at tokens, False at padding")
    return kept


def found_mask(given: Any, model: nn.Module | None) -> Tensor | None:
    """The padding mask among the inputs, (sample, token), True at tokens; None where there is none.

    What is called `attention_mask` is true at tokens, what torch calls `key_padding_mask` at padding. Names used for
    both are decided by the side on which no sample is padded: its values are those of tokens.
    """
    named = _by_name(given, model)
    for name in (*AT_TOKENS, *AT_PADDING, *AT_EITHER):
        values = named.get(name)
        if isinstance(values, Tensor) and values.layout == torch.strided and not values.is_complex():
            kept = _tokens(name, _as_rows(values))
            if kept is not None:
                return kept
    return None


def _by_name(given: Any, model: nn.Module | None) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, tuple):
        return {}
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = [name for name, parameter in parameters_of(model).items() if parameter.kind not in several]
    return dict(zip(names, given, strict=False))


def _as_rows(values: Tensor) -> Tensor:
    """(sample, 1, 1, token) as (sample, token)."""
    return values.flatten(1) if values.ndim > 2 and sum(size > 1 for size in values.shape[1:]) == 1 else values


def _tokens(name: str, values: Tensor) -> Tensor | None:
    if values.ndim != 2:
        return None  # a mask for pairs of tokens does not say which are padding
    ones = bool(((values == 0) | (values == 1)).all())
    if values.is_floating_point() and not (ones and bool(values.any())):
        return (values == 0).cpu() if bool((values <= 0).all()) else None  # what is added to the attention's logits
    true = (values != 0).cpu()
    if name in AT_TOKENS:
        return true
    if name in AT_PADDING:
        return ~true
    return _told_by_a_side(name, true) if ones else None


def _told_by_a_side(name: str, true: Tensor) -> Tensor | None:
    """One side of every sample is a token: where its values are alike and the others are not, they say "token"."""
    if bool((true == true[0, 0]).all()):
        return None  # nothing is padded
    runs = true.int().diff(dim=1).ne(0).sum(1)
    if int(runs.max()) <= 1:
        alike = [side for side in (true[:, 0], true[:, -1]) if bool((side == side[0]).all())]
        if len(alike) == 1:  # with both sides alike, one is padding in every sample
            return true if bool(alike[0][0]) else ~true
    message = (
        f"{name!r} is not used as a padding mask, because it does not show which of its values means padding; "
        "pass mask= (sample, token), True at tokens"
    )
    warnings.warn(message, RuntimeWarning, stacklevel=outside())
    return None
