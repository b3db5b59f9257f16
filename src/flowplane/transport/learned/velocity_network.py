"""Networks that give a velocity at every time of a flow."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.points import check_count, check_seed, small_seed
from flowplane.transport.learned.networks import Perceptron, as_sizes, known_activation

__all__ = ["VelocityNetwork"]

#: Part of both ends' variance that a path is thought to keep at least: where an end is a single point the best linear guess
#: is infinitely steep there.
LEAST = 1e-4


class VelocityNetwork(nn.Module):
    """v(x, s) = m_1 − m_0 + a_s⊙(x − m_s) + c_s⊙F((x − m_s)/b_s, ℓ, ℓ²), F a `Perceptron` and ℓ = 2s − 1.

    With m_s, b_s² the mean and variance of a coordinate of x_s = (1 − s)x_0 + s x_1 over the pairs that are trained on,
    a_s = Cov(x_1 − x_0, x_s)/b_s² is the best guess of the velocity from that coordinate alone and c_s its error, so that F
    has inputs and outputs of size 1 at all times, whatever the two ends and however they are coupled (as `DenoisingNetwork`
    does for denoising; Karras et al., NeurIPS 2022, arXiv 2206.00364).

    Arguments:
        dimension: d.
        hidden, activation, seed: as in `DenoisingNetwork`.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> network = VelocityNetwork(2, hidden=(32,))
        >>> network(torch.zeros(5, 2), torch.full((5,), 0.1)).shape
        torch.Size([5, 2])
    """

    #: Of x_0 and x_1: means, variances, and the covariance of each coordinate of the one with the same of the other.
    means: Tensor
    variances: Tensor
    shared: Tensor
    #: m_s, b_s² and Cov(x_1 − x_0, x_s) as polynomials 1, ℓ, ℓ²; and what does not depend on s.
    curves: Tensor
    fixed: Tensor

    def __init__(self, dimension: int, *, hidden: Any = (64, 64, 64), activation: str = "gelu", seed: Any = 0) -> None:
        super().__init__()
        self.dimension, self.hidden = check_count("dimension", dimension), as_sizes("hidden", hidden)
        self.activation = known_activation(activation)
        #: Whether it knows the size of its inputs.
        self.standardised = False
        generator = torch.Generator().manual_seed(small_seed(check_seed(seed)))
        self.perceptron = Perceptron((dimension + 2, *self.hidden, dimension), activation, generator)
        for name, value in (
            ("means", torch.zeros(2, dimension, dtype=torch.float32, device="cpu")),
            ("variances", torch.ones(2, dimension, dtype=torch.float32, device="cpu")),
            ("shared", torch.zeros(dimension, dtype=torch.float32, device="cpu")),
        ):
            self.register_buffer(name, value)
        self.register_buffer("curves", torch.zeros(3, 3 * dimension, dtype=torch.float32, device="cpu"), persistent=False)
        self.register_buffer("fixed", torch.zeros(3, dimension, dtype=torch.float32, device="cpu"), persistent=False)
        self._prepare()

    def standardise(self, start: Float[Tensor, "pair feature"], end: Float[Tensor, "pair feature"]) -> None:
        """Set m, b, a and c from pairs of x_0 and x_1."""
        both = torch.stack([start, end]).double()
        self.means.copy_(both.mean(1))
        away = both - both.mean(1, keepdim=True)
        self.variances.copy_(away.square().mean(1))
        self.shared.copy_(away.prod(0).mean(0))
        self._prepare()
        self.standardised = True

    def _prepare(self) -> None:
        """`curves` and `fixed`, in single precision whatever the network has, so that a file makes the same ones."""
        (m, n), (start, end), shared = self.means.double(), self.variances.double(), self.shared.double()
        total, none = start + end, torch.zeros_like(m)
        # a coordinate that never changes has no size of its own
        least = LEAST * total.where(total > 0, 1.0)
        centre = torch.stack([(m + n) / 2, (n - m) / 2, none])
        variance = torch.stack([(total + 2 * shared) / 4 + least, (end - start) / 2, (total - 2 * shared) / 4])
        rate = torch.stack([(end - start) / 2, total / 2 - shared, none])
        self.curves.copy_(torch.cat([centre, variance, rate], 1).float())
        self.fixed.copy_(torch.stack([n - m, total - 2 * shared, least]).float())

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._prepare()

    def forward(self, x: Float[Tensor, "sample feature"], s: Float[Tensor, " sample"]) -> Float[Tensor, "sample feature"]:
        """v(x, s)."""
        level = 2 * s.unsqueeze(1) - 1
        powers = torch.cat([torch.ones_like(level), level, level.square()], 1)
        centre, variance, rate = (powers @ self.curves).chunk(3, 1)
        move, size, least = self.fixed
        slope, away = rate / variance, x - centre
        error = (size - slope * rate).maximum(least).sqrt()
        found: Tensor = self.perceptron(torch.cat([away * variance.rsqrt(), powers[:, 1:]], 1))
        return move + slope * away + error * found

    def configuration(self) -> dict[str, Any]:
        """What it takes to build it again."""
        return {"kind": "velocity", "dimension": self.dimension, "hidden": self.hidden, "activation": self.activation}
