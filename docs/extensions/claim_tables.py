"""The directive `claims`: a table of every docs/results/**/claims.json, which `make results` leaves there."""

from __future__ import annotations

import json
from pathlib import Path

from docutils import nodes
from estimator_pages import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flowplane.experiments import Claim

HEADER = ("claim", "what is claimed", "measured", "reference", "verdict")


def numbers(values: tuple[float, ...] | None) -> str:
    """Three figures of each."""
    return ", ".join(f"{value:.3g}" for value in values or ())


def row(claim: Claim) -> list[str]:
    """Of the table."""
    units = f" [{claim.units}]" if claim.units else ""
    verdict = f"**{claim.verdict}**" if claim.verdict == "contradicted" else claim.verdict
    said = f"{claim.statement}{units}".replace("|", "\\|")
    return [claim.id, said, numbers(claim.measured), numbers(claim.reference), verdict]


class Claims(SphinxDirective):
    """A table of each experiment's claims."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for file in sorted((Path(self.env.srcdir) / "results").rglob("claims.json")):
            self.env.note_dependency(str(file))
            claims = [Claim.from_json(one) for one in json.loads(file.read_text(encoding="utf-8"))]
            found += [nodes.rubric("", file.parent.name), *self.parse_text_to_nodes(table(HEADER, list(map(row, claims))))]
        return found or [nodes.paragraph("", "No results are kept yet: `make results` makes them.")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("claims", Claims)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
