"""The pages of results, and README's table of verdicts, from what `flowplane reproduce all --full` left in a folder.

python docs/make_results.py [results]

What is finished there, at full scale and by this version, is copied to docs/results/EXPERIMENT: claims.json, run.json and
the figures as stills. The pages are then written anew from all that stands in docs/results, also from earlier runs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from check_numbers import rows_of

import flowplane as fp
from flowplane.experiments.claim import Claim
from flowplane.experiments.papers import PAPER_CLAIMS, PAPERS, head_of
from flowplane.experiments.registry import EXPERIMENTS, Experiment, experiments_of, finished
from flowplane.plot.page.drawing import figure_of
from flowplane.reporting.ledger import count_verdicts, inconclusive_words, measured_text, read_claims, reference_text
from flowplane.reporting.stored import stored_about, stored_figure, stored_figures

HERE = Path(__file__).parent
KEPT = HERE / "results"
README = HERE.parent / "README.md"
#: Of a table of claims.
HEADER = ("claim", "role", "statement", "measured [95 %]", "reference", "verdict")
BEGIN, END = "<!-- verdicts: written by docs/make_results.py -->", "<!-- end of verdicts -->"


def keep(found: Path, name: str) -> None:
    """Copy what an experiment found, its figures as stills."""
    target = KEPT / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in ("claims.json", "run.json"):
        shutil.copy(found / name / file, target / file)
    for stem, page in stored_figures(found / name).items():
        figure = stored_figure(page)
        if figure is not None:
            fp.plot.save(figure_of(figure), target / f"{stem}.webp")


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """In Markdown; bars and line ends inside cells do not end them."""
    lines = [list(header)]
    lines += [["---"] * len(lines[0]), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def bold(verdict: str) -> str:
    """A verdict against a claim stands out."""
    return verdict.replace("contradicted", "**contradicted**")


def cells(claim: Claim) -> list[str]:
    """A claim as a row of its experiment's page."""
    statement = f"{claim.statement} ({claim.units})" if claim.units else claim.statement
    numbers = [text.replace("\n", "; ") for text in (measured_text(claim), reference_text(claim))]
    return [claim.id, claim.role, statement, *numbers, bold(claim.verdict)]


def about(run: dict[str, Any]) -> str:
    """How an experiment was run."""
    training = f", of which training {run['training_seconds']:.0f} s" if run["training_seconds"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return (
        f"`flowplane reproduce {run['experiment']} --full`, seed {run['seed']}: {run['seconds']:.0f} s{training}, on "
        f"{run['machine']}; {versions}."
    )


def page(experiment: Experiment) -> str:
    """Of one experiment: how it was run, its claims, its figures, the one that it is about first."""
    folder = KEPT / experiment.name
    claims = read_claims(folder)
    shown = Path(experiment.figure).stem
    stills = sorted(folder.glob("*.webp"), key=lambda still: (still.stem != shown, still.stem))
    parts = [f"# {experiment.name}: {experiment.title}", about(stored_about(folder))]
    parts.append(table(HEADER, map(cells, claims)))
    if undecided := inconclusive_words(claims):
        parts.append("\n".join(f"- {line}" for line in undecided))
    parts += [f"![{still.stem.replace('-', ' ').replace('_', ' ')}]({experiment.name}/{still.name})" for still in stills]
    return "\n\n".join(parts) + "\n"


def verdicts(found: dict[str, list[Claim]], linked: str) -> str:
    """The table of the papers' 19 claims; `linked` leads from the page that holds it to the experiments' pages."""
    words = (KEPT / "in-words.md").read_text(encoding="utf-8")
    before = {name: ", ".join(row.verdicts) for row in rows_of(words, "") for name in row.ids if name in PAPER_CLAIMS}
    rows = []
    for head in PAPER_CLAIMS.values():
        names = experiments_of(head.id)
        whole = [claim.verdict for name in names for claim in found.get(name, ()) if claim.id == head.id]
        verdict = whole[-1] if whole else f"{before[head.id]}¹" if head.id in before else "not run"
        links = [f"[{name}]({linked}{name}.md)" if name in found else f"`{name}`" for name in names]
        rows.append([head.id, head.statement, bold(verdict), ", ".join(links)])
    note = "\n\n¹ Before the last changes to this version; `make results` runs it again."
    text = table(("claim", "what the paper says", "verdict", "experiment"), rows)
    return text + note * any("¹" in row[2] for row in rows)


def index(found: dict[str, list[Claim]]) -> str:
    """The first page of results: both papers' claims, then our own."""
    everything = [(claim, name) for name, each in found.items() for claim in each]
    own = [[*cells(claim), f"[{name}]({name}.md)"] for claim, name in everything if not head_of(claim.id)]
    missing = [name for name in EXPERIMENTS if name not in found]
    counted = count_verdicts([claim for claim, _ in everything]).replace("in this folder", "on these pages")
    counted = counted.replace("not run", "not run by this version")  # the table has verdicts from before
    parts = [
        "# Results",
        "Every claim of both papers at full scale, of one seed, with the verdict that its numbers give. `make results` runs "
        "what is missing (hours in all) and writes these pages; [What was found, in words](in-words.md) says "
        "what to make of it.",
        *(f"{letter}: {title}." for letter, title in PAPERS.items()),
        f"{counted[0].upper()}{counted[1:]}.".replace("\n", "; "),
        verdicts(found, ""),
    ]
    if own:
        parts += ["## Claims of neither paper", table((*HEADER, "experiment"), own)]
    if missing:
        parts.append(f"Not run by this version yet: {', '.join(missing)}.")
    tree = "\n".join(["```{toctree}", ":hidden:", "", "in-words", *found, "```"])
    return "\n\n".join([*parts, tree]) + "\n"


def main(results: Path) -> None:
    """Copy, then write."""
    for name in EXPERIMENTS:
        if finished(name, "full", results):
            kept, new = stored_about(KEPT / name), stored_about(results / name)
            if kept != new:
                keep(results, name)
                print(f"kept: {name}")
    found = {name: read_claims(KEPT / name) for name in EXPERIMENTS if (KEPT / name / "claims.json").is_file()}
    for name in found:
        (KEPT / f"{name}.md").write_text(page(EXPERIMENTS[name]), encoding="utf-8")
    (KEPT / "index.md").write_text(index(found), encoding="utf-8")
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{verdicts(found, 'docs/results/')}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
