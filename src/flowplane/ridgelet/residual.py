"""Residual networks x_{l+1} = x_l + Δt·Σ_i c_{li} σ(a_{li}·x_l − b_{li}): the double continuum limit, cut up (§A11)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.points import as_points, check_count
from flowplane.errors import InputError
from flowplane.ridgelet.pairs import Pair

__all__ = ["ResidualNetwork"]


class ResidualNetwork(nn.Module):
    """L residual layers of N units each, for points of R^d; made by `fp.ridgelet.network`.

    Layer l is x + Δt·v_l(x), v_l(x) = Σ_i c_li σ(a_li·x − b_li). Weights are parameters: the network can be trained on.

    Arguments:
        hidden: a, (layer, unit, d), or (1, unit, d) where all layers share their units.
        offsets: b, (layer, unit) or (1, unit).
        output: c, (layer, unit, d).
        pair: gives σ.
        time: T; Δt = T/L.
        field_error: of the quadrature that the units were drawn from, see `fp.ridgelet.network`.
    """

    def __init__(
        self,
        hidden: Float[Tensor, "layers unit feature"],
        offsets: Float[Tensor, "layers unit"],
        *,
        output: Float[Tensor, "layer unit feature"],
        pair: Pair,
        time: float,
        field_error: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden, self.offsets, self.output = (nn.Parameter(part) for part in (hidden, offsets, output))
        self.pair, self.time, self.field_error = pair, float(time), field_error
        self.layers, self.width, self.dimension = output.shape

    @property
    def shared_units(self) -> bool:
        """Whether all layers have the same a and b."""
        return len(self.hidden) == 1 and self.layers > 1

    def layer_velocity(self, layer: int, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """v_l(x)."""
        unit = 0 if len(self.hidden) == 1 else layer
        return self.pair.activation_values(x @ self.hidden[unit].T - self.offsets[unit]) @ self.output[layer]

    def forward(self, x: Any) -> Any:
        """Where points (…, d) go, in their kind; of a tensor, as a differentiable function of it and of the weights.

        Raises:
            InputError: another dimension, no points, NaN.
        """
        rows, form = as_points("x", x, self.dimension, self.output.dtype, self.output.device)
        if isinstance(x, Tensor):
            return form.points(self.positions(x.to(rows).reshape(rows.shape))[-1])
        with torch.no_grad():
            return form.points(self.positions(rows)[-1])

    def positions(self, x: Float[Tensor, "sample feature"]) -> list[Float[Tensor, "sample feature"]]:
        """Points after 0, 1, …, L layers."""
        step, seen = self.time / self.layers, [x]
        for layer in range(self.layers):
            seen.append(seen[-1] + step * self.layer_velocity(layer, seen[-1]))
        return seen

    def narrowed(self, width: int, first: int = 0) -> ResidualNetwork:
        """The network of `width` of its units, from the one at `first` on, as if no others had been drawn.

        Raises:
            InputError: units that the network does not have.
        """
        width, first = check_count("width", width), check_count("first", first, 0)
        if first + width > self.width:
            raise InputError("width", width, f"at most {self.width - first}, the units from {first} on")
        kept = slice(first, first + width)
        a, b, c = (part.detach()[:, kept].clone() for part in (self.hidden, self.offsets, self.output))
        c = c * (self.width / width)
        return ResidualNetwork(a, b, output=c, pair=self.pair, time=self.time, field_error=self.field_error)

    def trajectory(self, x: Any) -> Any:
        """Points of shape (…, d) after 0, 1, …, L layers: shape (L + 1, …, d), in the kind of x.

        Raises:
            InputError: another dimension, no points, NaN.
        """
        rows, form = as_points("x", x, self.dimension, self.output.dtype, self.output.device)
        with torch.no_grad():
            return form.path(torch.stack(self.positions(rows)), np.linspace(0.0, self.time, self.layers + 1))

    def extra_repr(self) -> str:
        """What `print` shows."""
        units = "shared" if self.shared_units else "of each layer's own"
        return f"{self.layers} layers, {self.width} units {units}, {self.pair.activation}, time {self.time:g}"
