"""Ridgelet coefficients at nodes (a, b), and the function that they reconstruct."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.core.modes import in_own_modes
from flowplane.core.points import as_points
from flowplane.core.results import stamp
from flowplane.ridgelet.pairs import Pair

__all__ = ["Layout", "Spectrum", "column"]

#: Values of σ that stand in memory at a time.
BLOCK = 1 << 21


@dataclass(frozen=True)
class Layout:
    """How the nodes of a grid lie: a = r u, rows direction by direction."""

    directions: Float[Tensor, "direction feature"]
    shares: Float[Tensor, " direction"]
    radii: Float[Tensor, " radius"]
    offsets: Float[Tensor, " offset"]


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """R[f;ρ](a, b) at nodes with quadrature weights: what `fp.ridgelet.transform` makes (§A10).

    Each a has a row of offsets b; the nodes are all pairs of a row's a with one of its b. Tensors are float64, on the
    device of the points that were given.

    Arguments:
        pair: σ and ρ.
        hidden: a, (row, m), in units of 1/x.
        offsets: b, (row, offset), of the units of a·x.
        weights: of the nodes in ∫da db, (row, offset).
        coefficients: R[f;ρ](a, b), (row, offset, channel).
        extent: (A, B), |a| < A and |b| < B.
        scalar: whether f has no axis of channels.
        layout: of a grid; None for nodes that were drawn.
        error: root mean square of `reconstruct` less f over that of f, at some of the points that the transform was given;
            NaN where it was not looked at. Large where the extent, the grid or the points do not suffice.

    Example:
        >>> from flowplane.ridgelet import transform
        >>> x = np.linspace(-6, 6, 400)
        >>> spectrum = transform(np.exp(-(x**2) / 2), x)
        >>> spectrum.reconstruct([0.0, 1.0]).round(2)
        array([1.  , 0.61])
    """

    pair: Pair
    hidden: Float[Tensor, "row feature"]
    offsets: Float[Tensor, "row offset"]
    weights: Float[Tensor, "row offset"]
    coefficients: Float[Tensor, "row offset channel"]
    extent: tuple[float, float]
    scalar: bool
    layout: Layout | None = None
    error: float = math.nan

    @property
    def dimension(self) -> int:
        """m, of the inputs."""
        return self.hidden.shape[1]

    @property
    def constant(self) -> float:
        """K, for which S[R] = K f."""
        return self.pair.constant(self.dimension)

    @in_own_modes
    def reconstruct(self, points: Any) -> Any:
        """S[R](x)/K = (1/K) Σ weight · R(a, b) σ(a·x − b), the finite sum as it stands (§A10).

        Arguments:
            points: x, (…, m), or (n,) for m = 1.

        Returns:
            f where the quadrature and the extent suffice: (…,), or (…, channel) where f has channels, in the kind of
            `points`.

        Raises:
            InputError: another dimension, NaN, no points.
        """
        x, form = as_points("points", column(points, self.dimension), self.dimension, device=self.hidden.device)
        total = torch.cat([self._sums(x[rows]) for rows in self._blocks(len(x))]) / self.constant
        return form.values(total[:, 0]) if self.scalar else form.points(total)

    def _blocks(self, count: int) -> Iterator[slice]:
        step = max(1, BLOCK // self.offsets.shape[1] // 16)
        return (slice(first, first + step) for first in range(0, count, step))

    def _sums(self, x: Tensor) -> Tensor:
        out = x.new_zeros(len(x), self.coefficients.shape[2])
        step = max(1, BLOCK // (len(x) * self.offsets.shape[1]))
        for first in range(0, len(self.hidden), step):
            rows = slice(first, first + step)
            z = (x @ self.hidden[rows].T).unsqueeze(2) - self.offsets[rows]
            weighted = (self.coefficients[rows] * self.weights[rows].unsqueeze(2)).flatten(0, 1)
            out += self.pair.activation_values(z).flatten(1) @ weighted
        return out

    def to_dataset(self) -> xr.Dataset:
        """The coefficients with their nodes, for plots and files, on the processor.

        Returns:
            Dataset with `coefficient`: of a grid over (direction, radius, offset, channel), with coordinates `radius` r,
            `offset` b, `direction_vector` u and `direction_weight`; a = r u. Of drawn nodes over (node, channel) with
            coordinates `hidden` a and `node_offset` b.
        """
        power = {1: "x", 2: "x²", 3: "x³"}.get(self.dimension, f"x^{self.dimension}")
        about = {"units": f"f·{power}", "long_name": "R[f;ρ](a, b)"}
        facts = {
            "activation": self.pair.activation,
            "order": self.pair.k,
            "dimension": self.dimension,
            "constant": self.constant,
            "extent": list(self.extent),
        }
        values = self.coefficients.cpu().numpy()
        if self.layout is None:
            flat = values.reshape(-1, values.shape[2])
            hidden = self.hidden.repeat_interleave(self.offsets.shape[1], 0).cpu().numpy()
            coords = {
                "hidden": (("node", "feature"), hidden, {"units": "1/x", "long_name": "a"}),
                "node_offset": ("node", self.offsets.reshape(-1).cpu().numpy(), {"units": "1", "long_name": "b"}),
            }
            dataset = xr.Dataset({"coefficient": (("node", "channel"), flat, about)}, coords, facts)
            return stamp(dataset, "ridgelet_spectrum")
        layout = self.layout
        directions, radii = len(layout.directions), len(layout.radii)
        grid = values.reshape(directions, radii, *values.shape[1:])
        coords = {
            "radius": ("radius", layout.radii.cpu().numpy(), {"units": "1/x", "long_name": "r"}),
            "offset": ("offset", layout.offsets.cpu().numpy(), {"units": "1", "long_name": "b"}),
            "direction_vector": (("direction", "feature"), layout.directions.cpu().numpy(), {"units": "1"}),
            "direction_weight": ("direction", layout.shares.cpu().numpy(), {"units": "1"}),
        }
        dims = ("direction", "radius", "offset", "channel")
        return stamp(xr.Dataset({"coefficient": (dims, grid, about)}, coords, facts), "ridgelet_spectrum")

    def to(self, device: Any) -> Spectrum:
        """The same on another device."""
        layout = self.layout
        if layout is not None:
            layout = Layout(*(getattr(layout, part).to(device) for part in ("directions", "shares", "radii", "offsets")))
        moved = {part: getattr(self, part).to(device) for part in ("hidden", "offsets", "weights", "coefficients")}
        return replace(self, layout=layout, **moved)


def column(points: Any, dimension: int | None) -> Any:
    """(n,) as n points of a line, where a line is meant; anything else as it is."""
    if dimension not in (None, 1) or getattr(points, "ndim", None) == 2:
        return points
    if isinstance(points, xr.DataArray):
        return points.expand_dims("feature", -1) if points.ndim == 1 else points
    if isinstance(points, Tensor):
        return points.unsqueeze(-1) if points.ndim == 1 else points
    array = np.asarray(points)
    return array[:, None] if array.ndim == 1 else points
