"""What the gradients say: where drift gives way to diffusion, and which layers do not learn at all (§B5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from flowplane.reporting.layers import layers_called
from flowplane.reporting.markup import epoch_text, listed

__all__ = ["gradient_words", "idle_layers", "idle_words"]


def idle_layers(gradients: xr.Dataset) -> list[str]:
    """The layers with parameters of which none moves: no gradient reaches an optimiser, or it is 0, and the norm of the
    weights stays as it is.

    Arguments:
        gradients: `rec.gradients`, of a recording in which an optimiser took steps.
    """
    given = gradients.transpose("replica", "epoch", "layer")
    norm = given["weight_norm"].values
    known = np.isfinite(norm).any(axis=1).all(axis=0)
    lowest, highest = (
        pick(np.where(np.isfinite(norm), norm, worst), axis=1) for pick, worst in ((np.min, np.inf), (np.max, -np.inf))
    )
    still = (lowest == highest).all(axis=0)
    pulled = (np.nan_to_num(given["gradient_mean"].values) != 0).any(axis=(0, 1))
    return [str(name) for name in given["layer"].values[known & still & ~pulled]]


def idle_words(idle: Sequence[str]) -> list[str]:
    """Layers of which no parameter moves.

    Arguments:
        idle: how a sentence calls them.
    """
    if not idle:
        return []
    why = "frozen, not given to the optimiser, or without a gradient, as in front of dead units"
    return [f"No parameter moves in {listed(idle)}: {why}."]


def gradient_words(phases: xr.Dataset, idle: Sequence[str] = ()) -> list[str]:
    """Where drift gives way to diffusion.

    Arguments:
        idle: names of layers of which no parameter moves, of which other sentences speak.
    """
    meaning = (
        "Gradients drift while the mini-batches of an epoch agree on a direction (a high signal-to-noise ratio), and "
        "diffuse when the differences between batches outweigh it."
    )
    phases = phases.transpose("replica", "epoch", "layer", ...)
    bare = ~np.isfinite(phases["gradient_mean"].values).any(axis=(0, 1))
    if bare.all() and not idle:
        return [meaning, "Gradients are NaN or infinite in every layer."]
    by_state: dict[str, list[str]] = {}
    names, labels = layers_called(phases), phases["layer"].values
    states, epochs = phases["median_state"].values, phases["crossing_median"].values
    for name, label, state, epoch, without in zip(names, labels, states, epochs, bare, strict=True):
        if str(label) in idle:
            continue
        text = f"{name} at epoch {epoch_text(float(epoch))}" if state == "crossed" else name
        by_state.setdefault("bare" if without else str(state), []).append(text)
    sentences = {
        "crossed": "Drift gives way to diffusion in {}.",
        "diffusion from the start": "Gradients diffuse from the start in {}.",
        "never": "Gradients drift to the end in {}.",
        "bare": "No gradients in {}: no parameters, or none that the optimiser updates.",
        "undefined": "Inconclusive in {}: it takes at least two mini-batches per epoch.",
    }
    return [meaning, *(sentences.get(state, f"{state}: {{}}.").format(listed(where)) for state, where in by_state.items())]
