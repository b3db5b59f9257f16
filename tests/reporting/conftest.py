"""A small ensemble and a small model, recorded in a moment."""

import numpy as np
import pytest
import torch

import flowplane as fp

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def small_task() -> fp.tasks.Task:
    inputs = np.array([[(k >> bit) & 1 for bit in range(7)] for k in range(128)])
    return fp.tasks.Task(inputs, inputs.sum(axis=1) % 4 > 1, name="a <b>small</b> & task")


@pytest.fixture(scope="session")
def small(small_task, tmp_path_factory) -> fp.Recording:
    path = tmp_path_factory.mktemp("report") / "small.fp"
    return fp.train(
        small_task, path=path, hidden=(5, 3), replicas=3, epochs=60, snapshots=8, train_fraction=0.8, batch_size=32
    )


@pytest.fixture(scope="session")
def other(small_task, tmp_path_factory) -> fp.Recording:
    path = tmp_path_factory.mktemp("report") / "other.fp"
    return fp.train(
        small_task, path=path, hidden=(4, 3), activation="relu", replicas=2, epochs=30, snapshots=5, keep=("weights",)
    )


class Hostile(torch.nn.Module):
    """Layers with names that a page must not take for tags."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(HOSTILE.replace(".", ""), torch.nn.Sequential(torch.nn.Linear(7, 4), torch.nn.Tanh()))
        self.add_module("</script><b>", torch.nn.Linear(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in self.children():
            x = module(x)
        return x


@pytest.fixture(scope="session")
def hostile(small_task, tmp_path_factory) -> fp.Recording:
    """A model without labels, with such names of layers and of a metric."""
    torch.manual_seed(0)
    model, path = Hostile(), tmp_path_factory.mktemp("report") / "<img src=x onerror=alert(2)>.fp"
    inputs = torch.tensor(small_task.inputs)
    labels = torch.tensor(small_task.labels)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with fp.Recorder(model, inputs, path=path, epochs=6, snapshots=4) as recorder:
        for epoch in range(6):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            recorder.step(epoch=epoch + 1, **{f"loss{HOSTILE}": loss.item()})
    return fp.open(path)
