"""Recording in Lightning: `RecorderCallback` for the Trainer of `lightning` or `pytorch_lightning`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, MissingRequirement, Text, unknown
from flowplane.integrations.deferred import DeferredRecorder
from flowplane.recording import Recording

__all__ = ["RecorderCallback"]

#: The two packages that Lightning comes in; neither knows the other's classes.
_PACKAGES = ("lightning.pytorch", "pytorch_lightning")
#: Strategies that keep a part of the model in each process, so that no process can compute its layers alone.
_SHARDED = ("FSDP", "DeepSpeed", "ModelParallel")


def _callbacks() -> tuple[type, ...]:
    """The Callback classes of the package in use, or of both."""
    names = [name for name in _PACKAGES if sys.modules.get(name) is not None]
    for name in names or _PACKAGES:
        try:
            import_module(name)
        except ImportError:
            continue
        if not names:
            names = [name]
    if not names:
        raise MissingRequirement("this needs Lightning: pip install 'flowplane[lightning]'")
    return tuple(sys.modules[name].Callback for name in names)


@renamed
class RecorderCallback(*_callbacks()):  # type: ignore[misc]
    """Records a LightningModule while it trains: before the first epoch, then on the Recorder's schedule of epochs.

    What the module logs (`self.log`) becomes the recording's metrics. Several processes: the first one records. A
    training that fails keeps what was recorded up to that point.

    Arguments:
        inputs: the probe inputs, as the module's `forward` takes them.
        labels: their classes or targets, if any.
        path: where the recording goes; None keeps it in memory.
        module: the part of the LightningModule to record, by its name, such as "model"; None for all of it.
        arguments: further arguments of `flowplane.Recorder`; `epochs` are the trainer's `max_epochs` if not given.

    Raises:
        InputError: an argument that a Recorder does not have; when training begins, an unknown module, a LightningModule
            without `forward`, a strategy that splits the model between processes, or what the Recorder refuses.
        MissingRequirement: when this module is imported and neither `lightning` nor `pytorch_lightning` is there.

    Example:
        >>> import torch
        >>> callback = RecorderCallback(torch.zeros(8, 2), layers="net.*")
        >>> callback.recording
        Traceback (most recent call last):
        ...
        flowplane.errors.InputError: recording: found a callback whose training has not begun, ...
    """

    def __init__(
        self, inputs: Any, labels: Any = None, *, path: Any = None, module: str | None = None, **arguments: Any
    ) -> None:
        super().__init__()
        self._module = module
        self._recorder = DeferredRecorder({"inputs": inputs, "labels": labels, "path": path} | arguments)

    @property
    def recording(self) -> Recording:
        """What was recorded so far. In processes other than the first there is none."""
        return self._recorder.recording

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Weights are loaded and on their device, and the check of the validation loop is over."""
        strategy = type(trainer.strategy).__name__
        if any(name in strategy for name in _SHARDED):
            raise InputError("strategy", strategy, "a strategy that keeps the whole model in each process")
        if trainer.is_global_zero:
            planned = trainer.max_epochs
            epochs = planned if planned is not None and planned > 0 else None
            self._recorder.start(self._recorded(pl_module), epochs, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """The validation of the epoch is over."""
        # every process has to ask: asking for metrics reduces them over the processes
        metrics = dict(trainer.callback_metrics)
        self._recorder.step(trainer.current_epoch + 1, trainer.global_step, _once(metrics))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """No further epoch."""
        self._recorder.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Ctrl-C or an error; the recording keeps what it has."""
        self._recorder.close(exception)

    def close(self) -> None:
        """End the recording before the trainer does."""
        self._recorder.close()

    def _recorded(self, pl_module: nn.Module) -> nn.Module:
        """The module whose layers are wanted."""
        names = [name for name, _ in pl_module.named_modules() if name]
        if self._module is not None:
            if self._module not in names:
                raise unknown("module", self._module, names)
            return pl_module.get_submodule(self._module)
        if _is_lightning(next(base for base in type(pl_module).__mro__ if "forward" in vars(base))):
            wanted = f"the part to record, one of {', '.join(name for name, _ in pl_module.named_children())}"
            raise InputError("module", Text(f"{type(pl_module).__name__}, which has no forward"), wanted)
        return pl_module


def _once(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What is logged by step and by epoch comes as `loss`, `loss_step` and `loss_epoch`; the first is that of the epoch."""
    return {
        name: value
        for name, value in metrics.items()
        if not any(name.endswith(end) and name.removesuffix(end) in metrics for end in ("_step", "_epoch"))
    }


def _is_lightning(base: type) -> bool:
    """Whether `forward` is that of the base class of all LightningModules, which does nothing."""
    return base.__name__ == "LightningModule" and base.__module__.startswith(_PACKAGES)
