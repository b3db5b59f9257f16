"""An experiment's Result, or the folder that it left, put together for a report."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import EXPERIMENTS, Result
from flowplane.plot.page.drawing import Drawn
from flowplane.reporting.ledger import read_claims
from flowplane.reporting.markup import count, listed
from flowplane.reporting.provenance import run_facts, run_recipe
from flowplane.reporting.stored import stored_about, stored_datasets, stored_figure, stored_figures
from flowplane.reporting.subject import Subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["of_folder", "of_result"]

#: Section, kind of Dataset, and what it is called where there is none.
KINDS = (
    ("plane", "plane", "information plane"),
    ("training", "metrics", "training curves"),
    ("gradients", "phases", "gradient statistics"),
    ("transport", "transport", "transport profile"),
)

#: Bytes of stored figures that a page includes; the others are named.
FIGURE_BYTES = 4_000_000
#: Figures that the sections draw themselves, from the Datasets, lighter.
REDRAWN = ("information-plane", "training-curves", "gradient-phases")


def of_result(result: Result, title: str) -> Subject:
    """What `flowplane.experiments.run` gave back.

    Raises:
        InputError: a result without claims.
    """
    if not result.claims:
        raise InputError("source", Text("a Result without claims"), "what an experiment found, with at least one claim")
    names = [name for name, experiment in EXPERIMENTS.items() if result.claims[0].id in experiment.claims]
    about: dict[str, Any] = {"experiment": names[0]} if names else {}
    about |= {
        "scale": result.claims[0].scale,
        "seconds": result.claims[0].seconds,
        "training_seconds": result.training_seconds,
    }
    return _subject(names[0] if names else title, [about], result.datasets, dict(result.figures), result.claims, None, [])


def of_folder(folder: Path, title: str) -> Subject:
    """A folder of results, or one experiment's: nothing is computed anew.

    Raises:
        InputError: no claims in it, or files that cannot be read.
    """
    homes = [folder] if (folder / "claims.json").is_file() else sorted(file.parent for file in folder.glob("*/claims.json"))
    if not homes:
        wanted = "a recording, or a folder of results with claims.json files in it or one level down"
        raise InputError("source", str(folder), wanted)
    claims = read_claims(folder)
    datasets: dict[str, xr.Dataset] = {}
    pages: dict[str, Path] = {}
    for home in homes:
        before = f"{home.name}: " if len(homes) > 1 else ""
        datasets |= {f"{before}{name}": dataset for name, dataset in stored_datasets(home).items()}
        pages |= {f"{before}{name}": page for name, page in stored_figures(home).items()}
    chosen = _chosen(datasets)
    figures, left_out = _figures(pages, chosen)
    about = [stored_about(home) for home in homes]
    said = []
    if left_out:
        many = count(len(left_out), "figure is", "figures are")
        said = [f"To keep the page small {many} left in the folder: {listed(left_out)}."]
    return _subject(title, about, datasets, figures, claims, str(folder), said)


def _figures(pages: dict[str, Path], chosen: Mapping[str, tuple[str, xr.Dataset]]) -> tuple[dict[str, Drawn], list[str]]:
    """The figures that fit, the lightest first, and the names of those that do not."""
    drawn = {"plane": "information-plane", "metrics": "training-curves", "phases": "gradient-phases"}
    redrawn = tuple(figure for name, figure in drawn.items() if name in chosen)
    figures: dict[str, Drawn] = {}
    left_out, size = [], 0
    for name, page in pages.items():
        if redrawn and name.split(": ")[-1].startswith(redrawn):
            continue
        figure = stored_figure(page)
        weight = 0 if figure is None else len(json.dumps(figure.content))
        if figure is None or size + weight > FIGURE_BYTES:
            left_out.append(f"{name}.html")
            continue
        figures[name], size = figure, size + weight
    return figures, left_out


def _chosen(datasets: Mapping[str, xr.Dataset]) -> dict[str, tuple[str, xr.Dataset]]:
    """The first Dataset of each kind that a section shows, with its name; controls last."""
    kinds = {
        "plane": ({"i_xt", "i_ty"}, {"replica", "epoch", "layer"}),
        "metrics": (set(), {"replica", "train_epoch"}),
        "phases": ({"gradient_mean", "gradient_std", "crossing_median", "median_state"}, {"replica", "epoch", "layer"}),
        "transport": ({"cost", "wasserstein", "optimality"}, {"replica", "epoch", "layer"}),
    }
    found: dict[str, tuple[str, xr.Dataset]] = {}
    for name in sorted(datasets, key=lambda name: ("shuffled" in name or "control" in name, name)):
        dataset = datasets[name]
        for kind, (variables, dims) in kinds.items():
            fits = variables <= set(dataset) and any(
                set(dataset[v].dims) == dims for v in (variables or set(map(str, dataset.data_vars)))
            )
            if kind not in found and fits:
                found[kind] = (name, dataset)
    return found


def _subject(
    title: str,
    about: list[dict[str, Any]],
    datasets: Mapping[str, xr.Dataset],
    figures: Mapping[str, go.Figure | Drawn],
    claims: list[Claim],
    folder: str | None,
    left_out: list[str],
) -> Subject:
    chosen = _chosen(datasets)
    parts = {kind: dataset.load() for kind, (_, dataset) in chosen.items()}
    kept = "The experiment kept no {} to show here."
    notes = {"plane": [], "training": [], "gradients": [], "transport": [], "figures": left_out}
    for section, kind, what in KINDS:
        notes[section] = [f"From the experiment's Dataset “{chosen[kind][0]}”." if kind in chosen else kept.format(what)]
    plane = parts.get("plane")
    if plane is not None and not np.isfinite(plane["i_xt"].values).any():
        plane = None
    known = [
        f"“{EXPERIMENTS[name].title}”" for name in (str(part.get("experiment")) for part in about) if name in EXPERIMENTS
    ]
    said = (
        f"{count(len(claims), 'claim')} of the papers, tested by {count(len(about), 'experiment')}: {listed(known)}."
        if known
        else ""
    )
    facts = run_facts(about[0] if len(about) == 1 else {}, plane)
    recipe = "\n".join(filter(None, (run_recipe(part) for part in about)))
    if folder is not None:
        recipe += f"\nflowplane report {shlex.quote(folder)} -o report.html"
    return Subject(
        title,
        said,
        plane,
        parts.get("metrics"),
        parts.get("phases"),
        parts.get("transport"),
        dict(figures),
        list(claims),
        notes,
        facts,
        recipe=recipe.strip(),
    )
