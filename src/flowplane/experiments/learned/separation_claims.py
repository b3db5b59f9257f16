"""Claims on features by depth (A-5), from what `separating.measured` found."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.experiments.claim import Claim, mean_interval, near, sign, with_ends
from flowplane.experiments.dynamics.optimizers import verdict_of_all
from flowplane.experiments.transport.flows import depth_label

__all__ = ["CLAIMED", "both_claim", "control_claims", "depth_claims"]

#: What is claimed to rise with depth.
CLAIMED = {"probe": "linear probe", "neighbours": "k-NN", "fisher": "Fisher ratio", "distances": "W₂ ratio of classes"}
#: Probes of shuffled labels stay this near to chance, the deepest composition of bare points this near to its limit.
CHANCE, LIMIT = 0.05, 0.01
#: A linear map moves no accuracy by more: a few points whose logits are equal but for the solver's tolerance.
UNMOVED = 0.003
#: Bits that an estimate may be off where the truth is known.
BITS = 0.05


def depth_claims(name: str, found: xr.Dataset, scale: str) -> list[Claim]:
    """On one data set: the deepest flow against the shallow one and the raw data, each measure at each depth, I(T;Y).

    Arguments:
        name: of the claims, after "A-5.".
        found: one data set, over (map, split, depth).
    """
    part = found.sel(map="flow")
    deeper = [depth for depth in _depths(part) if depth != 1]
    # the limit of bare points is no flow any more
    actual = [depth for depth in deeper if np.isfinite(depth)] if _frozen_in(found) else deeper
    gains = np.concatenate([_differences(part, quantity, actual[-1:]) for quantity in CLAIMED], 1)
    values, intervals, verdict = sign(gains)
    about = f"{', '.join(CLAIMED.values())} of held-out points, {_label(actual[-1])} less L = 1; {found['data'].values!s}"
    claims = [
        Claim(
            f"A-5.{name}",
            f"deeper separates classes better: {about}; {len(gains)} {found['drawn'].values!s}",
            values,
            intervals,
            None,
            None,
            verdict,
            scale,
            0.0,
            "1",
        )
    ]
    for quantity, text in CLAIMED.items():
        values, intervals, verdict = sign(_differences(part, quantity, deeper))
        best = int(np.argmax([0.0, *values]))
        where = _label(([1.0, *deeper])[best])
        statement = f"reported: {text} less that at L = 1, L = {_listed(deeper)}; largest at {where}"
        claims.append(Claim(f"A-5.{name}-{quantity}", statement, values, intervals, None, None, verdict, scale, 0.0, "1"))
    gains = np.concatenate([_differences(part, quantity, actual[-1:], 0.0) for quantity in CLAIMED], 1)
    values, intervals, verdict = sign(gains)
    statement = f"reported: better than the raw data: {', '.join(CLAIMED.values())}, {_label(actual[-1])} less t = 0"
    claims.append(Claim(f"A-5.{name}-raw", statement, values, intervals, None, None, verdict, scale, 0.0, "1"))
    return [*claims, _information(name, part, [1.0, *deeper], scale)]


def _information(name: str, part: xr.Dataset, depths: list[float], scale: str) -> Claim:
    """I(T;Y) against the truth, which no map that can be undone changes; where that is not known, what a classifier finds
    of it: it may find more where there is no more."""
    truth = float(part["truth"])
    values = part["information"].transpose("split", "depth")
    flags = part["information_valid"].sel(depth=depths) == 0
    reference: tuple[float, ...] | None = None
    tolerance: tuple[float, ...] | None = None
    if np.isfinite(truth):
        mean, interval, _ = mean_interval((values.sel(depth=depths) - truth).values)
        numbers, ends = with_ends(mean, interval[:, 0], interval[:, 1])
        reference, tolerance = (0.0,) * len(numbers), (BITS,) * len(numbers)
        verdict = near(interval[:, 0], interval[:, 1], 0.0, BITS)
        text = f"no depth changes I(T;Y): KSG less I(X;Y) = {truth:.3f} bits, for L = {_listed(depths)}"
    else:
        numbers, ends, verdict = sign(_differences(part, "information", depths[1:]))
        text = (
            "a classifier finds more of I(T;Y), which no map raises, in deeper features: its lower bound less that at "
            f"L = 1, for L = {_listed(depths[1:])}"
        )
    count = int(flags.sum())
    if count:
        verdict = "inconclusive"
    notes = f"{count} of {flags.size} estimates flagged" if count else "no estimate flagged"
    return Claim(
        f"A-5.{name}-information",
        f"reported: {text}; {notes}",
        numbers,
        ends,
        reference,
        tolerance,
        verdict,
        scale,
        0.0,
        "bits",
    )


def both_claim(claims: list[Claim], scale: str) -> Claim:
    """A-5 itself: every measure, on digits and on two moons."""
    parts = [next(claim for claim in claims if claim.id == name) for name in ("A-5.digits", "A-5.moons")]
    measures = ", ".join(CLAIMED.values())
    statement = f"deeper autoencoders separate classes better, deepest less L = 1: {measures}; first digits, then two moons"
    values = tuple(value for part in parts for value in part.measured)
    intervals = tuple(pair for part in parts for pair in part.interval or ())
    verdict = verdict_of_all([part.verdict for part in parts])
    return Claim("A-5", statement, values, intervals, None, None, verdict, scale, 0.0, "1")


def control_claims(found: xr.Dataset, bare: str, scale: str) -> list[Claim]:
    """A linear map changes no measure; shuffled labels leave chance; bare points freeze.

    Arguments:
        found: over (data, map, split, depth).
        bare: the data set of bare points, whose depth ∞ is the rule of the nearest training point.
    """
    raw, shrunk = found.sel(map="flow", depth=0.0), found.sel(map="shrunk", depth=found["depth"] > 0)
    apart = tuple(float(np.abs(shrunk[quantity] - raw[quantity]).max()) for quantity in CLAIMED)
    statement = f"control: shrunk to the variance of each depth, {', '.join(CLAIMED.values())} stay those of the raw data"
    claims = [
        Claim(
            "A-5.shrunk",
            statement,
            apart,
            None,
            (0.0,) * len(apart),
            (UNMOVED,) * len(apart),
            "reproduced" if max(apart) <= UNMOVED else "contradicted",
            scale,
            0.0,
            "1",
        )
    ]
    shuffled = found["probe"].sel(map="shuffled", depth=found["depth"] > 0).mean("depth") - found["chance"]
    mean, interval, _ = mean_interval(shuffled.transpose("split", "data").values)
    numbers, ends = with_ends(mean, interval[:, 0], interval[:, 1])
    statement = "control: with labels dealt out anew a linear probe is at chance: the mean over depths less chance"
    claims.append(
        Claim(
            "A-5.shuffled",
            f"{statement}; {'; '.join(map(str, found['data'].values))}",
            numbers,
            ends,
            (0.0,) * len(numbers),
            (CHANCE,) * len(numbers),
            near(interval[:, 0], interval[:, 1], 0.0, CHANCE),
            scale,
            0.0,
            "1",
        )
    )
    return [*claims, _frozen(found.sel(data=bare, map="flow"), scale)]


def _frozen(part: xr.Dataset, scale: str) -> Claim:
    """Deep compositions over bare points stop moving them and take each new point to its nearest training point."""
    last = max(depth for depth in _depths(part) if np.isfinite(depth))
    gaps = [(part[name].sel(depth=last) - part[name].sel(depth=np.inf)).values for name in ("probe", "neighbours")]
    rest = (part["moved"].sel(depth=last) / part["moved"].sel(depth=1.0)).values
    mean, interval, _ = mean_interval(np.stack([*gaps, rest], 1))
    numbers, ends = with_ends(mean, interval[:, 0], interval[:, 1])
    statement = (
        f"control: bare points freeze: probe and k-NN at L = {last:g} less those where every held-out point lies "
        "on its nearest training point; E|g(x) − x|² of training points over that at L = 1"
    )
    return Claim(
        "A-5.frozen",
        statement,
        numbers,
        ends,
        (0.0,) * 3,
        (LIMIT,) * 3,
        near(interval[:, 0], interval[:, 1], 0.0, LIMIT),
        scale,
        0.0,
        "1",
    )


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
