"""What simple classifiers read from features: a linear probe and the vote of neighbours, on held-out points (A-5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from flowplane.core.arrays import as_numbers
from flowplane.core.points import check_count, check_positive
from flowplane.errors import InputError, Text
from flowplane.transport.layers.separation import as_classes, as_features, given_back

__all__ = ["linear_probe", "neighbour_accuracy"]

#: Of the solver, which ends long before: where no slope of the mean loss is steeper, or it falls by no more of itself.
ITERATIONS, STEEPEST, LEAST = 20_000, 1e-4, 64 * float(np.finfo(float).eps)
#: A feature whose spread is below this part of its size is constant but for rounding.
ROUNDING = 1e-12

Reader = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def linear_probe(train: Any, train_labels: Any, *, test: Any, test_labels: Any, strength: float = 1.0) -> Any:
    """The accuracy on held-out points of a logistic regression: how much of the classes a hyperplane can read (A-5).

    Features are standardised by the mean and the deviation of the training points; those that are constant there are left
    out. A shift or a change of scale of any feature therefore changes nothing.

    Arguments:
        train, test: features, (*batch, sample, unit), with the same batch and the same units.
        train_labels, test_labels: classes, (sample,). A class that no training point has is never found.
        strength: of the penalty: the sum of the log losses is minimised with strength/2 times the squared weights.

    Returns:
        The share of test points whose class is found, one number for each batch member: a float where there is no batch
        dimension, otherwise in the kind of `test`.

    Raises:
        InputError: NaN, shapes that do not agree, one class only among the training points, strength not positive.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(400, 2))
        >>> ring = (np.linalg.norm(points, axis=1) > 1.2).astype(int)  # no line parts it
        >>> half = points[:, 0] > 0
        >>> linear_probe(points[:200], half[:200], test=points[200:], test_labels=half[200:]) > 0.97
        True
        >>> linear_probe(points[:200], ring[:200], test=points[200:], test_labels=ring[200:]) < 0.7
        True
    """
    penalty = check_positive("strength", strength)

    def reader(known: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
        middle, spread = known.mean(0), known.std(0)
        used = spread > ROUNDING * np.abs(known).max(0)
        if not used.any():
            return np.full(len(new), np.bincount(classes).argmax())
        train, asked = (((part - middle) / np.where(used, spread, 1.0))[:, used] for part in (known, new))
        return (_with_one(asked) @ _logistic(_with_one(train), classes, penalty)).argmax(1)

    return _accuracy(train, train_labels, test, test_labels, reader)


def _with_one(rows: Float[np.ndarray, "sample unit"]) -> Float[np.ndarray, "sample unit_and_one"]:
    return np.column_stack([rows, np.ones(len(rows))])


def _logistic(
    x: Float[np.ndarray, "sample unit"], classes: Int[np.ndarray, " sample"], penalty: float
) -> Float[np.ndarray, "unit class"]:
    """Weights of the logistic regression, one column per class, by L-BFGS; the last unit, which is constant, is not
    penalised.

    Two classes have weights of opposite sign, and the penalty is that of their difference.
    """
    from scipy.optimize import minimize

    count, rows = int(classes.max()) + 1, np.arange(len(x))
    columns = 1 if count == 2 else count
    penalties = np.full((x.shape[1], 1), penalty)
    penalties[-1] = 0.0

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, columns)
        logits = x @ weights
        if columns == 1:
            logits = np.hstack([np.zeros_like(logits), logits])
        error = np.exp(logits - logits.max(1, keepdims=True))
        sums = error.sum(1, keepdims=True)
        logits -= logits.max(1, keepdims=True)
        value = float(np.log(sums).sum() - logits[rows, classes].sum())
        error /= sums
        error[rows, classes] -= 1.0
        pull = penalties * weights
        slope = x.T @ error[:, -columns:] + pull
        return (value + 0.5 * float(np.vdot(pull, weights))) / len(x), slope.ravel() / len(x)

    options = {"maxiter": ITERATIONS, "maxls": 50, "gtol": STEEPEST, "ftol": LEAST}
    found = minimize(loss, np.zeros(x.shape[1] * columns), method="L-BFGS-B", jac=True, options=options)
    weights = found.x.reshape(-1, columns)
    return np.hstack([np.zeros_like(weights), weights]) if columns == 1 else weights


def neighbour_accuracy(train: Any, train_labels: Any, *, test: Any, test_labels: Any, k: int = 5) -> Any:
    """The accuracy on held-out points of the vote of their k nearest training points (A-5).

    Distances are Euclidean and nothing is rescaled, so that a shift, a rotation or a common change of scale changes nothing.
    A tied vote goes to the first of the classes.

    Arguments:
        train, test: features, (*batch, sample, unit), with the same batch and the same units.
        train_labels, test_labels: classes, (sample,). A class that no training point has is never found.
        k: voters, at most as many as there are training points.

    Returns:
        The share of test points whose class is found, as `linear_probe` gives it.

    Raises:
        InputError: NaN, shapes that do not agree, one class only among the training points, k out of range.

    Example:
        >>> known = [[0.0], [1.0], [9.0], [10.0]]
        >>> neighbour_accuracy(known, [0, 0, 1, 1], test=[[0.4], [9.1], [2.0], [8.0]], test_labels=[0, 1, 1, 1], k=1)
        0.75
    """
    voters = check_count("k", k)

    def reader(known: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
        from sklearn.neighbors import KNeighborsClassifier

        if voters > len(known):
            raise InputError("k", k, f"{len(known)} or less, the number of training points")
        return KNeighborsClassifier(voters).fit(known, classes).predict(new)

    return _accuracy(train, train_labels, test, test_labels, reader)


def _accuracy(train: Any, train_labels: Any, test: Any, test_labels: Any, reader: Reader) -> Any:
    """The classifier's share of right answers for every batch member."""
    known, _ = as_features("train", train)
    new, form = as_features("test", test)
    if known.shape[:-2] != new.shape[:-2] or known.shape[-1] != new.shape[-1]:
        expected = f"the batch {tuple(known.shape[:-2])} and the {known.shape[-1]} units of train"
        raise InputError("test", Text(f"shape {tuple(new.shape)}"), expected)
    classes, names = as_classes("train_labels", train_labels, known.shape[-2])
    truth = as_numbers("test_labels", test_labels)
    if truth.dtype.kind == "f" and not (np.isfinite(truth) & (truth == np.round(truth))).all():
        raise InputError("test_labels", Text("labels that are not whole numbers"), "classes, whole numbers, as train_labels")
    if truth.shape != (new.shape[-2],):
        raise InputError("test_labels", Text(f"shape {truth.shape}"), f"shape ({new.shape[-2]},), one label per sample")
    members = zip(*(part.reshape(-1, *part.shape[-2:]).cpu().numpy() for part in (known, new)), strict=True)
    shares = [float((names[reader(one, classes.numpy(), other)] == truth).mean()) for one, other in members]
    return given_back(torch.tensor(shares, dtype=torch.float64, device="cpu").reshape(new.shape[:-2]), form)
