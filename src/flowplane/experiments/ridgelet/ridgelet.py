"""A function as an integral over hidden units: is it reconstructed, and how many units does it take? (docs/papers.md §A10,
A-8)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr

from flowplane import plot
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.ridgelet.reconstruction import (
    gaussian,
    gaussian_spectrum,
    grid_points,
    normal_points,
    origin_error,
    relative_error,
    truncated_gaussian,
)
from flowplane.experiments.ridgelet.trained import trained_claims
from flowplane.experiments.transport.flows import order_of
from flowplane.experiments.verdicts import around, mean_and_ends, with_ends
from flowplane.ridgelet import Pair, finite_network, least_squares_network, transform

__all__ = ["UncheckedPair", "falls", "run", "truncation_verdict", "width_claims", "within"]

LARGEST = {1: 8.0, 2: 6.0, 3: 4.0}
DIRECTIONS = {1: 1, 2: 40, 3: 196}
KINKED_OFFSETS = {1: 2400, 2: 1000}
WIDTHS = (30, 100, 300, 1000, 3000)
#: Units up to which networks are fitted by least squares: its cost goes with their square, and it has arrived.
FITTED = 300
#: What quadrature may leave besides truncation, as a share of f.
LEFT = 2e-3
#: What quadrature may change of the error by truncation, as a share of it, where powers of A are read off.
RESOLVED = 0.03
#: What an inadmissible pair may reconstruct, as a share of f.
NOTHING = 0.02


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    #: Nodes along a, by dimension; offsets are twice as many, more for ReLU with its kink.
    nodes: Mapping[int, tuple[int, ...]]
    #: Largest |a| where the cost of truncation is followed.
    extents: tuple[float, ...]
    #: Of the units, and of which that many are fitted by least squares.
    draws: int
    fits: int
    #: What an exponent of A may be off: it is that of large A, by A = 8 not all there.
    reach: float = 0.3
    #: Whether quadrature is fine enough for errors to contradict.
    fine: bool = False
    #: Activations by dimension.
    pairs: Mapping[int, tuple[str, ...]] = field(
        default_factory=lambda: {
            1: ("tanh", "sigmoid", "relu", "softplus", "gelu", "silu", "gaussian", "sin"),
            2: ("tanh", "relu", "gaussian"),
            3: ("tanh", "gaussian"),
        }
    )
    #: Activations and orders k whose truncation is followed.
    orders: tuple[tuple[str, int], ...] = (
        ("tanh", 3),
        ("relu", 4),
        ("gaussian", 2),
        ("tanh", 1),
        ("relu", 2),
        ("gaussian", 0),
    )
    #: Activations and dimensions of networks with units drawn.
    drawn: tuple[tuple[str, int], ...] = (("tanh", 1), ("relu", 1), ("gaussian", 1), ("tanh", 2))


SCALES = {
    "quick": Scale(nodes={1: (24, 36, 48, 96), 2: (24, 36, 48), 3: ()}, extents=(4.0, 8.0), draws=60, fits=5),
    "full": Scale(
        nodes={1: (24, 36, 48, 96, 192), 2: (24, 36, 48, 96), 3: (24, 36)},
        extents=(5.0, 10.0, 20.0),
        draws=300,
        fits=20,
        reach=0.1,
        fine=True,
    ),
    "tiny": Scale(
        nodes={1: (24, 36), 2: (16,)},
        extents=(2.0, 4.0),
        draws=3,
        fits=3,
        pairs={1: ("tanh",), 2: ("gaussian",)},
        orders=(("tanh", 3), ("gaussian", 0)),
        drawn=(("tanh", 1),),
    ),
}


class UncheckedPair(Pair):
    """A pair whose order nobody checks, for the control."""

    def _check(self) -> None:
        """Nothing is refused."""


def run(context: Context) -> Result:
    """Error against quadrature, truncation and width, an inadmissible pair, and where trained units stand."""
    scale = SCALES[context.scale]
    quadrature, quadrature_claims = _quadrature(scale)
    truncation, truncation_claim = _truncation(scale)
    width, width_found = _width(scale, context.seed)
    trained, figures, unit_claims = trained_claims(context)
    return Result(
        datasets={"quadrature": quadrature, "truncation": truncation, "width": width, "trained": trained},
        figures={
            **figures,
            "quadrature": plot.error_orders(
                quadrature.isel(series=quadrature["dimension"] == 1),
                "What quadrature leaves besides truncation, on the line",
            ),
            "quadrature-plane": plot.error_orders(
                quadrature.isel(series=quadrature["dimension"] > 1), "What quadrature leaves besides truncation, m > 1"
            ),
            "truncation": plot.error_orders(truncation, "What |a| < A misses, in the plane"),
            "width": plot.error_orders(width, "A finite number of units"),
        },
        claims=[*quadrature_claims, truncation_claim, *width_found, _inadmissible(scale), *unit_claims],
    )


def _quadrature(scale: Scale) -> tuple[xr.Dataset, list[Claim]]:
    """Reconstructions on finer and finer grids of nodes, against what truncation alone leaves."""
    series = [(name, m) for m, names in scale.pairs.items() if scale.nodes[m] for name in names]
    steps = max(map(len, scale.nodes.values()))
    left, counts = np.full((2, len(series), steps), np.nan)
    whole, truncated = np.empty((2, len(series)))
    for row, (name, m) in enumerate(series):
        pair, x = Pair(name), normal_points(m)
        for column, nodes in enumerate(scale.nodes[m]):
            offsets = KINKED_OFFSETS[m] if name == "relu" else (4 if m == 1 else 3) * nodes
            found = gaussian_spectrum(pair, m, LARGEST[m], (nodes, offsets), DIRECTIONS[m]).reconstruct(x)
            left[row, column], counts[row, column] = relative_error(found, truncated_gaussian(pair, x, LARGEST[m])), nodes
            whole[row] = relative_error(found, gaussian(x))
        truncated[row] = relative_error(truncated_gaussian(pair, x, LARGEST[m]), gaussian(x))
    names = [f"{name}, m = {m}" for name, m in series]
    dataset = xr.Dataset(
        {
            "error": (("series", "step"), left, {"long_name": "relative RMS distance"}),
            "scale": (("series", "step"), counts, {"long_name": "nodes along a, from −A to A"}),
            "whole_error": ("series", whole, {"long_name": "distance from f on the finest grid", "units": "1"}),
            "truncation": ("series", truncated, {"long_name": "distance of the truncated integral from f", "units": "1"}),
        },
        {"series": names, "dimension": ("series", [m for _, m in series])},
        {"subtitle": "f a unit Gaussian · A = " + ", ".join(f"{a:g} for m = {m}" for m, a in LARGEST.items())},
    )
    finest = np.array([row[np.isfinite(row)][-1] for row in left])
    listed = ", ".join(names)
    claims = [
        Claim(
            id="A-8",
            role="headline",
            statement=f"S[R] = K f: relative error of the reconstruction is that of truncation to |a| < A: {listed}",
            measured=tuple(whole.tolist()),
            reference=tuple(truncated.tolist()),
            tolerance=(LEFT,) * len(series),
            verdict=within(finest, LEFT, fine=scale.fine),
            units="1",
        ),
        Claim(
            id="A-8.quadrature",
            role="part",
            statement=f"the finer the nodes, the smaller what is left besides truncation; on the finest: {listed}",
            measured=tuple(finest.tolist()),
            reference=(0.0,) * len(series),
            tolerance=(LEFT,) * len(series),
            verdict=falls(left, LEFT, fine=scale.fine),
            units="1",
        ),
    ]
    return dataset, claims


def _truncation(scale: Scale) -> tuple[xr.Dataset, Claim]:
    """The error at the origin against A, and its power."""
    extents, orders = scale.extents, scale.orders
    errors = np.array([[origin_error(Pair(*pair), a, 12 * round(a)) for a in extents] for pair in orders])
    names = [f"{name}, k = {k}" for name, k in orders]
    powers = np.log(np.abs(errors[:, -1] / errors[:, -2])) / np.log(extents[-1] / extents[-2])
    reference = tuple(-3.0 if k == Pair(name).order else -1.0 for name, k in orders)
    exact = np.array(
        [[1 - float(truncated_gaussian(Pair(*pair), np.zeros((1, 2)), a)[0]) for a in extents] for pair in orders]
    )
    dataset = xr.Dataset(
        {
            "error": (("series", "step"), errors, {"long_name": "1 − S[R](0)/(K f(0))"}),
            "scale": ("step", list(extents), {"long_name": "A", "units": "1/x"}),
            "exact": (("series", "step"), exact, {"long_name": "by the transform of σ", "units": "1"}),
        },
        {"series": names},
        {"subtitle": "f a unit Gaussian in the plane · two derivatives more in ρ₀: order −3 and not −1", "order": -3},
    )
    off = np.abs(errors / exact - 1).max()
    claim = Claim(
        id="A-8.truncation",
        role="part",
        statement=f"truncation costs A^−3 with the orders taken by default, A^−1 with the least: {', '.join(names)}",
        measured=tuple(powers.tolist()),
        reference=reference,
        tolerance=(scale.reach,) * len(names),
        verdict=truncation_verdict(powers, np.array(reference), scale.reach, off, fine=scale.fine),
        units="1",
    )
    return dataset, claim


def truncation_verdict(powers: np.ndarray, reference: np.ndarray, reach: float, off: float, *, fine: bool) -> str:
    """Powers against those that are claimed; quadrature that is off by more than a share of the error decides nothing."""
    return "inconclusive" if off > RESOLVED else within(powers - reference, reach, fine=fine)


def _width(scale: Scale, seed: int) -> tuple[xr.Dataset, list[Claim]]:
    """Units drawn from the transform: error against their number, with weights as drawn and by least squares."""
    draws = scale.draws
    drawn = np.empty((len(scale.drawn), len(WIDTHS), draws))
    fitted = np.full(drawn.shape, np.nan)
    for row, (name, m) in enumerate(scale.drawn):
        offsets = KINKED_OFFSETS[m] // 2 if name == "relu" else 300 // m
        spectrum = gaussian_spectrum(Pair(name), m, LARGEST[m], (96 // m, offsets), DIRECTIONS[m])
        x, points = normal_points(m), grid_points(200 if m == 1 else 21, m)
        for column, width in enumerate(WIDTHS):
            for k in range(draws):
                number = seed + k + draws * column
                network = finite_network(spectrum, width, seed=number)
                drawn[row, column, k] = relative_error(_values(network, x), gaussian(x))
                if width <= FITTED and k < scale.fits:
                    network = least_squares_network(spectrum, gaussian(points), points=points, units=width, seed=number)
                    fitted[row, column, k] = relative_error(_values(network, x), gaussian(x))
    names = [f"{name}, m = {m}" for name, m in scale.drawn]
    both = np.concatenate([drawn, fitted])
    labels = [f"{name}, {way}" for way in ("as drawn", "least squares") for name in names]
    dataset = xr.Dataset(
        {
            "error": (("series", "step"), np.concatenate([_rms(drawn), _rms(fitted)]), {"long_name": "relative RMS error"}),
            "scale": ("step", list(map(float, WIDTHS)), {"long_name": "units N"}),
            "each": (("series", "step", "draw"), both, {"long_name": "relative RMS error of each draw", "units": "1"}),
        },
        {"series": labels},
        {"subtitle": f"f a unit Gaussian · {draws} draws of the units from q ∝ |R|", "order": -0.5},
    )
    return dataset, width_claims(drawn, fitted, names)


def width_claims(drawn: np.ndarray, fitted: np.ndarray, names: Sequence[str]) -> list[Claim]:
    """The exponent of N over (series, width, draw), and what least squares makes of the same units."""
    powers = order_of(np.array(WIDTHS, float), drawn.transpose(2, 0, 1))  # draw, series
    kept_draws = np.isfinite(fitted[0, 0])
    last = max(column for column in range(len(WIDTHS)) if np.isfinite(fitted[0, column]).any())
    ratios = mean_and_ends(np.log10(fitted[:, last] / drawn[:, last])[:, kept_draws].T)
    listed = ", ".join(names)
    return [
        Claim(
            id="A-8.width",
            role="part",
            statement=f"units drawn from q ∝ |R| err like N^−1/2: exponent for {listed}",
            **around(powers, -0.5, 0.1),
            units="1",
        ),
        Claim(
            id="A-8.least-squares",
            role="reported",
            statement=f"error by least squares over that as drawn, the same {WIDTHS[last]} units, powers of ten: {listed}",
            **with_ends(*ratios),
            verdict="reproduced" if (ratios[2] < 0).all() else "inconclusive",
            units="log10",
        ),
    ]


def _rms(each: np.ndarray) -> np.ndarray:
    """Over draws, as many as there are; NaN where there are none."""
    known = np.isfinite(each)
    return np.sqrt(np.square(np.where(known, each, 0.0)).sum(2) / np.where(known.any(2), known.sum(2), np.nan))


def _values(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(x)).numpy()


def _inadmissible(scale: Scale) -> Claim:
    """ReLU with k = 1 and the sigmoid with k = 0 have ∫ρ_0σ ≠ 0, and reconstruct nothing."""
    x, at = grid_points(41, 2), normal_points(2)
    sizes = []
    for name, order in (("relu", 1), ("sigmoid", 0)):
        spectrum = transform(
            gaussian(x), x, pair=UncheckedPair(name, order), extent=(5.0, 35.0), grid=(80, 700), directions=40
        )
        sizes.append(float(np.linalg.norm(spectrum.reconstruct(at)) / np.linalg.norm(gaussian(at))))
    return Claim(
        id="A-8.inadmissible",
        role="control",
        statement="an inadmissible pair forced by hand reconstructs none of f: |S[R]/K| / |f|, relu k = 1, sigmoid k = 0",
        measured=tuple(sizes),
        reference=(0.0,) * 2,
        tolerance=(NOTHING,) * 2,
        verdict=within(np.array(sizes), NOTHING, fine=scale.fine),
        units="1",
    )


def within(sizes: np.ndarray, limit: float, *, fine: bool) -> str:
    """Reproduced where all are; coarse quadrature contradicts nothing."""
    if (np.abs(sizes) <= limit).all():
        return "reproduced"
    return "contradicted" if fine else "inconclusive"


def falls(left: np.ndarray, limit: float, *, fine: bool) -> str:
    """Whether each row (NaN where nothing was asked) falls to the limit, at every step that starts above it."""
    rows = [row[np.isfinite(row)] for row in left]
    held = all(row[-1] <= limit and (np.diff(row)[row[:-1] > limit] < 0).all() for row in rows)
    return within(np.array([0.0 if held else np.inf]), limit, fine=fine)
