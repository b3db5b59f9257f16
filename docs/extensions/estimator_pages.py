"""Directives of the estimators' pages: `coverage` on known distributions, and `flags`.

Formula and advice are the page's own; these are read from docs/estimators-table.md and from the estimator's code.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import flowplane as fp
from flowplane.information.schema import FLAGS

TABLE = Path(__file__).parents[1] / "estimators-table.md"
HEADER = ("setting", "quantity", "samples", "distributions", "coverage", "flagged", "worst")


def coverage_rows(estimator: str) -> list[list[str]]:
    """Rows of the table of coverage that speak of an estimator, in any of its settings."""
    section = TABLE.read_text(encoding="utf-8").split("## Coverage")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in section.splitlines() if line.startswith("|")
    ]
    return [row for row in rows if row[0].split(",")[0] == estimator]


def flags_of(estimator: str) -> dict[str, str]:
    """Flags that its module names, and what each means."""
    source = inspect.getsource(inspect.getmodule(getattr(fp.information, estimator, None) or getattr(fp, estimator)))
    return {name: flag.meaning for name, flag in FLAGS.items() if re.search(rf"\b{name}\b", source)}


def table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    """In Markdown; bars inside cells do not end them."""
    lines = ([cell.replace("|", "\\|") for cell in row] for row in (header, ["---"] * len(header), *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Coverage(SphinxDirective):
    """How often intervals of an estimator hold the truth."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(table(HEADER, coverage_rows(self.arguments[0])))


class EstimatorFlags(SphinxDirective):
    """Flags of an estimator, with their meanings."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        rows = [[f"`{flag}`", meaning] for flag, meaning in flags_of(self.arguments[0]).items()]
        return self.parse_text_to_nodes(table(("flag", "what it says"), rows))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("coverage", Coverage)
    app.add_directive("flags", EstimatorFlags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
