"""The arguments of a model's call, cut into batches and handed on as the user's own loop would."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowplane.errors import InputError, Text
from flowplane.recorder.inputs.codes import codes
from flowplane.recorder.inputs.trees import Fixed, leaves, mapped, moved, plain, selected
from flowplane.recorder.numbers import numeric, side_by_side

__all__ = ["Batch", "ProbeInputs"]

#: Inputs above this many bytes are not kept with a recording.
KEPT_BYTES = 1 << 28

#: Arguments of one call, by position and by name.
Batch = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class ProbeInputs:
    """What the model is called with.

    Arguments:
        given: a tree; a tuple are arguments by position, a dict by name. Its leaves are tensors with the samples first,
            lists of samples, and `Fixed`.
        count: samples.
        mask: which tokens are not padding, (sample, token); None where nothing says so.
        forward: how the model is called, (model, batch); None: model(*batch) or model(**batch).
        size: samples per call; None for all in one call; "auto".
        taken: names that were taken out of the inputs as labels.
        total: samples that there are, where these are some of them.
    """

    given: Any
    count: int
    mask: Tensor | None = None
    forward: Callable[[nn.Module, Any], Any] | None = None
    size: int | str | None = "auto"
    taken: tuple[str, ...] = ()
    total: int | None = None

    @property
    def whole(self) -> bool:
        """Whether the samples cannot be split: one call sees all of them, in their order."""
        return self.size is None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that have the samples first."""
        return tuple(leaf for leaf in leaves(self.given) if isinstance(leaf, Tensor))

    def calls_of(self, automatic: int) -> int:
        """Samples per call, where `automatic` would be the probe's own choice."""
        if self.whole:
            return self.count
        return min(self.size, self.count) if isinstance(self.size, int) else automatic

    def take(self, rows: Tensor) -> ProbeInputs:
        """The inputs of the samples `rows`, in that order. Those that cannot be split stay as they are."""
        if self.whole:
            return self
        mask = None if self.mask is None else self.mask[rows]
        return replace(
            self,
            given=mapped(self.given, lambda leaf: selected(leaf, rows)),
            count=len(rows),
            mask=mask,
            total=self.total or self.count,
        )

    def batch(self, start: int, stop: int, device: torch.device | str) -> Batch:
        """Arguments of one call, on the device."""

        def ready(leaf: Any) -> Any:
            return moved(leaf.value if isinstance(leaf, Fixed) else leaf, torch.device(device))

        made = mapped(self.take(torch.arange(start, stop, device="cpu")).given, ready)
        if self.forward is None and isinstance(made, Mapping):
            return (), {str(name): part for name, part in made.items()}
        if self.forward is None and isinstance(made, tuple):
            return tuple(made), {}
        return (made,), {}

    def sample_tensors(self, batch: Batch) -> list[Tensor]:
        """Those tensors of a batch that have the samples first; what every batch gets unchanged is not among them."""
        given = self.given if isinstance(self.given, tuple) and self.forward is None else (self.given,)
        places = ({}, self.given) if isinstance(self.given, Mapping) and self.forward is None else (given, {})
        found: list[Tensor] = []
        for part, made in zip(places, batch, strict=True):
            _beside(part, made, found)
        return found

    def call(self, model: nn.Module, batch: Batch) -> Any:
        """What the model returns for a batch.

        Raises:
            InputError: the model, or `forward`, fails on it; the message says how, and what may help.
        """
        arguments, named = batch
        try:
            return model(*arguments, **named) if self.forward is None else self.forward(model, *arguments)
        except (InputError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a model may raise anything
            reason = (str(error) or repr(error)).splitlines()[0]
            total = self.total or self.count
            shapes = ", ".join(f"{(total, *values.shape[1:])}" for values in self.tensors)
            which = "forward" if self.forward is not None else "inputs"
            found = Text(f"shape {shapes}, on which the model fails: {reason}" if shapes else f"a failure: {reason}")
            raise InputError(
                which, found, f"inputs that the model can be called with{self._advice(model, reason)}"
            ) from error

    def _advice(self, model: nn.Module, reason: str) -> str:
        parameters = {part.dtype for part in model.parameters() if part.is_floating_point()}
        given = {values.dtype for values in self.tensors if values.is_floating_point()}
        if parameters and given - parameters:
            kinds = [", ".join(sorted(str(each).removeprefix("torch.") for each in some)) for some in (given, parameters)]
            return f"; they are {kinds[0]}, its parameters {kinds[1]}: cast them, or call it with forward="
        if self.taken:
            names = " and ".join(map(repr, self.taken))
            return f"; {names} was taken out of them as the labels: where the model needs it, pass it with forward="
        parted = self.total is not None and self.total != self.count
        if self.forward is None and parted and str(self.total) in re.findall(r"\d+", reason):
            return "; a model that needs all of them at once, such as one on a whole graph, needs batch=None"
        return ""

    def rows(self) -> tuple[np.ndarray, bool]:
        """The inputs as rows (sample, feature) for the recording, and whether they are points: one array of real or complex
        numbers, not too large. Otherwise one number per sample, equal for equal inputs.

        Rows have the precision in which the model gets them, at least float32.
        """
        parts = [leaf for leaf in leaves(self.given) if not isinstance(leaf, Fixed)]
        fixed = [leaf.value for leaf in leaves(self.given) if isinstance(leaf, Fixed)]
        if self.whole and (len(parts) != 1 or any(not plain(value) for value in fixed)):
            return np.arange(self.count, dtype=np.float32)[:, None], False  # each also depends on the others
        first = parts[0]
        real = isinstance(first, Tensor) and numeric(first)
        if len(parts) == 1 and real and first.layout == torch.strided and 4 * first.numel() <= KEPT_BYTES:
            return side_by_side(first.reshape(self.count, -1)).cpu().numpy(), True
        return codes(parts, self.count)[:, None].astype(np.float32), False


def _beside(given: Any, made: Any, found: list[Tensor]) -> None:
    """Walk two trees of the same form; collect what stands where the first has a tensor."""
    if isinstance(given, Tensor):
        found.append(made)
    elif isinstance(given, Mapping):
        for name, part in given.items():
            _beside(part, made[name], found)
    elif isinstance(given, tuple):
        for part, other in zip(given, made, strict=True):
            _beside(part, other, found)
