"""The ledger of claims: measured, reference, verdict."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowplane.errors import InputError
from flowplane.experiments.claim import VERDICTS, Claim
from flowplane.experiments.papers import PAPER_CLAIMS, PAPERS, PaperClaim, head_of
from flowplane.experiments.registry import experiments_of

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["claims_table", "count_verdicts", "inconclusive_words", "paper_tables", "read_claims", "why_inconclusive"]

COLORS = {"reproduced": "green", "contradicted": "red", "inconclusive": "yellow", "not run": "dim"}
#: In the verdict's place where a results folder has parts of a claim and not the claim itself.
IN_PART = "in part"


def read_claims(folder: str | Path) -> list[Claim]:
    """All claims in the claims.json files of a results folder, or of one experiment's folder; none in an empty folder.

    Raises:
        InputError: no such folder, a recording, or a file that holds something else.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError("folder", str(folder), "a folder of results, such as `flowplane reproduce` makes")
    if (root / "writer.lock").exists() or (root / "data").is_dir():
        raise InputError("folder", str(folder), "a folder of results; this is a recording, for `flowplane report`")
    claims: list[Claim] = []
    for file in sorted([*root.glob("claims.json"), *root.glob("*/claims.json")]):
        try:
            claims += [Claim.from_json(row) for row in json.loads(file.read_text(encoding="utf-8"))]
        except (ValueError, TypeError, OSError) as error:
            raise InputError("folder", str(file), f"a readable ledger of claims ({error})") from error
    return claims


def claims_table(claims: Sequence[Claim]) -> Table:
    """The claims as a table for the terminal; ids are never cut."""
    table = _empty_table()
    for claim in claims:
        _add(table, claim)
    return table


def paper_tables(claims: Sequence[Claim]) -> list[Table]:
    """The ledger of both papers: a table each with all its claims, and one of claims of neither paper where there are any.

    Under each claim of a paper stand its parts. A claim that none of `claims` speaks to is "not run", with the command that
    runs it.
    """
    tables = []
    for paper, title in PAPERS.items():
        table = _empty_table(title)
        for head in (claim for claim in PAPER_CLAIMS.values() if claim.paper == paper):
            found = [claim for claim in claims if head_of(claim.id) == head.id]
            whole = [claim for claim in found if claim.id == head.id]
            if not whole:
                _add_head(table, head, IN_PART if found else "not run")
            for claim in [*whole, *(claim for claim in found if claim.id != head.id)]:
                _add(table, claim, indent="" if claim.id == head.id else "  ")
        tables.append(table)
    others = [claim for claim in claims if head_of(claim.id) is None]
    if others:
        tables.append(_empty_table("Claims of neither paper"))
        for claim in others:
            _add(tables[-1], claim)
    return tables


def count_verdicts(claims: Sequence[Claim]) -> str:
    """How many claims of the papers have each verdict, and how many of all numbers' rows.

    A paper's claim in several rows (two copies of a result) counts by its last row; one with rows for its parts only counts
    as "in part".

    Example:
        >>> claim = Claim(id="B-1", role="headline", statement="", measured=(4.4,), verdict="reproduced")
        >>> print(count_verdicts([claim]))
        the papers' 19 claims: 1 reproduced, 18 not run
        1 row in this folder: 1 reproduced
    """
    whole = {claim.id: claim.verdict for claim in claims if claim.id in PAPER_CLAIMS}
    parts = {head_of(claim.id) for claim in claims}
    heads = [whole.get(head, IN_PART if head in parts else "not run") for head in PAPER_CLAIMS]
    lines = [f"the papers' {len(heads)} claims: {_counted(heads)}"]
    if claims:
        rows = "1 row" if len(claims) == 1 else f"{len(claims)} rows, parts and controls included,"
        lines.append(f"{rows} in this folder: {_counted(claim.verdict for claim in claims)}")
    return "\n".join(lines)


def _counted(verdicts: Iterable[str]) -> str:
    number = Counter(verdicts)
    return ", ".join(f"{number[word]} {word}" for word in (*VERDICTS[:3], IN_PART, VERDICTS[3]) if number[word])


