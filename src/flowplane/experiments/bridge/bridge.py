"""X-bridge: one law of both papers, the error of denoising whose area is information and whose slope is entropy's (§C)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.denoising import denoising_spectrum
from flowplane.analysis.plane import information_plane
from flowplane.bridge.denoising import Denoising
from flowplane.core.results import Z, stamp
from flowplane.core.streams import SAMPLES, generator
from flowplane.experiments.bridge.pairs import PAIRS
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.information.ksg import KSG
from flowplane.information.monte_carlo import MonteCarlo
from flowplane.information.pairwise import Pairwise
from flowplane.tasks import spherical_rule

__all__ = ["run"]

#: Variance of the noise through which the reference network is read.
NOISE = 0.01
#: Readings by denoisers and by Monte Carlo may differ by the larger of this, in bits, and this many of their standard
#: errors.
WITHIN, ERRORS = 0.01, 4.0
#: Of the entropy's rate, by differences and by denoising.
RATE = 0.05
#: A normal of this many equal directions, its samples, and the information that noise of variance 1 lets through, in bits.
DIRECTIONS, SAMPLED, TRUE = 50, 500, 20.0
#: What held-out denoisers may say of it (§C3), and of labels that have nothing to do with it.
BETWEEN, NOTHING = (19.8, 21.0), 0.03
QUICK = ("wiggly 1 + 1", "Student 2 + 2, ν = 2", "normal 3 + 3")


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    replicas: int
    epochs: int
    #: Epochs, of each replica and of the one whose spectrum is shown.
    looked: int
    shown: int
    #: Layers with fewer samples than they need.
    wide: int
    #: Tasks of known information, how many of them with shuffled partners as well, and samples of each.
    pairs: tuple[str, ...]
    shuffled: int
    samples: int
    denoiser: str = "learned"
    layers: tuple[str, ...] | None = None


SCALES = {
    "quick": Scale(replicas=1, epochs=3000, looked=3, shown=2, wide=2, pairs=QUICK, shuffled=1, samples=2000),
    "full": Scale(5, 8000, looked=20, shown=6, wide=20, pairs=tuple(PAIRS), shuffled=3, samples=10_000),
    "tiny": Scale(1, 20, 2, 2, wide=1, pairs=QUICK[:1], shuffled=1, samples=200, denoiser="linear", layers=("layer6",)),
}


def run(context: Context) -> Result:
    """The reference network read by denoising; layers with fewer samples than they need; pairs of known information."""
    scale = SCALES[context.scale]
    rec = context.train("reference", spherical_rule(), replicas=scale.replicas, epochs=scale.epochs).thin(scale.looked)
    rec = rec.sel(layer=scale.layers)
    planes = {
        "by denoising": information_plane(rec, Denoising(NOISE)),
        "Monte Carlo": information_plane(rec, MonteCarlo(NOISE)),
    }
    linear = information_plane(rec, Denoising(NOISE, "linear"))
    spectrum = denoising_spectrum(rec.sel(replica=rec.replicas[:1]).thin(scale.shown))
    ceiling, pairs = _wide_layers(context), _pairs(scale, context.seed)
    title = "The information plane by denoising, and by Monte Carlo through the same noise"
    return Result(
        datasets={
            "plane": planes["by denoising"],
            "plane-monte-carlo": planes["Monte Carlo"],
            "plane-linear": linear,
            "spectrum": spectrum,
            "ceiling": ceiling,
            "pairs": pairs,
        },
        figures={
            "spectrum": plot.denoising_spectrum(spectrum, "One law: the error of denoising, and information as its area"),
            "planes": plot.information_planes(planes, title),
        },
        claims=[
            _exact(planes["by denoising"], planes["Monte Carlo"]),
            _untrained(planes["by denoising"], linear),
            _de_bruijn(spectrum),
            *_ceiling(ceiling),
            *_benchmark(pairs, scale.samples),
        ],
    )


def _error(dataset: xr.Dataset, name: str) -> np.ndarray:
    """The standard error that an interval at 95 % speaks of."""
    return np.asarray(dataset[f"{name}_upper"] - dataset[f"{name}_lower"]) / (2 * Z)


def _exact(found: xr.Dataset, exact: xr.Dataset) -> Claim:
    """Both readings of the plane are the same numbers."""
    judged = []
    for name in ("i_xt", "i_ty"):
        noise = ERRORS * np.hypot(_error(found, name), _error(exact, name))
        judged.append(_worst(np.abs(found[name].values - exact[name].values), np.maximum(WITHIN, noise)))
    statement = (
        f"the plane read by denoisers of the points is that by Monte Carlo, noise {NOISE:g}, {found['i_xt'].size} layers "
        "and epochs: difference in I(X;T) and in I(T;Y), where it is largest relative to what the drawn noise allows"
    )
    return Claim(
        id="X-bridge.exact",
        role="part",
        statement=statement,
        measured=tuple(apart for apart, _ in judged),
        reference=(0.0, 0.0),
        tolerance=tuple(allowed for _, allowed in judged),
        verdict="reproduced" if all(apart <= allowed for apart, allowed in judged) else "contradicted",
        units="bits",
    )


def _worst(apart: np.ndarray, allowed: np.ndarray) -> tuple[float, float]:
    """The difference that is largest beside what is allowed of it, and that."""
    place = np.nanargmax(apart / allowed)
    return float(apart.flat[place]), float(allowed.flat[place])


def _untrained(found: xr.Dataset, linear: xr.Dataset) -> Claim:
    """A denoiser that is not the best reads more, never less."""
    above = (linear["i_xt"] - found["i_xt"]).values
    holds = bool((above >= -ERRORS * _error(found, "i_xt") - 1e-9).all()) and bool(above.max() > 0)
    return Claim(
        id="X-bridge.exact.linear",
        role="control",
        statement="the best linear denoiser reads no layer lower: least and largest difference in I(X;T)",
        measured=(float(above.min()), float(above.max())),
        verdict="reproduced" if holds else "contradicted",
        units="bits",
    )


def _de_bruijn(spectrum: xr.Dataset) -> Claim:
    """h(t₂) − h(t₁) by densities against ∫ ½J dt by denoising, between neighbouring noise levels, as rates dh/d ln t."""
    ordered = spectrum.sortby("resolution")
    steps = np.diff(np.log(ordered["resolution"].values))
    nats = math.log(2.0)
    # h(t) = I(t) + ½ d ln 2πet either way: the noise's part is the same on both sides
    by_density, by_denoising = (
        -np.diff(ordered[name].values, axis=-1) * nats / steps for name in ("information_by_density", "information")
    )
    errors = _error(ordered, "information"), ordered["information_by_density_error"].values
    both = np.hypot(*errors) * nats
    reach = np.maximum(RATE, ERRORS * np.hypot(both[..., 1:], both[..., :-1]) / steps)
    apart, allowed = _worst(np.abs(by_density - by_denoising), reach)
    statement = (
        "the entropy of a layer and noise grows by half the Fisher information (de Bruijn), in each of "
        f"{by_density.size} steps of noise: difference, where it is largest beside what the drawn noise allows, and the "
        "mean rate, both without the noise's own ½d"
    )
    return Claim(
        id="X-bridge.debruijn",
        role="part",
        statement=statement,
        measured=(apart, float(np.nanmean(by_denoising))),
        reference=(0.0, float(np.nanmean(by_density))),
        tolerance=(allowed, RATE),
        verdict="reproduced" if apart <= allowed else "contradicted",
        units="nats for each factor e of noise",
    )


def _wide_layers(context: Context) -> xr.Dataset:
    """Pairwise and denoisers on layers of 50 equal directions, 500 samples each, and on labels unrelated to them."""
    variance = math.expm1(2 * TRUE * math.log(2.0) / DIRECTIONS)
    scale = SCALES[context.scale]
    readers = {"Pairwise": Pairwise(1.0), "Denoising": Denoising(1.0, scale.denoiser)}
    found: dict[str, list[xr.Dataset]] = {name: [] for name in readers}
    for draw in range(scale.wide):
        rng = generator(context.seed, SAMPLES, draw)
        layer = rng.normal(scale=math.sqrt(variance), size=(SAMPLED, DIRECTIONS))
        labels = rng.integers(0, 2, SAMPLED)
        for name, reader in readers.items():
            found[name].append(reader(layer, labels)[["i_xt", "i_ty"]].drop_attrs().reset_coords(drop=True))
    tables = [xr.concat(each, "slice") for each in found.values()]
    return stamp(xr.concat(tables, xr.Variable("estimator", list(found))), "experiment", seed=context.seed)


def _ceiling(found: xr.Dataset) -> list[Claim]:
    """Denoisers read the 20 bits that 500 samples cannot tell apart."""
    value = found["i_xt"].sel(estimator="Denoising")
    error = float(value.std("slice", ddof=1)) / math.sqrt(value.size) if value.size > 1 else math.nan
    mean, top = float(value.mean()), float(found["i_xt"].sel(estimator="Pairwise").max())
    holds = BETWEEN[0] <= mean <= BETWEEN[1] and top <= math.log2(SAMPLED) + 1e-9
    label = found["i_ty"].sel(estimator="Denoising")
    nothing = float(label.mean())
    statement = (
        f"{DIRECTIONS} equal directions, {SAMPLED} samples, {TRUE:g} bits: bounds between the samples stop at "
        f"log2 {SAMPLED} = {math.log2(SAMPLED):.3g} (Pairwise: at most {top:.3g}), held-out denoisers do not: mean of "
        f"{value.size} draws"
    )
    return [
        Claim(
            id="X-bridge.ceiling",
            role="part",
            statement=statement,
            measured=(mean,),
            interval=((mean - Z * error, mean + Z * error),) if value.size > 1 else None,
            reference=(TRUE,),
            tolerance=(BETWEEN[1] - TRUE,),
            verdict="reproduced" if holds else "contradicted",
            units="bits",
        ),
        Claim(
            id="X-bridge.ceiling.shuffled",
            role="control",
            statement="of labels drawn without regard to the layer denoisers read nothing: mean over the draws",
            measured=(nothing,),
            reference=(0.0,),
            tolerance=(NOTHING,),
            verdict="reproduced" if abs(nothing) <= NOTHING else "contradicted",
            units="bits",
        ),
    ]


def _pairs(scale: Scale, seed: int) -> xr.Dataset:
    """Estimates, in nats, of pairs of known information and of the same with the partners shuffled."""
    readers = {"Denoising": Denoising(0.0, scale.denoiser), "KSG": KSG()}
    truth = [PAIRS[name].nats for name in scale.pairs]
    values = np.full((2, len(readers), len(scale.pairs)), np.nan)
    for place, name in enumerate(scale.pairs):
        x, t = PAIRS[name].sample(scale.samples, seed)
        order = generator(seed, SAMPLES, place).permutation(len(x))
        for k, reader in enumerate(readers.values()):
            values[0, k, place] = float(reader(t, inputs=x, seed=seed)["i_xt"]) * math.log(2.0)
            if k == 0 and place < scale.shuffled:
                values[1, k, place] = float(reader(t, inputs=x[order], seed=seed)["i_xt"]) * math.log(2.0)
    attrs = {"units": "nats", "long_name": "information"}
    dims = ("estimator", "target")
    return stamp(
        xr.Dataset(
            {
                "value": (dims, values[0], attrs),
                "shuffled": (dims, values[1], attrs | {"long_name": "information of shuffled pairs"}),
                "truth": ("target", truth, attrs | {"long_name": "true information"}),
            },
            {"estimator": list(readers), "target": list(scale.pairs)},
        ),
        "experiment",
        seed=seed,
    )


def _benchmark(pairs: xr.Dataset, samples: int) -> list[Claim]:
    """How far from the truth, and whether shuffled pairs read nothing."""
    apart = abs(pairs["value"] - pairs["truth"]).mean("target")
    aim = 0.06 if samples >= 10_000 else 0.10
    shuffled = float(abs(pairs["shuffled"].sel(estimator="Denoising")).max())
    ours = float(apart.sel(estimator="Denoising"))
    return [
        Claim(
            id="X-bridge.benchmark",
            role="reported",
            statement=f"mean distance from the truth of {pairs.sizes['target']} tasks of Czyż et al., {samples:,} samples: "
            "by denoising, and by nearest neighbours (KSG)",
            measured=(ours, float(apart.sel(estimator="KSG"))),
            reference=(0.0, 0.0),
            tolerance=(aim, aim),
            verdict="reproduced" if ours <= aim else "contradicted",
            units="nats",
        ),
        Claim(
            id="X-bridge.benchmark.shuffled",
            role="control",
            statement="with the partners shuffled denoising reads nothing: the largest",
            measured=(shuffled,),
            reference=(0.0,),
            tolerance=(NOTHING,),
            verdict="reproduced" if shuffled <= NOTHING else "contradicted",
            units="nats",
        ),
    ]
