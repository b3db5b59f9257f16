"""How near the truth, and how fast, on the forty tasks of benchmark-mi, beside its own estimators?

Samples come from benchmark-mi's own samplers (Czyż et al. 2023, arXiv 2306.11078), so that our copies of its tasks in
`tests/truths_published.py` are judged as well: the mean of our estimates on theirs and on ours is compared. Its KSG takes
the Euclidean norm in x and in t, ours the maximum. It needs JAX, of an older version, and so an environment of its own:
`make published`. Prints a Markdown table.

    python benchmarks/published.py [--samples 1000] [--draws 5]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

try:
    import bmi
    from bmi.estimators import CCAMutualInformationEstimator, KSGEnsembleFirstEstimator
except ModuleNotFoundError as missing:
    raise SystemExit("benchmark-mi is no dependency, and needs an older JAX: make published") from missing

import flowplane as fp
from flowplane.core.results import Flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from truths import TRUTHS

Pair = tuple[np.ndarray, np.ndarray]
Judged = tuple[float, bool]


def theirs(kind: Callable[[], object]) -> Callable[[Pair], Judged]:
    """An estimator of benchmark-mi, in bits; it says nothing of itself."""
    return lambda pair: (float(kind().estimate(*pair)) / math.log(2.0), False)  # type: ignore[attr-defined]


def ours(measure: object) -> Callable[[Pair], Judged]:
    """An estimator of ours, and whether it has a flag."""

    def judged(pair: Pair) -> Judged:
        found = measure(pair[1], inputs=pair[0])  # type: ignore[operator]
        return float(found.i_xt), bool(set(Flags.names(found.i_xt_flags)))

    return judged


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    estimators = {
        "benchmark-mi, KSG": theirs(lambda: KSGEnsembleFirstEstimator(neighborhoods=(4,))),
        "flowplane, KSG": ours(fp.KSG()),
        "benchmark-mi, CCA": theirs(CCAMutualInformationEstimator),
        "flowplane, GaussianMI": ours(fp.GaussianMI()),
    }
    print(f"{options.samples:,} samples, mean of {options.draws} draws, bits; in brackets how many of them have a flag\n")
    print(
        "| task | truth | " + " | ".join(estimators) + " | KSG on our copy |\n|---|---:|" + "---:|" * (len(estimators) + 1)
    )
    seconds = dict.fromkeys(estimators, 0.0)
    errors: dict[str, list[float]] = {name: [] for name in estimators}
    for name, task in bmi.benchmark.BENCHMARK_TASKS.items():
        truth = float(task.mutual_information) / math.log(2.0)
        draws = [tuple(map(np.asarray, task.sample(options.samples, seed))) for seed in range(options.draws)]
        cells = []
        for who, judge in estimators.items():
            judge(draws[0])  # type: ignore[arg-type]
            began = time.perf_counter()
            found = [judge(pair) for pair in draws]  # type: ignore[arg-type]
            seconds[who] += time.perf_counter() - began
            mean, flagged = float(np.mean([value for value, _ in found])), sum(flag for _, flag in found)
            errors[who].append(abs(mean - truth))
            cells.append(f"{mean:.2f}" + (f" ({flagged})" if who.startswith("flowplane") else ""))
        copies = [TRUTHS[name].sample(options.samples, seed) for seed in range(options.draws)]
        copied = np.mean([float(fp.KSG()(copy.activations, inputs=copy.inputs).i_xt) for copy in copies])
        print(f"| `{name}` | {truth:.2f} | " + " | ".join(cells) + f" | {copied:.2f} |", flush=True)
    print("| mean absolute error | | " + " | ".join(f"{np.mean(errors[who]):.3f}" for who in estimators) + " | |")
    print(
        "| seconds an estimate | | " + " | ".join(f"{seconds[who] / 40 / options.draws:.3f}" for who in estimators) + " | |"
    )


if __name__ == "__main__":
    main()
