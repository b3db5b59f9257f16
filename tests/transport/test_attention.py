"""Smoothed points and mixtures: attention against the softmax, derivatives against autograd, Tweedie by integrals."""

import math

import numpy as np
import pytest
import torch
from oracles import log_mixture, posterior_moments
from torch.func import grad, hessian, jacfwd

from flowplane.transport.densities import Empirical, GaussianMixture
from flowplane.transport.densities import smoothing as module
from flowplane.transport.densities.attention import PointSmoothing
from flowplane.transport.densities.smoothing import MixtureSmoothing, Smoothing, in_chunks


def random_covariance(rng, d):
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return (axes * rng.uniform(0.2, 1.5, d)) @ axes.T


def points_of(d, *, weighted, kernel, seed=0, n=25):
    """Smoothed points, and the points, weights and kernel as arrays."""
    rng = np.random.default_rng([seed, d])
    points = rng.normal(size=(n, d)) + 3
    weights = rng.dirichlet(np.ones(n)) if weighted else np.full(n, 1 / n)
    matrix = {"none": None, "round": 0.3 * np.eye(d), "full": random_covariance(rng, d)}[kernel]
    made = PointSmoothing(
        torch.tensor(points),
        torch.tensor(np.log(weights)) if weighted else None,
        None if matrix is None else torch.tensor(matrix),
    )
    return made, points, weights, np.zeros((d, d)) if matrix is None else matrix


def mixture_of(kind, d, seed=0):
    """A smoothed mixture, and its weights, means and covariances as arrays."""
    rng = np.random.default_rng([seed, d])
    weights, means = rng.dirichlet(np.ones(4)), 1.5 * rng.normal(size=(4, d)) - 2
    if kind == "full":
        covariances = np.stack([random_covariance(rng, d) for _ in range(4)])
    else:
        variances = np.full(4, 0.7) if kind == "one variance" else rng.uniform(0.3, 1.5, 4)
        covariances = variances[:, None, None] * np.eye(d)
    return GaussianMixture(weights, means, covariances).smoothing, weights, means, covariances


def check_derivatives(smoothing, s, x):
    """Every derivative against autograd of the logarithm, one point at a time."""

    def log(point):
        return smoothing.log_prob(s, point.unsqueeze(0))[0]

    score, divergence = smoothing.score_and_divergence(s, x)
    curvature, third = smoothing.hessian(s, x), smoothing.third_derivative(s, x)
    d = x.shape[1]
    assert score.shape == (len(x), d) and divergence.shape == (len(x),)
    assert curvature.shape == (len(x), d, d) and third.shape == (len(x), d, d, d)
    close = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(smoothing.score(s, x), score, **close)
    torch.testing.assert_close(curvature.diagonal(dim1=1, dim2=2).sum(1), divergence, **close)
    for i, point in enumerate(x):
        torch.testing.assert_close(score[i], grad(log)(point), **close)
        torch.testing.assert_close(curvature[i], hessian(log)(point), **close)
        torch.testing.assert_close(third[i], jacfwd(hessian(log))(point), **close)


every_kernel = pytest.mark.parametrize("kernel", ["none", "round", "full"])
every_weight = pytest.mark.parametrize("weighted", [False, True])
every_mixture = pytest.mark.parametrize("kind", ["full", "one variance", "variances"])
every_dimension = pytest.mark.parametrize("d", [1, 2, 5])


# --- points


@every_dimension
@every_weight
@every_kernel
@pytest.mark.parametrize("s", [0.02, 0.5, 20.0])
def test_posterior_mean_is_the_softmax(d, weighted, kernel, s):
    """x + (H + sI)∇log p_s(x) = Σ softmax_j(log w_j − ½(x − x_j)ᵀ(H + sI)⁻¹(x − x_j)) x_j."""
    smoothing, points, weights, matrix = points_of(d, weighted=weighted, kernel=kernel)
    covariance = matrix + s * np.eye(d)
    x = points[:8] + math.sqrt(s) * np.random.default_rng(1).normal(size=(8, d))
    mean = x + smoothing.score(s, torch.tensor(x)).numpy() @ covariance
    for i, query in enumerate(x):
        np.testing.assert_allclose(mean[i], posterior_moments(query, points, covariance, weights)[0], rtol=0, atol=1e-12)


