"""How fast is `fp.train`, against the same networks trained one after another in plain PyTorch?

Both train the reference networks (12-10-7-5-4-3-2, tanh, Adam, batches of 512, 85 % of the 4096 patterns) and evaluate
loss and accuracy on the training and test part after every epoch. The peer runs one replica for a tenth of the epochs and
is scaled up; every engine runs what it says. Prints a Markdown table.

    python benchmarks/training.py [--replicas 50] [--epochs 8000] [--compiled]
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import torch

import flowplane as fp
from flowplane.core import streams
from flowplane.core.network import Network


def plain_pytorch(task: fp.tasks.Task, epochs: int) -> float:
    """Seconds for one replica, written as anyone would."""
    network = Network((12, 10, 7, 5, 4, 3, 2), "tanh")
    layers: list[torch.nn.Module] = []
    for matrix, bias in network.unpack(torch.tensor(network.initial_weights(0, 0))):
        layer = torch.nn.Linear(matrix.shape[1], matrix.shape[0])
        layer.weight.data, layer.bias.data = matrix.clone(), bias.clone()
        layers += [layer, torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    order = torch.tensor(streams.generator(0, 0, streams.SPLIT).permutation(len(task)))
    inputs, labels = torch.tensor(task.inputs), torch.tensor(task.labels)
    train, test = order[:3481], order[3481:]
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-4)
    began = time.perf_counter()
    for _ in range(epochs):
        shuffled = train[torch.randperm(len(train))]
        for first in range(0, len(train) - 511, 512):
            batch = shuffled[first : first + 512]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            for part in (train, test):
                logits = model(inputs[part])
                torch.nn.functional.cross_entropy(logits, labels[part]).item()
                (logits.argmax(1) == labels[part]).float().mean().item()
    return time.perf_counter() - began


def ours(task: fp.tasks.Task, replicas: int, epochs: int, **arguments: object) -> tuple[float, float]:
    """Seconds of training after a warm-up that compiles, and the mean training accuracy at the end."""
    fp.train(task, replicas=2, epochs=2, snapshots=2, **arguments)
    rec = fp.train(task, replicas=replicas, epochs=epochs, snapshots=100, **arguments)
    return float(rec.seconds[-1]), float(rec.metrics.train_accuracy[:, -1].mean())


def main() -> None:
    """Time each engine and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=8000)
    parser.add_argument("--compiled", action="store_true", help="torch.compile too")
    parser.add_argument("--skip-eager", action="store_true", help="leave the batched eager engine out")
    options = parser.parse_args()
    task = fp.tasks.spherical_rule()
    peer_epochs = max(10, options.epochs // 10)
    plain_pytorch(task, 5)
    peer = plain_pytorch(task, peer_epochs) * options.replicas * options.epochs / peer_epochs
    rows = [
        ("plain PyTorch, one replica after another", peer, float("nan"), f"scaled from one replica, {peer_epochs} epochs")
    ]
    engines: list[tuple[str, dict[str, object]]] = [("flowplane, fused loop on the CPU", {"device": "cpu"})]
    if not options.skip_eager:
        engines.append(("flowplane, batched PyTorch on the CPU, eager", {"device": "cpu", "compile": False}))
    if options.compiled:
        engines.append(("flowplane, batched PyTorch on the CPU, torch.compile", {"device": "cpu", "compile": True}))
    if torch.cuda.is_available():
        engines.append((f"flowplane, CUDA graph on {torch.cuda.get_device_name()}", {"device": "cuda"}))
        engines.append(("flowplane, batched PyTorch on the GPU, eager", {"device": "cuda", "compile": False}))
    for name, arguments in engines:
        seconds, accuracy = ours(task, options.replicas, options.epochs, **arguments)
        rows.append((name, seconds, accuracy, "measured"))
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{options.replicas} replicas × {options.epochs} epochs, {processors} processors, torch {torch.__version__}, ")
    print(f"{torch.get_num_threads()} torch threads, NumPy {np.__version__}\n")
    print("| | seconds | times faster than the peer | train accuracy | |\n|---|---:|---:|---:|---|")
    for name, seconds, accuracy, note in rows:
        shown = "–" if np.isnan(accuracy) else f"{accuracy:.4f}"
        print(f"| {name} | {seconds:.1f} | {peer / seconds:.1f} | {shown} | {note} |", flush=True)


if __name__ == "__main__":
    main()
