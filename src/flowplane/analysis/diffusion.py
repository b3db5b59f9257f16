"""How the weights of a recording's layers move once their gradients are mostly noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from flowplane.analysis.phases import gradient_phases
from flowplane.core.points import check_count, check_seed
from flowplane.core.progress import progress_bar
from flowplane.core.results import CONFIDENCE, interval, stamp
from flowplane.dynamics.arguments import Window
from flowplane.dynamics.comparison import WienerComparison, against_wiener
from flowplane.dynamics.crossing import CROSSED, START
from flowplane.dynamics.diffusion import (
    Spectrum,
    diffusion_exponent,
    in_window,
    mean_squared_displacement,
    update_spectrum,
    velocity_autocorrelation,
)
from flowplane.errors import InputError, Text
from flowplane.recording import Recording, computed_once, require_recording

__all__ = ["weight_diffusion"]

#: Snapshots after the origin that an exponent needs.
FEWEST = 3
_WEIGHT = "squared units of weight"


@computed_once
def weight_diffusion(
    rec: Recording, since: int | None = None, *, window: Window = None, draws: int = 500, seed: int = 0
) -> xr.Dataset:
    """How far each layer's weights move from where they were when diffusion began, beside a Wiener process (§B7, B-7).

    The exponent of ‖w(τ + t) − w(τ)‖² ∝ t^α is 1 for a Wiener process, 2 for a steady drift, 0 for weights that are held.
    The Wiener process that it is compared with has the measured covariance of the updates and is read at the same epochs.
    A steady diffusion is assumed: for updates that shrink or grow as training goes on, the exponent differs even where
    they are independent.

    Arguments:
        rec: from `fp.train`, with weights kept, and gradients if `since` is None.
        since: the epoch τ to count from, or the first recorded one after it. None: for each layer the median crossing of
            `fp.gradient_phases`; the first epoch after the initialisation where diffusion is there from the start; where
            there is no crossing the cube root of the last epoch, a third of the way in log epoch.
        window: the least and the greatest lag to fit, in epochs; None for all.
        draws: simulated ensembles.
        seed: of them, and of the bootstrap of the crossing.

    Returns:
        Dataset, intervals of 95 %. `msd` (replica, lag_epoch, layer), NaN at lags of other layers only; `wiener_msd` (bound,
        lag_epoch, layer), its replicas' mean under the Wiener process, 2.5 %, 50 % and 97.5 % points. `exponent`
        (replica, layer). Over (layer): `origin` in epochs and the `snapshots` after it; `exponent_mean`, with
        `exponent_lower`, `exponent_upper` by Student's t over replicas; `exponent_pooled`, of the replicas' mean
        displacement; `wiener_lower`, `wiener_upper`, where 95 % of the mean exponents lie under the Wiener process, and
        `wiener_p_value` of the measured mean, two-sided; `autocorrelation` of successive increments, their mean with
        `autocorrelation_lower`, `autocorrelation_upper`. `spectrum` (layer, component), eigenvalues of the updates'
        covariance over their sum, mean of the replicas; `participation` and `participation_corrected` (replica, layer).
        A layer with fewer than three snapshots after its own crossing is NaN. Attributes: `since`, and the layers for which
        the cube root stood in, `fallback`.

    Raises:
        InputError: not a Recording, one without weights or gradients, fewer than three snapshots after the origin (after
            all of them if since is None), or in the window, or an invalid count or seed.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=8, snapshots=9)
        >>> found = fp.weight_diffusion(rec, since=2, draws=50)
        >>> dict(found.msd.sizes), found.exponent.dims
        ({'replica': 2, 'lag_epoch': 6, 'layer': 2}, ('replica', 'layer'))
    """
    rec = require_recording(rec)
    draws, seed = check_count("draws", draws), check_seed(seed)
    weights = rec.weights.sortby("epoch").transpose("replica", "epoch", "parameter")
    epochs = weights["epoch"].values
    wanted, fallback = _wanted(rec, since, epochs, seed)
    places = np.searchsorted(epochs, wanted)
    after = len(epochs) - 1 - places
    if (after < FEWEST).all() or (since is not None and (after < FEWEST).any()):
        few = Text(f"{max(int(after.max()), 0)} snapshots after epoch {wanted.min():g}")
        raise InputError("since", few, f"an epoch with {FEWEST} snapshots or more after it")
    starts, index = rec.network.starts, [rec.network.index(layer) for layer in rec.layers]
    parts: list[_Layer | None] = []
    with progress_bar("diffusion", len(index)) as advance:
        for k, place in zip(index, places, strict=True):
            layer = weights.isel(parameter=slice(starts[k], starts[k + 1])).values
            enough = len(epochs) - 1 - place >= FEWEST
            parts.append(_layer(layer, epochs, float(epochs[place]), window, draws, seed + k) if enough else None)
            advance(1)
    origin = np.where(after >= 0, epochs[places.clip(max=len(epochs) - 1)], np.nan)
    found = _dataset(parts, len(weights))
    found["origin"] = ("layer", origin, {"units": "epochs"})
    found["snapshots"] = ("layer", after.clip(0), {"units": "1"})
    found.attrs |= {
        "since": "the median crossing of each layer" if since is None else f"epoch {since}",
        "fallback": fallback,
        "confidence": CONFIDENCE,
        "draws": draws,
        "window": "all lags" if window is None else f"{window[0]:g} to {window[1]:g} epochs",
    }
    found = found.assign_coords(replica=weights["replica"].values, **rec.layer_coordinates())
    return stamp(found, "weight_diffusion", seed=seed, **rec.identity)


class _Layer(NamedTuple):
    """What was found of one layer."""

    lags: np.ndarray
    msd: np.ndarray
    pooled: float
    wiener: WienerComparison
    spectrum: Spectrum
    autocorrelation: np.ndarray


def _wanted(rec: Recording, since: Any, epochs: np.ndarray, seed: int) -> tuple[np.ndarray, list[str]]:
    """The epoch to count from for each layer, and the layers for which it is a stand-in."""
    if since is not None:
        return np.full(len(rec.layers), float(check_count("since", since, 0))), []
    if "gradients" not in rec.attrs["keep"]:
        raise InputError("rec", Text("a recording without gradients"), "gradients, or since=, an epoch to count from")
    phases = gradient_phases(rec, seed=seed)
    state, crossing = phases["median_state"].values, phases["crossing_median"].values
    known = (state == CROSSED) | (state == START)
    first = float(epochs[epochs > 0][0])
    wanted = np.where(state == START, first, np.where(known, crossing, np.cbrt(float(epochs[-1]))))
    return wanted, [layer for layer, sure in zip(rec.layers, known, strict=True) if not sure]


def _layer(weights: np.ndarray, epochs: np.ndarray, origin: float, window: Window, draws: int, seed: int) -> _Layer:
    lags, msd = mean_squared_displacement(weights, epochs, origin)
    in_window(lags, window)
    return _Layer(
        lags,
        msd,
        float(diffusion_exponent(msd.mean(0), lags, window)),
        against_wiener(weights, epochs, origin, window=window, draws=draws, seed=seed),
        update_spectrum(weights, epochs, origin),
        velocity_autocorrelation(weights, epochs, origin),
    )


def _dataset(parts: list[_Layer | None], replicas: int) -> xr.Dataset:
    known = [(k, part) for k, part in enumerate(parts) if part is not None]
    lags = np.unique(np.concatenate([part.lags for _, part in known]))
    components = max(part.spectrum.eigenvalues.shape[1] for _, part in known)
    msd = np.full((replicas, len(lags), len(parts)), np.nan)
    band = np.full((3, len(lags), len(parts)), np.nan)
    spectrum = np.full((len(parts), components), np.nan)
    exponent, participation, corrected, autocorrelation = np.full((4, replicas, len(parts)), np.nan)
    pooled, low, high, p_value = np.full((4, len(parts)), np.nan)
    for k, part in known:
        rows = np.searchsorted(lags, part.lags)
        msd[:, rows, k], band[:, rows, k] = part.msd, part.wiener.displacement.T
        exponent[:, k], pooled[k], autocorrelation[:, k] = part.wiener.exponent, part.pooled, part.autocorrelation
        low[k], high[k], p_value[k] = part.wiener.lower, part.wiener.upper, part.wiener.p_value
        participation[:, k], corrected[:, k] = part.spectrum.participation, part.spectrum.participation_corrected
        eigenvalues = part.spectrum.eigenvalues
        total = eigenvalues.sum(1, keepdims=True)
        share = np.divide(eigenvalues, total, out=np.full_like(eigenvalues, np.nan), where=total > 0)
        spectrum[k, : eigenvalues.shape[1]] = interval(share)[0]
    one, by_replica = {"units": "1"}, ("replica", "layer")
    variables: dict[str, Any] = {
        "msd": (("replica", "lag_epoch", "layer"), msd, {"units": _WEIGHT}),
        "wiener_msd": (("bound", "lag_epoch", "layer"), band, {"units": _WEIGHT}),
        "exponent": (by_replica, exponent, one),
        "exponent_pooled": ("layer", pooled, one),
        "wiener_lower": ("layer", low, one),
        "wiener_upper": ("layer", high, one),
        "wiener_p_value": ("layer", p_value, one),
        "spectrum": (("layer", "component"), spectrum, {"units": "share of the trace"}),
        "participation": (by_replica, participation, one),
        "participation_corrected": (by_replica, corrected, one),
    }
    names = (("exponent_mean", exponent), ("autocorrelation", autocorrelation))
    for name, values in names:
        for end, value in zip(("", "_lower", "_upper"), interval(values), strict=True):
            variables[name if not end else name.removesuffix("_mean") + end] = ("layer", value, one)
    coords = {"lag_epoch": ("lag_epoch", lags, {"units": "epochs"}), "bound": ["lower", "median", "upper"]}
    return xr.Dataset(variables, coords)
