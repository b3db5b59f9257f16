"""What a recording or a result says over the epochs, as named curves, for experiment trackers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowplane.core.results import quantities
from flowplane.errors import InputError, Text
from flowplane.recording import Recording

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["curves"]

_CLOCKS = ("train_epoch", "epoch")


def curves(source: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Tag, epochs and numbers of each curve, means over replicas.

    Raises:
        InputError: neither a Recording nor a Dataset, or one without an epoch.

    Example:
        >>> import xarray as xr
        >>> for tag, epochs, numbers in curves(xr.Dataset({"loss": ("train_epoch", [3.0, 2.0])}, {"train_epoch": [1, 2]})):
        ...     print(tag, epochs, numbers)
        loss [1 2] [3. 2.]
    """
    import xarray as xr

    if isinstance(source, Recording):
        metrics = source.metrics
        tags = {name: f"metrics/{name}" for name in metrics.data_vars}
        yield from _of_dataset(metrics.rename(tags), list(tags.values()))
    elif not isinstance(source, xr.Dataset):
        raise InputError("source", Text(type(source).__name__), "a Recording, or a Dataset over epochs")
    elif not set(_CLOCKS) & {str(dim) for dim in source.dims}:
        raise InputError("source", Text(f"a Dataset over {', '.join(map(str, source.dims))}"), "a Dataset over epochs")
    else:
        yield from _of_dataset(source, quantities(source))


def _of_dataset(dataset: xr.Dataset, names: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name in names:
        array = dataset[name]
        clock = next((name for name in _CLOCKS if name in array.dims), None)
        if clock is None or array.dtype.kind not in "iuf" or set(array.dims) - {clock, "replica", "layer"}:
            continue
        epochs = np.asarray(dataset[clock].values)
        if "layer" not in array.dims:
            yield name, epochs, _mean(array, clock)[0]
            continue
        for layer, values in zip(dataset["layer"].values, _mean(array, clock), strict=True):
            yield f"{name}/{layer}", epochs, values


def _mean(array: xr.DataArray, clock: str) -> np.ndarray:
    """Means over the replicas that have a number: (layer, epoch), one row where there are no layers."""
    full = array.expand_dims([dim for dim in ("replica", "layer") if dim not in array.dims])
    values = full.transpose("replica", "layer", clock).values.astype(np.float64)
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
