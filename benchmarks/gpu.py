"""How fast is a GPU at what is written for one? Prints a Markdown table; without a GPU it says so.

Training with a CUDA graph for each epoch and its evaluation, and without; Pairwise, whose distances are never held at once;
Denoising by the points and by a learned denoiser; the score of a smoothed cloud, which is attention over its points; a
Recorder around a model on the GPU, whose steps between two snapshots must not wait for it.

    python benchmarks/gpu.py [--device cuda|cpu] [--scale 1.0]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

import flowplane as fp

#: What was measured, how large, seconds, and what else there is to say.
Row = tuple[str, str, float, str]


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the sizes and epochs below")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            "There is no GPU here that PyTorch can use, so nothing was measured; --device cpu --scale 0.01 tries the script."
        )
        return
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"
    print(f"{name}, torch {torch.__version__}, scale {options.scale:g}\n")
    print("| | size | seconds | |\n|---|---|---:|---|")
    for rows in (training, pairwise, denoising, attention, recorder):
        for what, size, seconds, note in rows(device, options.scale):
            print(f"| {what} | {size} | {seconds:.3f} | {note} |", flush=True)


def training(device: torch.device, scale: float) -> Iterator[Row]:
    """The reference ensemble, all metrics after every epoch."""
    task, epochs = fp.tasks.spherical_rule(), max(2, round(8000 * scale))
    modes: dict[str, bool | str] = {"training, eager": False}
    if device.type == "cuda":
        modes = {"training, an epoch as one CUDA graph": "auto"} | modes
    for what, compiled in modes.items():
        arguments = {"device": device.type, "compile": compiled}
        fp.train(task, replicas=2, epochs=3, snapshots=2, **arguments)
        rec = fp.train(task, replicas=50, epochs=epochs, snapshots=2, **arguments)
        accuracy = float(rec.metrics.train_accuracy[:, -1].mean())
        yield what, f"50 replicas × {epochs} epochs", float(rec.seconds[-1]), f"train accuracy {accuracy:.4f}"


def pairwise(device: torch.device, scale: float) -> Iterator[Row]:
    """Both bounds of a mixture of as many Gaussians as samples."""
    x = cloud(round(50_000 * scale), 256, device)
    estimator = fp.Pairwise(0.1, relative="total")
    seconds, memory = measured(device, lambda: estimator(x))
    yield "Pairwise", shape(x), seconds, memory


def denoising(device: torch.device, scale: float) -> Iterator[Row]:
    """Information by the area under the error of denoising."""
    x = cloud(round(10_000 * scale), 64, device)
    for denoiser in ("points", "learned"):
        estimator = fp.Denoising(0.1, denoiser, relative="total")
        seconds, memory = measured(device, lambda estimator=estimator: estimator(x))
        yield f"Denoising, {denoiser}", shape(x), seconds, memory


def attention(device: torch.device, scale: float) -> Iterator[Row]:
    """The score of a smoothed cloud, in float32."""
    points = cloud(round(1_000_000 * scale), 64, device)
    places = points[: round(65_536 * scale)]
    density = fp.Empirical(points).smoothed(4.0)
    seconds, memory = measured(device, lambda: density.score(places))
    yield "attention over points", f"{len(places):,} places, {shape(points)}", seconds, memory


def recorder(device: torch.device, scale: float) -> Iterator[Row]:
    """Steps between two snapshots, with a Recorder and without; how often they waited for the GPU."""
    inputs = cloud(2000, 64, device)
    labels = (inputs[:, 0] > 0).long()
    epochs = max(4, round(2000 * scale))

    def network() -> tuple[torch.nn.Module, Callable[[], None]]:
        torch.manual_seed(0)
        hidden = [torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512), torch.nn.ReLU()]
        model = torch.nn.Sequential(*hidden, torch.nn.Linear(512, 2)).to(device)
        optimizer = torch.optim.SGD(model.parameters(), 0.01)

        def step() -> None:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()

        return model, step

    model, step = network()
    step()
    steps = range(1, epochs - 1)  # the epoch before the last snapshot is watched for its gradients
    size = f"{len(steps)} steps"
    seconds, waits = waited(device, lambda: [step() for _ in steps])
    yield "steps without a Recorder", size, seconds, waits
    model, step = network()
    step()
    with fp.Recorder(model, inputs[:500], labels[:500], epochs=epochs, snapshots=2) as watching:

        def both() -> None:
            for epoch in steps:
                step()
                watching.step(epoch=epoch)

        seconds, waits = waited(device, both)
        for epoch in (epochs - 1, epochs):
            step()
            watching.step(epoch=epoch)
    yield "steps between snapshots, with one", size, seconds, waits


def cloud(samples: int, units: int, device: torch.device) -> torch.Tensor:
    """Normal, in float32."""
    return torch.randn(samples, units, generator=torch.Generator().manual_seed(0)).to(device)


def shape(points: torch.Tensor) -> str:
    """Of a cloud, in words."""
    return f"{len(points):,} points × {points.shape[1]}"


def measured(device: torch.device, work: Callable[[], object]) -> tuple[float, str]:
    """The second of two calls: seconds, and the most memory that PyTorch held on the GPU."""
    work()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(device, work)
    return seconds, f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MiB at most" if device.type == "cuda" else ""


def waited(device: torch.device, work: Callable[[], object]) -> tuple[float, str]:
    """Seconds, and how often the processor waited for the GPU, as PyTorch counts it."""
    if device.type != "cuda":
        return timed(device, work), ""

    def watched() -> None:
        with told_of_waits():
            work()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        seconds = timed(device, watched)
    return seconds, f"{sum('synchroniz' in str(one.message) for one in said)} synchronisations"


@contextmanager
def told_of_waits() -> Iterator[None]:
    """Inside, PyTorch warns of each."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Wall-clock seconds until the device is done."""
    finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    finish()
    began = time.perf_counter()
    work()
    finish()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
