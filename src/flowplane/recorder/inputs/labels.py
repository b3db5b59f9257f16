"""Labels as a user has them: classes, tags, targets or none; one per sample, or one per place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowplane.core.arrays import as_numbers, require_finite
from flowplane.errors import InputError, Text

__all__ = ["Labels", "read_labels"]

#: Classes that regression targets are cut into, with equally many samples each.
CLASSES = 10
#: At most this many whole numbers, or combinations of tags, are classes even if hardly any repeat.
FEW = 20
#: A label of this number, as in torch and transformers, means that there is none.
IGNORED = -100


@dataclass(frozen=True)
class Labels:
    """Classes (sample,) numbered from 0, or (sample, place) with −1 for none; targets (sample, target); what they are."""

    classes: np.ndarray | None
    targets: np.ndarray | None
    about: str
    names: list[Any] | None = None
    #: The shape in which labels of places were given.
    shape: tuple[int, ...] = ()

    @property
    def places(self) -> bool:
        """Whether each token or place has a label of its own."""
        return self.classes is not None and self.classes.ndim == 2


def read_labels(labels: Any, count: int, places: bool = False) -> Labels:
    """Whole numbers, words and one-hot rows are classes; other numbers, and whole ones that hardly repeat, are regression
    targets, which are cut into classes as well. Rows of several ones (tags) are classes by their combinations, if those are
    few, and targets otherwise. Whole numbers (sample, *place) are a label per place.

    Targets of several numbers are cut along their first principal component: what is known of the class of Y is at most
    what is known of Y.

    Arguments:
        places: whether tokens or places are samples, so that whole numbers (sample, place) are not tags.

    Raises:
        InputError: the wrong length, NaN, only one class.
    """
    if labels is None:
        return Labels(None, None, "none")
    values = _label_array(labels)
    if len(values) != count:
        hint = (
            "; the inputs' first axis is the sample's; a tuple holds arguments, a list samples"
            if len(values) > count
            else ""
        )
        raise InputError("labels", Text(f"shape {values.shape}"), f"{count} labels, one per input{hint}")
    if values.ndim == 2 and 1 in values.shape[1:]:
        values = values[:, 0]
    tags = values.ndim == 2 and values.dtype.kind in "iuf" and bool(np.isin(values, (0, 1)).all())
    if tags and not (places and values.dtype.kind in "iu"):
        if not (values.sum(1) == 1).all():
            return _tagged(values.astype(np.int64))
        values = values.argmax(1)  # a one-hot row per sample
    if values.dtype.kind == "f":
        require_finite("labels", torch.from_numpy(np.ascontiguousarray(values)))
        if not _whole(values, count):
            return _targets(values.reshape(count, -1).astype(float))
        values = values.astype(np.int64)
    return _classes(values) if values.ndim > 1 else _classes_or_targets(values)


def _whole(values: np.ndarray, count: int) -> bool:
    """Whether floating-point numbers are numbers of classes: whole, and they repeat."""
    if values.ndim == 2 or not (values == np.round(values)).all():
        return False
    return len(np.unique(values)) <= (count // 2 if values.ndim == 1 else max(FEW, count // 2))


def _classes_or_targets(values: np.ndarray) -> Labels:
    if values.dtype.kind in "iu":
        if (values == IGNORED).any():
            found = Text(f"{(values == IGNORED).sum()} of {IGNORED}, which stands for none")
            raise InputError("labels", found, "samples that all have a label: leave those out")
        if len(np.unique(values)) > max(FEW, len(values) // 2):
            return _targets(values.reshape(-1, 1).astype(float))
    return _classes(values)


def _classes(given: np.ndarray) -> Labels:
    values = given if given.ndim == 1 else given.reshape(len(given), -1)
    known = values != IGNORED if values.dtype.kind in "iu" and values.ndim == 2 else np.ones(values.shape, bool)
    names, codes = np.unique(values[known], return_inverse=True)
    if len(names) < 2:
        raise InputError("labels", Text(f"one class only ({names[0] if len(names) else 'none'})"), "two classes or more")
    classes = np.full(values.shape, -1, np.int64)
    classes[known] = codes.ravel()
    about = "classes" if given.ndim < 3 else "classes, one per place"
    return Labels(classes, None, about, names.tolist(), given.shape if given.ndim > 1 else ())


def _tagged(values: np.ndarray) -> Labels:
    """Tags (sample, tag): each combination is a class where they repeat often enough, otherwise the tags are targets."""
    combinations, classes = np.unique(values, axis=0, return_inverse=True)
    if len(combinations) < 2:
        raise InputError("labels", Text("the same tags for all samples"), "tags that differ")
    if len(combinations) > max(FEW, len(values) // FEW):
        found = _targets(values.astype(float))
        about = f"{len(combinations)} combinations of {values.shape[1]} tags, as {found.about}"
        return Labels(found.classes, found.targets, about)
    names = ["+".join(map(str, np.flatnonzero(row))) or "none" for row in combinations]
    return Labels(classes.ravel(), None, f"classes, the {len(names)} combinations of {values.shape[1]} tags", names)


def _label_array(labels: Any) -> np.ndarray:
    try:
        plain = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    except ValueError as error:
        wanted = "one label per sample; for several tags a row of zeros and ones, with a column for each tag"
        raise InputError("labels", Text("rows of unequal length"), wanted) from error
    if plain.dtype.kind == "O" and all(isinstance(each, str) for each in plain.ravel()):
        plain = plain.astype(str)
    if plain.ndim == 0 and plain.dtype.kind in "US":
        raise InputError("labels", labels, "one label per input")
    if plain.dtype.kind in "US":
        return plain
    values = as_numbers("labels", labels)
    if values.dtype.kind == "b":
        values = values.astype(np.int64)
    if values.ndim == 0:
        raise InputError("labels", Text("one number"), "one label per input")
    return values


def _targets(values: np.ndarray) -> Labels:
    centred = values - values.mean(0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0] if values.shape[1] > 1 else np.ones(1)
    along = centred @ (axis * np.sign(axis[np.abs(axis).argmax()]))
    if np.ptp(along) == 0:
        raise InputError("labels", Text("targets that are all the same"), "targets that differ")
    edges = np.quantile(along, np.linspace(0, 1, CLASSES + 1)[1:-1])
    classes = np.unique(np.searchsorted(edges, along), return_inverse=True)[1].ravel()
    count = int(classes.max()) + 1
    where = "" if values.shape[1] == 1 else ", along their first principal component"
    return Labels(classes, values, f"targets in {count} classes of about equal size{where}")
