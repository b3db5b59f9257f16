"""An estimator whose channel suits a recording: one for all layers, so that they can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowplane.core.measure import Measure
from flowplane.information.binned import Binned
from flowplane.information.ksg import KSG
from flowplane.information.pairwise import Pairwise
from flowplane.information.schema import flag_bit
from flowplane.recording import Recording, require_recording

__all__ = ["Choice", "suitable_measure"]

#: Bins are not tried where a layer has more units: in so many dimensions every sample falls alone.
BINNED_WIDTH = 24
#: Variances of the noise that are tried, in those of the layer's units.
VARIANCES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
#: Bins are taken if no more than this share of the layers is saturated, at the first and at the last snapshot: early layers
#: that keep every input apart are what the paper saw as well.
BINNED = 0.5
#: The same for noise, of which more can be had.
NOISY = 0.25


@dataclass(frozen=True)
class Choice:
    """An estimator, and in a sentence why it was chosen or what is wrong with it."""

    measure: Measure
    reason: str
    valid: bool


def suitable_measure(rec: Recording) -> Choice:
    """The finest channel under which most layers of a recording are not saturated, from first to last (B3, B4).

    Without bins or noise the information in a deterministic layer is infinite; with too little of either every sample
    stands alone, and I(X;T) is log2 n whatever the layer does. Networks with noise of their own need neither. Of others,
    thirty bins are tried first, then Gaussian noise, its variance relative to that of the layer's units, more of it step by
    step. Each is tried on the first and the last snapshot of one replica. All layers get the same channel: values under
    different ones say nothing about each other.

    Raises:
        InputError: not a Recording.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), replicas=1, epochs=2, snapshots=2)
        >>> suitable_measure(rec).measure
        Binned(bins=30, range='activation', correction=None)
    """
    rec = require_recording(rec)
    if not rec.deterministic:
        return Choice(KSG(4), "the network has noise of its own, so information is finite without bins or more noise", True)
    widest = max(rec.layer_coordinates()["width"][1])
    ends = sorted({int(rec.epochs.min()), int(rec.epochs.max())})
    part = rec.sel(replica=rec.replicas[0], epoch=ends)
    trouble = f"in a layer of {widest} units bins would leave every sample alone"
    if widest <= BINNED_WIDTH:
        share = _saturated(part, Binned(30))
        if share <= BINNED:
            return Choice(Binned(30), f"30 bins leave nearly every sample alone in {share:.0%} of the layers at most", True)
        trouble = f"30 bins leave nearly every sample alone in {share:.0%} of the layers"
    for variance in VARIANCES:
        noisy = Pairwise(variance, relative=True)
        if _saturated(part, noisy) <= NOISY:
            return Choice(noisy, f"{trouble}; so Gaussian noise is added whose variance is {variance:g} times that of the "
                                 "layer's units, the least under which most layers do not tell every sample apart", True)  # fmt: skip
    reason = f"{trouble}; even under noise of {VARIANCES[-1]:g} times their variance many layers tell every sample apart"
    return Choice(noisy, f"{reason}: I(X;T) says nothing here", False)


def _saturated(rec: Recording, measure: Measure) -> float:
    """The share of layers that are, at the snapshot where it is largest."""
    flags = rec.measure(measure)["flags"].values
    return float((np.asarray(flags) & flag_bit("saturated") != 0).mean(axis=(0, 2)).max())
