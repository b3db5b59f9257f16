"""The same layer read by several estimators, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from flowplane.analysis.consistency import flagged_by
from flowplane.analysis.estimators import usual_estimators
from flowplane.analysis.plane import information_plane
from flowplane.core.renamed import renamed
from flowplane.core.results import joined, stamp
from flowplane.errors import InputError, Text
from flowplane.information.decodable import Decodable
from flowplane.information.estimator import Estimator, check_noise
from flowplane.recording import Recording

__all__ = ["compare_estimators"]


@renamed
def compare_estimators(
    activations: Any,
    labels: Any = None,
    *,
    inputs: Any = None,
    conditional: Any = None,
    probability: Any = None,
    estimators: Mapping[str, Estimator] | Sequence[Estimator] | None = None,
    noise_variance: float | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """What the estimators say of the same layer, each with its interval, its channel and its flags.

    Arguments:
        activations: (*batch, sample, unit); or a Recording, read at every replica, epoch and layer that it shows (take a
            few by `rec.sel`: the variational estimator trains a network for each).
        labels, inputs, conditional, probability, seed: as for an estimator; a Recording brings its own.
        estimators: names and estimators, or estimators alone; None for one of each kind, `usual_estimators()`.
        noise_variance: of Gaussian noise added for the estimators that need a channel; None leaves them as they are.

    Returns:
        Dataset (estimator, …): `i_xt`, `i_ty`, `h_t` in bits with their intervals and flags. What differs from estimator to
        estimator, such as `channel` and `bound`, is a coordinate along `estimator`. Where a probe decodes more of the label
        than an estimate says there is, that is flagged. `fp.explain` puts the flags in words.

    Raises:
        InputError: no estimators, something else among them, labels beside a Recording, or what an estimator refuses.

    Example:
        >>> import numpy as np
        >>> import flowplane as fp
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> table = compare_estimators(np.tanh(x), x[:, 0] > 0, inputs=x, estimators=[fp.Binned(8), fp.GaussianMI()])
        >>> table.estimator.values.tolist(), table.i_ty.dims
        (['Binned', 'GaussianMI'], ('estimator',))
    """
    chosen = _named(estimators)
    check_noise(noise_variance)
    if isinstance(activations, Recording):
        given = {"labels": labels, "inputs": inputs, "conditional": conditional, "probability": probability}
        for name, value in given.items():
            if value is not None:
                raise InputError(name, Text("an array beside a Recording"), "none: the recording's task has its own")
        parts = {name: information_plane(activations, one.with_channel(noise_variance)) for name, one in chosen.items()}
    else:
        known = {"inputs": inputs, "conditional": conditional, "probability": probability, "seed": seed}
        parts = {name: one.with_channel(noise_variance)(activations, labels, **known) for name, one in chosen.items()}
        parts = _judged(parts, chosen)
    planes = [part.drop_vars([name for name in part.coords if not _shared(str(name), parts)]) for part in parts.values()]
    together = xr.concat(planes, xr.Variable("estimator", list(parts)), combine_attrs="drop")
    return stamp(joined(together, "estimator", parts), "compare_estimators")


def _judged(parts: dict[str, xr.Dataset], chosen: Mapping[str, Estimator]) -> dict[str, xr.Dataset]:
    """What the estimators say of I(T;Y), flagged where one of them decodes more."""
    decoded = next((parts[name] for name, one in chosen.items() if isinstance(one, Decodable)), None)
    if decoded is None or not np.isfinite(decoded["i_ty"]).any():
        return parts
    return {name: part if isinstance(chosen[name], Decodable) else flagged_by(part, decoded) for name, part in parts.items()}


def _shared(name: str, parts: dict[str, xr.Dataset]) -> bool:
    """Whether all parts have a coordinate, and the same one."""
    first = next(iter(parts.values()))
    return all(name in part.coords and part[name].variable.equals(first[name].variable) for part in parts.values())


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
