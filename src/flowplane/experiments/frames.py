"""Claims as a tidy table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowplane.experiments.claim import Claim

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["claims_frame"]

COLUMNS = (
    "claim",
    "statement",
    "index",
    "measured",
    "lower",
    "upper",
    "reference",
    "tolerance",
    "verdict",
    "scale",
    "units",
)
_NUMBERS = ("measured", "lower", "upper", "reference", "tolerance")


def claims_frame(claims: Iterable[Claim]) -> pd.DataFrame:
    """A row for each number of each claim; NaN where a claim has no interval, reference or tolerance.

    `index` counts a claim's numbers from 0 (a layer each, say).
    """
    import pandas as pd

    frame = pd.DataFrame([row for claim in claims for row in _rows(claim)], columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(_NUMBERS, float) | {"index": int})


def _rows(claim: Claim) -> Iterable[tuple[Any, ...]]:
    nothing = (float("nan"),) * len(claim.measured)
    ends = claim.interval or tuple(zip(nothing, nothing, strict=True))
    numbers = zip(claim.measured, ends, claim.reference or nothing, claim.tolerance or nothing, strict=True)
    for index, (measured, (lower, upper), reference, tolerance) in enumerate(numbers):
        yield (
            claim.id,
            claim.statement,
            index,
            measured,
            lower,
            upper,
            reference,
            tolerance,
            claim.verdict,
            claim.scale,
            claim.units,
        )
