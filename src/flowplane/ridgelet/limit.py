"""The limit of infinite width, a field as an integral over units by quadrature, and residual networks drawn from it (§A10,
§A11).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.points import check_count, check_positive, check_seed
from flowplane.core.streams import UNITS, torch_generator
from flowplane.errors import InputError, Text
from flowplane.ridgelet.arguments import read_pair
from flowplane.ridgelet.cutoff import Region, as_field
from flowplane.ridgelet.finite import drawn_nodes
from flowplane.ridgelet.integral import read_grid, spectrum_on_grid
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.residual import ResidualNetwork
from flowplane.ridgelet.spectrum import Spectrum

__all__ = ["WideLimit", "network"]

#: A times the narrowest margin, where the extent is not given: the cutoff's frequencies lie far below it.
SHARPNESS = 8.0
#: ρ̂(ω) is below 1e-9 of its largest value beyond this.
BAND = 8.0
#: Between offsets: 2π over this is far beyond BAND and what a smooth σ has, and where a kink's 1/ω² is small.
STEP, KINK_STEP = 0.5, 0.12
#: Bytes that coefficients at several times may take at once.
BLOCK = 1 << 28
#: Blocks of coefficients that are kept for the next network.
KEPT = 3
#: Times at which the size of the coefficients is looked at where all layers share their units.
SHARED_TIMES = 16
#: Points on trajectories at which the quadrature's error and the size of the activations are looked at.
PLACES = 50
#: Of the most active unit's activity, below which no unit's is thought to be.
FLOOR = 0.1
#: The quadrature's relative error that is good enough, and nodes beyond which no better one is tried.
GOOD, MOST_NODES = 0.01, 30_000_000


class WideLimit:
    """The network of infinitely many units that a field is, by quadrature: networks of finite width are drawn from it.

    `fp.ridgelet.network` draws one; here the transform is done once for many.

    Arguments:
        field, points, time, pair, margin, extent, grid: as for `fp.ridgelet.network`.
        seed: of the points, where they are drawn from the flow's source.

    Raises:
        InputError: as `fp.ridgelet.network`.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(0.0, 1.0), time=0.3, layers=math.inf)
        >>> limit = WideLimit(flow, pair=Pair("gaussian"))
        >>> [limit.network(4, width).width for width in (10, 100)], limit.field_error < 0.01
        ([10, 100], True)
    """

    def __init__(
        self,
        field: Any,
        *,
        points: Any = None,
        time: float | None = None,
        pair: Pair | None = None,
        margin: float | None = None,
        extent: tuple[float, float] | float | None = None,
        grid: tuple[int, int] | None = None,
        seed: Any = 0,
    ) -> None:
        self.pair = read_pair(pair)
        self.field = as_field(field, points, time, check_seed(seed))
        self._region = Region.around(self.field.visited, margin)
        visited = self.field.visited
        self._places = visited[
            torch.linspace(0, len(visited) - 1, min(PLACES, len(visited)), dtype=torch.float64, device="cpu").long()
        ]
        if extent is not None:
            self._lay_out(self._reaching(extent), grid)
            return
        largest = SHARPNESS / float(self._region.margin.min())
        self._lay_out(self._reaching(largest), grid)
        while grid is None and self.field_error > GOOD and len(self._weights) * 2 ** (self.dimension + 1) < MOST_NODES:
            largest *= 2
            self._lay_out(self._reaching(largest), grid)

    @property
    def dimension(self) -> int:
        """d."""
        return len(self._region.half)

    def network(self, layers: int, width: int, *, shared_units: bool = True, seed: Any = 0) -> ResidualNetwork:
        """L layers of N units drawn from the limit, see `fp.ridgelet.network`.

        Raises:
            InputError: counts that are not whole numbers, a field that moves nothing.
        """
        layers, width = check_count("layers", layers), check_count("width", width)
        if not isinstance(shared_units, bool):
            raise InputError("shared_units", shared_units, "True or False")
        times = [self.field.time * layer / layers for layer in range(layers)]
        rng = torch_generator(check_seed(seed), UNITS)
        a, b, c = self._shared(times, width, rng) if shared_units else self._own(times, width, rng)
        return ResidualNetwork(a, b, output=c, pair=self.pair, time=self.field.time, field_error=self.field_error)

    def _shared(self, times: list[float], width: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Units for all layers, from the root mean square of the coefficients over the times."""
        looked = np.unique(np.linspace(0, len(times) - 1, min(SHARED_TIMES, len(times))).round().astype(int))
        squares = torch.zeros_like(self._weights)
        for each in self._coefficients([times[k] for k in looked]):
            squares += each.square().sum(1)
        nodes, scale = self._drawn(squares.sqrt(), width, rng)
        c = torch.stack([each[nodes] * scale.unsqueeze(1) for each in self._coefficients(times)])
        a, b = self._units(nodes)
        return a.unsqueeze(0), b.unsqueeze(0), c

    def _own(self, times: list[float], width: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Units for each layer, from its own coefficients."""
        found = []
        for each in self._coefficients(times):
            nodes, scale = self._drawn(each.norm(dim=1), width, rng)
            found.append((*self._units(nodes), each[nodes] * scale.unsqueeze(1)))
        a, b, c = (torch.stack(parts) for parts in zip(*found, strict=True))
        return a, b, c

    def _drawn(self, sizes: Tensor, width: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Nodes from q, by the size of their coefficients, and 1/(N q) of each."""
        mass = sizes * self._activity
        if not bool(mass.any()):
            raise InputError("field", Text("0 everywhere"), "a field that moves something")
        nodes, density = drawn_nodes(mass, width, rng)
        return nodes, 1 / (width * density)

    def _units(self, nodes: Int[Tensor, " unit"]) -> tuple[Float[Tensor, "unit feature"], Float[Tensor, " unit"]]:
        """a and b of some nodes."""
        return self._hidden[nodes // self._offsets.shape[1]], self._offsets.reshape(-1)[nodes]

    def _reaching(self, extent: Any) -> tuple[float, float]:
        """(A, B), B as far as ρ reaches from any a·x unless it is given."""
        if isinstance(extent, (tuple, list)):
            if len(extent) != 2:
                raise InputError("extent", extent, "A, or (A, B): |a| < A, |b| < B")
            return check_positive("extent", extent[0]), check_positive("extent", extent[1])
        largest = check_positive("extent", extent)
        return largest, largest * self._region.radius + self.pair.tail(self.dimension)

    def _lay_out(self, extent: tuple[float, float], grid: tuple[int, int] | None) -> None:
        """Nodes up to an extent, and how well they reconstruct the field."""
        self.extent = extent
        self._known: dict[float, Tensor] = {}
        # a cell is small enough for χv·ρ(a·x − b): frequencies of ρ up to BAND·A and those of the cutoff
        spacing = 2 * math.pi / (BAND * extent[0] + SHARPNESS / float(self._region.margin.min()))
        x, cells = self._region.grid(spacing)
        chi = self._region(x)
        self._x, self._cells, self._chi = (part[chi > 0] for part in (x, cells, chi))
        # e^{irx} with x up to the size of the region, on both sides of the origin; offsets for ω up to BAND and σ
        step = KINK_STEP if self.pair.activation == "relu" else STEP
        fine = 2 * math.ceil(extent[0] * self._region.radius) + 20, math.ceil(2 * extent[1] / step)
        self.grid = fine if grid is None else read_grid(grid)
        middle = self._spectrum([self.field.time / 2])
        self._hidden, self._offsets = middle.hidden, middle.offsets
        self._weights = middle.weights.expand(middle.offsets.shape).reshape(-1)
        exact = self.field.at(self.field.time / 2, self._places)
        size = float(exact.square().mean().sqrt())
        gap = float((middle.reconstruct(self._places) - exact).square().mean().sqrt())
        #: Relative, of the quadrature, at the middle of the time.
        self.field_error = gap / size if size > 0 else 0.0

    def _spectrum(self, times: list[float]) -> Spectrum:
        """R[χ v_t; ρ] at several times, d channels per time."""
        values = torch.cat([self._chi.unsqueeze(1) * self.field.at(t, self._x) for t in times], 1)
        measured = values * self._cells.unsqueeze(1)
        return spectrum_on_grid(measured, self._x, self.pair, self.extent, self.grid)

    def _coefficients(self, times: list[float]) -> Iterator[Float[Tensor, "node feature"]]:
        """T_t(a, b) times the weight of its node, one time after another; those of earlier calls are kept while they fit."""
        fit = max(1, BLOCK // (8 * len(self._weights) * self.dimension))
        scale = self._weights.unsqueeze(1) / self.pair.constant(self.dimension)
        for first in range(0, len(times), fit):
            part = times[first : first + fit]
            absent = [t for t in part if t not in self._known]
            if absent:
                found = self._spectrum(absent).coefficients.flatten(0, 1) * scale
                for t, each in zip(absent, found.split(self.dimension, 1), strict=True):
                    self._known[t] = each.contiguous()
            yield from [self._known[t] for t in part]
            for t in list(self._known)[: -KEPT * fit]:
                del self._known[t]

    @cached_property
    def _activity(self) -> Float[Tensor, " node"]:
        """√(mean σ(a·x − b)²) over places, and no less than a part of the most active unit's: a narrow unit may lie between
        the places, and must not be drawn so seldom that its weight has no bound."""
        projected = self._hidden @ self._places.T
        rows = max(1, BLOCK // (projected.shape[1] * self._offsets.shape[1] * 64))
        parts = [
            self.pair.activation_values(z.unsqueeze(1) - b.unsqueeze(2)).square().mean(2).sqrt()
            for z, b in zip(projected.split(rows), self._offsets.split(rows), strict=True)
        ]
        found = torch.cat(parts).reshape(-1)
        return found.clamp_min(FLOOR * float(found.max()))


def network(
    field: Any,
    layers: int,
    width: int,
    *,
    shared_units: bool = True,
    points: Any = None,
    time: float | None = None,
    pair: Pair | None = None,
    margin: float | None = None,
    extent: tuple[float, float] | float | None = None,
    grid: tuple[int, int] | None = None,
    seed: Any = 0,
) -> ResidualNetwork:
    """A residual network that follows a field, built without training: L time steps, each of N units drawn from the field's
    ridgelet transform.

    Where χ = 1, v_t(x) = ∫T_t(a,b) σ(a·x − b) da db with T_t = R[χ v_t; ρ]/K. Units (a_i, b_i) are drawn from a density q;
    layer l is x + Δt·(1/N) Σ_i T_t(a_i,b_i)/q(a_i,b_i) σ(a_i·x − b_i), t = lΔt. Here q ∝ |T_t(a,b)|·rms σ(a·x − b), which
    has the least variance; where units are shared |T_t| is its root mean square over the times. The root mean square error
    against the flow is O(1/L) in time, N^{−1/2} in width if units are shared, (NL)^{−1/2} if not, besides what lies
    beyond the extent. (SM; docs/papers.md §A11.)

    Arguments:
        field: a flow (with `velocity`, `time` and `source`, as `fp.denoising_flow` makes), or a function v(t, x) of a float
            and a float64 tensor (n, d); d = 1, 2 or 3.
        layers, width: L and N.
        shared_units: whether all layers have the same (a_i, b_i); otherwise each draws its own.
        points: (n, d), where trajectories begin; None draws 1,000 of the flow's source. χ is 1 in the box that they cross.
        time: how long the field is followed; None is the flow's time.
        pair: σ and ρ; None is Pair("tanh").
        margin: over which χ falls to 0 outside the box, in units of x; None is half the box's width, each way.
        extent: A, or (A, B): units have |a| < A, |b| < B. None begins with 8 over the margin and doubles A until the
            quadrature's error is below 1 %, or it has too many nodes.
        grid: nodes of the quadrature along |a| and along b; None makes it as fine as the extent asks for.
        seed: of the units, and of the points where they are drawn.

    Returns:
        The network; its weights are parameters and can be trained. `field_error` is the quadrature's own relative error,
        which no width cures: root mean square against the field, at points on trajectories.

    Raises:
        InputError: more than three dimensions, a field that is not finite or of another shape, counts that are not
            whole numbers.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(0.0, 1.0), time=0.3, layers=math.inf)
        >>> net = fp.ridgelet.network(flow, layers=8, width=2000, pair=Pair("gaussian"))
        >>> bool(abs(net([[1.0]]) - flow([[1.0]])).item() < 0.1)
        True
    """
    seed = check_seed(seed)
    limit = WideLimit(field, points=points, time=time, pair=pair, margin=margin, extent=extent, grid=grid, seed=seed)
    return limit.network(layers, width, shared_units=shared_units, seed=seed)
