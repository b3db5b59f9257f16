"""A function as an integral over hidden units: does it come back, and how many units does it take? (docs/papers.md §A10,
A-8)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from flowplane.experiments.claim import Claim, mean_interval, near, with_ends
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.ridgelet.errors import bell, box, kept, origin_error, places, relative, spectrum_of_bell
from flowplane.experiments.ridgelet.trained import trained_claims
from flowplane.plot import convergence
from flowplane.ridgelet import Pair, finite_network, least_squares_network, transform

__all__ = ["Forced", "falls", "power", "run", "truncation_verdict", "width_claims", "within"]

#: Pairs by dimension, and nodes along a; offsets are twice as many, more for ReLU with its kink.
PAIRS = {
    1: ("tanh", "sigmoid", "relu", "softplus", "gelu", "silu", "gaussian", "sin"),
    2: ("tanh", "relu", "gaussian"),
    3: ("tanh", "gaussian"),
}
NODES: dict[str, dict[int, tuple[int, ...]]] = {
    "quick": {1: (24, 36, 48, 96), 2: (24, 36, 48), 3: ()},
    "full": {1: (24, 36, 48, 96, 192), 2: (24, 36, 48, 96), 3: (24, 36)},
}
LARGEST = {1: 8.0, 2: 6.0, 3: 4.0}
DIRECTIONS = {1: 1, 2: 40, 3: 196}
KINKED_OFFSETS = {1: 2400, 2: 1000}
EXTENTS = {"quick": (4.0, 8.0), "full": (5.0, 10.0, 20.0)}
ORDERS = (("tanh", 3), ("relu", 4), ("gaussian", 2), ("tanh", 1), ("relu", 2), ("gaussian", 0))
WIDTHS = (30, 100, 300, 1000, 3000)
DRAWS = {"quick": 60, "full": 300}
#: Of which that many are fitted by least squares, up to FITTED units: its cost goes with their square, and it has arrived.
FITS = {"quick": 5, "full": 20}
DRAWN = (("tanh", 1), ("relu", 1), ("gaussian", 1), ("tanh", 2))
FITTED = 300
#: What quadrature may leave besides truncation, as a share of f.
LEFT = 2e-3
#: What quadrature may change of the error by truncation, as a share of it, where powers of A are read off.
RESOLVED = 0.03
#: What an inadmissible pair may give back, as a share of f.
NOTHING = 0.02


class Forced(Pair):
    """A pair whose order nobody checks, for the control."""

    def _check(self) -> None:
        """Nothing is refused."""


def run(context: Context) -> Result:
    """Error against quadrature, truncation and width, an inadmissible pair, and where trained units stand."""
    quadrature, quadrature_claims = _quadrature(context.scale)
    truncation, truncation_claim = _truncation(context.scale)
    width, width_found = _width(context.scale, context.seed)
    trained, figures, unit_claims = trained_claims(context)
    return Result(
        datasets={"quadrature": quadrature, "truncation": truncation, "width": width, "trained": trained},
        figures={
            **figures,
            "quadrature": convergence(
                quadrature.isel(series=quadrature["dimension"] == 1),
                "What quadrature leaves besides truncation, on the line",
            ),
            "quadrature-plane": convergence(
                quadrature.isel(series=quadrature["dimension"] > 1), "What quadrature leaves besides truncation, m > 1"
            ),
            "truncation": convergence(truncation, "What |a| < A misses, in the plane"),
            "width": convergence(width, "A finite number of units"),
        },
        claims=[*quadrature_claims, truncation_claim, *width_found, _inadmissible(context.scale), *unit_claims],
    )


def _quadrature(scale: str) -> tuple[xr.Dataset, list[Claim]]:
    """Reconstructions on finer and finer grids of nodes, against what truncation alone leaves."""
    series = [(name, m) for m in PAIRS if NODES[scale][m] for name in PAIRS[m]]
    steps = max(len(NODES[scale][m]) for m in PAIRS)
    left, counts = np.full((2, len(series), steps), np.nan)
    whole, truncated = np.empty((2, len(series)))
    for row, (name, m) in enumerate(series):
        pair, x = Pair(name), places(m)
        for column, nodes in enumerate(NODES[scale][m]):
            offsets = KINKED_OFFSETS[m] if name == "relu" else (4 if m == 1 else 3) * nodes
            found = spectrum_of_bell(pair, m, LARGEST[m], (nodes, offsets), DIRECTIONS[m]).reconstruct(x)
            left[row, column], counts[row, column] = relative(found, kept(pair, x, LARGEST[m])), nodes
            whole[row] = relative(found, bell(x))
        truncated[row] = relative(kept(pair, x, LARGEST[m]), bell(x))
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
            "A-8",
            f"S[R] = K f: relative error of the reconstruction is that of truncation to |a| < A: {listed}",
            tuple(whole.tolist()),
            None,
            tuple(truncated.tolist()),
            (LEFT,) * len(series),
            within(finest, LEFT, scale),
            scale,
            0.0,
            "1",
        ),
        Claim(
            "A-8.quadrature",
            f"the finer the nodes, the smaller what is left besides truncation; on the finest: {listed}",
            tuple(finest.tolist()),
            None,
            (0.0,) * len(series),
            (LEFT,) * len(series),
            falls(left, LEFT, scale),
            scale,
            0.0,
            "1",
        ),
    ]
    return dataset, claims


def _truncation(scale: str) -> tuple[xr.Dataset, Claim]:
    """The error at the origin against A, and its power."""
    extents = EXTENTS[scale]
    errors = np.array([[origin_error(Pair(*pair), a, 12 * round(a)) for a in extents] for pair in ORDERS])
    names = [f"{name}, k = {k}" for name, k in ORDERS]
    powers = np.log(np.abs(errors[:, -1] / errors[:, -2])) / np.log(extents[-1] / extents[-2])
    reference = tuple(-3.0 if k == Pair(name).order else -1.0 for name, k in ORDERS)
    exact = np.array([[1 - float(kept(Pair(*pair), np.zeros((1, 2)), a)[0]) for a in extents] for pair in ORDERS])
    dataset = xr.Dataset(
        {
            "error": (("series", "step"), errors, {"long_name": "1 − S[R](0)/(K f(0))"}),
            "scale": ("step", list(extents), {"long_name": "A", "units": "1/x"}),
            "exact": (("series", "step"), exact, {"long_name": "by the transform of σ", "units": "1"}),
        },
        {"series": names},
        {"subtitle": "f a unit Gaussian in the plane · two derivatives more in ρ₀: order −3 and not −1", "order": -3},
    )
    # the power is that of large A, by A = 8 not all there
    reach = 0.1 if scale == "full" else 0.3
    verdict = truncation_verdict(powers, np.array(reference), reach, np.abs(errors / exact - 1).max(), scale)
    claim = Claim(
        "A-8.truncation",
        f"truncation costs A^−3 with the orders taken by default, A^−1 with the least: {', '.join(names)}",
        tuple(powers.tolist()),
        None,
        reference,
        (reach,) * len(names),
        verdict,
        scale,
        0.0,
        "1",
    )
    return dataset, claim


def truncation_verdict(powers: np.ndarray, reference: np.ndarray, reach: float, off: float, scale: str) -> str:
    """Powers against those that are claimed; quadrature that is off by more than a share of the error decides nothing."""
    return "inconclusive" if off > RESOLVED else within(powers - reference, reach, scale)


def _width(scale: str, seed: int) -> tuple[xr.Dataset, list[Claim]]:
    """Units drawn from the transform: error against their number, with weights as drawn and by least squares."""
    draws = DRAWS[scale]
    drawn = np.empty((len(DRAWN), len(WIDTHS), draws))
    fitted = np.full(drawn.shape, np.nan)
    for row, (name, m) in enumerate(DRAWN):
        offsets = KINKED_OFFSETS[m] // 2 if name == "relu" else 300 // m
        spectrum = spectrum_of_bell(Pair(name), m, LARGEST[m], (96 // m, offsets), DIRECTIONS[m])
        x, points = places(m), box(200 if m == 1 else 21, m)
        for column, width in enumerate(WIDTHS):
            for k in range(draws):
                number = seed + k + draws * column
                network = finite_network(spectrum, width, seed=number)
                drawn[row, column, k] = relative(_values(network, x), bell(x))
                if width <= FITTED and k < FITS[scale]:
                    network = least_squares_network(spectrum, bell(points), points=points, units=width, seed=number)
                    fitted[row, column, k] = relative(_values(network, x), bell(x))
    names = [f"{name}, m = {m}" for name, m in DRAWN]
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
    return dataset, width_claims(drawn, fitted, names, scale)


def width_claims(drawn: np.ndarray, fitted: np.ndarray, names: Sequence[str], scale: str) -> list[Claim]:
    """The exponent of N over (series, width, draw), and what least squares makes of the same units."""
    powers = np.stack([power(np.array(WIDTHS, float), errors) for errors in drawn])  # series, draw
    mean, interval, _ = mean_interval(powers.T)
    measured, ends = with_ends(mean, interval[:, 0], interval[:, 1])
    kept_draws = np.isfinite(fitted[0, 0])
    last = max(column for column in range(len(WIDTHS)) if np.isfinite(fitted[0, column]).any())
    ratio, ratio_ends, _ = mean_interval(np.log10(fitted[:, last] / drawn[:, last])[:, kept_draws].T)
    ratios, pairs = with_ends(ratio, ratio_ends[:, 0], ratio_ends[:, 1])
    listed = ", ".join(names)
    better = "reproduced" if (ratio_ends[:, 1] < 0).all() else "inconclusive"
    return [
        Claim(
            "A-8.width",
            f"units drawn from q ∝ |R| err like N^−1/2: exponent for {listed}",
            measured,
            ends,
            (-0.5,) * len(names),
            (0.1,) * len(names),
            near(interval[:, 0], interval[:, 1], -0.5, 0.1),
            scale,
            0.0,
            "1",
        ),
        Claim(
            "A-8.least-squares",
            f"reported: error by least squares over that as drawn, the same {WIDTHS[last]} units, powers of ten: {listed}",
            ratios,
            pairs,
            None,
            None,
            better,
            scale,
            0.0,
            "log10",
        ),
    ]


def _rms(each: np.ndarray) -> np.ndarray:
    """Over draws, as many as there are; NaN where there are none."""
    known = np.isfinite(each)
    return np.sqrt(np.square(np.where(known, each, 0.0)).sum(2) / np.where(known.any(2), known.sum(2), np.nan))


def _values(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(x)).numpy()


def _inadmissible(scale: str) -> Claim:
    """ReLU with k = 1 and the sigmoid with k = 0 have ∫ρ_0σ ≠ 0, and nothing comes back."""
    x, at = box(41, 2), places(2)
    sizes = []
    for name, order in (("relu", 1), ("sigmoid", 0)):
        spectrum = transform(bell(x), x, pair=Forced(name, order), extent=(5.0, 35.0), grid=(80, 700), directions=40)
        sizes.append(float(np.linalg.norm(spectrum.reconstruct(at)) / np.linalg.norm(bell(at))))
    statement = (
        "control: an inadmissible pair forced by hand gives back none of f: |S[R]/K| / |f|, relu k = 1, sigmoid k = 0"
    )
    verdict = within(np.array(sizes), NOTHING, scale)
    return Claim("A-8.inadmissible", statement, tuple(sizes), None, (0.0,) * 2, (NOTHING,) * 2, verdict, scale, 0.0, "1")


def power(widths: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Slopes of log error (width, draw) against log width.

    Example:
        >>> widths = np.array([10.0, 100.0, 1000.0])
        >>> power(widths, widths[:, None] ** -0.5)
        array([-0.5])
    """
    x = np.log(widths) - np.log(widths).mean()
    return x @ np.log(errors) / (x @ x)


def within(sizes: np.ndarray, limit: float, scale: str) -> str:
    """Reproduced where all are; a quick scale, whose quadrature is coarse, contradicts nothing."""
    if (np.abs(sizes) <= limit).all():
        return "reproduced"
    return "contradicted" if scale == "full" else "inconclusive"


def falls(left: np.ndarray, limit: float, scale: str) -> str:
    """Whether each row (NaN where nothing was asked) falls to the limit, at every step that starts above it."""
    rows = [row[np.isfinite(row)] for row in left]
    held = all(row[-1] <= limit and (np.diff(row)[row[:-1] > limit] < 0).all() for row in rows)
    return within(np.array([0.0 if held else np.inf]), limit, scale)
