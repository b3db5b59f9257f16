"""What losses and accuracies say: where held-out loss was lowest, where the gap to training opens, whether it learned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from flowplane.plot.figures.metrics import split_name
from flowplane.reporting.markup import listed, number

__all__ = ["learning_words", "metric_called", "training_words"]

#: What a metric's part is called in a sentence.
PARTS = {"train": "training", "val": "validation", "valid": "validation", "eval": "evaluation"}
#: Parts of the data that are not trained on.
HELD = ("val", "valid", "validation", "test", "eval")
#: Metrics whose ends are listed.
MOST = 6
#: A gap between losses counts from this share of the held-out loss on.
GAP = 0.1
#: A loss that falls by no more than this share of its first value has not fallen.
FALL = 0.01
#: Accuracies that differ by no more than this many percentage points are equal.
EQUAL = 0.5


class Curve(NamedTuple):
    """The mean of a metric over replicas, at the epochs at which it is finite."""

    name: str
    epochs: np.ndarray
    values: np.ndarray

    @property
    def called(self) -> str:
        """As a sentence begins with it."""
        text = metric_called(self.name)
        return f"{text[0].upper()}{text[1:]}"


def training_words(metrics: xr.Dataset) -> list[str]:
    """Where each metric began and ended, and what follows from losses and accuracies."""
    parts, broken = [], []
    for name in list(map(str, metrics.data_vars))[:MOST]:
        values = _values(metrics, name)
        bad = _not_finite(values)
        if bad is not None:
            what = "infinite" if np.isinf(values[:, bad]).any() else "NaN"
            broken.append(f"{metric_called(name)} is {what} from epoch {int(metrics['train_epoch'].values[bad]):,}")
        curve = _curve(metrics, name)
        if not len(curve.values):
            continue
        units = str(metrics[name].attrs.get("units", ""))
        shown = f" {units}" if units and units != "fraction" else ""
        ends = [number(float(curve.values[place])) for place in (0, -1)]
        moved = f"went from {ends[0]} to {ends[1]}" if ends[0] != ends[1] else f"stayed at {ends[0]}"
        moved = moved if len(curve.values) > 1 else f"was {ends[0]}"
        known = f" by epoch {int(curve.epochs[-1]):,}" if bad is not None and len(curve.values) > 1 else ""
        parts.append(f"{metric_called(name)} {moved}{shown}{known}")
    said = listed(broken)
    sentences = [f"{said[0].upper()}{said[1:]}."] if said else []
    if not parts:
        return sentences
    epochs = metrics["train_epoch"].values
    when = f"From epoch {int(epochs[0]):,} to {int(epochs[-1]):,}" if len(epochs) > 1 else f"At epoch {int(epochs[0]):,}"
    return [*sentences, f"{when}: {listed(parts)}.", *learning_words(metrics)]


def learning_words(metrics: xr.Dataset) -> list[str]:
    """What follows from losses and accuracies, where they have names such as train_loss and val_loss.

    Example:
        >>> loss = {"train_loss": [2.0, 1.0, 0.5, 0.2, 0.1], "val_loss": [2.0, 1.1, 1.2, 1.4, 1.7]}
        >>> metrics = xr.Dataset({name: (("replica", "train_epoch"), [row]) for name, row in loss.items()})
        >>> print(learning_words(metrics.assign_coords(train_epoch=range(1, 6)))[0])
        Validation loss is lowest at epoch 2 (1.10) and rising since (1.70 at epoch 5), while training loss still falls: the
        model overfits from there on.
    """
    return [*_losses(metrics), *_accuracies(metrics)]


def _losses(metrics: xr.Dataset) -> list[str]:
    """What the losses say: whether training fell, when the held-out one was lowest, where the gap opens."""
    finite = metrics[[name for name in metrics.data_vars if _not_finite(_values(metrics, str(name))) is None]]
    train, held = (_first(finite, parts, ("loss",)) for parts in (("train", ""), HELD))
    found = []
    if train is not None and len(train.values) > 2:
        first, last = train.values[0], train.values[-1]
        if last > first + FALL * abs(first):
            found.append(f"{train.called} rose: the model did not learn.")
        elif last > first - FALL * abs(first):
            found.append(f"{train.called} hardly moved: the model did not learn.")
    if held is not None and len(held.values) > 1:
        found += [_lowest(held, train), *([] if train is None else _gap(held, train))]
    return found


def _lowest(held: Curve, train: Curve | None) -> str:
    """Where a held-out loss was lowest, and what it has done since."""
    place = int(held.values.argmin())
    lowest, end = float(held.values[place]), float(held.values[-1])
    at, last = (f"epoch {int(held.epochs[k]):,}" for k in (place, -1))
    if place == len(held.values) - 1:
        return f"{held.called} is lowest at the last epoch ({number(lowest)})."
    after = held.values[place + 1 :]
    first, second = after[: len(after) // 2], after[len(after) // 2 :]
    noise = float(np.median(np.abs(np.diff(held.values[place:]))))
    rising = len(first) > 0 and np.median(second) > np.median(first) and second.min() > lowest + noise
    best = f"{held.called} is lowest at {at} ({number(lowest)})"
    if not rising:
        level = end - lowest <= max(2 * noise, 0.02 * float(held.values[0] - lowest))
        return f"{best} and {'level' if level else 'higher, without a clear trend,'} since ({number(end)} at {last})."
    known = train is not None and (train.epochs == held.epochs[place]).any()
    falls = known and train.values[-1] < train.values[train.epochs == held.epochs[place]][0]  # type: ignore[union-attr]
    overfits = (
        f", while {metric_called(train.name)} still falls: the model overfits from there on" if train and falls else ""
    )
    return f"{best} and rising since ({number(end)} at {last}){overfits}."


def _gap(held: Curve, train: Curve) -> list[str]:
    """From which epoch on held-out loss exceeds that of training by more than `GAP` of itself."""
    both, mine, theirs = np.intersect1d(held.epochs, train.epochs, return_indices=True)
    above, below = held.values[mine], train.values[theirs]
    if len(both) < 2 or min(above.min(), below.min()) <= 0:  # a log density has no meaningful share
        return []
    wide = (above - below) / above > GAP
    names = f"{held.called} and {metric_called(train.name)}"
    if not wide[-1]:
        return [f"{names} end within {100 * GAP:.0f} % of each other: no gap."]
    closed = np.flatnonzero(~wide)
    since = f"opens at epoch {int(both[closed[-1] + 1]):,}" if len(closed) else "is there from the first epoch on"
    size = f"more than {100 * GAP:.0f} % from there on, {number(float(above[-1] - below[-1]))} at the end"
    return [f"The gap between {metric_called(held.name)} and {metric_called(train.name)} {since} ({size})."]


def _accuracies(metrics: xr.Dataset) -> list[str]:
    """Held-out accuracy beside that of training, at the last epoch."""
    train, held = (_first(metrics, parts, ("accuracy", "acc")) for parts in (("train",), HELD))
    if train is None or held is None or train.epochs[-1] != held.epochs[-1]:
        return []
    percent = 100.0 if max(train.values.max(), held.values.max()) <= 1 else 1.0
    mine, theirs = (percent * float(curve.values[-1]) for curve in (held, train))
    gap = theirs - mine
    if abs(gap) <= EQUAL:
        return [f"{held.called} equals {metric_called(train.name)}, {mine:.1f} %."]
    side = "below" if gap > 0 else "above"
    return [f"{held.called} is {mine:.1f} %, {abs(gap):.1f} percentage points {side} {metric_called(train.name)}."]


def _first(metrics: xr.Dataset, parts: tuple[str, ...], quantities: tuple[str, ...]) -> Curve | None:
    """The first metric of one of these parts of the data (empty: of no part) that has finite values."""
    for part in parts:
        for name in map(str, metrics.data_vars):
            found, quantity = split_name(name)
            whose = "" if found == quantity else found
            if whose == part and quantity in quantities:
                curve = _curve(metrics, name)
                if len(curve.values):
                    return curve
    return None


def _values(metrics: xr.Dataset, name: str) -> np.ndarray:
    return metrics[name].transpose("replica", "train_epoch").values


def _curve(metrics: xr.Dataset, name: str) -> Curve:
    mean = metrics[name].where(np.isfinite(metrics[name])).mean("replica").dropna("train_epoch")
    return Curve(name, mean["train_epoch"].values, mean.values)


def metric_called(name: str) -> str:
    """What a sentence calls a metric.

    Example:
        >>> metric_called("val_loss"), metric_called("perplexity")
        ('validation loss', 'perplexity')
    """
    part, quantity = split_name(name)
    return quantity if part == quantity else f"{PARTS.get(part, part)} {quantity}"


def _not_finite(values: np.ndarray) -> int | None:
    """Place of the first epoch from which a metric (replica, epoch) is NaN or infinite to the end, in any replica.

    In a metric with gaps NaN may only mean that it was not given: there infinite values alone count.
    """
    places = []
    for row in values:
        if np.isinf(row).any():
            places.append(int(np.isinf(row).argmax()))
        elif np.isnan(row[-1:]).any() and not np.isnan(row).all():
            last = int(np.flatnonzero(~np.isnan(row))[-1])
            places += [last + 1] if not np.isnan(row[:last]).any() else []
    return min(places, default=None)
