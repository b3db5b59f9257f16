"""Velocities by training against closed forms; couplings; rectification (§E1, §E2)."""

import copy

import numpy as np
import pytest
import torch
from oracles_velocity import best_assignment, gaussian_distance, gaussian_energy, gaussian_velocity
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import LearnedVelocity, VelocityNetwork, load_velocity, rectify, train_velocity
from flowplane.transport.learned.coupling import coupled
from flowplane.transport.learned.fitting import Plan
from flowplane.transport.profiles.optimal import assignment

MEAN, COVARIANCE = np.array([1.5, -1.0]), np.array([[2.0, 0.9], [0.9, 0.6]])
NORMAL, GAUSSIAN = fp.Normal([0.0, 0.0], 1.0), fp.Normal(MEAN, COVARIANCE)
CLUSTERS = fp.GaussianMixture([0.3, 0.7], [[-2.0, 0.0], [2.0, 0.5]], [0.1, 0.2])
CPU = {"device": "cpu"}


@pytest.fixture(scope="module")
def independent():
    return train_velocity((32, 32), NORMAL, GAUSSIAN, steps=1200, **CPU)


@pytest.fixture(scope="module")
def optimal():
    return train_velocity((32, 32), NORMAL, GAUSSIAN, coupling="optimal", steps=400, **CPU)


@pytest.fixture(scope="module")
def bent():
    """Of independent pairs, to two clusters."""
    return train_velocity((32, 32), NORMAL, CLUSTERS, steps=1200, **CPU)


def lengths(flow, samples=500, seed=5):
    """E∫|u|² ds, E ℓ² and E|x_1 − x_0|² of the same particles, on 41 points of each path."""
    x = flow.source.sample(samples, seed)
    steps = np.diff(flow.trajectory(x, np.linspace(0, 1, 41)), axis=0)
    pieces = np.linalg.norm(steps, axis=2)
    return (
        float(40 * (pieces**2).sum(0).mean()),
        float((pieces.sum(0) ** 2).mean()),
        float((steps.sum(0) ** 2).sum(1).mean()),
    )


def relative_error(flow, s, other):
    """Of v at s against u at another time, over u's square."""
    x = (1 - s) * NORMAL.sample(4000, 1) + s * GAUSSIAN.sample(4000, 2)
    known = gaussian_velocity(x, other, MEAN, COVARIANCE)
    return float(((flow.velocity(s, x) - known) ** 2).sum() / (known**2).sum())


def test_the_learned_velocity_is_the_closed_form(independent):
    """A thousand numbers are fitted by Adam to an average of some 10 % of 1200 · 256 pairs, whose noise is a third of |u|²:
    1000/31,000/3 = 1 %; another time's velocity is off by more than that."""
    assert max(relative_error(independent, s, s) for s in (0.0, 0.25, 0.5, 0.75, 1.0)) < 0.01
    assert relative_error(independent, 0.25, 0.55) > 0.03


