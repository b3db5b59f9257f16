"""How long does `fp.layer_betas` take, against the obvious evaluation of the same objective?

The peer evaluates E_x −log p_β(t(x)|x) for 60 values of β with every x and every t, nothing merged, in NumPy, and takes the
least; both read the same snapshots of the reference networks and must agree to the peer's grid. A part is timed and scaled
up to 50 replicas × 20 epochs × 6 layers. Prints a Markdown table; exits with an error if values differ.

    python benchmarks/betas.py [--replicas 4] [--epochs 5]
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

import flowplane as fp
from flowplane.analysis.betas import layer_betas
from flowplane.bottleneck.curve import ib_curve

WHOLE = 50 * 20 * 6
GRID = np.geomspace(0.01, 1e4, 60)


def obvious(symbols: np.ndarray, joint: np.ndarray) -> tuple[float, float]:
    """β and residual in bits, the best of the grid."""
    p_x = joint.sum(1)
    p_t = np.bincount(symbols, p_x)
    word = np.stack([np.bincount(symbols, column) for column in joint.T], 1) / p_t[:, None]
    rule = joint / p_x[:, None]
    own = np.where(rule > 0, rule * np.log(np.where(rule > 0, rule, 1.0)), 0.0).sum(1)
    apart = own[:, None] - rule @ np.log(np.maximum(word, 1e-300)).T
    values = []
    for beta in GRID:
        exponent = np.log(p_t) - beta * apart
        top = exponent.max(1)
        log_z = np.log(np.exp(exponent - top[:, None]).sum(1)) + top
        values.append(p_x @ (log_z - exponent[np.arange(len(symbols)), symbols]))
    best = int(np.argmin(values))
    return float(GRID[best]), float(values[best] / np.log(2.0))


def main() -> None:
    """Time both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    task = fp.tasks.spherical_rule(information=0.99)
    rec = fp.train(task, replicas=options.replicas, epochs=400, snapshots=20, labels="sampled")
    began = time.perf_counter()
    curve = ib_curve(task.joint)
    of_curve = time.perf_counter() - began
    layer_betas(rec.sel(replica=0, epoch=0), curve=curve)  # compiles
    began, worked = time.perf_counter(), time.process_time()
    found = layer_betas(rec.thin(options.epochs), curve=curve)
    seconds, work = time.perf_counter() - began, time.process_time() - worked
    parts = found.residual.size

    last = found.isel(replica=0, epoch=-1)
    edges = {layer: (0.0 if layer == rec.layers[-1] else -1.0, 1.0) for layer in rec.layers}
    began = time.perf_counter()
    for layer in rec.layers:
        values = rec.activations(layer).isel(replica=0).sel(epoch=int(last.epoch)).values
        beta, residual = obvious(fp.Binned(30, range=edges[layer]).cells(values).numpy(), task.joint)
        here = last.sel(layer=layer)
        assert float(here.residual) <= residual + 1e-9, (layer, float(here.residual), residual)
        assert abs(np.log(float(here.beta_star) / beta)) <= np.log(GRID[1] / GRID[0]) + 1e-9, (layer, beta)
    peer = (time.perf_counter() - began) / len(rec.layers)

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{parts} layer snapshots of the reference network, 4096 patterns, {processors} processors; the curve took "
        f"{of_curve:.2f} s\n"
    )
    print("| | ms a layer snapshot | minutes for 50 × 20 × 6 | times faster than the peer |\n|---|---:|---:|---:|")
    rows = {
        "every x, every t, 60 values of β, in NumPy": peer,
        "fp.layer_betas, forward pass, bins and distances included": seconds / parts,
        "the same, processor time": work / parts,
    }
    for name, each in rows.items():
        print(f"| {name} | {1000 * each:.2f} | {each * WHOLE / 60:.2f} | {peer / each:.0f} |")


if __name__ == "__main__":
    main()
