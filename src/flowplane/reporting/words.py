"""What the numbers say, in sentences for people who have read neither paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import xarray as xr

from flowplane.analysis.compression import LOSS
from flowplane.core.results import Z, said
from flowplane.experiments.claim import VERDICTS, Claim
from flowplane.plot.figures.metrics import split_name
from flowplane.reporting.layers import GAIN, LayerNumbers
from flowplane.reporting.markup import called, count, epoch_text, listed, number

__all__ = [
    "claim_words",
    "decodable_words",
    "geometry_words",
    "gradient_words",
    "plane_words",
    "summary_words",
    "training_words",
]


#: What stands before a number that is a bound.
BEFORE = {"lower": "at least ", "upper": "at most "}


def summary_words(
    layers: list[LayerNumbers],
    inputs: float,
    labels: float,
    bounds: Mapping[str, str],
    single: bool = False,
    end: str = "",
    resolution: float = float("nan"),
) -> list[str]:
    """What is known at the end, who let go of the input, when the label was learned, and how much of it can be trusted.

    Arguments:
        inputs, labels: H(X) and I(X;Y), bits; NaN where they are not known.
        bounds: what `i_xt` and `i_ty` are: "estimate", "lower" or "upper".
        single: whether there is one snapshot only.
        end: when the last snapshot was; empty is the end of training.
        resolution: at which I(X;T) is read; NaN where it has another channel.
    """
    when = end or "At the end of training"
    known = _known_at_the_end(layers, inputs, labels, bounds, when, resolution)
    learned = "Of one snapshot it cannot be said what was learned, nor when." if single else _learned(layers)
    return [known, learned, _trusted(layers)]


def _known_at_the_end(
    layers: list[LayerNumbers], inputs: float, labels: float, bounds: Mapping[str, str], when: str, resolution: float
) -> str:
    last = layers[-1]
    of_input, of_label = (BEFORE.get(bounds.get(name, ""), "") for name in ("i_xt", "i_ty"))
    if abs(inputs) < 1e-9:
        return f"{when} there is nothing to know: all inputs are the same."
    at = f" at resolution {resolution:g}" if np.isfinite(resolution) else ""
    ceiling = f" of the {number(inputs, 'bits')} in the input" if np.isfinite(inputs) else " bits about the input"
    said = f"{when} the last layer, {last.name} ({count(last.width, 'unit')}), keeps "
    if not np.isfinite(last.i_xt.value):
        said += "an amount of information about the input that could not be measured"
    else:
        said += f"{of_input}{number(last.i_xt.value)}{ceiling}{at}{_between(last, 'i_xt') if 'i_xt' in last.far else ''}"
    if np.isfinite(last.i_ty.value):
        also = ", by the same estimator though not as a bound," if of_input and not of_label else ""
        share = f" ({100 * last.i_ty.value / labels:.0f} % of the {number(labels, 'bits')} there are)" if labels > 0 else ""
        share = _between(last, "i_ty") if "i_ty" in last.far else share
        said += f", and{also} {of_label}{number(last.i_ty.value, 'bits')} about the label{share}"
    return f"{said}."


def _between(layer: LayerNumbers, name: str) -> str:
    """Instead of a share, of a number whose ends are far apart."""
    low, high = map(number, layer.far[name])
    return f" (an estimate: its bounds lie far apart, the truth may lie anywhere between {low} and {high})"


def _learned(layers: list[LayerNumbers]) -> str:
    known = [layer for layer in layers if np.isfinite(layer.i_ty.value)]
    if not known:
        return "There were no labels, so what the layers know of them cannot be said."
    full = [layer for layer in known if layer.label_saturated]
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
        if any("i_ty" in layer.far for layer in dated):
            said = said.replace("90 %", "nine tenths").replace("nine tenths of what", "Nine tenths of what")
            said += " These dates are those of the estimate, whose bounds lie far apart."
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
    flagged = [layer for layer in layers if layer.flags or layer.far]
    if not flagged:
        return "No flag speaks against any of these numbers at the last epoch."
    clean = [layer for layer in layers if layer not in flagged]
    best = f"; nothing speaks against those of {_names(clean)}" if clean else ""
    if not any(layer.flags for layer in layers):
        return f"At the last epoch the bounds lie far apart in {_names(flagged)}: “Validity” says what that means{best}."
    return f"At the last epoch a flag is raised in {_names(flagged)}: “Validity” says what that means{best}."


def plane_words(layers: list[LayerNumbers], epochs: np.ndarray) -> list[str]:
    """Whether layers compress: I(X;T) falls from a peak."""
    known = [layer for layer in layers if np.isfinite(layer.lost) and not layer.saturated]
    said = "Each point is a layer at one epoch: to the right, what it still knows of its input; upwards, of the label."
    if len(epochs) < 2:
        return [said, "Of one snapshot it cannot be said whether layers compress."]
    if not known:
        return [said, "I(X;T) is not known, or no more than the number of samples: whether layers compress cannot be said."]
    fell = sorted((layer for layer in known if layer.compresses), key=lambda layer: -layer.lost)
    if not fell:
        sank = [layer for layer in known if layer.lost > LOSS]
        if not sank:
            whose = _whose(known, layers)
            return [said, f"{whose} lets go of more than {LOSS} bits of what it held about its input: no compression."]
        what = "what is lost had not been gained first, or is within the error"
        return [said, f"{_whose(known, layers)} compresses: in {_names(sank)} I(X;T) is lower in the end, but {what}."]
    top = [
        f"{layer.called} by {number(layer.lost, 'bits')} (peak at epoch {epoch_text(layer.peak_epoch)}{_also(layer)})"
        for layer in fell
    ]
    moved = f"{len(fell)} of {count(len(layers), 'layer')} compress: above what it was at the start, I(X;T) then falls"
    left = [layer for layer in layers if layer not in fell]
    still = f" {_names(left)} {'does' if len(left) == 1 else 'do'} not, or cannot be read." if left else ""
    return [said, f"{moved}, {listed(top, 4)}.{still}"]


def _also(layer: LayerNumbers) -> str:
    """At which resolutions a layer compresses."""
    return f"; at resolutions {listed([f'{c:g}' for c in layer.elsewhere])}" if layer.elsewhere else ""


def decodable_words(plane: xr.Dataset) -> list[str]:
    """Which layers add nothing that a probe could use, and when the last one had all that it decodes in the end; nothing of
    planes that no probe read."""
    if said(plane, "i_ty", "estimator") != "Decodable" or not np.isfinite(plane["i_ty"]).any():
        return []
    ordered = plane.sortby("epoch").isel(replica=0)
    bits, error = ordered["i_ty"].values, ordered["i_ty_error"].values
    names = [called(str(name)) for name in plane["layer"].values]
    reduced = plane["reduction"].values if "reduction" in plane.coords else np.array([""] * len(names))
    doubt = Z * np.hypot(error[-1, 1:], error[-1, :-1])
    # only layers that became rows in the same way are compared: reducing loses something itself
    idle = [names[k + 1] for k in np.flatnonzero((np.diff(bits[-1]) <= doubt) & (reduced[1:] == reduced[:-1]))]
    found = []
    if idle:
        found.append(
            f"What {listed(idle, 6)} {'adds' if len(idle) == 1 else 'add'} to the layer before cannot be told from "
            "nothing: a linear readout before does as well."
        )
    if len(bits) > 2:
        near = bits[:, -1] >= bits[:, -1].max() - Z * error[:, -1]
        first = int(ordered["epoch"].values[int(near.argmax())])
        found.append(f"From epoch {first:,} on the last layer decodes all that it ever does, within the error.")
    return found


def geometry_words(found: xr.Dataset) -> list[str]:
    """Over how many directions layers spread their points at the end, and how far classes have collapsed."""
    last = found.sortby("epoch").isel(epoch=-1).mean("replica")
    names = [called(str(name)) for name in found["layer"].values]
    said = [
        "The effective rank is the number of equal directions whose matrix entropy is that of the layer, counted from 0: "
        "the mean that all samples share is a direction too, which the participation ratio of “Transport” leaves out."
    ]
    ranks = last["dataset_rank"].values
    if np.isfinite(ranks).any():
        most, least = int(np.nanargmax(ranks)), int(np.nanargmin(ranks))
        said.append(
            f"It is {number(float(ranks[most]))} in {names[most]} and {number(float(ranks[least]))} in {names[least]}."
        )
    within = last["collapse_within"].values
    if np.isfinite(within).any():
        least = int(np.nanargmin(within))
        said.append(
            f"Classes are drawn together most in {names[least]}: variation within them is {number(float(within[least]))} of "
            "that between them (0 is neural collapse)."
        )
    if "curvature" in last and np.isfinite(last["curvature"]).any():
        straight = int(np.nanargmin(last["curvature"].values))
        turn = number(float(last["curvature"].values[straight]))
        said.append(f"Paths along the tokens are straightest in {names[straight]}, {turn} degrees a turn.")
    if "infonce" in last and np.isfinite(last["infonce"]).any():
        most = int(np.nanargmax(last["infonce"].values))
        bits = number(float(last["infonce"].values[most]), "bits")
        said.append(
            f"Two views of a sample are most alike in {names[most]}: one says at least {bits} of which sample it is."
        )
    if "lens_loss" in last and np.isfinite(last["lens_loss"]).any():
        best = int(np.nanargmin(last["lens_loss"].values))
        loss, unigram = (float(last[name].values[best]) for name in ("lens_loss", "unigram_loss"))
        less = f"{number(unigram - loss)} less than" if loss < unigram else "no less than"
        said.append(
            f"Read as a prediction, {names[best]} says the next token best: {number(loss)} bits a token, {less} the "
            f"tokens' frequencies alone ({number(unigram)})."
        )
    return said


def training_words(metrics: xr.Dataset) -> list[str]:
    """Where each metric began and ended, means over replicas."""
    parts, broken = [], []
    for name in list(map(str, metrics.data_vars))[:6]:
        values = metrics[name].transpose("replica", "train_epoch").values
        bad = _not_finite(values)
        if bad is not None:
            what = "infinite" if np.isinf(values[:, bad]).any() else "NaN"
            broken.append(f"{_metric(name)} is {what} from epoch {int(metrics['train_epoch'].values[bad]):,}")
        mean = metrics[name].where(np.isfinite(metrics[name])).mean("replica").dropna("train_epoch")
        if not len(mean):
            continue
        units = str(metrics[name].attrs.get("units", ""))
        shown = f" {units}" if units and units != "fraction" else ""
        ends = [number(float(mean[place])) for place in (0, -1)]
        moved = f"went from {ends[0]} to {ends[1]}" if len(mean) > 1 else f"was {ends[0]}"
        known = f" by epoch {int(mean['train_epoch'][-1]):,}" if bad is not None and len(mean) > 1 else ""
        parts.append(f"{_metric(name)} {moved}{shown}{known}")
    said = listed(broken)
    sentences = [f"{said[0].upper()}{said[1:]}."] if said else []
    if not parts:
        return sentences
    epochs = metrics["train_epoch"].values
    when = f"From epoch {int(epochs[0]):,} to {int(epochs[-1]):,}" if len(epochs) > 1 else f"At epoch {int(epochs[0]):,}"
    return [*sentences, f"{when}: {listed(parts)}.", *_gap(metrics)]


def _metric(name: str) -> str:
    part, quantity = split_name(name)
    return quantity if part == quantity else f"{PARTS.get(part, part)} {quantity}"


def _not_finite(values: np.ndarray) -> int | None:
    """Place of the first epoch from which a metric (replica, epoch) is NaN or infinite to the end, in any replica.

    A metric with gaps may only not have been given: of such a one infinite values alone count.
    """
    places = []
    for row in values:
        if np.isinf(row).any():
            places.append(int(np.isinf(row).argmax()))
        elif np.isnan(row[-1:]).any() and not np.isnan(row).all():
            last = int(np.flatnonzero(~np.isnan(row))[-1])
            places += [last + 1] if not np.isnan(row[:last]).any() else []
    return min(places, default=None)


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
        "bare": "No gradients were met in {} (no parameters, or frozen).",
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
