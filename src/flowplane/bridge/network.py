"""The residual network F of a denoiser: what an unlearned posterior mean leaves over, at all noise levels (§C3)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import silu

from flowplane.core.stacked import Parameters, network

__all__ = ["initial", "residual"]

#: Waves over the range of levels, which encode the level for a network.
WAVES = 4
#: The first weights of the hidden layers are this many times as large as PyTorch's, for signals to keep their size: trained
#: for half the steps, such networks are as good.
GAIN = 2.5


def initial(
    features: int, outputs: int, hidden: tuple[int, ...], models: int, generator: torch.Generator, device: torch.device
) -> Parameters:
    """The same network for each model, whose last layer is 0: it leaves the unlearned part as it is.

    The weights of the scales and shifts, from 1 and the waves of the level, come first, then those of each layer in turn,
    and the biases of the last: the hidden layers' are the shifts.
    """
    modulation, bias = network((2 * WAVES + 1, 2 * sum(hidden)), models, generator, device)
    *weights, last, end = network((features, *hidden, outputs), models, generator, device)
    scales = torch.arange(2 * sum(hidden), device=device) < sum(hidden)
    modulation = torch.cat([bias + scales, modulation], 1)
    return [modulation, *(GAIN * weight for weight in weights[::2]), torch.zeros_like(last), torch.zeros_like(end)]


def residual(
    parameters: Parameters, features: Float[Tensor, "model row feature"], place: Float[Tensor, "model row"]
) -> Float[Tensor, "model row output"]:
    """F, its hidden layers scaled and shifted by functions of the level (FiLM).

    Arguments:
        place: of log τ in its range, which is −1 … 1.
    """
    modulation, *hidden, weight, bias = parameters
    turns = place[:, :, None] * (torch.arange(1, WAVES + 1, dtype=place.dtype, device=place.device) * (math.pi / 2))
    waves = torch.cat([torch.ones_like(turns[:, :, :1]), place[:, :, None], turns.sin(), turns.cos()], 2)
    # split, whose gradient is put together once, not a slice each, whose gradients are as large as the whole
    parts = torch.bmm(waves, modulation).split(2 * [layer.shape[2] for layer in hidden], 2)
    values = features
    for layer, scale, shift in zip(hidden, parts[: len(hidden)], parts[len(hidden) :], strict=True):
        values = silu(torch.addcmul(shift, torch.bmm(values, layer), scale))
    return torch.baddbmm(bias, values, weight)
