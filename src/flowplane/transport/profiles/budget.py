"""What a flow spends: on what transport must cost, and what coupling, bending and pace waste (§E2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import check_count, check_seed
from flowplane.core.results import Flags, stamp
from flowplane.core.streams import BUDGET, generator
from flowplane.errors import InputError
from flowplane.transport.layers.slices import sliced_measures
from flowplane.transport.profiles.optimal import Pairs, exact_plan, gaussian_distance
from flowplane.transport.profiles.profile import closed_particles, gaussian_moments

if TYPE_CHECKING:
    from flowplane.transport.maps.base import TransportMap

__all__ = ["BLOCK_BYTES", "BUDGET_FLAGS", "MOST", "TERMS", "Ways", "flow_budget", "unresolved"]

#: Particles between which the exact plan is found.
MOST = 1000
#: Bytes of paths that are held at once.
BLOCK_BYTES = 1 << 28
#: Gauss and Legendre's rule of three nodes on [0, 1].
NODES, WEIGHTS = np.array([0.5 - 0.15**0.5, 0.5, 0.5 + 0.15**0.5]), np.array([5, 8, 5]) / 18
#: W_2² between two halves of one cloud, as a part of E|Δ|², beyond which the exact plan says little. For
#: rotated round Gaussians in 2 to 1,000 dimensions, where all is waste, the plan misses about half of that part of it.
UNRESOLVED = 0.1

TERMS = {
    "energy": "E∫|u|² ds, all that the flow spends",
    "transport": "W_2² between starts and ends, what transport must cost",
    "coupling": "E|Δ|² − W_2², what coupling wastes",
    "bending": "E ℓ² − E|Δ|², what bending wastes",
    "pace": "E∫(|u| − ℓ)² ds, what an uneven pace wastes",
}
BUDGET_FLAGS = Flags(
    {
        "few_for_dimension": (
            "two halves of the particles are so far apart that the exact plan between starts and ends has little to choose "
            "from: W_2 is too large, and what the coupling wastes is a lower bound near 0 whatever the flow does",
            "More particles help in a few dimensions only; the sum of transport and coupling, bending and pace are not "
            "affected, and `sliced_wasserstein` is a lower bound of W_2 in any number of dimensions.",
        )
    }
)


class Ways(NamedTuple):
    """For each particle: where it begins and ends, ∫|u|² ds, ℓ and ∫(|u| − ℓ)² ds."""

    start: Float[Tensor, "sample feature"]
    end: Float[Tensor, "sample feature"]
    energy: Float[Tensor, " sample"]
    length: Float[Tensor, " sample"]
    pace: Float[Tensor, " sample"]

    @property
    def cost(self) -> Float[Tensor, " sample"]:
        """|Δ|²."""
        return (self.end - self.start).square().sum(1)

    @property
    def bending(self) -> Float[Tensor, " sample"]:
        """ℓ² − |Δ|², which rounding alone can make negative."""
        return (self.length.square() - self.cost).clamp_min(0.0)

    def terms(self) -> dict[str, tuple[float, Float[Tensor, " sample"]]]:
        """The energy and what it is spent on: each with what each particle adds, of W_2 up to a constant."""
        pairs = Pairs.of(*(part.double().cpu().numpy() for part in (self.start, self.end)))
        of_plan = {
            "transport": (pairs.squared, torch.from_numpy(pairs.distances)),
            "coupling": (pairs.cost - pairs.squared, torch.from_numpy(pairs.costs - pairs.distances)),
        }
        each = {
            name: part.double().cpu()
            for name, part in (("energy", self.energy), ("bending", self.bending), ("pace", self.pace))
        }
        return of_plan | {name: (float(part.mean()), part) for name, part in each.items()}


def flow_budget(flow: TransportMap, samples: int = MOST, *, seed: Any = 0) -> xr.Dataset:
    """E∫|u|² ds = W_2² + (E|Δ|² − W_2²) + (E ℓ² − E|Δ|²) + E∫(|u| − ℓ)² ds, along trajectories from s = 0 to 1 (§E2).

    Δ is from start to end of one trajectory, ℓ = ∫|u| ds its length. All four terms are 0 or more; the first three do not
    depend on the clock, and the last two together are the straightness E∫|u − Δ|² ds of Liu et al. (2023). Each is measured
    by itself on the same particles: the energy by the solver, ℓ from positions, the pace by a quadrature of speeds, W_2 by
    the exact plan between those particles' own starts and ends. Where the source is a Gaussian and every map affine, the
    energy, W_2 and E|Δ|² are in closed form, and particles say only how bending and pace share the rest.

    Arguments:
        flow: a map that knows its source density; a polygon of layers is followed along its straight lines.
        samples: particles, at most 1,000.
        seed: of the particles.

    Returns:
        A Dataset of `energy`, `transport`, `coupling`, `bending` and `pace`, in squared units of x, each with its standard
        error over the particles, `…_error`; and `sliced_wasserstein`, a lower bound of W_2, in units of x, with the error
        that its directions leave. The plan between n particles makes W_2 too large and the coupling's waste too small:
        `transport_flags` and `coupling_flags` say `few_for_dimension` where W_2² between two halves of the particles is
        above a tenth of E|Δ|².

    Raises:
        InputError: a flow without source, samples below 4 or above 1,000.

    Example:
        >>> import math
        >>> import flowplane as fp
        >>> spent = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=math.inf).budget()
        >>> [round(float(spent[term]), 4) for term in ("energy", "transport", "coupling", "bending", "pace")]
        [0.3219, 0.3056, 0.0, 0.0, 0.0163]
    """
    count, seed = check_count("samples", samples, 4), check_seed(seed)
    if count > MOST:
        raise InputError("samples", count, f"at most {MOST:,}, between which the exact plan is found")
    source = flow.known_source()
    ways = _ways(flow, source.draw(count, generator(seed, BUDGET)).to(flow.device, flow.dtype))
    start, end = (part.double().cpu().numpy() for part in (ways.start, ways.end))
    closed = _closed(flow)
    if closed is None:
        found = {name: (value, _error(each)) for name, (value, each) in ways.terms().items()}
    else:
        found = _of_gaussian(ways, closed)
    few = closed is None and unresolved(ways)
    sliced = sliced_measures(np.stack([start, end]), seed=seed).isel(layer=1)
    variables: dict[str, Any] = {}
    for name, long_name in TERMS.items():
        about = {"units": "squared units of x", "long_name": long_name}
        variables[name] = ((), found[name][0], about)
        variables[f"{name}_error"] = ((), found[name][1], about | {"long_name": f"standard error of {name}"})
    for name in ("transport", "coupling"):
        bits = np.int32(BUDGET_FLAGS.bits("few_for_dimension") if few else 0)
        variables[f"{name}_flags"] = ((), bits, BUDGET_FLAGS.attrs(TERMS[name]))
    variables["sliced_wasserstein"] = ((), float(sliced["wasserstein_sliced"]), sliced["wasserstein_sliced"].attrs)
    error = sliced["wasserstein_sliced_error"]
    variables["sliced_wasserstein_error"] = ((), float(error), error.attrs)
    _, attrs = flow.about()
    attrs |= {"samples": count, "source": repr(source), "method": "particles" if closed is None else "closed form"}
    return stamp(xr.Dataset(variables, attrs=attrs), "budget", seed=seed)


def _ways(flow: TransportMap, x: Float[Tensor, "sample feature"]) -> Ways:
    """Particles' paths, a block at a time, with nodes in each piece in which they are smooth."""
    edges = flow.pieces(x)
    inner = edges[:-1, None] + np.diff(edges)[:, None] * NODES
    times = np.append(np.concatenate([edges[:-1, None], inner], 1).ravel(), edges[-1])
    rows = max(1, BLOCK_BYTES // (16 * len(times) * flow.dimension))
    blocks = [_measured(flow, block, times) for block in x.split(rows)]
    return Ways(*(torch.cat(column) for column in zip(*blocks, strict=True)))


def _measured(flow: TransportMap, x: Float[Tensor, "sample feature"], times: np.ndarray) -> Ways:
    way = flow.motion(x, times)
    begin, middle, end = way.position[:-1:4], way.position[2::4], way.position[4::4]
    halves = (middle - begin).norm(dim=2) + (end - middle).norm(dim=2)
    # Richardson: the chords' error is of second order in the step
    length = ((4 * halves - (end - begin).norm(dim=2)) / 3).sum(0)
    parts = torch.from_numpy(np.diff(times[::4])[:, None] / flow.time * WEIGHTS).to(way.speed)
    inner = torch.stack([way.speed[1::4], way.speed[2::4], way.speed[3::4]], 1)
    pace = (parts.unsqueeze(2) * (flow.time * inner - length).square()).sum((0, 1))
    return Ways(x, way.position[-1], flow.time * way.energy[-1], length, pace)


def _closed(flow: TransportMap) -> tuple[float, float, float] | None:
    """Energy, W_2² and E|Δ|² of a Gaussian that stays one; None elsewhere."""
    particles = closed_particles(flow)
    if particles is None:
        return None
    x, last = particles.points, np.array([flow.time])
    end = flow.path(x, last)[-1]
    energy = flow.time * float(flow.kinetic(x, last)[-1].mean())
    distance = gaussian_distance(*gaussian_moments(x), *gaussian_moments(end))
    return energy, distance, float((end - x).square().sum(1).mean())


def _of_gaussian(ways: Ways, closed: tuple[float, float, float]) -> dict[str, tuple[float, float]]:
    energy, distance, cost = closed
    rest, spent = energy - cost, ways.energy - ways.cost
    share = float(rest / spent.mean()) if float(spent.mean()) > 1e-12 * energy else 1.0
    terms = {"bending": ways.bending, "pace": ways.pace}
    scaled = {name: (share * float(part.mean()), share * part, part.mean()) for name, part in terms.items()}
    total = max(float(spent.mean()), 1e-300)
    errors = {name: _error(part - spent * share * float(mean) / total) for name, (_, part, mean) in scaled.items()}
    return {
        "energy": (energy, 0.0),
        "transport": (distance, 0.0),
        "coupling": (max(0.0, cost - distance), 0.0),
        **{name: (scaled[name][0], errors[name] if rest > 1e-12 * energy else 0.0) for name in terms},
    }


def _error(part: Tensor) -> float:
    return float(part.double().std()) / len(part) ** 0.5


def unresolved(ways: Ways) -> bool:
    """Whether two halves of the particles, at their starts or at their ends, whichever is less, are so far apart that the
    exact plan says little."""
    half = len(ways.start) // 2
    clouds = (part.double().cpu().numpy() for part in (ways.start, ways.end))
    apart = min(exact_plan(cloud[:half], cloud[half : 2 * half]).squared for cloud in clouds)
    return apart > UNRESOLVED * float(ways.cost.mean())
