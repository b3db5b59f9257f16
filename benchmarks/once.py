"""What does an analysis take that was computed before? The model of the README, its recording in a folder.

python benchmarks/once.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits

import flowplane as fp
from flowplane.recording import clean


def main() -> None:
    """CPU seconds of each analysis, the first time, again, and with one more snapshot."""
    with tempfile.TemporaryDirectory() as folder:
        path, page = Path(folder) / "mine.fp", f"{folder}/report.html"
        trained(path, 60, "create")
        analyses: dict[str, Callable[[Any], Any]] = {
            "fp.report": lambda rec: fp.report(rec, page),
            "fp.information_plane": fp.information_plane,
            "fp.layer_transport": fp.layer_transport,
            "fp.layer_geometry": fp.layer_geometry,
        }
        found = {}
        for name, analysis in analyses.items():
            analysis(fp.open(path).thin(2))  # imports and compiles
            clean(path)
            found[name] = [seconds(analysis, path) for _ in range(2)]
        for analysis in analyses.values():
            analysis(fp.open(path))
        trained(path, 61, "resume")
        print("| of 61 snapshots, CPU s | the first time | again | with one more snapshot |")
        print("|---|---:|---:|---:|")
        for name, analysis in analyses.items():
            print(f"| {name} | {found[name][0]:.2f} | {found[name][1]:.2f} | {seconds(analysis, path):.2f} |", flush=True)


def seconds(analysis: Callable[[Any], Any], path: Path) -> float:
    """CPU seconds of an analysis of a recording that is opened anew."""
    began = time.process_time()
    analysis(fp.open(path))
    return time.process_time() - began


def trained(path: Path, epochs: int, mode: str) -> None:
    """A network that learns digits, or goes on learning them."""
    torch.manual_seed(0)
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    hidden = (torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16), torch.nn.ReLU())
    model = torch.nn.Sequential(*hidden, torch.nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    with fp.Recorder(model, x[:500], y[:500], path=path, epochs=epochs, mode=mode) as recorder:
        for epoch in range(epochs):
            for rows in (500 + torch.randperm(1297)).split(64):
                loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            recorder.step(epoch=epoch + 1, loss=loss)


if __name__ == "__main__":
    main()
