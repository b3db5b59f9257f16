"""What do gradient statistics cost? The same training with and without them, in turn.

python benchmarks/gradients.py [--replicas 20] [--epochs 2000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics

import flowplane as fp


def seconds(keep: tuple[str, ...], replicas: int, epochs: int, **arguments: object) -> float:
    """Of the training alone."""
    rec = fp.train(fp.tasks.spherical_rule(), keep=keep, replicas=replicas, epochs=epochs, **arguments)
    return float(rec.seconds[-1])


def main() -> None:
    """Median seconds of each, and the median of the ratios of neighbours in time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicas", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"| {given.replicas} replicas × {given.epochs} epochs, 100 snapshots | without, s | with, s | ratio |")
    print("|---|---:|---:|---:|")
    engines = {"fused loop, Adam": {}, "fused loop, SGD": {"optimizer": "sgd"}, "PyTorch, eager": {"compile": False}}
    for name, arguments in engines.items():
        epochs = given.epochs // (10 if "compile" in arguments else 1)
        fp.train(fp.tasks.spherical_rule(), replicas=2, epochs=2, snapshots=2, **arguments)  # compiled and warm
        pairs = [
            [seconds(keep, given.replicas, epochs, **arguments) for keep in (("weights",), ("weights", "gradients"))]
            for _ in range(given.rounds)
        ]
        without, together = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"| {name}, {epochs} epochs | {without:.2f} | {together:.2f} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()
