"""Wasserstein distances against all permutations, linear assignment, sorting and closed forms."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import best_assignment, gaussian_wasserstein
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist, pdist

from flowplane import Empirical, GaussianMixture, Normal, wasserstein
from flowplane.errors import InputError
from flowplane.transport import embed, optimality
from flowplane.transport.profiles import optimal
from flowplane.transport.profiles.optimal import exact_plan

METHODS = ("exact", "sliced", "gaussian")
SEEDS = st.integers(0, 2**31)


def clouds(seed, n, d, m=None):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), 1.5 * rng.normal(size=(n if m is None else m, d)) + rng.normal(size=d)


def assigned(x, y):
    """W_2 by the Hungarian algorithm."""
    costs = cdist(x, y) ** 2
    return math.sqrt(costs[linear_sum_assignment(costs)].mean())


# --- exact


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_exact_is_the_best_of_all_permutations(d, seed):
    x, y = clouds(seed, 6, d)
    assert wasserstein(x, y) == pytest.approx(math.sqrt(best_assignment(x, y)), rel=1e-12)


@pytest.mark.parametrize("d", [1, 3])
def test_exact_is_the_best_assignment(d):
    x, y = clouds(0, 100, d)
    found = wasserstein(x, y)
    assert type(found) is float
    assert found == pytest.approx(assigned(x, y), rel=1e-12)


def test_exact_in_one_dimension_is_sorting():
    x, y = clouds(1, 5000, 1)
    assert wasserstein(x, y) == pytest.approx(math.sqrt(np.mean((np.sort(x, 0) - np.sort(y, 0)) ** 2)), rel=1e-12)
    # on a line in the plane the general plan finds the same
    line = np.array([[0.6, 0.8]])
    assert wasserstein(x[:300] @ line, y[:300] @ line) == pytest.approx(wasserstein(x[:300], y[:300]), rel=1e-9)


@pytest.mark.parametrize("d", [1, 2])
def test_different_numbers_of_points_are_repeated_to_the_same(d):
    x, y = clouds(2, 8, d, m=12)
    assert wasserstein(x, y) == pytest.approx(assigned(np.repeat(x, 3, 0), np.repeat(y, 2, 0)), rel=1e-10)
    for method in METHODS:
        assert wasserstein(x, np.repeat(x, 4, 0), method=method) == pytest.approx(0.0, abs=1e-7)


def test_one_point_each_is_a_distance():
    for method in ("exact", "gaussian"):
        assert wasserstein([[0.0, 0.0]], [[3.0, 4.0]], method=method) == pytest.approx(5.0, rel=1e-14)


def programmed(x, y):
    """W_2² by linear programming (HiGHS) over all plans."""
    n, m = len(x), len(y)
    marginals = np.r_[np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))]
    shares = np.r_[np.full(n, 1 / n), np.full(m, 1 / m)]
    return linprog(cdist(x, y, "sqeuclidean").ravel(), A_eq=marginals, b_eq=shares).fun


@pytest.mark.parametrize(("n", "m"), [(4, 7), (9, 6), (12, 5)])
@pytest.mark.parametrize("d", [1, 3])
def test_different_numbers_of_points_by_linear_programming(n, m, d):
    x, y = clouds(n, n, d, m=m)
    assert wasserstein(x, y) ** 2 == pytest.approx(programmed(x, y), rel=1e-9)


# --- many scales at once


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("far", [1e3, 1e5, 1e7, 1e9, 1e12])
def test_one_far_pair_leaves_the_others_as_they_are(far, d):
    """The far points go to each other, at distance √d, and the rest by their own best plan."""
    x, y = clouds(0, 200, d)
    expected = (200 * assigned(x, y) ** 2 + d) / 201
    found = wasserstein(np.r_[x, np.full((1, d), far)], np.r_[y, np.full((1, d), far + 1)])
    assert found**2 == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("far", [1e3, 1e7, 1e9])
def test_far_clusters_of_different_numbers(far):
    """As many parts of x as of y are far: each cluster has its own best plan."""
    near, other, distant, there = clouds(1, 6, 3, m=9) + clouds(2, 2, 3, m=3)
    expected = (3 * programmed(near, other) + programmed(distant, there)) / 4
    found = wasserstein(np.r_[near, far + distant], np.r_[other, far + there])
    # the far points have been rounded where they are
    assert found**2 == pytest.approx(expected, rel=1e-9 + 1e-15 * far)


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
def test_no_rounding_of_shares_goes_the_long_way(far):
    """Where x and y have the same share of far points, sums of 1/n that are rounded would send some of it there."""
    near, other, distant, there = clouds(1, 4 * 28, 1, m=7 * 28) + clouds(2, 4 * 7, 1, m=7 * 7)
    x, y = np.r_[near, far + distant], np.r_[other, far + there]
    expected = np.square(np.sort(np.repeat(x, 7, 0), 0) - np.sort(np.repeat(y, 4, 0), 0)).mean()
    for method in ("exact", "sliced"):
        assert wasserstein(x, y, method=method) ** 2 == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_points_of_another_scale_beside(scale):
    """Four points a scale, each step within its own cluster: each adds its square."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    step = np.array([0.03, -0.04])
    x = np.r_[corners, scale * corners + 1e3 * (1 + scale)]
    y = x + np.r_[np.tile(step, (4, 1)), np.zeros((4, 2))]
    assert wasserstein(x, y[::-1]) == pytest.approx(0.05 / math.sqrt(2), rel=1e-9)
    assert wasserstein(scale * x, scale * y[::-1]) == pytest.approx(scale * 0.05 / math.sqrt(2), rel=1e-9)


