"""What a training loop reports about an epoch, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from flowplane.core.points import check_count
from flowplane.errors import InputError, Text

__all__ = ["LATEST", "checked_epoch", "checked_metrics"]

#: Names that a recording's metrics have already.
RESERVED = ("replica", "train_epoch")
#: Epochs are stored in eight bytes.
LATEST = 2**62


def checked_epoch(epoch: Any, before: int) -> int:
    """The number of completed epochs, which grows."""
    number = check_count("epoch", epoch, 0)
    if number <= before:
        raise InputError("epoch", number, f"more than {before}, the epoch before: it counts completed epochs")
    if number > LATEST:
        raise InputError("epoch", number, f"at most {LATEST}")
    return number


def checked_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name.

    Example:
        >>> checked_metrics({"loss": torch.tensor(0.5)})
        {'loss': 0.5}
    """
    for name in RESERVED:
        if name in metrics:
            raise InputError(name, metrics[name], f"another name: {', '.join(RESERVED)} are the recording's own")
    return {name: _number(name, value) for name, value in metrics.items()}


def _number(name: str, value: Any) -> float:
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(name, Text(type(value).__name__), "a number") from error
