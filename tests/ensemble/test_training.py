"""Training against plain PyTorch with autograd, and the two engines against each other."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from oracles import fisher_yates, train_plainly

import flowplane as fp
from flowplane.core import streams
from flowplane.core.network import ACTIVATIONS
from flowplane.ensemble.fused import epoch_orders
from flowplane.errors import InputError, MissingRequirement
from flowplane.tasks import Task

SETTINGS = [
    pytest.param({"activation": activation, "optimizer": "adam", "learning_rate": 4e-3}, id=f"{activation}-adam")
    for activation in ACTIVATIONS
] + [
    pytest.param({"activation": "tanh", "optimizer": "sgd"}, id="tanh-sgd"),
    pytest.param({"activation": "relu", "optimizer": "sgd", "momentum": 0.9}, id="relu-momentum"),
    pytest.param({"activation": "sigmoid", "optimizer": "sgd", "momentum": 0.5, "drop_last": False}, id="sigmoid-last-kept"),
    pytest.param({"activation": "tanh", "optimizer": "adam", "hidden": (7,), "batch_size": 5}, id="odd-sizes"),
    pytest.param({"activation": "tanh", "optimizer": "adam", "hidden": (), "batch_size": 1000}, id="no-hidden-layer"),
]


@pytest.fixture(scope="module")
def small():
    """Three classes, fewer samples than a tile, not a multiple of anything."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(211, 6)).astype(np.float32)
    return Task(inputs, (inputs[:, 0] + inputs[:, 1] ** 2 > 0.5).astype(int) + (inputs[:, 2] > 0.8))


@pytest.mark.parametrize("changes", SETTINGS)
@pytest.mark.parametrize("compile", ["auto", False], ids=["fused", "torch"])
def test_against_autograd(small, changes, compile):
    arguments = {"hidden": (5, 4), "batch_size": 64, "train_fraction": 0.7} | changes
    rec = fp.train(small, replicas=2, epochs=6, snapshots=7, seed=3, compile=compile, **arguments)
    assert rec.attrs["engine"] == ("fused" if compile == "auto" else "eager")
    rate = (
        {"adam": 4e-4, "sgd": 0.05}[arguments["optimizer"]]
        if arguments.get("learning_rate") is None
        else arguments["learning_rate"]
    )
    for k in range(2):
        train = np.flatnonzero(rec.split.values[k])
        network, losses, gradients = train_plainly(
            rec.weights.values[k, 0],
            rec.network.sizes,
            arguments["activation"],
            small.inputs,
            small.labels,
            train,
            streams.stream_key(3, k, streams.ORDER),
            epochs=6,
            batch=arguments["batch_size"],
            drop_last=arguments.get("drop_last", True),
            optimizer=arguments["optimizer"],
            rate=rate,
            momentum=arguments.get("momentum", 0.0),
        )
        metrics = rec.metrics.isel(replica=k)
        assert metrics.train_loss.values[1:] == pytest.approx(losses, abs=2e-5)
        assert rec.weights.values[k, -1] == pytest.approx(network.packed(), abs=2e-4)
        held_out = np.setdiff1d(np.arange(len(small)), train)
        loss, accuracy = network.metrics(small.inputs[held_out], small.labels[held_out])
        assert float(metrics.test_loss[-1]) == pytest.approx(loss, abs=2e-5)
        assert float(metrics.test_accuracy[-1]) == pytest.approx(accuracy, abs=1.5 / len(held_out))
        check_gradients(rec, k, gradients)


