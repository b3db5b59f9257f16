"""The Monte Carlo reference for networks with noise of their own, against quadrature, limits and bounds."""

import numpy as np
import oracles_noisy as oracle
import pytest
import torch

import flowplane as fp
from flowplane.analysis.noisy import noisy_information
from flowplane.errors import InputError
from flowplane.tasks import Task


@pytest.fixture(scope="module")
def plane_task():
    """Nine points in the plane with weights of their own and a soft rule."""
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.full(9, 3.0))
    rule = rng.dirichlet(np.full(3, 0.4), size=9)
    return Task(rng.normal(size=(9, 2)), rule.argmax(1) % 2, probability=probability, conditional=rule)


def trained(task, hidden, noise, **arguments):
    given = {"replicas": 2, "epochs": 60, "snapshots": 2, "learning_rate": 0.02, "batch_size": 4, "train_fraction": 1.0}
    return fp.train(task, hidden=hidden, noise_variance=noise, **(given | arguments))


def unpacked(rec, replica, epoch):
    weights = torch.tensor(rec.weights.sel(replica=replica, epoch=epoch).values)
    return [(matrix.double().numpy(), bias.double().numpy()) for matrix, bias in rec.network.unpack(weights)]


def assert_agrees(plane, expected, sigmas=4.5):
    for name, value in zip(("i_xt", "i_ty", "h_t"), expected, strict=True):
        found, error = float(plane[name]), float(plane[f"{name}_error"])
        half = (float(plane[f"{name}_upper"]) - found) - 1.96 * error
        assert found == pytest.approx(value, abs=sigmas * error + half + 1e-6), name


@pytest.mark.parametrize("noise", [1e-4, 0.01, 0.3])
def test_one_unit_is_a_quadrature(plane_task, noise):
    rec = trained(plane_task, (1,), noise)
    plane = noisy_information(rec, draws=8192)
    for replica in (0, 1):
        for epoch in (0, 60):
            (matrix, bias), _ = unpacked(rec, replica, epoch)
            centres = np.tanh(plane_task.inputs @ matrix.T + bias)[:, 0]
            expected = oracle.one_unit(centres, noise, plane_task.joint)
            here = plane.sel(replica=replica, epoch=epoch)
            assert_agrees(here.sel(layer="layer1"), expected)
            # one unit into several classes: the softmax is one to one with it
            last = here.sel(layer="layer2")
            assert float(last.i_xt) == pytest.approx(float(here.sel(layer="layer1").i_xt), abs=1e-4)
            assert np.isnan(float(last.h_t))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_two_layers_are_a_double_quadrature(plane_task, activation):
    noise = 0.05
    rec = trained(plane_task, (1, 1), noise, activation=activation)
    plane = noisy_information(rec)
    function = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}[activation]
    for replica in (0, 1):
        (first, b), (second, c), _ = unpacked(rec, replica, 60)
        centres = function(plane_task.inputs @ first.T + b)[:, 0]
        expected = oracle.two_layers_of_one_unit(
            centres, lambda t, w=second, c=c: function(w[0, 0] * t + c[0]), noise, plane_task.joint
        )
        assert_agrees(plane.sel(replica=replica, epoch=60, layer="layer2"), expected)


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_two_layers_of_two_units(plane_task, noise):
    rec = trained(plane_task, (2, 2), noise)
    plane = noisy_information(rec)
    for replica in (0, 1):
        (first, b), (second, c), _ = unpacked(rec, replica, 60)
        centres = np.tanh(plane_task.inputs @ first.T + b)
        expected = oracle.two_layers_of_two_units(
            centres, lambda t, w=second, c=c: np.tanh(t @ w.T + c), noise, plane_task.joint
        )
        assert_agrees(plane.sel(replica=replica, epoch=60, layer="layer2"), expected)


def test_a_softmax_of_two_classes_reads_one_direction(plane_task):
    task = Task(plane_task.inputs, np.arange(9) % 2, probability=plane_task.probability)
    rec = trained(task, (2,), 0.05)
    plane = noisy_information(rec, draws=8192).sel(epoch=60, layer="layer2")
    for replica in (0, 1):
        (first, b), (last, _) = unpacked(rec, replica, 60)
        direction = (last[1] - last[0]) / np.linalg.norm(last[1] - last[0])
        centres = np.tanh(task.inputs @ first.T + b) @ direction
        i_xt, i_ty, _ = oracle.one_unit(centres, 0.05, task.joint)
        here = plane.sel(replica=replica)
        assert float(here.i_xt) == pytest.approx(i_xt, abs=4.5 * float(here.i_xt_error))
        assert float(here.i_ty) == pytest.approx(i_ty, abs=4.5 * float(here.i_ty_error))


