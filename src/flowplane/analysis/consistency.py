"""Where two of our own numbers contradict each other: an estimate of I(T;Y) below what a probe decodes (§D2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane.analysis.estimators import OTHER_QUANTITIES
from flowplane.core.results import said, with_flags
from flowplane.information.decodable import Decodable
from flowplane.information.schema import FLAGS
from flowplane.recording import ModelRecording, Recording

__all__ = ["fano", "flagged_by", "judged"]


def judged(rec: Recording, plane: xr.Dataset, cluster: Any = None) -> xr.Dataset:
    """A plane of a model, its I(T;Y) flagged by what a linear probe decodes; other recordings, and planes without an
    estimate of I(T;Y), as they are."""
    known = isinstance(rec, ModelRecording) and "activations" in rec.attrs["keep"] and rec.task.labels is not None
    if not known or rec.targets is not None or "i_ty_flags" not in plane:
        return plane
    if said(plane, "i_ty", "estimator") == Decodable.__name__ or not np.isfinite(plane["i_ty"]).any():
        return plane
    labels = np.asarray(rec.task.labels)
    return flagged_by(plane, rec.measure(Decodable(), cluster=cluster), np.bincount(labels) / len(labels))


def flagged_by(plane: xr.Dataset, decodable: xr.Dataset, prior: np.ndarray | None = None) -> xr.Dataset:
    """A plane whose I(T;Y) is flagged where its upper end is below what is decodable: the lower end of `decodable`, or
    Fano's bound at the lower end of the probe's accuracy.

    Without a channel the estimate is `contradicted`; through bins or noise the label is `hidden_by_channel`. A lower bound
    is contradicted by nothing that is larger, and what is not Shannon's information by nothing at all.

    Arguments:
        prior: frequencies of the classes; without them nothing is said of accuracies.
    """
    if said(plane, "i_ty", "bound") == "lower" or said(plane, "i_ty", "estimator") in OTHER_QUANTITIES:
        return plane
    held = decodable["i_ty_lower"]
    if prior is not None and "accuracy_lower" in decodable:
        held = np.fmax(held, xr.apply_ufunc(fano, decodable["accuracy_lower"], kwargs={"prior": prior}))
    top = plane["i_ty_upper"].where(np.isfinite(plane["i_ty_upper"]), plane["i_ty"])
    below = (top < held) & np.isfinite(top)
    channel = said(plane, "i_ty", "channel") or "several"
    name = "contradicted" if channel == "none" else "hidden_by_channel"
    if set(str(plane["i_ty_flags"].attrs["flag_meanings"]).split()) != set(FLAGS):
        return plane  # of another version
    flags = plane["i_ty_flags"]
    marked = (flags | xr.where(below, FLAGS.bits(name), 0)).astype(np.int32)
    return with_flags(plane.assign(i_ty_flags=marked.transpose(*flags.dims).assign_attrs(flags.attrs)).drop_vars("flags"))


def fano(accuracy: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The least I(T;Y) in bits with which classes of these frequencies can be told apart so well.

    Example:
        >>> round(float(fano(np.array(0.99), np.full(10, 0.1))), 2)
        3.21
    """
    share = prior[prior > 0]
    wrong = np.clip(1.0 - accuracy, 0.0, 1.0 - share.max())
    with np.errstate(divide="ignore", invalid="ignore"):
        binary = -np.nan_to_num(wrong * np.log2(wrong)) - np.nan_to_num((1 - wrong) * np.log2(1 - wrong))
    found = -(share * np.log2(share)).sum() - binary - wrong * np.log2(max(len(share) - 1, 1))
    return np.where(np.isnan(accuracy), np.nan, found)