@settings(max_examples=50)
@given(SEEDS)
def test_clusters_of_many_scales_against_repeated_assignment(seed):
    rng = np.random.default_rng(seed)
    d, (p, q) = rng.integers(2, 6), [(1, 1), (2, 3), (3, 4), (1, 4)][rng.integers(4)]
    parts = []
    for _ in range(rng.integers(1, 8)):
        place, width = 10.0 ** rng.uniform(-6, 8) * rng.normal(size=d), 10.0 ** rng.uniform(-6, 4)
        count = rng.integers(1, 6)
        parts.append([place + width * rng.normal(size=(part * count, d)) for part in (p, q)])
    x, y = map(np.concatenate, zip(*parts, strict=True))
    expected = assigned(np.repeat(x, q, 0), np.repeat(y, p, 0))
    assert wasserstein(x, y) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("m", [40, 60])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_potentials_prove_the_plan(m, far):
    """u(x_i) + v(y_j) ≤ |x_i − y_j|² everywhere and W_2² in the mean, once the constant is added: no plan can cost less."""
    x, y = clouds(3, 40, 2, m=m)
    x[: 40 // 4] += far
    y[: m // 4] += far
    plan = exact_plan(x, y)
    constant = plan.squared - plan.of_x.mean() - plan.of_y.mean()
    slack = cdist(x, y, "sqeuclidean") - plan.of_x[:, None] - plan.of_y - constant
    assert slack.min() >= -1e-12 * (plan.squared + far**2)


def test_a_plan_that_is_not_known_to_be_the_best_is_refused(monkeypatch):
    x, y = clouds(0, 200, 2)
    x[0], y[0] = 1e7, 1e7
    monkeypatch.setattr(optimal, "ROUNDS", 1)
    with refused("x", "no plan is known to be the best.*sliced"):
        wasserstein(x, y)


# --- Gaussian


def random_covariance(rng, d):
    factor = rng.normal(size=(d, d))
    return factor @ factor.T + 0.1 * np.eye(d)


@pytest.mark.parametrize("d", [1, 2, 6])
def test_gaussian_against_the_oracle(d):
    rng = np.random.default_rng(d)
    means, covariances = rng.normal(size=(2, d)), [random_covariance(rng, d) for _ in range(2)]
    expected = gaussian_wasserstein(means[0], covariances[0], means[1], covariances[1])
    p, q = (Normal(mean, covariance) for mean, covariance in zip(means, covariances, strict=True))
    assert wasserstein(p, q, method="gaussian") == pytest.approx(expected, rel=1e-7)
    # covariances that commute: the square roots are compared
    p, q = Normal(means[0], 4.0), Normal(means[1], np.diag(np.arange(1.0, d + 1)))
    apart = np.sum((means[0] - means[1]) ** 2) + np.sum((2 - np.sqrt(np.arange(1.0, d + 1))) ** 2)
    assert wasserstein(p, q, method="gaussian") == pytest.approx(math.sqrt(apart), rel=1e-7)


def test_gaussian_of_clouds_is_that_of_their_moments():
    x, y = clouds(3, 60, 3)
    moments = [(cloud.mean(0), np.cov(cloud.T, bias=True)) for cloud in (x, y)]
    found = wasserstein(x, y, method="gaussian")
    assert found == pytest.approx(gaussian_wasserstein(*moments[0], *moments[1]), rel=1e-7)
    assert wasserstein(x, Normal(*moments[1]), method="gaussian") == pytest.approx(found, rel=1e-7)
    # Gelbrich: the Gaussians of the same moments are never farther apart
    assert found <= wasserstein(x, y)


def test_gaussian_of_a_linear_image_is_exact():
    """x → Ax with A symmetric and positive is optimal, so both distances are √E|Ax − x|²."""
    x = clouds(4, 80, 2)[0]
    matrix = np.array([[2.0, 0.5], [0.5, 0.7]])
    y = x @ matrix + 1.0
    expected = math.sqrt(np.square(y - x).sum(1).mean())
    assert wasserstein(x, y) == pytest.approx(expected, rel=1e-9)
    assert wasserstein(x, y, method="gaussian") == pytest.approx(expected, rel=1e-7)


def test_large_samples_in_one_dimension_approach_the_closed_form():
    """|W(p_n, q_n) − W(p, q)| ≤ W(p_n, p) + W(q_n, q), some 3e-3 and 6e-3 for 400,000 points (loglog n/n)."""
    p, q = Normal(0.0, 1.0), Normal(1.0, 4.0)
    exact = math.sqrt(2.0)
    assert wasserstein(p, q, method="gaussian") == pytest.approx(exact, rel=1e-12)
    x, y = p.sample(400_000, seed=1), q.sample(400_000, seed=2)
    for method in METHODS:
        assert wasserstein(x, y, method=method, projections=2) == pytest.approx(exact, abs=0.03)
    assert wasserstein(x, p.sample(400_000, seed=3)) < 0.01


# --- sliced


def test_sliced_is_the_mean_over_directions():
    """√(E_v W_2²(v·x, v·y)), v uniform on the sphere, within five standard errors of an independent draw."""
    x, y = clouds(5, 50, 3)
    directions = np.random.default_rng(7).normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    squares = np.square(np.sort(x @ directions.T, 0) - np.sort(y @ directions.T, 0)).mean(0)
    found = wasserstein(x, y, method="sliced", projections=4000, seed=3) ** 2
    assert abs(found - squares.mean()) < 5 * squares.std() * math.sqrt(2 / 4000)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 4), st.integers(2, 20), st.integers(2, 20))
