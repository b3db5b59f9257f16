"""Layers read by denoising: the curve whose area is information, and what each input has of it (§C)."""

from __future__ import annotations

from typing import Any

import xarray as xr

from flowplane.bridge.denoising import Pointwise
from flowplane.bridge.spectrum import Spectra
from flowplane.core.points import check_positive
from flowplane.core.results import stamp, with_flags
from flowplane.information.pairwise import TOTAL
from flowplane.information.resolution import SHOWN, checked_resolutions
from flowplane.recording import Recording, require_recording

__all__ = ["denoising_spectrum", "pointwise_information"]

#: Resolutions of a spectrum: four a decade, the one that is shown alone among them.
SPECTRUM = tuple(float(f"{10 ** (power / 4):.4g}") for power in range(-12, 5))
#: What becomes of the estimator's variables.
NAMES = {f"i_xt{end}": f"information{end}" for end in ("", "_lower", "_upper", "_flags")}


def denoising_spectrum(
    rec: Recording, *, denoiser: str | None = None, resolution: Any = SPECTRUM, samples: str = "all"
) -> xr.Dataset:
    """How hard each layer is to denoise at each noise level: the curve whose area is its information at every resolution
    (§C1).

    mmse(t) = E|T − g_t(T + N(0, tI))|², g_t the best denoiser; I(X;T + noise) = ½ ∫_t^∞ mmse(τ)/τ² dτ. All in units in
    which the layer's total variance is 1, so that t is the resolution of §D1. By Tweedie's formula J(p_t) =
    (td − mmse(t))/t², and by de Bruijn's identity the entropy of T + noise grows by dh/dt = ½ J: the entropy law of the
    second lens (A-3), seen on layers.

    Arguments:
        rec: a recording; a few of its snapshots by `rec.thin(12)`: a learned denoiser takes some seconds each.
        denoiser: as for `fp.Denoising`: "points", "linear", "learned"; None for "points" of an ensemble, whose task lists
            all inputs, and "learned" of a model.
        resolution: shares of the layer's total variance that are noise, one or several.
        samples: "all", "train" or "test".

    Returns:
        Dataset (replica, epoch, layer, resolution): `mmse` and `linear_mmse`, shares of the total variance; `information`,
        I(X;T + noise) in bits, its attributes saying whether it is an estimate or an upper bound; `fisher`, J by `mmse`
        [per total variance]; `_lower` and `_upper` of `mmse` and `information`, `information_flags`. By the densities
        themselves, NaN where none is known (all but "points"): `information_by_density` with its `_error`, and
        `entropy_rate`, dh/dt by differences [nats per total variance]. NaN, with a flag, where a layer has noise of its own.

    Raises:
        InputError: not a Recording, an unknown denoiser, or resolutions that are not above 0.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=1, epochs=2, snapshots=2)
        >>> found = fp.denoising_spectrum(rec.sel(epoch=2, layer="layer2"), resolution=(0.1, 1.0))
        >>> bool((found.mmse <= found.linear_mmse + 0.01).all()), found.information.units, found.information.bound
        (True, 'bits', 'estimate')
    """
    rec = require_recording(rec)
    found = rec.measure(Spectra(checked_resolutions(resolution), denoiser), samples)
    left_out = [name for name in found if str(name).startswith(("i_ty", "h_t"))]
    found = found.drop_vars([*left_out, "flags"]).rename(NAMES)
    for name in ("information", "information_lower", "information_upper"):
        found[name].attrs["long_name"] = found[name].attrs["long_name"].replace("I(X;T)", "I(X;T + noise)")
    return stamp(with_flags(found), "denoising_spectrum", **rec.identity)


def pointwise_information(
    rec: Recording, *, layer: str, epoch: int, resolution: float = SHOWN, denoiser: str | None = None, samples: str = "all"
) -> xr.Dataset:
    """What each input has of a layer's information: which ones does the layer lose first, of which is it sure? (§C1, §C2)

    Of input x it is D(p(t̃|x)‖p(t̃)), how far what noise leaves of x is from what it leaves of all; of its label
    E ln p(t̃|y)/p(t̃), below 0 where the layer speaks for another class. Their means by p(x) are I(X;T + noise) and
    I(T + noise;Y).

    Arguments:
        rec: a recording.
        layer, epoch: as in `rec.sel`.
        resolution: share of the layer's total variance that is noise.
        denoiser: as for `fp.Denoising`.
        samples: "all", "train" or "test".

    Returns:
        Dataset: `i_xt_each` and `i_ty_each` (replica, sample) in bits, and `i_xt` and `i_ty` (replica,) with their intervals
        and flags; the attributes say which layer and epoch. `sample` counts the rows that were recorded; of tokens it is the
        sample that each belongs to. NaN where rows were left out because there are too many.

    Raises:
        InputError: not a Recording, a layer or an epoch that was not recorded, a resolution that is not above 0, or an
            unknown denoiser.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=1, epochs=2, snapshots=2)
        >>> found = fp.pointwise_information(rec, layer="layer1", epoch=2)
        >>> dict(found.i_xt_each.sizes), bool(abs(found.i_xt_each.mean() - found.i_xt) < 1e-9)
        ({'replica': 1, 'sample': 4096}, True)
    """
    rec = require_recording(rec)
    (share,) = checked_resolutions(check_positive("resolution", resolution, "a share of the total variance, above 0"))
    part = rec.sel(layer=[layer], epoch=[epoch])
    found = part.measure(Pointwise(share, denoiser, TOTAL), samples).isel(epoch=0, layer=0)
    found = found.drop_vars([name for name in found if str(name).startswith("h_t")] + ["flags"])
    if samples == "all" and rec.row_samples is not None:
        found = found.assign_coords(sample=rec.row_samples)
    return stamp(with_flags(found), "pointwise_information", **rec.identity)
