"""Densities against slow sums, differences and integrals; their samples, kinds of answer and errors."""

import math
import pickle

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import log_mixture, numerical_gradient
from scipy.special import i0e
from scipy.stats import norm

from flowplane import Empirical, GaussianMixture, Normal
from flowplane.errors import InputError
from flowplane.transport.densities import Density, rings, swiss_roll, two_moons
from flowplane.transport.estimate import Estimate


def random_covariance(rng, d, condition=10.0):
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return (axes * np.geomspace(0.5, 0.5 * condition, d)) @ axes.T


def made(kind, d, seed=0):
    """A density, and the weights, means and covariances of the Gaussians that it is the sum of."""
    rng = np.random.default_rng([seed, d])
    identity = np.eye(d)
    if kind.startswith("normal"):
        mean = rng.normal(size=d)
        given_too = 0.7 if kind == "normal, variance" else random_covariance(rng, d)
        return Normal(mean, given_too), [1.0], [mean], [given_too * identity if np.ndim(given_too) == 0 else given_too]
    if kind.startswith("mixture"):
        weights, means = rng.dirichlet(np.ones(4)), 2 * rng.normal(size=(4, d))
        given_too, covariances = {
            "mixture": lambda c: (c, c),
            "mixture, variances": lambda c: (np.array([0.3, 1.0, 2.0, 0.8]), [v * identity for v in (0.3, 1.0, 2.0, 0.8)]),
            "mixture, one variance": lambda c: (0.6, [0.6 * identity] * 4),
        }[kind](np.stack([random_covariance(rng, d) for _ in range(4)]))
        return GaussianMixture(weights, means, given_too), weights, means, covariances
    points = rng.normal(size=(30, d))
    bandwidth = 0.4 if kind == "empirical, variance" else random_covariance(rng, d)
    matrix = bandwidth * identity if np.ndim(bandwidth) == 0 else bandwidth
    return Empirical(points, bandwidth), [1 / 30] * 30, points, [matrix] * 30


KINDS = (
    "normal",
    "normal, variance",
    "mixture",
    "mixture, variances",
    "mixture, one variance",
    "empirical",
    "empirical, variance",
)
every_kind = pytest.mark.parametrize("kind", KINDS)
every_dimension = pytest.mark.parametrize("d", [1, 2, 10])


@every_dimension
@every_kind
def test_log_prob_and_score_against_the_oracle(kind, d):
    p, *parts = made(kind, d)
    x = 2 * np.random.default_rng(1).normal(size=(12, d))
    np.testing.assert_allclose(p.log_prob(x), log_mixture(x, *parts), rtol=1e-12, atol=1e-11)
    differences = numerical_gradient(lambda points: log_mixture(points, *parts), x)
    np.testing.assert_allclose(p.score(x), differences, rtol=1e-8, atol=1e-8)


@every_dimension
@every_kind
def test_far_away_nothing_underflows(kind, d):
    p, *parts = made(kind, d)
    x = np.full((1, d), 300.0)
    np.testing.assert_allclose(p.log_prob(x), log_mixture(x, *parts), rtol=1e-12)
    assert np.isfinite(p.score(x)).all()


@every_dimension
@every_kind
def test_moments_are_those_of_the_parts(kind, d):
    p, weights, means, covariances = made(kind, d)
    mean = sum(w * m for w, m in zip(weights, means, strict=True))
    second = sum(w * (c + np.outer(m, m)) for w, m, c in zip(weights, means, covariances, strict=True))
    np.testing.assert_allclose(p.mean, mean, atol=1e-13)
    np.testing.assert_allclose(p.covariance, second - np.outer(mean, mean), atol=1e-12)


