"""How long layers take to compress, and by how much each compresses the one before (§B7, B-6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from flowplane.core.arrays import as_numbers
from flowplane.core.points import check_positive
from flowplane.errors import InputError, Text

__all__ = ["THRESHOLD", "compression_costs", "layer_compression", "relaxation_delays"]

#: Bits: a fall or a compression by less counts as none.
THRESHOLD = 0.1


def relaxation_delays(information: Any, epochs: Any, *, threshold: float = THRESHOLD) -> xr.Dataset:
    """The peak of each curve I(X;T), its fall from there to the end, and the relaxation time Δτ of that fall (§B7).

    Δτ counts the epochs from the peak to where the curve has first covered 1 − 1/e of the fall: a fall ∝ exp(−t/τ) has
    Δτ = τ. Between snapshots I(X;T) is taken to be linear in log(epoch + 1), as snapshots are log-spaced.

    Arguments:
        information: I(X;T) in bits, (replica, epoch, layer). A curve that is not finite throughout is NaN in all results.
        epochs: completed epochs at each snapshot, increasing.
        threshold: bits; a lesser fall has no Δτ.

    Returns:
        Dataset (replica, layer): `peak`, `end` and `fall` in bits, `peak_epoch` (the first, where there are several) and
        `delay` = Δτ in epochs; NaN where the fall is below the threshold, as it is where the peak is the last snapshot.

    Raises:
        InputError: no curves of this shape, epochs that do not increase or are below 0, a threshold that is not above 0.

    Example:
        >>> epochs = np.arange(400)
        >>> curve = 2 + 3 * np.exp(-epochs / 40)
        >>> found = relaxation_delays(curve[None, :, None], epochs)
        >>> found.delay.values.round(1).tolist(), found.fall.values.round(3).tolist()
        ([[40.0]], [[3.0]])
    """
    curves, times = _curves(information, epochs)
    threshold = check_positive("threshold", threshold)
    known = np.isfinite(curves).all(axis=1)
    curves = np.where(known[:, None], curves, 0.0)
    peak = curves.argmax(axis=1)
    highest, end = curves.max(axis=1), curves[:, -1]
    fall = highest - end
    level = end + fall / np.e
    beyond = np.arange(len(times))[:, None] > peak[:, None]
    reached = (beyond & (curves <= level[:, None])).argmax(axis=1)
    left = np.maximum(reached - 1, 0)
    above, below = (np.take_along_axis(curves, place[:, None], axis=1)[:, 0] for place in (left, reached))
    falls = known & (fall >= threshold)
    share = (above - level) / np.where(falls, above - below, 1.0)
    logs = np.log1p(times)
    delay = np.expm1(logs[left] + share * (logs[reached] - logs[left])) - times[peak]

    def shown(values: np.ndarray, units: str, name: str, where: np.ndarray = known) -> tuple[Any, ...]:
        return ("replica", "layer"), np.where(where, values, np.nan), {"units": units, "long_name": name}

    return xr.Dataset(
        {
            "delay": shown(delay, "epochs", "relaxation time Δτ", falls),
            "fall": shown(fall, "bits", "fall of I(X;T) from its peak to the end"),
            "peak": shown(highest, "bits", "I(X;T) at its peak"),
            "peak_epoch": shown(times[peak], "epochs", "epoch of the peak of I(X;T)"),
            "end": shown(end, "bits", "I(X;T) at the end"),
        },
        attrs={"threshold": threshold},
    )


def layer_compression(information: Any, input_entropy: float) -> Float[np.ndarray, "*batch layer"]:
    """ΔS_k = I(X;T_{k−1}) − I(X;T_k) in bits, layer 0 being X itself (§B7).

    Arguments:
        information: I(X;T_k) in bits, (*batch, layer), the layers from the first on, none left out.
        input_entropy: I(X;X) = H(X) in bits.

    Raises:
        InputError: no array of numbers with layers last, an entropy that is not above 0.

    Example:
        >>> layer_compression([12.0, 9.5, 6.0], 12.0).tolist()
        [0.0, 2.5, 3.5]
    """
    values = as_numbers("information", information).astype(np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise InputError("information", Text(f"shape {values.shape}"), "I(X;T_k) of at least one layer, (…, layer)")
    entropy = check_positive("input_entropy", input_entropy, "H(X) in bits, above 0")
    before = np.concatenate([np.full_like(values[..., :1], entropy), values[..., :-1]], axis=-1)
    return before - values


def compression_costs(compression: Any) -> tuple[np.ndarray, np.ndarray]:
    """log2 Σ_k 2^{ΔS_k} and ΣΔS_k = log2 2^{ΣΔS_k}: compressing layer by layer against all at once (§B7), in bits.

    Arguments:
        compression: ΔS_k in bits, (*batch, layer), from `layer_compression`.

    Example:
        >>> by_layer, at_once = compression_costs([3.0, 3.0, 4.0])
        >>> float(by_layer), float(at_once)
        (5.0, 10.0)
    """
    values = as_numbers("compression", compression).astype(np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise InputError("compression", Text(f"shape {values.shape}"), "ΔS_k of at least one layer, (…, layer)")
    return np.asarray(np.logaddexp2.reduce(values, axis=-1)), np.asarray(values.sum(axis=-1))


def _curves(information: Any, epochs: Any) -> tuple[Float[np.ndarray, "replica epoch layer"], Float[np.ndarray, " epoch"]]:
    curves = as_numbers("information", information).astype(np.float64)
    times = as_numbers("epochs", epochs).astype(np.float64)
    if curves.ndim != 3 or 0 in curves.shape:
        raise InputError("information", Text(f"shape {curves.shape}"), "I(X;T) over (replica, epoch, layer)")
    if times.shape != curves.shape[1:2]:
        raise InputError("epochs", Text(f"shape {times.shape}"), f"shape ({curves.shape[1]},), one epoch per snapshot")
    if not np.isfinite(times).all() or times[0] < 0 or (np.diff(times) <= 0).any():
        raise InputError("epochs", times.tolist(), "epochs from 0 on that increase")
    return curves, times