def check_gradients(rec, k, gradients):
    """B5: norm of the mean and root of the trace of the covariance, weights and bias of a layer together."""
    last = rec.gradients.isel(replica=k, epoch=-1)
    for layer in range(len(rec.layers)):
        batches = np.array([np.concatenate(batch[2 * layer : 2 * layer + 2]) for batch in gradients])
        assert float(last.gradient_mean[layer]) == pytest.approx(np.linalg.norm(batches.mean(axis=0)), rel=2e-3, abs=1e-6)
        if len(batches) > 1:
            assert float(last.gradient_std[layer]) == pytest.approx(np.sqrt(batches.var(axis=0, ddof=1).sum()), rel=2e-3)
        else:
            assert np.isnan(float(last.gradient_std[layer]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_engines_give_the_same_curves(task, activation):
    fused, eager = (
        fp.train(task, activation=activation, replicas=2, epochs=40, snapshots=5, compile=compile)
        for compile in ("auto", False)
    )
    for name in ("train_loss", "test_loss"):
        assert fused.metrics[name].values == pytest.approx(eager.metrics[name].values, abs=2e-4)
    # a sample at a ReLU's kink may fall on either side of it: a few samples' share of a small mean gradient
    for name, relative in (("gradient_mean", 0.1), ("gradient_std", 0.1), ("weight_norm", 1e-3)):
        expected = eager.gradients[name].values[:, 1:]
        assert fused.gradients[name].values[:, 1:] == pytest.approx(expected, rel=relative, abs=1e-5)
    assert fused.split.equals(eager.split)


#: Every 49th weight of the first replica after three epochs of the reference task, and its gradients' means, by 0.1's loop.
FIRST_LOOP = [
    (
        {},
        [0.07843378, 0.1415722, -0.2119166, -0.01062856, -0.4281943, 0.0002847193],
        [0.03941457, 0.03150154, 0.02177702, 0.01695302, 0.01959196, 0.03509211],
        0.6849318146705627,
    ),
    (
        {"activation": "relu", "optimizer": "sgd", "momentum": 0.9},
        [0.07184219, 0.1462873, -0.2148416, -0.003383454, -0.435226, 0.002302397],
        [0.002843813, 0.003730106, 0.004206536, 0.004735548, 0.007030531, 0.003836812],
        0.6917991638183594,
    ),
]


@pytest.mark.parametrize(("changes", "weights", "gradients", "loss"), FIRST_LOOP, ids=["tanh-adam", "relu-momentum"])
def test_the_loop_of_0_1_gave_the_same(task, changes, weights, gradients, loss):
    rec = fp.train(task, device="cpu", replicas=1, epochs=3, snapshots=2, **changes)
    assert rec.weights.values[0, -1, ::49] == pytest.approx(weights, abs=1e-5)
    assert rec.gradients.gradient_mean.values[0, -1] == pytest.approx(gradients, abs=1e-5)
    assert float(rec.metrics.test_loss[0, -1]) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_loop_takes_the_steps_of_pytorch(task, activation, optimizer):
    """The order of sums differs, and with it the last bits only, before chaos makes something of them."""
    arguments = {"activation": activation, "optimizer": optimizer, "batch_size": 700, "drop_last": False, "hidden": (9, 3)}
    fused, eager = (
        fp.train(task, device="cpu", replicas=2, epochs=3, snapshots=2, compile=compile, **arguments)
        for compile in ("auto", False)
    )
    assert fused.attrs["engine"] == "fused"
    # Adam divides by gradients: near 0, a bit of theirs is worth a whole step of 4e-4
    difference = np.abs(fused.weights.values - eager.weights.values)
    assert np.quantile(difference, 0.98) < 1e-5 and difference.max() < 4e-4
    assert fused.metrics.test_loss.values == pytest.approx(eager.metrics.test_loss.values, abs=1e-5)


def test_packed_inputs_give_the_same_bits(task, monkeypatch):
    from flowplane.ensemble import fused

    packed = fp.train(task, device="cpu", replicas=2, epochs=3, snapshots=3)
    monkeypatch.setattr(fused, "PACKED", 0)
    assert identical(packed, fp.train(task, device="cpu", replicas=2, epochs=3, snapshots=3))


def test_batch_order_is_a_permutation_and_the_oracles():
    samples = np.array([5, 9, 2, 7, 1, 40, 33])
    orders = np.tile(samples, (2, 1))
    keys = np.array([3, 2**63 + 11], np.uint64)
    epoch_orders(orders, keys, 12)
    for k in range(2):
        assert orders[k].tolist() == fisher_yates(samples, keys[k], 12)
    counts = np.zeros((7, 7))
    for epoch in range(1, 3001):
        order = np.arange(7)[None].copy()
        epoch_orders(order, keys[:1], epoch)
        counts[np.arange(7), order[0]] += 1
    # each of 49 cells is binomial(3000, 1/7): five standard deviations
    assert np.abs(counts - 3000 / 7).max() < 5 * np.sqrt(3000 / 7 * 6 / 7)


def identical(a, b):
    return (
        np.array_equal(a.weights.values, b.weights.values)
        and a.metrics.equals(b.metrics)
        and np.array_equal(a.gradients.to_array().values, b.gradients.to_array().values, equal_nan=True)
        and np.array_equal(a.split.values, b.split.values)
    )


@pytest.mark.parametrize("compile", ["auto", False], ids=["fused", "torch"])
def test_same_seed_gives_the_same_recording(task, compile):
    arguments = {"replicas": 3, "epochs": 12, "snapshots": 5, "compile": compile}
    first, again, other = (fp.train(task, seed=seed, **arguments) for seed in (7, 7, 8))
    assert identical(first, again)
    assert first.attrs == again.attrs
    assert not np.array_equal(first.weights.values, other.weights.values)


def test_a_replica_does_not_depend_on_how_many_there_are(task):
    few, many = (fp.train(task, replicas=replicas, epochs=15, snapshots=6) for replicas in (2, 5))
    assert identical(few, many.sel(replica=[0, 1]))
    assert identical(few.sel(replica=1), many.sel(replica=1))
    few, many = (fp.train(task, replicas=replicas, epochs=15, snapshots=6, compile=False) for replicas in (2, 5))
    assert few.weights.values == pytest.approx(many.weights.values[:2], abs=1e-5)


def test_the_number_of_snapshots_changes_nothing_else(task):
    dense, sparse = (fp.train(task, replicas=2, epochs=15, snapshots=snapshots) for snapshots in (16, 2))
    assert np.array_equal(dense.weights.values[:, -1], sparse.weights.values[:, -1])
    assert dense.metrics.equals(sparse.metrics)


def test_weights_split_and_order_are_drawn_anew_for_each_replica(task):
    rec = fp.train(task, replicas=4, epochs=1, snapshots=2)
    assert (rec.split.values.sum(axis=1) == int(0.85 * 4096)).all()
    for a in range(4):
        for b in range(a):
            assert not np.array_equal(rec.split.values[a], rec.split.values[b])
            assert not np.array_equal(rec.weights.values[a, 0], rec.weights.values[b, 0])


def test_sampled_labels():
    soft = fp.tasks.spherical_rule(information=0.5)
    rec = fp.train(soft, replicas=3, epochs=2, snapshots=3, labels="sampled")
    labels = rec.training_labels.values
    assert labels.shape == (3, 4096)
    assert not np.array_equal(labels[0], labels[1])
    expected = soft.conditional[:, 1].sum()
    error = np.sqrt((soft.conditional[:, 0] * soft.conditional[:, 1]).sum())
    assert np.abs(labels.sum(axis=1) - expected).max() < 4 * error
    assert np.array_equal(
        fp.train(soft, replicas=1, epochs=2, snapshots=2, labels="sampled").training_labels.values[0], labels[0]
    )
    hard = fp.train(soft, replicas=1, epochs=1, snapshots=2)
    assert np.array_equal(hard.training_labels.values[0], soft.labels)


def test_one_batch_an_epoch_has_no_diffusion(task):
    rec = fp.train(task, replicas=2, epochs=3, snapshots=4, train_fraction=0.05)
    assert np.isnan(rec.gradients.gradient_std.values).all()
    assert np.isfinite(rec.gradients.gradient_mean.values[:, 1:]).all()
    assert np.isnan(rec.gradients.gradient_mean.values[:, 0]).all()
    assert np.isfinite(rec.gradients.weight_norm.values).all()


def test_nothing_held_out(task):
    rec = fp.train(task, replicas=1, epochs=2, snapshots=3, train_fraction=1.0)
    assert rec.split.values.all()
    assert np.isnan(rec.metrics.test_loss.values).all()
    assert np.isfinite(rec.metrics.train_loss.values).all()
    eager = fp.train(task, replicas=1, epochs=2, snapshots=3, train_fraction=1.0, compile=False)
    assert np.isnan(eager.metrics.test_accuracy.values).all()


def test_wide_networks_take_the_torch_path():
    digits = fp.tasks.digits()
    rec = fp.train(digits, hidden=(160,), activation="relu", replicas=1, epochs=3, snapshots=2, learning_rate=0.01)
    assert rec.attrs["engine"] == "eager"
    assert float(rec.metrics.test_accuracy[0, -1]) > 0.5


def test_digits_are_learned():
    rec = fp.train(
        fp.tasks.digits(), hidden=(32,), activation="relu", replicas=2, epochs=60, snapshots=3, learning_rate=0.01
    )
    assert rec.attrs["engine"] == "fused"
    assert float(rec.metrics.test_accuracy[:, -1].min()) > 0.9


COMPILED = """
import numpy as np, flowplane as fp
task = fp.tasks.spherical_rule()
compiled, eager = (fp.train(task, replicas=2, epochs=20, snapshots=3, compile=compile) for compile in (True, False))
assert compiled.attrs["engine"] == "compiled"
np.testing.assert_allclose(compiled.metrics.train_loss, eager.metrics.train_loss, atol=2e-4)
"""


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler here")
def test_compiled_engine_agrees():
    # in a process of its own: torch.compile cannot see through the checks of shapes that these tests switch on
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


@pytest.mark.gpu
def test_graph_engine_agrees(task):
    graph, fused = (fp.train(task, replicas=3, epochs=60, snapshots=7, device=device) for device in ("cuda", "cpu"))
    assert (graph.attrs["engine"], fused.attrs["engine"]) == ("graph", "fused")
    assert graph.metrics.train_loss.values == pytest.approx(fused.metrics.train_loss.values, abs=5e-4)
    eager = fp.train(task, replicas=3, epochs=60, snapshots=7, device="cuda", compile=False)
    assert graph.metrics.train_loss.values == pytest.approx(eager.metrics.train_loss.values, abs=5e-4)
    for name in ("gradient_mean", "gradient_std"):
        assert graph.gradients[name].values[:, 1:] == pytest.approx(fused.gradients[name].values[:, 1:], rel=0.05, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_fraction": 0.0}, r"train_fraction: found 0.0, expected a number in \(0, 1\]"),
        ({"train_fraction": 1.5}, "train_fraction: found 1.5"),
        ({"train_fraction": float("nan")}, "train_fraction: found nan"),
        ({"train_fraction": 1e-5}, "train_fraction: found 1e-05"),
        ({"train_fraction": "half"}, "train_fraction: found 'half'"),
        ({"activation": "tan"}, r"activation: found 'tan', expected one of .*did you mean 'tanh'"),
        ({"optimizer": "adamw"}, "optimizer: found 'adamw'"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum: found 0.9"),
        ({"optimizer": "sgd", "momentum": 1.0}, "momentum: found 1.0"),
        ({"learning_rate": -1}, "learning_rate: found -1"),
        ({"replicas": 0}, "replicas: found 0"),
        ({"replicas": 2.5}, "replicas: found 2.5"),
        ({"epochs": 0}, "epochs: found 0"),
        ({"snapshots": 1}, "snapshots: found 1"),
        ({"batch_size": 0}, "batch_size: found 0"),
        ({"hidden": (3, 0)}, "hidden: found 0"),
        ({"hidden": "abc"}, "hidden: found 'abc'"),
        ({"labels": "soft"}, "labels: found 'soft'"),
        ({"labels": "sampled"}, "no conditional to sample from"),
        ({"keep": ("activations",)}, "keep: found 'activations'"),
        ({"device": "tpu9"}, "device: found 'tpu9'"),
        ({"compile": "yes"}, "compile: found 'yes'"),
        ({"seed": -1}, "seed: found -1"),
        ({"mode": "append"}, "mode: found 'append'"),
        ({"mode": "resume"}, "path: found None"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(task, tmp_path, arguments, message):
    path = None if arguments.get("mode") == "resume" else tmp_path / "run.fp"
    with pytest.raises(InputError, match=message):
        fp.train(task, path=path, **({"epochs": 1, "replicas": 1, "snapshots": 2} | arguments))
    assert not any(tmp_path.iterdir())


def test_compiling_without_a_compiler(task, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingRequirement, match="needs a C\\+\\+ compiler"):
        fp.train(task, path=tmp_path / "run.fp", replicas=1, epochs=1, snapshots=2, compile=True, device="cpu")
    assert not any(tmp_path.iterdir())
    assert fp.train(task, replicas=1, epochs=1, snapshots=2, device="cpu").attrs["engine"] == "fused"


def test_what_is_no_task_is_refused():
    with pytest.raises(InputError, match="task: found ndarray, expected a Task"):
        fp.train(np.zeros((3, 3)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_no_gpu(task):
    with pytest.raises(InputError, match="an available GPU"):
        fp.train(task, device="cuda")


def test_compiling_is_chosen_where_it_pays(monkeypatch):
    from flowplane.ensemble import batched
    from flowplane.ensemble.configuration import Configuration, Problem

    task = fp.tasks.digits()
    given = {
        "hidden": (256,),
        "activation": "relu",
        "replicas": 1,
        "train_fraction": 0.8,
        "optimizer": "adam",
        "learning_rate": None,
        "momentum": 0.0,
        "batch_size": 128,
        "drop_last": True,
        "labels": "hard",
        "snapshots": 2,
        "keep": (),
        "seed": 0,
    }
    decisions = []
    for epochs in (10, 100_000):
        configuration = Configuration.checked(task, epochs=epochs, **given)
        work = (configuration.network(task), Problem.draw(task, configuration), configuration)
        monkeypatch.setattr(batched.shutil, "which", lambda name: "/usr/bin/c++")
        decisions.append(batched.compiling_pays(*work))
        monkeypatch.setattr(batched.shutil, "which", lambda name: None)
        assert not batched.compiling_pays(*work)
    assert decisions == [False, True]


def test_moments_of_units_that_died_fade_to_0(small):
    """Numbers below the least normal one, at which they would stay, cost a processor a hundred times as much."""
    rec = fp.train(
        small, hidden=(8,), activation="relu", replicas=4, epochs=800, batch_size=64, learning_rate=0.3, snapshots=2
    )
    moments = np.abs(rec.state()[:, 1])
    assert (moments == 0).any() and (moments[moments > 0] >= np.finfo(np.float32).tiny).all()
    assert torch.tensor(np.finfo(np.float32).tiny).mul(0.5) > 0  # the caller's own arithmetic is left alone