@every_dimension
@every_kind
def test_smoothed_adds_the_covariance_to_every_part(kind, d):
    p, weights, means, covariances = made(kind, d)
    x = 2 * np.random.default_rng(1).normal(size=(6, d))
    matrix = random_covariance(np.random.default_rng(2), d, condition=4.0)
    for extra, added in ((0.3, 0.3 * np.eye(d)), (matrix, matrix)):
        wider = p.smoothed(extra)
        assert type(wider) is type(p)
        expected = log_mixture(x, weights, means, [c + added for c in covariances])
        np.testing.assert_allclose(wider.log_prob(x), expected, rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(wider.covariance - p.covariance, added, atol=1e-12)
    np.testing.assert_allclose(p.log_prob(x), log_mixture(x, weights, means, covariances), rtol=1e-12, atol=1e-11)


@every_kind
def test_smoothed_is_the_integral_of_the_convolution(kind):
    p = made(kind, 1)[0]
    y = np.linspace(-25, 25, 5001)
    for x in (-2.0, 0.1, 3.0):
        integral = np.sum(np.exp(p.log_prob(y[:, None])) * norm.pdf(x - y, scale=math.sqrt(0.2))) * (y[1] - y[0])
        assert p.smoothed(0.2).log_prob([[x]])[0] == pytest.approx(math.log(integral), abs=1e-12)


def test_smoothing_twice_is_smoothing_by_the_sum():
    x = np.random.default_rng(1).normal(size=(5, 2))
    for kind in KINDS:
        p = made(kind, 2)[0]
        np.testing.assert_allclose(p.smoothed(0.2).smoothed(0.5).log_prob(x), p.smoothed(0.7).log_prob(x), rtol=1e-12)
    atoms = Empirical(x)
    np.testing.assert_allclose(atoms.smoothed(0.5).log_prob(x), Empirical(x, 0.5).log_prob(x), rtol=1e-12)


@every_dimension
@pytest.mark.parametrize("kind", [*KINDS, "atoms"])
def test_sample_moments(kind, d):
    p = Empirical(made("empirical", d)[0].points) if kind == "atoms" else made(kind, d)[0]
    n = 20_000
    x = p.sample(n, seed=4)
    assert x.shape == (n, d)
    apart = x - p.mean
    assert (abs(apart.mean(0)) <= 5 * np.sqrt(np.diag(p.covariance) / n)).all()
    products = apart[:, :, None] * apart[:, None, :]
    assert (abs(products.mean(0) - p.covariance) <= 5 * products.std(0) / math.sqrt(n)).all()


@every_kind
def test_samples_follow_the_distribution(kind):
    """Kolmogorov–Smirnov: P(√n D > 2.2) is 1e-4."""
    p, weights, means, covariances = made(kind, 1)
    x = np.sort(p.sample(20_000, seed=1)[:, 0])
    cdf = sum(w * norm.cdf(x, m[0], math.sqrt(c[0, 0])) for w, m, c in zip(weights, means, covariances, strict=True))
    ranks = np.arange(len(x) + 1) / len(x)
    assert max(abs(cdf - ranks[1:]).max(), abs(cdf - ranks[:-1]).max()) * math.sqrt(len(x)) < 2.2


def test_atoms_are_drawn_from_the_points():
    points = np.arange(5.0)[:, None]
    counts = np.bincount(Empirical(points).sample(5000, seed=3)[:, 0].astype(int), minlength=5)
    assert counts.sum() == 5000 and len(counts) == 5
    assert (abs(counts - 1000) < 5 * math.sqrt(5000 * 0.2 * 0.8)).all()


@pytest.mark.parametrize("kind", [*KINDS, "atoms"])
def test_the_same_seed_draws_the_same_points(kind):
    p, q = (Empirical(made("empirical", 2)[0].points) if kind == "atoms" else made(kind, 2)[0] for _ in range(2))
    first = p.sample(50, seed=7)
    assert np.array_equal(first, p.sample(50, seed=7))
    assert np.array_equal(first, q.sample(50, seed=7))
    assert not np.array_equal(first, p.sample(50, seed=8))


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_samples_share_a_point(kind):
    """Of another size, of another seed, of no seed, of a generator that goes on."""
    p, rng = made(kind, 2)[0], np.random.default_rng(0)
    samples = [p.sample(50, seed=0), p.sample(200, seed=0), p.sample(50, seed=1), p.sample(50), p.sample(50)]
    samples += [p.sample(50, seed=rng), p.sample(50, seed=rng)]
    assert len(np.unique(np.concatenate(samples), axis=0)) == sum(map(len, samples))


def test_a_generator_is_a_seed():
    p = GaussianMixture([0.5, 0.5], TWO, 1.0)
    for make in (np.random.default_rng, torch.Generator().manual_seed):
        np.testing.assert_array_equal(p.sample(5, seed=make(3)), p.sample(5, seed=make(3)))
        assert p.entropy(seed=make(3)) == p.entropy(seed=make(3)) != p.entropy(seed=make(4))


# --- entropy


@every_dimension
def test_entropy_of_a_normal_in_closed_form(d):
    covariance = random_covariance(np.random.default_rng(3), d)
    found = Normal(np.ones(d), covariance).entropy()
    expected = 0.5 * math.log(np.linalg.det(2 * math.pi * math.e * covariance))
    assert found == pytest.approx(expected, abs=1e-12)
    assert (found.standard_error, found.method, found.units) == (0.0, "closed form", "nats")
    assert GaussianMixture([1.0], np.ones((1, d)), covariance[None]).entropy() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["mixture", "mixture, one variance", "empirical", "empirical, variance"])
