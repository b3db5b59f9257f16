"""Judge every estimator of information by distributions whose information is known: bias, spread, coverage, flags.

Each pair of an estimator and a distribution of `tests/truths.py` gets seeded draws; I(X;T) and I(T;Y) are asked
for one at a time, so that the flags of one do not count against the other. Results go to docs/estimators-table.json after
every pair, and a pair that stands there is not run again without --again: the table can be made in parts.

python docs/make_estimator_table.py [--draws 200] [--samples 1000] [--estimators KSG …] [--distributions asinh …] [--again]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
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
from truths import TRUTHS, Pair, Truth

from flowplane.information.estimator import Estimator

QUANTITIES = {"i_xt": "I(X;T)", "i_ty": "I(T;Y)"}
BINS = 8
NOTHING = Pair(None, None)
#: Fewer draws without a flag say nothing of coverage.
ENOUGH = 10
REACHED = 0.9
ABOUT = """Made by `python docs/make_estimator_table.py`: {draws} draws of {samples} samples each; bits.
A cell: bias ± standard deviation, over the draws without a flag where there are ten or more, else over all; in bold the
share of the 95 % intervals of draws without a flag that hold the truth (of a lower bound: that do not lie above it); then
the share of draws with a flag, and which.
Binned has {bins} fixed bins, and estimates the information of the binned T, written first. In the rows named channel the
noise belongs to the estimator; Pairwise reports a bound there, and its interval holds both bounds."""


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


def noisy(kind: Callable[..., Any], truth: Truth, on_channel: Any = None, **given: Any) -> Any:
    """An estimator; on a channel with the channel's noise."""
    if truth.channel_variance is not None:
        given |= {"noise_variance": truth.channel_variance, **(on_channel or {})}
    return kind(**given)


class Contender(NamedTuple):
    """`make` gives the estimator for a distribution; `target` what it estimates; `most` bounds the draws."""

    make: Callable[[Truth], Any]
    target: Callable[[Truth], Pair] = plain
    most: int | None = None


#: A new estimator is one line here.
ESTIMATORS = {
    "Binned": Contender(partial(binned, None), of_bins),
    **{f"Binned, {name}": Contender(partial(binned, name), of_bins) for name in CORRECTIONS},
    "KSG": Contender(partial(noisy, fp.KSG, on_channel={"deterministic": True})),
    "GaussianMI": Contender(partial(noisy, fp.GaussianMI, on_channel={"deterministic": True})),
    "Pairwise, upper": Contender(partial(noisy, fp.Pairwise, bound="upper"), of_channel),
    "Pairwise, lower": Contender(partial(noisy, fp.Pairwise, bound="lower"), of_channel),
    "MatrixRenyi": Contender(lambda truth: fp.MatrixRenyi(), of_kernel),
    "SlicedMI": Contender(partial(noisy, fp.SlicedMI, slices=16), of_slices, most=20),
    "Variational, InfoNCE": Contender(partial(noisy, fp.Variational, kind="infonce"), most=20),
    "Variational, SMILE": Contender(partial(noisy, fp.Variational, kind="smile"), most=20),
    "Decodable, linear": Contender(lambda truth: fp.Decodable(), of_label),
    "Decodable, neighbours": Contender(lambda truth: fp.Decodable("neighbours"), of_label),
    "Decodable, mlp": Contender(lambda truth: fp.Decodable("mlp"), of_label, most=20),
}
#: An estimator that needs no more than its usual parameters stands in the library's list alone.
ESTIMATORS |= {
    one.__name__: Contender(partial(usual, one))
    for one in registered().values()
    if not any(name.startswith(one.__name__) for name in ESTIMATORS)
}


def judge(contender: str, distribution: str, draws: int, samples: int) -> dict[str, Any]:
    """Bias, spread, coverage and flags of each quantity over the draws; runs in a process of its own."""
    torch.set_num_threads(1)
    truth, (make, target, _) = TRUTHS[distribution], ESTIMATORS[contender]
    began, found = time.perf_counter(), {}
    for quantity, value in target(truth)._asdict().items():
        if value is not None:
            rows = [answer(make(truth), truth.sample(samples, seed), quantity, seed) for seed in range(draws)]
            found[quantity] = {"truth": value, **summary(value, rows)}
    return {**found, "draws": draws, "samples": samples, "seconds": round(time.perf_counter() - began, 2)}


