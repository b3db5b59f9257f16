"""Activations recomputed when they are asked for: an array that xarray indexes lazily and that stores nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from xarray.backends import BackendArray
from xarray.core import indexing

from flowplane.core.network import Network

__all__ = ["NetworkActivations", "snapshots_per_block"]

#: Bytes of activations computed together: enough snapshots that the calls themselves cost nothing.
BLOCK_BYTES = 1 << 27


def snapshots_per_block(network: Network, samples: int, memory_budget: int) -> int:
    """How many snapshots to pass through the network together, counting every layer's outputs and their keys."""
    bytes_each = samples * (sum(network.widths) + 8) * 4
    return max(1, min(memory_budget // 4, BLOCK_BYTES) // bytes_each)


class NetworkActivations(BackendArray):
    """One layer's outputs (replica, epoch, sample, unit), computed from the stored weights on access.

    The network always sees all the inputs, whatever part is asked for, so that an activation has the same bits however
    it is reached.
    """

    def __init__(
        self,
        network: Network,
        layer: str,
        weights: xr.DataArray,
        inputs: Float[np.ndarray, "sample feature"],
        memory_budget: int = 1 << 30,
    ) -> None:
        self.network = network
        self.depth = network.index(layer) + 1
        self.weights = weights
        self.inputs = torch.tensor(inputs, device="cpu")
        self.memory_budget = memory_budget
        self.shape = (*weights.shape[:2], len(inputs), network.widths[self.depth - 1])
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        scalar = [isinstance(part, int | np.integer) for part in key]
        places = [np.arange(size)[part].reshape(-1) for size, part in zip(self.shape, key, strict=True)]
        packed = self.weights.isel(replica=places[0], epoch=places[1]).values
        replicas, epochs, parameters = packed.shape
        flat = torch.tensor(packed.reshape(-1, parameters), device="cpu")
        result = np.empty((len(flat), len(places[2]), len(places[3])), np.float32)
        step = snapshots_per_block(self.network, len(self.inputs), self.memory_budget)
        for start in range(0, len(flat), step):
            outputs = self.network.forward(flat[start : start + step], self.inputs, self.depth)[-1].numpy()
            result[start : start + step] = outputs[:, places[2]][:, :, places[3]]
        part = result.reshape(replicas, epochs, *result.shape[1:])
        return part[tuple(0 if single else slice(None) for single in scalar)]