def test_entropy_against_the_integral(kind):
    p = made(kind, 1)[0]
    x = np.linspace(-30, 30, 6001)
    log = p.log_prob(x[:, None])
    step = x[1] - x[0]
    exact = -np.sum(np.exp(log) * log) * step
    deviation = math.sqrt(np.sum(np.exp(log) * (log + exact) ** 2) * step)
    for samples, seed in ((2000, 0), (20_000, 1)):
        found = p.entropy(samples, seed)
        assert isinstance(found, Estimate)
        assert found.standard_error == pytest.approx(deviation / math.sqrt(samples), rel=0.15)
        assert abs(found - exact) < 4 * found.standard_error
        assert str(samples) in found.method
    assert p.entropy(100, seed=3) == p.entropy(100, seed=3) != p.entropy(100, seed=4)


def test_entropy_of_parts_far_apart_adds_the_entropy_of_the_weights():
    weights = np.array([0.2, 0.3, 0.5])
    p = GaussianMixture(weights, [[-1e3], [0.0], [1e3]], [1.0, 4.0, 0.25])
    parts = 0.5 * np.log(2 * math.pi * math.e * np.array([1.0, 4.0, 0.25]))
    found = p.entropy()
    assert abs(found - weights @ (parts - np.log(weights))) < 4 * found.standard_error


def test_an_estimate_is_a_float_that_pickles():
    found = Estimate(1.5, 0.25, "Monte Carlo, 10 points", "nats")
    again = pickle.loads(pickle.dumps(found))
    for estimate in (found, again):
        assert isinstance(estimate, float) and estimate == 1.5
        assert (estimate.standard_error, estimate.method, estimate.units) == (0.25, "Monte Carlo, 10 points", "nats")
        assert repr(estimate) == "1.5 ± 0.25 nats (Monte Carlo, 10 points)"


def test_densities_pickle():
    x = np.random.default_rng(0).normal(size=(4, 2))
    for kind in KINDS:
        p = made(kind, 2)[0]
        assert np.array_equal(pickle.loads(pickle.dumps(p)).log_prob(x), p.log_prob(x))


# --- curves


def ring(radius, noise, r):
    """The density at distance r of a circle's uniform distribution with noise: a Bessel function (Rice)."""
    return i0e(r * radius / noise**2) * np.exp(-((r - radius) ** 2) / (2 * noise**2)) / (2 * math.pi * noise**2)


def around(radius, count=397):
    angle = np.linspace(0, 2 * math.pi, count)
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1)


@pytest.mark.parametrize("noise", [0.03, 0.1, 0.4])
def test_rings_are_round(noise):
    p = rings(noise=noise, radii=(1.0, 2.5))
    for r in (1.0, 2.5, 1.0 - noise, 2.5 + 2 * noise):
        log = p.log_prob(around(r))
        assert np.ptp(log) < 1e-6
        assert log[0] == pytest.approx(math.log(ring(1.0, noise, r) / 2 + ring(2.5, noise, r) / 2), abs=1e-6)


@pytest.mark.parametrize("noise", [1.0, 2.0])
def test_rings_narrower_than_the_noise_are_round(noise):
    assert np.ptp(rings(noise=noise, radii=(1.0,)).log_prob(around(1.0))) < 1e-6


def test_two_moons_are_even_along_their_interior():
    noise = 0.05
    p = two_moons(noise=noise)
    angle = np.linspace(8 * noise, math.pi - 8 * noise, 997)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    log = np.concatenate([p.log_prob(upper), p.log_prob(lower)])
    assert np.ptp(log) < 1e-6
    # half the probability, on half a circle
    assert log[0] == pytest.approx(math.log(ring(1.0, noise, 1.0)), abs=1e-6)


def spiral(turns, count):
    """The spiral's points, and the share of its length that belongs to each (trapezoids)."""
    angle = np.linspace(0, 2 * math.pi * turns, count)
    radius = 0.5 + angle / (2 * math.pi)
    shares = np.hypot(radius, 1 / (2 * math.pi))
    shares[[0, -1]] /= 2
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), shares / shares.sum()


