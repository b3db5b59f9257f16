"""What the numbers say, in sentences for people who have read neither paper."""

from __future__ import annotations

from collections import Counter

import numpy as np
import xarray as xr

from flowplane.experiments.claim import VERDICTS, Claim
from flowplane.plot.training import split_name
from flowplane.reporting.layers import GAIN, LOSS, LayerNumbers
from flowplane.reporting.markup import called, count, epoch_text, listed, number

__all__ = ["claim_words", "gradient_words", "plane_words", "summary_words", "training_words"]


#: What stands before a number that is a bound.
BOUNDS = {"lower bound": "at least ", "upper bound": "at most "}


def summary_words(layers: list[LayerNumbers], inputs: float, labels: float, kind: str = "estimate") -> list[str]:
    """What is known at the end, who let go of the input, when the label was learned, and how much of it can be trusted.

    Arguments:
        inputs, labels: H(X) and I(X;Y), bits; NaN where they are not known.
        kind: what the numbers are: "estimate", "lower bound" or "upper bound".
    """
    return [_known_at_the_end(layers, inputs, labels, BOUNDS.get(kind, "")), _learned(layers), _trusted(layers)]


def _known_at_the_end(layers: list[LayerNumbers], inputs: float, labels: float, bound: str) -> str:
    last = layers[-1]
    ceiling = f" of the {number(inputs, 'bits')} in the input" if np.isfinite(inputs) else " bits about the input"
    said = f"At the end of training the last layer, {last.name} ({count(last.width, 'unit')}), keeps "
    if not np.isfinite(last.i_xt.value):
        said += "an amount of information about the input that could not be measured"
    else:
        said += f"{bound}{number(last.i_xt.value)}{ceiling}"
    if np.isfinite(last.i_ty.value):
        also = ", by the same estimator though not as a bound," if bound else ""  # differences of bounds are none
        share = f" ({100 * last.i_ty.value / labels:.0f} % of the {number(labels, 'bits')} there are)" if labels > 0 else ""
        said += f", and{also} {number(last.i_ty.value, 'bits')} about the label{share}"
    return f"{said}."


def _learned(layers: list[LayerNumbers]) -> str:
    known = [layer for layer in layers if np.isfinite(layer.i_ty.value)]
    if not known:
        return "There were no labels, so what the layers know of them cannot be said."
    full = [layer for layer in known if layer.saturated]
    dated = [layer for layer in known if np.isfinite(layer.learned.epoch) and layer not in full]
    early = [layer for layer in known if layer not in dated and layer not in full]
    parts = []
    if full:
        parts.append(f"In {_names(full)} nearly every input stands alone, so what they know of the label cannot be read.")
    if dated:
        first, last = (pick(dated, key=lambda layer: layer.learned.epoch) for pick in (min, max))
        when = [f"by epoch {epoch_text(layer.learned.epoch)}" for layer in (first, last)]
        said = f"90 % of what was learned about the label was there {when[0]} in {_names(dated)}."
        if first.learned.epoch < last.learned.epoch:
            said = f"Of what it learned about the label {first.called} had 90 % first, {when[0]}, "
            said += f"{last.called} last, {when[1]}."
        parts.append(said)
    if early:
        gained = max(abs(layer.learned.gain) for layer in early)
        parts.append(
            f"In {_names(early)} training changed what is known about the label by "
            f"{'less than 0.01 bits' if gained < 0.01 else f'at most {number(gained)} bits'}"
            f"{': it was there before' if min(layer.learned.before for layer in early) > GAIN else ''}."
        )
    return " ".join(parts)


def _trusted(layers: list[LayerNumbers]) -> str:
    flagged = [layer for layer in layers if layer.flags]
    if not flagged:
        return "No flag speaks against any of these numbers at the last epoch."
    clean = [layer for layer in layers if not layer.flags]
    best = f"; nothing speaks against those of {_names(clean)}" if clean else ""
    return f"At the last epoch a flag is raised in {_names(flagged)}: “Validity” says what that means{best}."