def test_sliced_is_no_more_than_exact(seed, d, n, m):
    x, y = clouds(seed, n, d, m=m)
    exact, sliced = wasserstein(x, y), wasserstein(x, y, method="sliced", projections=20)
    assert sliced <= exact * (1 + 1e-12)
    if d == 1:
        assert sliced == pytest.approx(exact, rel=1e-12)


def test_sliced_repeats_with_its_seed():
    x, y = clouds(6, 30, 3)
    first = wasserstein(x, y, method="sliced", projections=5, seed=1)
    assert first == wasserstein(x, y, method="sliced", projections=5, seed=1)
    assert first != wasserstein(x, y, method="sliced", projections=5, seed=2)


# --- what every distance obeys


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 4), st.integers(2, 15), st.integers(2, 15))
def test_a_distance(seed, d, n, m):
    x, y = clouds(seed, n, d, m=m)
    z = clouds(seed + 1, n, d)[1]
    for method in METHODS:
        found = wasserstein(x, y, method=method)
        # the root of a singular covariance has half of the digits
        digits = 1e-7 if method == "gaussian" else 1e-10
        assert found == pytest.approx(wasserstein(y, x, method=method), rel=digits)
        assert wasserstein(x, x, method=method) == pytest.approx(0.0, abs=1e-7)
        assert wasserstein(x, z, method=method) <= found + wasserstein(y, z, method=method) + 1e-6
        assert wasserstein(x[::-1], y, method=method) == pytest.approx(found, rel=digits)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 4))
def test_translation_rotation_and_scale(seed, d):
    rng = np.random.default_rng(seed)
    x, y = clouds(seed, 20, d)
    shift, rotation = 3 * rng.normal(size=d), np.linalg.qr(rng.normal(size=(d, d)))[0]
    for method in ("exact", "gaussian"):
        found = wasserstein(x, y, method=method)
        # a cloud and its translate
        assert wasserstein(x, x + shift, method=method) == pytest.approx(np.linalg.norm(shift), rel=1e-9)
        # |shift|² and twice shift·(difference of the means) come on top
        more = found**2 + shift @ shift + 2 * shift @ (y.mean(0) - x.mean(0))
        assert wasserstein(x, y + shift, method=method) == pytest.approx(math.sqrt(more), rel=1e-6)
        assert wasserstein(x @ rotation, y @ rotation, method=method) == pytest.approx(found, rel=1e-7)
        assert wasserstein(7 * x, 7 * y, method=method) == pytest.approx(7 * found, rel=1e-7)


