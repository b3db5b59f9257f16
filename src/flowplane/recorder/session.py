"""One recording of a model in the making: what is probed, how it is described, where it is written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from flowplane.core.callers import outside
from flowplane.core.interrupts import deferred_interrupts
from flowplane.core.measure import Measure
from flowplane.errors import InputError, Text, unknown
from flowplane.recorder.background import Background
from flowplane.recorder.divergence import Divergence
from flowplane.recorder.inputs import read_inputs, read_labels
from flowplane.recorder.lens import LogitLens
from flowplane.recorder.looking import side_effect_free, unwrapped
from flowplane.recorder.numbers import DTYPES, stored
from flowplane.recorder.online import OnlineMeasures, checked_measures
from flowplane.recorder.probe import Probe
from flowplane.recorder.processes import Processes, class_name, whole_afterwards
from flowplane.recorder.reduction import checked_rule
from flowplane.recorder.state import unkept
from flowplane.recording import LENS, MODES, Metrics, ModelRecording, ModelSnapshot, ModelWriter, versions

__all__ = ["Session"]

KEEP = ("activations", "gradients")
NOISY = (
    "the model gives different outputs for the same inputs in eval mode ({}): the recording holds one draw of these layers, "
    "and estimators that need a layer to be a function of its inputs refuse them"
)
#: The fewest useful probe samples; what is said of fewer, and of state that cannot be put back.
FEW = 20
TOO_FEW = "estimates from this few mean little; a thousand or two are usual"
NOT_PUT_BACK = "which cannot be put back after a probe: training may differ from training without a Recorder"
#: How outputs become rows: a name, or a function of them.
Rule = str | Callable[[torch.Tensor], torch.Tensor]


class Session:
    """The probe of a model and the writer of its recording. Arguments are those of `Recorder`.

    Raises:
        InputError: an invalid argument, layers that do not exist, inputs on which the model fails.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Any,
        labels: Any,
        path: Any,
        layers: Any,
        measures: Sequence[Measure],
        keep: Sequence[str],
        reduce: Rule,
        dtype: str,
        mode: str,
        *,
        mask: Any = None,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        batch: int | str | None = "auto",
        layout: Mapping[str, str] | None = None,
        views: Any = None,
        unembed: Any = None,
    ) -> None:
        self.path = path
        self.keep = _checked_keep(keep)
        for name, value, known in (("dtype", dtype, DTYPES), ("mode", mode, MODES)):
            if value not in known:
                raise unknown(name, value, known)
        self.dtype, self.mode = dtype, mode
        self.measures = checked_measures(measures)
        if "activations" not in self.keep and not self.measures:
            raise InputError("keep", list(self.keep), "'activations' in it, or measures to take instead")
        self.reduce = checked_rule(reduce)
        self.model = unwrapped(model)
        with side_effect_free(self.model):
            given, found = read_inputs(inputs, self.model, labels, mask=mask, forward=forward, batch=batch)
            self.labels = read_labels(found, given.count, places=reduce == "tokens")
        classes = self.labels.classes
        if self.labels.places and reduce != "tokens":
            wanted = f"shape ({given.count},), or reduce='tokens', where each token or place is a sample with its own label"
            raise InputError("labels", Text(f"shape {self.labels.shape}"), wanted)
        if given.count < FEW:
            warnings.warn(f"only {given.count} probe samples: {TOO_FEW}", RuntimeWarning, stacklevel=outside())
        if kept := unkept(self.model):
            warnings.warn(f"the model keeps {', '.join(kept[:5])}, {NOT_PUT_BACK}", RuntimeWarning, stacklevel=outside())
        marked = torch.from_numpy(classes >= 0) if classes is not None and self.labels.places else None
        self.processes = Processes(self.model)
        with whole_afterwards(self.model):
            self.probe = Probe(self.model, given, layers, reduce, marked, layout)
        if noisy := [layer.name for layer in self.probe.layers if not layer.deterministic]:
            some = ", ".join(noisy[:5]) + (f" and {len(noisy) - 5} more" if len(noisy) > 5 else "")
            warnings.warn(NOISY.format(some), RuntimeWarning, stacklevel=outside())
        self.views = None if views is None else self._of_views(views, mask=None, forward=forward, batch=batch)
        self.lens = None if unembed is None else LogitLens(self.model, unembed, given, self.probe.tokens)
        self.task = self._described_task()
        self._measures = OnlineMeasures(self.measures, self.probe, self.task)
        self.writer: ModelWriter | None = None
        #: The last epoch that is committed.
        self.committed: int | None = None
        self.background = Background()
        self._divergence = Divergence()

    def __reduce_ex__(self, protocol: Any) -> Any:
        found = Text("a copy or a pickle of a Recorder, which has no copies")
        raise InputError("recorder", found, "a copy of its recording, recorder.recording")

    @property
    def recording(self) -> ModelRecording:
        """The Recording, as of the last snapshot. Raises InputError where nothing was recorded."""
        self.background.wait()
        if not self.processes.first and self.committed is not None:
            raise InputError("recorder", Text("a Recorder in a process other than the first"), "the first, which records")
        if self.writer is None or self.committed is None:
            raise InputError(
                "recorder", Text("a Recorder that has recorded nothing"), "one that was started (`with` does it)"
            )
        return ModelRecording(self.writer.repository, None if self.writer.path is None else str(self.writer.path))

    def begin(self, configuration: dict[str, Any], capacity: int, **moment: Any) -> None:
        """Open the recording and commit its first snapshot; one that is resumed is read instead.

        Raises:
            InputError: a path that does not fit the mode, or a recording of something else to resume.
        """
        self.background = Background()
        self.committed = self.processes.together(self._open)
        if self.committed is not None:
            return
        try:
            rows = self.look()

            def first() -> int:
                assert self.writer is not None
                made = self._made(rows, Metrics(), **moment)
                with deferred_interrupts():
                    about = self._configuration() | configuration
                    self.writer.begin(about, self.task, made, Metrics(), capacity, self.dtype)
                    self.committed = made.epoch
                return made.epoch

            self.committed = self.processes.together(first)
        except BaseException:
            if self.writer is not None and self.committed is None:
                self.writer.__exit__()
                self.writer = None
            raise

    def look(self) -> list[np.ndarray]:
        """All layers' rows, from the model as it is; after them those of the second views."""
        with whole_afterwards(self.model):
            return [*self.probe(), *(self.views() if self.views is not None else [])]

    def _of_views(self, views: Any, **called: Any) -> Probe:
        """The probe, of second views of its samples.

        Raises:
            InputError: another number of samples, tokens as rows, or what `read_inputs` refuses.
        """
        if self.probe.tokens is not None:
            raise InputError("views", Text("tokens that are rows"), "rows of whole samples: another reduce than 'tokens'")
        try:
            with side_effect_free(self.model):
                others, _ = read_inputs(views, self.model, **called)
        except InputError as error:
            raise InputError("views", error.found, error.expected) from error
        if others.count != self.probe.inputs.count:
            raise InputError("views", Text(f"{others.count} samples"), f"a second view of each of {self.probe.inputs.count}")
        return self.probe.of(others)

    def append(self, rows: list[np.ndarray], metrics: Metrics, **moment: Any) -> None:
        """Measure what the probe saw, and commit it in the background, once the outcome of the one before is known."""

        def give() -> None:
            made = self._made(rows, metrics, **moment)
            self.background.give(self._commit, made, metrics)

        self.processes.together(give)
        if not self.processes.first:
            self.committed = moment["epoch"]

    def append_now(self, **moment: Any) -> None:
        """Probe the model and commit a snapshot."""
        made = self._made(self.look(), Metrics(), **moment)
        with deferred_interrupts():
            self._commit(made, Metrics())

    def log(self, metrics: Metrics) -> None:
        """Commit metrics alone."""
        assert self.writer is not None
        with deferred_interrupts():
            self.writer.log(metrics)

    def close(self) -> None:
        """End the background work, and free the writer's lock."""
        if self.writer is not None:
            self.background.close(then=self.writer.__exit__)

    def _commit(self, made: ModelSnapshot, metrics: Metrics) -> None:
        assert self.writer is not None
        self.writer.append(made, metrics)
        self.committed = made.epoch

    def work(self) -> int:
        """All that a snapshot computes, without writing it; the bytes that would be written."""
        rows = self.look()
        self._measures(rows)
        return sum(values.size for values in rows) * np.dtype(self.dtype).itemsize if "activations" in self.keep else 0

    def rehearsed(self, snapshots: int) -> ModelRecording:
        """A recording in memory of the model as it is, with this many equal snapshots of activations."""
        layers = self.probe.layers
        rows = [stored(layer.name, values, self.dtype) for layer, values in zip(layers, self.look(), strict=False)]
        about = self._configuration() | {"keep": ["activations"], "measures": [], "views": False}
        equal = [ModelSnapshot(epoch, -1, 0.0, 0, rows, None, [], None) for epoch in range(snapshots)]
        with ModelWriter.at(None, "create") as writer:
            writer.begin(about, self.task, equal[0], Metrics(), snapshots, self.dtype)
            for each in equal[1:]:
                writer.append(each, Metrics())
        return ModelRecording(writer.repository, None)

    def _open(self) -> int | None:
        """Claim the place of the recording; the last epoch of one that is resumed."""
        self.writer = ModelWriter.at(self.path, self.mode)
        try:
            return self._resumed(self.writer) if self.writer.resumed else None
        except BaseException:
            self.writer.__exit__()
            self.writer = None
            raise

    def _resumed(self, writer: ModelWriter) -> int:
        """The last epoch of a recording to go on with, which must have the same model and arguments."""
        rec = ModelRecording(writer.repository, None)
        if rec.attrs.get("kind") != ModelRecording.kind:
            raise InputError("path", str(self.path), "a recording of a model to resume; this one was made by fp.train")
        layers = [layer.described() for layer in self.probe.layers]
        if rec.attrs["layers"] != layers or tuple(rec.attrs["keep"]) != self.keep or rec.attrs["dtype"] != self.dtype:
            found = Text(", ".join(layer["name"] for layer in layers))
            raise InputError("layers", found, f"layers, keep and dtype of the recording: {', '.join(rec.layers)}")
        if rec.attrs["measures"] != self._named_measures():
            raise InputError("measures", self._named_measures(), f"those of the recording: {rec.attrs['measures']}")
        parameters = sum(part.numel() for part in self.model.parameters())
        if rec.attrs["parameters"] != parameters:
            found = Text(f"a model of {parameters:,} parameters")
            raise InputError("model", found, f"that of the recording, with {rec.attrs['parameters']:,}")
        stored = rec.task.labels
        given = self.task["labels"]
        if (stored is None) != (given is None) or (stored is not None and not np.array_equal(stored, given)):
            raise InputError("labels", Text("other labels"), "those of the recording to resume")
        if not np.array_equal(rec.task.inputs, self.task["inputs"]):
            raise InputError("inputs", Text("other probe inputs"), "those of the recording to resume")
        writer.resume()
        return int(rec.epochs[-1])

    def _made(
        self,
        rows: list[np.ndarray],
        metrics: Metrics,
        *,
        epoch: int,
        step: int = -1,
        seconds: float = 0.0,
        batches: int = 0,
        gradients: Float[np.ndarray, "layer 3"] | None = None,
    ) -> ModelSnapshot:
        layers = self.probe.layers
        rows, others = rows[: len(layers)], rows[len(layers) :]
        self._divergence.look(epoch, [layer.name for layer in layers], rows, metrics)
        kept_rows, kept_views = None, None
        if "activations" in self.keep:
            kept_rows = [stored(layer.name, values, self.dtype) for layer, values in zip(layers, rows, strict=True)]
            kept_views = [stored(layer.name, values, self.dtype) for layer, values in zip(layers, others, strict=False)]
        kept = gradients if "gradients" in self.keep else None
        measured = self._measures(rows)
        if self.lens is not None:
            with side_effect_free(self.model):
                measured.append(self.lens([layer.name for layer in layers], rows))
        return ModelSnapshot(epoch, step, seconds, batches, kept_rows, kept, measured, kept_views)

    def _named_measures(self) -> list[str]:
        """What was measured at each snapshot, by name."""
        return [*(repr(measure) for measure in self.measures), *([LENS] if self.lens is not None else [])]

    def _described_task(self) -> dict[str, Any]:
        inputs, points = self.probe.inputs.rows()
        labels, targets = self.labels.classes, self.labels.targets
        if self.probe.tokens is not None:
            tokens = self.probe.layers[0].places
            chosen = tuple(self.probe.tokens.T)
            # a token's x is its sequence, and its place there
            inputs, points = (inputs[:, :1] if not points else _codes(inputs)) * tokens + np.arange(tokens), False
            inputs = inputs.astype(np.float32)[chosen][:, None]
            if labels is not None:
                labels = (labels if labels.ndim == 2 else np.repeat(labels[:, None], tokens, 1))[chosen]
            if targets is not None:
                targets = np.repeat(targets[:, None], tokens, 1)[chosen]
        task = {"name": "probe inputs", "inputs": inputs, "points": points, "labels": labels, "targets": targets}
        return task | {"tokens": self.probe.tokens}

    def _configuration(self) -> dict[str, Any]:
        model, labels = self.model, self.labels
        return {
            "kind": ModelRecording.kind,
            "model": class_name(model),
            "parameters": sum(part.numel() for part in model.parameters()),
            "layers": [layer.described() for layer in self.probe.layers],
            "left_out": self.probe.left_out,
            "samples": self.probe.samples,
            "labels": labels.about,
            "deterministic": self.probe.deterministic,
            "classes": labels.names,
            "keep": list(self.keep),
            "measures": self._named_measures(),
            "views": self.views is not None,
            "reduce": self.reduce if isinstance(self.reduce, str) else getattr(self.reduce, "__name__", "callable"),
            "tokens": self.probe.tokens_said,
            "dtype": self.dtype,
            "device": str(next((part.device for part in model.parameters()), "cpu")),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }


def _codes(inputs: np.ndarray) -> np.ndarray:
    """A number per row, equal for equal rows."""
    return np.unique(inputs, axis=0, return_inverse=True)[1].reshape(-1, 1)


def _checked_keep(keep: Any) -> tuple[str, ...]:
    kept = (keep,) if isinstance(keep, str) else tuple(keep)
    for name in kept:
        if name not in KEEP:
            raise unknown("keep", name, KEEP)
    return tuple(name for name in KEEP if name in kept)
