"""What the numbers say, in sentences for people who have read neither paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import xarray as xr

from flowplane.analysis.compression import LOSS
from flowplane.core.results import Z, said
from flowplane.experiments.claim import VERDICTS, Claim
from flowplane.reporting.layers import GAIN, LayerNumbers, layers_called
from flowplane.reporting.markup import count, epoch_text, listed, number

__all__ = ["claim_words", "decodable_words", "geometry_words", "plane_words", "summary_words"]


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
    """What is known at the end, when the label was learned, and how far it can be trusted.

    Arguments:
        inputs, labels: H(X) and I(X;Y), bits; NaN where they are not known.
        bounds: what `i_xt` and `i_ty` are: "estimate", "lower" or "upper".
        single: whether there is one snapshot only.
        end: when the last snapshot was; empty is the end of training.
        resolution: at which I(X;T) is read; NaN where it has another channel.
    """
    when = end or "At the end of training"
    known = _known_at_the_end(layers, inputs, labels, bounds, when, resolution)
    learned = "One snapshot does not show what was learned, or when." if single else _learned(layers)
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
    size = ", ".join([last.called, *([count(last.width, "unit")] if last.width else [])])
    told = f"{when} the last layer ({size}) keeps "
    if not np.isfinite(last.i_xt.value):
        told += "an amount of information about the input that could not be measured"
    else:
        told += f"{of_input}{number(last.i_xt.value)}{ceiling}{at}{_between(last, 'i_xt') if 'i_xt' in last.far else ''}"
    if np.isfinite(last.i_ty.value) and last.i_ty.value <= 0:
        told += f", and no {'decodable ' if of_label else ''}information about the label"
    elif np.isfinite(last.i_ty.value):
        also = ", by the same estimator though not as a bound," if of_input and not of_label else ""
        share = f" ({100 * last.i_ty.value / labels:.0f} % of the {number(labels, 'bits')} there are)" if labels > 0 else ""
        share = _between(last, "i_ty") if "i_ty" in last.far else share
        told += f", and{also} {of_label}{number(last.i_ty.value, 'bits')} about the label{share}"
    return f"{told}."


def _between(layer: LayerNumbers, name: str) -> str:
    """Instead of a share, of a number whose ends are far apart."""
    low, high = map(number, layer.far[name])
    return f" (an estimate: its bounds lie far apart, the truth may lie anywhere between {low} and {high})"


def _learned(layers: list[LayerNumbers]) -> str:
    """When each layer had learned the label; which layers training did not change in this, and which lost some."""
    known = [layer for layer in layers if np.isfinite(layer.i_ty.value)]
    if not known:
        return "No labels were given, so there is no I(T;Y)."
    full = [layer for layer in known if layer.label_saturated]
    dated = [layer for layer in known if np.isfinite(layer.learned.epoch) and layer not in full]
    lost = [layer for layer in known if layer.learned.gain < -layer.learned.doubt and layer not in full]
    same = [layer for layer in known if layer not in dated and layer not in full and layer not in lost]
    parts = []
    if full:
        parts.append(
            f"In {_names(full, layers)} almost every input occupies its own cell: the estimate of I(T;Y) has saturated and "
            "says nothing there."
        )
    if dated:
        first, last = (pick(dated, key=lambda layer: layer.learned.epoch) for pick in (min, max))
        when = [f"by epoch {epoch_text(layer.learned.epoch)}" for layer in (first, last)]
        told = f"90 % of what training added to I(T;Y) was there {when[0]} in {_names(dated, layers)}."
        if first.learned.epoch < last.learned.epoch:
            told = f"90 % of what training added to I(T;Y) was there first in {first.called}, {when[0]}, and last in "
            told += f"{last.called}, {when[1]}."
        if any("i_ty" in layer.far for layer in dated):
            told = told.replace("90 %", "Nine tenths")
            told += " These dates are those of the estimate, whose bounds lie far apart."
        parts.append(told)
    if lost:
        most = max(lost, key=lambda layer: -layer.learned.gain)
        ends = f"from {number(most.learned.before)} to {number(max(most.i_ty.value, 0.0))} bits"
        parts.append(f"Training lost information about the label in {_names(lost, layers)}, most in {most.called} ({ends}).")
    if same:
        gained = max(abs(layer.learned.gain) for layer in same)
        most_changed = "less than 0.01 bits" if gained < 0.01 else f"at most {number(gained)} bits, within the error"
        before = ": it was there before training" if min(layer.learned.before for layer in same) > GAIN else ""
        parts.append(f"In {_names(same, layers)} training changed I(T;Y) by {most_changed}{before}.")
    return " ".join(parts)


def _trusted(layers: list[LayerNumbers]) -> str:
    """Which flags are raised at the last epoch, and where."""
    names = list(dict.fromkeys(flag for layer in layers for flag in layer.warnings))
    raised = {name.replace("_", " "): [layer for layer in layers if name in layer.flags] for name in names}
    raised |= {"bounds far apart": far} if (far := [layer for layer in layers if layer.far]) else {}
    if not raised:
        return "No validity warnings at the last epoch."
    told = "; ".join(f"{name} in {_names(where, layers)}" for name, where in raised.items())
    return f"Validity warnings at the last epoch: {told}. The section “Validity” says what they mean."


def plane_words(layers: list[LayerNumbers], epochs: np.ndarray) -> list[str]:
    """Whether layers compress: I(X;T) falls from a peak."""
    known = [layer for layer in layers if np.isfinite(layer.lost) and not layer.saturated]
    axes = "Each point is a layer at one epoch: to the right, what it still knows of its input; upwards, of the label."
    if len(epochs) < 2:
        return [axes, "One snapshot does not show whether layers compress."]
    if not known:
        why = "it is not known, or has saturated at the number of samples"
        return [axes, f"I(X;T) does not show whether layers compress: {why}."]
    fell = sorted((layer for layer in known if layer.compresses), key=lambda layer: -layer.lost)
    sank = [layer for layer in known if layer.lost > LOSS and layer not in fell]
    early = [layer for layer in sank if layer.peak_epoch <= epochs.min()]
    unsure = [layer for layer in sank if layer not in early]
    full = [layer for layer in layers if layer not in known]
    found = []
    if fell:
        top = [
            f"{layer.called} by {number(layer.lost, 'bits')} from epoch {epoch_text(layer.peak_epoch)} on{_also(layer)}"
            for layer in fell
        ]
        what = f"{'compresses' if len(fell) == 1 else 'compress'} (I(X;T) rises, then falls)"
        found.append(f"{len(fell)} of {count(len(layers), 'layer')} {what}: {listed(top, 4)}.")
    elif not sank:
        found.append(f"{_whose(known, layers)} compresses: I(X;T) never falls by more than {LOSS} bits.")
    else:
        found.append(f"{_whose(known, layers)} compresses.")
    if early:
        found.append(f"In {_names(early, layers)} I(X;T) falls without having risen first, which is not compression.")
    if unsure:
        found.append(f"In {_names(unsure, layers)} I(X;T) ends below its peak, but not beyond the error: inconclusive.")
    if full:
        found.append(f"In {_names(full, layers)} I(X;T) is not known or has saturated: inconclusive.")
    return [axes, *found]


def _also(layer: LayerNumbers) -> str:
    """At which resolutions a layer compresses."""
    if not layer.elsewhere:
        return ""
    where = "resolution" if len(layer.elsewhere) == 1 else "resolutions"
    return f" (at {where} {listed([f'{c:g}' for c in layer.elsewhere], 7)})"


def decodable_words(plane: xr.Dataset) -> list[str]:
    """Which layers add nothing that a probe could use, which lose some of it, and when the last one had all that it decodes
    in the end; nothing of planes that no probe read."""
    if said(plane, "i_ty", "estimator") != "Decodable" or not np.isfinite(plane["i_ty"]).any():
        return []
    ordered = plane.sortby("epoch").isel(replica=0)
    bits, error = ordered["i_ty"].values, ordered["i_ty_error"].values
    names = layers_called(plane)
    reduced = plane["reduction"].values if "reduction" in plane.coords else np.array([""] * len(names))
    doubt = Z * np.hypot(error[-1, 1:], error[-1, :-1])
    gains = np.diff(bits[-1])
    # only layers that became rows in the same way are compared: reducing loses something itself
    alike = reduced[1:] == reduced[:-1]
    some = (bits[-1, :-1] > Z * error[-1, :-1]) | (bits[-1, 1:] > Z * error[-1, 1:])
    idle = [names[k + 1] for k in np.flatnonzero((np.abs(gains) <= doubt) & alike & some)]
    losing = [
        f"{names[k + 1]}, from {number(bits[-1, k])} to {number(max(bits[-1, k + 1], 0.0), 'bits')}"
        for k in np.flatnonzero((gains < -doubt) & alike)
    ]
    found = []
    if bits[-1].max() <= Z * error[-1, int(bits[-1].argmax())]:
        return ["A linear probe decodes nothing about the label from any layer."]
    if idle:
        found.append(
            f"Nothing decodable is added by {listed(idle, 6)}: on the layer before, a linear probe does as well, within the "
            "error."
        )
    if losing:
        found.append(f"Some of what was decodable is lost in {'; in '.join(losing)}.")
    return [*found, *_decodable_since(bits[:, -1], error[:, -1], ordered["epoch"].values)]


def _decodable_since(bits: np.ndarray, error: np.ndarray, epochs: np.ndarray) -> list[str]:
    """When what the last layer decodes stops growing, or that it falls again."""
    peak = int(bits.argmax())
    near = bits >= bits[peak] - Z * error
    if len(bits) < 3 or near[0]:
        return ["What a probe decodes from the last layer falls during training."] if not near[-1] else []
    if not near[-1]:
        ends = f"{number(bits[peak], 'bits')} at epoch {int(epochs[peak]):,}, {number(max(bits[-1], 0.0))} at the end"
        return [f"What a probe decodes from the last layer is highest before the end: {ends}."]
    since = int(epochs[near.argmax()])
    return [f"What a probe decodes from the last layer no longer grows, beyond the error, after epoch {since:,}."]


def geometry_words(found: xr.Dataset) -> list[str]:
    """Over how many directions layers spread their points at the end, and how far classes have collapsed."""
    last = found.sortby("epoch").isel(epoch=-1).mean("replica")
    names = layers_called(found)
    told = [
        "The effective rank is the number of equal directions with the same matrix entropy as the layer, not centred: the "
        "mean that all samples share counts as a direction, which the participation ratio of “Transport” leaves out."
    ]
    ranks = last["dataset_rank"].values
    if np.isfinite(ranks).any():
        most, least = int(np.nanargmax(ranks)), int(np.nanargmin(ranks))
        if most == least:
            told.append(f"It is {number(float(ranks[most]))} in {names[most]}.")
        else:
            told.append(
                f"It is highest in {names[most]} ({number(float(ranks[most]))}) and lowest in {names[least]} "
                f"({number(float(ranks[least]))})."
            )
    within = last["collapse_within"].values
    if np.isfinite(within).any():
        least = int(np.nanargmin(within))
        told.append(
            f"Classes are tightest in {names[least]}: the variation within them is {number(float(within[least]))} of that "
            "between them (0 is neural collapse)."
        )
    if "curvature" in last and np.isfinite(last["curvature"]).any():
        straight = int(np.nanargmin(last["curvature"].values))
        turn = number(float(last["curvature"].values[straight]))
        told.append(f"Paths along the tokens are straightest in {names[straight]}: {turn} degrees per turn.")
    if "infonce" in last and np.isfinite(last["infonce"]).any():
        most = int(np.nanargmax(last["infonce"].values))
        bits = number(float(last["infonce"].values[most]), "bits")
        told.append(
            f"Two views of a sample are most alike in {names[most]}: one carries at least {bits} on which sample it shows."
        )
    if "lens_loss" in last and np.isfinite(last["lens_loss"]).any():
        best = int(np.nanargmin(last["lens_loss"].values))
        loss, unigram = (float(last[name].values[best]) for name in ("lens_loss", "unigram_loss"))
        less = f"{number(unigram - loss)} less than" if loss < unigram else "no less than"
        told.append(
            f"Read by the logit lens, {names[best]} predicts the next token best: {number(loss)} bits per token, {less} the "
            f"tokens' frequencies alone ({number(unigram)})."
        )
    return told


def claim_words(claims: list[Claim]) -> list[str]:
    """How many claims have each verdict."""
    tally = Counter(claim.verdict for claim in claims)
    parts = [f"{tally[verdict]} {verdict}" for verdict in VERDICTS if tally[verdict]]
    quick = any(claim.scale == "quick" for claim in claims)
    scale = " The full scale may decide what the quick one leaves open." if quick and tally["inconclusive"] else ""
    return [f"Of {count(len(claims), 'claim')}: {listed(parts)}.{scale}"]


def _whose(known: list[LayerNumbers], layers: list[LayerNumbers]) -> str:
    return (
        "No layer" if len(known) == len(layers) else f"Of the layers that have not saturated ({_names(known, layers)}) none"
    )


def _names(chosen: list[LayerNumbers], layers: list[LayerNumbers]) -> str:
    """How a sentence names these layers among all."""
    return "every layer" if len(chosen) == len(layers) > 1 else listed([layer.called for layer in chosen])
