"""Training with a Recorder is training without one, bit for bit, and nothing of it stays behind."""

import gc
import os
import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import Forked
from torch import nn

import flowplane as fp
from flowplane.errors import InputError

X = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long()


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(8, 2))


def train(model, forward, recorder=None, epochs=4, accumulate=1, autocast=False):
    """A loop with everything random in it: dropout, order of samples, NumPy and Python noise."""
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    noise = []
    for epoch in range(epochs):
        for count, rows in enumerate(torch.randperm(len(X)).split(16), start=1):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = nn.functional.cross_entropy(forward(X[rows]).float(), Y[rows]) / accumulate
            loss.backward()
            if count % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
        noise.append((random.random(), np.random.rand()))  # noqa: NPY002
        if recorder is not None:
            recorder.step(epoch=epoch + 1, loss=loss)
    return noise


@pytest.mark.parametrize("how", ["plain", "compiled", "autocast", "accumulated", "wrapped"])
def test_training_is_the_same_to_the_last_bit(how):
    options = {"autocast": how == "autocast", "accumulate": 2 if how == "accumulated" else 1}

    def prepared():
        model = network()
        forward = torch.compile(model, backend="eager") if how == "compiled" else model
        return model, nn.DataParallel(model) if how == "wrapped" else forward

    alone, forward = prepared()
    noise = train(alone, forward, **options)
    watched, forward = prepared()
    with fp.Recorder(forward, X, Y, measures=(fp.Pairwise(0.1),), snapshots=3, epochs=4) as recorder:
        assert train(watched, forward, recorder, **options) == noise
    for name, values in alone.state_dict().items():
        assert torch.equal(values, watched.state_dict()[name]), name
    assert recorder.recording.epochs.tolist() == [0, 1, 4]
    assert recorder.layers == ("0", "1", "2", "4")


def test_nothing_is_left_behind():
    model = network()
    model[1].eval()  # a frozen normalisation
    model[0].weight.grad = torch.ones_like(model[0].weight)
    flags = [part.training for part in model.modules()]
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    from torch.optim.optimizer import _global_optimizer_pre_hooks

    with fp.Recorder(model, X, Y) as recorder:
        recorder.step(loss=1.0)
    assert [part.training for part in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all() and random.getstate() == states[2]  # noqa: NPY002
    assert (model[0].weight.grad == 1).all() and all(part.requires_grad for part in model.parameters())
    assert not any(part._forward_hooks for part in model.modules()) and not _global_optimizer_pre_hooks
    assert torch.is_grad_enabled()


def test_a_recorder_that_is_dropped_takes_its_hook_along():
    from torch.optim.optimizer import _global_optimizer_pre_hooks

    recorder = fp.Recorder(network(), X, Y).start()
    assert len(_global_optimizer_pre_hooks) == 1
    del recorder
    gc.collect()
    assert not _global_optimizer_pre_hooks


def test_hooks_are_gone_after_an_error():
    from torch.optim.optimizer import _global_optimizer_pre_hooks

    model = network()
    with pytest.raises(ZeroDivisionError), fp.Recorder(model, X, Y) as recorder:
        recorder.step()
        raise ZeroDivisionError
    assert not any(part._forward_hooks for part in model.modules()) and not _global_optimizer_pre_hooks
    with pytest.raises(InputError, match="recorder: found a Recorder that is closed"):
        recorder.step()


def test_activations_are_those_of_an_eager_pass_in_eval_mode():
    model = network()
    compiled = torch.compile(model, backend="eager")
    compiled(X)
    with fp.Recorder(compiled, X, Y) as recorder:
        pass
    with torch.no_grad():
        model.eval()
        expected = model(X).numpy()
    np.testing.assert_array_equal(recorder.recording.activations("4").values[0, 0], expected)


def test_a_half_precision_model_is_probed_in_its_precision():
    model = nn.Sequential(nn.Linear(6, 4), nn.Tanh()).to(torch.bfloat16)
    with fp.Recorder(model, X, Y) as recorder:
        pass
    with torch.no_grad():
        expected = model(X.bfloat16()).float().numpy()
    np.testing.assert_array_equal(recorder.recording.activations("1").values[0, 0], expected)


class Averaging(nn.Module):
    """Keeps a running mean in a buffer, also in eval mode: once by a new tensor, once in place."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 4), nn.Linear(4, 2)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        z = self.a(x)
        self.mean = 0.9 * self.mean + 0.1 * z.detach().mean(0)
        self.calls += 1
        return self.b(z - self.mean)


@pytest.mark.filterwarnings("ignore:not recorded, though layers of the model:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:the model gives different outputs:RuntimeWarning")
def test_buffers_that_change_in_eval_mode_are_put_back():
    models = []
    for record in (False, True):
        torch.manual_seed(0)
        model = Averaging()
        if record:
            with fp.Recorder(model, X, Y) as recorder:
                train(model, model, recorder)
        else:
            train(model, model)
        models.append(model)
    for name, values in models[0].state_dict().items():
        assert torch.equal(values, models[1].state_dict()[name]), name


def test_a_model_with_noise_of_its_own_is_said_to_have_it():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 2)

        def forward(self, x):
            return nn.functional.dropout(self.a(x), 0.5)

    with pytest.warns(RuntimeWarning, match="different outputs for the same inputs"), fp.Recorder(Noisy(), X, Y) as recorder:
        pass
    assert not recorder.recording.deterministic
    with pytest.raises(InputError, match="has noise of its own"):
        fp.information_plane(recorder.recording, fp.Pairwise(0.1))
    assert np.isfinite(fp.information_plane(recorder.recording).i_ty).all()


def test_a_loaders_own_generator_is_put_back():
    generator = torch.Generator().manual_seed(5)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), 10, shuffle=True, generator=generator)
    before = generator.get_state()
    fp.Recorder(network(), loader)
    assert torch.equal(generator.get_state(), before)


def _process(rank, folder):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    minute = timedelta(seconds=60)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2, timeout=minute)
    model = nn.parallel.DistributedDataParallel(network())
    with fp.Recorder(model, X, Y, path=f"{folder}/run.fp", epochs=2) as recorder:
        train(model, model, recorder, epochs=2)
    torch.save(model.module.state_dict(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


#: Two processes, the second a child of the first.
GROUP = """
import os, sys
sys.path.insert(0, sys.argv[1])
from test_transparency import _process
child = os.fork()
_process(0 if child else 1, *sys.argv[2:])
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="a torch without processes")
def test_of_a_group_of_processes_the_first_records(tmp_path):
    assert (group := Forked(GROUP, Path(__file__).parent, tmp_path)).wait() == 0, group.stderr
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist() == [0, 1, 2] and rec.layers == ("0", "1", "2", "4")
    assert rec.gradients.gradient_mean.sel(layer="0", epoch=2).item() > 0
    weights = [torch.load(tmp_path / f"{rank}.pt", weights_only=True)["0.weight"] for rank in range(2)]
    assert torch.equal(*weights)


@pytest.mark.gpu
def test_a_model_on_a_gpu():
    model = network().cuda()
    with fp.Recorder(model, X, Y) as recorder:
        pass
    with torch.no_grad():
        expected = model.eval()(X.cuda()).cpu().numpy()
    np.testing.assert_allclose(recorder.recording.activations("4").values[0, 0], expected, atol=1e-6)
