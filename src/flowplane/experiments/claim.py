"""Claims: what a paper says, what was measured, the verdict; as rows of claims.json and of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from flowplane.errors import InputError
from flowplane.experiments.papers import PAPER_CLAIMS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROLES", "VERDICTS", "Claim", "claims_frame"]

VERDICTS = ("reproduced", "contradicted", "inconclusive", "not run")
#: A paper's claim as a whole; something that has to hold besides; what is measured and decides nothing; what shows that the
#: measurement can fail, or that something else is not the explanation.
ROLES = ("headline", "part", "reported", "control")

Numbers = tuple[float, ...]
Intervals = tuple[tuple[float, float], ...]

#: Of a table of claims.
COLUMNS = (
    "claim",
    "role",
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


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One row of the ledger. Several numbers (one per layer, say) stand in tuples of equal length.

    `interval` holds a (lower, upper) pair for each number, at 95 % over replicas; `tolerance` is what a number may differ
    from its reference; `tolerance` and `reference` are None where the claim is about a sign. An experiment leaves `scale`
    and `seconds` to `flowplane.experiments.run`, which knows them.

    Raises:
        InputError: another role or verdict.
    """

    id: str
    #: One of `ROLES`.
    role: str
    statement: str
    measured: Numbers
    interval: Intervals | None = None
    reference: Numbers | None = None
    tolerance: Numbers | None = None
    #: One of `VERDICTS`.
    verdict: str
    scale: str = ""
    seconds: float = 0.0
    units: str = ""

    def __post_init__(self) -> None:
        for name, known in (("role", ROLES), ("verdict", VERDICTS)):
            if getattr(self, name) not in known:
                raise InputError(name, getattr(self, name), f"one of {', '.join(known)}")

    def to_json(self) -> dict[str, Any]:
        """As it stands in claims.json: one number bare, several as a list, NaN as null."""
        return {key: _bare(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Claim:
        """The inverse of `to_json`; of a row that flowplane 0.1 wrote as well, whose statement began with its role."""
        if "role" not in row and {"id", "statement"} <= set(row):
            row = row | _role_of_old(row["id"], row["statement"])
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


def _role_of_old(name: str, statement: str) -> dict[str, str]:
    """The role of a row of 0.1, and its statement without it."""
    for role in ("reported", "control"):
        if statement.startswith(f"{role}: "):
            return {"role": role, "statement": statement.removeprefix(f"{role}: ")}
    return {"role": "headline" if name in PAPER_CLAIMS else "part"}


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


def claims_frame(claims: Iterable[Claim]) -> pd.DataFrame:
    """A row for each number of each claim; NaN where a claim has no interval, reference or tolerance.

    `index` counts a claim's numbers from 0 (one per layer, say).
    """
    import pandas as pd

    frame = pd.DataFrame([row for claim in claims for row in _rows(claim)], columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(_NUMBERS, float) | {"index": int})


def _rows(claim: Claim) -> Iterable[tuple[Any, ...]]:
    nothing = (float("nan"),) * len(claim.measured)
    ends = claim.interval or tuple(zip(nothing, nothing, strict=True))
    before, after = (claim.id, claim.role, claim.statement), (claim.verdict, claim.scale, claim.units)
    numbers = zip(claim.measured, ends, claim.reference or nothing, claim.tolerance or nothing, strict=True)
    for index, (measured, (lower, upper), reference, tolerance) in enumerate(numbers):
        yield (*before, index, measured, lower, upper, reference, tolerance, *after)
