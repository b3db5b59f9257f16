"""The feed-forward network of ensembles: where each layer's parameters stand in one packed vector, and the forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core import streams
from flowplane.errors import unknown

__all__ = ["ACTIVATIONS", "Network"]

ACTIVATIONS = ("tanh", "relu", "sigmoid", "linear")
#: A multiple of every processor's vector length.
VECTOR = 64


@dataclass(frozen=True)
class Network:
    """Fully connected layers of the given `sizes` (inputs first, classes last), a softmax at the end (B2).

    Layers are numbered from 1, the softmax is the last. The parameters of layer l stand in one packed vector from
    `starts[l - 1]` on: the weights (output, input) row by row, then the biases.

    Example:
        >>> network = Network((12, 10, 7, 5, 4, 3, 2), "tanh")
        >>> network.parameters, network.layers[-1], network.activation_of("layer6")
        (294, 'layer6', 'softmax')
    """

    sizes: tuple[int, ...]
    activation: str

    @cached_property
    def starts(self) -> tuple[int, ...]:
        starts = [0]
        for inputs, outputs in zip(self.sizes, self.sizes[1:], strict=False):
            starts.append(starts[-1] + (inputs + 1) * outputs)
        return tuple(starts)

    @property
    def parameters(self) -> int:
        return self.starts[-1]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(f"layer{depth}" for depth in range(1, len(self.sizes)))

    @property
    def widths(self) -> tuple[int, ...]:
        return self.sizes[1:]

    def index(self, layer: str) -> int:
        """Place of a layer, from 0. Raises InputError for an unknown one."""
        if layer not in self.layers:
            raise unknown("layer", layer, self.layers)
        return self.layers.index(layer)

    def activation_of(self, layer: str) -> str:
        """The function that a layer ends in: the hidden layers' own, softmax for the last."""
        return "softmax" if self.index(layer) == len(self.layers) - 1 else self.activation

    def initial_weights(self, seed: int, replica: int) -> Float[np.ndarray, " parameter"]:
        """Weights from N(0, 1/fan_in) truncated at ±2 standard deviations, biases zero (B2).

        Each layer has a stream of its own: networks that differ in depth or in one layer's width share the others' draws.
        """
        from scipy.special import ndtr, ndtri

        weights = np.zeros(self.parameters, np.float32)
        for layer, (start, inputs, outputs) in enumerate(zip(self.starts, self.sizes, self.widths, strict=False)):
            stream = streams.generator(seed, replica, streams.WEIGHTS, layer)
            uniform = stream.uniform(ndtr(-2.0), ndtr(2.0), inputs * outputs)
            weights[start : start + inputs * outputs] = ndtri(uniform) / np.sqrt(inputs)
        return weights

    def unpack(
        self, weights: Float[Tensor, "*batch parameter"]
    ) -> list[tuple[Float[Tensor, "*batch output input"], Float[Tensor, "*batch output"]]]:
        """Views on each layer's weights and biases."""
        views = []
        for start, inputs, outputs in zip(self.starts, self.sizes, self.widths, strict=False):
            middle = start + inputs * outputs
            matrix = weights[..., start:middle].unflatten(-1, (outputs, inputs))
            views.append((matrix, weights[..., middle : middle + outputs]))
        return views

    def forward(
        self, weights: Float[Tensor, "batch parameter"], inputs: Float[Tensor, "sample feature"], layers: int | None = None
    ) -> list[Float[Tensor, "batch sample unit"]]:
        """The outputs of the first `layers` layers (all by default): one eager pass, samples last in memory.

        A batch member's values do not depend, to the last bit, on the other members of the batch: whole vectors of
        samples go through the elementwise functions, whose remainders another code path may round differently.
        """
        samples = len(inputs)
        padded = torch.nn.functional.pad(inputs.T, (0, -samples % VECTOR))
        values = padded.expand(weights.shape[0], -1, -1)
        outputs = []
        wanted = len(self.layers) if layers is None else layers
        for depth, (matrix, bias) in enumerate(self.unpack(weights)[:wanted], start=1):
            values = torch.baddbmm(bias.unsqueeze(-1), matrix, values)
            values = torch.softmax(values, 1) if depth == len(self.layers) else activate(self.activation, values)
            outputs.append(values[:, :, :samples].transpose(1, 2))
        return outputs


def activate(kind: str, values: Tensor) -> Tensor:
    """σ(values), in place where that is possible."""
    if kind == "tanh":
        return values.tanh_()
    if kind == "relu":
        return values.relu_()
    if kind == "sigmoid":
        return values.sigmoid_()
    return values
