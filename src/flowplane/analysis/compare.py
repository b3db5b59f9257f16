"""The same layer read by several estimators, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from flowplane.analysis.plane import information_plane
from flowplane.errors import InputError, Text
from flowplane.information.binned import Binned
from flowplane.information.estimator import Estimator, check_noise
from flowplane.information.gaussian import GaussianMI
from flowplane.information.ksg import KSG
from flowplane.information.pairwise import Pairwise
from flowplane.information.renyi import MatrixRenyi
from flowplane.information.sliced import SlicedMI
from flowplane.information.variational import Variational
from flowplane.recording import Recording

__all__ = ["compare_estimators", "usual_estimators"]


def usual_estimators() -> dict[str, Estimator]:
    """One of each kind, with its usual parameters: σ² of Pairwise is a tenth of the mean variance of the layer's units."""
    return {
        "Binned": Binned(30),
        "Pairwise": Pairwise(0.1, relative=True),
        "KSG": KSG(),
        "GaussianMI": GaussianMI(),
        "MatrixRenyi": MatrixRenyi(),
        "SlicedMI": SlicedMI(),
        "Variational": Variational(),
    }


def compare_estimators(
    activations: Any,
    labels: Any = None,
    *,
    inputs: Any = None,
    conditional: Any = None,
    probability: Any = None,
    estimators: Mapping[str, Estimator] | Sequence[Estimator] | None = None,
    noise: float | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """What seven estimators say of the same layer, each with its interval, its channel and its flags.

    Arguments:
        activations: (*batch, sample, unit); or a Recording, read at every replica, epoch and layer that it shows (take a
            few by `rec.sel`: the variational estimator trains a network for each).
        labels, inputs, conditional, probability, seed: as for an estimator; a Recording brings its own.
        estimators: names and estimators, or estimators alone; None for one of each kind, `usual_estimators()`.
        noise: variance of Gaussian noise added for the estimators that need a channel; None leaves them as they are.

    Returns:
        Dataset (estimator, …): `i_xt`, `i_ty`, `h_t` in bits with their intervals, and `flags`. Attributes that differ from
        estimator to estimator, such as the channel, are JSON by estimator. `fp.explain` puts the flags in words.

    Raises:
        InputError: no estimators, something else among them, labels beside a Recording, or what an estimator refuses.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> table = compare_estimators(np.tanh(x), x[:, 0] > 0, inputs=x, estimators=[Binned(8), GaussianMI()])
        >>> table.estimator.values.tolist(), table.i_ty.dims
        (['Binned', 'GaussianMI'], ('estimator',))
    """
    chosen, noise = _named(estimators), check_noise(noise)
    if isinstance(activations, Recording):
        for name, value in {
            "labels": labels,
            "inputs": inputs,
            "conditional": conditional,
            "probability": probability,
        }.items():
            if value is not None:
                raise InputError(name, Text("an array beside a Recording"), "none: the recording's task has its own")
        parts = {name: information_plane(activations, one.with_channel(noise)) for name, one in chosen.items()}
    else:
        known = {"inputs": inputs, "conditional": conditional, "probability": probability, "seed": seed}
        parts = {name: one.with_channel(noise)(activations, labels, **known) for name, one in chosen.items()}
    planes = [part.drop_vars([key for key in part.coords if key == "variance"]) for part in parts.values()]
    together = xr.concat(planes, xr.Variable("estimator", list(parts)), combine_attrs="override")
    together.attrs = _attributes(parts)
    return together


def _named(estimators: Mapping[str, Estimator] | Sequence[Estimator] | None) -> dict[str, Estimator]:
    if estimators is None:
        return usual_estimators()
    expected = "estimators such as fp.Binned(30), or {name: estimator}, at least one"
    if isinstance(estimators, Mapping):
        chosen = {str(name): estimator for name, estimator in estimators.items()}
    elif isinstance(estimators, Sequence) and not isinstance(estimators, str):
        chosen = {}
        for estimator in estimators:
            name = type(estimator).__name__
            taken = sum(other == name or other.startswith(f"{name} ") for other in chosen)
            chosen[name if not taken else f"{name} {taken + 1}"] = estimator
    else:
        raise InputError("estimators", Text(type(estimators).__name__), expected)
    wrong = [type(one).__name__ for one in chosen.values() if not isinstance(one, Estimator)]
    if wrong or not chosen:
        raise InputError("estimators", Text(", ".join(wrong) or "none"), expected)
    return chosen


def _attributes(parts: dict[str, xr.Dataset]) -> dict[str, Any]:
    """Attributes that all share as they are, the others as JSON by estimator."""
    keys = dict.fromkeys(key for part in parts.values() for key in part.attrs)
    found: dict[str, Any] = {}
    for key in keys:
        values = {name: part.attrs[key] for name, part in parts.items() if key in part.attrs}
        same = len(values) == len(parts) and len({str(value) for value in values.values()}) == 1
        found[str(key)] = next(iter(values.values())) if same else json.dumps(values)
    return found
