"""Recording in transformers: `RecorderCallback` for the Trainer of Hugging Face."""

from __future__ import annotations

import math
from typing import Any

from flowplane.core.points import check_count
from flowplane.core.renamed import renamed
from flowplane.errors import InputError, MissingRequirement, Text
from flowplane.integrations.deferred import DeferredRecorder
from flowplane.recording import Recording

try:
    from transformers import TrainerCallback
except ImportError as _error:
    raise MissingRequirement("this needs transformers: pip install 'flowplane[transformers]'") from _error

__all__ = ["RecorderCallback"]

#: Log entries that say how fast the trainer is, not how good the model is.
_CLOCKS = ("_runtime", "_per_second", "_flos")


@renamed
class RecorderCallback(TrainerCallback):  # type: ignore[misc]
    """Records a model while a `transformers.Trainer` trains it: before the first step, then epoch by epoch or every N steps.

    What the trainer logs (loss, gradient norm, learning rate, evaluation) becomes the recording's metrics, at the epoch that
    it belongs to. Several processes: the first one records.

    Arguments:
        inputs: the probe inputs, as the model takes them: token ids, or a dict of arguments such as a tokenizer gives.
        labels: classes or targets of the probe inputs, if any.
        path: where the recording goes; None keeps it in memory.
        every: None for epochs. A number N makes the recording's clock run in units of N optimiser steps: its epoch k is step
            kN, which suits a training of few epochs; the steps are in the recording's `steps`.
        arguments: further arguments of `flowplane.Recorder`; `epochs` are those that the trainer plans if not given.

    Raises:
        InputError: an argument that a Recorder does not have; when training begins, a model that is split between processes,
            or what the Recorder refuses.
        MissingRequirement: when this module is imported and transformers is not there.

    Example:
        >>> import torch
        >>> callback = RecorderCallback(torch.zeros(8, 16, dtype=torch.long), layers="transformer.h.*", every=100)
        >>> callback.recording
        Traceback (most recent call last):
        ...
        flowplane.errors.InputError: recording: found a callback whose training has not begun, ...
    """

    def __init__(
        self, inputs: Any, labels: Any = None, *, path: Any = None, every: int | None = None, **arguments: Any
    ) -> None:
        super().__init__()
        self._every = None if every is None else check_count("every", every)
        self._recorder = DeferredRecorder({"inputs": inputs, "labels": labels, "path": path} | arguments)
        self._metrics: dict[str, float] = {}
        self._due: tuple[int, int] | None = None
        self._finished = False

    @property
    def recording(self) -> Recording:
        """What was recorded so far. In processes other than the first there is none."""
        return self._recorder.recording

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The model is on its device, and a checkpoint is loaded."""
        if getattr(args, "fsdp", None) or getattr(args, "deepspeed", None):
            raise InputError("args", Text("FSDP or DeepSpeed"), "a training that keeps the whole model in each process")
        if not state.is_world_process_zero:
            return
        # without a length of the data the trainer plans for the largest integer
        epochs = state.num_train_epochs if state.num_train_epochs < 1 << 31 else None
        done = state.epoch or 0.0
        if self._every is not None:
            epochs = math.ceil(state.max_steps / self._every) if state.max_steps > 0 else None
            done = state.global_step / self._every
        self._recorder.start(kwargs["model"], epochs, math.ceil(round(done, 6)))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An optimiser step is over."""
        if self._every is not None and state.global_step % self._every == 0:
            self._due = (state.global_step // self._every, state.global_step)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An epoch is over; the last may be cut short by `max_steps`."""
        if self._every is None:
            self._due = (math.ceil(round(state.epoch, 6)), state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Logs of an epoch come after its end, and before the next step."""
        if logs and "train_runtime" in logs:
            # the summary of the training; the best model may be loaded next, so what is due is taken now
            self._finish(state.global_step)
        else:
            self._metrics |= {name: value for name, value in (logs or {}).items() if not name.endswith(_CLOCKS)}

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The logs of the epoch before are complete; an evaluation before the first step belongs to no epoch."""
        self._take()
        if state.global_step == 0:
            self._metrics = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The logs of the step before are complete."""
        self._take()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """No further step."""
        self._finish(state.global_step)
        self._recorder.close()

    def close(self) -> None:
        """End the recording before the trainer does, or after an error, of which no trainer informs its callbacks."""
        self._recorder.close()

    def _finish(self, step: int) -> None:
        """What is due, and the last unit of N steps where it was cut short."""
        if self._every is not None and step % self._every and not self._finished:
            self._due = (step // self._every + 1, step)
        self._finished = True
        self._take()

    def _take(self) -> None:
        """Record what is due, with what was logged since the last time."""
        if self._due is not None:
            self._recorder.step(*self._due, self._metrics)
            self._due, self._metrics = None, {}
