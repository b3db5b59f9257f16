"""Judge every estimator of information by distributions whose information is known: bias, spread, coverage, flags.

Each estimator gets seeded draws of each distribution of `tests/truths.py` and size; I(X;T) and I(T;Y) are asked for one at
a time, so that the flags of one do not count against the other. Results go to docs/estimators-table.json after every row,
and a row that stands there is not run again without --again: the table can be made in parts, and stopped.

python docs/make_estimator_table.py [--samples 1000 …] [--estimators KSG …] [--distributions asinh …] [--again]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import flowplane as fp
from flowplane.analysis.estimators import registered
from flowplane.core.results import Flags
from flowplane.information.entropies import CORRECTIONS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from truths import TRUTHS, Pair, Sample, Truth

from flowplane.information.estimator import Estimator

QUANTITIES = {"i_xt": "I(X;T)", "i_ty": "I(T;Y)"}
BINS = 8
NOTHING = Pair(None, None)
#: Fewer draws without a flag say nothing of a cell's coverage.
ENOUGH = 10
#: Numbers of samples, and of draws: for few samples and for many, of estimators that are fast and of others.
SIZES, MANY = (50, 200, 1000, 10_000), 10_000
DRAWS, SLOW_DRAWS = (200, 40), (40, 10)
#: Denoisers take seconds a draw: a few distributions, draws by numbers of samples.
DENOISED = (
    "1v1-normal-0.75",
    "wiggly-1v1-normal-0.75",
    "student-identity-2-2-2",
    "spiral-multinormal-sparse-3-3-2-2.0",
    "multinormal-dense-5-5-0.5",
    "half_cube-multinormal-sparse-5-5-2-2.0",
    "four-classes-2d",
    "parity-3",
)
DENOISED_DRAWS = {2000: 20, 10_000: 5}
#: What coverage is to reach over all distributions, and in each that leaves so many draws without a flag.
OVER_ALL, IN_EACH, JUDGED = 0.93, 0.85, 40
ABOUT = """Made by `python docs/make_estimator_table.py`; bits. {draws} The distributions are those of `tests/truths.py`,
among them the forty tasks of benchmark-mi (Czyż et al. 2023) under their names there.

Coverage is the share of 95 % intervals of draws *without a flag* that hold the truth; of a lower bound, that do not lie
above it, of an upper one, below. Beside it stands how many draws have a flag: who flags everything promises nothing."""
CELLS = """A cell: bias ± standard deviation, over the draws without a flag where there are ten or more, else over all; in
bold the coverage; then the share of draws with a flag, and which. Binned has {bins} fixed bins, and estimates the
information of the binned T, written first. In the rows named channel the noise belongs to the estimator; Pairwise reports a
bound there, and its interval holds both bounds."""


def usual(estimator: type[Estimator], truth: Truth) -> Estimator:
    """With its usual parameters, whatever the distribution."""
    return estimator.usual()


def plain(truth: Truth) -> Pair:
    """The distribution's own information."""
    return Pair(truth.i_xt, truth.i_ty)


def of_bins(truth: Truth) -> Pair:
    """The information left after cutting T at edges that hold nearly all of it."""
    return NOTHING if truth.binned is None else truth.binned(np.linspace(*truth.span, BINS + 1))


def of_channel(truth: Truth) -> Pair:
    """Only where the noise is the estimator's."""
    return NOTHING if truth.channel_variance is None else plain(truth)


def of_slices(truth: Truth) -> Pair:
    """A hook: sliced information is the information itself in one dimension; above, it is not worked out here."""
    inputs, activations, _ = truth.sample(2, 0)
    one = activations.shape[1] == 1 and truth.channel_variance is None
    return Pair(truth.i_xt if one and inputs is not None and inputs.shape[1] == 1 else None, truth.i_ty if one else None)


def of_some(names: tuple[str, ...], truth: Truth) -> Pair:
    """The information itself, of some distributions."""
    return plain(truth) if truth.name in names else NOTHING


def of_label(truth: Truth) -> Pair:
    """What a probe speaks of: the label, without any channel."""
    return Pair(None, truth.i_ty) if truth.channel_variance is None else NOTHING


def of_kernel(truth: Truth) -> Pair:
    """Matrix-based information of order 2, h = 1/2, in the limit of many samples, of pairs of standard normals: E K² over
    two independent samples is det(I + 2 C/h²)^(−1/2), C the covariance of their difference."""
    if truth.name not in ("bivariate-normal", "bivariate-normal-strong"):
        return NOTHING
    rho, scale = math.sqrt(1 - 2 ** (-2 * truth.i_xt)), 2 / 0.5**2
    joint = np.linalg.det(np.eye(2) + scale * 2 * np.array([[1, rho], [rho, 1]]))
    return Pair(-0.5 * math.log2(joint / (1 + 2 * scale) ** 2), None)


