"""Networks for denoising: a perceptron around the best linear guess, and an autoencoder with features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.points import check_count, check_seed, small_seed
from flowplane.errors import InputError, unknown

__all__ = ["ACTIVATIONS", "Autoencoder", "DenoisingNetwork", "Perceptron", "as_sizes", "known_activation"]

#: Smooth ones first: a map of ReLUs has a Jacobian that jumps, and no third derivative.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "relu": nn.ReLU,
}


class Perceptron(nn.Module):
    """z ↦ W_L σ(…σ(W_1 z + b_1)…) + b_L + Bz: fully connected layers beside a linear path.

    Arguments:
        sizes: inputs first, outputs last; with two of them only the linear path is left.
        activation: one of `ACTIVATIONS`.
        generator: of the weights, uniform within ±1/√fan_in; the linear path begins at 0 unless `mixing`.
        mixing: draw the linear path as well.
    """

    def __init__(self, sizes: Sequence[int], activation: str, generator: torch.Generator, mixing: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [_linear(inputs, outputs, generator), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1]) if len(sizes) > 2 else None
        self.skip = _linear(sizes[0], sizes[-1], generator)
        if not mixing:
            nn.init.zeros_(self.skip.weight)
            nn.init.zeros_(self.skip.bias)

    def forward(self, z: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
        """The outputs."""
        linear: Tensor = self.skip(z)
        return linear if self.layers is None else linear + self.layers(z)


class DenoisingNetwork(nn.Module):
    """g(x) = m + a⊙(x − m) + c⊙F((x − m)/b), F a `Perceptron`.

    m is the mean of the data; with v_i the variance of a coordinate and C_ii that of its noise, a_i = v_i/(v_i + C_ii) is
    the best guess from that coordinate alone, c_i = √(a_i C_ii) its error, and b_i = √(v_i + C_ii) the input's own size, so
    that F has inputs and outputs of size 1 whatever the noise (Karras et al., NeurIPS 2022, arXiv 2206.00364).

    Arguments:
        dimension: d.
        hidden: widths of the hidden layers; none leaves an affine map.
        activation: "gelu", "tanh", "silu", "softplus" or "relu".
        seed: of the first weights.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> network = DenoisingNetwork(2, (64, 64))
        >>> network(torch.zeros(5, 2)).shape
        torch.Size([5, 2])
    """

    centre: Tensor
    width: Tensor
    shrink: Tensor
    gain: Tensor

    def __init__(self, dimension: int, hidden: Any = (64, 64), *, activation: str = "gelu", seed: Any = 0) -> None:
        super().__init__()
        self.dimension, self.hidden = check_count("dimension", dimension), as_sizes("hidden", hidden)
        self.activation = known_activation(activation)
        #: Whether it knows the size of its inputs.
        self.standardised = False
        self.affine = not self.hidden
        generator = torch.Generator().manual_seed(small_seed(check_seed(seed)))
        self.perceptron = Perceptron((dimension, *self.hidden, dimension), activation, generator)
        for name, value in (("centre", 0.0), ("width", 1.0), ("shrink", 1.0), ("gain", 1.0)):
            self.register_buffer(name, torch.full((dimension,), value, dtype=torch.float32, device="cpu"))

    def standardise(
        self, mean: Float[Tensor, " feature"], variance: Float[Tensor, " feature"], noise: Float[Tensor, " feature"]
    ) -> None:
        """Set m, a, b and c from the data's mean and variances and those of the noise."""
        share = variance / (variance + noise)
        parts = {"centre": mean, "width": (variance + noise).sqrt(), "shrink": share, "gain": (share * noise).sqrt()}
        for name, value in parts.items():
            getattr(self, name).copy_(value)
        self.standardised = True

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """g(x)."""
        away = x - self.centre
        found: Tensor = self.perceptron(away / self.width)
        return self.centre + self.shrink * away + self.gain * found

    def configuration(self) -> dict[str, Any]:
        """What it takes to build it again."""
        return {"kind": "perceptron", "dimension": self.dimension, "hidden": self.hidden, "activation": self.activation}


class Scaled(nn.Module):
    """A perceptron F with the centre m and the widths b of the data."""

    centre: Tensor
    width: Tensor

    def __init__(self, dimension: int, perceptron: Perceptron) -> None:
        super().__init__()
        self.perceptron = perceptron
        self.register_buffer("centre", torch.zeros(dimension, dtype=torch.float32, device="cpu"))
        self.register_buffer("width", torch.ones(dimension, dtype=torch.float32, device="cpu"))


