"""What does `fp.sweep` cost beyond its tasks?

A sweep of twelve trainings on two cores, from nothing to the gathered Dataset, start of the workers included, against the
same tasks called one after another on one thread in this process, divided by the cores. The ratio is 1 where a sweep costs
nothing; it should stay below 1.15. Prints a Markdown table.

    OMP_NUM_THREADS=1 python benchmarks/sweep.py [--tasks 12] [--workers 2] [--epochs 5000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import xarray as xr

import flowplane as fp
from flowplane.cluster.work import one_thread_a_task


class Timed:
    """A study that says how long it took."""

    description = "benchmark"

    def __init__(self, epochs: int) -> None:
        self.study = fp.cluster.Study(fp.tasks.spherical_rule(), replicas=4, epochs=epochs, snapshots=20)

    def __call__(self, path: Any, seed: int) -> xr.Dataset:
        """Train, and the seconds that it took."""
        began = time.perf_counter()
        metrics = self.study(path, seed=seed)
        return xr.Dataset({"loss": metrics.train_loss[:, -1], "seconds": time.perf_counter() - began})


def alone(study: Timed, tasks: int) -> float:
    """Seconds of all tasks, one after another, on one thread."""
    one_thread_a_task()
    with tempfile.TemporaryDirectory() as folder:
        Timed(2)(f"{folder}/warm.fp", seed=0)
        return sum(float(study(f"{folder}/{seed}.fp", seed=seed).seconds) for seed in range(tasks))


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5000)
    options = parser.parse_args()
    study = Timed(options.epochs)
    serial = alone(study, options.tasks)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        found = fp.sweep(study, {"seed": list(range(options.tasks))}, Path(folder) / "out", cluster=options.workers)
        wall = time.perf_counter() - began
    inside = float(found.seconds.sum())
    print(f"| {options.tasks} tasks, {options.workers} workers | seconds |")
    print("|---|---|")
    print(f"| tasks one after another, one thread | {serial:.1f} |")
    print(f"| the same tasks as the workers took them | {inside:.1f} |")
    print(f"| the sweep, start and gathering included | {wall:.1f} |")
    print(f"| sweep / (tasks alone / workers) | {wall * options.workers / serial:.2f} |")
    print(f"| sweep / (tasks in the workers / workers) | {wall * options.workers / inside:.2f} |")


if __name__ == "__main__":
    main()
