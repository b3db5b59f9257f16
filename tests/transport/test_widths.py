"""Layers of different width in one space: isometries, closed forms of the alignment, measures of paths."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group

from flowplane.core.streams import DIRECTIONS, generator
from flowplane.errors import InputError
from flowplane.transport import embed, embedding_influence, layer_path, path_measures
from flowplane.transport.layers.embedding import EMBEDDINGS
from flowplane.transport.layers.paths import MEASURES


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    return [x, np.tanh(x @ rng.normal(size=(5, 7))), np.tanh(x[:, :2]) + 3.0, rng.normal(size=(60, 3)) - 1.0]


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_every_embedding_is_an_isometry_of_each_layer(layers, embedding):
    path = layer_path(layers, embedding, seed=3)
    assert path.shape == (4, 60, 7)
    for layer, points in zip(layers, path, strict=True):
        np.testing.assert_allclose(pdist(points), pdist(layer), rtol=1e-10)


def test_pad_is_embed(layers):
    np.testing.assert_array_equal(layer_path(layers), np.stack(embed(*layers)))


def test_principal_axes_are_ordered_and_do_not_depend_on_how_a_layer_was_turned(layers):
    path = layer_path(layers, "principal")
    for layer, points in zip(layers, path, strict=True):
        covariance = np.cov(points.T, bias=True)
        values = np.linalg.eigvalsh(np.cov(layer.T, bias=True))[::-1]
        np.testing.assert_allclose(covariance, np.diag(np.r_[values, np.zeros(7 - len(values))]), atol=1e-12)
        np.testing.assert_allclose(points.mean(0), 0.0, atol=1e-12)
        farthest = points[np.abs(points).argmax(0), np.arange(7)]
        assert (farthest >= 0).all()
    turned = [layer @ ortho_group.rvs(layer.shape[1], random_state=k) + k for k, layer in enumerate(layers)]
    np.testing.assert_allclose(layer_path(turned, "principal"), path, atol=1e-10)


def test_fewer_samples_than_dimensions_have_principal_axes_too():
    few = np.random.default_rng(0).normal(size=(3, 8))
    np.testing.assert_allclose(pdist(layer_path([few, few], "principal")[0]), pdist(few))


def test_procrustes_undoes_rotations():
    x = np.random.default_rng(1).normal(size=(50, 4)) * [1, 2, 3, 0.1]
    layers = [x]
    for k in range(3):
        layers.append(layers[-1] @ ortho_group.rvs(4, random_state=k))
    found = path_measures(layer_path(layers, "procrustes"))
    np.testing.assert_allclose(found.cost[1:], 0.0, atol=1e-20)
    assert path_measures(layer_path(layers)).cost[1:].min() > 1


def test_procrustes_is_the_best_orthogonal_map(layers):
    path = layer_path(layers[:2], "procrustes")
    padded = layer_path(layers[:2])
    cost = np.square(path[1] - path[0]).sum()
    best, _ = orthogonal_procrustes(padded[1], padded[0])
    assert cost == pytest.approx(np.square(padded[1] @ best - padded[0]).sum(), rel=1e-12)
    singular = np.linalg.svd(padded[0].T @ padded[1], compute_uv=False)
    squares = np.square(padded).sum()
    assert cost == pytest.approx(squares - 2 * singular.sum(), rel=1e-12)
    for seed in range(20):
        other = np.square(padded[1] @ ortho_group.rvs(7, random_state=seed) - padded[0]).sum()
        assert other >= cost


def test_procrustes_moves_nothing_that_it_need_not():
    """In directions that the layer before does not use the map stays the identity."""
    rng = np.random.default_rng(2)
    x, y = np.zeros((30, 5)), rng.normal(size=(30, 5))
    x[:, :2] = rng.normal(size=(30, 2))
    y[:, :2] = 2 * x[:, :2]
    y[:, 2:] -= x @ np.linalg.lstsq(x, y[:, 2:], rcond=None)[0]  # uncorrelated with x
    np.testing.assert_allclose(layer_path([x, y], "procrustes")[1], y, atol=1e-12)
    still = layer_path([np.zeros((30, 5)), y], "procrustes")
    np.testing.assert_allclose(still[1], y, atol=1e-12)


def test_linear_layer_of_a_gaussian_in_closed_form():
    """x ~ N(0, Σ), y = Ax: the aligned layer costs tr Σ + tr AΣAᵀ − 2‖AΣ‖_*; for Σ = I it is Σ(1 − s_i)², the squared
    W_2 between N(0, I) and N(0, AAᵀ), and the aligned map is symmetric and so optimal (§A7)."""
    rng = np.random.default_rng(3)
    n, d = 1000, 3
    a = rng.normal(size=(d, d))
    x = rng.normal(size=(n, d))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T  # moments exactly 0 and I
    found = path_measures(layer_path([x, x @ a.T], "procrustes")).isel(layer=1)
    singular = np.linalg.svd(a, compute_uv=False)
    assert float(found.cost) == pytest.approx(np.square(1 - singular).sum(), rel=1e-10)
    assert float(found.optimality) == pytest.approx(1.0, abs=1e-9)
    assert float(found.wasserstein) ** 2 == pytest.approx(np.square(1 - singular).sum(), rel=1e-9)
    root = np.diag([0.3, 1.0, 2.0])
    sigma = root @ root
    cost = float(path_measures(layer_path([x @ root, x @ root @ a.T], "procrustes")).cost[1])
    nuclear = np.linalg.svd(a @ sigma, compute_uv=False).sum()
    assert cost == pytest.approx(np.trace(sigma) + np.trace(a @ sigma @ a.T) - 2 * nuclear, rel=1e-10)
    # as they stand, without alignment
    plain = float(path_measures(layer_path([x, x @ a.T])).cost[1])
    assert plain == pytest.approx(np.square(a - np.eye(d)).sum(), rel=1e-10)


def test_a_padded_projection_is_optimal_and_straight():
    """Dropping coordinates is the gradient of a convex function."""
    x = np.random.default_rng(4).normal(size=(200, 4))
    found = path_measures(layer_path([x, x[:, :3], x[:, :2]]))
    np.testing.assert_allclose(found.optimality[1:], 1.0, atol=1e-9)
    np.testing.assert_allclose(found.cost[1:], np.square(x[:, [3, 2]]).mean(0))
    np.testing.assert_allclose(found.turning[2], np.pi / 2)


def test_random_turns_cost_what_independent_directions_do():
    """E|x − Qy|² = E|x|² + E|y|² over even Q."""
    x = np.random.default_rng(5).normal(size=(40, 6))
    costs = [float(path_measures(layer_path([x, 2 * x], "random", seed=k)).cost[1]) for k in range(300)]
    want = 5 * np.square(x).sum(1).mean()
    assert np.mean(costs) == pytest.approx(want, abs=4 * np.std(costs) / np.sqrt(300))
    assert len(set(costs)) == 300


def test_straight_and_turning_paths():
    x = np.random.default_rng(6).normal(size=(30, 2))
    v = np.random.default_rng(7).normal(size=(30, 2))
    straight = path_measures(np.stack([x, x + v, x + 3 * v]))
    assert float(straight.straightness) == pytest.approx(1.0)
    assert float(straight.turning[2]) == pytest.approx(0.0, abs=1e-12)
    back = path_measures(np.stack([x, x + v, x]))
    assert float(back.straightness) == pytest.approx(0.0, abs=1e-12)
    assert float(back.turning[2]) == pytest.approx(np.pi)
    still = path_measures(np.stack([x, x, x]))
    assert np.isnan(still.straightness) and np.isnan(still.turning[2])
    np.testing.assert_array_equal(still.optimality[1:], 1.0)
    assert np.isnan(still.cost[0]) and np.isnan(still.turning[1])


def test_participation_counts_dimensions():
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    found = path_measures(np.stack([corners, corners * [1, 1, 0], corners * [1, 0, 0], np.ones((8, 3))]))
    np.testing.assert_allclose(found.participation[:3], [3.0, 2.0, 1.0])
    assert np.isnan(found.participation[3])


def test_what_an_isometry_cannot_change_has_no_range(layers):
    found = embedding_influence(layers, draws=3)
    np.testing.assert_allclose(found["range"].sel(measure="participation"), 0.0, atol=1e-10)
    assert (found["range"].sel(measure="cost")[1:] > 0.1).all()
    assert (found.order.sel(embedding="pad").dropna("measure") == 1).all()
    order = found.order.sel(measure="participation")
    np.testing.assert_allclose(order, 1.0)
    np.testing.assert_array_equal(found.cost_spread.sel(embedding="pad")[1:], 0.0)
    assert (found.cost_spread.sel(embedding="random")[1:] > 0).all()
    turns = [generator(0, DIRECTIONS, k) for k in range(3)]
    each = [path_measures(layer_path(layers, "random", seed=turn)).cost for turn in turns]
    np.testing.assert_allclose(found.cost.sel(embedding="random"), np.mean(each, 0))
    least = found.cost.sel(embedding="procrustes")
    assert float(least[1]) <= float(found.cost.sel(embedding="pad")[1])
    assert all(found[name].attrs["units"] for name in (*MEASURES, "straightness", "range", "order"))


def test_kinds_come_back(layers):
    tensors = [torch.from_numpy(layer).float() for layer in layers]
    path = layer_path(tensors, "procrustes")
    assert isinstance(path, torch.Tensor) and path.dtype == torch.float32
    named = layer_path([xr.DataArray(layer, dims=("sample", "unit")) for layer in layers], "random", seed=1)
    assert named.dims == ("layer", "sample", "unit")
    np.testing.assert_allclose(named, layer_path(layers, "random", seed=1))


def test_what_is_refused(layers):
    with pytest.raises(InputError, match=r"embedding: found 'procrustis', expected .* \(did you mean 'procrustes'\?\)"):
        layer_path(layers, "procrustis")
    with pytest.raises(InputError, match="layers: found 1 layers, expected two layers or more"):
        layer_path(layers[:1])
    with pytest.raises(InputError, match=r"layers\[1\]: found points \(59,\), expected 60 samples"):
        layer_path([layers[0], layers[1][1:]])
    with pytest.raises(InputError, match=r"layers\[1\]: found 1 value that is NaN"):
        layer_path([layers[0], np.where(layers[1] == layers[1].max(), np.nan, layers[1])])
    with pytest.raises(InputError, match=r"path: found shape \(60, 5\)"):
        path_measures(layers[0])
    with pytest.raises(InputError, match="embeddings: found 'pads'"):
        embedding_influence(layers, ["pads"])
    with pytest.raises(InputError, match=r"embeddings: found .*each once"):
        embedding_influence(layers, ["pad", "pad"])
    with pytest.raises(InputError, match="draws: found 0"):
        embedding_influence(layers, draws=0)


@pytest.mark.parametrize("embeddings", [None, "pad"])
def test_embeddings_are_a_list(embeddings):
    with pytest.raises(InputError, match=r"embeddings: found .*, expected a list"):
        embedding_influence([np.zeros((3, 1)), np.zeros((3, 2))], embeddings)