class Encoder(Scaled):
    """x ↦ F((x − m)/b)."""

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample unit"]:
        """Features of each point."""
        found: Tensor = self.perceptron((x - self.centre) / self.width)
        return found


class Decoder(Scaled):
    """h ↦ m + b⊙F(h)."""

    def forward(self, h: Float[Tensor, "sample unit"]) -> Float[Tensor, "sample feature"]:
        """The point that belongs to some features."""
        found: Tensor = self.perceptron(h)
        return self.centre + self.width * found


class Autoencoder(nn.Module):
    """g = decoder ∘ encoder, with features between them that the next autoencoder of a stack can denoise (§A9).

    The encoder is a perceptron d → features beside a linear path, the decoder linear (or a perceptron with `decoder_hidden`)
    features → d. All weights are random at first, so that the decoder is not orthogonal.

    Arguments:
        dimension: d.
        features: units of h, any number of them.
        hidden: widths of the encoder's hidden layers; none leaves it affine.
        activation: as in `DenoisingNetwork`.
        decoder_hidden: widths of the decoder's hidden layers; none leaves it linear: §A9 is exact then.
        seed: of the first weights.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> network = Autoencoder(dimension=2, features=3)
        >>> features = network.encoder(torch.zeros(5, 2))
        >>> features.shape, network.decoder(features).shape
        (torch.Size([5, 3]), torch.Size([5, 2]))
    """

    def __init__(
        self,
        dimension: int,
        features: int,
        *,
        hidden: Any = (64, 64),
        activation: str = "gelu",
        decoder_hidden: Any = (),
        seed: Any = 0,
    ) -> None:
        super().__init__()
        self.dimension, self.features = check_count("dimension", dimension), check_count("features", features)
        self.hidden, self.decoder_hidden = as_sizes("hidden", hidden), as_sizes("decoder_hidden", decoder_hidden)
        self.activation = known_activation(activation)
        self.standardised = False
        self.affine = not self.hidden and not self.decoder_hidden
        generator = torch.Generator().manual_seed(small_seed(check_seed(seed)))
        inward = Perceptron((dimension, *self.hidden, features), activation, generator, mixing=True)
        outward = Perceptron((features, *self.decoder_hidden, dimension), activation, generator, mixing=True)
        #: x ↦ h(x), of points (…, d) in their own units.
        self.encoder = Encoder(dimension, inward)
        #: h ↦ x.
        self.decoder = Decoder(dimension, outward)

    def standardise(
        self, mean: Float[Tensor, " feature"], variance: Float[Tensor, " feature"], noise: Float[Tensor, " feature"]
    ) -> None:
        """The encoder's inputs and the decoder's outputs in units of the data."""
        for part, size in ((self.encoder, variance + noise), (self.decoder, variance)):
            part.centre.copy_(mean)
            part.width.copy_(size.sqrt())
        self.standardised = True

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """g(x)."""
        found: Tensor = self.decoder(self.encoder(x))
        return found

    def configuration(self) -> dict[str, Any]:
        """What it takes to build it again."""
        return {
            "kind": "autoencoder",
            "dimension": self.dimension,
            "features": self.features,
            "hidden": self.hidden,
            "activation": self.activation,
            "decoder_hidden": self.decoder_hidden,
        }


def as_sizes(name: str, given: Any, expected: str = "widths of hidden layers, such as (64, 64)") -> tuple[int, ...]:
    """Whole numbers, or one. Raises InputError for anything else."""
    whole = isinstance(given, int) and not isinstance(given, bool)
    widths = (given,) if whole else given
    if isinstance(widths, str) or not isinstance(widths, Sequence):
        raise InputError(name, given, expected)
    return tuple(check_count(name, width) for width in widths)


def known_activation(activation: str) -> str:
    """A name in `ACTIVATIONS`. Raises InputError for any other."""
    if activation not in ACTIVATIONS:
        raise unknown("activation", activation, ACTIVATIONS)
    return activation


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A layer whose weights leave PyTorch's own random numbers alone."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=torch.float32, device="cpu")
    for part in (layer.weight, layer.bias):
        nn.init.uniform_(part, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)
    return layer
