"""Flags put into sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.information.schema import FLAGS, flag_bit

__all__ = ["explain"]

#: Dimensions that a sentence tells apart; others are counted.
TOLD_APART = ("estimator", "network", "layer")

CONSEQUENCES = {
    "saturated": "It says how many samples there are, not what the layer knows: wider bins, more noise or more samples.",
    "clipped": "Bins that cover all values (range='data') would tell more apart.",
    "constant_units": "Such units carry no information; those of a layer that died look like compression.",
    "ties": "Add noise (noise=), which makes the values continuous, or use an estimator of discrete values (Binned).",
    "too_few_samples": "The value is biased by more than its interval says: more samples, fewer dimensions (SlicedMI), or "
    "coarser bins.",
    "ill_conditioned": "Some units are linear functions of others, or of x: the value rests on rounding errors.",
    "no_inputs": "Pass inputs=, or an estimator whose channel makes every sample its own x (Binned, Pairwise).",
    "no_labels": "Pass labels= or conditional=.",
    "deterministic": "A finite number would show the estimator and not the network. Bins, or noise=, make a channel.",
    "weighted": "Draw samples from p(x), or use Binned, Pairwise, GaussianMI or MatrixRenyi.",
    "not_gaussian": "The value is that of a normal with the same covariance; the truth can lie on either side.",
    "batch_ceiling": "The truth may be much larger: a larger batch_size, or an estimator without this ceiling.",
    "heavy_tails": "Transform the values (their ranks have the same information), or use Binned(range='quantiles').",
    "not_converged": "The truth may be larger: more epochs or more samples.",
    "unequal_scales": "What the smaller ones know is lost: give all the same scale, which changes no information.",
}


def explain(plane: xr.Dataset) -> str:
    """What the numbers of a Dataset are, and, a sentence each, why some of them cannot be believed.

    Arguments:
        plane: from an estimator, `fp.information_plane` or `fp.compare_estimators`.

    Raises:
        InputError: a Dataset without flags.

    Example:
        >>> import flowplane as fp
        >>> layer = 8 * [[0.1], [0.2], [0.9], [1.5]]
        >>> print(fp.explain(fp.Binned(2, range=(0, 1))(layer, 16 * [0, 1])))
        Binned: an estimate, in bits; channel: 2 equal bins on [0, 1].
        clipped: values fell outside the range of the bins and went into the end bins. Bins that cover all values
        (range='data') would tell more apart.
    """
    if not isinstance(plane, xr.Dataset) or "flags" not in plane:
        found = Text(type(plane).__name__ if not isinstance(plane, xr.Dataset) else "a Dataset without flags")
        raise InputError("plane", found, "what an estimator, fp.information_plane or fp.compare_estimators makes")
    lines = list(_channels(plane))
    flags = plane["flags"]
    for name in FLAGS:
        raised = (flags & flag_bit(name)) > 0
        if bool(raised.any()):
            where = _where(raised)
            lines.append(f"{name}{where}: {FLAGS[name]}. {CONSEQUENCES[name]}")
    if not bool((flags != 0).any()):
        lines.append("No flag is raised: nothing speaks against these values.")
    return "\n".join(lines)


def _channels(plane: xr.Dataset) -> Iterable[str]:
    """A sentence for each estimator: what kind of number, through which channel."""
    names = [str(name) for name in plane["estimator"].values.ravel()] if "estimator" in plane.coords else [""]
    for name in names:
        kind, channel, quantity = (_of(plane.attrs.get(key, ""), name, names) for key in ("kind", "channel", "quantity"))
        about = f"{_article(_said(kind))}, in bits; channel: {_said(channel)}"
        yield f"{name or plane.attrs.get('estimator', 'estimate')}: {about}{f'; {_said(quantity)}' if quantity else ''}."


def _of(attribute: Any, name: str, names: list[str]) -> Any:
    """An attribute, or this estimator's where it holds some estimators' own."""
    parts = json.loads(str(attribute)) if str(attribute).startswith("{") else attribute
    return parts.get(name, "") if isinstance(parts, dict) and set(parts) & set(names) else parts


def _said(value: Any) -> str:
    """One text, or the different ones of several layers."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    return "; ".join(sorted({str(part) for part in value.values()})) if isinstance(value, dict) else str(value)


def _article(kind: str) -> str:
    kind = kind or "estimate"
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _where(raised: xr.DataArray) -> str:
    """Which estimators, networks and layers, and in how many of the rest."""
    told = [dim for dim in TOLD_APART if dim in raised.dims]
    others = [dim for dim in raised.dims if dim not in told]
    share = raised.mean(others) if others else raised.astype(float)
    parts = []
    for dim in told:
        rest = [other for other in told if other != dim]
        touched = share.max(rest) > 0 if rest else share > 0
        if not bool(touched.all()) or dim == "estimator":
            parts.append(", ".join(str(value) for value in raised[dim].values[touched.values]))
    count, total = int(raised.sum()), raised.size
    if total > 1:
        parts.append("everywhere" if count == total else f"{count} of {total} values")
    return f" ({'; '.join(parts)})" if parts else ""
