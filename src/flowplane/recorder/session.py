"""One recording of a model in the making: what is probed, how it is described, where it is written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import nn

from flowplane.core.interrupts import deferred_interrupts
from flowplane.core.measure import LayerFacts, Measure, check_measure, prepared
from flowplane.core.results import joined, without_flags
from flowplane.errors import InputError, Text, unknown
from flowplane.recorder.inputs import read_inputs, read_labels
from flowplane.recorder.numbers import DTYPES, stored
from flowplane.recorder.probe import Layer, Probe, side_effect_free, unwrapped
from flowplane.recorder.reduction import checked_rule
from flowplane.recorder.state import unkept
from flowplane.recording import MODES, Metrics, ModelRecording, ModelSnapshot, ModelWriter, versions

__all__ = ["Session"]

KEEP = ("activations", "gradients")
NOISY = (
    "the model gives other outputs for the same inputs, although it is in eval mode: what is recorded is one draw, and "
    "estimators that take a layer for a function of its inputs refuse it"
)
#: Probe samples of which nothing can be estimated, and what is said of fewer, and of state that cannot be put back.
FEW = 20
TOO_FEW = "estimates from so few mean little; a thousand or two are usual"
NOT_PUT_BACK = "which cannot be put back after it was looked at: training may differ from training without a Recorder"
#: How outputs become rows: a name, or a function of them.
Rule = str | Callable[[torch.Tensor], torch.Tensor]


class Session:
    """The probe of a model and the writer of its recording. Arguments are those of `Recorder`.

    Raises:
        InputError: an argument that makes no sense, layers that are not there, inputs on which the model fails.
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
    ) -> None:
        self.path = path
        self.keep = _checked_keep(keep)
        for name, value, known in (("dtype", dtype, DTYPES), ("mode", mode, MODES)):
            if value not in known:
                raise unknown(name, value, known)
        self.dtype, self.mode = dtype, mode
        self.measures = _checked_measures(measures)
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
            warnings.warn(f"only {given.count} probe samples: {TOO_FEW}", RuntimeWarning, stacklevel=4)
        if kept := unkept(self.model):
            warnings.warn(f"the model keeps {', '.join(kept[:5])}, {NOT_PUT_BACK}", RuntimeWarning, stacklevel=4)
        marked = torch.from_numpy(classes >= 0) if classes is not None and self.labels.places else None
        self.probe = Probe(self.model, given, layers, reduce, marked)
        if not self.probe.deterministic:
            warnings.warn(NOISY, RuntimeWarning, stacklevel=4)
        self.task = self._described_task()
        self._measured = [[self._prepared(measure, layer) for layer in self.probe.layers] for measure in self.measures]
        self.writer: ModelWriter | None = None
        #: The last epoch that is committed.
        self.committed: int | None = None

    @property
    def recording(self) -> ModelRecording:
        """The Recording, as of the last snapshot. Raises InputError where nothing was recorded."""
        if self.writer is None or self.committed is None:
            raise InputError("recorder", Text("a Recorder that has recorded nothing"), "one that was started: `with` it")
        return ModelRecording(self.writer.repository, None if self.writer.path is None else str(self.writer.path))

    def begin(self, configuration: dict[str, Any], capacity: int, **moment: Any) -> None:
        """Open the recording and commit its first snapshot; one that is resumed is read instead.

        Raises:
            InputError: a path that does not fit the mode, or a recording of something else to resume.
        """
        try:
            writer = ModelWriter(self.path, self.mode)
        except OSError as error:
            raise InputError("path", str(self.path), f"a folder that can be written ({error.strerror})") from error
        try:
            if writer.resumed:
                self.writer = writer
                self._resume()
                return
            rows = self.probe()
            first = self._made(rows, **moment)
            with deferred_interrupts():
                writer.begin(self._configuration() | configuration, self.task, first, Metrics(), capacity, self.dtype)
                self.writer, self.committed = writer, first.epoch
        except BaseException:
            if self.committed is None or writer.resumed:
                writer.__exit__()
                self.writer = None
            raise

    def append(self, metrics: Metrics, **moment: Any) -> None:
        """Probe the model and commit a snapshot."""
        assert self.writer is not None
        made = self._made(self.probe(), **moment)
        with deferred_interrupts():
            self.writer.append(made, metrics)
            self.committed = made.epoch

    def log(self, metrics: Metrics) -> None:
        """Commit metrics alone."""
        assert self.writer is not None
        with deferred_interrupts():
            self.writer.log(metrics)

    def close(self) -> None:
        """Free the writer's lock."""
        if self.writer is not None:
            self.writer.__exit__()

    def work(self) -> int:
        """All that a snapshot computes, without writing it; the bytes that would be written."""
        rows = self.probe()
        self._measures(rows)
        return sum(values.size for values in rows) * np.dtype(self.dtype).itemsize if "activations" in self.keep else 0

    def _resume(self) -> None:
        assert self.writer is not None
        self.committed = 0
        rec = self.recording
        if rec.attrs.get("kind") != ModelRecording.kind:
            raise InputError("path", str(self.path), "a recording of a model to resume; this one is of fp.train")
        layers = [layer.described() for layer in self.probe.layers]
        if rec.attrs["layers"] != layers or tuple(rec.attrs["keep"]) != self.keep or rec.attrs["dtype"] != self.dtype:
            found = Text(", ".join(layer["name"] for layer in layers))
            raise InputError("layers", found, f"layers, keep and dtype of the recording: {', '.join(rec.layers)}")
        if rec.attrs["measures"] != [repr(measure) for measure in self.measures]:
            raise InputError("measures", list(self.measures), f"those of the recording: {rec.attrs['measures']}")
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
        self.committed = int(rec.epochs[-1])
        self.writer.resume()

    def _made(
        self,
        rows: list[np.ndarray],
        *,
        epoch: int,
        step: int = -1,
        seconds: float = 0.0,
        batches: int = 0,
        gradients: Float[np.ndarray, "layer 3"] | None = None,
    ) -> ModelSnapshot:
        kept_rows = None
        if "activations" in self.keep:
            kept_rows = [
                stored(layer.name, values, self.dtype) for layer, values in zip(self.probe.layers, rows, strict=True)
            ]
        kept = gradients if "gradients" in self.keep else None
        return ModelSnapshot(epoch, step, seconds, batches, kept_rows, kept, self._measures(rows))

    def _measures(self, rows: list[np.ndarray]) -> list[xr.Dataset]:
        """What each measure finds in the layers, (layer, …)."""
        inputs = self.task["inputs"] if self.task["points"] else None
        labels, names = self.task["labels"], [layer.name for layer in self.probe.layers]
        found = []
        for by_layer in self._measured:
            parts = [measure(values[None], labels, inputs=inputs) for measure, values in zip(by_layer, rows, strict=True)]
            found.append(without_flags(_beside(dict(zip(names, parts, strict=True)))))
        return found

    def _prepared(self, measure: Measure, layer: Layer) -> Measure:
        """The measure, with what it needs to know of the layer."""

        def unknowable() -> Any:
            found = Text(f"{measure!r}, whose parameters depend on the whole recording")
            raise InputError("measures", found, "one that is settled beforehand, such as fp.Binned(30, range=(-1, 1))")

        try:
            return prepared(measure, LayerFacts(layer.activation, self.probe.deterministic, unknowable))  # type: ignore[no-any-return]
        except InputError as error:
            raise InputError("measures", error.found, error.expected) from error

    def _described_task(self) -> dict[str, Any]:
        inputs, points = self.probe.inputs.rows()
        labels, targets = self.labels.classes, self.labels.targets
        if self.reduce == "tokens":
            count, mask = self.probe.inputs.count, self.probe.mask
            tokens = self.probe.layers[0].shape[0]
            chosen = np.ones((count, tokens), bool) if mask is None else mask.cpu().numpy()
            # a token's x is what it stands in, and where
            inputs, points = (inputs[:, :1] if not points else _codes(inputs)) * tokens + np.arange(tokens), False
            inputs = inputs.astype(np.float32)[chosen][:, None]
            if labels is not None:
                labels = (labels if labels.ndim == 2 else np.repeat(labels[:, None], tokens, 1))[chosen]
            if targets is not None:
                targets = np.repeat(targets[:, None], tokens, 1)[chosen]
        return {"name": "probe inputs", "inputs": inputs, "points": points, "labels": labels, "targets": targets}

    def _configuration(self) -> dict[str, Any]:
        model, labels = self.model, self.labels
        return {
            "kind": ModelRecording.kind,
            "model": type(model).__name__,
            "parameters": sum(part.numel() for part in model.parameters()),
            "layers": [layer.described() for layer in self.probe.layers],
            "samples": self.probe.samples,
            "labels": labels.about,
            "deterministic": self.probe.deterministic,
            "classes": labels.names,
            "keep": list(self.keep),
            "measures": [repr(measure) for measure in self.measures],
            "reduce": self.reduce if isinstance(self.reduce, str) else getattr(self.reduce, "__name__", "callable"),
            "dtype": self.dtype,
            "device": str(next((part.device for part in model.parameters()), "cpu")),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }


def _beside(parts: dict[str, xr.Dataset]) -> xr.Dataset:
    """One snapshot's results of all layers, (layer, …); those of each have a leading dimension of length 1."""
    first = next(iter(parts.values()))
    dataset = xr.Dataset(coords={"layer": list(parts)})
    for name, variable in first.data_vars.items():
        values = np.stack([part[name].values[0] for part in parts.values()])
        dataset[name] = (("layer", *variable.dims[1:]), values)
    return joined(dataset, "layer", parts)


def _codes(inputs: np.ndarray) -> np.ndarray:
    """A number a row, equal for equal rows."""
    return np.unique(inputs, axis=0, return_inverse=True)[1].reshape(-1, 1)


def _checked_keep(keep: Any) -> tuple[str, ...]:
    kept = (keep,) if isinstance(keep, str) else tuple(keep)
    for name in kept:
        if name not in KEEP:
            raise unknown("keep", name, KEEP)
    return tuple(name for name in KEEP if name in kept)


def _checked_measures(measures: Any) -> tuple[Measure, ...]:
    found = tuple(measures) if isinstance(measures, Sequence) else (measures,)
    return tuple(check_measure("measures", measure) for measure in found)
