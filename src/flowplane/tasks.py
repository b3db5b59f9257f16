"""Tasks: inputs, labels, the distribution of inputs, and the rule behind the labels where it is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Int

from flowplane.core.arrays import as_numbers
from flowplane.core.display import shortened, table_html
from flowplane.core.paths import as_path
from flowplane.errors import InputError, Text, not_finite

__all__ = ["Task", "digits", "load", "spherical_rule"]


@dataclass(frozen=True, eq=False)
class Task:
    """A classification task over a finite set of inputs, or the inputs alone.

    Arguments:
        inputs: what the network sees, one row per sample.
        labels: the class of each sample, a number from 0 to C−1; None where there are none.
        probability: p(x); uniform if None.
        conditional: p(y|x), rows summing to 1, where the labels are drawn from a known rule; None for hard labels.
        name: what figures call the task.

    Raises:
        InputError: lengths that differ, NaN, labels that are not class numbers, only one class, an invalid distribution.

    Example:
        >>> import numpy as np
        >>> task = Task(np.eye(4), np.array([0, 1, 1, 1]))
        >>> task.joint.sum(axis=0), round(task.information, 4)
        (array([0.25, 0.75]), 0.8113)
    """

    inputs: Float[np.ndarray, "sample feature"]
    labels: Int[np.ndarray, " sample"] = None  # type: ignore[assignment]
    probability: Float[np.ndarray, " sample"] = None  # type: ignore[assignment]
    conditional: Float[np.ndarray, "sample class"] | None = None
    name: str = "task"

    def __post_init__(self) -> None:
        inputs = _numbers("inputs", self.inputs)
        if inputs.ndim != 2 or 0 in inputs.shape:
            raise InputError("inputs", Text(f"shape {inputs.shape}"), "shape (samples, features), neither of them 0")
        n = len(inputs)
        labels = None if self.labels is None else _classes(self.labels, n)
        probability = np.full(n, 1.0 / n) if self.probability is None else _numbers("probability", self.probability)
        if probability.shape != (n,):
            raise InputError("probability", Text(f"shape {probability.shape}"), f"shape ({n},), one entry per input")
        if (probability < 0).any() or not np.isclose(probability.sum(), 1.0):
            found = f"{(probability < 0).sum()} negative entries and a sum of {probability.sum():.6g}"
            raise InputError("probability", Text(found), "non-negative entries that sum to 1")
        with np.errstate(over="ignore"):
            single = _finite("inputs", inputs.astype(np.float32))
        if (single != inputs).any() and len(np.unique(single, axis=0)) < len(np.unique(inputs, axis=0)):
            raise InputError("inputs", Text("rows that are equal in single precision"), "smaller or scaled numbers")
        object.__setattr__(self, "inputs", single)
        object.__setattr__(self, "labels", None if labels is None else labels.copy())
        object.__setattr__(self, "probability", probability.astype(np.float64))
        if self.conditional is not None:
            if labels is None:
                raise InputError("labels", None, "the likeliest class of each sample, beside a conditional")
            conditional = _numbers("conditional", self.conditional).astype(np.float64)
            if conditional.ndim != 2 or len(conditional) != n or conditional.shape[1] <= labels.max():
                wanted = f"shape ({n}, classes), at least {labels.max() + 1} classes"
                raise InputError("conditional", Text(f"shape {conditional.shape}"), wanted)
            if (conditional < 0).any() or not np.allclose(conditional.sum(axis=1), 1.0):
                raise InputError("conditional", Text("rows that are not distributions"), "rows ≥ 0 that sum to 1")
            object.__setattr__(self, "conditional", conditional)

    def __len__(self) -> int:
        return len(self.inputs)

    def _repr_html_(self) -> str:
        known = self.conditional is not None
        rows = [
            ("samples", f"{len(self):,} of {self.inputs.shape[1]:,} features"),
            ("labels", "none" if self.labels is None else f"{self.classes} classes"),
            ("p(y|x)", f"known; I(X;Y) = {self.information:.4g} bits" if known else ""),
        ]
        return table_html(f"flowplane.tasks.Task {shortened(self.name)}", rows)

    @property
    def classes(self) -> int:
        """Number of classes; 0 without labels."""
        if self.labels is None:
            return 0
        return int(self.labels.max()) + 1 if self.conditional is None else self.conditional.shape[1]

    @property
    def uniform(self) -> bool:
        """Whether all inputs are equally likely."""
        return bool(np.all(self.probability == self.probability[0]))

    @property
    def joint(self) -> Float[np.ndarray, "sample class"]:
        """p(x, y): a row x per sample, a column per class; by the rule where there is one, by the hard labels otherwise.

        Raises InputError for a task without labels.
        """
        if self.labels is None:
            raise InputError("task", Text(f"{self.name!r} without labels"), "a task with labels")
        rule = np.eye(self.classes)[self.labels] if self.conditional is None else self.conditional
        return self.probability[:, None] * rule

    @property
    def information(self) -> float:
        """I(X;Y) in bits; equal inputs count as one x. It is H(Y) for hard labels that equal inputs share; NaN without
        labels."""
        if self.labels is None:
            return float("nan")
        return _mutual_information(self._merged())

    @property
    def input_entropy(self) -> float:
        """H(X) in bits; equal inputs count as one x."""
        return _entropy(np.bincount(self._places(), self.probability))

    def _places(self) -> Int[np.ndarray, " sample"]:
        """Which distinct input each sample has, as a number."""
        return np.unique(self.inputs, axis=0, return_inverse=True)[1].ravel()

    def _merged(self) -> Float[np.ndarray, "x class"]:
        """The joint distribution with equal inputs merged."""
        place = self._places()
        merged = np.zeros((place.max() + 1, self.classes))
        np.add.at(merged, place, self.joint)
        return merged

    @property
    def digest(self) -> str:
        """SHA-256 over all arrays: two tasks are the same task when their digests are equal."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.labels, self.probability, self.conditional):
            digest.update(b"none" if array is None else str(array.shape).encode() + array.tobytes())
        return digest.hexdigest()

    def shuffled(self, seed: int = 0) -> Task:
        """The control task: the same inputs and labels, with the labels shuffled so that there is nothing to generalise.

        Raises InputError for a task without labels.
        """
        if self.labels is None:
            raise InputError("task", Text(f"{self.name!r} without labels"), "a task with labels")
        order = np.random.default_rng(seed).permutation(len(self))
        conditional = None if self.conditional is None else self.conditional[order]
        return replace(self, labels=self.labels[order], conditional=conditional, name=f"{self.name}, labels shuffled")


