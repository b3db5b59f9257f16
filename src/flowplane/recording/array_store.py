"""Writing a recording whose activations exist already: one commit, layer by layer, a block of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import zarr
from jaxtyping import Float, Int

from flowplane.core.interrupts import deferred_interrupts
from flowplane.recording.model_store import ModelWriter
from flowplane.recording.store import BRANCH, array_of

__all__ = ["ArrayWriter", "Layer"]

#: Bytes of a block of rows, which is also a chunk: as much of a layer in a file is held at a time.
BLOCK_BYTES = 1 << 24


class Layer(Protocol):
    """A layer's activations at all epochs, read block by block."""

    @property
    def samples(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Units."""

    def described(self) -> dict[str, Any]:
        """As the recording's configuration holds it."""

    def read(self, place: int, rows: slice) -> Float[np.ndarray, "row unit"]:
        """Some rows at one of the epochs, as float32."""


class ArrayWriter(ModelWriter):
    """The writer of `fp.from_arrays`."""

    def write(
        self,
        configuration: dict[str, Any],
        task: dict[str, Any],
        epochs: Int[np.ndarray, " epoch"],
        layers: Iterable[Layer],
        advance: Callable[[float], None],
    ) -> None:
        """Lay a recording out, fill it and commit it: all of it, or nothing.

        Arguments:
            configuration: without `layers`, which are known when they have been read.
            task: as of `ModelWriter.begin`.
            layers: each is read and let go before the next one is taken.
            advance: called after every layer.
        """
        session = self.repository.writable_session(BRANCH)
        root = self._lay_out(session.store, configuration, task, len(epochs))
        described: list[dict[str, Any]] = []
        for layer in layers:
            self._fill(session.store, root, len(described), len(epochs), layer)
            described.append(layer.described())
            advance(1)
            del layer  # not needed while the next one is read
        root.attrs["configuration"] = json.dumps(configuration | {"layers": described})
        array_of(root, "moments")[:] = np.tile([-1, np.nan, 0], (len(epochs), 1))  # no steps, seconds, mini-batches
        array_of(root, "epoch")[:] = epochs
        with deferred_interrupts():
            self.commit(session, f"epochs {epochs[0]} to {epochs[-1]}")

    def _fill(self, store: Any, root: zarr.Group, place: int, epochs: int, layer: Layer) -> None:
        rows = min(layer.samples, max(1, BLOCK_BYTES // (4 * layer.width)))
        self._lay_out_layer(
            root.create_group(f"layers/{place:02d}"), "activations", epochs, (layer.samples, layer.width), rows, "float32"
        )
        stored = self._array(store, f"layers/{place:02d}/activations")
        for epoch in range(epochs):
            for first in range(0, layer.samples, rows):
                part = slice(first, min(first + rows, layer.samples))
                stored[0, epoch, part] = layer.read(epoch, part)