@pytest.mark.parametrize(("noise", "turns"), [(0.05, 1.5), (0.1, 3.0)])
def test_swiss_roll_is_even_along_its_interior(noise, turns):
    curve, shares = spiral(turns, 6001)
    interior = curve[(shares.cumsum() > 0.2) & (shares.cumsum() < 0.8)][::29]
    assert len(interior) > 100
    across = np.random.default_rng(0).normal(size=interior.shape) * noise
    for x in (interior, interior + across):
        expected = np.array([math.log(shares @ np.exp(-np.square(curve - q).sum(1) / (2 * noise**2))) for q in x])
        np.testing.assert_allclose(
            swiss_roll(noise, turns).log_prob(x), expected - math.log(2 * math.pi * noise**2), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("curve", [two_moons, rings, swiss_roll])
@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_curves_normalise_on_a_grid(curve, noise):
    step = 0.8 * noise
    line = np.arange(-3.0 - 8 * noise, 3.0 + 8 * noise, step)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1)
    mass = np.exp(curve(noise=noise).log_prob(grid)) * step**2
    assert mass.shape == grid.shape[:2]
    assert mass.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(np.einsum("ij,ijk->k", mass, grid), curve(noise=noise).mean, atol=1e-6)


def test_means_and_symmetry_of_the_curves():
    noise = 0.1
    x = np.random.default_rng(0).uniform(-2, 3, (200, 2))
    moons = two_moons(noise=noise)
    np.testing.assert_allclose(moons.mean, [0.5, 0.25], atol=1e-12)
    np.testing.assert_allclose(moons.log_prob([1.0, 0.5] - x), moons.log_prob(x), rtol=1e-10)
    circles = rings(noise=noise, radii=(1.0, 2.0, 2.5))
    np.testing.assert_allclose(circles.mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(circles.covariance, ((1 + 4 + 6.25) / 6 + noise**2) * np.eye(2), atol=1e-12)
    np.testing.assert_allclose(circles.log_prob(x * [1, -1]), circles.log_prob(x), rtol=1e-10)
    roll = swiss_roll(noise=noise)
    nodes, shares = spiral(1.5, 20_001)
    mean = shares @ nodes
    np.testing.assert_allclose(roll.mean, mean, atol=1e-3)
    np.testing.assert_allclose(
        roll.covariance, (nodes - mean).T @ ((nodes - mean) * shares[:, None]) + 0.01 * np.eye(2), atol=2e-3
    )


def test_curves_score_and_flow_like_any_mixture():
    x = np.random.default_rng(0).uniform(-1.5, 1.5, (20, 2))
    for p in (two_moons(), rings(), swiss_roll()):
        assert isinstance(p, GaussianMixture)
        np.testing.assert_allclose(p.score(x), numerical_gradient(p.log_prob, x, step=3e-4), rtol=1e-6, atol=1e-6)
        assert p.smoothing.least_variance == pytest.approx(0.01)


# --- fit


def test_fit_recovers():
    weights, means = np.array([0.2, 0.8]), np.array([[-4.0, 1.0], [4.0, 0.0]])
    covariances = np.array([[[1.0, 0.6], [0.6, 1.0]], [[0.5, 0.0], [0.0, 2.0]]])
    n = 5000
    fitted = GaussianMixture.fit(GaussianMixture(weights, means, covariances).sample(n, seed=1), components=2, seed=0)
    order = np.argsort(fitted.weights)
    assert (abs(fitted.weights[order] - weights) < 5 * np.sqrt(weights * (1 - weights) / n)).all()
    for k, index in enumerate(order):
        inside = n * weights[k]
        variances = np.diag(covariances[k])
        assert (abs(fitted.means[index] - means[k]) < 5 * np.sqrt(variances / inside)).all()
        error = np.sqrt((np.outer(variances, variances) + covariances[k] ** 2) / inside)
        assert (abs(fitted.covariances[index] - covariances[k]) < 5 * error).all()


def test_fit_of_one_component_is_the_sample_moments():
    points = np.random.default_rng(0).normal(size=(300, 3)) @ np.diag([1.0, 2.0, 3.0])
    fitted = GaussianMixture.fit(points, components=1)
    np.testing.assert_allclose(fitted.mean, points.mean(0), atol=1e-12)
    np.testing.assert_allclose(fitted.covariance, np.cov(points.T, bias=True), atol=1e-5)


def test_fit_of_tensors_is_of_tensors():
    for dtype in (torch.float32, torch.float64):
        points = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=dtype)
        fitted = GaussianMixture.fit(points, components=2)
        assert {fitted.weights.dtype, fitted.means.dtype, fitted.covariances.dtype, fitted.sample(2).dtype} == {dtype}


