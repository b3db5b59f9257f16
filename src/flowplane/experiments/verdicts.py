"""What numbers over replicas say of a claim: fields of a `Claim`, to be put in with `**`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Float

from flowplane.core.results import interval
from flowplane.experiments.claim import Intervals, Numbers

__all__ = [
    "UNKNOWN",
    "Judged",
    "Measured",
    "Referenced",
    "agreement",
    "around",
    "at_least_log",
    "at_most",
    "at_most_log",
    "exactly",
    "mean_and_ends",
    "means",
    "near",
    "sign",
    "verdict_of_all",
    "with_ends",
]

#: Size of the reference run of docs/papers.md, whose spread over replicas is taken to be that of ours.
REFERENCE_REPLICAS = 50
#: Where the statistical tolerance exceeds this many times the wanted one, agreement says nothing.
DECISIVE = 3.0

Replicas = Float[np.ndarray, "replica quantity"]


class Measured(TypedDict):
    """Numbers with their intervals."""

    measured: Numbers
    interval: Intervals | None


class Judged(Measured):
    """And the verdict that follows."""

    verdict: str


class Referenced(Judged):
    """And what they were compared with."""

    reference: Numbers
    tolerance: Numbers


#: Where there is nothing to judge by.
UNKNOWN: Judged = {"measured": (float("nan"),), "interval": None, "verdict": "inconclusive"}


def verdict_of_all(verdicts: Sequence[str]) -> str:
    """That of a claim which holds only if all its parts do: one part contradicted is enough to contradict it.

    Example:
        >>> verdict_of_all(["reproduced", "inconclusive"]), verdict_of_all(["reproduced", "contradicted"])
        ('inconclusive', 'contradicted')
    """
    if "contradicted" in verdicts:
        return "contradicted"
    return "reproduced" if set(verdicts) == {"reproduced"} else "inconclusive"


def with_ends(values: Iterable[Any], lower: Iterable[Any], upper: Iterable[Any]) -> Measured:
    """Numbers and intervals as a claim holds them; NaN and none where there are no numbers.

    Example:
        >>> with_ends([1.0], [0.5], [2.0])
        {'measured': (1.0,), 'interval': ((0.5, 2.0),)}
        >>> with_ends([], [], [])
        {'measured': (nan,), 'interval': None}
    """
    numbers = _floats(values)
    pairs = tuple(zip(_floats(lower), _floats(upper), strict=True))
    return {"measured": numbers or UNKNOWN["measured"], "interval": pairs or None}


def mean_and_ends(values: Replicas) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over replicas, lower and upper ends; NaN where one replica has no number, as the others cannot stand in for it.

    Example:
        >>> mean_and_ends(np.array([[1.0, 1.0], [3.0, np.nan]]))[0]
        array([ 2., nan])
    """
    return interval(np.where(np.isfinite(values).all(axis=0), values, np.nan))


def means(values: Replicas) -> Measured:
    """Means over replicas with their 95 % intervals; NaN ends for a single replica."""
    return with_ends(*mean_and_ends(values))


def sign(values: Replicas) -> Judged:
    """Whether every quantity is positive.

    Example:
        >>> spread = np.linspace(-1, 1, 50)[:, None]
        >>> [sign(middle + spread)["verdict"] for middle in (3, -3, 0.1)]
        ['reproduced', 'contradicted', 'inconclusive']
    """
    mean, lower, upper = mean_and_ends(values)
    return {**with_ends(mean, lower, upper), "verdict": _verdict(lower > 0, upper < 0)}


def at_most(values: Replicas, limit: float) -> Judged:
    """Whether no quantity is above a limit.

    Example:
        >>> spread = np.linspace(-1, 1, 50)[:, None]
        >>> [at_most(middle + spread, 2.0)["verdict"] for middle in (1, 3, 1.9)]
        ['reproduced', 'contradicted', 'inconclusive']
    """
    mean, lower, upper = mean_and_ends(values)
    return {**with_ends(mean, lower, upper), "verdict": _verdict(upper <= limit, lower > limit)}


def at_most_log(values: Replicas, limit: float) -> Judged:
    """`at_most` for positive numbers that span decades: the mean and interval of their logarithms.

    Example:
        >>> at_most_log(np.array([[0.01], [0.1], [1.0]]), 200.0)["verdict"]
        'reproduced'
    """
    return _from_logs(at_most(np.log10(values), float(np.log10(limit))), 1.0)


