"""Numbers for Weights & Biases, trackio, MLflow and anything else that takes a dict of numbers and a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flowplane.errors import InputError, Text
from flowplane.integrations.curves import curves

__all__ = ["log_scalars"]


def log_scalars(sources: Any, log: Callable[..., Any]) -> None:
    """Hand every number over the epochs to a tracker, one call per epoch, in the order of the epochs.

    Numbers and their names are those of `flowplane.integrations.tensorboard.write_scalars`: metrics of a
    recording are `metrics/loss`, a plane gives `i_xt/layer1`. Replicas are averaged, missing numbers (NaN) left out.

    Arguments:
        sources: a Recording, a Dataset over `epoch` or `train_epoch`, or a list of them; numbers of one epoch go together.
        log: called as log(numbers, step=epoch), numbers a dict from names to floats: `wandb.log`, `trackio.log`,
            `mlflow.log_metrics`.

    Raises:
        InputError: neither a Recording nor a Dataset, one without an epoch, or a `log` that cannot be called.

    Example:
        >>> import xarray as xr
        >>> loss = xr.Dataset({"loss": ("train_epoch", [3.0, 2.0])}, {"train_epoch": [1, 2]})
        >>> log_scalars(loss, lambda numbers, step: print(step, numbers))
        1 {'loss': 3.0}
        2 {'loss': 2.0}
    """
    if not callable(log):
        raise InputError("log", Text(type(log).__name__), "a function of a dict of numbers and step=, such as wandb.log")
    by_epoch: dict[int, dict[str, float]] = {}
    for source in sources if isinstance(sources, list | tuple) else [sources]:
        for tag, epochs, values in curves(source):
            for epoch, value in zip(epochs.tolist(), values.tolist(), strict=True):
                if math.isfinite(value):
                    by_epoch.setdefault(int(epoch), {})[tag] = value
    for epoch in sorted(by_epoch):
        log(by_epoch[epoch], step=epoch)
