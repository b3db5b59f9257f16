"""What every estimator is called with, checked: p(x), labels or their rule, inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.arrays import as_numbers, as_tensor, require_finite
from flowplane.errors import InputError, Text
from flowplane.information import counting, symbols

__all__ = ["checked_groups", "checked_inputs", "checked_labelling", "checked_weights", "classes_or_targets", "row_numbers"]


def checked_weights(probability: Any, n: int, device: torch.device) -> Float[Tensor, " sample"] | None:
    """p(x) in float64, summing to 1; None for uniform. Raises InputError for the wrong length or an invalid distribution."""
    if probability is None:
        return None
    weights = as_tensor("probability", probability).to(device, torch.float64)
    if weights.shape != (n,):
        raise InputError("probability", Text(f"shape {tuple(weights.shape)}"), f"shape ({n},), one entry per sample")
    require_finite("probability", weights)
    total = float(weights.sum())
    if float(weights.min()) < 0 or abs(total - 1.0) > 1e-6:
        found = f"{int((weights < 0).sum())} negative entries and a sum of {total:.6g}"
        raise InputError("probability", Text(found), "non-negative entries that sum to 1")
    return None if bool((weights == weights[0]).all()) else weights / total


def checked_labelling(
    labels: Any, conditional: Any, n: int, device: torch.device
) -> tuple[Int[Tensor, " sample"] | None, Float[Tensor, "sample class"] | None]:
    """Classes numbered from 0 and p(y|x), each None where it is not given.

    Raises:
        InputError: the wrong length, NaN, only one class, rows that are not distributions.
    """
    classes = None
    if labels is not None:
        given = as_tensor("labels", labels).to(device)
        if given.shape != (n,):
            raise InputError("labels", Text(f"shape {tuple(given.shape)}"), f"shape ({n},), one label per sample")
        require_finite("labels", given)
        if given.is_floating_point() and bool((given != given.round()).any()):
            found = f"numbers such as {given[given != given.round()][0].item():.6g}"
            raise InputError("labels", Text(found), "class numbers; cut a continuous y into classes first")
        classes = torch.unique(given, return_inverse=True)[1]
        if int(classes.max()) == 0:
            raise InputError("labels", Text(f"one class only ({given[0].item()})"), "two classes or more")
    if conditional is None:
        return classes, None
    rule = as_tensor("conditional", conditional).to(device, torch.float64)
    if rule.ndim != 2 or len(rule) != n or rule.shape[1] == 0:
        raise InputError("conditional", Text(f"shape {tuple(rule.shape)}"), f"shape ({n}, classes)")
    require_finite("conditional", rule)
    if float(rule.min()) < 0 or not torch.allclose(rule.sum(1), torch.ones_like(rule[:, 0])):
        raise InputError("conditional", Text("rows that are not distributions"), "rows ≥ 0 that sum to 1")
    return classes, rule


def classes_or_targets(labels: Any, n: int, device: torch.device) -> tuple[Any, Float[Tensor, "sample target"] | None]:
    """Labels of any kind as classes or as targets, one of which is None: words, whole numbers and rows that name a class by
    a single 1 are classes; rows of several ones (tags) and other numbers, one or several per sample, are targets.

    Raises:
        InputError: the wrong length, NaN, the same targets for all samples.
    """
    if labels is None:
        return None, None
    plain = np.asarray(labels) if not isinstance(labels, Tensor) else labels
    if not isinstance(plain, Tensor) and plain.dtype.kind in "UO" and plain.ndim == 1:
        return np.unique(plain.astype(str), return_inverse=True)[1], None
    given = as_tensor("labels", labels).to(device)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim not in (1, 2) or len(given) != n or 0 in given.shape:
        raise InputError("labels", Text(f"shape {tuple(given.shape)}"), f"shape ({n},) or ({n}, targets)")
    require_finite("labels", given)
    if given.ndim == 1 and bool((given == given.round() if given.is_floating_point() else given == given).all()):
        return given, None
    values = given.reshape(n, -1).double()
    if bool(((values == 0) | (values == 1)).all()) and bool((values.sum(1) == 1).all()):
        return values.argmax(1), None
    if bool((values == values[0]).all()):
        raise InputError("labels", Text("the same labels for all samples"), "labels that differ")
    return None, values


def checked_groups(groups: Any, n: int, device: torch.device) -> Int[Tensor, " sample"]:
    """A number from 0 on for each group. Raises InputError for the wrong length."""
    given = as_tensor("groups", groups).to(device)
    if given.shape != (n,):
        raise InputError("groups", Text(f"shape {tuple(given.shape)}"), f"shape ({n},), one group per sample")
    return torch.unique(given, return_inverse=True)[1]


def checked_inputs(
    inputs: Any, n: int, device: torch.device
) -> tuple[Float[Tensor, "sample feature"], Int[Tensor, " sample"]]:
    """One row per sample in float64, and a number from 0 on for each distinct row of the inputs as given.

    Whole numbers are taken relative to the least of their column: float64 holds some differences of numbers that it cannot
    hold. Raises InputError for the wrong length, NaN or infinity.
    """
    given = inputs if isinstance(inputs, Tensor) else as_numbers("inputs", inputs)
    if given.ndim == 0 or len(given) != n:
        raise InputError("inputs", Text(f"shape {tuple(given.shape)}"), f"shape ({n}, features), one row per sample")
    given = given.reshape(n, -1)
    if isinstance(given, np.ndarray) and (given.dtype == np.uint64 or given.dtype.itemsize > 8):
        columns = [np.unique(column, return_inverse=True) for column in given.T]
        ranks = np.stack([rank.ravel() for _, rank in columns], 1) if columns else np.zeros((n, 0), np.int64)
        numbers = row_numbers(torch.from_numpy(ranks))
        rows = torch.from_numpy((given - given.min(0)).astype(np.float64))
    else:
        rows = as_tensor("inputs", given)
        if not rows.is_floating_point():
            rows = rows.long()
        numbers = row_numbers(rows)
        if rows.dtype == torch.int64 and rows.numel():
            # as unsigned, so that no difference overflows
            apart = (rows - rows.amin(0)).cpu().numpy().view(np.uint64)
            rows = torch.from_numpy(apart.astype(np.float64))
    rows = rows.to(device, torch.float64)
    require_finite("inputs", rows)
    return rows, numbers.to(device)


def row_numbers(rows: Float[Tensor, "sample feature"] | Int[Tensor, "sample feature"]) -> Int[Tensor, " sample"]:
    """A number from 0 on for each distinct row."""
    if rows.device.type == "cpu":
        return torch.from_numpy(counting.row_symbols(rows.numpy()))
    return symbols.row_symbols(rows)