def test_errors_are_what_they_say(plane_task):
    """Over seeds, the values spread by their standard error and the intervals hold the truth as often as they claim."""
    rec = trained(plane_task, (1, 1), 0.05, replicas=1).sel(epoch=60)
    (first, b), (second, c), _ = unpacked(rec, 0, 60)
    centres = np.tanh(plane_task.inputs @ first.T + b)[:, 0]
    expected = oracle.two_layers_of_one_unit(centres, lambda t: np.tanh(second[0, 0] * t + c[0]), 0.05, plane_task.joint)
    planes = [noisy_information(rec.sel(layer="layer2"), draws=512, paths=64, seed=seed) for seed in range(40)]
    for name, truth in zip(("i_xt", "i_ty", "h_t"), expected, strict=True):
        values = np.array([float(plane[name].squeeze()) for plane in planes])
        errors = np.array([float(plane[f"{name}_error"].squeeze()) for plane in planes])
        # inputs dealt out evenly spread less than independent ones; never more
        assert values.std() < 1.4 * errors.mean()
        assert values.mean() == pytest.approx(truth, abs=4 * errors.mean() / np.sqrt(40))
        inside = [float(p[f"{name}_lower"].squeeze()) <= truth <= float(p[f"{name}_upper"].squeeze()) for p in planes]
        assert sum(inside) >= 35  # 38 expected; below 35 with probability 0.01 if errors were independent


def test_limits_of_the_noise(task):
    loud = noisy_information(
        fp.train(task, hidden=(4, 3), noise_variance=1e4, replicas=1, epochs=1, snapshots=2), draws=1024
    )
    assert np.abs(loud.i_xt.values).max() < 0.01
    assert np.abs(loud.i_ty.values).max() < 0.01
    quiet = noisy_information(
        fp.train(task, noise_variance=1e-10, replicas=1, epochs=1, snapshots=2).sel(layer="layer1"), draws=512
    )
    assert quiet.i_xt.values == pytest.approx(12, abs=1e-6)
    assert quiet.i_ty.values == pytest.approx(task.information, abs=1e-6)
    assert (quiet.flags.values == 1).all()  # saturated
    assert quiet.attrs["input_entropy"] == pytest.approx(12)


def test_bounds(task):
    """Nothing exceeds the entropies, and no layer knows more of x or y than the one before (data processing)."""
    rec = fp.train(task, noise_variance=0.02, replicas=2, epochs=30, snapshots=2, learning_rate=4e-3)
    plane = noisy_information(rec, draws=1024)
    for name, ceiling in (("i_xt", 12.0), ("i_ty", task.information)):
        error = plane[f"{name}_upper"] - plane[name]
        assert (plane[name] <= ceiling + error).all()
        assert (plane[name] >= -error).all()
        rise = plane[name].diff("layer")
        assert (rise <= error.isel(layer=slice(1, None)) + error.shift(layer=1).isel(layer=slice(1, None))).all()
    assert (plane.i_ty <= plane.i_xt + plane.i_xt_error * 4).all()
    assert plane.i_xt.channel == "the network's own noise of variance 0.02"
    assert plane.i_xt.dims == ("replica", "epoch", "layer")


def test_a_snapshot_does_not_depend_on_the_others(plane_task):
    rec = trained(plane_task, (2, 2), 0.1)
    plane = noisy_information(rec, draws=256)
    part = noisy_information(rec.sel(replica=1, epoch=60, layer=["layer3", "layer2"]), draws=256)
    assert np.array_equal(part.i_xt.values[0, 0], plane.i_xt.sel(replica=1, epoch=60, layer=["layer3", "layer2"]).values)
    other = noisy_information(rec, draws=256, seed=1)
    assert not np.array_equal(other.i_xt.values, plane.i_xt.values)


def test_equal_inputs_are_one_x(plane_task):
    """Two samples with equal inputs: H(X) of one bit, and labels that contradict each other are a soft rule."""
    task = Task(np.array([[0.0], [0.0], [3.0], [3.0]]), np.array([0, 1, 1, 1]))
    rec = trained(task, (1,), 1e-8, replicas=1)
    plane = noisy_information(rec, draws=64).sel(epoch=60, layer="layer1")
    assert float(plane.i_xt[0]) == pytest.approx(1.0, abs=1e-6)
    assert float(plane.i_ty[0]) == pytest.approx(task.information, abs=1e-6)


def test_refusals(plane_task, rec):
    with pytest.raises(InputError, match="rec: found networks without noise, expected networks with noise of their own"):
        noisy_information(rec)
    with pytest.raises(InputError, match="rec: found ndarray"):
        noisy_information(np.zeros(3))
    noisy = trained(plane_task, (1,), 0.1, replicas=1, epochs=1)
    for arguments, message in (
        ({"draws": 1}, "draws: found 1"),
        ({"paths": 3}, "paths: found 3, expected an even number"),
        ({"seed": -1}, "seed: found -1"),
    ):
        with pytest.raises(InputError, match=message):
            noisy_information(noisy, **arguments)
