"""A-9: residual networks built from a flow without training converge to it as depth and width grow (docs/papers.md §A11)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from torch import Tensor

from flowplane import plot
from flowplane.core.streams import EVALUATION, SUBSETS, UNITS, generator
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.ridgelet.scaling import scaling_errors, scaling_law
from flowplane.experiments.transport.flows import order_of
from flowplane.experiments.verdicts import around, at_most, exactly, mean_and_ends, means, near
from flowplane.ridgelet import Pair, ResidualNetwork, WideLimit
from flowplane.transport import denoising_flow
from flowplane.transport.densities import GaussianMixture, Normal
from flowplane.transport.maps.base import TransportMap

__all__ = ["run"]

#: Networks of each width in a draw, of units of their own: their errors are averaged.
BLOCKS = 3
KINDS = ("shared", "own")
#: What §A11 says of error² = (α L^−p)² + (β N^−q L^−r)², and how far from it an exponent may be.
RATES = {"shared": (1.0, 0.5, 0.0), "own": (1.0, 0.5, 0.5)}
REACH = 0.15
#: The quadrature's own error, relative, above which nothing is decided.
GOOD = 0.02


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    draws: int
    samples: int


SCALES = {
    "quick": Scale(depths=(2, 4, 8, 16, 32), widths=(128, 512, 2048), draws=6, samples=100),
    "full": Scale(depths=(2, 4, 8, 16, 32, 64), widths=(128, 512, 2048, 8192), draws=20, samples=300),
    "tiny": Scale(depths=(2, 4, 8), widths=(64, 256), draws=2, samples=30),
}


@dataclass(frozen=True)
class Case:
    """A flow, and the units that it is built of."""

    flow: TransportMap
    pair: Pair
    #: A, known to leave less than GOOD of the field out.
    extent: float


def run(context: Context) -> Result:
    """Error over (L, N) of networks with shared units and with units of their own, three cases; fitted exponents."""
    scale, cases = SCALES[context.scale], _cases()
    found = {name: _measured(case, scale, context.seed) for name, case in cases.items()}
    surfaces = xr.concat(list(found.values()), xr.Variable("case", list(found)), combine_attrs="override")
    fits = {(name, kind): scaling_law(found[name].sel(units=kind), context.seed) for name in cases for kind in KINDS}
    claims = [_main(fits, surfaces), _misfit(fits), _time_claim(surfaces), *_width_claims(surfaces), _field_claim(surfaces)]
    claims += _controls(cases["line, bump"], scale, context.seed)
    return Result(
        datasets={"surfaces": surfaces, "exponents": _table(fits)},
        figures={
            "double-limit": plot.error_surface(surfaces, "Error of residual networks built from a flow, without training"),
            "width": plot.error_orders(_by_width(surfaces), "Width: the distance to the layers of infinite width"),
            "depth": plot.error_orders(_by_depth(surfaces), "Depth: steps in time, and units shared or not"),
        },
        claims=claims,
    )


def _cases() -> dict[str, Case]:
    line = denoising_flow(GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4]), 0.1, math.inf)
    plane = denoising_flow(Normal([0.3, 0.0], [[1.0, 0.4], [0.4, 0.8]]), 0.15, math.inf)
    return {
        "line, bump": Case(line, Pair("gaussian"), 20.0),
        "line, tanh": Case(line, Pair("tanh"), 20.0),
        "plane, bump": Case(plane, Pair("gaussian"), 2.5),
    }


def _measured(case: Case, scale: Scale, seed: int) -> xr.Dataset:
    """Errors of networks over units × draw × layers × width, of the polygon over layers."""
    depths, widths = scale.depths, scale.widths
    x = case.flow.known_source().sample(scale.samples, generator(seed, EVALUATION))
    exact = case.flow(x)
    polygons = {layers: _polygon(case.flow, x, layers) for layers in depths}
    shape = (len(KINDS), scale.draws, len(depths), len(widths))
    errors, apart = np.empty(shape), np.empty(shape)
    limit = WideLimit(case.flow, pair=case.pair, extent=case.extent, seed=seed)
    for kind, draw, depth in np.ndindex(shape[:3]):
        own = generator(seed, UNITS, kind, draw, depth)
        net = limit.network(depths[depth], BLOCKS * widths[-1], shared_units=KINDS[kind] == "shared", seed=own)
        for place, width in enumerate(widths):
            ends = [net.narrowed(width, block * width)(x) for block in range(BLOCKS)]
            errors[kind, draw, depth, place] = _mean_distance(ends, exact)
            apart[kind, draw, depth, place] = _mean_distance(ends, polygons[depths[depth]])
    times = [_distance(polygons[layers], exact) for layers in depths]
    return scaling_errors(errors, apart, times, KINDS, depths, widths, _distance(x, exact), limit.field_error)


def _polygon(flow: TransportMap, x: np.ndarray, layers: int) -> np.ndarray:
    """Euler steps of the field itself: layers of infinite width."""
    step = flow.time / layers
    for layer in range(layers):
        x = x + step * flow.velocity(layer * step, x)
    return x


def _distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.square(x - y).sum(1).mean()))


def _mean_distance(ends: list[np.ndarray], exact: np.ndarray) -> float:
    return float(np.sqrt(np.mean([_distance(each, exact) ** 2 for each in ends])))


def _main(fits: dict[tuple[str, str], xr.Dataset], surfaces: xr.Dataset) -> Claim:
    """All three exponents, in every case with both kinds of units."""
    values = np.concatenate([fit["exponent"].values for fit in fits.values()])
    lower, upper = (np.concatenate([fit[end].values for fit in fits.values()]) for end in ("lower", "upper"))
    wanted = np.concatenate([RATES[kind] for _, kind in fits])
    judged = near((values, lower, upper), wanted, REACH)
    if float(surfaces["field_error"].max()) > GOOD:
        judged["verdict"] = "inconclusive"
    statement = (
        "the double limit converges: error² = (αL^−p)² + (βN^−q L^−r)², p, q, r of "
        f"{'; '.join(f'{name}, {kind} units' for name, kind in fits)}"
    )
    return Claim(id="A-9", role="headline", statement=statement, **judged, units="1")


def _misfit(fits: dict[tuple[str, str], xr.Dataset]) -> Claim:
    left = tuple(float(fit.attrs["misfit"]) for fit in fits.values())
    return Claim(
        id="A-9.misfit",
        role="reported",
        statement="what the fitted surface leaves over, root mean square of log error",
        measured=left,
        verdict="reproduced" if max(left) < 0.3 else "inconclusive",
        units="1",
    )


def _time_claim(surfaces: xr.Dataset) -> Claim:
    """Steps in time alone, layers of infinite width: nothing is random."""
    late = surfaces.isel(layers=slice(-3, None))
    orders = order_of(late["layers"].values, late["time_error"].transpose("case", "layers").values)
    return Claim(
        id="A-9.time",
        role="part",
        statement=f"in time the error goes like L^k, layers of infinite width: {_listed(surfaces)}",
        **exactly(orders, (-1.0,) * len(orders), REACH),
        units="1",
    )


def _width_claims(surfaces: xr.Dataset) -> list[Claim]:
    """The distance to layers of infinite width: one slope per draw, by N and by L."""
    rows = (
        ("width", "part", "shared", "width", -0.5, "shared units: the distance to layers of infinite width goes like N^k"),
        ("width-own", "part", "own", "width", -0.5, "each layer its own units: the same, N^k"),
        ("depth-own", "part", "own", "layers", -0.5, "each layer its own units: with depth it falls like L^k"),
        ("depth-shared", "control", "shared", "layers", 0.0, "shared units, with depth L^k"),
    )
    return [
        Claim(
            id=f"A-9.{name}",
            role=role,
            statement=f"{statement}: {_listed(surfaces)}",
            **around(_slopes(surfaces["sampling_error"].sel(units=kind), dim), wanted, REACH),
            units="1",
        )
        for name, role, kind, dim, wanted, statement in rows
    ]


def _listed(surfaces: xr.Dataset) -> str:
    return ", ".join(map(str, surfaces["case"].values))


def _slopes(errors: xr.DataArray, dim: str) -> np.ndarray:
    """Slopes of log error along one dimension, the mean over the other, (draw, case)."""
    other = "layers" if dim == "width" else "width"
    return np.asarray(order_of(errors[dim].values, errors.transpose("draw", "case", other, dim).values).mean(2))


def _field_claim(surfaces: xr.Dataset) -> Claim:
    errors = surfaces["field_error"].values
    return Claim(
        id="A-9.field",
        role="part",
        statement=f"the quadrature reconstructs the field up to: {_listed(surfaces)}",
        measured=tuple(map(float, errors)),
        reference=(0.0,) * len(errors),
        tolerance=(GOOD,) * len(errors),
        verdict="reproduced" if (errors <= GOOD).all() else "inconclusive",
        units="relative RMS error",
    )


def _controls(case: Case, scale: Scale, seed: int) -> list[Claim]:
    """The widest networks with output weights of other units, and without the constant 1/K: distances to the flow, in
    displacements."""
    x = case.flow.known_source().sample(scale.samples, generator(seed, EVALUATION))
    exact = case.flow(x)
    limit = WideLimit(case.flow, pair=case.pair, extent=case.extent, seed=seed)
    rows = []
    for draw in range(scale.draws):
        net = limit.network(16, scale.widths[-1], shared_units=False, seed=seed + draw)
        changed = (net, _exchanged(net, draw), _scaled(net, case.pair.constant(1)))
        rows.append([_distance(each(x), exact) / _distance(x, exact) for each in changed])
    built, *wrong = np.array(rows).T[:, :, None]
    return [
        Claim(
            id="A-9.built",
            role="part",
            statement="16 layers of the widest, line, bump: distance to the flow over how far it moves",
            **at_most(built, 0.5),
            tolerance=(0.5,),
            units="1",
        ),
        *(
            Claim(
                id=f"A-9.{name}",
                role="control",
                statement=f"the same, {said}",
                **means(values),
                verdict="reproduced" if mean_and_ends(values)[1][0] > 0.5 else "inconclusive",
                units="1",
            )
            for values, name, said in (
                (wrong[0], "exchanged", "output weights exchanged between units"),
                (wrong[1], "constant", "without 1/K"),
            )
        ),
    ]


def _exchanged(net: ResidualNetwork, seed: int) -> ResidualNetwork:
    order = generator(seed, SUBSETS).permutation(net.width)
    return _with_output(net, net.output.detach()[:, order])


def _scaled(net: ResidualNetwork, factor: float) -> ResidualNetwork:
    return _with_output(net, net.output.detach() * factor)


def _with_output(net: ResidualNetwork, output: Tensor) -> ResidualNetwork:
    return ResidualNetwork(net.hidden.detach(), net.offsets.detach(), output=output, pair=net.pair, time=net.time)


def _table(fits: dict[tuple[str, str], xr.Dataset]) -> xr.Dataset:
    names = [f"{name}, {kind} units" for name, kind in fits]
    return xr.concat(list(fits.values()), xr.Variable("surface", names), combine_attrs="drop")


def _by_width(surfaces: xr.Dataset) -> xr.Dataset:
    """At the middle depth, one curve per case and kind."""
    part = surfaces.isel(layers=surfaces.sizes["layers"] // 2)
    subtitle = f"root mean square over draws at L = {int(part['layers'])}; dotted: order −1/2"
    names, errors = _curves(part, "width")
    return _series(names, errors, part["width"].values, "units per layer, N", subtitle)


def _by_depth(surfaces: xr.Dataset) -> xr.Dataset:
    """At the middle width; the steps in time beside it."""
    part = surfaces.isel(width=surfaces.sizes["width"] // 2)
    apart = f"distance to layers of infinite width at N = {int(part['width'])}"
    subtitle = f"{apart}; steps: from those to the flow; dotted: order −1/2"
    names, errors = _curves(part, "layers")
    names += [f"{case}, steps" for case in part["case"].values]
    errors = np.concatenate([errors, part["time_error"].transpose("case", "layers").values])
    return _series(names, errors, part["layers"].values, "layers L", subtitle)


def _curves(part: xr.Dataset, dim: str) -> tuple[list[str], np.ndarray]:
    squares = np.square(part["sampling_error"].transpose("draw", "case", "units", dim).values)
    names = [f"{case}, {kind} units" for case in part["case"].values for kind in part["units"].values]
    return names, np.sqrt(squares.mean(0)).reshape(len(names), -1)


def _series(names: list[str], errors: np.ndarray, scale: np.ndarray, long_name: str, subtitle: str) -> xr.Dataset:
    about = {"long_name": "RMS distance", "units": "units of x"}
    return xr.Dataset(
        {"error": (("series", "step"), errors, about), "scale": ("step", scale.astype(float), {"long_name": long_name})},
        {"series": names},
        {"order": -0.5, "subtitle": subtitle},
    )
