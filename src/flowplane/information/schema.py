"""The one flat form in which every information estimator answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

__all__ = ["CONFIDENCE", "FLAGS", "estimate_dataset", "flag_bit", "flag_names"]

#: Confidence of every interval, unless an estimator says otherwise.
CONFIDENCE = 0.95

#: Why a value may not be believed; bit k of `flags` is the k-th name. 0 is valid.
FLAGS = {
    "saturated": "nearly every input falls alone: the value is the ceiling log2 n, whatever the layer does",
    "clipped": "values fell outside the range of the bins and went into the end bins",
    "constant_units": "at least one unit is constant over the samples",
    "ties": "equal values where the estimator assumes a continuous distribution",
    "too_few_samples": "too few samples for the dimension or the number of occupied bins",
    "ill_conditioned": "the covariance is close to singular",
    "no_inputs": "I(X;T) needs the inputs, which were not given",
    "no_labels": "I(T;Y) needs labels or their conditional, which were not given",
    "deterministic": "I(X;T) of a deterministic network is infinite without bins or noise",
    "weighted": "p(x) is not uniform, and this estimator takes samples without weights",
    "not_gaussian": "the samples are not normally distributed, as this estimator assumes",
    "batch_ceiling": "the value is so near log2 of the batch size that a variational estimate may have stopped short",
    "heavy_tails": "a few values lie so far out that their nearest neighbours say little of the density there",
    "not_converged": "the critic did not learn to do better on held-out pairs, or was still learning when it was stopped",
    "unequal_scales": "some coordinates vary so much less than others that distances hardly see them",
}

_LONG_NAMES = {"i_xt": "I(X;T)", "i_ty": "I(T;Y)", "h_t": "H(T)"}


def estimate_dataset(
    dims: tuple[str, ...],
    coords: dict[str, Any],
    values: dict[str, np.ndarray],
    flags: np.ndarray,
    *,
    kind: str,
    channel: str,
    estimator: str,
    parameters: dict[str, Any],
    intervals: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
    **attrs: Any,
) -> xr.Dataset:
    """`i_xt`, `i_ty`, `h_t` in bits, each with `_lower` and `_upper` (NaN where there is no interval), and `flags`.

    Arguments:
        values: the three quantities; one that the estimator cannot give is NaN, with a flag.
        flags: bits of `FLAGS`.
        kind: "estimate", "lower bound" or "upper bound".
        channel: the bins or the noise that make the information finite.
        parameters: of the estimator, JSON-able.
    """
    variables: dict[str, Any] = {}
    for name, value in values.items():
        long_name = _LONG_NAMES[name]
        variables[name] = (dims, value, {"units": "bits", "long_name": long_name})
        bounds = (intervals or {}).get(name, (np.full_like(value, np.nan),) * 2)
        for side, bound in zip(("lower", "upper"), bounds, strict=True):
            variables[f"{name}_{side}"] = (dims, bound, {"units": "bits", "long_name": f"{long_name}, {side} end"})
    meaning = {
        "long_name": "validity",
        "flag_masks": np.array([1 << bit for bit in range(len(FLAGS))], np.int32),
        "flag_meanings": " ".join(FLAGS),
    }
    variables["flags"] = (dims, flags.astype(np.int32), meaning)
    about = {
        "units": "bits",
        "kind": kind,
        "channel": channel,
        "estimator": estimator,
        "parameters": json.dumps(parameters),
        "confidence": CONFIDENCE,
        **attrs,
    }
    return xr.Dataset(variables, coords, about)


def flag_bit(name: str) -> int:
    """The bit of a flag.

    Example:
        >>> flag_bit("clipped")
        2
    """
    return 1 << list(FLAGS).index(name)


def flag_names(flags: int) -> tuple[str, ...]:
    """The names of the flags that are set.

    Example:
        >>> flag_names(3)
        ('saturated', 'clipped')
    """
    return tuple(name for bit, name in enumerate(FLAGS) if flags >> bit & 1)
