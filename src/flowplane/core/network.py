"""The feed-forward network of ensembles: where each layer's parameters stand in one packed vector, and the forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core import streams
from flowplane.core.threads import one_thread
from flowplane.errors import unknown

__all__ = ["ACTIVATIONS", "Network"]

ACTIVATIONS = ("tanh", "relu", "sigmoid", "linear")
#: A multiple of every processor's vector length.
VECTOR = 64


@dataclass(frozen=True)
class Network:
    """Fully connected layers of the given `sizes` (inputs first, classes last), a softmax at the end (§B2).

    Layers are numbered from 1, the softmax is the last. The parameters of layer l stand in one packed vector from
    `starts[l - 1]` on: the weights (output, input) row by row, then the biases.

    With a `noise_variance` σ² every hidden layer has a noise of its own, T_l = σ(W T_{l−1} + b) + Z_l with
    Z_l ~ N(0, σ²I), so that I(X;T_l) is finite and well defined (Goldfeld et al., ICML 2019, arXiv 1810.05728). The softmax
    has none; it is a function of the noisy T_{L−1}.

    Arguments:
        sizes: of the inputs, of each hidden layer, and the number of classes.
        activation: of the hidden layers.
        noise_variance: of Z_l, in the square of the layers' units; 0 for none.
        noise_seed: names the draw of Z that `forward` adds.

    Example:
        >>> network = Network((12, 10, 7, 5, 4, 3, 2), "tanh")
        >>> network.parameters, network.layers[-1], network.activation_of("layer6")
        (294, 'layer6', 'softmax')
    """

    sizes: tuple[int, ...]
    activation: str
    noise_variance: float = 0.0
    noise_seed: int = 0

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
        """Weights from N(0, 1/fan_in) truncated at ±2 standard deviations, biases zero (§B2).

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

    def noise_draw(self, samples: int) -> list[Float[Tensor, "unit sample"]]:
        """The Z_l that `forward` adds, one for each hidden layer; empty for a network without noise.

        Every layer has a stream of its own and every sample a Z of its own, even where inputs are equal. The draw of a
        sample depends on its place, not on how many follow. All members of a batch, so all replicas and epochs of a
        recording, share the draw: common random numbers, which keep the noise out of differences between them.

        Example:
            >>> noisy = Network((12, 10, 7, 2), "tanh", noise_variance=0.01)
            >>> [tuple(z.shape) for z in noisy.noise_draw(5)]
            [(10, 5), (7, 5)]
            >>> bool((noisy.noise_draw(5)[0] == noisy.noise_draw(9)[0][:, :5]).all())
            True
        """
        if not self.noise_variance:
            return []
        scale = np.float32(np.sqrt(self.noise_variance))
        draws = []
        for layer, width in enumerate(self.widths[:-1]):
            stream = streams.generator(self.noise_seed, 0, streams.DRAWS, layer)
            draws.append(torch.from_numpy(scale * stream.standard_normal((samples, width), np.float32)).T)
        return draws

    def forward(
        self, weights: Float[Tensor, "batch parameter"], inputs: Float[Tensor, "sample feature"], layers: int | None = None
    ) -> list[Float[Tensor, "batch sample unit"]]:
        """The outputs of the first `layers` layers (all by default): one eager pass, samples last in memory.

        A batch member's values do not depend, to the last bit, on the other members of the batch: whole vectors of
        samples go through the elementwise functions, whose remainders another code path may round differently.
        A network with noise answers with the draw of `noise_draw`, the same for every member.
        """
        samples = len(inputs)
        padded = torch.nn.functional.pad(inputs.T, (0, -samples % VECTOR))
        values = padded.expand(weights.shape[0], -1, -1)
        noise = self.noise_draw(samples)
        outputs = []
        wanted = len(self.layers) if layers is None else layers
        with one_thread(values.device.type == "cpu"):  # several threads split one product unlike a batch
            for depth, (matrix, bias) in enumerate(self.unpack(weights)[:wanted], start=1):
                values = torch.baddbmm(bias.unsqueeze(-1), matrix, values)
                values = torch.softmax(values, 1) if depth == len(self.layers) else activate(self.activation, values)
                if depth <= len(noise):
                    values[:, :, :samples] += noise[depth - 1].to(values.device)
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
