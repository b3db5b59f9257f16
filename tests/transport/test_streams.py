"""What evaluates never draws what trains, whatever seeds are passed: every public function with a seed, of both lenses."""

import inspect
import math

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane import ridgelet, transport
from flowplane.core import streams

P = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.2], [1.0, 0.0]], [0.3, 0.4])
FLOW = fp.denoising_flow(P, 0.05, 2, representation="nodes")
QUICK = {"steps": 2, "device": "cpu"}
X = np.linspace(-3, 3, 60)
SPECTRUM = ridgelet.transform(np.exp(-(X**2)), X, extent=(3.0, 10.0), grid=(10, 12))
FEW = {"extent": 3.0, "grid": (8, 12)}
CLOUD = np.stack([np.random.default_rng(k).normal(size=(30, 2)) for k in range(3)])
LABELS = np.arange(30) % 2

#: Every function that makes something by draws, with a seed.
TRAINS = {
    "train_denoiser": lambda p, seed: transport.train_denoiser((4,), p, noise_covariance=0.1, seed=seed, **QUICK),
    "train_score": lambda p, seed: transport.train_score((4,), p, variances=(0.1, 1.0), seed=seed, **QUICK),
    "train_velocity": lambda p, seed: transport.train_velocity((4,), p, p, coupling="optimal", seed=seed, **QUICK),
    "rectify": lambda p, seed: transport.rectify(fp.denoising_flow(p, 0.05, 1), (4,), samples=20, seed=seed, **QUICK),
    "stack": lambda p, seed: transport.stack((4,), p, depth=2, noise_covariance=0.1, seed=seed, **QUICK),
    "network": lambda p, seed: ridgelet.network(fp.denoising_flow(p, 0.05, 1), 2, 5, seed=seed, **FEW),
    "WideLimit": lambda p, seed: ridgelet.WideLimit(fp.denoising_flow(p, 0.05, 1), seed=seed, **FEW),
    "WideLimit.network": lambda p, seed: ridgelet.WideLimit(fp.denoising_flow(p, 0.05, 1), **FEW).network(2, 5, seed=seed),
    "finite_network": lambda p, seed: ridgelet.finite_network(SPECTRUM, 5, seed=seed),
    "least_squares_network": lambda p, seed: ridgelet.least_squares_network(
        SPECTRUM, np.exp(-(X**2)), points=X, units=5, seed=seed
    ),
    "monte_carlo_transform": lambda p, seed: ridgelet.monte_carlo_transform(
        np.exp(-(X**2)), X, units=5, extent=(3.0, 9.0), seed=seed
    ),
}
#: Every function that measures something by draws.
EVALUATES = {
    "Density.sample": lambda p, seed: p.sample(20, seed=seed),
    "Density.entropy": lambda p, seed: p.entropy(20, seed=seed),
    "TransportMap.profile": lambda p, seed: fp.denoising_flow(p, 0.05, 1).profile(20, [0.05], seed=seed),
    "TransportMap.budget": lambda p, seed: fp.denoising_flow(p, 0.05, 1).budget(20, seed=seed),
    "TransportMap.steps": lambda p, seed: fp.denoising_flow(p, 0.05, math.inf).steps(20, [1, 2], seed=seed),
    "DenoisingFlow.representation_error": lambda p, seed: FLOW.representation_error(20, seed=seed),
    "flow_samples": lambda p, seed: transport.flow_samples(fp.denoising_flow(p, 0.05, 1), 5, seed=seed),
    "flow_history": lambda p, seed: transport.flow_history(fp.denoising_flow(p, 0.05, 1), 5, points=5, seed=seed),
    "brenier_defect": lambda p, seed: transport.brenier_defect(fp.denoising_flow(p, 0.05, 1), 20, seed=seed),
    "denoising_loss": lambda p, seed: transport.denoising_loss(FLOW, p, noise_covariance=0.1, samples=20, seed=seed),
    "optimal_loss": lambda p, seed: transport.optimal_loss(p, 0.1, samples=20, seed=seed),
    "wasserstein": lambda p, seed: fp.wasserstein(CLOUD[0], CLOUD[1], method="sliced", projections=3, seed=seed),
    "path_measures": lambda p, seed: transport.path_measures(CLOUD, 10, seed=seed),
    "sliced_measures": lambda p, seed: transport.sliced_measures(CLOUD, 4, seed=seed),
    "class_distances": lambda p, seed: transport.class_distances(CLOUD[0], LABELS, samples=5, seed=seed),
    "embedding_influence": lambda p, seed: transport.embedding_influence(list(CLOUD), draws=2, seed=seed),
    "layer_path": lambda p, seed: transport.layer_path(list(CLOUD), "random", seed=seed),
}
#: First weights, signs, the nodes of a flow: neither trains nor evaluates. A mixture's fit is given its points.
NEITHER = {
    "Autoencoder",
    "DenoisingFlow",
    "DenoisingNetwork",
    "GaussianMixture.fit",
    "ODEMap",
    "ScoreNetwork",
    "VelocityNetwork",
    "model_flow",
}