def _empty_table(title: str | None = None) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column("claim", no_wrap=True, style="bold")
    table.add_column("role", no_wrap=True)
    table.add_column("statement", overflow="fold")
    for name in ("measured [95 %]", "reference"):
        table.add_column(name, no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("scale", no_wrap=True)
    return table


def _add(table: Table, claim: Claim, indent: str = "") -> None:
    from rich.text import Text

    statement = f"{claim.statement} ({claim.units})" if claim.units else claim.statement
    verdict = Text(claim.verdict, style=COLORS[claim.verdict])
    numbers = measured_text(claim), reference_text(claim)
    table.add_row(indent + claim.id, claim.role, statement, *numbers, verdict, claim.scale)


def _add_head(table: Table, head: PaperClaim, verdict: str) -> None:
    """A paper's claim of which there is no row: what to run."""
    from rich.text import Text

    command = f"flowplane reproduce {' '.join(experiments_of(head.id))}"
    statement = f"{head.statement}\nto run: {command}"
    table.add_row(head.id, "headline", statement, "–", "–", Text(verdict, style="dim"), "–")


def measured_text(claim: Claim) -> str:
    """Each number with its interval, one per line.

    Example:
        >>> numbers = {"measured": (4.4, 2.8), "interval": ((4.0, 4.8), (2.5, 3.1))}
        >>> print(measured_text(Claim(id="B-1", role="headline", statement="", verdict="reproduced", **numbers)))
        4.40 [4.00, 4.80]
        2.80 [2.50, 3.10]
    """
    if claim.interval is None:
        return "\n".join(map(_short, claim.measured))
    parts = zip(claim.measured, claim.interval, strict=True)
    return "\n".join(f"{_short(value)} [{_short(low)}, {_short(high)}]" for value, (low, high) in parts)


def reference_text(claim: Claim) -> str:
    """Each reference with its tolerance, one per line."""
    if claim.reference is None:
        return "–"
    if claim.tolerance is None:
        return "\n".join(map(_short, claim.reference))
    return "\n".join(
        f"{_short(value)} ± {_short(reach)}" for value, reach in zip(claim.reference, claim.tolerance, strict=True)
    )


def why_inconclusive(claim: Claim) -> str:
    """Why a claim's numbers do not decide it, in a sentence.

    Example:
        >>> numbers = {"measured": (0.3,), "interval": ((-0.1, 0.7),)}
        >>> why_inconclusive(Claim(id="B-1", role="headline", statement="", verdict="inconclusive", **numbers))
        'The interval [-0.100, 0.700] includes 0.'
    """
    if claim.scale == "tiny":
        return "The tiny scale decides nothing."
    if not np.isfinite(claim.measured).all():
        return "Not every number could be measured."
    nothing = ((float("nan"), float("nan")),) * len(claim.measured)
    unknown = (float("nan"),) * len(claim.measured)
    rows = zip(
        claim.measured, claim.interval or nothing, claim.reference or unknown, claim.tolerance or unknown, strict=True
    )
    for value, (low, high), reference, reach in rows:
        ends = f"[{_short(low)}, {_short(high)}]"
        band = f"{_short(reference)} ± {_short(reach)}"
        if np.isfinite([reference, reach, low, high]).all():
            if not (reference - reach <= low and high <= reference + reach) and abs(value - reference) <= reach:
                return f"The interval {ends} reaches beyond {band}."
            if abs(value - reference) > reach and low <= reference + reach and high >= reference - reach:
                return f"{_short(value)} is outside {band}, but its interval {ends} overlaps it."
        elif claim.reference is None and low < 0 < high:
            return f"The interval {ends} includes 0."
        elif claim.tolerance is None and low <= reference <= high:
            return f"The interval {ends} includes {_short(reference)}."
    if claim.tolerance is not None and len(claim.tolerance) == len(claim.measured):
        return "The numbers agree, but within a tolerance too wide to decide: more replicas would narrow it."
    return "The intervals, or the parts of the claim, do not decide it."


def inconclusive_words(claims: Iterable[Claim]) -> list[str]:
    """A line for each claim that is inconclusive, saying why."""
    return [f"{claim.id} is inconclusive. {why_inconclusive(claim)}" for claim in claims if claim.verdict == "inconclusive"]


def _short(value: float) -> str:
    """Three significant digits below ten, so that 0.998 and 12.0 both read well; two where nothing else would be left."""
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
