"""What does a Recorder cost a training, with its default schedule of 100 snapshots?

Two copies of a model train on the same batches, one of them with a Recorder around it, turn by turn: an epoch of the one,
an epoch of the other, the order swapped each time, so that whatever else the machine does falls on both. Start and end of
the recording count. The models are those of `examples/`: the digits convnet (500 probe inputs) and the small GPT-2 (30
sentences of 33 tokens, every token a sample). Prints a Markdown table.

    python benchmarks/recorder.py [--seconds 100] [--only digits|gpt2]
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import flowplane as fp

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

Epoch = Callable[[Any, torch.optim.Optimizer, int], float]
#: A model, what makes its optimiser, an epoch by number, probe inputs and labels, further arguments of the Recorder.
Job = tuple[torch.nn.Module, Callable[[torch.nn.Module], torch.optim.Optimizer], Epoch, tuple[Any, ...], dict[str, Any]]


def digits() -> Job:
    """The digits convnet."""
    import digits_convnet

    inputs, labels, *probe = digits_convnet.digits()
    model = digits_convnet.ConvNet()

    def epoch(model: Any, optimizer: torch.optim.Optimizer, number: int) -> float:
        torch.manual_seed(number)
        return digits_convnet.train_epoch(model, optimizer, inputs, labels)

    return model, lambda model: torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9), epoch, tuple(probe), {}


def gpt2() -> Job:
    """The small GPT-2; an epoch is 10 steps."""
    import small_gpt2

    model = small_gpt2.small_gpt2()
    tokens, innermost = small_gpt2.sentences(30, seed=1)

    def epoch(model: Any, optimizer: torch.optim.Optimizer, number: int) -> float:
        return small_gpt2.train_steps(model, optimizer, 10, seed=2 + number)

    arguments = {"layers": ["transformer.drop", "transformer.h.*"], "reduce": "tokens"}
    probe = ({"input_ids": tokens}, innermost)
    return model, lambda model: torch.optim.AdamW(model.parameters(), lr=1e-3), epoch, probe, arguments


def _seconds(epoch: Epoch, *arguments: Any) -> float:
    began = time.perf_counter()
    epoch(*arguments)
    return time.perf_counter() - began


def measured(name: str, seconds: float) -> str:
    """One row of the table."""
    torch.manual_seed(0)
    model, optimizer_of, epoch, (probe, labels), arguments = {"digits": digits, "gpt2": gpt2}[name]()
    warm = copy.deepcopy(model)
    warming = optimizer_of(warm)
    # the quickest epoch: what else the machine does would make the run too short
    quickest = min(_seconds(epoch, warm, warming, number) for number in range(20))
    epochs = max(100, round(seconds / quickest))
    plain = copy.deepcopy(model)
    optimizers = {"plain": optimizer_of(plain), "recorded": optimizer_of(model)}
    spent = dict.fromkeys(optimizers, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        recorder = fp.Recorder(model, probe, labels, path=Path(folder) / "run.fp", epochs=epochs, **arguments)
        recorder.start()
        spent["recorded"] += time.perf_counter() - began
        for number in range(epochs):
            for which in ("plain", "recorded") if number % 2 else ("recorded", "plain"):
                began = time.perf_counter()
                loss = epoch(plain if which == "plain" else model, optimizers[which], number)
                if which == "recorded":
                    recorder.step(number + 1, loss=loss)
                spent[which] += time.perf_counter() - began
        began = time.perf_counter()
        recorder.close()
        spent["recorded"] += time.perf_counter() - began
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        snapshots = len(recorder.recording.epochs)
    same = all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), model.state_dict().values(), strict=True))
    extra = 1000 * (spent["recorded"] - spent["plain"]) / snapshots
    return (
        f"| {name} | {epochs} | {snapshots} | {spent['plain']:.1f} | {spent['recorded']:.1f} | "
        f"{spent['recorded'] / spent['plain']:.3f} | {extra:.0f} | {size / 1e6:.0f} | {'yes' if same else 'NO'} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=100.0, help="of training without the Recorder, at least")
    parser.add_argument("--only", choices=["digits", "gpt2"], help="one of the models")
    options = parser.parse_args()
    print("| model | epochs | snapshots | plain [s] | recorded [s] | ratio | ms a snapshot | MB | same weights |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in [options.only] if options.only else ["digits", "gpt2"]:
        print(measured(name, options.seconds), flush=True)


if __name__ == "__main__":
    main()
