"""How long the layers of a recording take to compress, against how much they compress."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.analysis.reading import own_plane
from flowplane.core.points import check_seed
from flowplane.core.renamed import renamed
from flowplane.core.results import stamp
from flowplane.dynamics.laws import fit_laws, slope_interval
from flowplane.dynamics.relaxation import compression_costs, layer_compression, relaxation_delays
from flowplane.errors import InputError, Text
from flowplane.recording import Recording, computed_once, require_recording

__all__ = ["relaxation_times"]


@renamed
@computed_once
def relaxation_times(rec: Recording, plane: xr.Dataset | None = None, *, seed: int = 0) -> xr.Dataset:
    """The relaxation time Δτ of each layer of each replica, its compression ΔS, and the law that ties them (§B7, B-6).

    Δτ: epochs from the peak of I(X;T_k) until 1 − 1/e of its fall to the last snapshot is done. ΔS_k = I(X;T_{k−1}) −
    I(X;T_k) at that snapshot, T_0 = X. §B7 has Δτ ∝ 2^{ΔS}: log2 Δτ = a + bΔS with b = 1. That law is weighed against a
    linear, a power and a constant one by AICc, on the points with ΔS and a fall of at least 0.1 bit; b has a 95 % interval
    by a bootstrap over replicas.

    See also: Shwartz-Ziv and Tishby (2017), arXiv 1703.00810; `flowplane.dynamics.laws` for your own points.

    Arguments:
        rec: with all layers from the first on, and three epochs or more; a part of them by `rec.thin` or `rec.sel`.
        plane: its information plane, with another estimator, say; as `fp.information_plane` reads it if None.
        seed: of the bootstrap.

    Returns:
        Dataset: `delay` = Δτ in epochs (NaN where the fall is below 0.1 bit), `compression` = ΔS, `fall`, `peak`, `end` in
        bits, `peak_epoch`, and `fitted`, whether the laws were fitted to it (replica, layer); `cost_by_layer` =
        log2 Σ_k 2^{ΔS_k} and `cost_at_once` = ΣΔS_k in bits (replica); `aic`, its `difference` to the least, Akaike
        `weight`, `sigma` (law) and `parameters` (law, parameter) of each `formula`; `slope` = b with `slope_lower` and
        `slope_upper`. Attributes: `best`, the law of the least AICc, and `exponent_one`, whether 1 lies in the interval of
        b; both empty where there are too few points.

    Raises:
        InputError: not a Recording, layers left out, fewer than three epochs, or a plane of another recording.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4, 3), replicas=3, epochs=60, snapshots=12)
        >>> found = fp.relaxation_times(rec)
        >>> dict(found.delay.sizes), found.delay.units, found.law.values.tolist()
        ({'replica': 3, 'layer': 3}, 'epochs', ['exponential', 'linear', 'power', 'constant'])
    """
    rec = require_recording(rec)
    seed = check_seed(seed)
    wanted = rec.all_layers[: len(rec.layers)]
    if rec.layers != wanted:
        layers = Text(f"a recording that shows {', '.join(rec.layers)}")
        raise InputError("rec", layers, f"{', '.join(wanted)}: ΔS compares each layer with the one before")
    shown = rec.sel(epoch=sorted(set(rec.epochs.tolist())))
    if len(shown.epochs) < 3:
        raise InputError("rec", Text(f"a recording that shows {len(shown.epochs)} epochs"), "three or more")
    curves = own_plane(shown, plane, ("i_xt",))
    values = curves["i_xt"].values.astype(np.float64)
    found = relaxation_delays(values, shown.epochs)
    threshold = found.attrs["threshold"]
    compression = layer_compression(values[:, -1], rec.task.input_entropy)
    clear = compression >= threshold
    fitted = clear & np.isfinite(found["delay"].values)
    dims, bits = ("replica", "layer"), {"units": "bits"}
    found["compression"] = (dims, compression, bits | {"long_name": "compression ΔS"})
    found["fitted"] = (dims, fitted, {"units": "1"})
    by_layer, at_once = compression_costs(compression)
    found["cost_by_layer"] = ("replica", by_layer, bits | {"long_name": "log2 of Σ 2^ΔS"})
    found["cost_at_once"] = ("replica", at_once, bits | {"long_name": "log2 of 2^ΣΔS"})
    points = np.where(fitted, compression, np.nan), found["delay"].values
    laws = fit_laws(*points)
    found = found.merge(laws)
    slope, lower, upper = slope_interval(*points, seed=seed)
    for name, value in (("slope", slope), ("slope_lower", lower), ("slope_upper", upper)):
        found[name] = ((), value, {"units": "log2 epochs per bit"})
    known = np.isfinite(laws["aic"].values).all()
    found.attrs = {
        "threshold": threshold,
        "points": laws.attrs["points"],
        "best": str(laws["law"].values[int(laws["aic"].values.argmin())]) if known else "",
        "exponent_one": "" if not np.isfinite(lower) else str(lower <= 1 <= upper),
    }
    read_by = {
        key: curves["i_xt"].attrs[key] for key in ("estimator", "parameters", "channel") if key in curves["i_xt"].attrs
    }
    for name in ("compression", "fall", "peak", "end"):
        found[name].attrs |= read_by
    found = found.assign_coords(replica=shown.replicas, **rec.layer_coordinates())
    return stamp(found, "relaxation_times", seed=seed, **rec.identity)
