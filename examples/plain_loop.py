"""A training loop of one's own with a Recorder around it: an MLP learns to tell two moons apart.

    python examples/plain_loop.py [--quick] [--out results]

Writes a recording, `two-moons.fp`, and the page that reads it, `two-moons.html`. About 20 seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from sklearn.datasets import make_moons
from torch import nn

import flowplane as fp


def mlp(width: int = 16, hidden: int = 4) -> nn.Sequential:
    """2-16-16-16-16-2, tanh."""
    layers: list[nn.Module] = [nn.Linear(2, width), nn.Tanh()]
    for _ in range(hidden - 1):
        layers += [nn.Linear(width, width), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(width, 2))


def main(out: Path, quick: bool) -> None:
    """Train, record, report."""
    epochs = 20 if quick else 200
    torch.manual_seed(0)
    points, labels = make_moons(3000, noise=0.1, random_state=0)
    inputs, classes = torch.tensor(points, dtype=torch.float32), torch.tensor(labels)
    train, probe = slice(0, 2000), slice(2000, 2300 if quick else 3000)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    out.mkdir(parents=True, exist_ok=True)
    path = out / "two-moons.fp"
    # the outputs of the four tanh and of the last layer, on points that are not trained on
    with fp.Recorder(
        model,
        inputs[probe],
        classes[probe],
        path=path,
        layers=[nn.Tanh, "8"],
        epochs=epochs,
        snapshots=10 if quick else 60,
        mode="overwrite",
    ) as recorder:
        for epoch in range(epochs):
            total = 0.0
            for batch in torch.randperm(2000).split(100):
                loss = nn.functional.cross_entropy(model(inputs[train][batch]), classes[train][batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() / 20
            with torch.no_grad():
                right = (model(inputs[probe]).argmax(1) == classes[probe]).float().mean()
            recorder.step(epoch=epoch + 1, train_loss=total, probe_accuracy=right.item())

    rec = recorder.recording
    print(rec)
    print(f"accuracy on the probe inputs: {float(rec.metrics['probe_accuracy'][0, -1]):.3f}")
    fp.report(rec, out / "two-moons.html")
    print(f"report: {out / 'two-moons.html'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds, and no results worth reading")
    parser.add_argument("--out", type=Path, default=Path("results/examples"), help="where the recording and the page go")
    arguments = parser.parse_args()
    main(arguments.out, arguments.quick)
