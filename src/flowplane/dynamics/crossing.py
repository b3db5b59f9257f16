"""When the gradients of a layer pass from drift to diffusion (§B5)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flowplane.core.points import check_count, check_seed
from flowplane.core.results import CONFIDENCE
from flowplane.dynamics.arguments import as_array, as_epochs
from flowplane.errors import InputError, Text

__all__ = ["CROSSED", "NEVER", "START", "STATES", "UNDEFINED", "Crossing", "median_crossing", "phase_crossing"]

CROSSED, START, NEVER, UNDEFINED = STATES = ("crossed", "diffusion from the start", "never", "undefined")
#: A ratio further from 1 than this counts as this, so that one of 0 or infinity has a logarithm.
FURTHEST = 1e3


class Crossing(NamedTuple):
    """Where a curve passes from drift to diffusion.

    `epoch`: NaN unless it crossed. `state`: one of `STATES`. `misplaced`: share of the log epochs at which the ratio
    contradicts their side of the crossing, 0 for a curve that crosses once. `lower` and `upper`: a 95 % interval, NaN where
    there is none or where its end is beyond the epochs.
    """

    epoch: np.ndarray
    state: np.ndarray
    misplaced: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def phase_crossing(ratio: Any, epochs: Any) -> Crossing:
    """The epoch at which the gradients' signal-to-noise ratio ‖E g‖/√(tr Cov g) falls for good from drift, above 1, to
    diffusion (§B5).

    A change point in log epoch: log ratio is taken as piecewise linear in log epoch, and of all the places where that falls
    through 0, and of the two ends, the one is chosen that leaves the least log epoch on the wrong side, drift after it or
    diffusion before it. So a curve that crosses once is read exactly, and short excursions of a noisy one do not count.

    Arguments:
        ratio: (…, epoch, layer), 0 or more; NaN is bridged, or stands for an undefined curve where fewer than two are left.
        epochs: (epoch,), increasing; epoch 0 has no logarithm and is left out.

    Returns:
        A `Crossing` of arrays (…, layer), without an interval. State "diffusion from the start": the crossing is before the
        first epoch or there was none (censored on the left); "never": it is after the last one (on the right); "undefined":
        no ratio, as with one batch per epoch.

    Raises:
        InputError: no numbers, a ratio below 0, other shapes, epochs that do not increase.

    Example:
        >>> found = phase_crossing([[4.0, 0.5], [2.0, 0.5], [0.5, 0.5]], [1, 10, 1000])
        >>> found.epoch.round(6).tolist(), found.state.tolist()
        ([100.0, nan], ['crossed', 'diffusion from the start'])
    """
    logs, times = _log_curves(ratio, epochs)
    place, code, misplaced = _change_points(logs, times)
    nothing = np.full(place.shape, np.nan)
    return Crossing(_epoch(place), np.array(STATES)[code], misplaced, nothing, nothing)


def median_crossing(ratio: Any, epochs: Any, *, draws: int = 1000, seed: int = 0) -> Crossing:
    """The crossing of the replicas' median curve, with a 95 % bootstrap interval over replicas (§B5).

    The interval is of percentiles: replicas are drawn anew with replacement, the crossing of their median log ratio is read
    each time. Draws that are censored count as before the first or after the last epoch; where an end of the interval falls
    among them it is NaN, unknown beyond that side.

    Arguments:
        ratio: (…, replica, epoch, layer), as for `phase_crossing`; undefined replicas are left out.
        epochs: (epoch,).
        draws: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A `Crossing` of arrays (…, layer); no interval for fewer than two replicas.

    Raises:
        InputError: what `phase_crossing` refuses, an invalid count or seed.

    Example:
        >>> curves = np.array([[3.0, 0.3], [4.0, 0.4], [2.0, 0.2]])[:, :, None]
        >>> found = median_crossing(curves, [1, 100])
        >>> bool(found.lower[0] <= found.epoch[0] <= found.upper[0]), found.state.tolist()
        (True, ['crossed'])
    """
    as_array("ratio", ratio, ("replica", "epoch", "layer"), gaps=True)
    logs, times = _log_curves(ratio, epochs)
    logs = np.moveaxis(logs, -3, -2)  # (…, layer, replica, epoch)
    rng = np.random.default_rng(check_seed(seed))
    draws = check_count("draws", draws)
    batch = logs.shape[:-2]
    found = [_bootstrapped(curves, times, draws, rng) for curves in logs.reshape(-1, *logs.shape[-2:])]
    parts = [np.array(part).reshape(batch) for part in zip(*found, strict=True)]
    return Crossing(_epoch(parts[0]), np.array(STATES)[parts[1]], parts[2], _epoch(parts[3]), _epoch(parts[4]))


def _bootstrapped(
    curves: Float[np.ndarray, "replica epoch"], times: np.ndarray, draws: int, rng: np.random.Generator
) -> tuple[float, int, float, float, float]:
    """Place, state, misplaced share and the interval of the place, in log epoch."""
    curves = curves[np.isfinite(curves).all(1)]
    if len(curves) == 0:
        return np.nan, STATES.index(UNDEFINED), np.nan, np.nan, np.nan
    place, code, misplaced = (part.item() for part in _change_points(np.median(curves, axis=0)[None], times))
    if len(curves) < 2:
        return place, code, misplaced, np.nan, np.nan
    chosen = rng.integers(len(curves), size=(draws, len(curves)))
    places = np.sort(_change_points(np.median(curves[chosen], axis=1), times)[0])
    tail = (1 - CONFIDENCE) / 2 * (draws - 1)
    return place, code, misplaced, places[int(np.floor(tail))], places[draws - 1 - int(np.floor(tail))]


def _log_curves(ratio: Any, epochs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Log ratio (…, layer, epoch) without gaps, all NaN where it is undefined, and log epoch."""
    array = as_array("ratio", ratio, ("epoch", "layer"), gaps=True)
    if (array < 0).any():
        raise InputError("ratio", Text(f"{array[array < 0][0]:g}"), "‖E g‖/√(tr Cov g): 0 or more")
    given = as_epochs(epochs, array.shape[-2])
    if (given > 0).sum() < 2:
        raise InputError("epochs", Text(f"{given.tolist()}"), "two epochs or more after epoch 0")
    times = np.log(given[given > 0])
    curves = np.log(array[..., given > 0, :].clip(1 / FURTHEST, FURTHEST)).swapaxes(-1, -2)
    known = np.isfinite(curves)
    for index in zip(*np.nonzero(~known.all(-1)), strict=True):
        here = known[index]
        curves[index] = np.interp(times, times[here], curves[index][here]) if here.sum() > 1 else np.nan
    return curves, times


