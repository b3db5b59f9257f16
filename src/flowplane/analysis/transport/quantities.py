"""What is measured of how layers move their data: names, units, and why a value may be missing."""

from __future__ import annotations

from typing import NamedTuple

from flowplane.core.results import Flags

__all__ = ["CHANGES", "ERRORS", "FLAGS", "LEVELS", "QUANTITIES", "STEPS", "Quantity"]


class Quantity(NamedTuple):
    """Units, long name, and the flags that may leave it NaN."""

    units: str
    long_name: str
    reasons: tuple[str, ...] = ()


#: Why a value is missing, or means little, and what to do.
FLAGS = Flags(
    {
        "no_start": (
            "no step into the first layer: the inputs are not points",
            "Give the inputs as points (sample, feature), or look at the steps from the second layer on.",
        ),
        "no_turn": ("there is no step before this one", "Nothing: an angle needs two steps."),
        "other_replica": (
            "exact plans are made for the first replica only",
            "Call fp.layer_transport(rec.sel(replica=…)) for another.",
        ),
        "no_exact": ("no exact plans were asked for", "Pass exact=1000, or use the sliced bound."),
        "no_variance": ("all points are the same", "Look at the layer's activations: they are the same for every input."),
        "width_changes": (
            "the step changes the dimension, so volumes cannot be compared",
            "Use entropy_change_smoothed, which compares both layers in one space.",
        ),
        "too_few_samples": ("too few samples for this many units", "Use more samples, or entropy_change_smoothed."),
        "singular": (
            "the points lie on a hyperplane (as behind a softmax, or dead or redundant units), so they have no density",
            "Use entropy_change_smoothed.",
        ),
        "ties": ("points coincide or lie on a lattice, so they have no density", "Use `entropy`, the Gaussian's."),
        "low_dimensional": (
            "more units than in a layer before: the points lie on a lower-dimensional manifold and have no density",
            "Use `entropy`, the Gaussian's.",
        ),
        "many_units": ("too many units for an entropy by nearest neighbours", "Use `entropy`, the Gaussian's."),
        "no_classes": ("no labels, one class only, or labels that are numbers", "Give labels of at least two classes."),
        "no_weights": ("the recording holds no weights", "Use log_det_affine."),
        "not_affine": ("no affine map fits the step", "Nothing: the step is too nonlinear for one number."),
        "not_finite": ("activations are NaN or infinite", "Look at the losses, and at what only eval mode uses."),
        "other_epoch": (
            "exact plans were asked for at a few snapshots only",
            "Pass exact_snapshots=None to fp.layer_transport, or use the sliced bound.",
        ),
    }
)

_VOLUME = ("no_start", "width_changes", "too_few_samples", "singular")
_DENSITY = ("too_few_samples", "singular", "ties", "low_dimensional", "many_units")
_PLAN = ("no_start", "other_replica", "other_epoch", "no_exact")

#: What there is for every replica, epoch and layer.
QUANTITIES = {
    "cost": Quantity("squared units of x", "displacement E|x_l − x_{l−1}|²", ("no_start",)),
    "wasserstein": Quantity("units of x", "W_2(p_{l−1}, p_l), exact", _PLAN),
    "optimality": Quantity("1", "W_2²/E|x_l − x_{l−1}|², exact; 1 is optimal", _PLAN),
    "wasserstein_sliced": Quantity("units of x", "W_2(p_{l−1}, p_l) by slices, at most the exact one", ("no_start",)),
    "optimality_sliced": Quantity("1", "optimality by slices, at most the exact one", ("no_start",)),
    "turning": Quantity("radians", "angle between a step and the one before", ("no_start", "no_turn")),
    "participation": Quantity("dimensions", "(tr C)²/tr C², C the covariance", ("no_variance",)),
    "entropy": Quantity("nats", "entropy of the Gaussian of the same covariance", ("too_few_samples", "singular")),
    "entropy_neighbours": Quantity("nats", "entropy by nearest neighbours", _DENSITY),
    "entropy_change": Quantity("nats", "change of the Gaussian's entropy", _VOLUME),
    "entropy_change_neighbours": Quantity(
        "nats", "change of the neighbours' entropy", ("no_start", "width_changes", *_DENSITY)
    ),
    "entropy_change_smoothed": Quantity("nats", "change of the smoothed Gaussian's entropy in one space", ("no_start",)),
    "score_energy": Quantity("1/squared units of x", "J = E|∇log p|² of the smoothed Gaussian"),
    "probe": Quantity("1", "accuracy of a linear probe on held-out points", ("no_classes",)),
    "fisher": Quantity("1", "Fisher ratio tr S_between/tr S_within", ("no_classes", "no_variance")),
    "distances": Quantity("1", "mean W_2 of two classes over rms distance within", ("no_classes", "no_variance")),
    "log_det": Quantity("nats", "E log|det ∂x_l/∂x_{l−1}| from the weights", ("no_start", "width_changes", "no_weights")),
    "log_det_affine": Quantity(
        "nats", "log|det| of the best affine map", ("no_start", "width_changes", "too_few_samples", "singular", "not_affine")
    ),
    "affine_fit": Quantity(
        "1", "share R² of the best affine map", ("no_start", "width_changes", "too_few_samples", "singular")
    ),
}

#: What belongs to a layer by itself, to a step in the common space, to how a step changes entropies.
LEVELS = ("participation", "probe", "fisher", "distances")
STEPS = ("cost", "wasserstein", "optimality", "wasserstein_sliced", "optimality_sliced", "turning")
CHANGES = ("entropy_change", "entropy_change_neighbours", "entropy_change_smoothed")
#: What has a standard error, over the points or the directions that it is taken from.
ERRORS = (*STEPS, "distances")
