"""The drift and the diffusion of a recording's gradients, and whether diffusion begins when compression does."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.analysis.reading import DIMS, own_plane
from flowplane.core.points import check_seed
from flowplane.core.results import CONFIDENCE, stamp
from flowplane.dynamics.crossing import CROSSED, UNDEFINED, median_crossing, phase_crossing
from flowplane.dynamics.gradients import drift_norm, per_weight
from flowplane.dynamics.timing import coincidence, compression_start
from flowplane.recording import Recording, computed_once, require_recording

__all__ = ["gradient_phases"]

#: A layer that loses no more of I(X;T) than this from its peak does not compress, bits.
THRESHOLD = 0.1
_RELATIVE = "nats per squared unit of weight"


@computed_once
def gradient_phases(rec: Recording, plane: xr.Dataset | None = None, *, seed: int = 0) -> xr.Dataset:
    """When each layer's gradients pass from drift, ‖E g‖ > √(tr Cov g), to diffusion, and how near that is to the start of
    compression (§B5, B-3).

    E and Cov are those of one epoch's batches, as in the paper. The mean over batches keeps some of their noise, if little:
    they are drawn without replacement and hold nearly all of the training set. `drift` is ‖E g‖ with it removed
    (`flowplane.dynamics.drift_norm`). The crossing is the change point of `flowplane.dynamics.phase_crossing`. The start of
    compression is the epoch at which I(X;T) is greatest.

    See also: Shwartz-Ziv and Tishby (2017), arXiv 1703.00810, figure 4.

    Arguments:
        rec: from `fp.train`, with gradients kept.
        plane: from `fp.information_plane` of the same recording, or of more of it; None for the crossing alone.
        seed: of bootstrap and permutations.

    Returns:
        Dataset, intervals of 95 %. Over (replica, epoch, layer): `gradient_mean` = ‖E g‖/‖w‖, `gradient_std` = √(tr Cov
        g)/‖w‖, unbiased (the published code divides by the number of batches B, so that log2 of the ratio is larger there by
        ½ log2(B/(B − 1))), `ratio` of the two, the signal-to-noise ratio of the gradients, `drift`. Over (replica, layer):
        `crossing` in epochs, NaN unless `state` is "crossed", else "diffusion from the start", "never" or "undefined" (one
        batch per epoch); `misplaced`, the share of log epochs on the wrong side of it. Over (layer): `crossing_median` of
        the replicas' median curve, its state `median_state`, `crossing_lower`, `crossing_upper`, and `crossed`, the share
        of the replicas with a defined state that did. With a plane also `compression_start` (replica, layer) in epochs, NaN
        for layers that lose at most 0.1 bits; and over (layer) Spearman's `correlation` of the two epochs with
        `correlation_lower`, `correlation_upper` and `p_value`, `lag` = the median log2 of compression_start/crossing with
        `lag_lower`, `lag_upper`, and the `pairs` of epochs known. Attributes: `batches` per epoch, `covered`, the share of
        the training set that they hold.

    Raises:
        InputError: not a Recording, one without gradients, fewer than two epochs after epoch 0, a plane that is not
            valid or lacks replicas, epochs or layers of it, an invalid seed.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=4, snapshots=4)
        >>> found = fp.gradient_phases(rec, fp.information_plane(rec))
        >>> dict(found.ratio.sizes), found.state.dims, found.attrs["batches"]
        ({'replica': 2, 'epoch': 4, 'layer': 2}, ('replica', 'layer'), 6)
    """
    rec, seed = require_recording(rec), check_seed(seed)
    rec = rec.sel(epoch=sorted(rec.epochs.tolist()))
    gradients = rec.gradients.transpose(*DIMS)
    matching = None if plane is None else own_plane(rec, plane, ("i_xt",))["i_xt"]
    epochs = gradients["epoch"].values
    batches, covered = rec.epoch_batches
    # where training diverged, infinite norms are as unknown as NaN
    numbers = (gradients[name].astype(float) for name in ("gradient_mean", "gradient_std", "weight_norm"))
    mean, std, norm = (each.where(np.isfinite(each)).values for each in numbers)
    ratio = np.divide(mean, std, out=np.full_like(mean, np.nan), where=std > 0)
    ratio[(std == 0) & (mean > 0)] = np.finfo(float).max
    own = phase_crossing(ratio, epochs)
    median = median_crossing(ratio, epochs, seed=seed)
    defined = (own.state != UNDEFINED).sum(0)
    share = np.divide((own.state == CROSSED).sum(0), defined, out=np.full(len(defined), np.nan), where=defined > 0)
    found = xr.Dataset(
        {
            "gradient_mean": (DIMS, per_weight(mean, norm), {"units": _RELATIVE, "long_name": "‖E g‖/‖w‖"}),
            "gradient_std": (DIMS, per_weight(std, norm), {"units": _RELATIVE, "long_name": "√(tr Cov g)/‖w‖"}),
            "drift": (
                DIMS,
                per_weight(drift_norm(mean, std, batches, covered), norm),
                {"units": _RELATIVE, "long_name": "‖E g‖/‖w‖, noise removed"},
            ),
            "ratio": (DIMS, ratio, {"units": "1", "long_name": "‖E g‖/√(tr Cov g)"}),
            "crossing": (("replica", "layer"), own.epoch, _EPOCHS),
            "state": (("replica", "layer"), own.state),
            "misplaced": (("replica", "layer"), own.misplaced, {"units": "share of log epochs"}),
            "crossing_median": ("layer", median.epoch, _EPOCHS),
            "crossing_lower": ("layer", median.lower, _EPOCHS),
            "crossing_upper": ("layer", median.upper, _EPOCHS),
            "median_state": ("layer", median.state),
            "crossed": ("layer", share, {"units": "fraction"}),
        },
        {name: gradients.coords[name] for name in (*DIMS, "depth", "width", "layer_type")},
        {"confidence": CONFIDENCE, "batches": batches, "covered": covered},
    )
    if matching is not None:
        _add_compression(found, matching, seed)
    return stamp(found, "gradient_phases", seed=seed, **rec.identity)


_EPOCHS = {"units": "epochs"}


def _add_compression(found: xr.Dataset, i_xt: xr.DataArray, seed: int) -> None:
    start = compression_start(i_xt.values, found["epoch"].values, THRESHOLD)
    both = coincidence(found["crossing"].values, start, seed=seed)
    found["compression_start"] = (("replica", "layer"), start, {**_EPOCHS, "threshold_bits": THRESHOLD})
    units = {"lag": "log2 epochs", "lag_lower": "log2 epochs", "lag_upper": "log2 epochs", "pairs": "replicas"}
    for name, values in both._asdict().items():
        found[name] = ("layer", values, {"units": units.get(name, "1")})
