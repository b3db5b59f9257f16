"""Gradient statistics against every gradient written down (§B5)."""

import numpy as np
import pytest
import torch
from forked import Forked
from torch import nn

import flowplane as fp
from flowplane.errors import InputError

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


def by_hand(gradients):
    """‖E g‖ and √(tr Cov g), the covariance written out."""
    stacked = np.stack(gradients)
    return np.linalg.norm(stacked.mean(0)), np.sqrt(np.trace(np.atleast_2d(np.cov(stacked.T))))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_the_mini_batches_of_the_epoch_before_a_snapshot(optimizer, accumulate):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    stepper = optimizer(model.parameters(), 0.05)
    seen = {}
    with fp.Recorder(model, X, Y, epochs=3, snapshots=4) as recorder:
        for epoch in range(1, 4):
            seen[epoch] = {"0": [], "2": []}
            for count, rows in enumerate(torch.randperm(60).split(10), start=1):
                nn.functional.cross_entropy(model(X[rows]), Y[rows]).backward()
                if count % accumulate == 0:
                    for name in ("0", "2"):
                        part = model.get_submodule(name)
                        seen[epoch][name].append(torch.cat([part.weight.grad.flatten(), part.bias.grad]).numpy().copy())
                    stepper.step()
                    stepper.zero_grad()
            recorder.step(epoch=epoch)
    found = recorder.recording.gradients.isel(replica=0)
    for epoch in range(1, 4):
        for name in ("0", "2"):
            mean, spread = by_hand(seen[epoch][name])
            here = found.sel(epoch=epoch, layer=name)
            np.testing.assert_allclose([here.gradient_mean, here.gradient_std], [mean, spread], rtol=1e-5)
    part = model.get_submodule("2")
    norm = np.sqrt(sum(float((each.detach() ** 2).sum()) for each in part.parameters()))
    np.testing.assert_allclose(found.weight_norm.sel(epoch=3, layer="2"), norm, rtol=1e-6)
    assert np.isnan(found.sel(layer="1").weight_norm).all() and np.isnan(found.sel(epoch=0).gradient_mean).all()
    assert recorder.recording.epoch_batches == (6 // accumulate, 1.0)


def test_one_batch_an_epoch_has_no_spread():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with fp.Recorder(nn.Sequential(model), X, Y) as recorder:
        nn.functional.cross_entropy(model(X), Y).backward()
        optimizer.step()
        recorder.step()
    found = recorder.recording.gradients.isel(replica=0, epoch=1, layer=0)
    assert float(found.gradient_mean) > 0 and np.isnan(found.gradient_std)


def test_between_snapshots_no_hook_is_armed():
    from torch.optim.optimizer import _global_optimizer_pre_hooks

    model = nn.Sequential(nn.Linear(3, 2))
    with fp.Recorder(model, X, Y, epochs=100, snapshots=3) as recorder:  # epochs 0, 1 and 100
        armed = []
        for _ in range(100):
            armed.append(bool(_global_optimizer_pre_hooks))
            recorder.step()
    assert np.flatnonzero(armed).tolist() == [0, 99]


def test_frozen_parameters_and_two_optimisers():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].bias.requires_grad_(False)
    optimizers = [torch.optim.SGD([model[0].weight], 0.1), torch.optim.SGD(model[1].parameters(), 0.1)]
    with fp.Recorder(model, X, Y) as recorder:
        for rows in (slice(0, 30), slice(30, 60)):
            nn.functional.cross_entropy(model(X[rows]), Y[rows]).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        recorder.step()
    found = recorder.recording.gradients.sel(epoch=1)
    assert (found.gradient_std > 0).all() and recorder.recording.epoch_batches[0] == 2


def test_phases_of_a_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    with fp.Recorder(model, X, Y, epochs=40, snapshots=20) as recorder:
        for _ in range(40):
            for rows in torch.randperm(60).split(15):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(X[rows]), Y[rows]).backward()
                optimizer.step()
            recorder.step()
    phases = fp.gradient_phases(recorder.recording)
    assert phases.attrs["batches"] == 4 and phases.state.sel(layer="1").item() == "undefined"
    assert np.isfinite(phases.ratio.sel(layer="2").isel(epoch=-1)).all()


