"""Where README or the pages quote a number, or a verdict, that the committed results do not hold.

python docs/check_numbers.py

Looked at is every row of a table that begins with the id of a claim: each number of its column `measured` (or of the
columns between the statement and the verdict, where none is called so) has to be a measured value, an end of an interval
or a reference of that claim or of its parts, or stand in its statement, rounded as it is quoted; each verdict has to be
one of theirs. Where one is not, it is printed, and the exit code is 1; claims without a committed result are only
counted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flowplane.experiments.claim import VERDICTS, Claim
from flowplane.reporting.ledger import read_claims

HERE = Path(__file__).parent
PAGES = ("../README.md", "results/in-words.md")
ID = re.compile(r"(?:[AB]-\d+|X(?:-[a-z]+)+)(?:\.[\w-]+)*")
NUMBER = re.compile(r"[−-]?\d+(?:\.\d+)?(?:e[−-]?\d+)?")


class Row(NamedTuple):
    """A row of a table that speaks of claims."""

    page: str
    ids: tuple[str, ...]
    #: Its cells by the column's title.
    cells: dict[str, str]

    @property
    def quoted(self) -> str:
        """What the row says was measured."""
        if "measured" in self.cells:
            return self.cells["measured"]
        titles = list(self.cells)
        return " ".join(self.cells[title] for title in titles[2 : titles.index("verdict")])

    @property
    def verdicts(self) -> list[str]:
        """In the order in which the row says them."""
        return re.findall("|".join(VERDICTS[:3]), self.cells["verdict"])


def rows_of(text: str, page: str) -> Iterator[Row]:
    """Rows of tables that have a column `verdict`, and whose first cell begins with the id of a claim."""
    header: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            header = []
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        header = header or cells
        ids = tuple(ID.findall(cells[0]))
        if ids and "verdict" in header and len(cells) == len(header):
            yield Row(page, ids, dict(zip(header, cells, strict=True)))


def under(claims: list[Claim], name: str) -> list[Claim]:
    """The claim of that id, and its parts."""
    return [claim for claim in claims if claim.id == name or claim.id.startswith(f"{name}.")]


def held(quoted: str, claims: list[Claim]) -> bool:
    """Whether a number, rounded as it is quoted, is one of the claims'."""
    text = quoted.replace("−", "-")
    digits = len(text.partition("e")[0].partition(".")[2])
    power = int(text.partition("e")[2] or 0)
    half = 0.5001 * 10.0 ** (power - digits)
    known = [value for claim in claims for value in (*claim.measured, *(claim.reference or ()))]
    known += [end for claim in claims for pair in claim.interval or () for end in pair]
    known += [float(told) for claim in claims for told in NUMBER.findall(claim.statement.replace("−", "-"))]
    return any(abs(scale * value - float(text)) <= half for value in known for scale in (1.0, -1.0, 100.0))


def complaints(row: Row, claims: list[Claim]) -> Iterator[str]:
    """What a row says that its claims do not."""
    own = [claim for name in row.ids for claim in under(claims, name)]
    if not own:
        return
    where = f"{row.page}: {', '.join(row.ids)}"
    for quoted in NUMBER.findall(row.quoted):
        if not held(quoted, own):
            yield f"{where}: {quoted} is none of the numbers measured"
    for verdict in row.verdicts:
        if verdict not in {claim.verdict for claim in own}:
            yield f"{where}: no verdict is {verdict!r}"


if __name__ == "__main__":
    claims = read_claims(HERE / "results")
    rows = [row for page in PAGES for row in rows_of((HERE / page).read_text(encoding="utf-8"), page)]
    found = [complaint for row in rows for complaint in complaints(row, claims)]
    without = [row for row in rows if not any(under(claims, name) for name in row.ids)]
    print(*found, f"{len(rows)} rows quote claims; of {len(without)} there is no committed result.", sep="\n")
    sys.exit(bool(found))
