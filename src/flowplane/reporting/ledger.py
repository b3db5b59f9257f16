"""The ledger of claims: measured, reference, verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowplane.errors import InputError
from flowplane.experiments.claim import Claim

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["claims_table", "read_claims"]

COLORS = {"reproduced": "green", "contradicted": "red", "inconclusive": "yellow", "not run": "dim"}


def read_claims(folder: str | Path) -> list[Claim]:
    """All claims in the claims.json files of a results folder, or of one experiment's folder.

    Raises:
        InputError: no such folder, no claims in it, or a file that holds something else.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError("folder", str(folder), "a folder of results, such as `flowplane reproduce` makes")
    files = sorted([*root.glob("claims.json"), *root.glob("*/claims.json")])
    if not files:
        raise InputError("folder", str(folder), "a folder with claims.json files in it or one level down")
    claims: list[Claim] = []
    for file in files:
        try:
            claims += [Claim.from_json(row) for row in json.loads(file.read_text())]
        except (ValueError, TypeError) as error:
            raise InputError("folder", str(file), f"a readable ledger of claims ({error})") from error
    return claims


def claims_table(claims: Sequence[Claim]) -> Table:
    """The ledger as a table for the terminal; ids are never cut."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("claim", no_wrap=True, style="bold")
    table.add_column("statement", overflow="fold")
    for name in ("measured [95 %]", "reference"):
        table.add_column(name, no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("scale", no_wrap=True)
    for claim in claims:
        statement = f"{claim.statement} ({claim.units})" if claim.units else claim.statement
        verdict = Text(claim.verdict, style=COLORS[claim.verdict])
        table.add_row(claim.id, statement, measured_text(claim), reference_text(claim), verdict, claim.scale)
    return table


def measured_text(claim: Claim) -> str:
    """Each number with its interval, one a line.

    Example:
        >>> claim = Claim("B-1", "", (4.4, 2.8), ((4.0, 4.8), (2.5, 3.1)), None, None, "reproduced", "full", 1.0)
        >>> print(measured_text(claim))
        4.40 [4.00, 4.80]
        2.80 [2.50, 3.10]
    """
    if claim.interval is None:
        return "\n".join(map(_short, claim.measured))
    parts = zip(claim.measured, claim.interval, strict=True)
    return "\n".join(f"{_short(value)} [{_short(low)}, {_short(high)}]" for value, (low, high) in parts)


def reference_text(claim: Claim) -> str:
    """Each reference with its tolerance, one a line."""
    if claim.reference is None:
        return "–"
    if claim.tolerance is None:
        return "\n".join(map(_short, claim.reference))
    return "\n".join(
        f"{_short(value)} ± {_short(reach)}" for value, reach in zip(claim.reference, claim.tolerance, strict=True)
    )


def _short(value: float) -> str:
    """Three significant digits below ten, so that 0.998 and 12.0 both read well; two where nothing else would be left."""
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