def binned(correction: str | None, truth: Truth) -> Any:
    """Binned at the fixed edges."""
    return fp.Binned(tuple(np.linspace(*truth.span, BINS + 1)), correction=correction)


def noisy(estimator: Callable[..., Any], truth: Truth, /, on_channel: Any = None, **given: Any) -> Any:
    """An estimator; on a channel with the channel's noise."""
    if truth.channel_variance is not None:
        given |= {"noise_variance": truth.channel_variance, **(on_channel or {})}
    return estimator(**given)


class Contender(NamedTuple):
    """`make` gives the estimator for a distribution; `target` what it estimates; `slow` ones get fewer draws. `own` are
    draws by numbers of samples, where both are not the usual ones."""

    make: Callable[[Truth], Any]
    target: Callable[[Truth], Pair] = plain
    slow: bool = False
    own: dict[int, int] | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of samples."""
        return tuple(self.own or SIZES)

    def draws(self, samples: int) -> int:
        """How many."""
        return self.own[samples] if self.own else (SLOW_DRAWS if self.slow else DRAWS)[samples >= MANY]


#: A new estimator is one line here.
ESTIMATORS = {
    "Binned": Contender(partial(binned, None), of_bins),
    **{f"Binned, {name}": Contender(partial(binned, name), of_bins) for name in CORRECTIONS},
    "KSG": Contender(partial(noisy, fp.KSG, on_channel={"deterministic": True})),
    "GaussianMI": Contender(partial(noisy, fp.GaussianMI, on_channel={"deterministic": True})),
    "Pairwise, upper": Contender(partial(noisy, fp.Pairwise, bound="upper"), of_channel),
    "Pairwise, lower": Contender(partial(noisy, fp.Pairwise, bound="lower"), of_channel),
    "MatrixRenyi": Contender(lambda truth: fp.MatrixRenyi(), of_kernel),
    "SlicedMI": Contender(partial(noisy, fp.SlicedMI, slices=16), of_slices, slow=True),
    "Variational, InfoNCE": Contender(partial(noisy, fp.Variational, kind="infonce"), slow=True),
    "Variational, SMILE": Contender(partial(noisy, fp.Variational, kind="smile"), slow=True),
    "Denoising": Contender(lambda truth: fp.Denoising(0.0), partial(of_some, DENOISED), own=DENOISED_DRAWS),
    "Decodable, linear": Contender(lambda truth: fp.Decodable(), of_label),
    "Decodable, neighbours": Contender(lambda truth: fp.Decodable("neighbours"), of_label),
    "Decodable, mlp": Contender(lambda truth: fp.Decodable("mlp"), of_label, slow=True),
}
#: An estimator that needs no more than its usual parameters stands in the library's list alone.
ESTIMATORS |= {
    one.__name__: Contender(partial(usual, one))
    for one in registered().values()
    if not any(name.startswith(one.__name__) for name in ESTIMATORS)
}
ALL_SIZES = sorted({samples for one in ESTIMATORS.values() for samples in one.sizes})


def judge(contender: str, distribution: str, samples: int) -> dict[str, Any]:
    """Bias, spread, coverage and flags of each quantity over the draws; runs in a process of its own."""
    torch.set_num_threads(1)
    truth, one = TRUTHS[distribution], ESTIMATORS[contender]
    draws = one.draws(samples)
    began, found = time.perf_counter(), {}
    for quantity, value in one.target(truth)._asdict().items():
        if value is not None:
            sampled = (truth.sample(samples, seed) for seed in range(draws))
            rows = [answer(one.make(truth), sample, quantity, seed) for seed, sample in enumerate(sampled) if useful(sample)]
            found[quantity] = {"truth": value, **summary(value, rows)}
    return {**found, "draws": draws, "samples": samples, "seconds": round(time.perf_counter() - began, 2)}


def useful(sample: Sample) -> bool:
    """Whether more than one class was drawn."""
    return sample.labels is None or len(np.unique(sample.labels)) > 1


def answer(estimator: Any, sample: Any, quantity: str, seed: int) -> tuple[float, float, float, tuple[str, ...]]:
    """Value, interval and flags of one draw."""
    inputs, activations, labels = sample
    known = {"inputs": inputs} if quantity == "i_xt" else {"labels": labels}
    result = estimator(activations, **known, seed=seed)
    flags = Flags.names(result[f"{quantity}_flags"])
    value, low, high = (float(result[quantity + end]) for end in ("", "_lower", "_upper"))
    # a lower bound promises nothing above, an upper one nothing below
    bound = result[quantity].attrs["bound"]
    return value, -math.inf if bound == "upper" else low, math.inf if bound == "lower" else high, flags


def summary(truth: float, rows: list[tuple[float, float, float, tuple[str, ...]]]) -> dict[str, Any]:
    """What the table shows. Bias and spread are of draws without a flag, of all where those are too few."""
    clean = [row for row in rows if not row[3]]
    judged = clean if len(clean) >= ENOUGH else rows
    values = np.array([row[0] for row in judged if math.isfinite(row[0])])
    intervals = [row for row in clean if not math.isnan(row[1]) and not math.isnan(row[2])]
    return {
        "draws": len(rows),
        "bias": float(values.mean() - truth) if len(values) else None,
        "spread": float(values.std(ddof=1)) if len(values) > 1 else None,
        "clean": len(clean),
        "intervals": len(intervals),
        # exact values are met to rounding
        "covered": sum(low - 1e-9 <= truth <= high + 1e-9 for _, low, high, _ in intervals),
        "flags": {name: count / len(rows) for name, count in Counter(flag for row in rows for flag in row[3]).most_common()},
    }


def applies(contender: str, distribution: str) -> bool:
    """Whether the estimator has something to estimate there."""
    return any(value is not None for value in ESTIMATORS[contender].target(TRUTHS[distribution]))


def cell(result: dict[str, Any], quantity: str, own: bool) -> str:
    """One entry of the table."""
    if quantity not in result:
        return "raised" if "error" in result else ""
    part = result[quantity]
    pieces = [f"of {part['truth']:.3f}"] if own else []
    if part["bias"] is not None:
        pieces.append(f"{part['bias']:+.3f} ± {part['spread'] or 0:.3f}".replace("-", "−"))
    if part["intervals"] >= ENOUGH:
        pieces.append(f"**{100 * part['covered'] / part['intervals']:.0f} %**")
    elif part["clean"] >= ENOUGH:
        pieces.append("no interval")
    if part["flags"]:
        pieces.append(
            f"flagged {100 * (1 - part['clean'] / part.get('draws', result['draws'])):.1f} %: {', '.join(part['flags'])}"
        )
    return "<br>".join(pieces)


def table(results: dict[tuple[str, str], Any], quantity: str) -> list[str]:
    """Rows of distributions, columns of estimators."""
    shown = {pair for pair, result in results.items() if quantity in result}
    columns = [contender for contender in ESTIMATORS if any(contender == column for column, _ in shown)]
    lines = ["| distribution | bits | " + " | ".join(columns) + " |", "|---|---:|" + "---|" * len(columns)]
    for name, truth in TRUTHS.items():
        if any(name == row for _, row in shown):
            cells = [cell(results.get((c, name), {}), quantity, ESTIMATORS[c].target is of_bins) for c in columns]
            lines.append(f"| {truth.title} (`{name}`) | {getattr(truth, quantity):.3f} | " + " | ".join(cells) + " |")
    return lines


def parts(results: dict[tuple[str, str, int], Any], contender: str, quantity: str, samples: int) -> dict[str, Any]:
    """What was found of an estimator, a quantity and a size, by distribution."""
    found = ((name, results.get((contender, name, samples), {})) for name in TRUTHS)
    return {name: result[quantity] for name, result in found if quantity in result}


def overview(results: dict[tuple[str, str, int], Any]) -> list[str]:
    """A line for an estimator, a quantity and a size: coverage, flags, the worst distribution; then what falls short."""
    lines = [
        "| estimator | quantity | samples | distributions | coverage | flagged | worst of 40 draws or more without a flag |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    short = []
    for contender, (quantity, symbol), samples in product(ESTIMATORS, QUANTITIES.items(), ALL_SIZES):
        known = parts(results, contender, quantity, samples)
        intervals = sum(part["intervals"] for part in known.values())
        if not known:
            continue
        draws = sum(part.get("draws", 200) for part in known.values())
        flagged = 1 - sum(part["clean"] for part in known.values()) / draws
        judged = {name: part["covered"] / part["intervals"] for name, part in known.items() if part["intervals"] >= JUDGED}
        worst = min(judged, key=judged.__getitem__, default=None)
        share = sum(part["covered"] for part in known.values()) / intervals if intervals else math.nan
        said = "–" if worst is None else f"{100 * judged[worst]:.0f} %, `{worst}`"
        covered = f"{100 * share:.1f} %" if intervals else "–"
        who = f"{contender} | {symbol} | {samples:,}"
        lines.append(f"| {who} | {len(known)} | {covered} | {100 * flagged:.0f} % | {said} |")
        if intervals >= JUDGED and share < OVER_ALL:
            short.append(f"- {who.replace(' | ', ', ')}: {covered} over all")
        short += [
            f"- {who.replace(' | ', ', ')}, `{name}`: {100 * value:.0f} % of {known[name]['intervals']}"
            for name, value in judged.items()
            if value < IN_EACH
        ]
    promised = f"To be reached: {100 * OVER_ALL:.0f} % over all, {100 * IN_EACH:.0f} % in each. These fall short:"
    return [*lines, "", promised, "", *(short or ["- none"])]


def before(results: dict[tuple[str, str, int], Any], older: dict[str, Any]) -> list[str]:
    """Where 0.1 covered 90 % of ten draws or more without a flag, and this does less well."""
    lines = []
    for (contender, name, samples), result in results.items():
        was = older.get(f"{contender}|{name}|{samples}", {})
        for quantity, symbol in QUANTITIES.items():
            if quantity not in was or quantity not in result:
                continue
            old, new = was[quantity], result[quantity]
            if old["intervals"] < ENOUGH or old["covered"] < 0.9 * old["intervals"]:
                continue
            share = new["covered"] / new["intervals"] if new["intervals"] >= ENOUGH else None
            kept, keeps = old["clean"] / was["draws"], new["clean"] / new["draws"]
            if share is None or share < old["covered"] / old["intervals"] - 0.05 or keeps < kept - 0.1:
                now = "–" if share is None else f"{100 * share:.0f} %"
                then = f"{100 * old['covered'] / old['intervals']:.0f} %"
                lines.append(
                    f"- {contender}, {symbol}, `{name}`: coverage {then}, now {now};"
                    f" flagged {100 * (1 - kept):.0f} %, now {100 * (1 - keeps):.0f} %"
                )
    return lines or ["- none"]


def page(stored: dict[str, Any], older: dict[str, Any]) -> str:
    """The whole file."""
    keys = {
        (contender, name, samples): f"{contender}|{name}|{samples}"
        for contender, name, samples in product(ESTIMATORS, TRUTHS, ALL_SIZES)
    }
    results = {place: stored[key] for place, key in keys.items() if "draws" in stored.get(key, {})}
    draws = f"{DRAWS[0]} draws ({SLOW_DRAWS[0]} of slow estimators), of {MANY:,} samples {DRAWS[1]} ({SLOW_DRAWS[1]})."
    draws += f" Denoising: {DENOISED_DRAWS[2000]} of 2,000 samples, {DENOISED_DRAWS[MANY]} of {MANY:,}."
    lines = [
        "# Estimators against known information",
        "",
        ABOUT.format(draws=draws),
        "",
        "## Coverage",
        "",
        *overview(results),
    ]
    lines += ["", "## What version 0.1 covered, and is covered or shown less often now", "", *before(results, older)]
    lines += ["", "## In detail", "", CELLS.format(bins=BINS)]
    for samples, (quantity, symbol) in product(ALL_SIZES, QUANTITIES.items()):
        some = {(contender, name): result for (contender, name, size), result in results.items() if size == samples}
        lines += ["", f"### {symbol}, {samples:,} samples", "", *table(some, quantity)]
    return "\n".join([*lines, ""])


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", choices=ALL_SIZES, default=ALL_SIZES)
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--distributions", nargs="+", choices=TRUTHS, default=list(TRUTHS))
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    parser.add_argument("--workers", type=int, default=2, help="rows at a time, each on one thread")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no row after so long")
    options = parser.parse_args()
    stored = options.folder / "estimators-table.json"
    results: dict[str, Any] = json.loads(stored.read_text("utf-8")) if stored.exists() else {}
    until = time.monotonic() + options.seconds
    wanted = [
        (contender, name, samples)
        for samples, contender, name in product(options.samples, options.estimators, options.distributions)
        if samples in ESTIMATORS[contender].sizes
        and applies(contender, name)
        and (options.again or "draws" not in results.get(f"{contender}|{name}|{samples}", {}))
    ]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        waiting: dict[Any, str] = {}
        rest = iter(wanted)
        count = 0
        while True:
            while len(waiting) <= options.workers and time.monotonic() < until and (row := next(rest, None)) is not None:
                waiting[pool.submit(judge, *row)] = "|".join(map(str, row))
            if not waiting:
                break
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                key, count = waiting.pop(future), count + 1
                try:
                    results[key] = future.result()
                except Exception as error:  # the others go on; this one is tried again next time
                    results[key] = {"error": repr(error)}
                print(f"{count}/{len(wanted)} {key} {results[key].get('seconds', results[key])}", file=sys.stderr)
                fresh = stored.with_suffix(".part")
                fresh.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", "utf-8")
                fresh.replace(stored)
    older = json.loads((Path(__file__).parent / "estimators-table-0.1.json").read_text("utf-8"))
    (options.folder / "estimators-table.md").write_text(page(results, older), "utf-8")


if __name__ == "__main__":
    main()
