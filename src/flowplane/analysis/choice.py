"""An estimator whose channel suits a recording: one for all layers, so that they can be compared."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowplane.core.measure import Measure
from flowplane.information.binned import Binned
from flowplane.information.ksg import KSG
from flowplane.information.pairwise import Pairwise
from flowplane.information.schema import flag_bit
from flowplane.recording import Recording, require_recording

__all__ = ["Choice", "common_measure", "suitable_measure"]

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
    """The finest channel under which most layers of a recording are not saturated, from first to last (§B3, §B4).

    Without bins or noise the information in a deterministic layer is infinite; with too little of either every sample
    stands alone, and I(X;T) is log2 n whatever the layer does. Networks with noise of their own need neither. For other
    ensembles thirty bins, the paper's channel, are tried first. Otherwise Gaussian noise is added in proportion to the
    variance of the layer's units at that epoch, more of it step by step, tried on the first and the last snapshot of one
    replica: so a layer whose values only grow or shrink neither learns nor compresses. The rule is the same for all layers;
    each is seen through noise of its own, so that a later one may keep more than an earlier one.

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
    trouble = "without noise every input would stand alone"
    if rec.kind == "ensemble" and widest <= BINNED_WIDTH:
        share = _saturated(part, Binned(30))
        if share <= BINNED:
            return Choice(Binned(30), f"30 bins leave nearly every sample alone in {share:.0%} of the layers at most", True)
        trouble = f"30 bins leave nearly every sample alone in {share:.0%} of the layers"
    measures = [Pairwise(variance, relative="snapshot") for variance in VARIANCES]
    place = bisect_left(measures, True, key=lambda measure: _saturated(part, measure) <= NOISY)  # more noise, fewer layers
    if place == len(measures):
        reason = f"{trouble}; even under noise of {VARIANCES[-1]:g} times their variance many layers tell every sample apart"
        return Choice(measures[-1], f"{reason}: I(X;T) says nothing here", False)
    noise = f"noise of {VARIANCES[place]:g} times the variance of its units at that epoch is added to each layer"
    return Choice(measures[place], f"{trouble}; so Gaussian {noise}, the least that keeps most layers from it", True)


def common_measure(recs: Sequence[Recording]) -> Choice | None:
    """One channel for several recordings, so that their numbers can be compared: the coarsest of those that suit each.

    None where there is none, because some networks have noise of their own and others do not.
    """
    choices = [suitable_measure(rec) for rec in recs]
    if len({choice.measure for choice in choices}) == 1:
        return choices[0]
    if not all(rec.deterministic for rec in recs):
        return None
    noisy = [choice for choice in choices if isinstance(choice.measure, Pairwise)]
    coarsest = max(noisy, key=lambda choice: getattr(choice.measure, "variance", 0.0))
    return replace(coarsest, reason=f"the same for all recordings, the coarsest that one of them needs: {coarsest.reason}")


def _saturated(rec: Recording, measure: Measure) -> float:
    """The share of layers that are, at the snapshot where it is largest."""
    flags = rec.measure(measure)["flags"].values
    return float((np.asarray(flags) & flag_bit("saturated") != 0).mean(axis=(0, 2)).max())
