"""What does spreading values over a grid save? The ridgelet transform against evaluating ρ at every point and node.

python benchmarks/ridgelet.py [--points 2000] [--rounds 3] [--threads 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from flowplane.ridgelet import Pair, transform
from flowplane.ridgelet.monte_carlo import direct

#: Dimension, activation, grid, directions, and one row of a in how many the direct evaluation does (its time is multiplied).
CASES = (
    (1, "tanh", (200, 200), 1, 4),
    (1, "relu", (200, 200), 1, 4),
    (2, "tanh", (200, 200), 40, 100),
    (3, "tanh", (60, 100), 100, 100),
)


def seconds(function: Callable[[], object], rounds: int) -> float:
    """The median of several calls."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def row(m: int, activation: str, grid: tuple[int, int], directions: int, part: int, count: int, rounds: int) -> str:
    """Both ways to the same coefficients."""
    pair = Pair(activation)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(count, m)))
    f, weights = torch.exp(-x.square().sum(1)), torch.full((count,), 1 / count, dtype=torch.float64)
    options = {"pair": pair, "weights": weights, "extent": (8.0, 60.0), "grid": grid, "directions": directions}
    fast = partial(transform, f, x, **options)
    spectrum = fast()
    rows = slice(0, None, part)
    a, b = spectrum.hidden[rows].repeat_interleave(grid[1], 0), spectrum.offsets[rows].reshape(-1)
    slow = partial(direct, (f * weights)[:, None], x, pair, a, b)
    taken, peer = seconds(fast, rounds), part * seconds(slow, 1)
    difference = float((slow() - spectrum.coefficients[rows].reshape(-1, 1)).abs().max())
    share = difference / float(spectrum.coefficients.abs().max())
    nodes = spectrum.offsets.numel()
    return f"| {activation}, m = {m} | {nodes:,} | {taken:.3f} | {peer:.1f} | {peer / taken:.0f} | {share:.0e} |"


def main() -> None:
    """A row a case; both compute the same coefficients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{processors} processors, {torch.get_num_threads()} threads of torch {torch.__version__}\n")
    print(
        f"| {options.points} points | nodes | transform, s | ρ at every point and node, s | ratio | difference / max abs R |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for case in CASES:
        print(row(*case, options.points, options.rounds), flush=True)
    print("\nThe direct evaluation does one row of a in 4 or 100; its seconds are multiplied.")


if __name__ == "__main__":
    main()