def answer(estimator: Any, sample: Any, quantity: str, seed: int) -> tuple[float, float, float, tuple[str, ...]]:
    """Value, interval and flags of one draw."""
    inputs, activations, labels = sample
    known = {"inputs": inputs} if quantity == "i_xt" else {"labels": labels}
    result = estimator(activations, **known, seed=seed)
    flags = Flags.names(result[f"{quantity}_flags"])
    value, low, high = (float(result[quantity + end]) for end in ("", "_lower", "_upper"))
    # a lower bound promises nothing above
    return value, low, math.inf if result[quantity].attrs["bound"] == "lower" else high, flags


def summary(truth: float, rows: list[tuple[float, float, float, tuple[str, ...]]]) -> dict[str, Any]:
    """What the table shows. Bias and spread are of draws without a flag, of all where those are too few."""
    clean = [row for row in rows if not row[3]]
    judged = clean if len(clean) >= ENOUGH else rows
    values = np.array([row[0] for row in judged if math.isfinite(row[0])])
    intervals = [row for row in clean if not math.isnan(row[1]) and not math.isnan(row[2])]
    return {
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
        pieces.append(f"flagged {100 * (1 - part['clean'] / result['draws']):.1f} %: {', '.join(part['flags'])}")
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


def verdict(results: dict[tuple[str, str], Any]) -> list[str]:
    """How many pairs reach the coverage, and which do not."""
    parts = {
        f"{contender}, `{name}`, {symbol}": result[quantity]
        for (contender, name), result in results.items()
        for quantity, symbol in QUANTITIES.items()
        if quantity in result and result[quantity]["intervals"] >= ENOUGH
    }
    shares = {who: part["covered"] / part["intervals"] for who, part in parts.items()}
    short = [
        f"- {who}: {100 * share:.0f} % of {parts[who]['intervals']}" for who, share in shares.items() if share < REACHED
    ]
    head = f"Of {len(shares)} (estimator, distribution, quantity) with {ENOUGH} draws or more without a flag, "
    return [
        head + f"{len(shares) - len(short)} reach {100 * REACHED:.0f} % coverage. These do not:",
        "",
        *(short or ["- none"]),
    ]


def page(stored: dict[str, Any], samples: int) -> str:
    """The whole file."""
    keys = {(contender, name): f"{contender}|{name}|{samples}" for contender in ESTIMATORS for name in TRUTHS}
    results = {pair: stored[key] for pair, key in keys.items() if key in stored}
    draws = " or ".join(map(str, sorted({result["draws"] for result in results.values() if "draws" in result})))
    lines = ["# Estimators against known information", "", ABOUT.format(draws=draws, samples=samples, bins=BINS)]
    for quantity, symbol in QUANTITIES.items():
        lines += ["", f"## {symbol}", "", *table(results, quantity)]
    return "\n".join([*lines, "", "## Coverage", "", *verdict(results), ""])


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--distributions", nargs="+", choices=TRUTHS, default=list(TRUTHS))
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    stored = options.folder / "estimators-table.json"
    results: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        waiting = {}
        for contender, name in product(options.estimators, options.distributions):
            key = f"{contender}|{name}|{options.samples}"
            if (options.again or "draws" not in results.get(key, {})) and applies(contender, name):
                draws = min(options.draws, ESTIMATORS[contender].most or options.draws)
                waiting[pool.submit(judge, contender, name, draws, options.samples)] = key
        for count, future in enumerate(as_completed(waiting), 1):
            key = waiting[future]
            try:
                results[key] = future.result()
            except Exception as error:  # the others go on; this one is tried again next time
                results[key] = {"error": repr(error)}
            print(f"{count}/{len(waiting)} {key} {results[key].get('seconds', results[key])}", file=sys.stderr)
            fresh = stored.with_suffix(".part")
            fresh.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
            fresh.replace(stored)
    (options.folder / "estimators-table.md").write_text(page(results, options.samples))


if __name__ == "__main__":
    main()
