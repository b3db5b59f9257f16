"""Entropies, score energy, CKA, slices and volumes of layers: closed forms, invariances, bounds."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import (
    affine_log_det,
    cka,
    cka_matrix,
    covariance_spectrum,
    dense_log_det,
    gaussian_entropy,
    layer_path,
    neighbour_entropy,
    path_measures,
    score_energy,
    sliced_measures,
    wasserstein,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 4)) @ RNG.normal(size=(4, 4)) + 3.0
A = np.array([[2.0, 1.0, 0.0, 0.3], [0.0, 0.5, 0.0, 0.0], [1.0, 0.0, 3.0, 0.0], [0.0, 0.2, 0.0, 1.5]])
LOG_DET = math.log(abs(np.linalg.det(A)))


def test_spectrum_is_that_of_the_covariance():
    np.testing.assert_allclose(covariance_spectrum(X), np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1])
    wide = RNG.normal(size=(10, 30))
    spectrum = covariance_spectrum(wide)
    np.testing.assert_allclose(spectrum[:9], np.linalg.eigvalsh(np.cov(wide.T, bias=True))[::-1][:9])
    assert (spectrum[9:] == 0).all()


def test_gaussian_entropy_changes_by_log_det_and_is_unbiased_for_normal_points():
    assert gaussian_entropy(X @ A.T - 5.0) - gaussian_entropy(X) == pytest.approx(LOG_DET, abs=1e-9)
    turned = X @ ortho_group.rvs(4, random_state=1)
    assert gaussian_entropy(turned) == pytest.approx(gaussian_entropy(X), abs=1e-9)
    covariance = A @ A.T
    truth = fp.Normal(np.zeros(4), covariance).entropy()
    found = [gaussian_entropy(np.random.default_rng(k).normal(size=(20, 4)) @ A.T) for k in range(400)]
    # Var of ½ ln det S of 20 points is ¼ Σ trigamma((20 − i)/2), about 0.12
    assert np.mean(found) == pytest.approx(truth, abs=4 * np.std(found) / 20)


@pytest.mark.parametrize("points", [np.ones((50, 2)), RNG.normal(size=(5, 5)), np.c_[X, X.sum(1)]])
def test_no_entropy_on_a_hyperplane(points):
    assert math.isnan(gaussian_entropy(points)) and math.isnan(score_energy(points))
    assert np.isfinite([gaussian_entropy(points, 0.1), score_energy(points, 0.1)]).all()


def test_smoothing_adds_to_the_covariance():
    smoothed = fp.Normal(np.zeros(4), np.cov(X.T, bias=True) + 0.3 * np.eye(4))
    assert gaussian_entropy(X, 0.3) == pytest.approx(smoothed.entropy())
    assert score_energy(X, 0.3) == pytest.approx(np.trace(np.linalg.inv(np.cov(X.T, bias=True) + 0.3 * np.eye(4))))


def test_score_energy_is_the_rate_of_entropy_along_the_score():
    """dH/dt = −J under ∂p = −Δp, where C becomes C − 2tI (§A5)."""
    t = 1e-5
    covariance = np.cov(X.T, bias=True)
    change = 0.5 * np.linalg.slogdet(covariance - 2 * t * np.eye(4))[1] - 0.5 * np.linalg.slogdet(covariance)[1]
    assert -change / t == pytest.approx(score_energy(X), rel=1e-2)


@pytest.mark.parametrize("d", [1, 2, 4, 8])
def test_neighbours_find_the_entropy_of_normal_points(d):
    """Var log p = d/2 and Var log ε^d = ψ'(k), both over n, and a bias that is measured at 0.06 or less (0.1 is allowed)."""
    found = neighbour_entropy(np.random.default_rng(d).normal(size=(1000, d)))
    error = math.sqrt((d / 2 + 0.284) / 1000)
    assert found == pytest.approx(d / 2 * math.log(2 * math.pi * math.e), abs=0.1 + 3 * error)


def test_neighbours_entropy_changes_by_log_det_of_a_similarity():
    turned = 3.0 * X @ ortho_group.rvs(4, random_state=2) - 1.0
    assert neighbour_entropy(turned) - neighbour_entropy(X) == pytest.approx(4 * math.log(3.0), abs=1e-9)


def test_neighbours_refuse_lattices_and_coincidences():
    lattice = np.array(np.meshgrid(*[np.arange(8.0)] * 3)).reshape(3, -1).T
    assert math.isnan(neighbour_entropy(lattice))
    assert math.isnan(neighbour_entropy(np.maximum(RNG.normal(size=(300, 2)), 0.0)))  # a quarter of a ReLU's are at 0
    with pytest.raises(InputError, match="k: found 4, expected below 3"):
        neighbour_entropy([[0.0], [1.0], [2.0]])


