"""Small networks, many trained at once: their weights stand in stacks that one batched product multiplies."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import silu

__all__ = ["Parameters", "adam", "forward", "network"]

#: Weight (model, in, out) and bias (model, 1, out) of each layer in turn, of one network or of two.
Parameters = list[Tensor]


def network(sizes: tuple[int, ...], models: int, generator: torch.Generator, device: torch.device) -> Parameters:
    """The same random layers for each model, uniform in ±1/√inputs, in float32.

    Example:
        >>> parameters = network((3, 8, 2), 4, torch.Generator().manual_seed(0), torch.device("cpu"))
        >>> [tuple(part.shape) for part in parameters]
        [(4, 3, 8), (4, 1, 8), (4, 8, 2), (4, 1, 2)]
    """
    parameters = []
    for fan_in, fan_out in pairwise(sizes):
        for shape in ((fan_in, fan_out), (1, fan_out)):
            draw = (2 * torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu") - 1) / math.sqrt(fan_in)
            parameters.append(draw.to(device).expand(models, *shape).clone())
    return parameters


def forward(parameters: Parameters, values: Float[Tensor, "model row feature"]) -> Float[Tensor, "model row output"]:
    """The layers one after the other, x·sigmoid(x) between them."""
    for layer in range(0, len(parameters), 2):
        values = torch.baddbmm(parameters[layer + 1], values if layer == 0 else silu(values), parameters[layer])
    return values


@torch.no_grad()
def adam(
    parameters: Parameters,
    gradients: tuple[Tensor, ...],
    moments: tuple[list[Tensor], list[Tensor]],
    count: int,
    rate: float,
) -> Parameters:
    """The parameters after a step of Adam, each model's independent of the others; `moments` are updated in place."""
    torch._foreach_lerp_(moments[0], gradients, 0.1)
    torch._foreach_mul_(moments[1], 0.999)
    torch._foreach_addcmul_(moments[1], gradients, gradients, 0.001)
    scale = torch._foreach_sqrt(torch._foreach_div(moments[1], 1 - 0.999**count))
    torch._foreach_add_(scale, 1e-8)
    step = torch._foreach_div(moments[0], scale)
    return [part.detach() - rate / (1 - 0.9**count) * change for part, change in zip(parameters, step, strict=True)]
