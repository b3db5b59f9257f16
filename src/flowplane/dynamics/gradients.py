"""Gradients over the mini-batches of an epoch: their drift, their noise, and the ratio of signal to noise (§B5)."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowplane.core.points import check_count
from flowplane.dynamics.arguments import as_array
from flowplane.errors import InputError, Text

__all__ = ["drift_norm", "per_weight"]


def per_weight(gradient: Any, weight_norm: Any) -> np.ndarray:
    """A gradient's norm or standard deviation divided by the norm of the layer's weights, ‖E g‖/‖w‖ or √(tr Cov g)/‖w‖
    (§B5).

    Arguments:
        gradient: (…), nats per unit of weight; NaN where it is undefined.
        weight_norm: of the same shape, units of weight.

    Returns:
        Nats per squared unit of weight, of the same shape; NaN for a layer whose weights are all 0.

    Raises:
        InputError: no numbers, other shapes, or a norm below 0.

    Example:
        >>> per_weight([2.0, 3.0], [4.0, 0.0]).tolist()
        [0.5, nan]
    """
    above = as_array("gradient", gradient, (), gaps=True)
    below = as_array("weight_norm", weight_norm, (), gaps=True)
    _check_norm("gradient", above)
    _check_norm("weight_norm", below)
    if above.shape != below.shape:
        raise InputError("weight_norm", Text(f"shape {below.shape}"), f"shape {above.shape}, as `gradient` has")
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def drift_norm(gradient_mean: Any, gradient_std: Any, batches: int, covered: float = 0.0) -> np.ndarray:
    """‖E g‖ without the noise that the mean over finitely many batches holds: √max(0, ‖ĝ‖² − (1 − f) tr Cov/B) (§B5).

    The mean of B independent batches has E‖ĝ‖² = ‖E g‖² + tr Cov/B. The batches of one epoch are drawn without replacement:
    where they hold the share f of the training set, their mean is that much nearer to the gradient of the whole set, and
    only (1 − f) tr Cov/B of noise is left, none for f = 1 (the finite population correction of sampling theory; tr Cov, the
    unbiased covariance between the batches, is that of sampling with replacement). The square is unbiased before it is
    clipped at 0.

    Arguments:
        gradient_mean: ‖ĝ‖, the norm of the mean over an epoch's batches, (…).
        gradient_std: √(tr Cov), unbiased, of the same shape and units; NaN for one batch per epoch.
        batches: B.
        covered: f, from 0 for independent batches to 1 for an epoch that passes over everything once.

    Returns:
        Of the same shape and units.

    Raises:
        InputError: no numbers, other shapes, a norm below 0, an invalid count, a share outside [0, 1].

    Example:
        >>> drift_norm([5.0, 1.0], [6.0, 6.0], 4).tolist(), drift_norm([5.0], [6.0], 4, covered=1.0).tolist()
        ([4.0, 0.0], [5.0])
    """
    mean = as_array("gradient_mean", gradient_mean, (), gaps=True)
    std = as_array("gradient_std", gradient_std, (), gaps=True)
    _check_norm("gradient_mean", mean)
    _check_norm("gradient_std", std)
    if mean.shape != std.shape:
        raise InputError("gradient_std", Text(f"shape {std.shape}"), f"shape {mean.shape}, as `gradient_mean` has")
    number = isinstance(covered, int | float | np.number) and not isinstance(covered, bool)
    if not number or not 0 <= covered <= 1:
        raise InputError("covered", covered, "a share from 0 to 1")
    noise = (1.0 - float(covered)) * std**2 / check_count("batches", batches)
    return np.sqrt((mean**2 - noise).clip(0.0))


def _check_norm(name: str, array: np.ndarray) -> None:
    if np.isinf(array).any() or (array < 0).any():
        raise InputError(name, Text("values that are negative or infinite"), "norms: 0 or more, NaN where undefined")
