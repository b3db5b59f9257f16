"""Networks with noise of their own: gradients against autograd, streams, resuming, refusals."""

import numpy as np
import pytest
import torch
from oracles import FUNCTIONS

import flowplane as fp
from flowplane.core import streams
from flowplane.core.network import ACTIVATIONS, Network
from flowplane.ensemble.batched import BatchedEngine
from flowplane.ensemble.configuration import Configuration, Problem
from flowplane.errors import InputError
from flowplane.tasks import Task


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(120, 6)).astype(np.float32)
    return Task(inputs, (inputs[:, 0] > 0).astype(int) + (inputs[:, 1] > 0.8))


def noisy(small, **changes):
    given = {
        "hidden": (5, 4),
        "replicas": 2,
        "epochs": 5,
        "snapshots": 6,
        "batch_size": 32,
        "noise_variance": 0.05,
        "device": "cpu",
    }
    return fp.train(small, **(given | changes))


def engine_of(small, activation, noise):
    arguments = {
        "hidden": (5, 4),
        "activation": activation,
        "replicas": 2,
        "epochs": 5,
        "train_fraction": 0.7,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.0,
        "batch_size": 32,
        "drop_last": True,
        "labels": "hard",
        "snapshots": 2,
        "keep": (),
        "seed": 3,
        "noise_variance": noise,
    }
    configuration = Configuration.checked(small, **arguments)
    network, problem = configuration.network(small), Problem.draw(small, configuration)
    state = np.zeros((2, 3, network.parameters), np.float32)
    for k in (0, 1):
        state[k, 0] = network.initial_weights(3, k)
    return BatchedEngine(network, problem, configuration, state, torch.device("cpu"), "eager"), network, problem


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_those_of_the_noisy_loss(small, activation):
    """Backward by hand against autograd through T_l = σ(W T_{l−1} + b) + Z_l with the same Z."""
    engine, network, problem = engine_of(small, activation, noise=0.3)
    samples = torch.tensor(problem.train[:, 10:42])
    rng = np.random.default_rng(5)
    noise = [torch.tensor(rng.normal(size=(2, width, 32)), dtype=torch.float32) for width in (5, 4)]
    weights = torch.tensor(engine.state()[:, 0])
    gradient = engine._take_step(samples, noise)
    for k in (0, 1):
        packed = weights[k].double().requires_grad_()
        h = torch.tensor(small.inputs)[samples[k]].double()
        layers = network.unpack(packed)
        for depth, (matrix, bias) in enumerate(layers):
            h = h @ matrix.T + bias
            if depth < 2:
                h = FUNCTIONS[activation](h) + noise[depth][k].T.double()
        torch.nn.functional.cross_entropy(h, torch.tensor(small.labels)[samples[k]]).backward()
        assert gradient[k].numpy() == pytest.approx(packed.grad.numpy(), abs=2e-6)


def test_noise_is_normal_fresh_and_independent(small):
    engine, _, _ = engine_of(small, "tanh", noise=0.04)
    draws = []
    for epoch in (1, 2):
        generators = engine._noise_streams(epoch)
        draws += [torch.cat(engine._fresh(generators, 2000), 1).double() for _ in range(2)]
    units = torch.cat(draws).flatten(0, 1).numpy()  # two epochs, two steps, two replicas, nine units
    assert units.shape == (72, 2000)
    assert units.mean() == pytest.approx(0, abs=4 * 0.2 / np.sqrt(units.size))
    assert units.var() == pytest.approx(0.04, rel=4 * np.sqrt(2 / units.size))
    apart = np.corrcoef(units)[np.triu_indices(72, 1)]
    assert np.abs(apart).max() < 5.5 / np.sqrt(2000)
    standard = units / 0.2
    assert (standard**4).mean() == pytest.approx(3, abs=5 * np.sqrt(96 / units.size))


def test_noise_changes_training_and_none_does_not(small):
    assert noisy(small).attrs["engine"] == "eager"
    quiet, plain = (noisy(small, noise_variance=value, compile=False) for value in (0, 0.0))
    assert np.array_equal(quiet.weights.values, plain.weights.values)
    with_noise = noisy(small)
    assert np.array_equal(with_noise.weights.values[:, 0], plain.weights.values[:, 0])
    assert not np.allclose(with_noise.weights.values[:, 1], plain.weights.values[:, 1], atol=1e-5)


def test_replicas_do_not_depend_on_their_number(small):
    few, many = noisy(small, replicas=2), noisy(small, replicas=5)
    assert few.weights.values == pytest.approx(many.weights.values[:2], abs=1e-5)
    metrics = many.metrics.isel(replica=slice(2))
    assert few.metrics.train_loss.values == pytest.approx(metrics.train_loss.values, abs=1e-5)
    assert not np.allclose(*noisy(small, replicas=2).weights.values[:, -1])


