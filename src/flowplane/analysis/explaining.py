"""Results in sentences: what the numbers of a Dataset are, and why some of them cannot be believed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from flowplane.core.older import modern
from flowplane.core.results import BOUNDS, RESULTS, Flag, Flags, long_name, own_flags, quantities, result_of, said
from flowplane.information.schema import FLAGS

__all__ = ["direction_words", "estimate_words", "explain", "flag_words", "raised_flags"]

#: Dimensions that a sentence names; others are counted.
TOLD_APART = ("estimator", "network", "layer")
#: Variables of estimates that a sentence of their own would only repeat.
ASIDE = ("dominant_unit",)
#: What a sentence says of an estimate besides its bound: what it is instead of the usual thing.
ABOUT = ("estimator", "bound", "channel", "quantity")


def explain(dataset: xr.Dataset) -> str:
    """What the numbers of a result are, and, a sentence each, why some of them cannot be believed.

    Arguments:
        dataset: any Dataset that flowplane made, of this version or an older one.

    Raises:
        InputError: anything else, or a result that this version does not know.

    Example:
        >>> import flowplane as fp
        >>> layer = 8 * [[0.1], [0.2], [0.9], [1.5]]
        >>> print(fp.explain(fp.Binned(2, range=(0, 1))(layer, 16 * [0, 1])))
        Binned: an estimate, in bits; channel: 2 equal bins on [0, 1].
        clipped: values fell outside the range of the bins and went into the end bins. Bins that cover all values
        (range='data') would resolve more.
    """
    if isinstance(dataset, xr.Dataset):
        dataset = modern(dataset)
    result = result_of(dataset)
    lines = [*_of_result(dataset, result), *estimate_words(dataset)]
    raised = raised_flags(dataset)
    for name, (where, concerned) in raised.items():
        more = f" {direction_words(dataset)}" if name == "few_directions" else ""
        lines.append(f"{name}{_where(dataset, where, concerned)}: {_sentences(flag_words(dataset)[name])}{more}".rstrip())
    if not raised and "flags" in dataset:
        lines.append("No validity warnings.")
    return "\n".join(lines)


def flag_words(dataset: xr.Dataset) -> Flags:
    """The alphabet of a Dataset's flags; those of estimates made before files held the words have today's."""
    alphabet = Flags.of(dataset["flags"])
    return Flags({name: flag if flag.meaning else FLAGS.get(name, flag) for name, flag in alphabet.items()})


def raised_flags(dataset: xr.Dataset) -> dict[str, tuple[xr.DataArray, list[str]]]:
    """By the name of each flag that is raised: where, and the quantities that it is raised for, in the alphabet's order.

    A flag that `flags` holds and no quantity does concerns none in particular.
    """
    if "flags" not in dataset:
        return {}
    own = {name: Flags.raised(flags) for name, flags in own_flags(dataset).items()}
    found = {}
    for flag, where in Flags.raised(dataset["flags"]).items():
        found[flag] = (where, [name for name, raised in own.items() if flag in raised])
    return found


def direction_words(dataset: xr.Dataset) -> str:
    """Which unit holds half of the variance, layer by layer, where few directions hold it all.

    Example:
        >>> import flowplane as fp
        >>> rows = np.random.default_rng(0).normal(size=(50, 6)) * [1, 1, 90, 1, 1, 1]
        >>> direction_words(fp.Pairwise(0.1, relative="total")(rows))
        'Unit 2 holds half of it or more.'
    """
    raised = Flags.raised(dataset["i_xt_flags"]).get("few_directions") if "i_xt_flags" in dataset else None
    if raised is None or "dominant_unit" not in dataset:
        return ""
    where = raised.any("resolution") if "resolution" in raised.dims else raised
    layers = dataset["layer"].values.tolist() if "layer" in where.dims else [None]
    found: dict[str, list[str]] = {}
    for layer in layers:
        here, units = (part if layer is None else part.sel(layer=layer) for part in (where, dataset["dominant_unit"]))
        if bool(here.any()):
            seen = np.unique(units.values[here.transpose(*units.dims).values]).tolist()
            alone = ", ".join(str(unit) for unit in seen if unit >= 0)
            found.setdefault(alone, []).append("" if layer is None else str(layer))
    parts = []
    for units_said, names in found.items():
        whose = f" in {', '.join(names)}" if names[0] else ""
        several = "," in units_said
        what = f"unit{'s' if several else ''} {units_said} {'hold' if several else 'holds'} half of it or more{whose}"
        parts.append(what if units_said else f"one direction, of several units, holds most of it{whose}")
    said = "; ".join(parts)
    return f"{said[:1].upper()}{said[1:]}."


def estimate_words(dataset: xr.Dataset) -> Iterator[str]:
    """A sentence for each estimator, or for quantities that have different ones: what kind of number, which channel."""
    labels = dataset["estimator"].values.ravel().tolist() if "estimator" in dataset.coords else [None]
    along = "estimator" in dataset.dims
    estimated = [name for name in quantities(dataset) if "bound" in dataset[name].attrs]
    for label in labels:
        groups: dict[tuple[str, ...], list[str]] = {}
        at = {"estimator": label} if along else {}
        given = [name for name in estimated if bool(dataset[name].sel(at).notnull().any())]
        for name in given or estimated:
            units = str(dataset[name].attrs.get("units", "1"))
            about = (*(said(dataset, name, key, **at) for key in ABOUT), "" if units == "1" else f", in {units}")
            groups.setdefault(about, []).append(name)
        for (estimator, bound, channel, quantity, units), names in groups.items():
            of_all = len(groups) == 1 and len(estimated) == len(quantities(dataset))
            whose = "" if of_all else f" ({', '.join(long_name(dataset, name) for name in names)})"
            kind = f"{BOUNDS.get(bound, bound)}{units}; channel: {channel}{'; ' if quantity else ''}{quantity}"
            yield f"{label or estimator or 'estimate'}{whose}: {kind}."


def _of_result(dataset: xr.Dataset, result: str) -> Iterator[str]:
    """What a result is and which numbers it holds, where an estimator has not made all of it."""
    plain = [name for name in quantities(dataset) if "bound" not in dataset[name].attrs and name not in ASIDE]
    if plain or not quantities(dataset):
        units = [f"{name} [{dataset[name].attrs['units']}]" for name in plain if "units" in dataset[name].attrs]
        holds = f". Holds {', '.join(units)}" if units else ""
        yield f"{result}: {RESULTS[result]}{holds}."


def _sentences(flag: Flag) -> str:
    if not flag.meaning:
        return "a flag of another version of flowplane, whose words this one does not know."
    return f"{flag.meaning}. {flag.advice}".strip()


def _where(dataset: xr.Dataset, raised: xr.DataArray, concerned: list[str]) -> str:
    """Which quantities, estimators, networks and layers, and how many of the rest."""
    parts = []
    if concerned and len(concerned) < len(own_flags(dataset)):
        parts.append(", ".join(long_name(dataset, name) for name in concerned))
    told = [dim for dim in TOLD_APART if dim in raised.dims]
    others = [dim for dim in raised.dims if dim not in told]
    share = raised.mean(others) if others else raised.astype(float)
    for dim in told:
        rest = [other for other in told if other != dim]
        touched = share.max(rest) > 0 if rest else share > 0
        if not bool(touched.all()) or dim == "estimator":
            parts.append(", ".join(str(value) for value in np.atleast_1d(raised[dim].values)[touched.values]))
    count, total = int(raised.sum()), raised.size
    if total > 1:
        parts.append("everywhere" if count == total else f"{count} of {total} values")
    return f" ({'; '.join(parts)})" if parts else ""