def test_cka_is_blind_to_shift_turn_and_scale_only():
    turned = -7.0 * X @ ortho_group.rvs(4, random_state=3) + 100.0
    assert cka(X, turned) == pytest.approx(1.0, abs=1e-9)
    assert cka(X, np.c_[turned, np.zeros((400, 3))]) == pytest.approx(1.0, abs=1e-9)
    assert cka(X, X * [1, 10, 1, 1]) < 0.99
    other = np.tanh(X)
    assert cka(X, other) == pytest.approx(cka(turned, 3 * other), abs=1e-9)


def test_cka_is_the_u_statistic():
    """HSIC by its definition: the mean over all four different samples (Song et al. 2012, theorem 5), here by U-centring."""
    x, y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 30))
    y[:, :3] += x

    def centred(values):
        gram, n = values @ values.T, len(values)
        np.fill_diagonal(gram, 0.0)
        rows = gram.sum(1) / (n - 2)
        gram = gram - rows[:, None] - rows + gram.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(gram, 0.0)
        return gram

    one, two = centred(x), centred(y)
    want = (one * two).sum() / math.sqrt((one * one).sum() * (two * two).sum())
    assert cka(x, y) == pytest.approx(want, abs=1e-10)


def test_cka_of_independent_wide_layers_is_zero():
    """Where the plain estimate is near 1: more units than samples."""
    found = [cka(*np.random.default_rng(k).normal(size=(2, 30, 300))) for k in range(60)]
    assert np.mean(found) == pytest.approx(0.0, abs=4 * np.std(found) / math.sqrt(60))
    assert np.std(found) < 0.3


def test_cka_matrix_goes_by_blocks(monkeypatch):
    layers = [X, np.tanh(X), RNG.normal(size=(400, 9)), np.full((400, 2), 0.1)]
    whole = cka_matrix(layers)
    monkeypatch.setattr("flowplane.transport.layers.similarity.BLOCK_BYTES", 8 * 400 * 4 * 7)
    np.testing.assert_allclose(cka_matrix([torch.from_numpy(layer) for layer in layers]), whole, atol=1e-12)
    np.testing.assert_array_equal(np.isnan(whole), np.add.outer(np.arange(4) == 3, np.arange(4) == 3))
    with pytest.raises(InputError, match=r"layers\[1\]: found 399 samples"):
        cka_matrix([X, X[1:]])


def test_slices_are_lower_bounds():
    turned = X @ ortho_group.rvs(4, random_state=4)
    path = np.stack([X, turned, X @ A.T, np.tanh(X)])
    exact, sliced = path_measures(path), sliced_measures(path, slices=50)
    assert sliced.attrs["slices"] == 52
    assert (sliced.wasserstein_sliced[1:] <= exact.wasserstein[1:] * (1 + 1e-9)).all()
    assert (sliced.optimality_sliced[1:] <= exact.optimality[1:] * (1 + 1e-9)).all()
    assert (sliced.optimality_sliced[1:] > 0).all()


def test_slices_are_exact_where_every_line_keeps_its_order():
    path = np.stack([X, X + np.arange(1.0, 5.0), 5 * X, 5 * X])
    sliced, exact = sliced_measures(path), path_measures(path)
    np.testing.assert_allclose(sliced.optimality_sliced[1:], 1.0)
    np.testing.assert_allclose(sliced.wasserstein_sliced[1:], exact.wasserstein[1:], rtol=1e-9, atol=1e-9)


def test_slices_agree_with_the_distance_by_slices():
    found = float(sliced_measures(np.stack([X, np.tanh(X)]), slices=4000).wasserstein_sliced[1])
    assert found == pytest.approx(2.0 * wasserstein(X, np.tanh(X), method="sliced", projections=4000), rel=0.02)


def test_few_slices_in_many_dimensions():
    x = RNG.normal(size=(50, 60))
    found = sliced_measures(np.stack([x, x + 1.0]), slices=20)
    assert found.attrs["slices"] == 20
    np.testing.assert_allclose(found.optimality_sliced[1], 1.0)
    # E(θ·1)² = 1; 20 of 60 orthogonal directions see a third of |1|² = 60 but for its spread
    assert float(found.wasserstein_sliced[1]) == pytest.approx(math.sqrt(60), rel=0.5)


def test_positive_definite_maps_are_optimal_and_turns_are_not():
    x = RNG.normal(size=(300, 3))
    positive = np.diag([0.5, 1.0, 3.0])
    turn = ortho_group.rvs(3, random_state=5)
    found = path_measures(np.stack([x, x @ positive, x @ positive @ turn]))
    assert float(found.optimality[1]) == pytest.approx(1.0, abs=1e-9)
    assert float(found.optimality[2]) < 0.9


