"""Scalars for TensorBoard: a recording's metrics, and what a plane or a profile says about each layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowplane.core.paths import as_path
from flowplane.errors import InputError, MissingRequirement, Text
from flowplane.integrations.curves import curves

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as _error:
    raise MissingRequirement("this needs TensorBoard: pip install 'flowplane[tensorboard]'") from _error

__all__ = ["ScalarWriter", "write_scalars"]


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
    """`write_scalars` during training: each `write` adds the epochs that are new.

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
        """Add what is new since the last call; returns how many numbers were written.

        Raises:
            InputError: as `write_scalars`.
        """
        count = 0
        for tag, epochs, values in curves(source):
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
