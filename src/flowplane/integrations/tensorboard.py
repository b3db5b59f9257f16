"""Scalars for TensorBoard: a recording's metrics, and what a plane or a profile says of each layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowplane.core.paths import as_path
from flowplane.core.results import quantities
from flowplane.errors import InputError, MissingRequirement, Text
from flowplane.recording import Recording

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as _error:
    raise MissingRequirement("this needs TensorBoard: pip install 'flowplane[tensorboard]'") from _error

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ScalarWriter", "write_scalars"]

_CLOCKS = ("train_epoch", "epoch")


def write_scalars(source: Any, log_dir: Any) -> None:
    """Write all scalars over epochs of a Recording or a Dataset for TensorBoard.

    A recording gives its metrics, as `metrics/loss`. A Dataset with an epoch gives each variable of numbers, as
    `i_xt/layer1` where it has layers and by its name where it has none: fp.information_plane gives I(X;T) and I(T;Y) as
    `i_xt/…` and `i_ty/…`. Replicas are averaged, missing numbers (NaN) left out, as are flags, errors and the ends of
    intervals. The horizontal axis is the epoch.

    Arguments:
        source: a Recording, or a Dataset over `epoch` or `train_epoch`, such as an analysis of one.
        log_dir: the folder that `tensorboard --logdir` is given, or one inside it.

    Raises:
        InputError: neither a Recording nor a Dataset, or one without an epoch.
        MissingRequirement: when this module is imported and TensorBoard is not there.

    Example:
        >>> import tempfile
        >>> import xarray as xr
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_scalars(xr.Dataset({"loss": ("train_epoch", [3.0, 2.0])}, {"train_epoch": [1, 2]}), folder)
    """
    with ScalarWriter(log_dir) as writer:
        writer.write(source)


class ScalarWriter:
    """`write_scalars` while a training runs: each `write` adds the epochs that are new.

    Arguments:
        log_dir: as in `write_scalars`.

    Example:
        >>> import tempfile
        >>> import xarray as xr
        >>> loss = xr.Dataset({"loss": ("train_epoch", [3.0, 2.0])}, {"train_epoch": [1, 2]})
        >>> with tempfile.TemporaryDirectory() as folder, ScalarWriter(folder) as writer:
        ...     writer.write(loss.isel(train_epoch=[0])), writer.write(loss), writer.write(loss)
        (1, 1, 0)
    """

    def __init__(self, log_dir: Any) -> None:
        self._writer = SummaryWriter(str(as_path("log_dir", log_dir)))
        self._written: dict[str, float] = {}

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise InputError("writer", Text("a copy or a pickle of a ScalarWriter, which has a file open"), "a new one")

    def __enter__(self) -> ScalarWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def write(self, source: Any) -> int:
        """Add what is new since the last call; returns how many numbers that were.

        Raises:
            InputError: as `write_scalars`.
        """
        count = 0
        for tag, epochs, values in _curves(source):
            after = self._written.get(tag, -np.inf)
            for epoch, value in zip(epochs.tolist(), values.tolist(), strict=True):
                if epoch > after and np.isfinite(value):
                    self._writer.add_scalar(tag, value, int(epoch))
                    self._written[tag] = epoch
                    count += 1
        self._writer.flush()
        return count

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()


def _curves(source: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Tag, epochs and numbers of each curve, means over replicas."""
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