def spherical_rule(information: float | None = None) -> Task:
    """The reference task of Shwartz-Ziv and Tishby: 4096 patterns on a sphere, a label invariant under rotations (§B1).

    A pattern puts a bit x_i on each vertex n_i of an icosahedron. The label is 1 where
    f(x) = |Σ x_i| + ‖Σ x_i n_i‖ exceeds θ = E f; this gives the published labels exactly, up to the order of the bits.

    Arguments:
        information: None for those hard labels; otherwise I(X;Y) in bits, in (0, H(Y)), of the stochastic rule
            p(y=1|x) = sigmoid(γ(f(x) − θ)), whose γ is then found (0.99 bit, the paper's figure, needs γ = 52.35).
            `labels` remain the hard ones.

    Raises:
        InputError: `information` is not between 0 and H(Y) = 0.99916 bit.

    Example:
        >>> task = spherical_rule()
        >>> len(task), int(task.labels.sum()), round(task.information, 5)
        (4096, 2118, 0.99916)
        >>> round(spherical_rule(information=0.99).information, 6)
        0.99
    """
    patterns = (np.arange(4096)[:, None] >> np.arange(12)) & 1
    strength = spherical_strength(patterns)
    distance = strength - strength.mean()
    labels = (distance > 0).astype(np.int64)
    if information is None:
        return Task(patterns, labels, name="spherical rule")
    ceiling = _entropy(np.bincount(labels) / len(labels))
    number = isinstance(information, int | float | np.number)
    if not number or not 0.0 < information < ceiling - 1e-6:
        raise InputError("information", information, f"a number of bits strictly between 0 and H(Y) = {ceiling:.5f}")
    from scipy.optimize import brentq
    from scipy.special import expit

    def rule(gamma: float) -> np.ndarray:
        return np.stack([expit(-gamma * distance), expit(gamma * distance)], axis=1)

    def excess(log_gamma: float) -> float:
        return _mutual_information(rule(np.exp(log_gamma)) / len(labels)) - information

    gamma = float(np.exp(brentq(excess, np.log(1e-6), np.log(1e9), xtol=1e-13)))
    return Task(patterns, labels, conditional=rule(gamma), name=f"spherical rule, I(X;Y) = {information:g} bit")