def test_the_best_linear_guess_is_the_velocity_of_uncorrelated_gaussians():
    """Before a step is taken, from pairs whose moments are exact; a path is thought to keep 1e-4 of both ends' variance."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(1000, 4))
    white = np.linalg.qr(draws - draws.mean(0))[0] * np.sqrt(1000)
    start, spread = white[:, :2], np.array([2.0, 0.5])
    network = VelocityNetwork(2, hidden=())
    network.standardise(torch.from_numpy(start), torch.from_numpy(MEAN + spread * white[:, 2:]))
    x = rng.normal(size=(50, 2))
    for s in (0.0, 0.3, 1.0):
        found = LearnedVelocity(network.double()).velocity(s, x)
        np.testing.assert_allclose(found, gaussian_velocity(x, s, MEAN, np.diag(spread**2)), atol=2e-3)
    # x_1 = 3x_0 + 1, a coupling that leaves no error: v = (2x + 1)/(1 + 2s)
    network.standardise(torch.from_numpy(start), torch.from_numpy(3 * start + 1))
    for s in (0.0, 0.3, 1.0):
        found = LearnedVelocity(network).velocity(s, x)
        np.testing.assert_allclose(found, (2 * x + 1) / (1 + 2 * s), atol=0.01)


def test_independent_pairs_arrive_at_the_target(independent, bent):
    """Moments of 4000 points within four standard errors and 2 % of what the velocity still gets wrong; clusters in their
    proportions."""
    y = independent(NORMAL.sample(4000, 3))
    slack = 0.02 * np.sqrt(np.diag(COVARIANCE))
    assert (np.abs(y.mean(0) - MEAN) < 4 * np.sqrt(np.diag(COVARIANCE) / 4000) + slack).all()
    np.testing.assert_allclose(np.cov(y.T), COVARIANCE, atol=2.0 * (4 * np.sqrt(2 / 4000) + 0.02))
    y = bent(NORMAL.sample(4000, 3))
    assert float((y[:, 0] < 0).mean()) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 4000) + 0.01)
    near, far = y[y[:, 0] > 0], y[y[:, 0] < 0]
    np.testing.assert_allclose(near.mean(0), [2.0, 0.5], atol=0.1)
    np.testing.assert_allclose(far.mean(0), [-2.0, 0.0], atol=0.1)
    between = fp.wasserstein(CLUSTERS.sample(500, 1), CLUSTERS.sample(500, 2))
    assert fp.wasserstein(y[:500], CLUSTERS.sample(500, 2)) < 2 * between


def test_the_energy_is_what_the_pairs_cost_less_the_loss(independent):
    """E∫|u|² = E|x_1 − x_0|² − ∫E|u − (x_1 − x_0)|² for the exact velocity (§E2); 8192 pairs, 500 particles."""
    history = independent.history
    known = gaussian_energy(MEAN, COVARIANCE)
    cost = float(MEAN @ MEAN + 2 + np.trace(COVARIANCE))
    assert history.attrs["pair_cost"] == pytest.approx(cost, rel=4 * np.sqrt(2 / 8192))
    assert history.attrs["pair_cost"] - independent.held_out_loss == pytest.approx(known, rel=0.05)
    assert lengths(independent, 2000)[0] == pytest.approx(known, rel=0.06)


@pytest.mark.slow
def test_optimal_pairs_are_nearer_and_their_flow_straighter(independent, optimal):
    """The closed form of W_2²; a batch of 256 in two dimensions wastes less than a tenth of what independent pairs do."""
    least, root = gaussian_distance(MEAN, COVARIANCE)
    free, paired = (flow.history.attrs["pair_cost"] for flow in (independent, optimal))
    assert least < paired < least + 0.1 * (free - least)
    (energy, length, cost), (straight_energy, straight_length, straight_cost) = map(lengths, (independent, optimal))
    assert straight_energy - straight_cost < 0.2 * (energy - cost)
    assert straight_length - straight_cost < 0.2 * (length - cost)
    assert abs(straight_energy - least) < abs(energy - least)
    x = NORMAL.sample(500, 6)
    best = MEAN + x @ root
    assert ((optimal(x) - best) ** 2).sum() < 0.02 * ((best - x) ** 2).sum()


@pytest.mark.slow
def test_rectification_lowers_bending_and_keeps_the_ends(bent):
    straight = rectify(bent, samples=3000, steps=500, **CPU)
    (energy, length, cost), (new_energy, new_length, new_cost) = map(lengths, (bent, straight))
    assert new_length - new_cost < 0.2 * (length - cost)
    assert new_energy < energy
    # the pairs were the flow's own, and what they couple costs no more afterwards
    assert straight.history.attrs["pair_cost"] == pytest.approx(cost, rel=0.1)
    assert new_cost < 1.02 * cost
    assert straight.source is bent.source
    y, z = bent(NORMAL.sample(500, 5)), CLUSTERS.sample(500, 2)
    assert fp.wasserstein(straight(NORMAL.sample(500, 5)), z) < fp.wasserstein(y, z) + 0.1
    with pytest.raises(InputError, match="flow: found Normal, expected a flow"):
        rectify(NORMAL)


def test_any_flow_is_rectified():
    """One in closed form: x ↦ x√(1 − 2t), which is straight already, so that its pairs are its own chords."""
    flow = fp.denoising_flow(NORMAL, 0.375, np.inf)
    straight = rectify(flow, (), samples=2000, steps=100, **CPU)
    x = NORMAL.sample(20, 1)
    np.testing.assert_allclose(straight(x), x / 2, atol=0.01)
    with pytest.raises(InputError, match="network: found None, expected widths of hidden layers"):
        rectify(flow)
    with pytest.raises(InputError, match="source: found None"):
        rectify(LearnedVelocity(VelocityNetwork(2)), (), steps=2)
    with pytest.raises(InputError, match="samples: found 1"):
        rectify(flow, (), samples=1)


def test_given_pairs_stay_together():
    """A quarter turn and twice the length: no path crosses another, and no other coupling turns anything."""
    x = NORMAL.sample(1000, 0)
    ends = 2 * np.column_stack([-x[:, 1], x[:, 0]])
    flow = train_velocity((32,), x, ends, coupling="paired", steps=600, **CPU)
    assert flow.history.attrs["pair_cost"] == pytest.approx(10, rel=4 * np.sqrt(1 / 100))
    assert ((flow(x) - ends) ** 2).sum() < 0.01 * (ends**2).sum()
    assert flow.held_out_loss < 0.01 * flow.history.attrs["pair_cost"]


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_assignment_against_all_permutations(dimension):
    rng = np.random.default_rng(dimension)
    x, y = rng.normal(size=(2, 6, dimension))
    places = assignment(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    assert sorted(places) == list(range(6))
    assert ((x - y[places]) ** 2).sum() == pytest.approx(best_assignment(x, y), rel=1e-12)


def test_starts_and_ends_come_of_streams_of_their_own():
    """Both from one density by one seed, and yet independent: correlations of 256 · 8 pairs within four standard errors."""
    pairs = coupled(NORMAL, NORMAL, "independent", Plan(10, 256, 1e-2, None, 0.1, 0, "cpu"))
    batches = [pairs.batch() for _ in range(8)]
    for start, end in ([torch.cat(part) for part in zip(*batches, strict=True)], pairs.held_out):
        both = np.corrcoef(torch.cat([start, end], 1).T.numpy())[:2, 2:]
        assert np.abs(both).max() < 4 / np.sqrt(len(start))


def test_few_held_out_points_meet_more_than_one_partner():
    points = CLUSTERS.sample(40, 0)
    pairs = coupled(NORMAL.sample(40, 1), points, "independent", Plan(10, 16, 1e-2, None, 0.1, 0, "cpu"))
    start, end = pairs.held_out
    assert len({tuple(row) for row in torch.cat([start, end], 1).tolist()}) == 16


def test_a_flow_like_any_other(independent):
    x = NORMAL.sample(20, 8)
    y = independent(x)
    np.testing.assert_allclose(independent.inverse(y), x, atol=1e-4)
    np.testing.assert_allclose(independent.log_prob(y), NORMAL.log_prob(x) - independent.log_det_jacobian(x), atol=1e-4)
    np.testing.assert_allclose(independent.log_prob(y), GAUSSIAN.log_prob(y), atol=0.3)
    assert independent.trajectory(x, [0.0, 1.0]).shape == (2, 20, 2)
    assert np.isfinite(independent.profile(samples=50, times=[0.0, 1.0]).entropy).all()
    assert (independent.time, independent.precision) == (1.0, torch.float64)
    first = independent.velocity(0.3, x)
    np.testing.assert_array_equal(copy.deepcopy(independent).velocity(0.3, x), first)
    tensor = torch.from_numpy(x).float().reshape(4, 5, 2)
    assert independent(tensor).shape == tensor.shape and independent(tensor).dtype == torch.float32


def test_saved_loaded_and_seeded(tmp_path):
    points = CLUSTERS.sample(60, 0)
    state = torch.random.get_rng_state()
    for coupling in ("independent", "optimal"):
        one, same, other = (
            train_velocity((8,), NORMAL, points, coupling=coupling, steps=20, seed=k, **CPU) for k in (1, 1, 2)
        )
        np.testing.assert_array_equal(one.velocity(0.3, points), same.velocity(0.3, points))
        assert not np.array_equal(one.velocity(0.3, points), other.velocity(0.3, points))
        assert one.held_out_loss == same.held_out_loss
    assert torch.equal(torch.random.get_rng_state(), state)
    again = load_velocity(one.save(tmp_path / "flow"), source=NORMAL)
    np.testing.assert_array_equal(again(points), one(points))
    assert again.held_out_loss == one.held_out_loss and again.shape == (2,)
    assert again.history.attrs["pair_cost"] == one.history.attrs["pair_cost"]
    with pytest.raises(InputError, match="a velocity, expected a score that flowplane saved"):
        fp.transport.load_score(tmp_path / "flow.safetensors")


def test_training_goes_on_from_a_trained_flow(independent):
    again = train_velocity(independent, NORMAL, GAUSSIAN, steps=60, learning_rate=1e-3, **CPU)
    assert float(again.history.held_out_loss[0]) < 1.02 * independent.held_out_loss
    assert next(independent.network.parameters()).dtype == torch.float64


class Picture(nn.Module):
    """Convolutions that take images and times, and say what they were given."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3, padding=1, dtype=dtype)
        self.seen = set()

    def forward(self, x, s):
        self.seen.add((tuple(x.shape[1:]), x.dtype, s.dtype, s.shape == x.shape[:1]))
        times = s.reshape(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        return self.layer(torch.cat([x, times], 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_stay_images_in_the_networks_own_dtype(dtype, tmp_path):
    images = np.random.default_rng(0).normal(size=(30, 2, 3, 4))
    network, source = Picture(dtype), fp.Normal(np.zeros(24), 1.0)
    flow = train_velocity(network, source, images, coupling="optimal", batch_size=16, steps=5, **CPU)
    assert not network.seen
    assert flow.network.seen == {((2, 3, 4), dtype, dtype, True)}
    assert (flow.shape, flow.dimension, flow.precision) == ((2, 3, 4), 24, dtype)
    assert not np.allclose(flow.network.layer.weight.detach(), network.layer.weight.detach())
    y = flow(source.sample(3, 0))
    assert y.shape == (3, 24) and y.dtype == np.float64
    moved = flow(images[:3])
    assert moved.shape == (3, 2, 3, 4)
    np.testing.assert_allclose(moved.reshape(3, 24), flow(images[:3].reshape(3, 24)))
    again = load_velocity(flow.save(tmp_path / "flow"), Picture())
    np.testing.assert_array_equal(again(source.sample(3, 0)), y)
    assert again.double().precision == torch.float64
    np.testing.assert_allclose(again(source.sample(3, 0)), y, atol=1e-4)
    straight = rectify(flow, samples=20, batch_size=8, steps=2, **CPU)
    assert straight.shape == (2, 3, 4)
    from_images = train_velocity(Picture(dtype), images, source, steps=2, **CPU)
    assert from_images.shape == (2, 3, 4) and from_images.source.sample(2, 0).shape == (2, 24)
    given = train_velocity(Picture(dtype), source, images.reshape(30, 24), shape=(2, 3, 4), steps=2, **CPU)
    assert given.shape == (2, 3, 4)


def test_a_coordinate_that_every_end_shares():
    """A constant pixel: its velocity is as steep as can be trained, and the flow ends within a hundredth of it."""
    ends = np.column_stack([CLUSTERS.sample(500, 0)[:, 0], np.full(500, 0.25), np.zeros(500)])
    source = fp.Empirical(np.column_stack([NORMAL.sample(500, 0), np.zeros(500)]))
    flow = train_velocity((16,), source, ends, steps=600, **CPU)
    y = flow(source.sample(200, 1))
    assert np.abs(y[:, 1] - 0.25).max() < 0.1 and np.abs(y[:, 1] - 0.25).mean() < 0.02
    np.testing.assert_allclose(y[:, 2], 0.0, atol=1e-3)


def test_what_training_a_velocity_refuses():
    points = np.random.default_rng(0).normal(size=(20, 2))

    def refused(match, network=(4,), source=NORMAL, target=points, **options):
        with pytest.raises(InputError, match=match):
            train_velocity(network, source, target, **({"steps": 3} | CPU | options))

    refused("coupling: found 'best', expected one of", coupling="best")
    refused(r"source: found .*, expected an array of points for coupling 'paired'", coupling="paired")
    refused("target: found 20 points, expected 19, one for each", source=points[:19], coupling="paired")
    refused(r"source: found shape \(20, 3\), expected points of shape \(n, 2\)", source=np.ones((20, 3)))
    refused("source: found .*, expected a density in 2 dimensions", source=fp.Normal(0.0, 1.0))
    refused("source: found .*, expected a density in 1 dimensions", target=fp.Normal(0.0, 1.0))
    refused(r"target: found shape \(20,\), expected points .*in one dimension: x\[:, None\]", target=points[:, 0])
    refused("target: found 1 value", target=np.where(np.arange(40).reshape(20, 2) == 3, np.nan, points))
    refused("source: found 1 value", source=np.where(np.arange(40).reshape(20, 2) == 3, np.inf, points))
    refused(r"target: found shape \(1, 2\), expected points of shape \(n, d\), two or more", target=points[:1])
    refused(r"source: found shape \(1, 2\), expected points of shape \(n, d\), two or more", source=points[:1])
    refused(r"target: found shape \(0, 2\)", target=points[:0])
    refused("target: found 'moons'|target: found an array of", target="moons")
    refused(
        r"target: found shape \(20, 2\), expected points of shape \(n, 3, 4\)",
        source=fp.Normal(np.zeros(12), 1.0),
        shape=(3, 4),
    )
    refused("shape: found 2.5, expected the shape of a point", shape=2.5)
    refused("network: found an answer of shape", network=Wrong())
    refused("network: found Linear: ", network=nn.Linear(2, 2))
    refused("network: found a module without parameters", network=Still())
    refused("network: found 'deep'", network="deep")
    refused("activation: found 'sine'", activation="sine")
    refused("learning_rate: found 1e\\+30, expected a smaller one", learning_rate=1e30)
    with pytest.raises(InputError, match=r"network: found function, expected a torch\.nn\.Module"):
        LearnedVelocity(lambda x, s: x)
    with pytest.raises(InputError, match="shape: found None, expected the shape of a point"):
        LearnedVelocity(Still())


class Wrong(nn.Module):
    """One number too many."""

    def forward(self, x, s):
        return torch.cat([x, s.unsqueeze(1)], 1)


class Still(nn.Module):
    """v = 0."""

    def forward(self, x, s):
        return torch.zeros_like(x)


@pytest.mark.gpu
def test_a_velocity_on_a_gpu():
    points = torch.from_numpy(GAUSSIAN.sample(2000, 0)).cuda()
    flow = train_velocity((32, 32), NORMAL, points, coupling="optimal", steps=200)
    assert next(flow.network.parameters()).is_cuda
    assert flow(points).is_cuda
    assert isinstance(flow(NORMAL.sample(3, 0)), np.ndarray)


class Normalised(nn.Module):
    """One row alone has no batch statistics."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))

    def forward(self, x, s):
        return self.layers(x)


def test_a_network_that_fails_in_training_is_refused_by_name():
    with pytest.raises(InputError, match=r"network: found Normalised: .* one that can be trained on batches of 1$"):
        train_velocity(Normalised(), NORMAL, NORMAL, batch_size=1, steps=3, **CPU)
    assert train_velocity((4,), NORMAL, NORMAL, batch_size=1, steps=3, **CPU).history.sizes["step"] == 3