def test_paths_without_plans_are_the_same_but_for_them():
    path = layer_path([X, X[:, :2], np.tanh(X)])
    full, quick = path_measures(path), path_measures(path, samples=0)
    assert np.isnan(quick.wasserstein).all() and np.isnan(quick.optimality).all()
    for name in ("cost", "turning", "participation", "straightness"):
        np.testing.assert_array_equal(full[name], quick[name])


def test_log_det_of_dense_layers_is_that_of_autograd():
    x = torch.from_numpy(RNG.normal(size=(20, 3)))
    weight, bias = torch.from_numpy(RNG.normal(size=(3, 3))), torch.from_numpy(RNG.normal(size=3))
    for name, function in (("tanh", torch.tanh), ("sigmoid", torch.sigmoid), ("linear", lambda z: z)):
        jacobians = torch.func.vmap(torch.func.jacrev(lambda row, f=function: f(weight @ row + bias)))(x)
        found = dense_log_det(x, weight, bias=bias, activation=name)
        assert isinstance(found, torch.Tensor)
        torch.testing.assert_close(found, torch.linalg.slogdet(jacobians)[1])
    relu = dense_log_det(x, weight, bias=bias, activation="relu")
    open_units = (x @ weight.T + bias > 0).all(1)
    torch.testing.assert_close(torch.isfinite(relu), open_units)
    assert bool(torch.isneginf(dense_log_det(x, weight, bias=bias, activation="softmax")).all())


def test_log_det_of_a_saturated_layer_keeps_its_digits():
    """1 − tanh²(30) is 0 in float64; its logarithm is 2 log 2 − 60."""
    assert dense_log_det([[30.0]], [[1.0]], bias=[0.0], activation="tanh")[0] == pytest.approx(2 * math.log(2) - 60)
    assert dense_log_det([[-800.0]], [[1.0]], bias=[0.0], activation="sigmoid")[0] == pytest.approx(-800)


def test_affine_log_det_of_affine_and_residual_layers():
    found = affine_log_det(X, X @ A.T + 1.0)
    assert found.log_det == pytest.approx(LOG_DET, abs=1e-9) and found.fit == pytest.approx(1.0)
    v = 0.1 * A
    assert affine_log_det(X, X + X @ v.T).log_det == pytest.approx(np.linalg.slogdet(np.eye(4) + v)[1], abs=1e-9)


def test_affine_log_det_of_a_planar_residual_layer():
    """x + u tanh(w·x): for normal x the best affine map is E ∂y/∂x = I + E[1 − tanh²] u wᵀ (Stein), and
    log|det ∂y/∂x| = log|1 + (1 − tanh²) w·u|; log is concave, so the affine one is at least the mean of the latter."""
    x = np.random.default_rng(1).normal(size=(20_000, 3))
    u, w = np.array([0.5, 0.1, 0.0]), np.array([1.0, 0.5, 0.0])
    slopes = 1 - np.tanh(x @ w) ** 2
    found = affine_log_det(x, x + np.outer(np.tanh(x @ w), u))
    assert found.log_det == pytest.approx(math.log(1 + slopes.mean() * (w @ u)), abs=0.01)
    assert found.log_det > np.log1p(slopes * (w @ u)).mean()
    assert 0.98 < found.fit < 1


def test_affine_log_det_knows_what_it_cannot_say():
    assert all(map(math.isnan, affine_log_det(X[:5], X[:5])))
    flat = np.c_[X[:, :2], X[:, :2].sum(1)]
    assert all(map(math.isnan, affine_log_det(flat, X[:, :3])))
    noise = affine_log_det(X, np.random.default_rng(2).normal(size=X.shape))
    assert abs(noise.fit) < 0.05  # adjusted: no share of pure noise, standard error about √(2/(nd))
    with pytest.raises(InputError, match=r"y: found shape \(400, 3\)"):
        affine_log_det(X, X[:, :3])


def test_what_layer_measures_refuse():
    with pytest.raises(InputError, match="smoothing: found -1"):
        gaussian_entropy(X, -1)
    with pytest.raises(InputError, match=r"x: found shape \(2, 400, 4\)"):
        score_energy(np.stack([X, X]))
    with pytest.raises(InputError, match="activation: found 'relo'"):
        dense_log_det(X, A, bias=np.zeros(4), activation="relo")
    with pytest.raises(InputError, match=r"weight: found shape \(3, 4\)"):
        dense_log_det(X, A[:3], bias=np.zeros(3), activation="tanh")
    with pytest.raises(InputError, match=r"bias: found shape \(3,\)"):
        dense_log_det(X, A, bias=np.zeros(3), activation="tanh")
    with pytest.raises(InputError, match=r"path: found shape \(400, 4\)"):
        sliced_measures(X)
    with pytest.raises(InputError, match="layers: found ndarray"):
        cka_matrix(X)