@pytest.mark.parametrize("far", [10.0, 1e3])
def test_distances_at_some_way_from_the_origin(far):
    x, y = clouds(7, 60, 2)
    for method in METHODS:
        assert wasserstein(x + far, y + far, method=method) == pytest.approx(wasserstein(x, y, method=method), rel=1e-6)


@pytest.mark.parametrize("far", [1e5, 1e6, 1e8])
def test_distances_far_from_the_origin(far):
    x = clouds(7, 60, 2)[0]
    y = x + np.array([3e-3, 4e-3])
    assert wasserstein(x + far, y + far) == pytest.approx(5e-3, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-7, 1e-8])
def test_small_distances(scale):
    x, y = clouds(8, 60, 2)
    assert wasserstein(scale * x, scale * y) == pytest.approx(scale * wasserstein(x, y), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-5, 1e-3, 1e3, 1e9])
def test_scales_that_work(scale):
    x, y = clouds(8, 60, 2)
    for method in METHODS:
        assert wasserstein(scale * x, scale * y, method=method) == pytest.approx(
            scale * wasserstein(x, y, method=method), rel=1e-6
        )


def test_every_kind_of_array():
    x, y = clouds(9, 12, 2)
    for method in METHODS:
        expected = wasserstein(x, y, method=method)
        assert wasserstein(x.tolist(), torch.tensor(y), method=method) == pytest.approx(expected, rel=1e-14)
        assert wasserstein(xr.DataArray(x, dims=("sample", "unit")), y, method=method) == pytest.approx(expected, rel=1e-14)
        single = wasserstein(x.astype(np.float32), torch.tensor(y).float(), method=method)
        assert type(single) is float and single == pytest.approx(expected, rel=1e-6)
    assert wasserstein([[0], [1]], [[2], [3]]) == 2.0


# --- optimality


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 4))
def test_optimality_of_optimal_maps_is_one(seed, d):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(25, d))
    assert optimality(x, x) == 1.0
    assert optimality(x, x + rng.normal(size=d)) == pytest.approx(1.0, abs=1e-9)
    assert optimality(x, 3 * x - 1) == pytest.approx(1.0, abs=1e-9)
    # the gradient of a convex function, and of one that is not
    assert optimality(x, np.tanh(x) + x) == pytest.approx(1.0, abs=1e-9)
    assert optimality(x, -x) < 0.99


def test_optimality_of_a_swap():
    assert optimality([[0.0], [1.0]], [[1.0], [0.0]]) == 0.0
    assert optimality([[0.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [2.0, 0.0]]) == pytest.approx(4 / 5, rel=1e-12)
    x, y = clouds(10, 6, 2)
    expected = best_assignment(x, y) / np.square(x - y).sum(1).mean()
    assert optimality(x, y) == pytest.approx(expected, rel=1e-12)
    assert expected < 1


def test_a_quarter_turn_is_not_optimal():
    angle = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    assert optimality(circle, circle @ np.array([[0.0, 1.0], [-1.0, 0.0]])) == pytest.approx(0.0, abs=1e-12)


# --- one space


def test_embed_keeps_distances():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 3)), rng.normal(size=(7, 1))
    for dimension in (None, 3, 6):
        wide = embed(x, y, dimension=dimension)
        for before, after in zip((x, y), wide, strict=True):
            assert after.shape == (len(before), dimension or 3)
            np.testing.assert_allclose(pdist(after), pdist(before), rtol=1e-14)
            assert np.array_equal(after[:, : before.shape[1]], before)
    z = rng.normal(size=(10, 3))
    assert wasserstein(*embed(x, z, dimension=5)) == pytest.approx(wasserstein(x, z), rel=1e-12)
    assert wasserstein(*embed([[1.0, 0.0]], [[-2.0]])) == pytest.approx(3.0, rel=1e-14)


