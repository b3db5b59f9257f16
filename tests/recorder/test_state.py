"""What a model keeps between calls is afterwards what it was, whatever it is kept in."""

import copy
import itertools
import random
from collections import Counter, deque

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recorder.looking import side_effect_free
from flowplane.recorder.state import state_kept

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
pytestmark = [
    pytest.mark.filterwarnings("ignore:the model gives different outputs:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Sparse CS. tensor support:UserWarning"),
    pytest.mark.filterwarnings("ignore:Sparse BS. tensor support:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
]


class Memory:
    """An object with state."""

    def __init__(self):
        self.count, self.last, self.seen = 0, None, [0]


class Keeping(nn.Module):
    """Everything that a module can keep without registering it, changed by each call, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)
        self.calls, self.mean, self.scale = 0, torch.zeros(4), torch.ones(4)
        self.array, self.history, self.counts = np.zeros(4), [], {"n": 0, "deep": [torch.zeros(2)]}
        self.queue, self.kinds, self.word = deque(maxlen=3), Counter(), "a"
        self.memory, self.pair, self.loose = Memory(), (torch.zeros(1), 3), [nn.BatchNorm1d(4)]
        self.own = torch.Generator().manual_seed(1), np.random.default_rng(1), random.Random(1)
        self.first = self.none = None
        self.register_buffer("later", None)

    def forward(self, x):
        self.calls += 1
        z = self.a(x) + self.mean * 0.1 + self.calls * 0.01
        self.mean = 0.9 * self.mean + 0.1 * z.detach().mean(0)
        self.scale.mul_(0.99)
        self.array += 1
        self.history.append(float(z.detach().mean()))
        self.counts["n"] += 1
        self.counts["deep"][0] += 1
        self.counts[f"call {self.calls}"] = self.calls
        self.queue.append(self.calls)
        self.kinds[len(x)] += 1
        self.word += "b"
        self.memory.count += 1
        self.memory.last = z.detach()
        self.memory.seen.append(self.calls)
        self.pair[0].add_(1)
        self.loose[0](z.detach())
        if self.first is None:
            self.first = torch.randn(4)  # drawn in the first call
            self.added = torch.randn(2)
        self.later = z.detach().sum()
        noise = torch.randn(4, generator=self.own[0]) + float(self.own[1].normal()) + self.own[2].random()
        return self.b(
            z * self.scale + self.first + 0.01 * noise + self.counts["deep"][0].sum() * 0.01 + self.array.mean() * 0.01
        )


def trained(record):
    torch.manual_seed(0)
    model = Keeping()
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    recorder = fp.Recorder(model, X, Y, epochs=4).start() if record else None
    for epoch in range(4):
        for rows in torch.randperm(len(X)).split(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), Y[rows]).backward()
            optimizer.step()
        if recorder is not None:
            recorder.step(epoch=epoch + 1)
    if recorder is not None:
        recorder.close()
    return model


def shown(value):
    """A value as something that `==` compares."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.tolist()
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, nn.Module):
        return {name: shown(each) for name, each in value.state_dict().items()}
    if isinstance(value, Memory):
        return shown(vars(value))
    if isinstance(value, dict):
        return {name: shown(each) for name, each in value.items()}
    return [shown(each) for each in value] if isinstance(value, list | tuple | deque) else value


def kept(model):
    torch_own = set(vars(nn.Module()))
    return {name: shown(value) for name, value in vars(model).items() if name not in torch_own} | shown(model)


def test_training_is_the_same_whatever_a_model_keeps():
    alone, watched = trained(False), trained(True)
    assert kept(alone) == kept(watched)
    assert all(torch.equal(one, other) for one, other in zip(alone.parameters(), watched.parameters(), strict=True))


