"""How fast is binned information, against the obvious implementation?

The peer digitises a layer, sees each row as one opaque value, and counts with `np.unique`; H(T|X) is a loop over every x,
as in the code published with the paper. Both read the same snapshots of the reference networks and must agree. Prints a
Markdown table; exits with an error if values differ.

    python benchmarks/binned.py [--replicas 50]
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import torch

import flowplane as fp


def entropy(counts: np.ndarray) -> float:
    """Plug-in entropy in bits."""
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum())


def symbols(rows: np.ndarray) -> np.ndarray:
    """Each row as one opaque value, numbered."""
    opaque = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))
    return np.unique(opaque, return_inverse=True)[1].ravel()


def obvious(layer: np.ndarray, labels: np.ndarray, x: np.ndarray, edges: np.ndarray) -> tuple[float, float]:
    """I(X;T) and I(T;Y) of one layer of one network at one epoch."""
    t = symbols(np.digitize(layer, edges))
    h_t = entropy(np.bincount(t))
    h_tx = 0.0
    for value in range(x.max() + 1):
        mine = t[x == value]
        h_tx += len(mine) / len(t) * entropy(np.unique(mine, return_counts=True)[1])
    h_ty = sum((labels == y).mean() * entropy(np.unique(t[labels == y], return_counts=True)[1]) for y in np.unique(labels))
    return h_t - h_tx, h_t - h_ty


def main() -> None:
    """Time both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=50)
    options = parser.parse_args()
    task = fp.tasks.spherical_rule()
    rec = fp.train(task, replicas=options.replicas, epochs=200, snapshots=20)
    layers = [rec.activations(layer).isel(epoch=-1).load() for layer in rec.layers]
    x = symbols(task.inputs)
    edges = np.linspace(-1, 1, 30)
    began = time.perf_counter()
    expected = [obvious(layer.values[0], task.labels, x, edges) for layer in layers]
    peer = (time.perf_counter() - began) / len(layers)
    estimator = fp.Binned.published()
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows = [("np.unique over a void view, a loop over every x", peer)]
    for device in devices:
        tensors = [torch.tensor(layer.values, device=device) for layer in layers]
        passes = []
        for _ in range(6):
            began = time.perf_counter()
            results = [estimator(values, task.labels, inputs=task.inputs) for values in tensors]
            passes.append(time.perf_counter() - began)
        for result, (i_xt, i_ty) in zip(results, expected, strict=True):
            np.testing.assert_allclose([float(result.i_xt[0]), float(result.i_ty[0])], [i_xt, i_ty], atol=1e-9)
        rows.append(
            (
                f"flowplane, {options.replicas} replicas in a call, {device}",
                np.median(passes[1:]) / len(layers) / options.replicas,
            )
        )
    began = time.perf_counter()
    fp.information_plane(rec, estimator)
    everything = (time.perf_counter() - began) / len(layers) / options.replicas / len(rec.epochs)
    rows.append(("flowplane, the plane of a recording, forward pass included, cpu", everything))
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"4096 patterns, mean over the six layers of the reference network, {processors} processors; values agree to 1e-9\n"
    )
    print("| | ms a layer snapshot | times faster than the peer |\n|---|---:|---:|")
    for name, seconds in rows:
        print(f"| {name} | {1000 * seconds:.3f} | {peer / seconds:.0f} |")


if __name__ == "__main__":
    main()
