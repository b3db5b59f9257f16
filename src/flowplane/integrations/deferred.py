"""A Recorder that another library's training loop starts, steps and closes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from flowplane.errors import InputError, Text, unknown
from flowplane.recorder import Recorder
from flowplane.recording import Recording

__all__ = ["DeferredRecorder", "scalars"]

#: Arguments of `Recorder.step` itself; metrics of these names are left out.
_TAKEN = ("epoch", "step")


class DeferredRecorder:
    """The arguments of a Recorder, kept until there is a model to record.

    Arguments:
        arguments: those of `flowplane.Recorder`, without the model.

    Raises:
        InputError: an argument that a Recorder does not have.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        known = list(inspect.signature(Recorder).parameters)[1:]
        for name in arguments:
            if name not in known:
                raise unknown("argument", name, known)
        self._arguments = dict(arguments)
        self._recorder: Recorder | None = None
        self._closed = False
        #: Of a copy of a callback whose training is over.
        self._recording: Recording | None = None

    def start(self, model: nn.Module, epochs: int | None, done: int) -> None:
        """Record the model as it is, before its first epoch.

        Arguments:
            epochs: how many the trainer plans, if it says so and the arguments do not.
            done: epochs that a continued training has completed.

        Raises:
            InputError: a callback that has recorded already, a continued training without the recording of what came before,
                or what the Recorder refuses.
        """
        if self._recorder is not None or self._closed:
            raise InputError("callback", Text("one that has recorded a training"), "a new RecorderCallback for each")
        if done and self._arguments.get("mode") != "resume":
            wanted = "mode='resume' and the path of the recording of what came before"
            raise InputError("callback", Text(f"a training that continues after epoch {done}"), wanted)
        self._recorder = Recorder(model, **({"epochs": epochs} | self._arguments))
        self._recorder.start()

    def step(self, epoch: int, step: int, metrics: Mapping[str, Any]) -> None:
        """An epoch is over; nothing where nothing is recorded (in processes other than the first)."""
        if self._recorder is not None and not self._closed:
            self._recorder.step(epoch, step=step, **scalars(metrics))

    def close(self, error: BaseException | None = None) -> None:
        """The training is over; after an error, what was recorded up to it stays."""
        if self._recorder is not None and not self._closed:
            self._closed = True
            self._recorder.__exit__(None if error is None else type(error), error, None)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes: the arguments and, after the training, what was recorded, but not the model.

        Raises:
            InputError: a callback that is recording, as one recording has one writer.
        """
        if self._recorder is None:
            return self.__dict__
        if not self._closed:
            raise InputError("callback", Text("a copy of one that is recording"), "one before its training, or after it")
        try:
            kept = self._recorder.recording
        except InputError:  # nothing was recorded
            kept = None
        return {"_arguments": self._arguments, "_recorder": None, "_closed": True, "_recording": kept}

    @property
    def recording(self) -> Recording:
        """What was recorded so far.

        Raises:
            InputError: training has not begun.
        """
        if self._recording is not None:
            return self._recording
        if self._recorder is None:
            state = "that has recorded nothing" if self._closed else "whose training has not begun"
            raise InputError("recording", Text(f"a callback {state}"), "one that was given to a trainer")
        return self._recorder.recording


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those metrics that are one number each.

    Example:
        >>> scalars({"loss": 0.5, "epoch": 3, "confusion": [[1, 2]], "note": "text"})
        {'loss': 0.5}
    """
    kept = {}
    for name, value in metrics.items():
        number = value.item() if hasattr(value, "item") and getattr(value, "numel", lambda: 1)() == 1 else value
        if isinstance(number, int | float) and not isinstance(number, bool) and name not in _TAKEN:
            kept[str(name)] = float(number)
    return kept
