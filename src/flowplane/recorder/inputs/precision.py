"""In which precision inputs reach the model: that of the user's own loop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowplane.errors import InputError, Text
from flowplane.recorder.inputs.codes import codes
from flowplane.recorder.numbers import entries, numeric

__all__ = ["as_the_model_takes", "model_precision"]

#: Precisions between which inputs are cast.
CAST = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def model_precision(model: nn.Module) -> torch.dtype | None:
    """The precision that all floating-point parameters (or, without any, buffers) share; None where they do not.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).bfloat16())
        >>> model_precision(net[0]), model_precision(net)
        (torch.float32, None)
    """
    for values in (model.parameters(), model.buffers()):
        found = {part.dtype.to_real() for part in values if numeric(part)}
        if found:
            return next(iter(found)) if len(found) == 1 and found <= set(CAST) else None
    return None


def as_the_model_takes(name: str, values: Tensor, precision: torch.dtype | None) -> Tensor:
    """Inputs in the model's one precision; integers, and those of a model of several precisions, as they are.

    Raises:
        InputError: the cast makes samples that differ equal, or numbers infinite.
    """
    if precision is None or values.dtype.to_real() not in CAST or values.dtype.to_real() == precision:
        return values
    if values.is_complex() and precision == torch.bfloat16:
        return values  # there are no such complex numbers
    cast = values.to(precision.to_complex() if values.is_complex() else precision)
    if torch.promote_types(values.dtype.to_real(), precision) == precision:
        return cast
    if not _finite(cast) and _finite(values):
        found = Text(f"numbers that are too large for {str(precision)[6:]}, the model's precision")
        raise InputError(name, found, "smaller ones, or a model of higher precision")
    before, after = (int(codes([each], each.shape[0]).max()) + 1 for each in (values, cast))
    lost = (
        f"{before} different samples in {str(values.dtype)[6:]}, of which {str(precision)[6:]}, the model's, leaves {after}"
    )
    if after < before:
        wanted = "inputs that differ in the model's precision (subtract their mean first), or a model of higher precision"
        raise InputError(name, Text(lost), wanted)
    return cast


def _finite(values: Tensor) -> bool:
    return bool(torch.isfinite(entries(values)).all())