@pytest.mark.parametrize("how", ["positional", "named", "lbfgs"])
def test_a_step_that_is_given_a_closure(how):
    """Its gradients are made inside the step; LBFGS asks for several, and begins at the first."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2))
    parameters = list(model.parameters())
    optimizer = torch.optim.LBFGS(parameters, max_iter=3) if how == "lbfgs" else torch.optim.SGD(parameters, 0.1)
    seen = []
    with fp.Recorder(model, X, Y) as recorder:
        for rows in (slice(0, 20), slice(20, 40), slice(40, 60)):
            fresh = []

            def closure(rows=rows, fresh=fresh):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(X[rows]), Y[rows])
                loss.backward()
                fresh.append(torch.cat([part.grad.flatten() for part in model.parameters()]).numpy().copy())
                return loss

            assert optimizer.step(closure=closure) if how == "named" else optimizer.step(closure) is not None
            seen.append(fresh[0])
        recorder.step()
    found = recorder.recording.gradients.isel(replica=0).sel(epoch=1, layer="0")
    np.testing.assert_allclose([found.gradient_mean, found.gradient_std], by_hand(seen), rtol=1e-5)
    assert recorder.recording.epoch_batches[0] == 3


def test_a_model_that_was_not_trained_has_no_batches():
    with fp.Recorder(nn.Sequential(nn.Linear(3, 2)), X, Y) as recorder:
        recorder.step()
        recorder.step()
    with pytest.raises(InputError, match="rec: found a recording in which no optimiser took a step"):
        fp.gradient_phases(recorder.recording)


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_that_a_loss_scaler_skips_does_not_count(fused):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    seen = []
    with fp.Recorder(model, X, Y) as recorder:
        for count in range(5):
            optimizer.zero_grad()
            before = model[0].weight.detach().clone()
            scaler.scale(nn.functional.cross_entropy(model(X[count::5]), Y[count::5])).backward()
            gradient = torch.cat([part.grad.flatten() for part in model.parameters()]).numpy() / scaler.get_scale()
            if count == 2:
                model[0].bias.grad[0] = torch.inf
            else:
                seen.append(gradient)
            scaler.step(optimizer)
            scaler.update()
            assert torch.equal(before, model[0].weight) == (count == 2)
        recorder.step()
    found = recorder.recording.gradients.isel(replica=0).sel(epoch=1, layer="0")
    np.testing.assert_allclose([found.gradient_mean, found.gradient_std], by_hand(seen), rtol=1e-5)
    assert recorder.recording.epoch_batches[0] == 4


@pytest.mark.parametrize("portion", [1, 7, 24, 10**6])
def test_gradients_worked_on_in_pieces_give_the_same_numbers(monkeypatch, portion):
    monkeypatch.setattr("flowplane.recorder.gradients.PORTION", portion)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5), nn.BatchNorm1d(5)).to(
        memory_format=torch.channels_last
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    pictures, seen = torch.randn(40, 3, 4, 4), {"0": [], "2": [], "3": []}
    with fp.Recorder(model, pictures) as recorder:
        for count in range(4):
            optimizer.zero_grad()
            model(pictures[count::4]).square().sum().backward()
            for name, gradients in seen.items():
                parts = model.get_submodule(name).parameters()
                gradients.append(torch.cat([part.grad.flatten() for part in parts]).numpy().copy())
            optimizer.step()
        recorder.step()
    found = recorder.recording.gradients.isel(replica=0).sel(epoch=1)
    for name, gradients in seen.items():
        here, (mean, spread) = found.sel(layer=name), by_hand(gradients)
        # a normalisation leaves the layer before it no mean: what is there is rounding
        np.testing.assert_allclose([here.gradient_mean, here.gradient_std], [mean, spread], rtol=1e-5, atol=1e-6 * spread)


#: Trains a model of one large layer with and without its gradients; what each took at most, in MB, and the layer's size.
PEAK = """
import resource, sys, torch, flowplane as fp
import numpy, zarr, icechunk, xarray
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
model = torch.nn.Sequential(torch.nn.Linear(4096, 16384))
optimizer = torch.optim.SGD(model.parameters(), 1e-4)
x = torch.randn(24, 4096)
model(x).square().mean().backward()
optimizer.step()
before = peak()
with fp.Recorder(model, x, epochs=1) as recorder:
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    recorder.step()
assert all(mean is None for mean in recorder._statistics.means)
print((peak() - before) / (sum(part.numel() for part in model.parameters()) * 4 / 2**20))
"""


def test_gradient_means_of_a_large_layer_take_its_memory_once():
    child = Forked(PEAK)
    assert child.wait() == 0, child.stderr
    assert 1.0 < float(child.stdout) < 1.5, child.stdout