def test_fit_is_equivariant_under_scaling():
    points = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.04).sample(1000, seed=0)
    large, small = (GaussianMixture.fit(points * scale, components=2) for scale in (1.0, 1e-3))
    np.testing.assert_allclose(small.covariance * 1e6, large.covariance, rtol=1e-3)


def test_fit_of_float32_arrays_is_float32():
    points = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    assert GaussianMixture.fit(points, components=1).sample(2).dtype == np.float32


# --- equivariance


SEEDS = st.integers(0, 2**31)


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 5), st.floats(0, 4), st.sampled_from(["normal", "mixture", "empirical"]))
def test_rotation_and_translation(seed, d, decades, kind):
    rng = np.random.default_rng(seed)
    rotation, shift = np.linalg.qr(rng.normal(size=(d, d)))[0], 3 * rng.normal(size=d)
    count = {"normal": 1, "mixture": 3, "empirical": 5}[kind]
    means = rng.normal(size=(count, d))
    covariances = np.stack([random_covariance(rng, d, 10**decades) for _ in range(count)])
    moved, turned = means @ rotation.T + shift, rotation @ covariances @ rotation.T
    turned = (turned + turned.transpose(0, 2, 1)) / 2
    if kind == "normal":
        p, q = Normal(means[0], covariances[0]), Normal(moved[0], turned[0])
    elif kind == "mixture":
        weights = rng.dirichlet(np.ones(count))
        p, q = GaussianMixture(weights, means, covariances), GaussianMixture(weights, moved, turned)
    else:
        p, q = Empirical(means, covariances[0]), Empirical(moved, turned[0])
    x = 2 * rng.normal(size=(7, d))
    there = x @ rotation.T + shift
    np.testing.assert_allclose(q.log_prob(there), p.log_prob(x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(q.score(there), p.score(x) @ rotation.T, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(q.mean, rotation @ p.mean + shift, atol=1e-12)


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 4), st.floats(-6, 6))
def test_scaling_all_lengths(seed, d, exponent):
    rng = np.random.default_rng(seed)
    scale = 10**exponent
    means, covariances = rng.normal(size=(3, d)), np.stack([random_covariance(rng, d) for _ in range(3)])
    x = rng.normal(size=(5, d))
    p = GaussianMixture([0.2, 0.3, 0.5], means, covariances)
    q = GaussianMixture([0.2, 0.3, 0.5], means * scale, covariances * scale**2)
    np.testing.assert_allclose(q.log_prob(x * scale) + d * math.log(scale), p.log_prob(x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(q.score(x * scale) * scale, p.score(x), rtol=1e-8, atol=1e-9)


def test_components_without_weight_and_in_another_order_change_nothing():
    p, weights, means, covariances = made("mixture", 2)
    x = np.random.default_rng(0).normal(size=(6, 2))
    order = [2, 0, 3, 1]
    again = GaussianMixture(weights[order], means[order], covariances[order])
    np.testing.assert_allclose(again.log_prob(x), p.log_prob(x), rtol=1e-13)
    more = GaussianMixture([*weights, 0.0], [*means, [9.0, 9.0]], [*covariances, np.eye(2)])
    np.testing.assert_allclose(more.log_prob(x), p.log_prob(x), rtol=1e-13)
    assert np.array_equal(more.sample(20, seed=2), p.sample(20, seed=2))


# --- kinds of array


FORMS = {
    "lists": (lambda a: a.tolist(), np.ndarray, np.float64),
    "numpy float32": (lambda a: a.astype(np.float32), np.ndarray, np.float32),
    "numpy float64": (lambda a: a, np.ndarray, np.float64),
    "numpy integers": (lambda a: np.round(a).astype(np.int32), np.ndarray, np.float64),
    "torch float32": (lambda a: torch.tensor(a, dtype=torch.float32), torch.Tensor, torch.float32),
    "torch float64": (torch.from_numpy, torch.Tensor, torch.float64),
    "read only": (lambda a: np.broadcast_to(a, a.shape), np.ndarray, np.float64),
    "reversed": (lambda a: a[..., ::-1].copy()[..., ::-1], np.ndarray, np.float64),
}
every_form = pytest.mark.parametrize("form", FORMS)


@every_form
@pytest.mark.parametrize("shape", [(2,), (5, 2), (2, 1, 3, 2)])
def test_functions_of_x_answer_in_the_kind_and_dtype_of_x(form, shape):
    convert, kind, dtype = FORMS[form]
    x = convert(np.random.default_rng(0).normal(size=shape))
    plain = np.asarray(x, dtype=np.float64)
    for name in KINDS:
        p, *parts = made(name, 2)
        log, score = p.log_prob(x), p.score(x)
        assert isinstance(log, kind) and isinstance(score, kind)
        assert log.dtype == score.dtype == dtype
        assert (tuple(log.shape), tuple(score.shape)) == (shape[:-1], shape)
        tolerance = 1e-5 if "float32" in form else 1e-11
        expected = log_mixture(plain.reshape(-1, 2), *parts).reshape(shape[:-1])
        np.testing.assert_allclose(np.asarray(log), expected, rtol=tolerance)
        np.testing.assert_allclose(np.asarray(score), p.score(plain), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dataarrays_keep_dims_and_coords(dtype):
    values = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(dtype)
    coords = {"epoch": [1, 2, 5], "label": ("sample", list("abcd")), "unit": ["u", "v"], "layer": "layer3"}
    x = xr.DataArray(values, dims=("epoch", "sample", "unit"), coords=coords)
    for name in KINDS:
        p = made(name, 2)[0]
        log, score = p.log_prob(x), p.score(x)
        assert log.dtype == score.dtype == dtype
        assert (log.dims, score.dims) == (("epoch", "sample"), ("epoch", "sample", "unit"))
        assert set(log.coords) == {"epoch", "label", "layer"} and set(score.coords) == set(coords)
        for coord in log.coords:
            assert log[coord].identical(x[coord].drop_vars("unit", errors="ignore"))
        assert np.array_equal(log.values, p.log_prob(values)) and np.array_equal(score.values, p.score(values))
        # selected as x is selected
        assert float(log.sel(epoch=5)[1]) == pytest.approx(float(p.log_prob(values[2, 1])), rel=1e-6)


@every_form
def test_samples_and_properties_come_in_the_kind_of_the_parameters(form):
    convert, kind, dtype = FORMS[form]
    mean, means = convert(np.array([0.3, -1.2])), convert(np.array([[0.3, -1.2], [2.0, 1.0], [0.0, 0.0]]))
    normal, mixture, points = Normal(mean, 1.0), GaussianMixture([0.2, 0.3, 0.5], means, 0.5), Empirical(means, 0.5)
    for p in (normal, mixture, points, Empirical(means)):
        assert isinstance(p, Density)
        answers = [p.sample(5, seed=0), p.mean, p.covariance]
        if p is mixture or p is normal:
            answers += [p.weights, p.means, p.covariances, p.smoothed(1.0).sample(5, seed=0)]
        if isinstance(p, Empirical):
            answers += [p.points] + ([p.kernel_covariance] if p.has_density else [])
        assert all(isinstance(answer, kind) and answer.dtype == dtype for answer in answers), p
        shapes = [tuple(answer.shape) for answer in answers[:3]]
        assert shapes == [(5, 2), (2,), (2, 2)]


def test_a_tensor_among_the_parameters_decides():
    assert isinstance(Normal([0.0], torch.tensor(2.0)).sample(1), torch.Tensor)
    assert isinstance(GaussianMixture(torch.tensor([0.5, 0.5]), [[0.0], [1.0]], 1.0).sample(1), torch.Tensor)
    assert GaussianMixture([0.5, 0.5], [[0.0], [1.0]], torch.ones(2, dtype=torch.float64)).sample(1).dtype == torch.float64


def test_one_dimension():
    p = Normal(1.0, 4.0)
    assert (p.dimension, p.mean.shape, p.covariance.shape, p.sample(3).shape) == (1, (1,), (1, 1), (3, 1))
    x = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(p.log_prob(x[:, None]), norm.logpdf(x, 1, 2), rtol=1e-13)


def test_float32_points_keep_their_accuracy_far_from_the_origin():
    rng = np.random.default_rng(0)
    points = (100 + rng.normal(size=(200, 2))).astype(np.float32)
    x = points[:20] + np.float32(0.05)
    single, double = Empirical(points, 0.05), Empirical(points.astype(float), 0.05)
    np.testing.assert_allclose(single.log_prob(x), double.log_prob(x.astype(float)), atol=2e-4)
    np.testing.assert_allclose(single.score(x), double.score(x.astype(float)), atol=2e-4)


def test_parameters_are_copied():
    for make in (
        lambda mean: Normal(mean[0], 1.0),
        lambda means: GaussianMixture([0.5, 0.5], means, 1.0),
        lambda x: Empirical(x, 1.0),
    ):
        given_array = np.array([[0.0, 0.0], [1.0, 1.0]])
        p = make(given_array)
        mean, drawn = p.mean.copy(), p.sample(5, seed=0)
        given_array += 100.0
        assert np.array_equal(p.mean, mean) and np.array_equal(p.sample(5, seed=0), drawn), p


def test_properties_are_copies():
    p = GaussianMixture([0.5, 0.5], [[0.0], [1.0]], 1.0)
    p.means[:] = 7.0
    assert p.mean.tolist() == [0.5]


# --- errors


def refused(argument, text=""):
    return pytest.raises(InputError, match=rf"(?s)^{argument}(\[\d\])?: .*{text}")


NAN = math.nan
ASYMMETRIC, INDEFINITE = [[1.0, 0.5], [0.2, 1.0]], [[1.0, 2.0], [2.0, 1.0]]
TWO = [[0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("covariance", "text"),
    [
        (ASYMMETRIC, "not symmetric"),
        (INDEFINITE, "positive definite"),
        (-1.0, "positive definite"),
        (0.0, "positive definite"),
        ([[1.0, 1.0], [1.0, 1.0]], "positive definite"),
        (np.eye(3), r"\(3, 3\).*\(2, 2\)"),
        ([1.0, 2.0], r"\(2,\)"),
        (np.ones((1, 2, 2)), r"\(1, 2, 2\)"),
        (NAN, "NaN"),
        ([[1.0, 0.0], [0.0, NAN]], "NaN"),
        (math.inf, "infinite"),
        ("wide", "numbers"),
        (None, "numbers"),
        ([[1.0], [0.0, 1.0]], "equally long"),
    ],
)
def test_bad_covariances(covariance, text):
    with refused("covariance", text):
        Normal([0.0, 0.0], covariance)
    with refused("covariance", text):
        Normal([0.0, 0.0]).smoothed(covariance)
    with refused("covariance", text):
        Empirical(TWO).smoothed(covariance)
    if covariance is not None:
        with refused("kernel_covariance", text):
            Empirical(TWO, covariance)
    if covariance is ASYMMETRIC or covariance is INDEFINITE:
        with refused("covariances", text):
            GaussianMixture([0.5, 0.5], TWO, [np.eye(2), covariance])


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "argument", "text"),
    [
        ([1.5, -0.5], TWO, 1.0, "weights", "1 negative"),
        ([0.5, 0.4], TWO, 1.0, "weights", "sum of 0.9"),
        ([0.0, 0.0], TWO, 1.0, "weights", "sum"),
        ([0.5, NAN], TWO, 1.0, "weights", "NaN"),
        ([1.0], TWO, 1.0, "weights", r"\(1,\).*\(2,\)"),
        ([[0.5, 0.5]], TWO, 1.0, "weights", r"\(1, 2\)"),
        ("half", TWO, 1.0, "weights", "numbers"),
        ([0.5, 0.5], [0.0, 1.0], 1.0, "means", r"\(2,\).*\(components, d\)"),
        ([0.5, 0.5], [[0.0], [NAN]], 1.0, "means", "NaN"),
        ([], np.zeros((0, 2)), 1.0, "means", r"\(0, 2\)"),
        ([0.5, 0.5], [["a"], ["b"]], 1.0, "means", "numbers"),
        ([0.5, 0.5], TWO, [1.0, -1.0], "covariances", "positive definite"),
        ([0.5, 0.5], TWO, [1.0, NAN], "covariances", "NaN"),
        ([0.5, 0.5], TWO, [1.0, 1.0, 1.0], "covariances", r"\(3,\)"),
        ([0.5, 0.5], TWO, np.eye(2), "covariances", r"\(2, 2\).*\(2, 2, 2\)"),
        ([0.5, 0.5], TWO, np.ones((2, 3, 3)), "covariances", r"\(2, 3, 3\)"),
    ],
)
def test_bad_mixtures(weights, means, covariances, argument, text):
    with refused(argument, text):
        GaussianMixture(weights, means, covariances)


@pytest.mark.parametrize("mean", [[0.0, NAN], "zero", [], [[0.0, 0.0]], None, [0.0, math.inf]])
def test_bad_means(mean):
    with refused("mean"):
        Normal(mean, 1.0)


@pytest.mark.parametrize(
    ("points", "text"),
    [
        ([[0.0, 1.0]], "two or more"),
        ([0.0, 1.0], r"\(n, d\)"),
        (np.zeros((2, 2, 2)), r"\(2, 2, 2\)"),
        ([[0.0], [NAN]], "NaN"),
        (np.zeros((0, 2)), "at least one"),
        ("points", "numbers"),
        (np.zeros((2, 0)), r"\(2, 0\)"),
        (1.0, r"\(\)"),
    ],
)
def test_bad_points(points, text):
    with refused("points", text):
        Empirical(points)
    with refused("points"):
        GaussianMixture.fit(points, components=1)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.zeros((4, 3)), r"\(4, 3\).*\(…, 2\)"),
        (np.zeros(4), r"\(4,\)"),
        (0.0, r"\(\)"),
        ([[0.0, NAN]], "NaN"),
        ([[0.0, -math.inf]], "infinite"),
        (np.zeros((0, 2)), "at least one point"),
        ([], r"\(0,\)"),
        ("x", "numbers"),
        ([["a", "b"]], "numbers"),
        (None, "numbers"),
        ([[0.0, 1.0], [2.0]], "equally long"),
        (np.zeros((2, 2), complex), "numbers"),
        (torch.zeros(3, 1), r"\(3, 1\)"),
        (xr.DataArray(np.zeros((2, 5)), dims=("sample", "unit")), r"\(2, 5\)"),
    ],
)
def test_bad_x(x, text):
    for p in (Normal([0.0, 0.0]), GaussianMixture([0.5, 0.5], TWO, 1.0), Empirical(TWO, 1.0)):
        for function in (p.log_prob, p.score):
            with refused("x", text):
                function(x)


