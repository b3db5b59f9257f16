"""Networks that denoise at every variance of the noise."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.points import check_count, check_seed, small_seed
from flowplane.errors import InputError
from flowplane.transport.learned.networks import Perceptron, as_sizes, known_activation

__all__ = ["AtVariance", "ScoreNetwork", "as_variances"]


class ScoreNetwork(nn.Module):
    """g(x, s) = m + a_s⊙(x − m) + c_s⊙F((x − m)/b_s, ℓ, ℓ²), with a_s, b_s, c_s as in `DenoisingNetwork` for noise N(0, sI)
    and ℓ = log s scaled to [−1, 1].

    Arguments:
        dimension: d.
        variances: (low, high), between which s will be.
        hidden, activation, seed: as in `DenoisingNetwork`.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> network = ScoreNetwork(2, (0.01, 1.0), hidden=(32,))
        >>> network(torch.zeros(5, 2), torch.full((5,), 0.1)).shape
        torch.Size([5, 2])
    """

    centre: Tensor
    variance: Tensor

    def __init__(
        self, dimension: int, variances: Any, *, hidden: Any = (64, 64, 64), activation: str = "gelu", seed: Any = 0
    ) -> None:
        super().__init__()
        self.dimension, self.hidden = check_count("dimension", dimension), as_sizes("hidden", hidden)
        self.variances, self.activation = as_variances(variances), known_activation(activation)
        self.standardised = False
        generator = torch.Generator().manual_seed(small_seed(check_seed(seed)))
        self.perceptron = Perceptron((dimension + 2, *self.hidden, dimension), activation, generator)
        self.register_buffer("centre", torch.zeros(dimension, dtype=torch.float32, device="cpu"))
        self.register_buffer("variance", torch.ones(dimension, dtype=torch.float32, device="cpu"))

    def standardise(self, mean: Float[Tensor, " feature"], variance: Float[Tensor, " feature"]) -> None:
        """Set m and v from the data."""
        self.centre.copy_(mean)
        self.variance.copy_(variance)
        self.standardised = True

    def forward(self, x: Float[Tensor, "sample feature"], s: Float[Tensor, " sample"]) -> Float[Tensor, "sample feature"]:
        """g(x, s)."""
        low, high = map(math.log, self.variances)
        level = ((s.log() - low) * (2 / (high - low)) - 1).unsqueeze(1)
        noise = s.unsqueeze(1)
        total = self.variance + noise
        share = self.variance / total
        away = x - self.centre
        found: Tensor = self.perceptron(torch.cat([away / total.sqrt(), level, level.square()], 1))
        return self.centre + share * away + (share * noise).sqrt() * found

    def configuration(self) -> dict[str, Any]:
        """What it takes to build it again."""
        return {
            "kind": "score",
            "dimension": self.dimension,
            "variances": self.variances,
            "hidden": self.hidden,
            "activation": self.activation,
        }


class AtVariance(nn.Module):
    """x ↦ g(x, s) for one s."""

    def __init__(self, network: nn.Module, variance: float, dimension: int) -> None:
        super().__init__()
        self.network, self.variance, self.dimension = network, variance, dimension

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """g(x, s)."""
        found: Tensor = self.network(x, torch.full_like(x[:, 0], self.variance))
        return found


def as_variances(given: Any) -> tuple[float, float]:
    """(low, high), positive and increasing. Raises InputError otherwise."""
    expected = "two positive variances (low, high), low below high"
    try:
        low, high = map(float, given)
    except (TypeError, ValueError) as error:
        raise InputError("variances", given, expected) from error
    if not 0 < low < high < math.inf:
        raise InputError("variances", given, expected)
    return low, high
