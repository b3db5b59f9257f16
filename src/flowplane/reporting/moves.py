"""How each layer moves the data, in words (§A7, §A8)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from flowplane.analysis.explaining import flag_words
from flowplane.core.results import Flags, quantities
from flowplane.reporting.layers import layers_called
from flowplane.reporting.markup import Markup, count, listed, number, table

__all__ = ["move_words", "moves_by_layer", "transport_flags"]


def moves_by_layer(found: xr.Dataset | None) -> dict[str, str]:
    """A few words for each layer at the last epoch, means over replicas; empty without a transport profile."""
    if found is None:
        return {}
    last = _last(found)
    words = {}
    for k, name in enumerate(last["layer"].values):
        cost, optimality, directions, probe = (
            _value(last, key, k) for key in ("cost", "optimality", "participation", "probe")
        )
        if not np.isfinite(optimality):
            optimality = _value(last, "optimality_sliced", k)
        parts = []
        if np.isfinite(cost):
            parts.append(f"by {number(np.sqrt(cost))} (rms)")
        if np.isfinite(optimality):
            parts.append(f"{100 * optimality:.0f} % optimal")
        if np.isfinite(directions):
            parts.append(f"{number(directions)} directions used")
        if np.isfinite(probe):
            parts.append(f"linear-probe accuracy {100 * probe:.0f} %")
        words[str(name)] = "; ".join(parts) or "–"
    return words


def move_words(found: xr.Dataset | None) -> list[str]:
    """What becomes of points, dimensions and classes from the first layer to the last; nothing without a profile."""
    if found is None:
        return []
    last = _last(found)
    return [sentence for part in (_steps, _directions, _classes, _terms) for sentence in part(found, last)]


def _steps(found: xr.Dataset, last: xr.Dataset) -> Iterator[str]:
    names = layers_called(last)
    cost = last["cost"].values
    if np.isfinite(cost).any():
        k = int(np.nanargmax(cost))
        yield f"At the last epoch {names[k]} moves the data farthest: {number(np.sqrt(cost[k]))} (root mean square)."
    exact = last["optimality"].values
    by_slices = last["optimality_sliced"].values
    optimality, how = (exact, "") if np.isfinite(exact).any() else (by_slices, " at least, by slices")
    if np.isfinite(optimality).any():
        best, worst = int(np.nanargmax(optimality)), int(np.nanargmin(optimality))
        shares = [f"{100 * optimality[k]:.0f} %" for k in (best, worst)]
        told = f"{names[best]} comes nearest to it ({shares[0]}{how}), {names[worst]} is farthest from it ({shares[1]})."
        if shares[0] == shares[1]:
            alone = np.isfinite(optimality).sum() == 1
            told = f"{f'that of {names[best]} is' if alone else 'all are'} {shares[0]} optimal{how}."
            if shares[0] == "100 %":
                told += " Between few points in many dimensions hardly any pairing is shorter, whatever the layer does."
        yield f"A step is optimal (100 %) when no other map moves the points less and gives the same distribution: {told}"


def _directions(found: xr.Dataset, last: xr.Dataset) -> Iterator[str]:
    spread = last["participation"].values
    if np.isfinite(spread).all() and len(spread) > 1:
        first, end = number(spread[0]), number(spread[-1])
        yield f"The data spread over {first} directions in the first layer and {end} in the last (participation ratio)."


def _classes(found: xr.Dataset, last: xr.Dataset) -> Iterator[str]:
    probe = last["probe"].values
    if np.isfinite(probe).any():
        known = np.flatnonzero(np.isfinite(probe))
        start = float(found["probe_input"]) if "probe_input" in found else float("nan")
        names = layers_called(last)
        parts = [f"{100 * start:.0f} % on the inputs"] if np.isfinite(start) else []
        parts += [f"{100 * probe[k]:.0f} % on {names[k]}" for k in dict.fromkeys((known[0], known[-1]))]
        yield f"Linear-probe accuracy on held-out points: {listed(parts)}."


def _terms(found: xr.Dataset, last: xr.Dataset) -> Iterator[str]:
    attrs = found.attrs
    parts = [f"{attrs['samples']:,} samples"] if "samples" in attrs else []
    parts += [f"{count(found.sizes['replica'], 'replica')}", count(found.sizes["epoch"], "snapshot")]
    space = (
        f"; layers of different width share a space by the embedding “{attrs['embedding']}”" if "embedding" in attrs else ""
    )
    exact = int(min(attrs.get("exact_samples", 0), attrs.get("samples", np.inf)))
    if exact:
        planned = int(attrs.get("exact_snapshots", found.sizes["epoch"]))
        some = f" at {planned} of these" if planned < found.sizes["epoch"] else ""
        parts.append(f"exact plans between {exact:,} points{some}")
    yield f"Measured with {listed(parts)}{space}."


def transport_flags(found: xr.Dataset | None) -> Markup:
    """Why values of the transport profile are missing, where, and what to do."""
    if found is None or "flags" not in found:
        return Markup("")
    rows, words = [], flag_words(found)
    for name, raised in Flags.raised(found["flags"]).items():
        layers = [str(layer) for layer in found["layer"].values[raised.any(["replica", "epoch"]).values]]
        rows.append(
            [
                name.replace("_", " "),
                listed(layers, 12),
                f"{100 * int(raised.sum()) / raised.size:.0f} % of all values",
                f"{words[name].meaning[:1].upper()}{words[name].meaning[1:]}.",
                words[name].advice,
            ]
        )
    if not rows:
        return Markup("")
    return table(
        "Missing values of the transport profile", ["flag", "layers", "how often", "what it means", "what to do"], rows
    )


def _last(found: xr.Dataset) -> xr.Dataset:
    ordered = found.sortby("epoch").isel(epoch=-1)
    names = [name for name in quantities(ordered) if set(ordered[name].dims) == {"replica", "layer"}]
    return ordered[names].mean("replica", skipna=True)


def _value(last: xr.Dataset, name: str, layer: int) -> float:
    return float(last[name].values[layer]) if name in last else float("nan")