class Watched(fp.GaussianMixture):
    """Keeps what is drawn of it."""

    def __init__(self):
        super().__init__([0.4, 0.6], [[-1.0, 0.2], [1.0, 0.0]], [0.3, 0.4])
        self.drawn = []

    def draw(self, n, rng):
        self.drawn.append(super().draw(n, rng))
        return self.drawn[-1]


@pytest.fixture
def keys(monkeypatch):
    """The streams that are opened, as pairs of a seed and a purpose."""
    opened = set()

    class Recorded(np.random.SeedSequence):
        def __init__(self, entropy=None, *, spawn_key=(), **options):
            if spawn_key:
                opened.add((entropy, tuple(spawn_key)))
            super().__init__(entropy, spawn_key=spawn_key, **options)

    monkeypatch.setattr(np.random, "SeedSequence", Recorded)
    return opened


def test_every_function_with_a_seed_is_listed():
    seeded = set()
    for part in (transport, ridgelet, fp.densities):
        for name in part.__all__:
            thing = getattr(part, name)
            methods = {} if not inspect.isclass(thing) else dict(inspect.getmembers(thing, inspect.isroutine))
            found = {name: thing} | {f"{name}.{key}": method for key, method in methods.items() if key[0] != "_"}
            for title, each in found.items():
                try:
                    parameters = inspect.signature(each).parameters
                except (TypeError, ValueError):
                    continue
                if "seed" in parameters and getattr(each, "__module__", "").startswith("flowplane"):
                    seeded.add(title)
    listed = {*TRAINS, *EVALUATES, *NEITHER}
    # a method counts for every class that has it
    methods = {title.split(".")[1] for title in listed if "." in title}
    assert {title for title in seeded if title not in listed and title.split(".")[-1] not in methods} == set()
    assert {title.split(".")[-1] for title in listed} <= {title.split(".")[-1] for title in seeded}


@pytest.mark.parametrize("evaluate", EVALUATES)
def test_no_stream_of_a_training_is_one_of_an_evaluation(keys, evaluate):
    for train in ("train_denoiser", "train_score", "train_velocity", "rectify", "stack", "network"):
        TRAINS[train](P, 0)
    trained = set(keys)
    keys.clear()
    EVALUATES[evaluate](P, 0)
    assert keys and trained
    assert not keys & trained


@pytest.mark.parametrize("train", ["train_denoiser", "train_score", "train_velocity", "rectify", "stack", "network"])
def test_points_that_evaluate_are_none_that_train(train):
    """The points themselves, of one seed, and as many as training draws at a time."""
    p = Watched()
    TRAINS[train](p, 0)
    known = torch.cat(p.drawn)
    counts = {len(each) for each in p.drawn}
    p.drawn = []
    for evaluate in EVALUATES.values():
        evaluate(p, 0)
    for n in counts:
        p.sample(n, seed=0)
        p.entropy(n, seed=0)
        transport.optimal_loss(p, 0.1, samples=n, seed=0)
    fresh = torch.cat(p.drawn)
    both = torch.unique(torch.cat([torch.unique(known, dim=0), torch.unique(fresh, dim=0)]), dim=0)
    assert len(both) == len(torch.unique(known, dim=0)) + len(torch.unique(fresh, dim=0))


def test_the_readme_trains_and_evaluates_on_other_points():
    few, many = P.sample(200, seed=0), P.sample(5000, seed=0)
    assert not (few[:, None] == many).all(2).any()


@pytest.mark.parametrize("name", [*TRAINS, *EVALUATES])
def test_generators_are_seeds(name):
    """Of both libraries; the same state gives the same, and goes on."""
    call = (TRAINS | EVALUATES)[name]

    def numbers(found):
        if isinstance(found, torch.nn.Module):
            return torch.cat([part.detach().double().flatten() for part in found.state_dict().values()]).numpy()
        if isinstance(found, ridgelet.WideLimit):
            return found.field.points.numpy()
        if hasattr(found, "coefficients"):
            return found.coefficients.numpy()
        if hasattr(found, "data_vars"):
            return np.concatenate([np.ravel(part.values) for part in found.data_vars.values()])
        return np.ravel(found)

    rng = np.random.default_rng(3)
    first, second = numbers(call(P, rng)), numbers(call(P, rng))
    np.testing.assert_array_equal(first, numbers(call(P, np.random.default_rng(3))))
    assert not np.array_equal(first, second, equal_nan=True)
    np.testing.assert_array_equal(*(numbers(call(P, torch.Generator().manual_seed(5))) for _ in range(2)))


def test_purposes_are_no_replicas():
    purposes = [getattr(streams, name) for name in streams.__all__ if name.isupper()]
    assert len(set(purposes)) == len(purposes)
    assert sorted(purposes)[6] > 1_000_000  # the first six are a replica's own
    assert math.isfinite(streams.generator(0, streams.SAMPLES, 5).random())