def _change_points(
    logs: Float[np.ndarray, "*batch epoch"], times: Float[np.ndarray, " epoch"]
) -> tuple[Float[np.ndarray, "*batch"], Int[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Log epoch of the best split, −∞ or ∞ where it is censored; the state's number; the misplaced share."""
    before, after = logs[..., :-1], logs[..., 1:]
    length = np.diff(times)
    size = np.abs(before) + np.abs(after)
    share = np.divide(before.clip(0) + after.clip(0), size, out=np.zeros_like(size), where=size > 0)
    drift = share * length
    diffusion = length - drift
    wrong_before = np.cumsum(diffusion, -1) - diffusion
    wrong_after = np.cumsum(drift[..., ::-1], -1)[..., ::-1] - drift
    inside = np.where((before > 0) & (after <= 0), wrong_before + wrong_after, np.inf)
    cost = np.concatenate([inside, drift.sum(-1, keepdims=True), diffusion.sum(-1, keepdims=True)], -1)
    undefined = np.isnan(logs).any(-1)
    best = np.where(undefined[..., None], np.inf, cost).argmin(-1)
    ends = np.broadcast_to([-np.inf, np.inf], (*drift.shape[:-1], 2))
    places = np.concatenate([times[:-1] + drift, ends], -1)
    code = np.where(undefined, 3, (best - inside.shape[-1] + 1).clip(0))
    place = np.take_along_axis(places, best[..., None], -1)[..., 0]
    least = np.take_along_axis(cost, best[..., None], -1)[..., 0]
    misplaced = np.where(undefined, np.nan, least / length.sum())
    return np.where(undefined, np.nan, place), code, misplaced


def _epoch(place: np.ndarray) -> np.ndarray:
    return np.exp(np.where(np.isfinite(place), place, np.nan))
