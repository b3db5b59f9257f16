"""Claims: what a paper says, what was measured, and the verdict that follows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from flowplane.errors import InputError

__all__ = ["VERDICTS", "Claim", "agreement", "at_most", "mean_interval", "near", "sign", "with_ends"]

VERDICTS = ("reproduced", "contradicted", "inconclusive", "not run")
#: Size of the reference run of docs/papers.md, whose spread over replicas is taken to be that of ours.
REFERENCE_REPLICAS = 50
#: Where the statistical tolerance exceeds this many times the wanted one, agreement says nothing.
DECISIVE = 3.0

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Claim:
    """One row of the ledger. Several numbers (a layer each, say) stand in tuples of equal length.

    `interval` holds a (lower, upper) pair for each number, at 95 % over replicas; `tolerance` is what a number may differ
    from its reference; `tolerance` and `reference` are None where the claim is about a sign.
    """

    id: str
    statement: str
    measured: Numbers
    interval: tuple[tuple[float, float], ...] | None
    reference: Numbers | None
    tolerance: Numbers | None
    verdict: str
    scale: str
    seconds: float
    units: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise InputError("verdict", self.verdict, f"one of {', '.join(VERDICTS)}")

    def to_json(self) -> dict[str, Any]:
        """As it stands in claims.json: one number bare, several as a list, NaN as null."""
        return {key: _bare(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Claim:
        """The inverse of `to_json`."""
        missing = {field.name for field in fields(cls)} - set(row)
        if missing:
            raise InputError("claim", sorted(row), f"the fields {', '.join(sorted(missing))} as well")
        numbers = {key: _tuple(row[key]) for key in ("measured", "reference", "tolerance")}
        if numbers["measured"] is None:  # one number that is not known
            numbers["measured"] = (float("nan"),)
        pairs = row["interval"]
        if pairs is not None:
            pairs = (pairs,) if not pairs or not isinstance(pairs[0], list) else pairs
            pairs = tuple(tuple(_number(end) for end in pair) for pair in pairs)
        return cls(**{**{field.name: row[field.name] for field in fields(cls)}, **numbers, "interval": pairs})


def _bare(value: Any) -> Any:
    if isinstance(value, tuple):
        parts = [_bare(part) for part in value]
        return parts[0] if len(parts) == 1 else parts
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _tuple(value: Any) -> Any:
    if value is None:
        return None
    return tuple(_number(part) for part in value) if isinstance(value, list) else (_number(value),)


def mean_interval(values: Float[np.ndarray, "replica quantity"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over replicas, its 95 % t-interval (quantity, 2), and its standard error; NaN ends for a single replica."""
    from scipy.stats import t

    n = len(values)
    mean = values.mean(axis=0)
    if n < 2:
        return mean, np.full((len(mean), 2), np.nan), np.full(len(mean), np.nan)
    error = values.std(axis=0, ddof=1) / np.sqrt(n)
    reach = t.ppf(0.975, n - 1) * error
    return mean, np.stack([mean - reach, mean + reach], axis=1), error


def agreement(
    values: Float[np.ndarray, "replica quantity"], reference: Numbers, wanted: float
) -> tuple[Numbers, tuple[tuple[float, float], ...], Numbers, str]:
    """Measured means, intervals, tolerances and the verdict against reference values.

    The tolerance is `wanted`, or three standard errors of the difference where that is larger. All within tolerance is
    reproduced, one outside contradicted; inconclusive where fewer replicas than the reference had make the standard
    errors too large to tell.

    Example:
        >>> spread = np.linspace(-1, 1, 50)[:, None]
        >>> agreement(5.0 + spread, (5.1,), wanted=0.3)[-1], agreement(7.0 + spread, (5.1,), wanted=0.3)[-1]
        ('reproduced', 'contradicted')
        >>> agreement(5.0 + 9 * spread[::10], (5.1,), wanted=0.3)[-1]
        'inconclusive'
    """
    mean, interval, error = mean_interval(values)
    ours = np.nan_to_num(error, nan=np.inf)
    difference_error = ours * np.sqrt(1 + len(values) / REFERENCE_REPLICAS)
    tolerance = np.maximum(wanted, 3 * difference_error)
    outside = np.abs(mean - np.array(reference)) > tolerance
    vague = len(values) < REFERENCE_REPLICAS and (tolerance > DECISIVE * wanted).any()
    verdict = "contradicted" if outside.any() else "inconclusive" if vague else "reproduced"
    return _floats(mean), _pairs(interval), _floats(tolerance), verdict


def sign(values: Float[np.ndarray, "replica quantity"]) -> tuple[Numbers, tuple[tuple[float, float], ...], str]:
    """Measured means, intervals and the verdict on the claim that every quantity is positive.

    Example:
        >>> spread = np.linspace(-1, 1, 50)[:, None]
        >>> sign(3 + spread)[-1], sign(-3 + spread)[-1], sign(0.1 + spread)[-1]
        ('reproduced', 'contradicted', 'inconclusive')
    """
    mean, interval, _ = mean_interval(values)
    if (interval[:, 0] > 0).all():
        verdict = "reproduced"
    else:
        verdict = "contradicted" if (interval[:, 1] < 0).any() else "inconclusive"
    return _floats(mean), _pairs(interval), verdict


def at_most(
    values: Float[np.ndarray, "replica quantity"], limit: float
) -> tuple[Numbers, tuple[tuple[float, float], ...], str]:
    """Measured means, intervals and the verdict on the claim that no quantity is above a limit.

    Example:
        >>> spread = np.linspace(-1, 1, 50)[:, None]
        >>> at_most(1 + spread, 2.0)[-1], at_most(3 + spread, 2.0)[-1], at_most(1.9 + spread, 2.0)[-1]
        ('reproduced', 'contradicted', 'inconclusive')
    """
    mean, interval, _ = mean_interval(values)
    verdict = "reproduced" if (interval[:, 1] <= limit).all() else "inconclusive"
    if (interval[:, 0] > limit).any():
        verdict = "contradicted"
    return _floats(mean), _pairs(interval), verdict


def near(lower: np.ndarray, upper: np.ndarray, target: float, reach: float) -> str:
    """The verdict on the claim that all numbers with these intervals are within `reach` of a target; none decide nothing.

    Example:
        >>> near(np.array([0.95]), np.array([1.05]), 1.0, 0.1), near(np.array([1.2]), np.array([1.3]), 1.0, 0.1)
        ('reproduced', 'contradicted')
    """
    low, high = target - reach, target + reach
    if len(lower) and (lower >= low).all() and (upper <= high).all():
        return "reproduced"
    return "contradicted" if ((lower > high) | (upper < low)).any() else "inconclusive"


def with_ends(
    values: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[Numbers, tuple[tuple[float, float], ...] | None]:
    """Numbers and intervals as a claim holds them; NaN and none where there are no numbers.

    Example:
        >>> with_ends(np.array([1.0]), np.array([0.5]), np.array([2.0])), with_ends(*np.empty((3, 0)))
        (((1.0,), ((0.5, 2.0),)), ((nan,), None))
    """
    if len(values) == 0:
        return (float("nan"),), None
    return _floats(values), _pairs(np.stack([lower, upper], axis=1))


def _floats(values: np.ndarray) -> Numbers:
    return tuple(float(value) for value in values)


def _pairs(intervals: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((float(low), float(high)) for low, high in intervals)