def at_least_log(values: Replicas, limit: float) -> Judged:
    """Whether positive numbers that span decades are all above a limit, by the mean and interval of their logarithms.

    Example:
        >>> at_least_log(np.array([[10.0], [100.0], [1000.0]]), 0.1)["verdict"]
        'reproduced'
    """
    return _from_logs(sign(np.log10(values / limit)), limit)


def near(found: Sequence[np.ndarray] | np.ndarray, target: Any, reach: float) -> Referenced:
    """Whether numbers with intervals are within `reach` of a target, or of one each; none decide nothing.

    Arguments:
        found: the numbers, their lower and their upper ends.

    Example:
        >>> [near(np.array([[middle], [middle - 0.05], [middle + 0.05]]), 1.0, 0.1)["verdict"] for middle in (1.0, 1.3)]
        ['reproduced', 'contradicted']
    """
    values, lower, upper = found
    targets = np.broadcast_to(target, max(len(values), 1))
    low, high = np.subtract(target, reach), np.add(target, reach)
    return {
        **with_ends(values, lower, upper),
        "reference": _floats(targets),
        "tolerance": (reach,) * len(targets),
        "verdict": _verdict((lower >= low) & (upper <= high), (lower > high) | (upper < low)),
    }


def around(values: Replicas, target: float, reach: float) -> Referenced:
    """Whether the means over replicas are within `reach` of a target.

    Example:
        >>> around(5.0 + np.linspace(-1, 1, 50)[:, None], 5.1, 0.5)["verdict"]
        'reproduced'
    """
    return near(mean_and_ends(values), target, reach)


def agreement(values: Replicas, reference: Numbers, wanted: float) -> Referenced:
    """Whether the means over replicas agree with reference values.

    The tolerance is `wanted`, or three standard errors of the difference where that is larger. All within tolerance is
    reproduced, one outside contradicted; inconclusive where fewer replicas than the reference had make the standard errors
    too large to tell.

    Example:
        >>> spread = np.linspace(-1, 1, 50)[:, None]
        >>> agreement(5.0 + spread, (5.1,), wanted=0.3)["verdict"], agreement(7.0 + spread, (5.1,), wanted=0.3)["verdict"]
        ('reproduced', 'contradicted')
        >>> agreement(5.0 + 9 * spread[::10], (5.1,), wanted=0.3)["verdict"]
        'inconclusive'
    """
    n = len(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(values.shape[1], np.inf)
    tolerance = np.maximum(wanted, 3 * error * np.sqrt(1 + n / REFERENCE_REPLICAS))
    outside = np.abs(values.mean(axis=0) - np.array(reference)) > tolerance
    vague = n < REFERENCE_REPLICAS and (tolerance > DECISIVE * wanted).any()
    verdict = "contradicted" if outside.any() else "inconclusive" if vague else "reproduced"
    return {**means(values), "reference": reference, "tolerance": _floats(tolerance), "verdict": verdict}


def exactly(values: Sequence[Any] | np.ndarray, reference: Sequence[Any], reach: float) -> Referenced:
    """Whether numbers without randomness are within `reach` of what they should be: reproduced or contradicted.

    Example:
        >>> exactly([1e-12], [0.0], 1e-9)["verdict"], exactly([0.1], [0.0], 1e-9)["verdict"]
        ('reproduced', 'contradicted')
    """
    held = bool((np.abs(np.subtract(values, reference)) <= reach).all())
    return {
        "measured": _floats(values),
        "interval": None,
        "reference": _floats(reference),
        "tolerance": (reach,) * len(reference),
        "verdict": "reproduced" if held else "contradicted",
    }


def _verdict(holds: np.ndarray, fails: np.ndarray) -> str:
    """The verdict of a claim that has to hold everywhere; no numbers decide nothing."""
    if holds.size and holds.all():
        return "reproduced"
    return "contradicted" if fails.any() else "inconclusive"


def _from_logs(found: Judged, unit: float) -> Judged:
    """Powers of ten of what was found on logarithms, in units of `unit`."""
    pairs = tuple((unit * 10.0**low, unit * 10.0**high) for low, high in found["interval"] or ())
    numbers = tuple(unit * 10.0**value for value in found["measured"])
    return {"measured": numbers, "interval": pairs or None, "verdict": found["verdict"]}


def _floats(values: Iterable[Any]) -> Numbers:
    return tuple(float(value) for value in values)
