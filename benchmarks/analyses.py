"""How long do the analyses of a real network take, and its report: alone, and beside other work?

Three recordings: the digits convnet of docs/papers.md §D1, trained (11 layers, 16 snapshots, 400 probes, ten classes); the
model of README's first block (60 epochs, 500 probes); and 25 layers of 512 units, Linear and ReLU, 12 snapshots and 500
probes, at random weights. Each call is a fresh interpreter; the time of importing flowplane is not counted.

    python benchmarks/analyses.py [--against OTHER/src] [--folder FOLDER] [--rounds 3] [--busy 8] [--only convnet]

`--against` times another version's code on the same recordings, turn by turn; `--busy` starts so many processes that do
nothing but keep a processor busy, and times the convnet's report beside them. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from plane import convnet
from torch import nn

import flowplane as fp

#: What is timed, of each recording.
CALLS = {
    "information_plane": lambda rec, out: fp.information_plane(rec),
    "layer_transport": lambda rec, out: fp.layer_transport(rec),
    "layer_transport of 8 snapshots": lambda rec, out: fp.layer_transport(rec.thin(8)),
    "layer_geometry": lambda rec, out: fp.layer_geometry(rec),
    "report": fp.report,
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def trained(model: nn.Module, path: Path, *, probes: int, epochs: int, snapshots: int, lr: float) -> None:
    """A classifier of digits, recorded while it is trained on those that are no probes."""
    torch.manual_seed(0)
    digits = fp.tasks.digits()
    x, y = torch.tensor(digits.inputs), torch.tensor(digits.labels)
    if isinstance(model[0], nn.Conv2d):  # type: ignore[index]
        x = x.reshape(-1, 1, 8, 8)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    with fp.Recorder(model, x[:probes], y[:probes], path=path, epochs=epochs, snapshots=snapshots) as recorder:
        for epoch in range(epochs):
            for rows in (probes + torch.randperm(len(x) - probes)).split(64):
                loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            recorder.step(epoch=epoch + 1, loss=loss.item())


def wide(path: Path) -> None:
    """25 layers of 512 units whose weights move at random."""
    torch.manual_seed(0)
    model = nn.Sequential(*(part for k in range(25) for part in (nn.Linear(512 if k else 64, 512), nn.ReLU())))
    digits = fp.tasks.digits()
    x, y = torch.tensor(digits.inputs[:500]), torch.tensor(digits.labels[:500])
    chosen = [str(2 * k + 1) for k in range(25)]
    with fp.Recorder(model, x, y, path=path, epochs=11, snapshots=12, layers=chosen) as recorder:
        for _ in range(11):
            with torch.no_grad():
                for part in model.parameters():
                    part.add_(0.05 * part.abs().mean() * torch.randn_like(part))
            recorder.step()


def recordings(folder: Path) -> dict[str, Path]:
    """Made once, where they are not there yet."""
    warnings.simplefilter("ignore")
    paths = {name: folder / f"{name}.fp" for name in ("convnet", "readme", "wide")}
    if not paths["convnet"].exists():
        trained(convnet(), paths["convnet"], probes=400, epochs=15, snapshots=16, lr=0.001)
    if not paths["readme"].exists():
        layers = [nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10)]
        trained(nn.Sequential(*layers), paths["readme"], probes=500, epochs=60, snapshots=100, lr=0.003)
    if not paths["wide"].exists():
        wide(paths["wide"])
    return paths


def timed(call: str, path: str) -> None:
    """In this interpreter: prints seconds of the processors and of the clock."""
    warnings.simplefilter("ignore")
    rec = fp.open(path)
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        CALLS[call](rec, Path(folder) / "report.html")
        print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}))


def fresh(call: str, path: Path, source: Path, one_thread: bool) -> dict[str, float]:
    """`timed` in a new interpreter, with the code in `source`; what an earlier one kept beside the recording is gone."""
    shutil.rmtree(path / "cache", ignore_errors=True)
    own = os.environ | {"PYTHONPATH": str(source)} | (ONE_THREAD if one_thread else {})
    if not one_thread:
        own = {name: value for name, value in own.items() if name not in ONE_THREAD}
    command = [sys.executable, str(Path(__file__).resolve()), "--one", call, str(path)]
    found = subprocess.run(command, env=own, check=True, capture_output=True, text=True)
    return json.loads(found.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def spin() -> None:
    """Keep a processor busy."""
    while True:
        pass


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--calls", nargs="*")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        timed(*given.one)
        return
    sources = {"here": Path(__file__).resolve().parents[1] / "src"}
    if given.against:
        sources["there"] = given.against
    with tempfile.TemporaryDirectory() as folder:
        paths = recordings(given.folder or Path(folder))
        head = [f"{name}: {what}" for name in sources for what in ("CPU, one thread", "CPU", "clock")]
        print("| | " + " | ".join(head) + " |\n|---|" + "---:|" * len(head), flush=True)
        for name, path in paths.items():
            if given.only and name not in given.only:
                continue
            for call in given.calls or CALLS:
                row(name, call, path, sources, given.rounds)
        if given.busy:
            beside(
                [multiprocessing.Process(target=spin, daemon=True) for _ in range(given.busy)], paths, sources, given.rounds
            )


def row(name: str, call: str, path: Path, sources: dict[str, Path], rounds: int) -> None:
    """The least of several rounds, the versions turn by turn."""
    best: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for which, source in sources.items():
            alone, usual = (fresh(call, path, source, one_thread) for one_thread in (True, False))
            for what, spent in (("one", alone["cpu"]), ("cpu", usual["cpu"]), ("wall", usual["wall"])):
                best[which, what] = min(spent, best.get((which, what), spent))
    print(f"| {call} of {name} | " + " | ".join(f"{spent:.1f}" for spent in best.values()) + " |", flush=True)


def beside(others: list[multiprocessing.Process], paths: dict[str, Path], sources: dict[str, Path], rounds: int) -> None:
    """The convnet's report beside other processes."""
    for process in others:
        process.start()
    try:
        row(f"convnet, {len(others)} busy processes beside it", "report", paths["convnet"], sources, rounds)  # fmt: skip
    finally:
        for process in others:
            process.kill()


if __name__ == "__main__":
    main()