def spherical_strength(patterns: np.ndarray) -> Float[np.ndarray, " sample"]:
    """f(x) = |Σ x_i| + ‖Σ x_i n_i‖, rounded to 1e-12 so that patterns equal by symmetry have equal values."""
    moment = np.linalg.norm(patterns @ icosahedron(), axis=1)
    return np.round(patterns.sum(axis=1) + moment, 12)


def icosahedron() -> Float[np.ndarray, "12 3"]:
    """The twelve vertices, on the unit sphere."""
    golden = (1 + 5**0.5) / 2
    corners = [(0.0, a, b * golden) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    vertices = [np.roll(corner, shift) for shift in range(3) for corner in corners]
    return np.array(vertices) / np.sqrt(1 + golden**2)


def digits() -> Task:
    """The 1797 handwritten digits that come with scikit-learn: 64 grey values in [0, 1], ten classes. Works offline.

    Example:
        >>> digits().inputs.shape
        (1797, 64)
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return Task(pixels / 16.0, labels, name="digits")


def load(path: str | Path) -> Task:
    """A task from a .npz or .mat file.

    Arguments:
        path: the file; its keys are `inputs` and `labels` (and, if known, `probability` and `conditional`), or `F` and
            `y` as in the file published with the paper. Labels may be class numbers in any shape, or one-hot rows.

    Raises:
        InputError: no such file, another kind of file, a missing key, or what `Task` refuses.
    """
    path = as_path("path", path)
    if not path.is_file():
        raise InputError("path", str(path), "a .npz or .mat file that exists")
    if path.suffix not in (".npz", ".mat"):
        raise InputError("path", str(path), "a file that ends in .npz or .mat")
    from scipy.io.matlab import MatReadError

    try:
        contents = _read_npz(path) if path.suffix == ".npz" else _read_mat(path)
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, MatReadError) as error:
        raise InputError("path", str(path), f"a whole {path.suffix} file of plain arrays, nothing pickled") from error
    keys = ("inputs", "labels") if "inputs" in contents or "labels" in contents else ("F", "y")
    for key in keys:
        if key not in contents:
            raise InputError("path", Text(f"{path} with keys {sorted(contents)}"), "the keys inputs and labels, or F and y")
    probability = contents.get("probability")
    return Task(
        contents[keys[0]],
        _one_dimensional(contents[keys[1]]),
        probability=None if probability is None else np.ravel(probability),  # type: ignore[arg-type]
        conditional=contents.get("conditional"),
        name=path.stem,
    )


def _read_npz(path: Path) -> dict[str, Any]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _read_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import matfile_version

    if matfile_version(path)[0] < 2:
        return {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    import h5py  # MATLAB 7.3 writes HDF5, axes reversed

    with h5py.File(path) as file:
        return {key: value[()].T for key, value in file.items() if isinstance(value, h5py.Dataset)}


def _one_dimensional(labels: np.ndarray) -> np.ndarray:
    """MATLAB's row and column vectors, and one-hot rows, as a vector of classes."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and 1 in labels.shape:
        return labels.ravel()
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1)
    return labels


def _numbers(name: str, values: Any) -> np.ndarray:
    return _finite(name, as_numbers(name, values))


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise not_finite(name, bad, " (float32)")
    return array


def _classes(labels: Any, samples: int) -> np.ndarray:
    array = _numbers("labels", labels)
    if array.shape != (samples,):
        raise InputError("labels", Text(f"shape {array.shape}"), f"shape ({samples},), one label per input")
    with np.errstate(invalid="ignore"):
        classes = array.astype(np.int64)
    if (classes != array).any() or classes.min() < 0:
        raise InputError(
            "labels",
            Text(f"values such as {array[classes != array][:3].tolist() or classes.min()}"),
            "whole class numbers from 0",
        )
    present = np.unique(classes)
    if len(present) < 2:
        raise InputError("labels", Text(f"one class only ({present[0]})"), "two classes or more")
    if present[-1] >= samples:
        raise InputError("labels", Text(f"class number {present[-1]}"), f"classes numbered from 0, below {samples}")
    return classes


def _entropy(p: np.ndarray) -> float:
    from scipy.special import entr

    return float(entr(p).sum() / np.log(2.0))


def _mutual_information(joint: np.ndarray) -> float:
    return _entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1)) - _entropy(joint)
