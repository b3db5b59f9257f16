"""The tables of a report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import xarray as xr

from flowplane.analysis.explaining import direction_words
from flowplane.analysis.explaining import flag_words as alphabet
from flowplane.core.results import BOUNDS, Flags, said
from flowplane.experiments.claim import Claim
from flowplane.reporting.layers import FAR, GAIN, LayerNumbers, Quantity, counts
from flowplane.reporting.ledger import measured_text, reference_text, why_inconclusive
from flowplane.reporting.markup import Markup, count, element, epoch_text, interval, joined, listed, number, table

__all__ = [
    "claims_rows",
    "difference_table",
    "flag_words",
    "layer_table",
    "raised_flags",
    "settings_table",
    "validity_table",
]


#: Flags that leave a number out, the likeliest first.
ABSENT = ("no_inputs", "deterministic", "weighted", "too_few_samples", "constant_units", "ill_conditioned")


def layer_table(
    layers: list[LayerNumbers],
    moves: dict[str, str],
    replicas: int,
    bounds: Mapping[str, str],
    single: bool = False,
    resolution: float = float("nan"),
) -> Markup:
    """Layer by layer: what it knows, how it moves the data, when it learned, whether this can be trusted.

    Arguments:
        moves: by layer, how it moves the data.
        bounds: what `i_xt` and `i_ty` are: "estimate", "lower" or "upper".
        single: whether there is one snapshot only.
        resolution: at which I(X;T) is read; NaN where it has another channel.
    """
    head = ["layer", "knows of the input, I(X;T) [bits]", "knows of the label, I(T;Y) [bits]"]
    head += ["moves the data"] if moves else []
    head += ["90 % of the gain in I(T;Y) by epoch", "validity"]
    rows = []
    for layer in layers:
        name = joined(layer.name, element("small", _what(layer)))
        cells: list[Any] = [
            name,
            _known(layer.i_xt, layer.flags, ABSENT) + _denoised(layer),
            _known(layer.i_ty, layer.flags, ("no_labels", *ABSENT)),
        ]
        cells += [moves.get(layer.name, "–")] if moves else []
        rows.append([*cells, _learned(layer, replicas, single), flag_words(layer.warnings, layer.far)])
    which = f"95 % interval of the mean over {replicas} replicas" if replicas > 1 else "95 % interval of the estimate"
    at = f" at resolution {resolution:g}" if np.isfinite(resolution) else ""
    titles = {"i_xt": f"I(X;T){at}", "i_ty": "I(T;Y)"}
    what = "".join(f"; {titles[name]} is {BOUNDS[bound]}" for name, bound in bounds.items() if bound != "estimate")
    return table(
        f"Layer by layer at the {'only' if single else 'last'} epoch; in brackets the {which}{what}",
        head,
        rows,
        class_="layers",
    )


def _what(layer: LayerNumbers) -> str:
    """What a layer is and how many units it has."""
    parts = [layer.kind, count(layer.width, "unit") if layer.width else ""]
    text = ", ".join(filter(None, parts))
    return f" {text}" if text else ""


def _known(part: Quantity, flags: dict[str, float], reasons: tuple[str, ...]) -> str:
    """A number with its interval; where there is none, the flag that says why."""
    if np.isfinite(part.value):
        return interval(part.value, part.lower, part.upper)
    why = next((name for name in reasons if name in flags), "")
    return f"– ({why.replace('_', ' ')})" if why else "–"


def _denoised(layer: LayerNumbers) -> str:
    """Where almost every input occupies its own cell, what denoising says beside it."""
    found = layer.denoised
    if not (layer.saturated and np.isfinite(found.value)):
        return ""
    return f"; by denoising at most {interval(found.value, found.lower, found.upper)}"


def _learned(layer: LayerNumbers, replicas: int, single: bool) -> str:
    learned = layer.learned
    if single:
        return "– (one snapshot)"
    if layer.label_saturated:
        return "– (saturated)"
    if np.isfinite(learned.epoch):
        spread = f" [{epoch_text(learned.lower)}, {epoch_text(learned.upper)}]" if learned.replicas > 1 else ""
        some = f", in {learned.replicas} of {replicas} replicas" if learned.replicas < replicas else ""
        return f"{epoch_text(learned.epoch)}{spread}{some}"
    if not np.isfinite(learned.gain):
        return "– (no labels)"
    if learned.gain < -learned.doubt:
        return f"– (lost {number(-learned.gain, 'bits')})"
    if learned.before > GAIN:
        return f"– ({number(learned.before, 'bits')} before training)"
    return "– (nothing gained)" if learned.gain < 0.01 else f"– (gained {number(learned.gain, 'bits')}, within the error)"


def flag_words(flags: dict[str, float], far: Collection[str] = ()) -> Markup:
    """The flags of a layer, with the share of replicas that carry them, as links to what they mean."""
    if not flags and not far:
        return element("span", "✓ no warning", class_="fine")
    parts: list[Any] = []
    for name, share in flags.items():
        said = name.replace("_", " ") + ("" if share == 1 else f" ({100 * share:.0f} %)")
        parts += [Markup(", ") if parts else "", element("a", said, href="#validity")]
    if far:
        parts += [Markup(", ") if parts else "", element("a", "bounds far apart", href="#validity")]
    return element("span", "⚠ ", *parts, class_="caution")


def raised_flags(plane: xr.Dataset) -> dict[str, tuple[list[str], int, int]]:
    """Each flag raised: in which layers, how often at all epochs, and how often at the last one."""
    found = {}
    for name, raised in Flags.raised(plane["flags"]).items():
        if counts(plane, name):
            layers = plane["layer"].values[raised.any(["replica", "epoch"]).values]
            found[name] = ([str(layer) for layer in layers], int(raised.sum()), int(raised.isel(epoch=-1).sum()))
    return found


def validity_table(plane: xr.Dataset, layers_numbers: list[LayerNumbers]) -> Markup:
    """Every flag raised, and where bounds lie far apart: what it means, what to do."""
    raised, words = raised_flags(plane), alphabet(plane)
    far = [layer for layer in layers_numbers if layer.far]
    if not raised and not far:
        return Markup("")
    total, last = plane["flags"].size, plane["flags"].isel(epoch=-1).size
    rows = []
    for name, (layers, often, end) in raised.items():
        share = f"{_percent(often / total)} of all values, {_percent(end / last)} of those at the last epoch"
        means = _sentence(words[name].meaning)
        means += f" {direction_words(plane)}" if name == "few_directions" else ""
        rows.append([name.replace("_", " "), listed(layers, 12), share, means, words[name].advice])
    if far:
        rows.append(
            [
                "bounds far apart",
                listed([layer.name for layer in far], 12),
                "at the last epoch",
                *far_apart_words(far, said(plane, "i_ty", "estimator")),
            ]
        )
    return table("Flags raised", ["flag", "layers", "how often", "what it means", "what to do"], rows)


def far_apart_words(far: list[LayerNumbers], estimator: str) -> tuple[str, str]:
    """What it means that bounds lie far apart, and what to do."""
    which = [text for name, text in (("i_xt", "I(X;T)"), ("i_ty", "I(T;Y)")) if any(name in layer.far for layer in far)]
    said = f"The interval of {listed(which)} is wider than {FAR:.0%} of what is possible: the truth may lie anywhere in it."
    if estimator == "Pairwise" and "I(T;Y)" in which:
        said += " Pairwise's I(T;Y) is a difference of bounds, and the truth may lie anywhere between them."
    return (
        said,
        "Do not read percentages off it; compare layers and epochs with care, or use another estimator or more samples.",
    )


def claims_rows(claims: list[Claim]) -> Markup:
    """The ledger: id, role, statement, measured, reference, verdict, scale."""
    rows = []
    for claim in claims:
        statement = f"{claim.statement} ({claim.units})" if claim.units else claim.statement
        measured, reference = (_lines(text) for text in (measured_text(claim), reference_text(claim)))
        sign = {"reproduced": "✓", "contradicted": "✗", "inconclusive": "?", "not run": "–"}[claim.verdict]
        verdict = element("span", f"{sign} {claim.verdict}", class_=f"verdict {claim.verdict.replace(' ', '-')}")
        if claim.verdict == "inconclusive":
            verdict = joined(verdict, element("small", f" {why_inconclusive(claim)}"))
        rows.append([element("code", claim.id), claim.role, statement, measured, reference, verdict, claim.scale])
    head = ["claim", "role", "statement", "measured [95 %]", "reference", "verdict", "scale"]
    return table("Claims of the papers, as tested here", head, rows, class_="claims")


def difference_table(first: list[LayerNumbers], second: list[LayerNumbers], titles: tuple[str, str]) -> Markup:
    """Layers of two recordings side by side, by name where names are shared; otherwise the last with the last."""
    others = {layer.name: layer for layer in second}
    pairs = [(layer, others[layer.name]) for layer in first if layer.name in others] or [(first[-1], second[-1])]
    head = ["layer"]
    for quantity in ("I(X;T) [bits]", "I(T;Y) [bits]", "learned by epoch"):
        head += [f"{quantity}, {titles[0]}", f"{quantity}, {titles[1]}", "difference"]
    rows = []
    for layer, other in pairs:
        name = layer.name if layer.name == other.name else f"{layer.name} / {other.name}"
        cells: list[Any] = [name]
        for one, two, shown in (
            (layer.i_xt.value, other.i_xt.value, number),
            (layer.i_ty.value, other.i_ty.value, number),
            (layer.learned.epoch, other.learned.epoch, epoch_text),
        ):
            cells += [shown(one), shown(two), _signed(two - one, shown)]
        rows.append(cells)
    left = []
    for place, layers in enumerate((first, second)):
        alone = [layer.name for layer in layers if all(layer is not pair[place] for pair in pairs)]
        left += [f"{listed(alone)} of {titles[place]}"] if alone else []
    out = f"; without a counterpart and left out: {'; '.join(left)}" if left else ""
    return table(f"Differences at the last epoch: {titles[1]} minus {titles[0]}{out}", head, rows)


def settings_table(first: dict[str, str], second: dict[str, str], titles: tuple[str, str]) -> Markup:
    """What was set differently."""
    names = [
        name for name in [*first, *(name for name in second if name not in first)] if name not in ("recording", "this page")
    ]
    rows = [[name, first.get(name, "–"), second.get(name, "–")] for name in names if first.get(name) != second.get(name)]
    return table("What was set differently", ["setting", *titles], rows) if rows else Markup("")


def _signed(value: float, shown: Callable[[float], str]) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{shown(abs(value))}" if np.isfinite(value) else "–"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _lines(text: str) -> Markup:
    parts: list[Any] = []
    for line in text.splitlines():
        parts += [Markup("<br>") if parts else "", line]
    return joined(*parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