@pytest.mark.parametrize("drop_last", [True, False])
def test_resuming_is_running_through(small, tmp_path, drop_last):
    arguments = {"drop_last": drop_last, "optimizer": "adam", "learning_rate": 0.01}
    through = noisy(small, epochs=9, snapshots=4, **arguments)
    first = noisy(small, path=tmp_path / "run.fp", epochs=3, snapshots=4, **arguments)
    assert first.epochs[-1] == 3
    resumed = noisy(small, path=tmp_path / "run.fp", epochs=9, snapshots=4, mode="resume", **arguments)
    assert np.array_equal(resumed.weights.values[:, -1], through.weights.values[:, -1])
    assert np.array_equal(resumed.metrics.test_loss.values, through.metrics.test_loss.values)
    assert np.array_equal(resumed.state(), through.state())


def test_resuming_compares_the_noise(small, tmp_path):
    noisy(small, path=tmp_path / "run.fp", epochs=2, snapshots=2)
    with pytest.raises(InputError, match=r"noise_variance: found 0.1, expected 0.05, as in the recording to resume"):
        noisy(small, path=tmp_path / "run.fp", epochs=4, noise_variance=0.1, mode="resume")


def test_metrics_are_those_of_the_recorded_draw(small):
    """The loss is that of the noisy network, with the noise that `rec.activations` shows."""
    rec = noisy(small, noise_variance=0.5, train_fraction=0.7)
    probability = rec.activations("layer3").values[:, -1]
    for k in (0, 1):
        own = np.log(probability[k][np.arange(120), small.labels])
        for name, part in (("train", rec.split.values[k]), ("test", ~rec.split.values[k])):
            assert float(rec.metrics[f"{name}_loss"][k, -1]) == pytest.approx(-own[part].mean(), rel=1e-4)
            right = (probability[k].argmax(1) == small.labels)[part].mean()
            assert float(rec.metrics[f"{name}_accuracy"][k, -1]) == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise_variance": -0.1}, "noise_variance: found -0.1, expected the variance of Gaussian noise"),
        ({"noise_variance": float("nan")}, "noise_variance: found nan, expected"),
        ({"noise_variance": float("inf")}, "noise_variance: found inf, expected"),
        ({"noise_variance": 1e-30}, "noise_variance: found 1e-30, expected the variance of .*: 0, or at least 1e-12"),
        ({"noise_variance": True}, "noise_variance: found True, expected"),
        ({"noise_variance": "loud"}, "noise_variance: found 'loud', expected"),
        ({"noise_variance": None}, "noise_variance: found None, expected"),
        ({"hidden": ()}, "noise_variance: found 0.05, expected 0 for a network without hidden layers"),
        ({"hidden": "10"}, "hidden: found '10', expected the number of units of each hidden layer"),
        ({"compile": True}, "compile: found True, expected 'auto' or False for a network with noise"),
    ],
)
def test_refusals(small, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        noisy(small, path=tmp_path / "run.fp", **arguments)
    assert not any(tmp_path.iterdir())


def test_the_old_name_says_the_new_one(small):
    for call in (fp.train, fp.cluster.Study):
        with pytest.raises(TypeError, match=r"has no argument 'noise' any more: it is called 'noise_variance' now"):
            call(small, noise=0.1)
    with pytest.raises(TypeError, match="positional"):
        fp.train(small, "run.fp")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_adds_the_draw(activation):
    quiet, loud = Network((6, 5, 4, 3), activation), Network((6, 5, 4, 3), activation, 0.25)
    weights, inputs = torch.randn(7, quiet.parameters), torch.randn(70, 6)
    draws = loud.noise_draw(70)
    together = loud.forward(weights, inputs)
    assert torch.equal(together[0], quiet.forward(weights, inputs)[0] + draws[0].T)
    # the layers after see the noisy values
    upper = Network((5, 4, 3), activation).forward(weights[:, quiet.starts[1] :], together[0][0])
    assert torch.allclose(together[1][0], upper[0][0] + draws[1].T, atol=1e-6)
    assert torch.allclose(together[2].sum(2), torch.ones(7, 70))
    for k in range(7):
        for mine, all_of_them in zip(loud.forward(weights[k : k + 1], inputs), together, strict=True):
            assert torch.equal(mine[0], all_of_them[k])
    other = Network((6, 5, 4, 3), activation, 0.25, noise_seed=1).noise_draw(70)
    assert not torch.equal(other[0], draws[0])
    assert abs(float(torch.corrcoef(torch.cat(draws)[[0, 5]])[0, 1])) < 0.5


def test_counter_streams():
    key = streams.stream_key(0, 1, streams.NOISE)
    draws = [streams.counter_generator(key, place).random(4).tolist() for place in (0, 1, 2, 1)]
    assert draws[1] == draws[3]
    assert len({tuple(draw) for draw in draws}) == 3


@pytest.mark.gpu
def test_on_a_gpu_the_noise_is_the_same(small):
    here, there = noisy(small), noisy(small, device="cuda")
    assert there.attrs["engine"] == "eager"
    assert there.weights.values == pytest.approx(here.weights.values, abs=1e-4)