@pytest.mark.parametrize("x", [np.zeros(5), torch.zeros(5), [0.0, 1.0], 0.5])
def test_x_without_its_feature_axis_is_told_how(x):
    for p in (Normal(0.0, 1.0), Empirical([[0.0], [1.0]], 1.0)):
        with refused("x", r"x\[:, None\]"):
            p.log_prob(x)


@pytest.mark.parametrize("wrong", [2.0, "3", None, 0, -1, True, [4], NAN])
def test_counts_that_are_no_whole_numbers(wrong):
    p, mixture = Normal([0.0, 0.0]), GaussianMixture([0.5, 0.5], TWO, 1.0)
    with refused("n", "whole number"):
        p.sample(wrong)
    with refused("samples", "whole number"):
        mixture.entropy(samples=wrong)
    with refused("components", "whole number"):
        GaussianMixture.fit(TWO, components=wrong)
    if wrong != 0 or isinstance(wrong, bool):
        with refused("seed", "whole number"):
            mixture.entropy(seed=wrong)
        if wrong is not None:  # fresh points
            with refused("seed", "whole number"):
                p.sample(3, seed=wrong)
    assert p.sample(np.int64(3)).shape == (3, 2)


def test_too_few_points_for_the_components_and_for_an_error():
    with refused("points", "at least 3"):
        GaussianMixture.fit(TWO, components=3)
    with refused("samples", "2 or more"):
        GaussianMixture([0.5, 0.5], TWO, 1.0).entropy(samples=1)


