"""How an estimate depends on what should not matter: the number of samples, and the estimator's own parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import xarray as xr

from flowplane.core.arrays import as_numbers
from flowplane.core.points import check_count, check_seed
from flowplane.core.results import quantities, stamp
from flowplane.errors import InputError, Text, unknown
from flowplane.information.estimator import Estimator
from flowplane.information.schema import FLAGS

__all__ = ["convergence"]

#: Sample sizes from n downwards, each half of the one before.
SIZES, FEWEST = 6, 32
#: A plateau: at least this many neighbouring values of the parameter, none of them saturated, between which the estimate
#: changes by no more than this, in bits and relative to itself.
PLATEAU, FLAT_BITS, FLAT_PART = 3, 0.05, 0.05

QUANTITIES = ("i_xt", "i_ty")
#: Parameters that are the channel.
CHANNELS = ("bins", "noise_variance", "bandwidth")


def convergence(
    estimator: Estimator,
    activations: Any,
    labels: Any = None,
    *,
    inputs: Any = None,
    conditional: Any = None,
    parameter: str | None = None,
    values: Sequence[Any] | None = None,
    sizes: Sequence[int] | None = None,
    draws: int = 4,
    seed: int = 0,
) -> xr.Dataset:
    """An estimate against the number of samples and against the estimator's own parameter: bins, σ², k, …

    Where neither matters there is a plateau, and its height is what the data say. Where there is none, the number depends on
    a choice, and no choice of bins is right.

    Arguments:
        estimator: any of the estimators.
        activations: one layer's (sample, unit).
        labels, inputs, conditional: as the estimator takes them.
        parameter: a field of the estimator; None for the one that matters most: `bins`, `noise_variance`, `k`,
            `shrinkage`, `bandwidth`, `slices`, `batch_size`.
        values: of the parameter; None for a range around the usual ones.
        sizes: numbers of samples; None for n, n/2, n/4, …
        draws: subsets of each size below n, without replacement.
        seed: of the subsets and of the estimator.

    Returns:
        Dataset (parameter, samples, draw): `i_xt`, `i_ty`, `h_t` in bits with their intervals, and `flags`; the first
        dimension has the parameter's name. The attribute `plateau` of `i_xt` and of `i_ty` is the first and last value of
        the widest plateau at the largest n; there is none where there is no plateau.

    Raises:
        InputError: not an estimator, a parameter that it does not have, sizes beyond n, or what the estimator refuses.

    Example:
        >>> import numpy as np
        >>> from flowplane import Binned
        >>> layer = np.random.default_rng(0).normal(size=(256, 1))
        >>> curve = convergence(Binned(), layer, layer[:, 0] > 0, values=[2, 8, 32], draws=2)
        >>> dict(curve.i_ty.sizes), curve.samples.values.tolist()
        ({'bins': 3, 'samples': 4, 'draw': 2}, [32, 64, 128, 256])
    """
    if not isinstance(estimator, Estimator):
        raise InputError("estimator", Text(type(estimator).__name__), "an estimator such as fp.Binned(30)")
    layer = as_numbers("activations", activations)
    if layer.ndim != 2 or len(layer) < 2:
        raise InputError("activations", Text(f"shape {layer.shape}"), "one layer, (samples, units)")
    name, swept = _swept(estimator, parameter, values)
    n = len(layer)
    counts = _sizes(sizes, n)
    check_count("draws", draws)
    given = {"labels": labels, "inputs": inputs, "conditional": conditional}
    known = {key: as_numbers(key, value) for key, value in given.items() if value is not None}
    for key, value in known.items():
        if value.ndim == 0 or len(value) != n:
            raise InputError(key, Text(f"shape {value.shape}"), f"one row per sample, {n}")
    rows = []
    for value in swept:
        chosen = replace(estimator, **{name: value})  # type: ignore[type-var]
        by_size = [
            xr.concat([_one(chosen, layer, known, size, draw, seed) for draw in range(draws)], "draw") for size in counts
        ]
        rows.append(xr.concat(by_size, "samples"))
    whole = xr.concat(rows, name, combine_attrs="override", coords="minimal", compat="override")
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in swept)
    whole = whole.assign_coords({name: list(swept) if numbers else [str(value) for value in swept], "samples": counts})
    for quantity in QUANTITIES:
        found = _plateau(whole.isel(samples=-1, draw=0), quantity, name)
        whole[quantity].attrs |= {} if found is None else {"plateau": found}
    for quantity in quantities(whole):
        whole[quantity].attrs |= {"parameters": f"{name} swept"} | ({"channel": "swept"} if name in CHANNELS else {})
    return stamp(whole, "convergence", seed=seed, parameter=name)


def _one(estimator: Any, layer: np.ndarray, known: dict[str, np.ndarray], size: int, draw: int, seed: int) -> xr.Dataset:
    """The estimate on one subset; all the samples together are only one, which the other draws repeat."""
    chosen = slice(None)
    if size < len(layer):
        chosen = np.sort(np.random.default_rng([check_seed(seed), size, draw]).permutation(len(layer))[:size])  # type: ignore[assignment]
    part = {key: value[chosen] for key, value in known.items()}
    labels = part.pop("labels", None)
    if labels is not None and size < len(layer) and (labels == labels[0]).all():
        labels = None  # of a rare class nothing was drawn: I(T;Y) is NaN there, with the flag `no_labels`
    found = estimator(layer[chosen], labels, seed=seed, **part)
    return found.drop_vars(list(found.coords))


def _swept(estimator: Estimator, parameter: str | None, values: Sequence[Any] | None) -> tuple[str, tuple[Any, ...]]:
    known = [field.name for field in fields(estimator) if field.name != "deterministic"]  # type: ignore[arg-type]
    name, range_ = estimator.swept()
    if parameter is not None:
        if parameter not in known:
            raise unknown("parameter", parameter, known)
        if parameter != name and values is None:
            raise InputError("values", None, f"values of {parameter} to compare")
        name = parameter
    if values is not None and not isinstance(values, list | tuple | range | np.ndarray):
        raise InputError("values", values, f"a list of values of {name}")
    chosen = range_ if values is None else tuple(values.tolist() if isinstance(values, np.ndarray) else values)
    if not chosen:
        raise InputError("values", Text("none"), f"values of {name} to compare")
    return name, chosen


def _sizes(sizes: Sequence[int] | None, n: int) -> list[int]:
    if sizes is None:
        halved = [n // 2**power for power in range(SIZES)]
        return sorted({size for size in halved if size >= FEWEST} | {n})
    if not isinstance(sizes, list | tuple | range | np.ndarray):
        raise InputError("sizes", sizes, "a list of numbers of samples")
    counts = sorted({check_count("sizes", size, 2) for size in sizes})
    if not counts or counts[-1] > n:
        raise InputError("sizes", list(sizes), f"numbers of samples up to {n}")
    return counts


def _plateau(row: xr.Dataset, quantity: str, name: str) -> list[Any] | None:
    """The first and last value of the parameter of the longest run over which the estimate does not change."""
    estimate = row[quantity].values
    usable = np.isfinite(estimate) & ((row[f"{quantity}_flags"].values & FLAGS.bits("saturated")) == 0)
    best: tuple[int, int] = (0, -1)
    for first in range(len(estimate)):
        for last in range(first, len(estimate)):
            part = estimate[first : last + 1]
            flat = usable[first : last + 1].all() and np.ptp(part) <= max(FLAT_BITS, FLAT_PART * np.abs(part).max())
            if flat and last - first > best[1] - best[0]:
                best = (first, last)
    if best[1] - best[0] + 1 < PLATEAU:
        return None
    return [row[name].values[place].item() for place in best]