def test_embed_keeps_every_kind():
    x = xr.DataArray(np.ones((2, 3, 1), np.float32), dims=("epoch", "sample", "unit"), coords={"epoch": [0, 5], "unit": [9]})
    y, z = torch.ones(4, 2, dtype=torch.float32), [1.0, 2.0, 3.0]
    wide_x, wide_y, wide_z = embed(x, y, z)
    assert (wide_x.dims, wide_x.shape, wide_x.dtype) == (x.dims, (2, 3, 3), np.float32)
    assert wide_x.epoch.values.tolist() == [0, 5] and "unit" not in wide_x.coords
    assert isinstance(wide_y, torch.Tensor) and wide_y.dtype == torch.float32 and wide_y.shape == (4, 3)
    assert isinstance(wide_z, np.ndarray) and wide_z.tolist() == z


# --- errors


def refused(argument, text=""):
    return pytest.raises(InputError, match=rf"(?s)^{argument}(\[\d\])?: .*{text}")


X = [[0.0, 1.0], [2.0, 3.0]]


def test_a_misspelt_method_gets_a_suggestion():
    for wrong, meant in (("exat", "exact"), ("slice", "sliced"), ("Gaussian", "gaussian")):
        with refused("method", f"did you mean '{meant}'"):
            wasserstein(X, X, method=wrong)
    with refused("method", "exact, sliced, gaussian"):
        wasserstein(X, X, method=None)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ([[0.0, math.nan]], "NaN"),
        ([[0.0, math.inf]], "infinite"),
        (np.zeros((0, 2)), "at least one point"),
        ("cloud", "numbers"),
        ([0.0, 1.0], r"\(2,\).*\(n, d\)"),
        (np.zeros((2, 2, 2)), r"\(2, 2, 2\).*\(n, d\)"),
        (1.0, r"\(\)"),
        (None, "numbers"),
        ([[0.0, 1.0], [2.0]], "equally long"),
    ],
)
def test_bad_points_are_named(method, wrong, text):
    with refused("x", text):
        wasserstein(wrong, X, method=method)
    with refused("y", text):
        wasserstein(X, wrong, method=method)
    with refused("x", text):
        optimality(wrong, X)
    with refused("y", text):
        optimality(X, wrong)


def test_another_dimension_is_told_of_embed():
    for method in METHODS:
        with refused("y", r"1 dimensions.*embed\(x, y\)"):
            wasserstein(X, [[0.0]], method=method)
    with refused("y", "embed"):
        wasserstein(Normal([0.0]), X, method="gaussian")
    with refused("y", "embed"):
        optimality(X, [[0.0], [1.0]])


def test_densities_where_points_are_wanted():
    p = Normal([0.0, 0.0])
    for method in ("exact", "sliced"):
        with refused("x", rf"{method}.*sample\(n\)"):
            wasserstein(p, X, method=method)
        with refused("y", r"sample\(n\)"):
            wasserstein(X, p, method=method)
    for other in (GaussianMixture([0.5, 0.5], X, 1.0), Empirical(X, 1.0)):
        with refused("y", "Gaussian"):
            wasserstein(p, other, method="gaussian")


def test_too_many_pairs(monkeypatch):
    x, y = clouds(0, 5, 2, m=4)
    monkeypatch.setattr(optimal, "MOST_PAIRS", 20)
    expected = wasserstein(x, y)
    monkeypatch.setattr(optimal, "MOST_PAIRS", 19)
    with refused("x", r"19 pairs.*sliced"):
        wasserstein(x, y)
    with refused("x", "19 pairs"):
        optimality(x, x + 1)
    assert wasserstein(x, y, method="sliced") <= expected
    # sorting has no pairs
    assert wasserstein(x[:, :1], y[:, :1]) > 0


def test_bad_numbers():
    for wrong in (0, 2.5, "many", None, True):
        with refused("projections", "whole number"):
            wasserstein(X, X, method="sliced", projections=wrong)
    for wrong in (-1, 1.5, "seed"):
        with refused("seed", "whole number"):
            wasserstein(X, X, method="sliced", seed=wrong)
    with refused("y", "3 points.*2 points"):
        optimality(X, [*X, [4.0, 5.0]])


def test_bad_embeddings():
    with refused("clouds", "none"):
        embed()
    with refused("clouds", "NaN"):
        embed(X, [[math.nan]])
    with refused("dimension", "2 or more"):
        embed(X, dimension=1)
    for wrong in (2.5, "3", True):
        with refused("dimension", "whole number"):
            embed(X, dimension=wrong)
