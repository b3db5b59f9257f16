"""Layers read by denoising: the curve whose area is information, and each input's contribution to it (§C)."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane.bridge.denoising import Pointwise
from flowplane.bridge.spectrum import Spectra
from flowplane.core.points import check_positive
from flowplane.core.results import stamp, with_flags
from flowplane.errors import InputError, Text
from flowplane.information.pairwise import TOTAL
from flowplane.information.resolution import SHOWN, checked_resolutions
from flowplane.recording import Recording, require_recording

__all__ = ["denoising_spectrum", "pointwise_information", "with_denoised"]

#: Resolutions of a spectrum: about four per decade, all those of a plane among them.
SPECTRUM = (*(float(f"{first}e{power}") for power in range(-3, 1) for first in (1, 1.7, 3, 5.5)), 10.0)
#: What becomes of the estimator's variables.
NAMES = {f"i_xt{end}": f"information{end}" for end in ("", "_lower", "_upper", "_flags")}
#: The same beside a plane's own I(X;T).
BESIDE = {f"information{end}": f"i_xt_denoised{end}" for end in ("", "_lower", "_upper", "_flags")}


def denoising_spectrum(
    rec: Recording, *, denoiser: str | None = None, resolution: Any = SPECTRUM, samples: str = "all", cluster: Any = None
) -> xr.Dataset:
    """How hard each layer is to denoise at each noise level: the curve whose area is its information at every resolution
    (§C1).

    mmse(t) = E|T − g_t(T + N(0, tI))|², g_t the best denoiser; I(X;T + noise) = ½ ∫_t^∞ mmse(τ)/τ² dτ (I-MMSE). All in
    units in which the layer's total variance is 1, so that t is the resolution of §D1. By Tweedie's formula J(p_t) =
    (td − mmse(t))/t², and by de Bruijn's identity the entropy of T + noise grows by dh/dt = ½ J: the entropy law of the
    second lens (A-3), seen on layers.

    Arguments:
        rec: a recording; a few of its snapshots by `rec.thin(12)`: a learned denoiser takes some seconds each.
        denoiser: as for `fp.Denoising`: "points", "linear", "learned"; None for "points" of an ensemble, whose task lists
            all inputs, and "learned" of a model.
        resolution: shares of the layer's total variance that are noise, one or several.
        samples: "all", "train" or "test".
        cluster: None for this process; or workers, as for `fp.sweep`: they read the recording where it lies.

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
    found = rec.measure(Spectra(checked_resolutions(resolution), denoiser), samples, cluster=cluster)
    left_out = [name for name in found if str(name).startswith(("i_ty", "h_t"))]
    found = found.drop_vars([*left_out, "flags"]).rename(NAMES)
    for name in ("information", "information_lower", "information_upper"):
        found[name].attrs["long_name"] = found[name].attrs["long_name"].replace("I(X;T)", "I(X;T + noise)")
    return stamp(with_flags(found), "denoising_spectrum", **rec.identity, input_entropy=rec.task.input_entropy)


def with_denoised(plane: xr.Dataset, spectrum: xr.Dataset) -> xr.Dataset:
    """A plane that is read at resolutions, with I(X;T) by denoising beside its own: what a layer tells apart where Pairwise
    is `saturated` and says only how many samples there are (§C1).

    Arguments:
        plane: from `fp.information_plane(rec)` of a model.
        spectrum: from `fp.denoising_spectrum` of the same recording, or of some of its snapshots.

    Returns:
        The plane and `i_xt_denoised` in bits, with `_lower`, `_upper` and `_flags`, over the dimensions of `i_xt`, which
        stays as it is; its attributes say its own estimator, bound and channel. NaN at epochs and resolutions that the
        spectrum does not have.

    Raises:
        InputError: a plane at one resolution, no spectrum, or one of another recording.

    Example:
        >>> import flowplane as fp, torch
        >>> rec = fp.record(torch.nn.Linear(4, 8), torch.randn(60, 4, generator=torch.Generator().manual_seed(0)))
        >>> plane = fp.information_plane(rec)
        >>> found = with_denoised(plane, fp.denoising_spectrum(rec, denoiser="linear")).sel(resolution=0.001).squeeze()
        >>> float(found.i_xt.round(2)), bool(found.i_xt_denoised > 10), found.i_xt_denoised.bound
        (5.91, True, 'upper')
    """
    if not isinstance(plane, xr.Dataset) or "i_xt" not in plane or "resolution" not in plane["i_xt"].dims:
        raise InputError("plane", Text(_kind(plane)), "a plane at resolutions, as fp.information_plane makes of a model")
    if not isinstance(spectrum, xr.Dataset) or not set(BESIDE) <= set(spectrum):
        raise InputError("spectrum", Text(_kind(spectrum)), "what fp.denoising_spectrum makes")
    for name in ("task", "network", "samples"):
        if plane.attrs.get(name) != spectrum.attrs.get(name):
            found = Text(f"{name} {spectrum.attrs.get(name)!r}")
            raise InputError("spectrum", found, f"one of the plane's recording, {name} {plane.attrs.get(name)!r}")
    own = spectrum[list(BESIDE)].rename(BESIDE)
    at = {dim: plane[dim] for dim in plane["i_xt"].dims}
    bits = own["i_xt_denoised_flags"].reindex(at, fill_value=0)
    beside = own.drop_vars("i_xt_denoised_flags").reindex(at).assign(i_xt_denoised_flags=bits)
    return with_flags(plane.drop_vars("flags", errors="ignore").assign({name: beside[name] for name in BESIDE.values()}))


def _kind(given: Any) -> str:
    """What was given, in few words."""
    if not isinstance(given, xr.Dataset):
        return type(given).__name__
    return f"a Dataset with {', '.join(map(str, given)) or 'nothing'}"


def pointwise_information(
    rec: Recording, *, layer: str, epoch: int, resolution: float = SHOWN, denoiser: str | None = None, samples: str = "all"
) -> xr.Dataset:
    """Each input's share of a layer's information: which does the layer lose first, of which is it sure? (§C1, §C2)

    For input x it is D(p(t̃|x)‖p(t̃)), how far the noisy layer given x is from that over all inputs; for its label
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
        sample that each belongs to. NaN where rows were left out because there are too many. `label` along `sample` is each
        row's class, of all samples that have one.

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
    if samples == "all" and rec.task.labels is not None and rec.targets is None:
        found = found.assign_coords(label=("sample", np.asarray(rec.task.labels), {"long_name": "class"}))
    return stamp(with_flags(found), "pointwise_information", **rec.identity)
