"""What denoising says of the layers: which is hardest, where one departs from a normal, what samples cannot show (§C1)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.core.results import said
from flowplane.information.resolution import usual_place
from flowplane.reporting.layers import LayerNumbers, layers_called
from flowplane.reporting.markup import listed, number

__all__ = ["saturation_words", "spectrum_words"]

#: A denoiser that beats the best linear one by no more than this share of the variance sees a normal.
NORMAL = 0.01
#: What reads a layer whose estimate has saturated at the number of samples.
CALLS = '`fp.information_plane(rec, fp.Denoising({c:g}, relative="total"))`, or on this page `fp.report(…, denoising=True)`'


def spectrum_words(spectrum: xr.Dataset) -> list[str]:
    """Which layer is hardest to denoise at the end, and which departs most from a normal, at which resolution.

    Arguments:
        spectrum: from `fp.denoising_spectrum`, over (replica, epoch, layer, resolution).
    """
    last = spectrum.sortby("epoch").isel(epoch=-1).mean("replica").transpose("layer", "resolution", ...)
    names = layers_called(spectrum)
    resolutions, error = last["resolution"].values, last["mmse"].values
    place = usual_place(resolutions)
    here = error[:, place]
    if not np.isfinite(here).any():
        return []
    best = "the denoiser that was learned" if said(spectrum, "mmse", "bound") == "upper" else "the best denoiser"
    epoch = int(spectrum["epoch"].max())
    hardest, easiest = int(np.nanargmax(here)), int(np.nanargmin(here))
    told = (
        f"Under noise of {resolutions[place]:g} times a layer's total variance, at epoch {epoch:,}, {names[hardest]} is "
        f"hardest to denoise: {best} leaves {_percent(here[hardest])} of the variance unexplained"
    )
    told += f" in it, and {_percent(here[easiest])} in {names[easiest]}, the easiest." if easiest != hardest else "."
    return [told, _departure(last["linear_mmse"].values - error, error, names, resolutions)]


def _departure(gap: np.ndarray, error: np.ndarray, names: list[str], resolutions: np.ndarray) -> str:
    """Where the error of the best linear denoiser, optimal for a normal, exceeds that of the best denoiser most."""
    layer, place = np.unravel_index(int(np.nanargmax(gap)), gap.shape)
    if gap[layer, place] <= NORMAL:
        return (
            f"Nowhere does the best linear denoiser leave more than {_percent(NORMAL)} of the variance beyond that: to a "
            "denoiser the layers look like normals with their covariances."
        )
    linear = error[layer, place] + gap[layer, place]
    return (
        f"Farthest from a normal is {names[layer]} at resolution {resolutions[place]:g}: the best linear denoiser, which on "
        f"a normal is as good as any, leaves {_percent(linear)} there, this one {_percent(error[layer, place])}."
    )


def saturation_words(layers: list[LayerNumbers], most: float, resolution: float) -> list[str]:
    """What is said of layers whose estimate has saturated: the bound by denoising, or the call that gives it.

    Arguments:
        most: H(X) of the samples, in bits, at which Pairwise stops; NaN where it is not known.
        resolution: at which the layers are read.
    """
    full = [layer for layer in layers if layer.saturated]
    if not full:
        return []
    named = listed([layer.called for layer in full])
    alone = f"In {named} almost every input occupies its own cell: I(X;T) has saturated at log2 of the number of inputs."
    known = [layer for layer in full if np.isfinite(layer.denoised.value)]
    if not known:
        return [alone, f"For a bound that does not stop there: {CALLS.format(c=resolution)}."]
    each = listed([f"{number(layer.denoised.value, 'bits')} in {layer.called}" for layer in known])
    told = f"Denoising, which does not stop there, gives at most {each}."
    above = [layer.called for layer in known if layer.denoised.value > most]
    if above:
        told += (
            f" {'The bound' if len(above) == 1 else 'The bounds'} of {listed(above)} {'lies' if len(above) == 1 else 'lie'} "
            f"above H(X) = {number(most, 'bits')} of these inputs, too high to limit what the layer knows about them."
        )
    return [alone, told]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"
