"""`fp.Recorder`: three lines around a training loop, and the model's layers are recorded while it learns."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from flowplane.core.callers import outside
from flowplane.core.frames import left_out_table
from flowplane.core.interrupts import deferred_interrupts
from flowplane.core.measure import Measure
from flowplane.core.modes import in_own_modes
from flowplane.core.points import check_count
from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text, unknown
from flowplane.recorder.failures import ON_ERROR, Failures
from flowplane.recorder.gradients import GradientStatistics
from flowplane.recorder.reported import checked_epoch, checked_metrics
from flowplane.recorder.schedule import Cost, Schedule
from flowplane.recorder.session import KEEP, Session
from flowplane.recording import Metrics, ModelRecording
from flowplane.recording.html import Layers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Recorder"]

#: Bytes a second that a folder takes, for estimates.
WRITING = 200e6
#: Seconds that a commit takes, for estimates.
COMMIT = 0.03
#: Where it is known what an analysis takes.
ANALYSES = "flowplane.reporting.costs"


@renamed
class Recorder:
    """Records what a model's layers do on probe inputs, snapshot by snapshot, while it is trained.

    Training with a Recorder is training without one, bit for bit: the model is probed in eval mode, without gradients,
    eagerly and in full precision, and random states, training flags and hooks are put back. Between snapshots nothing
    runs but a comparison of two numbers in `step`. What a probe saw is written by another thread while training goes on,
    one snapshot at a time: a process that is killed loses that one at most. In a group of processes (DDP) the first one
    records; of a model that is split between them (`fully_shard`) all have to, with the same arguments, and the first
    writes.

    Arguments:
        model: any torch Module; the one inside torch.compile, DataParallel and DDP is found.
        inputs: probe inputs, the samples first: a tensor or array, a tuple of them for several arguments, a dict for named
            ones, a list of samples, a Dataset or a DataLoader, which is read once. None, flags, words and numbers among the
            arguments are passed on as they are. Two thousand samples are plenty.
        labels: None, classes (sample,), tags (sample, tag), or regression targets (sample,) or (sample, target), which are
            cut into ten classes of equal size for I(T;Y); for tokens and places also (sample, *place), −100 for none. A
            loader of pairs, and a dict with `labels`, bring them along.
        path: a new folder, an icechunk Storage, or None for memory.
        layers: None for the states of the model, through which all that reaches its output passes: blocks of a stack
            whole, nonlinearities between them, whether they are modules or functions (at most 40, evenly spaced); or names,
            patterns ("h.*" for the children of h, "h.**" for all inside it), types of modules, or a list of these. The k-th
            call of what is called several times is `name#k`; functions are named within their module: `block.relu#2`.
            `left_out` says what else ran.
        snapshots: how many, spread evenly over log(epoch), epoch 0 and the last included, if `epochs` is given.
        epochs: how many will be trained; None: each snapshot comes at 1.1 times the epoch of the last one.
        measures: estimators to apply at each snapshot, such as fp.Pairwise(0.1); `rec.measure` then finds their results.
        keep: "activations", "gradients" (statistics of the mini-batch gradients, §B5, over the epoch before a snapshot).
        reduce: how feature maps (sample, channel, …) and sequences (sample, token, unit) become (sample, unit): "flatten";
            "mean" or "max" over places or tokens; the "last" token or the first ("cls"), padding passed over; "tokens",
            every token or place a sample of its own, at most 4096 of them, drawn with a seed; a callable from outputs, and
            a mask if it takes one, to rows; "auto": sequences by their mean, maps flattened and, above 512 numbers, hashed
            to 512 by one fixed sparse random map, which keeps distances to a few per cent.
        layout: "channels_last" or "channels_first" by names or patterns of layers, where it is not found: which axis of
            their outputs holds the units.
        mask: which tokens are not padding, (sample, token), True at tokens; None: what the inputs say by the usual names
            (`attention_mask`, `src_key_padding_mask`, `padding_mask`, …).
        forward: how the model is called, a callable (model, batch), where model(batch) or model(**batch) is not the way;
            the batch is what the inputs are, some samples of it.
        batch: samples per call; None: all in one, for models that need all of them (a graph).
        views: a second view of each sample, as `inputs` are; `fp.layer_geometry` then says how invariant layers are.
        unembed: of a language model with reduce="tokens": what turns rows of the residual stream into logits, a module or a
            callable that has the final norm in it, or "auto" for that of a transformers model. At each snapshot layers are
            read by it (logit lens).
        dtype: "float32", "float16" or "float64", of stored activations.
        on_error: where a snapshot fails (a full disk, a folder that cannot be written): "raise", or "warn" and train on;
            a failure to write is reported at the next `step`, or at the end.
        mode: "create" a new recording, "resume" one (epochs that it holds are skipped), or "overwrite".

    Raises:
        InputError: an invalid argument, layers that do not exist, inputs on which the model fails. Nothing is
            written then.
        RecordingFailed: a snapshot could not be taken or written; what was committed before is kept.

    Example:
        >>> import flowplane as fp
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> optimizer = torch.optim.SGD(model.parameters(), 0.1)
        >>> with fp.Recorder(model, x, x[:, 0] > 0) as recorder:
        ...     for epoch in range(3):
        ...         loss = torch.nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long())
        ...         optimizer.zero_grad(); loss.backward(); optimizer.step()
        ...         recorder.step(loss=loss)
        >>> rec = recorder.recording
        >>> rec.layers, rec.epochs.tolist(), rec.activations("1").shape
        (('0', '1', '2'), [0, 1, 2, 3], (1, 4, 50, 3))
    """

    @in_own_modes
    def __init__(
        self,
        model: nn.Module,
        inputs: Any,
        labels: Any = None,
        *,
        path: Any = None,
        layers: Any = None,
        snapshots: int = 100,
        epochs: int | None = None,
        measures: Sequence[Measure] = (),
        keep: Sequence[str] = KEEP,
        reduce: str | Callable[[torch.Tensor], torch.Tensor] = "auto",
        layout: Mapping[str, str] | None = None,
        mask: Any = None,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        batch: int | str | None = "auto",
        views: Any = None,
        unembed: Any = None,
        dtype: str = "float32",
        on_error: str = "raise",
        mode: str = "create",
    ) -> None:
        if on_error not in ON_ERROR:
            raise unknown("on_error", on_error, ON_ERROR)
        self.snapshots = check_count("snapshots", snapshots)
        self.epochs = None if epochs is None else check_count("epochs", epochs)
        called: dict[str, Any] = {"layout": layout, "mask": mask, "forward": forward, "batch": batch}
        called |= {"views": views, "unembed": unembed}
        self._session = Session(model, inputs, labels, path, layers, measures, keep, reduce, dtype, mode, **called)
        watched = self._session.probe.layers if "gradients" in self._session.keep else ()
        self._statistics = GradientStatistics(watched)
        self._schedule = Schedule(self.epochs, self.snapshots)
        self._failures = Failures(self._session, on_error)
        self._metrics = Metrics()
        self._state = "new"
        self._epoch = 0
        self._stride = 1
        self._step = -1
        self._seconds = 0.0
        self._since = 0.0

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> Layers:
        """Names of the layers that are recorded, in call order; a notebook shows shapes, axes and reductions."""
        return Layers([layer.described() for layer in self._session.probe.layers])

    @property
    def left_out(self) -> pd.DataFrame:
        """What ran but is not recorded, and why; as `Recording.left_out`."""
        return left_out_table(self._session.probe.left_out)

    @property
    def epoch(self) -> int:
        """The last epoch that was reported; at the start of a resumed recording 0."""
        return self._epoch

    @property
    def recording(self) -> ModelRecording:
        """The Recording, as of the last snapshot. Raises InputError where nothing was recorded."""
        return self._session.recording

    def __repr__(self) -> str:
        probe, left = self._session.probe, len(self._session.probe.left_out)
        about = f"{type(self._session.model).__name__}, layers {', '.join(self.layers)}; {left} left out (left_out)"
        return f"<flowplane.Recorder of {about}; {probe.samples} samples, {self._state}, epoch {self._epoch}>"

    def cost(self) -> Cost:
        """What the recording will cost, and its information plane, its transport and a report of it: each is timed on a few
        snapshots of the model as it is, which takes some seconds. Nothing is written.

        Without `epochs` the cost of `snapshots` snapshots.
        """
        self._session.work()
        began = time.perf_counter()
        size = self._session.work()
        seconds = time.perf_counter() - began + size / WRITING + COMMIT
        count, later = self._capacity(), {}
        if "activations" in self._session.keep:
            analyses = import_module(ANALYSES)  # which stand above recorders
            later = analyses.seconds_of_analyses(self._session.rehearsed(3), count)
        return Cost(count, count * size, count * seconds, **later)

    # -- recording ----------------------------------------------------------------------------------------------------

    @in_own_modes
    def start(self) -> Self:
        """Record epoch 0 and begin; `with` does it. Raises InputError for a path that does not fit the mode."""
        if self._state != "new":
            raise InputError("recorder", Text(f"a Recorder that is {self._state}"), "a new one for each recording")
        if not self._session.processes.first and not self._session.processes.split:
            self._state = "idle: another process records"
            return self
        self._state = "recording"
        try:
            self._failures.guarded(self._begin, 0)
        finally:
            if self._session.committed is None:
                self._state = "idle: it could not be started"
        self._arm()
        self._since = time.perf_counter()
        return self

    @in_own_modes
    def step(self, epoch: int | None = None, *, step: int | None = None, **metrics: Any) -> None:
        """Say that an epoch is over; a snapshot is taken if one is due.

        Arguments:
            epoch: completed epochs; None for one more than before.
            step: of the optimiser, for the recording.
            metrics: numbers of this epoch, such as loss=loss.

        Raises:
            InputError: an epoch that does not increase, a metric that is not a number, or a Recorder that is not started.
            RecordingFailed: the snapshot failed, or the one before could not be written, and on_error="raise".
        """
        if self._state.startswith("idle") or not self._session.background.here:
            return
        if self._state != "recording":
            state = "closed" if self._state == "closed" else "not started"
            wanted = "steps inside its `with` block, or between start() and close()"
            raise InputError("recorder", Text(f"a Recorder that is {state}"), wanted)
        number = self._checked_epoch(epoch)
        row = checked_metrics(metrics)
        self._step = self._step if step is None else check_count("step", step, 0)
        if number <= (self._session.committed or 0):
            self._epoch = number
            return  # a resumed recording holds it already
        self._stride, self._epoch = number - self._epoch, number
        self._metrics.add(number, row)
        # processes that share a model hear of it together, at the next snapshot
        if self._session.background.over and not self._session.processes.split:
            self._settle()
        if self._schedule.due(number):
            self._snapshot()
        self._arm()

    @in_own_modes
    def close(self) -> None:
        """Record the last epoch if it was not, and end: no hook is left, and another process may write."""
        self._end(whole=True)

    detach = close

    def __enter__(self) -> Self:
        return self.start()

    @in_own_modes
    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._end(whole=kind is None)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        about = {"snapshots": self.snapshots, "epochs": self.epochs}
        self._session.begin(about, self._capacity(), epoch=0, gradients=self._statistics.result())
        committed = self._session.committed
        if committed:
            self._seconds = self._session.processes.together(lambda: float(self._session.recording.seconds[-1]))
            self._schedule.passed(committed)

    def _snapshot(self) -> None:
        self._statistics.disarm()
        self._seconds += time.perf_counter() - self._since
        self._failures.guarded(self._append, self._epoch)
        self._since = time.perf_counter()

    def _append(self) -> None:
        """The model is looked at here and now, and what is found is written in the background."""
        found = {"batches": self._statistics.batches, "gradients": self._statistics.result()}
        rows = self._session.look()
        self._session.processes.together(self._settle)
        self._session.append(rows, self._metrics, epoch=self._epoch, step=self._step, seconds=self._seconds, **found)
        self._metrics = Metrics()
        self._statistics.forget()

    def _settle(self) -> None:
        """Find out what became of the snapshot before; if it failed, what was logged with it comes with the next one."""
        with deferred_interrupts():
            found = self._session.background.outcome()
            if found is not None and found.error is not None:
                self._metrics = found.metrics + self._metrics
                self._failures.happened(found.error, found.epoch)

    def _capacity(self) -> int:
        return self.snapshots if self.epochs is None else min(self.snapshots, self.epochs + 1)

    def _arm(self) -> None:
        """Look at the gradients of the coming epoch if a snapshot is due at its end."""
        due = self._epoch + self._stride >= self._schedule.next
        if due and self._state == "recording" and "gradients" in self._session.keep:
            self._statistics.arm()

    def _checked_epoch(self, epoch: int | None) -> int:
        if epoch is None:  # of a resumed recording: after what is in it
            return max(self._epoch, self._session.committed or 0) + 1
        return checked_epoch(epoch, self._epoch)

    def _end(self, whole: bool) -> None:
        was, self._state = self._state, "closed"
        self._statistics.disarm()
        session, together = self._session, self._session.processes.together
        if was != "recording" or session.committed is None or not session.background.here:
            return
        self._failures.leaving = not whole
        try:
            if whole:
                together(self._settle)
                if together(lambda: self._epoch > (session.committed or 0)):
                    self._snapshot()
                    together(self._settle)
            else:
                self._settle()
        except BaseException:
            self._failures.leaving = True
            raise
        finally:
            try:
                if self._metrics.epochs and session.writer is not None and session.background.idle:
                    self._failures.guarded(lambda: session.log(self._metrics), self._epoch)
            finally:
                session.close()
        if whole and session.processes.first and session.committed == 0:
            self._say_forgotten()

    def _say_forgotten(self) -> None:
        if self._epoch == 0:
            message = "only epoch 0 was recorded, as no epoch was reported: call recorder.step() at the end of each"
        elif self.epochs is not None:
            message = f"only epoch 0 was recorded, of {self.epochs} that were announced"
        else:
            return
        warnings.warn(message, RuntimeWarning, stacklevel=outside())
