"""A-5: do deeper denoising autoencoders separate classes better, at the same noise in all? Both lenses side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.experiments.claim import Claim
from flowplane.experiments.learned.class_separation import Data, digit_data, measured, moon_data
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import depth_label
from flowplane.experiments.verdicts import Judged, around, exactly, sign, verdict_of_all

__all__ = ["CLAIMED", "both_claim", "control_claims", "depth_claims", "run"]

#: Of bare digits: half of the mean squared distance to the nearest other one, so that even few layers freeze them.
DIGITS_TIME = 0.6
#: Of the moons, whose radius is 1: hardly overlapping, and overlapping.
NOISES = (0.2, 0.4)
KERNEL_DEPTHS: tuple[float, ...] = (1, math.inf)
#: What is claimed to rise with depth.
CLAIMED = {"probe": "linear probe", "neighbours": "k-NN", "fisher": "Fisher ratio", "distances": "W₂ ratio of classes"}
#: Probes of shuffled labels stay this near to chance, the deepest composition of bare points this near to its limit.
CHANCE, LIMIT = 0.05, 0.01
#: A linear map moves no accuracy by more: a few points whose logits are equal but for the solver's tolerance.
UNMOVED = 0.003
#: Bits that an estimate may be off where the truth is known.
BITS = 0.05


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    splits: int
    #: Training and held-out points of the moons.
    sizes: tuple[int, int]
    point_depths: tuple[float, ...]
    moon_depths: tuple[float, ...]
    #: Variances of the kernel around the digits.
    bandwidths: tuple[float, ...] = (0.4,)
    #: Of t* (of half the kernel's variance), up to which densities are denoised.
    part: float = 0.9


SCALES = {
    "quick": Scale(splits=4, sizes=(500, 1000), point_depths=(1, 2, 4, 16, math.inf), moon_depths=(1, 4, math.inf)),
    "full": Scale(
        splits=12,
        sizes=(1000, 2000),
        point_depths=(1, 2, 4, 8, 16, 32, math.inf),
        moon_depths=(1, 2, 4, 8, 16, math.inf),
        bandwidths=(0.2, 0.4),
    ),
    "tiny": Scale(splits=2, sizes=(60, 100), point_depths=(1, 2, math.inf), moon_depths=(1, math.inf), part=0.3),
}


def run(context: Context) -> Result:
    """Probes, neighbours, distances of classes and I(T;Y) of digits and two moons against depth."""
    scale, seed = SCALES[context.scale], context.seed
    sets = {"digits": digit_data(DIGITS_TIME, None, scale.point_depths, scale.splits, seed)}
    for bandwidth in scale.bandwidths:
        time = scale.part * bandwidth / 2
        sets[f"digits-kernel-{bandwidth:g}"] = digit_data(time, bandwidth, KERNEL_DEPTHS, scale.splits, seed)
    for noise, name in zip(NOISES, ("moons", "moons-overlapping"), strict=True):
        sets[name] = moon_data(noise, scale.part, scale.moon_depths, scale.splits, scale.sizes, seed)
    found = measured(list(sets.values()), seed)
    found.attrs["subtitle"] = (
        "dotted: the raw data, t = 0 · dashed: I(X;Y) of the density · I(T;Y): classifier's lower bound for digits, KSG for "
        "moons · hollow: flagged · ∞ of bare points: the nearest training point"
    )
    claims = [claim for name, data in sets.items() for claim in depth_claims(name, found.sel(data=data.name))]
    return Result(
        datasets={"deep-features": found},
        figures={
            "deep-features": plot.separation_curves(found.sel(map="flow"), "Classes by depth, at equal noise in all"),
            "moons-by-depth": plot.class_particles(_particles(sets["moons-overlapping"]), "Overlapping moons by depth"),
            "sharp-moons-by-depth": plot.class_particles(_particles(sets["moons"]), "Two moons by depth"),
        },
        claims=[both_claim(claims), *claims, *control_claims(found, sets["digits"].name)],
    )


def _particles(data: Data) -> xr.Dataset:
    """The held-out points of the first split at each depth."""
    split = data.splits[0]
    panels = {"raw": split.test} | {depth_label(depth): data.features(split, depth)[1] for depth in data.depths}
    return xr.Dataset(
        {"position": (("panel", "sample", "feature"), np.stack(list(panels.values())))},
        {"panel": list(panels), "label": ("sample", split.test_labels)},
        {"subtitle": f"{data.name} · the same held-out points in every panel"},
    )


def depth_claims(name: str, found: xr.Dataset) -> list[Claim]:
    """On one data set: the deepest flow against the shallow one and the raw data, each measure at each depth, I(T;Y).

    Arguments:
        name: of the claims, after "A-5.".
        found: one data set, over (map, split, depth).
    """
    part = found.sel(map="flow")
    deeper = [depth for depth in _depths(part) if depth != 1]
    # the limit of bare points is no longer a flow
    actual = [depth for depth in deeper if np.isfinite(depth)] if _frozen_in(found) else deeper
    gains = np.concatenate([_differences(part, quantity, actual[-1:]) for quantity in CLAIMED], 1)
    about = f"{', '.join(CLAIMED.values())} of held-out points, {_label(actual[-1])} less L = 1; {found['data'].values!s}"
    claims = [
        Claim(
            id=f"A-5.{name}",
            role="part",
            statement=f"deeper separates classes better: {about}; {len(gains)} {found['drawn'].values!s}",
            **sign(gains),
            units="1",
        )
    ]
    for quantity, text in CLAIMED.items():
        judged = sign(_differences(part, quantity, deeper))
        best = int(np.argmax([0.0, *judged["measured"]]))
        where = _label(([1.0, *deeper])[best])
        statement = f"{text} less that at L = 1, L = {_listed(deeper)}; largest at {where}"
        claims.append(Claim(id=f"A-5.{name}-{quantity}", role="reported", statement=statement, **judged, units="1"))
    gains = np.concatenate([_differences(part, quantity, actual[-1:], 0.0) for quantity in CLAIMED], 1)
    statement = f"better than the raw data: {', '.join(CLAIMED.values())}, {_label(actual[-1])} less t = 0"
    claims.append(Claim(id=f"A-5.{name}-raw", role="reported", statement=statement, **sign(gains), units="1"))
    return [*claims, _information(name, part, [1.0, *deeper])]


def _information(name: str, part: xr.Dataset, depths: list[float]) -> Claim:
    """I(T;Y) against the truth, which no map that can be undone changes; where that is not known, what a classifier finds
    of it: it may find more where there is no more."""
    truth = float(part["truth"])
    values = part["information"].transpose("split", "depth")
    flags = part["information_valid"].sel(depth=depths) == 0
    judged: Judged
    if np.isfinite(truth):
        judged = around((values.sel(depth=depths) - truth).values, 0.0, BITS)
        text = f"no depth changes I(T;Y): KSG less I(X;Y) = {truth:.3f} bits, for L = {_listed(depths)}"
    else:
        judged = sign(_differences(part, "information", depths[1:]))
        text = (
            "a classifier finds more of I(T;Y), which no map raises, in deeper features: its lower bound less that at "
            f"L = 1, for L = {_listed(depths[1:])}"
        )
    count = int(flags.sum())
    if count:
        judged["verdict"] = "inconclusive"
    notes = f"{count} of {flags.size} estimates flagged" if count else "no estimate flagged"
    return Claim(id=f"A-5.{name}-information", role="reported", statement=f"{text}; {notes}", **judged, units="bits")


def both_claim(claims: list[Claim]) -> Claim:
    """A-5 itself: every measure, on digits and on two moons."""
    parts = [next(claim for claim in claims if claim.id == name) for name in ("A-5.digits", "A-5.moons")]
    measures = ", ".join(CLAIMED.values())
    statement = f"deeper autoencoders separate classes better, deepest less L = 1: {measures}; first digits, then two moons"
    return Claim(
        id="A-5",
        role="headline",
        statement=statement,
        measured=tuple(value for part in parts for value in part.measured),
        interval=tuple(pair for part in parts for pair in part.interval or ()),
        verdict=verdict_of_all([part.verdict for part in parts]),
        units="1",
    )


def control_claims(found: xr.Dataset, bare: str) -> list[Claim]:
    """A linear map changes no measure; shuffled labels leave chance; bare points freeze.

    Arguments:
        found: over (data, map, split, depth).
        bare: the data set of bare points, whose depth ∞ is the rule of the nearest training point.
    """
    raw, shrunk = found.sel(map="flow", depth=0.0), found.sel(map="shrunk", depth=found["depth"] > 0)
    apart = tuple(float(np.abs(shrunk[quantity] - raw[quantity]).max()) for quantity in CLAIMED)
    shuffled = found["probe"].sel(map="shuffled", depth=found["depth"] > 0).mean("depth") - found["chance"]
    return [
        Claim(
            id="A-5.shrunk",
            role="control",
            statement=f"shrunk to the variance of each depth, {', '.join(CLAIMED.values())} stay those of the raw data",
            **exactly(apart, (0.0,) * len(apart), UNMOVED),
            units="1",
        ),
        Claim(
            id="A-5.shuffled",
            role="control",
            statement="with permuted labels a linear probe is at chance: the mean over depths minus chance; "
            + "; ".join(map(str, found["data"].values)),
            **around(shuffled.transpose("split", "data").values, 0.0, CHANCE),
            units="1",
        ),
        _frozen(found.sel(data=bare, map="flow")),
    ]


def _frozen(part: xr.Dataset) -> Claim:
    """Deep compositions over bare points stop moving them and take each new point to its nearest training point."""
    last = max(depth for depth in _depths(part) if np.isfinite(depth))
    gaps = [(part[name].sel(depth=last) - part[name].sel(depth=np.inf)).values for name in ("probe", "neighbours")]
    rest = (part["moved"].sel(depth=last) / part["moved"].sel(depth=1.0)).values
    statement = (
        f"bare points freeze: probe and k-NN at L = {last:g} less those where every held-out point lies "
        "on its nearest training point; E|g(x) − x|² of training points over that at L = 1"
    )
    judged = around(np.stack([*gaps, rest], 1), 0.0, LIMIT)
    return Claim(id="A-5.frozen", role="control", statement=statement, **judged, units="1")


def _depths(part: xr.Dataset) -> list[float]:
    """Those that a data set has, without the raw data."""
    known = np.isfinite(part["probe"].transpose("depth", ...).values.reshape(part.sizes["depth"], -1)).any(1)
    return [float(depth) for depth, there in zip(part["depth"].values, known, strict=True) if there and depth > 0]


def _frozen_in(found: xr.Dataset) -> bool:
    """Whether the depth ∞ is that of bare points."""
    return bool(found["bare"])


def _differences(part: xr.Dataset, quantity: str, depths: list[float], base: float = 1.0) -> np.ndarray:
    """What each depth has more than another one on the same split, (split, depth)."""
    values = part[quantity].transpose("split", "depth")
    return (values.sel(depth=depths) - values.sel(depth=base)).values


def _label(depth: float) -> str:
    return depth_label(depth)


def _listed(depths: list[float]) -> str:
    return ", ".join("∞" if np.isinf(depth) else f"{depth:g}" for depth in depths)
