"""How long each estimator takes over a recording of the reference network, and what memory the pairwise bounds need.

python benchmarks/estimators.py [--replicas 1] [--epochs 4] [--whole]

--whole also reads all snapshots of 50 replicas with Binned and GaussianMI, beside the time that training took.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import flowplane as fp
from flowplane.analysis.comparison import usual_estimators
from flowplane.information.monte_carlo import MonteCarlo

#: What is asked for: replicas × epochs of six layers.
REPLICAS, EPOCHS = 5, 20
CHANNEL = 0.01


def over_a_recording(replicas: int, epochs: int) -> None:
    """Seconds for a part of a recording, scaled to 5 replicas × 20 epochs × 6 layers."""
    rec = fp.train(fp.tasks.spherical_rule(), replicas=replicas, epochs=2000, snapshots=epochs + 1).sel(epoch=slice(1, None))
    rec = rec.sel(epoch=rec.epochs[-epochs:].tolist())
    estimators = {"Monte Carlo": MonteCarlo(CHANNEL), **usual_estimators()}
    print(f"| reading {REPLICAS} replicas × {EPOCHS} epochs × 6 layers of 4096 samples | seconds | s a layer snapshot |")
    print("|---|---:|---:|")
    for name, estimator in estimators.items():
        measure = estimator.with_channel(CHANNEL)
        fp.information_plane(rec.sel(epoch=int(rec.epochs[-1])), measure)  # compiled and warm
        began = time.perf_counter()
        fp.information_plane(rec, measure)
        seconds = (time.perf_counter() - began) / (replicas * len(rec.epochs) * 6)
        print(f"| {name} | {seconds * REPLICAS * EPOCHS * 6:.0f} | {seconds:.4f} |", flush=True)


def whole() -> None:
    """Binned and GaussianMI over everything that 50 replicas × 8000 epochs leave."""
    began = time.perf_counter()
    rec = fp.train(fp.tasks.spherical_rule())
    training = time.perf_counter() - began
    print("\n| 50 replicas × 100 snapshots × 6 layers | seconds | of the training |\n|---|---:|---:|")
    print(f"| training, 8000 epochs | {training:.0f} | 1 |")
    for estimator in (fp.Binned(30), fp.GaussianMI()):
        began = time.perf_counter()
        fp.information_plane(rec, estimator)
        seconds = time.perf_counter() - began
        print(f"| {type(estimator).__name__} | {seconds:.0f} | {seconds / training:.2f} |", flush=True)


def pairwise_memory() -> None:
    """In a process of its own: the highest memory above the data."""
    code = "import estimators; estimators.pairwise_in_here()"
    here = Path(__file__).parent
    print(subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True).stdout)


def peak() -> float:
    """The most memory of this process so far, in MiB; getrusage's begins at what the parent held."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**10  # type: ignore[index]


def pairwise_in_here() -> None:
    """50,000 samples of 256 units, float32, two classes."""
    rng = np.random.default_rng(0)
    fp.Pairwise(1.0)(rng.normal(size=(500, 8)).astype(np.float32), np.arange(500) % 2)
    data = rng.normal(size=(50_000, 256)).astype(np.float32)
    before = peak()
    began = time.perf_counter()
    fp.Pairwise(20.0)(data, np.arange(50_000) % 2)
    seconds = time.perf_counter() - began
    more = peak() - before
    print("\n| Pairwise, 50,000 samples of 256 units | seconds | peak memory above the data, MiB |\n|---|---:|---:|")
    print(f"| float64, both bounds and their errors | {seconds:.0f} | {more:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    over_a_recording(options.replicas, options.epochs)
    pairwise_memory()
    if options.whole:
        whole()