@every_dimension
@every_weight
@every_kernel
def test_posterior_moments_are_the_derivatives(d, weighted, kernel):
    """With P = (H + sI)⁻¹: ∇²log p_s = P Cov P − P, ∇³log p_s = the third central moment times P in its three places."""
    smoothing, points, weights, matrix = points_of(d, weighted=weighted, kernel=kernel)
    s = 0.6
    precision = np.linalg.inv(matrix + s * np.eye(d))
    x = points[:5] + 0.5
    curvature, third = (function(s, torch.tensor(x)).numpy() for function in (smoothing.hessian, smoothing.third_derivative))
    for i, query in enumerate(x):
        _, spread, skew = posterior_moments(query, points, matrix + s * np.eye(d), weights)
        np.testing.assert_allclose(curvature[i], precision @ spread @ precision - precision, atol=1e-11)
        expected = np.einsum("ijk,ai,bj,ck->abc", skew, precision, precision, precision)
        np.testing.assert_allclose(third[i], expected, atol=1e-10)


@every_dimension
@every_weight
@every_kernel
def test_log_prob_of_points_against_the_oracle(d, weighted, kernel):
    smoothing, points, weights, matrix = points_of(d, weighted=weighted, kernel=kernel)
    x = np.random.default_rng(1).normal(size=(5, d)) + 3
    for s in (0.05, 2.0):
        expected = log_mixture(x, weights, points, [matrix + s * np.eye(d)] * len(points))
        np.testing.assert_allclose(smoothing.log_prob(s, torch.tensor(x)), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("d", [1, 3])
@every_weight
@every_kernel
def test_derivatives_of_points(d, weighted, kernel):
    smoothing, points, *_ = points_of(d, weighted=weighted, kernel=kernel, n=12)
    x = torch.tensor(points[:2] + 0.4)
    check_derivatives(smoothing, 0.5 if kernel == "none" else -0.5 * smoothing.least_variance, x)


def test_single_precision_far_from_the_origin():
    """Mean 100, noise 0.01: the logits x·x_j/s reach 1e6, where single precision counts in sixteenths."""
    rng = np.random.default_rng(0)
    points = torch.tensor(100 + rng.normal(size=(1000, 2)), dtype=torch.float32)
    s = 0.01
    x = (points[:20].double() + 0.1 * torch.tensor(rng.normal(size=(20, 2)))).float()
    score, divergence = PointSmoothing(points).score_and_divergence(s, x)
    assert score.dtype == divergence.dtype == torch.float32
    mean = x.double() + s * score.double()
    for i in range(len(x)):
        exact, spread, _ = posterior_moments(x[i].double().numpy(), points.double().numpy(), s * np.eye(2))
        assert abs(mean[i].numpy() - exact).max() < 2e-5
        assert s * float(divergence[i]) + 2 == pytest.approx(np.trace(spread) / s, abs=1e-3)


def test_points_that_are_shifted_together_answer_the_same():
    generator = torch.Generator().manual_seed(0)
    points, x = (torch.randn(40, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    here, there = PointSmoothing(points), PointSmoothing(points + 1e5)
    for name in ("log_prob", "score", "hessian", "third_derivative"):
        torch.testing.assert_close(getattr(there, name)(0.2, x + 1e5), getattr(here, name)(0.2, x), rtol=0, atol=1e-7)


def test_little_noise_finds_the_nearest_point_and_much_noise_the_mean():
    smoothing, points, *_ = points_of(3, weighted=False, kernel="none")
    x = torch.tensor(points + 1e-4)
    s = 1e-6
    np.testing.assert_allclose(x + s * smoothing.score(s, x), points, atol=1e-12)
    s = 1e9
    np.testing.assert_allclose(x + s * smoothing.score(s, x), np.tile(points.mean(0), (25, 1)), atol=1e-6)


def test_weights_are_repetitions():
    points, x = torch.tensor([[0.0, 1.0], [2.0, 0.5]]).double(), torch.tensor([[0.7, 0.3]]).double()
    repeated = PointSmoothing(points[[0, 0, 0, 1]])
    weighted = PointSmoothing(points, torch.tensor([0.75, 0.25]).double().log())
    for name in ("log_prob", "score", "hessian", "third_derivative"):
        torch.testing.assert_close(getattr(weighted, name)(0.4, x), getattr(repeated, name)(0.4, x), rtol=1e-12, atol=1e-13)


def test_single_precision_points_spread_wide_for_their_noise():
    rng = np.random.default_rng(0)
    points = torch.tensor(np.concatenate([rng.normal(size=(200, 2)) - 100, rng.normal(size=(200, 2)) + 100])).float()
    x = points[:30] + 0.05
    single, double = PointSmoothing(points), PointSmoothing(points.double())
    torch.testing.assert_close(single.log_prob(0.01, x).double(), double.log_prob(0.01, x.double()), rtol=0, atol=1e-2)


# --- mixtures


@every_dimension
@every_mixture
def test_log_prob_of_mixtures_against_the_oracle_at_positive_and_negative_s(d, kind):
    smoothing, weights, means, covariances = mixture_of(kind, d)
    assert smoothing.least_variance == pytest.approx(np.linalg.eigvalsh(covariances).min(), rel=1e-12)
    x = np.random.default_rng(1).normal(size=(6, d)) - 2
    for s in (1.3, 0.0, -0.9 * smoothing.least_variance):
        expected = log_mixture(x, weights, means, covariances + s * np.eye(d))
        np.testing.assert_allclose(smoothing.log_prob(s, torch.tensor(x)), expected, rtol=1e-11, atol=1e-11)
        logs = smoothing.component_log_probs(s, torch.tensor(x))
        for k in range(4):
            alone = log_mixture(x, weights[k : k + 1], means[k : k + 1], covariances[k : k + 1] + s * np.eye(d))
            np.testing.assert_allclose(logs[:, k], alone, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("d", [1, 3])
@every_mixture
def test_derivatives_of_mixtures_at_positive_and_negative_s(d, kind):
    smoothing = mixture_of(kind, d)[0]
    x = torch.tensor(np.random.default_rng(1).normal(size=(2, d)) - 2)
    for s in (0.8, -0.5 * smoothing.least_variance):
        check_derivatives(smoothing, s, x)


@every_mixture
def test_tweedie_against_integrals(kind):
    """x̃ + s∇log p_s, s + s²∇²log p_s and s³∇³log p_s: mean, variance and third central moment of x given x̃ = x + N(0, s)."""
    smoothing, *parts = mixture_of(kind, 1)
    x = np.linspace(-20, 16, 4001)
    prior = np.exp(log_mixture(x[:, None], *parts))
    for s in (0.05, 0.5, 3.0):
        for query in (-4.0, -1.9, 0.3):
            posterior = prior * np.exp(-((query - x) ** 2) / (2 * s))
            posterior /= posterior.sum()
            mean = posterior @ x
            at = torch.tensor([[query]], dtype=torch.float64)
            assert query + s * float(smoothing.score(s, at)) == pytest.approx(mean, abs=1e-10)
            assert s + s**2 * float(smoothing.hessian(s, at)) == pytest.approx(posterior @ (x - mean) ** 2, abs=1e-10)
            assert s**3 * float(smoothing.third_derivative(s, at)) == pytest.approx(posterior @ (x - mean) ** 3, abs=1e-10)


def test_round_components_written_as_matrices_or_nearly_so_answer_alike():
    """The short way for round components agrees with the long one."""
    smoothing, weights, means, covariances = mixture_of("variances", 3)
    tilted = covariances + 1e-9 * np.diag([0.0, 0.5, 1.0])
    general = MixtureSmoothing(*map(torch.tensor, (weights, means, covariances)))
    nearly = GaussianMixture(weights, means, tilted).smoothing
    x = torch.tensor(np.random.default_rng(1).normal(size=(10, 3)) - 2)
    for s in (0.7, -0.2):
        for name in ("log_prob", "score", "hessian", "third_derivative"):
            expected = getattr(smoothing, name)(s, x)
            torch.testing.assert_close(getattr(general, name)(s, x), expected, rtol=1e-10, atol=1e-11)
            torch.testing.assert_close(getattr(nearly, name)(s, x), expected, rtol=1e-6, atol=1e-6)
        for found, expected in zip(general.score_and_divergence(s, x), smoothing.score_and_divergence(s, x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)


@every_mixture
def test_components_far_apart(kind):
    """Near one of several components 1000 standard deviations apart only that one counts, to seven digits."""
    _, weights, means, covariances = mixture_of(kind, 2)
    means = means * 1e3
    smoothing = GaussianMixture(weights, means, covariances).smoothing
    for k in range(4):
        x = means[k] + np.array([[0.3, -0.4], [1.0, 1.0]])
        expected = log_mixture(x, weights[k : k + 1], means[k : k + 1], covariances[k : k + 1])
        np.testing.assert_allclose(smoothing.log_prob(0.0, torch.tensor(x)), expected, rtol=0, atol=1e-7)
        pull = -(x - means[k]) @ np.linalg.inv(covariances[k])
        np.testing.assert_allclose(smoothing.score(0.0, torch.tensor(x)), pull, rtol=0, atol=1e-9)


@every_weight
def test_points_with_a_kernel_are_a_mixture(weighted):
    smoothing, points, weights, matrix = points_of(3, weighted=weighted, kernel="full")
    mixture = GaussianMixture(weights, points, np.stack([matrix] * len(points))).smoothing
    x = torch.tensor(points[:6] + 0.7)
    for s in (0.4, 0.0, -0.5 * smoothing.least_variance):
        for name in ("log_prob", "score", "hessian", "third_derivative"):
            torch.testing.assert_close(getattr(smoothing, name)(s, x), getattr(mixture, name)(s, x), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(
            smoothing.score_and_divergence(s, x)[1], mixture.score_and_divergence(s, x)[1], rtol=1e-9, atol=1e-9
        )
    assert smoothing.least_variance == pytest.approx(mixture.least_variance, rel=1e-12)


# --- few rows at a time


@pytest.mark.parametrize("make", ["points", "weighted points", "full", "one variance", "variances"])
def test_chunks_change_nothing(make, monkeypatch):
    of_points = "points" in make
    smoothing = points_of(2, weighted=make != "points", kernel="full")[0] if of_points else mixture_of(make, 2)[0]
    x = torch.tensor(np.random.default_rng(1).normal(size=(29, 2)) + 1)
    names = ("log_prob", "score", "score_and_divergence", "hessian", "third_derivative")
    whole = {name: getattr(smoothing, name)(0.3, x) for name in names}
    for temporary in (1, 200, 500):
        monkeypatch.setattr(module, "TEMPORARY", temporary)
        for name in names:
            torch.testing.assert_close(getattr(smoothing, name)(0.3, x), whole[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("temporary", "width", "expected"), [(20, 4, [5, 5, 3]), (1, 9, [1] * 13), (1000, 1, [13]), (6, 0, [6, 6, 1])]
)
def test_chunks_keep_their_size_and_order(temporary, width, expected, monkeypatch):
    monkeypatch.setattr(module, "TEMPORARY", temporary)
    seen = []

    def square(rows):
        seen.append(len(rows))
        return rows.square(), rows.sum(1)

    x = torch.arange(26.0).reshape(13, 2)
    squares, sums = in_chunks(square, x, width)
    assert seen == expected
    assert torch.equal(squares, x.square()) and torch.equal(sums, x.sum(1))


def test_a_small_limit_is_kept_to(monkeypatch):
    """Many rows against many points never at once."""
    widest = 0
    original = PointSmoothing._logits

    def watched(self, variances, x):
        nonlocal widest
        found = original(self, variances, x)
        widest = max(widest, found.numel())
        return found

    monkeypatch.setattr(PointSmoothing, "_logits", watched)
    monkeypatch.setattr(module, "TEMPORARY", 1000)
    smoothing, points, *_ = points_of(2, weighted=False, kernel="none", n=100)
    for function in (smoothing.log_prob, smoothing.hessian, smoothing.third_derivative):
        function(0.3, torch.tensor(points))
        assert 0 < widest <= 1000


def test_what_a_smoothing_says_of_itself():
    points, mixture = points_of(2, weighted=False, kernel="full")[0], mixture_of("full", 2)[0]
    assert isinstance(points, Smoothing) and isinstance(mixture, Smoothing)
    assert (points.dimension, points.terms, points.dtype) == (2, 25, torch.float64)
    assert (mixture.dimension, mixture.terms, mixture.dtype) == (2, 4, torch.float64)
    assert points_of(2, weighted=False, kernel="none")[0].least_variance == 0.0
    assert Empirical(np.eye(3, dtype=np.float32), 0.5).smoothing.dtype == torch.float32