def plane_words(layers: list[LayerNumbers], epochs: np.ndarray) -> list[str]:
    """Whether layers compress: I(X;T) falls from a peak."""
    known = [layer for layer in layers if np.isfinite(layer.lost) and not layer.saturated]
    said = "Each point is a layer at one epoch: to the right, what it still knows of its input; upwards, of the label."
    if not known:
        return [said, "I(X;T) is not known, or no more than the number of samples: whether layers compress cannot be said."]
    fell = sorted((layer for layer in known if layer.lost > LOSS), key=lambda layer: -layer.lost)
    if not fell:
        return [
            said,
            f"{_whose(known, layers)} lets go of more than {LOSS} bits of what it held about its input: no compression.",
        ]
    top = [
        f"{layer.called} by {number(layer.lost, 'bits')} (peak at epoch {epoch_text(layer.peak_epoch)})" for layer in fell
    ]
    moved = f"{len(fell)} of {count(len(layers), 'layer')} compress: after a peak, what they know of the input falls"
    left = [layer for layer in layers if layer not in fell]
    still = f" In {_names(left)} it hardly changes, or cannot be read." if left else ""
    return [said, f"{moved}, {listed(top, 4)}.{still}"]


def training_words(metrics: xr.Dataset) -> list[str]:
    """Where each metric began and ended, means over replicas."""
    parts = []
    for name in list(map(str, metrics.data_vars))[:6]:
        mean = metrics[name].mean("replica").dropna("train_epoch")
        if not len(mean):
            continue
        part, quantity = split_name(name)
        units = str(metrics[name].attrs.get("units", ""))
        shown = f" {units}" if units and units != "fraction" else ""
        whose = quantity if part == quantity else f"{PARTS.get(part, part)} {quantity}"
        parts.append(f"{whose} went from {number(float(mean[0]))} to {number(float(mean[-1]))}{shown}")
    if not parts:
        return []
    epochs = metrics["train_epoch"].values
    return [f"From epoch {int(epochs[0]):,} to {int(epochs[-1]):,}: {listed(parts)}.", *_gap(metrics)]


#: What a metric's part is called in a sentence.
PARTS = {"train": "training", "val": "validation", "valid": "validation", "eval": "evaluation"}


def _gap(metrics: xr.Dataset) -> list[str]:
    """Whether held-out accuracy is below that of training, where both are known."""
    for held in ("test", "val", "valid", "validation", "eval"):
        names = ("train_accuracy", f"{held}_accuracy")
        if all(name in metrics for name in names):
            ends = [float(metrics[name].isel(train_epoch=-1).mean()) for name in names]
            if not np.isfinite(ends).all():
                return []
            gap = ends[0] - ends[1]
            if gap <= 0.005:
                return ["Held-out data are answered as well as those trained on."]
            return [
                f"Held-out data are answered right less often than those trained on, by {100 * gap:.1f} percentage points."
            ]
    return []


def gradient_words(phases: xr.Dataset) -> list[str]:
    """Where drift gives way to diffusion."""
    said = (
        "Gradients drift while the batches of an epoch agree on a direction, and diffuse when their differences outweigh it."
    )
    phases = phases.transpose("replica", "epoch", "layer", ...)
    states = phases["median_state"].values
    names = phases["layer"].values
    bare = ~np.isfinite(phases["gradient_mean"].values).any(axis=(0, 1))
    by_state: dict[str, list[str]] = {}
    for name, state, epoch, without in zip(names, states, phases["crossing_median"].values, bare, strict=True):
        text = f"{called(str(name))} at epoch {epoch_text(float(epoch))}" if state == "crossed" else called(str(name))
        by_state.setdefault("bare" if without else str(state), []).append(text)
    told = {
        "crossed": "Drift gives way to diffusion in {}.",
        "diffusion from the start": "Diffusion rules from the start in {}.",
        "never": "Drift lasts to the end in {}.",
        "bare": "There are no gradients, for want of parameters, in {}.",
        "undefined": "It cannot be told in {}, for want of several batches an epoch.",
    }
    return [said, *(told.get(state, f"{state}: {{}}.").format(listed(where)) for state, where in by_state.items())]


def claim_words(claims: list[Claim]) -> list[str]:
    """How many claims stood."""
    tally = Counter(claim.verdict for claim in claims)
    parts = [f"{tally[verdict]} {verdict}" for verdict in VERDICTS if tally[verdict]]
    quick = any(claim.scale == "quick" for claim in claims)
    scale = " The quick scale may leave open what the full one decides." if quick and tally["inconclusive"] else ""
    return [f"Of {count(len(claims), 'claim')}: {listed(parts)}.{scale}"]


def _whose(known: list[LayerNumbers], layers: list[LayerNumbers]) -> str:
    return "No layer" if len(known) == len(layers) else f"Of the layers that are not saturated ({_names(known)}) none"


def _names(layers: list[LayerNumbers]) -> str:
    return listed([layer.called for layer in layers])
