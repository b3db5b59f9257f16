"""What is measured of how layers move their data: names, units, and why a value may be missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["FLAGS", "QUANTITIES", "Quantity", "flag", "missing"]


class Quantity(NamedTuple):
    """Units, long name, and the flags that may leave it NaN."""

    units: str
    long_name: str
    reasons: tuple[str, ...] = ()


#: Why a value is missing, or means little; bit k of `flags` is the k-th name.
FLAGS = {
    "no_start": "no step into the first layer: the inputs are no points",
    "no_turn": "no step before this one",
    "other_replica": "exact plans are made for the first replica only",
    "no_exact": "no exact plans were asked for",
    "still": "all points are the same",
    "width_changes": "the step changes the dimension: volumes do not compare",
    "too_few_samples": "too few samples for so many units",
    "singular": "the points lie on a hyperplane, as those of a softmax do: no density",
    "ties": "points coincide or lie on a lattice: no density",
    "surface": "more units than a layer before: points on a surface, no density",
    "many_units": "too many units for neighbours",
    "no_classes": "no labels, or one class only",
    "no_weights": "the recording holds no weights",
    "not_affine": "no affine map fits the step",
    "not_finite": "activations are NaN or infinite",
}

_VOLUME = ("no_start", "width_changes", "too_few_samples", "singular")
_DENSITY = ("too_few_samples", "singular", "ties", "surface", "many_units")
_PLAN = ("no_start", "other_replica", "no_exact")

#: What there is for every replica, epoch and layer.
QUANTITIES = {
    "cost": Quantity("squared units of x", "displacement E|x_l − x_{l−1}|²", ("no_start",)),
    "wasserstein": Quantity("units of x", "W_2(p_{l−1}, p_l), exact", _PLAN),
    "optimality": Quantity("1", "W_2²/E|x_l − x_{l−1}|², exact; 1 is optimal", _PLAN),
    "wasserstein_sliced": Quantity("units of x", "W_2(p_{l−1}, p_l) by slices, at most the exact one", ("no_start",)),
    "optimality_sliced": Quantity("1", "optimality by slices, at most the exact one", ("no_start",)),
    "turning": Quantity("radians", "angle between a step and the one before", ("no_start", "no_turn")),
    "participation": Quantity("dimensions", "(tr C)²/tr C², C the covariance", ("still",)),
    "entropy": Quantity("nats", "entropy of the Gaussian of the same covariance", ("too_few_samples", "singular")),
    "entropy_neighbours": Quantity("nats", "entropy by nearest neighbours", _DENSITY),
    "entropy_change": Quantity("nats", "change of the Gaussian's entropy", _VOLUME),
    "entropy_change_neighbours": Quantity(
        "nats", "change of the neighbours' entropy", ("no_start", "width_changes", *_DENSITY)
    ),
    "entropy_change_smoothed": Quantity("nats", "change of the smoothed Gaussian's entropy in one space", ("no_start",)),
    "score_energy": Quantity("1/squared units of x", "J = E|∇log p|² of the smoothed Gaussian"),
    "probe": Quantity("1", "accuracy of a linear probe on held-out points", ("no_classes",)),
    "fisher": Quantity("1", "Fisher ratio tr S_between/tr S_within", ("no_classes", "still")),
    "distances": Quantity("1", "mean W_2 of two classes over rms distance within", ("no_classes", "still")),
    "log_det": Quantity("nats", "E log|det ∂x_l/∂x_{l−1}| from the weights", ("no_start", "width_changes", "no_weights")),
    "log_det_affine": Quantity(
        "nats", "log|det| of the best affine map", ("no_start", "width_changes", "too_few_samples", "singular", "not_affine")
    ),
    "affine_fit": Quantity(
        "1", "share R² of the best affine map", ("no_start", "width_changes", "too_few_samples", "singular")
    ),
}


def flag(*names: str) -> int:
    """The bits of some flags.

    Example:
        >>> flag("no_start", "no_turn")
        3
    """
    return sum(1 << list(FLAGS).index(name) for name in names)


def missing(name: str, values: np.ndarray, flags: np.ndarray) -> str:
    """Why a quantity is NaN where it is, in words: of each value the first of its reasons that is raised; else empty.

    Example:
        >>> missing("cost", np.array([np.nan, 1.0]), np.array([1, 0]))
        'no step into the first layer: the inputs are no points'
    """
    unexplained = np.isnan(values)
    words = []
    for reason in ("not_finite", *QUANTITIES[name].reasons):
        because = unexplained & (flags & flag(reason) > 0)
        if because.any():
            words.append(FLAGS[reason])
        unexplained &= ~because
    return "; ".join(words)
