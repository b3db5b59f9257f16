"""A warning that training has diverged, at once rather than in the report."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from flowplane.core.callers import outside
from flowplane.recording import Metrics

__all__ = ["Divergence"]

#: What is looked at besides the training.
EVAL = "the probe inputs, or what eval mode uses, such as running statistics of batch normalisation, are not finite"


class Divergence:
    """Warns once: of the first snapshot at which a layer, or the loss that was logged up to it, is NaN or infinite.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     Divergence().look(3, ["a", "b"], [np.zeros((2, 1)), np.full((2, 1), np.nan)], Metrics())
        >>> str(said[0].message)[:70]
        "NaN or infinite values in layer 'b' at epoch 3: training has diverged,"
    """

    def __init__(self) -> None:
        self._said = False

    def look(
        self, epoch: int, layers: Sequence[str], rows: Sequence[Float[np.ndarray, "sample unit"]], metrics: Metrics
    ) -> None:
        """At the snapshot of an epoch."""
        if self._said:
            return
        broken = [layer for layer, values in zip(layers, rows, strict=True) if not _is_finite(values)]
        found = []
        if broken:
            more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
            found.append(f"in layer {broken[0]!r}{more} at epoch {epoch}")
        for logged, row in zip(metrics.epochs, metrics.rows, strict=True):
            lost = [name for name, value in row.items() if "loss" in name.lower() and not math.isfinite(value)]
            if lost:
                found.append(f"in {lost[0]!r} at epoch {logged}")
                break
        if found:
            self._said = True
            message = f"NaN or infinite values {', and '.join(found)}: training has diverged"
            if epoch == 0:  # nothing was trained yet
                message = f"NaN or infinite values {', and '.join(found)}, before any training: {EVAL}"
            elif broken and len(found) == 1:
                message += f", or {EVAL}"
            warnings.warn(message, RuntimeWarning, stacklevel=outside())


def _is_finite(values: Float[np.ndarray, "sample unit"]) -> bool:
    """A sum is NaN or infinite where a number is, and takes a fraction of the time; where it overflows all are checked."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())
