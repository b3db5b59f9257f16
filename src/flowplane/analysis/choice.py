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
VARIANCES = (0.1, 1.0, 10.0, 100.0, 1000.0)
#: A channel is taken if it tells samples apart everywhere in no more than this share of layers and moments.
SATURATED = 0.5


@dataclass(frozen=True)
class Choice:
    """An estimator, and in a sentence why it was chosen or what is wrong with it."""

    measure: Measure
    reason: str
    valid: bool


def suitable_measure(rec: Recording) -> Choice:
    """The finest channel under which most layers of a recording are not saturated (B3, B4).

    Without bins or noise the information in a deterministic layer is infinite; with too little of either every sample
    stands alone, and I(X;T) is log2 n whatever the layer does. Networks with noise of their own need neither. Of others,
    thirty bins are tried first, then Gaussian noise, its
    variance relative to that of the layer's units, more of it step by step. Each is tried on the first and the last
    snapshot of one replica. All layers get the same channel: values under different ones say nothing about each other.

    Raises:
        InputError: not a Recording.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), replicas=1, epochs=2, snapshots=2)
        >>> suitable_measure(rec).measure
        Binned(bins=30, range='activation', correction=None)
    """
    rec = require_recording(rec)
    widest = max(rec.layer_coordinates()["width"][1])
    ends = sorted({int(rec.epochs.min()), int(rec.epochs.max())})
    part = rec.sel(replica=rec.replicas[0], epoch=ends)
    tried = []
    if not rec.deterministic:
        return Choice(
            KSG(4), "the network has noise of its own, so that information is finite without bins or more noise", True
        )
    if widest <= BINNED_WIDTH:
        binned = Binned(30)
        share = _saturated(part, binned)
        if share <= SATURATED:
            return Choice(binned, f"30 bins tell samples apart without parting them all in most layers ({_percent(share)} "
                                  "of layers and moments are saturated)", True)  # fmt: skip
        tried.append(f"30 bins leave nearly every sample alone in {_percent(share)} of layers and moments")
    else:
        tried.append(f"in a layer of {widest} units bins would leave every sample alone")
    for variance in VARIANCES:
        noisy = Pairwise(variance, relative=True)
        share = _saturated(part, noisy)
        if share <= SATURATED:
            least = "the least that was tried" if variance == VARIANCES[0] else "less of it leaves most layers saturated"
            return Choice(noisy, f"{tried[0]}; so Gaussian noise is added whose variance is {variance:g} times that of the "
                                 f"layer's units ({least})", True)  # fmt: skip
    reason = f"{tried[0]}; even under noise of {VARIANCES[-1]:g} times their variance most layers tell every sample apart"
    return Choice(noisy, f"{reason}: I(X;T) says nothing here", False)


def _saturated(rec: Recording, measure: Measure) -> float:
    """The share of layers and snapshots that are."""
    flags = rec.measure(measure)["flags"].values
    return float((np.asarray(flags) & flag_bit("saturated") != 0).mean())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
