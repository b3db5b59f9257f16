"""The tracer by itself: which axis is samples, which is units, what mixes, and which calls are a model's states."""

import pytest
import torch
from torch import nn

from flowplane.recorder.tracing.trace import traced


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 8)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x):
        return x + self.fc2(torch.relu(self.fc1(x)))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.blocks, self.head = nn.Linear(6, 8), nn.ModuleList(Block() for _ in range(3)), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.gru, self.head = nn.Embedding(20, 6), nn.GRU(6, 5), nn.Linear(5, 2)

    def forward(self, ids):
        return self.head(self.gru(self.emb(ids.T))[1][0])


class Sorted(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        order = x[:, 0].argsort()
        return self.b(self.a(x[order]))[order.argsort()]


class Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        z = self.a(x)
        return self.b(z - z.mean(0))


def trace_of(model, x):
    model.eval()

    def run(samples):
        some = x[samples]
        return [some], lambda: model(some)

    with torch.no_grad():
        return traced(model, run, len(x))


def by_name(trace):
    return {each.name: each for each in trace.calls if not each.call.absorbed}


def defaults(trace):
    return [each.name for each in trace.calls if each.default and each.why is None]


def test_states_of_a_residual_network_whatever_its_values():
    found = trace_of(Residual(), torch.randn(24, 6))
    assert defaults(found) == ["stem", "relu", "blocks.0", "blocks.1", "blocks.2", "head"]
    assert by_name(found)["blocks.1.relu"].units == (1,)


@pytest.mark.parametrize("length", [8, 4, 6, 3])
def test_time_first(length):
    found = by_name(trace_of(Recurrent(), torch.randint(0, 20, (24, length))))
    for name in ("emb", "gru"):
        assert found[name].order.axes == (1,) and found[name].units == (2,) and found[name].rests_on == "coordinates"
    assert found["head"].order.axes == (0,)


def test_rows_that_were_sorted_are_put_back():
    model, x = Sorted(), torch.randn(24, 4)
    found = by_name(trace_of(model, x))
    few = x[:8]
    rows = found["a"].order.rows(model.a(few[few[:, 0].argsort()]))
    assert found["a"].carried and torch.allclose(rows, model.a(few))


def test_what_mixes_samples_is_left_out():
    found = by_name(trace_of(Mixing(), torch.randn(24, 4)))
    assert found["a"].why is None and "mixes samples" in found["b"].why


def test_channels_of_maps_and_what_is_handed_on():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(144, 3))
    found = by_name(trace_of(model, torch.randn(24, 1, 8, 8)))
    assert found["1"].units == (1,) and found["2"].call.handed_on and found["3"].call.handed_on


def test_dropout_that_never_sleeps_is_noisy():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.b(nn.functional.dropout(self.a(x), 0.5))

    found = by_name(trace_of(Noisy(), torch.randn(24, 4)))
    assert not found["a"].noisy and found["b"].noisy == "draws" and found["b"].order.axes == (0,)
