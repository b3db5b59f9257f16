"""A-5: do deeper denoising autoencoders separate classes better, at the same noise in all? Both lenses side by side."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from flowplane.experiments.learned.separating import Data, digit_data, measured, moon_data
from flowplane.experiments.learned.separation_claims import both_claim, control_claims, depth_claims
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import depth_label
from flowplane.plot import class_particles, separation_curves

__all__ = ["run"]

#: Of bare digits: half of the mean squared distance to the nearest other one, so that even few layers freeze them.
DIGITS_TIME = 0.6
#: Variances of the kernel around the digits, and the part of t*, half of it, up to which they are denoised.
BANDWIDTHS = {"quick": (0.4,), "full": (0.2, 0.4)}
#: Of the moons, whose radius is 1: hardly overlapping, and overlapping.
NOISES = (0.2, 0.4)
PART = 0.9
POINT_DEPTHS: dict[str, tuple[float, ...]] = {"quick": (1, 2, 4, 16, math.inf), "full": (1, 2, 4, 8, 16, 32, math.inf)}
KERNEL_DEPTHS: tuple[float, ...] = (1, math.inf)
MOON_DEPTHS: dict[str, tuple[float, ...]] = {"quick": (1, 4, math.inf), "full": (1, 2, 4, 8, 16, math.inf)}
SPLITS = {"quick": 4, "full": 12}
SIZES = {"quick": (500, 1000), "full": (1000, 2000)}


def run(context: Context) -> Result:
    """Probes, neighbours, distances of classes and I(T;Y) of digits and two moons against depth."""
    scale, seed, splits = context.scale, context.seed, SPLITS[context.scale]
    sets = {"digits": digit_data(DIGITS_TIME, None, POINT_DEPTHS[scale], splits, seed)}
    for bandwidth in BANDWIDTHS[scale]:
        time = PART * bandwidth / 2
        sets[f"digits-kernel-{bandwidth:g}"] = digit_data(time, bandwidth, KERNEL_DEPTHS, splits, seed)
    for noise, name in zip(NOISES, ("moons", "moons-overlapping"), strict=True):
        sets[name] = moon_data(noise, PART, MOON_DEPTHS[scale], splits, SIZES[scale], seed)
    found = measured(list(sets.values()), seed)
    found.attrs["subtitle"] = (
        "dotted: the raw data, t = 0 · dashed: I(X;Y) of the density · I(T;Y): classifier's lower bound for digits, KSG for "
        "moons · hollow: flagged · ∞ of bare points: the nearest training point"
    )
    claims = [claim for name, data in sets.items() for claim in depth_claims(name, found.sel(data=data.name), scale)]
    return Result(
        datasets={"deep-features": found},
        figures={
            "deep-features": separation_curves(found.sel(map="flow"), "Classes by depth, at equal noise in all"),
            "moons-by-depth": class_particles(_particles(sets["moons-overlapping"]), "Overlapping moons by depth"),
            "sharp-moons-by-depth": class_particles(_particles(sets["moons"]), "Two moons by depth"),
        },
        claims=[both_claim(claims, scale), *claims, *control_claims(found, sets["digits"].name, scale)],
    )


def _particles(data: Data) -> xr.DataArray:
    """The held-out points of the first split at each depth."""
    split = data.splits[0]
    panels = {"raw": split.test} | {depth_label(depth): data.features(split, depth)[1] for depth in data.depths}
    return xr.DataArray(
        np.stack(list(panels.values())),
        {"panel": list(panels), "label": ("sample", split.test_labels)},
        ("panel", "sample", "coordinate"),
        attrs={"subtitle": f"{data.name} · the same held-out points in every panel"},
    )