def test_attributes_are_what_they_were_and_the_same_objects():
    model = Keeping()
    model(X)
    before, objects = kept(model), dict(vars(model))
    reference = copy.deepcopy(before)
    with side_effect_free(model):
        model(X)
        model.extra, model.word = 3, 4
        del model.array
        assert kept(model) != reference
    assert kept(model) == reference and list(vars(model)) == list(objects)
    assert all(vars(model)[name] is value for name, value in objects.items())
    before = copy.deepcopy(kept(fresh := Keeping()))
    fp.record(fresh, X)
    assert kept(fresh) == before and not hasattr(fresh, "added") and fresh.later is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(4).to_sparse(),
        lambda: torch.eye(4).to_sparse_csr(),
        lambda: torch.eye(4).to_sparse_csc(),
        lambda: torch.eye(4).to_sparse_bsr((2, 2)),
        lambda: torch.quantize_per_tensor(torch.eye(4), 0.1, 0, torch.qint8),
        lambda: torch.full((4,), float("nan")),
        lambda: torch.eye(4, dtype=torch.complex64),
        lambda: torch.eye(4, dtype=torch.bfloat16),
        lambda: torch.eye(4).bool(),
        lambda: None,
    ],
    ids=("coo", "csr", "csc", "bsr", "quantised", "nan", "complex", "bfloat16", "bool", "none"),
)
def test_buffers_of_any_kind(make):
    buffer = make()

    class Buffered(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 2)
            self.register_buffer("kept", buffer)

        def forward(self, x):
            if self.kept is not None and self.kept.is_sparse:
                self.kept.mul_(2)
            elif self.kept is not None and self.kept.layout == torch.strided and not self.kept.is_quantized:
                self.kept.fill_(1)
            self.replaced, self.kept = self.kept, torch.ones(3)
            return self.a(x)

    model = Buffered()
    reference = None if buffer is None else buffer.clone()
    fp.record(model, X)
    assert model.kept is buffer and "replaced" not in vars(model)
    if buffer is not None:
        one, other = (each.to_dense() if each.layout != torch.strided else each for each in (buffer, reference))
        one, other = (each.dequantize() if each.is_quantized else each for each in (one, other))
        assert torch.allclose(one, other, 0.0, 0.0, equal_nan=True)


def test_a_lazily_initialised_buffer_is_left_alone():
    model = nn.LazyBatchNorm1d()
    with state_kept(model):
        pass
    assert model.has_uninitialized_params()


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.Dropout(0.5), nn.LazyLinear(2)), "0, 3"),
        (nn.Sequential(nn.Linear(4, 4), nn.LazyBatchNorm1d(affine=False)), "1"),
        (nn.LazyLinear(3), "LazyLinear"),
    ],
)
def test_lazy_modules_are_refused_by_name(model, names):
    state = torch.get_rng_state()
    with pytest.raises(
        InputError, match=f"weights are made by their first call: {names}.*called once, before the optimiser"
    ):
        fp.Recorder(model, X, Y)
    assert torch.equal(torch.get_rng_state(), state)
    assert any(part.has_uninitialized_params() for part in model.modules() if hasattr(part, "has_uninitialized_params"))


def test_a_model_that_makes_its_layers_when_it_is_called_is_refused_and_left_as_it_was():
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Module()

        def forward(self, x):
            if not hasattr(self, "head"):
                self.head = nn.Linear(x.shape[1], 2)
                self.inner.scale = nn.Parameter(torch.full((2,), 2.0))
            return self.head(x) * self.inner.scale

    model = Late()
    with pytest.raises(InputError, match=r"a model that makes head, inner.scale in its first call, expected one that was"):
        fp.Recorder(model, X, Y)
    assert not hasattr(model, "head") and not list(model.parameters())
    model(X)
    assert fp.record(model, X, Y).layers == ("head", "output")


def test_what_cannot_be_put_back_is_said():
    class Numbered(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 2)
            self.a.numbers = itertools.count()

        def forward(self, x):
            return self.a(x) + next(self.a.numbers)

    with pytest.warns(RuntimeWarning, match=r"the model keeps a.numbers, which cannot be put back after a probe"):
        fp.record(Numbered(), X, Y)


def test_scripted_parts_keep_their_buffers():
    class Scripted(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x * 2

    with state_kept(model := nn.Sequential(nn.Linear(4, 4), torch.jit.script(Scripted()))):
        model(X)
        assert model[1].calls == 1
    assert model[1].calls == 0 and model[1].training


def test_hooks_that_a_model_gives_itself_in_its_first_call():
    """Some libraries collect hidden states so, and note in an attribute that the hooks are there."""

    class Hooked(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(8, 2)
            self.ready, self.found = False, []

        def forward(self, x):
            if not self.ready:
                self.a.register_forward_hook(lambda part, given, output: self.found.append(output))
                self.ready = True
            self.found.clear()
            hidden = self.a(x)
            return self.b(torch.cat([hidden, *self.found], 1))

    model = Hooked()
    rec = fp.record(model, X)
    assert not model.a._forward_hooks and not model.ready and rec.layers == ("a", "cat", "b")
    assert model(X).shape == (60, 2) and len(model.a._forward_hooks) == 1
    fp.record(model, X)
    assert model(X).shape == (60, 2) and len(model.a._forward_hooks) == 1
