"""The residual network F of a denoiser: what an unlearned posterior mean leaves over, at all noise levels (§C3)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import silu

from flowplane.core.stacked import Parameters, network

__all__ = ["initial", "residual"]

#: Waves over the range of levels, by which a network is told the level.
WAVES = 4


def initial(
    features: int, outputs: int, hidden: tuple[int, ...], models: int, generator: torch.Generator, device: torch.device
) -> Parameters:
    """The same network for each model, whose last layer is 0: it leaves the unlearned part as it is."""
    modulation = network((2 * WAVES + 1, 2 * sum(hidden)), models, generator, device)
    layers = network((features, *hidden, outputs), models, generator, device)
    return [*modulation, *layers[:-2], *(torch.zeros_like(part) for part in layers[-2:])]


def residual(
    parameters: Parameters, features: Float[Tensor, "model row feature"], place: Float[Tensor, "model row"]
) -> Float[Tensor, "model row output"]:
    """F, its hidden layers scaled and shifted by functions of the level (FiLM).

    Arguments:
        place: of log τ in its range, which is −1 … 1.
    """
    turns = place[:, :, None] * (torch.arange(1, WAVES + 1, dtype=place.dtype, device=place.device) * (math.pi / 2))
    waves = torch.cat([place[:, :, None], turns.sin(), turns.cos()], 2)
    modulation = torch.baddbmm(parameters[1], waves, parameters[0])
    *hidden, weight, bias = parameters[2:]
    values, first = features, 0
    for layer in range(0, len(hidden), 2):
        width = hidden[layer].shape[2]
        scale, shift = modulation[:, :, first : first + width], modulation[:, :, first + width : first + 2 * width]
        values = torch.baddbmm(hidden[layer + 1], values, hidden[layer])
        values = silu(torch.addcmul(values + shift, values, scale))
        first += 2 * width
    return torch.baddbmm(bias, values, weight)
