"""How features keep classes apart: closed forms, invariances, what readers find."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.optimize import linprog
from scipy.stats import norm, ortho_group
from sklearn.linear_model import LogisticRegression

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import class_distances, fisher_ratio, linear_probe, neighbour_accuracy


@pytest.fixture
def clouds():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 240)
    return rng.normal(size=(240, 4)) * [1, 2, 0.5, 1] + np.eye(3, 4)[labels] * 2, labels


def moved(x, seed=0):
    """Turned, shifted and five times as large."""
    return 5 * x @ ortho_group.rvs(x.shape[-1], random_state=seed) + 7.0


def test_fisher_ratio_is_the_ratio_of_the_scatters_that_add_up_to_the_covariance(clouds):
    x, labels = clouds
    within = sum((labels == c).mean() * np.cov(x[labels == c].T, bias=True) for c in range(3))
    means = np.stack([x[labels == c].mean(0) for c in range(3)])[labels]
    between = np.cov(means.T, bias=True)
    np.testing.assert_allclose(within + between, np.cov(x.T, bias=True))
    np.testing.assert_allclose(fisher_ratio(x, labels), np.trace(between) / np.trace(within), rtol=1e-12)
    np.testing.assert_allclose(fisher_ratio(moved(x), labels), fisher_ratio(x, labels), rtol=1e-10)
    np.testing.assert_allclose(fisher_ratio(np.c_[x, np.full(240, 3.3)], labels), fisher_ratio(x, labels), rtol=1e-12)


def test_fisher_ratio_of_labels_that_say_nothing_tends_to_0():
    """(n − C)/(C − 1) times the ratio is F distributed with (C − 1)d and (n − C)d degrees of freedom."""
    rng = np.random.default_rng(0)
    n, d, classes = 500, 4, 3
    ratios = [fisher_ratio(rng.normal(size=(n, d)), rng.integers(0, classes, n)) for _ in range(200)]
    statistic = np.array(ratios) * (n - classes) / (classes - 1)
    spread = np.sqrt(2 / ((classes - 1) * d) / 200)
    assert abs(statistic.mean() - 1) < 4 * spread


def test_fisher_ratio_at_its_limits():
    labels = [0, 0, 1, 1]
    point = np.array([0.1, 0.7])
    assert np.isnan(fisher_ratio(np.stack([point] * 4), labels))
    assert fisher_ratio(np.stack([point, point, 3 * point, 3 * point]), labels) == np.inf
    assert fisher_ratio(np.stack([point, 3 * point, point, 3 * point]), labels) == 0
    assert np.isfinite(fisher_ratio([[0.0], [1.0], [5.0]], [0, 0, 1]))  # a class of one sample has no spread of its own


def test_class_distances_are_exact_and_invariant(clouds):
    x, labels = clouds
    found = class_distances(x, labels, samples=1000)
    for a in range(3):
        for b in range(3):
            want = fp.wasserstein(x[labels == a], x[labels == b])
            assert float(found.wasserstein[a, b]) == pytest.approx(want, abs=1e-7)
    apart = np.concatenate([x[labels == c] - x[labels == c].mean(0) for c in range(3)])
    assert float(found.within) == pytest.approx(np.sqrt(2 * np.square(apart).sum(1).mean()))
    pairs = found.wasserstein.values[np.triu_indices(3, 1)]
    assert float(found.ratio) == pytest.approx(pairs.mean() / float(found.within))
    again = class_distances(moved(x), labels, samples=1000)
    assert float(again.ratio) == pytest.approx(float(found.ratio), rel=1e-9)
    np.testing.assert_allclose(again.wasserstein, 5 * found.wasserstein, rtol=1e-9)


def test_class_distances_of_two_gaussians_tend_to_the_closed_form():
    rng = np.random.default_rng(5)
    n = 4000
    x = np.r_[rng.normal(size=(n, 1)), 4 + 2 * rng.normal(size=(n, 1))]
    found = class_distances(x, np.repeat([3, 7], n), samples=n)
    assert found["class"].values.tolist() == [3, 7]
    # the mean and the deviation of each class are known up to about σ/√n
    assert float(found.wasserstein[0, 1]) == pytest.approx(np.sqrt(16 + 1), abs=4 * np.sqrt(5 / n))
    assert float(found.within) == pytest.approx(np.sqrt(2 * 2.5), abs=0.1)


def test_class_distances_at_their_limits():
    assert np.isinf(class_distances([[0.0], [0.0], [2.0]], [0, 0, 1]).ratio)
    assert np.isnan(class_distances(np.ones((4, 2)), [0, 0, 1, 1]).ratio)
    few = class_distances(np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 2, samples=10)
    assert few.attrs["samples"] == 10 and np.isfinite(few.ratio)


def test_a_linear_probe_is_right_as_often_as_the_best_plane():
    """Two normals at ±1: the best plane errs with probability Φ(−1)."""
    rng = np.random.default_rng(1)
    n = 4000
    labels = rng.integers(0, 2, 2 * n)
    x = rng.normal(size=(2 * n, 3)) + np.array([1.0, 0.0, 0.0]) * (2 * labels[:, None] - 1)
    found = linear_probe(x[:n], labels[:n], test=x[n:], test_labels=labels[n:])
    assert found == pytest.approx(norm.cdf(1), abs=4 * np.sqrt(norm.cdf(1) * norm.cdf(-1) / n))
    scales, shift = np.array([1e-6, 1e3, 40.0]), np.array([3.0, 0.0, -9.0])
    rescaled = linear_probe(x[:n] * scales + shift, labels[:n], test=x[n:] * scales + shift, test_labels=labels[n:])
    assert rescaled == pytest.approx(found, abs=2 / n)


def test_probes_are_at_chance_on_shuffled_labels_and_see_what_is_there(clouds):
    rng = np.random.default_rng(2)
    x, labels = clouds
    x = moved(x, 1)
    shuffled = rng.permutation(labels)
    for reader in (linear_probe, neighbour_accuracy):
        assert reader(x[:120], labels[:120], test=x[120:], test_labels=labels[120:]) > 0.6
        # chance, up to four standard deviations of the count of the commonest class
        assert reader(x[:120], shuffled[:120], test=x[120:], test_labels=shuffled[120:]) < 0.45 + 4 * 0.5 / np.sqrt(120)


def test_neighbours_vote_as_if_counted_by_hand(clouds):
    x, labels = clouds
    known, new = x[:150], x[150:]
    near = np.square(new[:, None] - known).sum(2).argsort(1)[:, :3]
    votes = np.array([np.bincount(row, minlength=3).argmax() for row in labels[:150][near]])
    assert neighbour_accuracy(known, labels[:150], test=new, test_labels=labels[150:], k=3) == (votes == labels[150:]).mean()
    turned = moved(x, 4)
    assert (
        neighbour_accuracy(turned[:150], labels[:150], test=turned[150:], test_labels=labels[150:], k=3)
        == (votes == labels[150:]).mean()
    )


def test_constant_features_leave_the_commonest_class():
    constant, labels = np.full((6, 2), 0.1), [0, 1, 1, 1, 0, 1]
    assert linear_probe(constant, labels, test=constant, test_labels=labels) == pytest.approx(4 / 6)


def test_batches_and_kinds_come_back(clouds):
    x, labels = clouds
    batch = np.stack([x, 2 * x + np.random.default_rng(0).normal(size=x.shape)])
    ratios = fisher_ratio(batch, labels)
    assert ratios.shape == (2,) and ratios[1] == pytest.approx(fisher_ratio(batch[1], labels))
    named = xr.DataArray(batch, dims=("replica", "sample", "unit"), coords={"replica": [4, 5]})
    assert fisher_ratio(named, labels).coords["replica"].values.tolist() == [4, 5]
    assert class_distances(named, labels).ratio.dims == ("replica",)
    tensor = torch.from_numpy(batch).float()
    answer = fisher_ratio(tensor, torch.from_numpy(labels))
    assert isinstance(answer, torch.Tensor) and answer.dtype == torch.float32
    for reader in (linear_probe, neighbour_accuracy):
        found = reader(batch[:, :120], labels[:120], test=batch[:, 120:], test_labels=labels[120:])
        assert found[1] == reader(batch[1, :120], labels[:120], test=batch[1, 120:], test_labels=labels[120:])


def test_what_is_refused(clouds):
    x, labels = clouds
    hole = np.where(np.arange(4) == 2, np.nan, x)
    for measure in (fisher_ratio, class_distances):
        with pytest.raises(InputError, match="x: found 240 values that are NaN"):
            measure(hole, labels)
        with pytest.raises(InputError, match=r"labels: found one class only \(2\)"):
            measure(x, np.full(240, 2))
        with pytest.raises(InputError, match=r"labels: found shape \(239,\), expected shape \(240,\)"):
            measure(x, labels[1:])
        with pytest.raises(InputError, match=r"labels: found values that are not whole numbers"):
            measure(x, labels + 0.5)
        with pytest.raises(InputError, match=r"x: found shape \(0, 4\)"):
            measure(x[:0], labels[:0])
    for reader in (linear_probe, neighbour_accuracy):
        with pytest.raises(InputError, match="train_labels: found one class only"):
            reader(x, np.zeros(240, int), test=x, test_labels=labels)
        with pytest.raises(InputError, match=r"test: found shape \(240, 3\), expected the batch \(\) and the 4 units"):
            reader(x, labels, test=x[:, :3], test_labels=labels)
        with pytest.raises(InputError, match=r"test_labels: found shape \(239,\)"):
            reader(x, labels, test=x, test_labels=labels[1:])
        with pytest.raises(InputError, match="test: found 240 values that are NaN"):
            reader(x, labels, test=hole, test_labels=labels)
    with pytest.raises(InputError, match="k: found 241, expected 240 or less"):
        neighbour_accuracy(x, labels, test=x, test_labels=labels, k=241)
    with pytest.raises(InputError, match="strength: found 0"):
        linear_probe(x, labels, test=x, test_labels=labels, strength=0)
    with pytest.raises(InputError, match="samples: found 0"):
        class_distances(x, labels, samples=0)


def test_the_fisher_ratio_holds_at_any_scale():
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(60, 2)), np.arange(60) % 2
    expected = fisher_ratio(x, labels)
    for scale in (1e200, 1e-200):
        assert fisher_ratio(x * scale, labels) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("labels", [np.full(4, np.nan), [0.5, 1.5, 0.5, 1.5]])
def test_labels_to_be_found_are_whole_numbers(labels):
    with pytest.raises(InputError, match="test_labels: found labels that are not whole numbers"):
        linear_probe([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1], test=[[0.0], [1.0], [2.0], [3.0]], test_labels=labels)


@pytest.mark.parametrize(("classes", "units"), [(2, 3), (4, 3), (4, 80)])
@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_the_probe_is_scikit_learns(classes, units, strength):
    """Fitted to the same end of the same descent: the same answers, one by one."""
    rng = np.random.default_rng(classes * units)
    labels = rng.integers(0, classes, 120)
    x = rng.normal(size=(120, units)) + rng.normal(size=(classes, units))[labels]
    scaled = (x - x[:60].mean(0)) / x[:60].std(0)
    peer = LogisticRegression(C=1 / strength, max_iter=1000).fit(scaled[:60], labels[:60])
    for k in range(60, 120):
        found = linear_probe(x[:60], labels[:60], test=x[k : k + 1], test_labels=labels[k : k + 1], strength=strength)
        assert found == float(peer.predict(scaled[k : k + 1])[0] == labels[k])


def test_distances_of_many_classes_are_those_of_each_pair():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 90)
    x = rng.normal(size=(90, 7)) + 1000.0 + 3.0 * labels[:, None]
    found = class_distances(x, labels).wasserstein.values
    for a in range(5):
        for b in range(a):
            costs = np.square(x[labels == a][:, None] - x[labels == b]).sum(2)
            n, m = costs.shape
            marginals = np.r_[np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))]
            programmed = linprog(costs.ravel(), A_eq=marginals, b_eq=np.r_[np.full(n, 1 / n), np.full(m, 1 / m)]).fun
            assert found[a, b] == found[b, a] == pytest.approx(programmed**0.5, rel=1e-9)