@pytest.mark.parametrize("seed", [2**32, 2**64 - 1, 2**64])
def test_large_seeds_are_taken_or_refused_by_name(seed):
    calls = (
        lambda: Normal(0.0).sample(2, seed=seed),
        lambda: Empirical([[0.0], [1.0]], 1.0).sample(2, seed=seed),
        lambda: GaussianMixture.fit(np.arange(8.0)[:, None], components=1, seed=seed),
    )
    for call in calls:
        try:
            call()
        except InputError as error:
            assert error.argument == "seed"


@pytest.mark.parametrize("noise", [0, 0.0, -0.1, NAN, math.inf, "thin", None, [0.1], True])
@pytest.mark.parametrize("curve", [two_moons, rings, swiss_roll])
def test_bad_noise(curve, noise):
    with refused("noise", "positive"):
        curve(noise=noise)


def test_other_bad_curves():
    for curve in (two_moons, rings, swiss_roll):
        with refused("noise", "or more"):
            curve(noise=1e-7)
    for turns in (0, -1, NAN, "two", 1e6):
        with refused("turns"):
            swiss_roll(turns=turns)
    for radii in ([], [1.0, -1.0], [0.0], [NAN], "wide"):
        with refused("radii"):
            rings(radii=radii)


def test_atoms_have_no_density():
    atoms = Empirical(TWO)
    for call in (lambda: atoms.log_prob(TWO), lambda: atoms.score(TWO), atoms.entropy):
        with refused("kernel_covariance", "kernel_covariance=.*smoothed"):
            call()
    assert not atoms.has_density and atoms.kernel_covariance is None
    assert atoms.smoothed(0.5).has_density
    np.testing.assert_allclose(atoms.smoothed(0.5).kernel_covariance, 0.5 * np.eye(2))
