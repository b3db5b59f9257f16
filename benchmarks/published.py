"""How near the truth, and how fast, on the forty tasks of benchmark-mi (Czyż et al. 2023, arXiv 2306.11078)?

Each estimate is kept in published.json beside this file, one not made again while it stands there, and the table is of all
that are: it can be made in parts, and stopped. Where benchmark-mi is installed, samples come from its own samplers, so that
our copies of its tasks in `tests/truths_published.py` are judged as well; elsewhere, or with --copies, from the copies.
benchmark-mi needs JAX, of an older version, and so an environment of its own: `make published`. Its KSG takes the Euclidean
norm in x and in t, ours the maximum; its estimators run as they come, and their seconds hold what JAX compiles.

    python benchmarks/published.py [--samples 2000] [--ours Denoising] [--theirs KSG InfoNCE] [--dimensions 5]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import flowplane as fp
from flowplane.core.files import write_text
from flowplane.core.results import Flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from truths import TRUTHS
from truths_published import published

#: One not Gaussian after ranks has one of these in its name; all else are monotone functions of normal coordinates.
BEYOND_NORMAL = ("additive", "swissroll", "spiral", "student")
SMALL = 5
#: Pairs of these tasks are also read with one side shuffled: nothing is left to find.
SHUFFLED = (
    "wiggly-1v1-normal-0.75",
    "student-identity-2-2-1",
    "spiral-multinormal-sparse-3-3-2-2.0",
    "multinormal-dense-5-5-0.5",
)
#: Nats by which a task is lost to another estimator, and to which.
LOSS, RIVALS = 0.05, ("KSG", "InfoNCE", "benchmark-mi, KSG", "benchmark-mi, InfoNCE")
KEPT = Path(__file__).with_suffix(".json")
SAMPLERS = {"copies": "our copies", "originals": "benchmark-mi's own samplers"}
OURS = {
    "Denoising": fp.Denoising(0.0),
    "KSG": fp.KSG(),
    "GaussianMI": fp.GaussianMI(),
    "InfoNCE": fp.Variational(kind="infonce"),
    "SMILE": fp.Variational(kind="smile"),
}
#: Of ours what compiles functions, at its first estimate in a process.
COMPILED = ("KSG", "GaussianMI")
#: Classes in `bmi.estimators`, which has no SMILE.
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "KSG": ("KSGEnsembleFirstEstimator", {"neighborhoods": (4,)}),
    "CCA": ("CCAMutualInformationEstimator", {}),
    "InfoNCE": ("InfoNCEEstimator", {"verbose": False}),
    "DV": ("DonskerVaradhanEstimator", {"verbose": False}),
}
Found = dict[str, Any]


class Row(NamedTuple):
    """One estimate, `task` with " shuffled" behind it where nothing is left to find."""

    estimator: str
    task: str
    samples: int
    sampler: str
    draw: int

    @property
    def key(self) -> str:
        """Its name in the file."""
        return "|".join(map(str, self))

    @classmethod
    def of(cls, key: str) -> Row:
        """The row of that name."""
        estimator, task, samples, sampler, draw = key.split("|")
        return cls(estimator, task, int(samples), sampler, int(draw))

    @property
    def shuffled(self) -> bool:
        """Whether nothing is left to find."""
        return self.task.endswith(" shuffled")

    def pair(self) -> tuple[np.ndarray, np.ndarray, float]:
        """x, t and their information in nats."""
        task = self.task.removesuffix(" shuffled")
        if self.sampler == "copies":
            sample = TRUTHS[task].sample(self.samples, self.draw)
            x, t, truth = sample.inputs, sample.activations, float(TRUTHS[task].i_xt or 0.0) * math.log(2.0)
        else:
            original = importlib.import_module("bmi").benchmark.BENCHMARK_TASKS[task]
            x, t = map(np.array, original.sample(self.samples, self.draw))
            truth = float(original.mutual_information)
        assert x is not None
        if self.shuffled:
            t, truth = np.random.default_rng(self.draw).permutation(t), 0.0
        return x, t, truth


def judge(row: Row) -> Found:
    """The estimate in nats, and the seconds of the processor that it took, in all threads."""
    x, t, truth = row.pair()
    began = time.process_time()
    if row.estimator in OURS:
        result = OURS[row.estimator](t, inputs=x, seed=row.draw)
        value, low, high = (float(result[f"i_xt{end}"]) * math.log(2.0) for end in ("", "_lower", "_upper"))
        ends = [end if math.isfinite(end) else None for end in (low, high)]
        found = {"interval": ends, "flags": sorted(Flags.names(result.i_xt_flags)), "bound": result.i_xt.bound}
    else:
        name, given = THEIRS[row.estimator.removeprefix("benchmark-mi, ")]
        value = float(getattr(importlib.import_module("bmi.estimators"), name)(**given).estimate(x, t))
        found = {"interval": None, "flags": [], "bound": "estimate"}  # it says nothing of itself
    seconds = time.process_time() - began
    return {"truth": truth, "value": value, **found, "seconds": round(seconds, 3)}


@cache
def dimensions(task: str) -> int:
    """Of the larger side."""
    sample = TRUTHS[task].sample(2, 0)
    return max(sample.activations.shape[1], 0 if sample.inputs is None else sample.inputs.shape[1])


def small(task: str) -> bool:
    """Up to 5 + 5 dimensions."""
    return dimensions(task) <= SMALL


def curved(task: str) -> bool:
    """Up to 5 + 5 dimensions and not Gaussian after ranks."""
    return small(task) and any(part in task for part in BEYOND_NORMAL)


def error(found: Found) -> float:
    """Distance from the truth."""
    return abs(found["value"] - found["truth"])


def covered(found: Found) -> bool:
    """Whether the interval keeps its promise: that of a lower bound says nothing of what lies above, of an upper below."""
    low, high = found["interval"]  # an end without limit is None
    above = found["bound"] == "lower" or high is None or high >= found["truth"]
    return above and (found["bound"] == "upper" or low is None or low <= found["truth"])


def errors(rows: dict[Row, Found], group: Callable[[str], bool]) -> str:
    """Mean and median over the tasks of a group, and of how many tasks."""
    some = {row: error(found) for row, found in rows.items() if not row.shuffled and group(row.task)}
    if not some:
        return "–"
    values = np.array(list(some.values()))
    if missing := int(np.isnan(values).sum()):
        return f"{missing} without a value"
    return f"{values.mean():.3f} / {np.median(values):.3f} ({len({row.task for row in some})})"


def beside(rows: dict[Row, Found], name: str) -> str:
    """Mean distance of an estimator and of Denoising, on the samples that both have read."""
    some = {row: rows.get(row._replace(estimator="Denoising")) for row in rows if row.estimator == name and not row.shuffled}
    both = [(error(rows[row]), error(found)) for row, found in some.items() if found]
    return "{:.3f}, {:.3f} ({})".format(*np.mean(both, 0), len(both)) if both else "–"


def summary(rows: dict[Row, Found]) -> list[str]:
    """A line for an estimator: errors, coverage, flags, shuffled pairs, seconds."""
    lines = [
        "| estimator | all | up to 5 + 5 dimensions | of these, not Gaussian after ranks | means of it and of Denoising"
        " where both are | shuffled, at most | intervals without a flag that hold | flagged | seconds an estimate |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ordered(rows):
        own = {row: found for row, found in rows.items() if row.estimator == name}
        real = [found for row, found in own.items() if not row.shuffled]
        nothing = [abs(found["value"]) for row, found in own.items() if row.shuffled]
        clean = [found for found in real if found["interval"] and not found["flags"]]
        cells = [errors(own, group) for group in (lambda task: True, small, curved)]
        cells.append("–" if name == "Denoising" else beside(rows, name))
        cells.append(f"{max(nothing):.3f}" if nothing else "–")
        cells.append(f"{sum(map(covered, clean))} of {len(clean)}" if clean else "–")
        cells.append(f"{sum(bool(found['flags']) for found in real)} of {len(real)}" if name in OURS else "–")
        cells.append(f"{np.mean([found['seconds'] for found in real]):.2f}" if real else "–")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def losses(rows: dict[Row, Found]) -> Iterator[str]:
    """Tasks on which Denoising is further from the truth than another, on the same samples."""
    for row, found in rows.items():
        if row.estimator == "Denoising" and not row.shuffled:
            others = {rival: rows.get(row._replace(estimator=rival)) for rival in RIVALS}
            nearer = [f"{name} {other['value']:.2f}" for name, other in others.items() if other and lost(found, other)]
            flags = f" ({', '.join(found['flags'])})" if found["flags"] else ""
            if nearer:
                yield f"- `{row.task}`: {found['truth']:.2f}, Denoising {found['value']:.2f}{flags}, " + ", ".join(nearer)


def lost(found: Found, other: Found) -> bool:
    """Whether the other is nearer by what counts."""
    return error(found) > error(other) + LOSS


def in_detail(rows: dict[Row, Found]) -> list[str]:
    """A line for a task: means over draws, with a star where one has a flag."""
    names = ordered(rows)
    lines = ["| task | truth | " + " | ".join(names) + " |", "|---|---:|" + "---:|" * len(names)]
    for task in dict.fromkeys(row.task for row in sorted(rows, key=lambda row: ORDER[row.task])):
        cells, truth = [], math.nan
        for name in names:
            some = [found for row, found in rows.items() if (row.estimator, row.task) == (name, task)]
            star = "*" if any(found["flags"] for found in some) else ""
            truth = some[0]["truth"] if some else truth
            cells.append(f"{np.mean([found['value'] for found in some]):.2f}{star}" if some else "")
        lines.append(f"| `{task}` | {truth:.2f} | " + " | ".join(cells) + " |")
    return lines


def ordered(rows: dict[Row, Found]) -> list[str]:
    """Estimators in their order here."""
    return [
        name for name in (*OURS, *(f"benchmark-mi, {name}" for name in THEIRS)) if any(name == r.estimator for r in rows)
    ]


def page(kept: dict[str, Found]) -> str:
    """The tables of all that is kept."""
    rows = {Row.of(key): found for key, found in kept.items()}
    lines = ["Mean / median distance from the truth in nats (tasks); a star: a flag."]
    for samples, sampler in sorted({(row.samples, row.sampler) for row in rows}):
        some = {row: found for row, found in rows.items() if (row.samples, row.sampler) == (samples, sampler)}
        lines += ["", f"### {samples:,} samples from {SAMPLERS[sampler]}", "", *summary(some), ""]
        lines += [f"Lost by more than {LOSS:g} nat:", "", *(list(losses(some)) or ["- none"]), "", *in_detail(some)]
    return "\n".join(lines)


TASKS = [truth.name for truth in published()]
ORDER = {name: place for place, name in enumerate([*TASKS, *(f"{name} shuffled" for name in TASKS)])}


def main() -> None:
    """Make what is missing, then print the tables."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    installed = importlib.util.find_spec("bmi") is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--ours", nargs="*", choices=OURS, default=list(OURS))
    parser.add_argument("--theirs", nargs="*", choices=THEIRS, default=["KSG", "CCA"] if installed else [])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--dimensions", type=int, default=50, help="of either side at most")
    parser.add_argument("--copies", action="store_true", help="samples of our copies even where benchmark-mi is installed")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no estimate after so long")
    options = parser.parse_args()
    if options.theirs and not installed:
        raise SystemExit("benchmark-mi is no dependency, and needs an older JAX: make published")
    kept: dict[str, Found] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    until = time.monotonic() + options.seconds
    estimators = [*options.ours, *(f"benchmark-mi, {name}" for name in options.theirs)]
    tasks = [task for task in options.tasks if dimensions(task) <= options.dimensions]
    tasks += [f"{task} shuffled" for task in SHUFFLED if task in tasks]
    sampler = "originals" if installed and not options.copies else "copies"
    for samples, estimator in product(options.samples, estimators):
        rows = [Row(estimator, task, samples, sampler, draw) for task, draw in product(tasks, range(options.draws))]
        missing = [row for row in rows if row.key not in kept]
        if missing and estimator in COMPILED:
            judge(missing[0]._replace(samples=200))  # what is compiled once counts for nothing
        for row in missing:
            if time.monotonic() >= until:
                break
            kept[row.key] = judge(row)
            print(row.key, kept[row.key]["value"], kept[row.key]["seconds"], file=sys.stderr, flush=True)
            write_text(KEPT, json.dumps(kept, indent=1, sort_keys=True) + "\n")
    print(page(kept))


if __name__ == "__main__":
    main()
