"""Bounds from pairwise distances: against the oracle, in order, in their limits, invariant, and covering normals' truth."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles_information import noisy_information, pairwise_information

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.monte_carlo import MonteCarlo
from flowplane.information.pairwise import drawn_rows

TOLERANCE = 1e-9
QUANTITIES = ("i_xt", "i_ty", "h_t")
VALUES = st.one_of(st.floats(-3, 3, width=32), st.sampled_from([0.0, 0.5, -1.0]))
BOUNDS = ("upper", "lower")


def flags(result):
    return set(Flags.names(result.flags))


def layer_of(seed, n=150, units=3, batch=()):
    return np.tanh(np.random.default_rng(seed).normal(size=(*batch, n, units)))


def orthogonal(seed, units):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(units, units)))[0]


# -- against the oracle ------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=VALUES),
    st.sampled_from([0.05, 0.7, 4.0]),
    st.sampled_from(BOUNDS),
    st.integers(0, 7),
)
def test_against_the_oracle(layer, variance, bound, kind):
    n = len(layer)
    rng = np.random.default_rng(n)
    labels = np.append([0, 1], rng.integers(0, 3, n - 2))
    known = {}
    if kind & 1:
        known["probability"] = rng.dirichlet(np.ones(n))
    if kind & 2:
        known["conditional"] = rng.dirichlet(np.ones(3), n)
    if kind & 4:
        known["inputs"] = rng.integers(0, 2, (n, 2))
    result = fp.Pairwise(variance, bound=bound)(layer, labels, **known)
    expected = pairwise_information(layer, variance, bound=bound, labels=labels, **known)
    for name, value in zip(QUANTITIES, expected, strict=True):
        floor = value if name == "h_t" else max(value, 0.0)
        assert float(result[name]) == pytest.approx(floor, abs=1e-8), name


@settings(max_examples=25)
@given(arrays(np.float64, st.integers(3, 10), elements=VALUES), st.sampled_from([0.05, 0.5, 3.0]), st.booleans())
def test_the_truth_lies_between_the_bounds(places, variance, soft):
    """The interval holds the information of these samples, integrated by a fine sum: I(X;T+Z), I(T+Z;Y) and h(T+Z)."""
    n = len(places)
    rng = np.random.default_rng(n)
    labels = np.arange(n) % 2
    known = {"conditional": rng.dirichlet(np.ones(2), n)} if soft else {}
    truth = noisy_information(places, variance, labels=labels, **known)
    by_bound = {bound: fp.Pairwise(variance, bound=bound)(places[:, None], labels, **known) for bound in BOUNDS}
    assert float(by_bound["lower"].i_xt) - 1e-6 <= truth[0] <= float(by_bound["upper"].i_xt) + 1e-6
    assert float(by_bound["lower"].h_t) - 1e-6 <= truth[2] <= float(by_bound["upper"].h_t) + 1e-6
    for result in by_bound.values():
        for name, value in zip(QUANTITIES, truth, strict=True):
            assert float(result[f"{name}_lower"]) - 1e-6 <= value <= float(result[f"{name}_upper"]) + 1e-6, name


@pytest.mark.parametrize("units", [1, 2, 8])
@pytest.mark.parametrize("variance", [0.01, 0.1, 1.0])
def test_bounds_in_order_around_monte_carlo(units, variance):
    layer, labels = layer_of(units, n=300, units=units), np.arange(300) % 3
    lower, upper = (fp.Pairwise(variance, bound=bound)(layer, labels) for bound in ("lower", "upper"))
    exact = MonteCarlo(variance, draws=16)(layer, labels)
    assert float(lower.i_xt) <= float(exact.i_xt_upper)
    assert float(exact.i_xt_lower) <= float(upper.i_xt)
    assert float(lower.h_t) <= float(exact.h_t_upper)
    assert float(exact.h_t_lower) <= float(upper.h_t)
    assert float(upper.i_ty_lower) <= float(exact.i_ty) <= float(upper.i_ty_upper)


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", BOUNDS)
def test_without_noise_every_sample_is_known(bound):
    n = 128
    layer, labels = np.arange(n)[:, None] + 0.0, np.arange(n) % 4
    result = fp.Pairwise(1e-4, bound=bound)(layer, labels)
    assert float(result.i_xt) == pytest.approx(math.log2(n), abs=TOLERANCE)
    assert float(result.i_ty) == pytest.approx(2.0, abs=TOLERANCE)
    assert flags(result) == {"saturated"}


@pytest.mark.parametrize("bound", BOUNDS)
def test_in_much_noise_nothing_is_known(bound):
    """ln(1 + x) ≤ x: I(X;T+Z) ≤ mean squared distance / 2σ², in nats."""
    layer, labels = layer_of(0), np.arange(150) % 2
    result = fp.Pairwise(1e6, bound=bound)(layer, labels)
    limit = 2 * layer.var(0).sum() / 2e6 / math.log(2)
    assert 0 <= float(result.i_xt) <= 1.01 * limit
    assert 0 <= float(result.i_ty) <= 1.01 * limit
    assert flags(result) == {"width_limited"}  # all that is left is a sum over units


def test_two_points():
    """Of two points d apart the upper bound is 1 − log2(1 + exp(−d²/2σ²)), the lower 1 − log2(1 + exp(−d²/8σ²))."""
    for apart in (0.1, 1.0, 3.0):
        for bound, width in (("upper", 2.0), ("lower", 8.0)):
            result = fp.Pairwise(0.5, bound=bound)([[0.0], [apart]], [0, 1])
            expected = 1 - math.log2(1 + math.exp(-(apart**2) / (width * 0.5)))
            assert float(result.i_xt) == pytest.approx(expected, abs=TOLERANCE)
            assert float(result.i_ty) == pytest.approx(expected, abs=TOLERANCE)


# -- theorems and invariances ------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(BOUNDS))
def test_invariances(seed, bound):
    rng = np.random.default_rng(seed)
    layer = layer_of(seed, n=60)
    labels = np.append([0, 1, 2], rng.integers(0, 3, 57))
    estimator = fp.Pairwise(0.1, bound=bound)
    base = estimator(layer, labels)
    order = rng.permutation(60)
    same = {
        "samples permuted": (layer[order], labels[order]),
        "units permuted": (layer[:, ::-1], labels),
        "labels renamed": (layer, np.array([7, 3, 5])[labels]),
        "moved": (layer + 1e3, labels),
        "rotated": (layer @ orthogonal(seed, 3), labels),
    }
    for name, (values, names) in same.items():
        result = estimator(values, names)
        for quantity in QUANTITIES:
            for end in ("", "_lower", "_upper"):
                assert float(result[quantity + end]) == pytest.approx(float(base[quantity + end]), abs=1e-6), name
    wider = estimator(np.hstack([layer, np.full((60, 1), 0.3)]), labels)
    assert float(wider.i_xt) == pytest.approx(float(base.i_xt), abs=TOLERANCE)
    assert float(wider.i_ty) == pytest.approx(float(base.i_ty), abs=TOLERANCE)
    assert float(wider.h_t) == pytest.approx(float(base.h_t) + 0.5 * math.log2(2 * math.pi * math.e * 0.1), abs=TOLERANCE)
    scaled = fp.Pairwise(0.9, bound=bound)(3 * layer, labels)
    assert float(scaled.i_xt) == pytest.approx(float(base.i_xt), abs=TOLERANCE)
    assert float(scaled.i_ty) == pytest.approx(float(base.i_ty), abs=TOLERANCE)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(BOUNDS))
def test_contractions_lose_information(seed, bound):
    """No distance grows under a map of slope at most 1, nor where units are dropped: neither bound does."""
    layer = 2 * np.random.default_rng(seed).normal(size=(50, 4))
    estimator = fp.Pairwise(0.3, bound=bound)
    chain = [layer, np.tanh(layer), np.maximum(np.tanh(layer), 0), 0.5 * np.maximum(np.tanh(layer), 0)[:, :2]]
    found = [float(estimator(values).i_xt) for values in chain]
    assert found == sorted(found, reverse=True)
    louder = [float(fp.Pairwise(variance, bound=bound)(layer).i_xt) for variance in (0.01, 0.1, 1.0, 10.0)]
    assert louder == sorted(louder, reverse=True)
    assert found[0] <= math.log2(50) + TOLERANCE


def test_no_more_than_entropies():
    layer = layer_of(3)
    labels = (np.arange(150) % 10 == 0).astype(int)
    for variance in (1e-4, 0.01, 1.0):
        for bound in BOUNDS:
            result = fp.Pairwise(variance, bound=bound)(layer, labels)
            for end in ("_lower", "", "_upper"):
                assert 0 <= float(result[f"i_ty{end}"]) <= 1  # two classes, however frequent they are in the population
            assert 0 <= float(result.i_xt) <= math.log2(150) + TOLERANCE
            for name in QUANTITIES:
                assert result[f"{name}_lower"] <= result[name] <= result[f"{name}_upper"]


def test_repeated_inputs_are_one_x():
    """Where equal inputs have equal T they are one x of double weight; where T differs within an x, less is known of x."""
    few = layer_of(4, n=40)
    twice, names = np.vstack([few, few]), np.tile(np.arange(40), 2)[:, None]
    for bound in BOUNDS:
        estimator = fp.Pairwise(0.05, bound=bound)
        assert float(estimator(twice, inputs=names).i_xt) == pytest.approx(float(estimator(few).i_xt), abs=TOLERANCE)
        noisy = twice + np.random.default_rng(4).normal(size=twice.shape)
        assert float(estimator(noisy, inputs=names).i_xt) < float(estimator(noisy).i_xt)


def test_uniform_weights_change_nothing_and_repeated_samples_are_weights():
    layer, labels = layer_of(5), np.arange(150) % 2
    estimator = fp.Pairwise(0.1)
    uniform, plain = estimator(layer, labels, probability=(1 + 1e-13 * labels) / 150), estimator(layer, labels)
    doubled = estimator(np.vstack([layer, layer[:50]]), np.append(labels, labels[:50]))
    weighted = estimator(layer, labels, probability=np.where(np.arange(150) < 50, 2, 1) / 200)
    for name in QUANTITIES:
        assert float(uniform[name]) == pytest.approx(float(plain[name]), abs=TOLERANCE)
        assert float(weighted[name]) == pytest.approx(float(doubled[name]), abs=TOLERANCE)
        assert np.isnan(weighted[f"{name}_lower"])


def test_weight_zero_is_absence():
    layer, labels = layer_of(6), np.arange(150) % 2
    weights = np.where(np.arange(150) < 100, 0.01, 0.0)
    for variance in (0.1, 1e-4):
        weighted = fp.Pairwise(variance)(layer, labels, probability=weights)
        fewer = fp.Pairwise(variance)(layer[:100], labels[:100])
        for name in QUANTITIES:
            assert float(weighted[name]) == pytest.approx(float(fewer[name]), abs=TOLERANCE)


def test_a_class_that_cannot_occur_changes_nothing():
    layer = layer_of(7)
    rule = np.random.default_rng(7).dirichlet(np.ones(2), 150)
    wider = np.hstack([rule[:, :1], np.zeros((150, 1)), rule[:, 1:]])
    assert float(fp.Pairwise(0.1)(layer, conditional=wider).i_ty) == pytest.approx(
        float(fp.Pairwise(0.1)(layer, conditional=rule).i_ty), abs=TOLERANCE
    )


def test_hard_rule_equals_hard_labels():
    layer, labels = layer_of(8), np.arange(150) % 3
    by_rule = fp.Pairwise(0.1)(layer, conditional=np.eye(3)[labels])
    assert float(by_rule.i_ty) == pytest.approx(float(fp.Pairwise(0.1)(layer, labels).i_ty), abs=TOLERANCE)


def test_batches_and_kinds_of_array():
    layer, labels = layer_of(9, batch=(2, 3)), np.arange(150) % 2
    estimator = fp.Pairwise(0.1)
    whole = estimator(layer, labels)
    dims = ("replica", "epoch", "sample", "unit")
    for array in (torch.tensor(layer), xr.DataArray(layer, dims=dims), layer.tolist()):
        assert np.array_equal(estimator(array, labels).i_xt.values, whole.i_xt.values)
    assert estimator(xr.DataArray(layer, dims=dims), labels).i_xt.dims == ("replica", "epoch")
    single = estimator(layer.astype(np.float32), torch.tensor(labels))
    # a value moved by 2^-25 changes a distance, and so a term of the sum, by no more than 1e-5
    assert np.allclose(single.i_xt, whole.i_xt, atol=1e-5)
    for i in range(2):
        for j in range(3):
            assert float(estimator(layer[i, j], labels).i_ty) == pytest.approx(float(whole.i_ty[i, j]), abs=TOLERANCE)


def test_relative_noise_is_a_share_of_the_mean_variance():
    layer, labels = 7 * layer_of(10), np.arange(150) % 2
    relative = fp.Pairwise(0.1, relative="recording")(layer, labels)
    assert float(relative.noise_variance) == pytest.approx(0.1 * layer.var(0).mean())
    absolute = fp.Pairwise(float(relative.noise_variance))(layer, labels)
    assert float(relative.i_xt) == float(absolute.i_xt)
    assert "relative='recording'" in relative.i_xt.parameters
    moved = fp.Pairwise(0.1, relative="recording")(100 * layer, labels)
    assert float(moved.i_xt) == pytest.approx(float(relative.i_xt), abs=1e-8)
    flat = fp.Pairwise(0.1, relative="recording")(np.ones((20, 2)), np.arange(20) % 2)
    assert float(flat.i_xt) == pytest.approx(0, abs=TOLERANCE)


# -- coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("units", "variance"), [(1, 0.1), (3, 0.5), (5, 2.0)])
def test_intervals_cover_the_truth_of_normals(units, variance):
    """½ log2 det(I + Σ/σ²) within in at least 90 % of 200 draws of 250 samples."""
    mixing = np.random.default_rng(0).normal(size=(units, units)) / math.sqrt(units)
    truth = 0.5 * np.linalg.slogdet(np.eye(units) + mixing @ mixing.T / variance)[1] / math.log(2)
    draws = np.random.default_rng(1).normal(size=(200, 250, units)) @ mixing.T
    result = fp.Pairwise(variance)(draws)
    kept = ~((result.flags.values & 1) > 0)
    assert kept.sum() > 100
    within = (result.i_xt_lower.values <= truth) & (truth <= result.i_xt_upper.values)
    assert within[kept].mean() >= 0.9


# -- flags and mistakes ------------------------------------------------------------------------------------------------


def test_flags():
    rng = np.random.default_rng(11)
    layer, labels = rng.normal(size=(300, 2)), np.arange(300) % 2
    estimator = fp.Pairwise(0.3)
    assert flags(estimator(layer, labels)) == set()
    assert flags(fp.Pairwise(1e-5)(layer, labels)) == {"saturated"}
    assert flags(fp.Pairwise(1e-5, bound="lower")(layer, labels)) == {"saturated"}
    assert flags(estimator(np.hstack([layer, np.ones((300, 1))]), labels)) == {"constant_units"}
    unlabelled = estimator(layer)
    assert flags(unlabelled) == {"no_labels"}
    assert np.isnan(unlabelled.i_ty)
    assert np.isfinite(unlabelled.i_xt)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise_variance": 0}, "noise_variance: found 0"),
        ({"noise_variance": -1.0}, "noise_variance: found -1.0"),
        ({"noise_variance": math.inf}, "noise_variance: found inf"),
        ({"noise_variance": math.nan}, "noise_variance: found nan"),
        ({"noise_variance": "0.1"}, "noise_variance: found '0.1'"),
        ({"noise_variance": True}, "noise_variance: found True"),
        ({"noise_variance": None}, "noise_variance: found None"),
        ({"noise_variance": [0.1]}, "noise_variance: found"),
        ({"noise_variance": 0.1, "bound": "uper"}, "did you mean 'upper'"),
        ({"noise_variance": 0.1, "bound": 3}, "bound: found 3"),
    ],
)
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fp.Pairwise(**arguments)


def test_small_and_odd_samples():
    two = fp.Pairwise(0.1)([[0], [1]], [3, 4])
    assert 0 < float(two.i_xt) <= 1
    one = fp.Pairwise(0.1)([[0.5]])
    assert float(one.i_xt) == 0
    flat = fp.Pairwise(0.1)(np.ones((10, 2)), np.arange(10) % 2)
    assert float(flat.i_xt) == pytest.approx(0, abs=TOLERANCE)
    assert float(flat.i_ty) == pytest.approx(0, abs=TOLERANCE)
    huge = fp.Pairwise(0.1)(1e30 * np.arange(10.0)[:, None], np.arange(10) % 2)
    assert float(huge.i_xt) == pytest.approx(math.log2(10))


def test_large_samples_are_worked_on_by_blocks(monkeypatch):
    layer, labels = layer_of(12), np.arange(150) % 3
    inputs = np.arange(150)[:, None] // 3
    whole = fp.Pairwise(0.1)(layer, labels, inputs=inputs)
    monkeypatch.setattr("flowplane.core.points.CACHED_BYTES", 8 * 150 * 7)
    monkeypatch.setattr("flowplane.core.points.FEWEST_ROWS", 1)
    monkeypatch.setattr("flowplane.information.pairwise_kernel.KEPT_BYTES", 0)
    parts = fp.Pairwise(0.1)(layer, labels, inputs=inputs)
    for name in whole.data_vars:
        assert float(parts[name]) == pytest.approx(float(whole[name]), abs=TOLERANCE)


def test_small_classes_stand_alone():
    """Labels that T knows nothing of: with few samples a class and little noise the bounds on I(T;Y) are above 0."""
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(500, 2))
    few, some, many = (rng.integers(0, classes, 500) for classes in (2, 20, 100))
    assert flags(fp.Pairwise(0.1)(layer, few)) == set()
    for labels, variance, expected in ((some, 0.01, "saturated"), (many, 0.1, "too_few_samples")):
        found = fp.Pairwise(variance)(layer, labels)
        assert float(found.i_ty_lower) > 0.2
        assert expected in flags(found)
    assert flags(fp.Pairwise(0.1)(layer)) == {"no_labels"}


def test_noise_in_proportion_to_each_snapshot():
    """Scale and place of a layer do not matter, each member of a batch for itself."""
    rng = np.random.default_rng(0)
    t = rng.normal(size=(60, 3)) @ np.diag([1.0, 0.3, 2.0])
    y = (t[:, 0] > 0).astype(int)
    stacked = np.stack([t, 1e-3 * t + 5.0, 1e4 * t])
    found = fp.Pairwise(0.5, relative="unit")(stacked, y)
    absolute = fp.Pairwise(0.5 * t.var(axis=0).mean())(t, y)
    for name in ("i_xt", "i_ty", "i_xt_lower", "i_ty_upper"):
        np.testing.assert_allclose(found[name], float(absolute[name]), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(found.h_t - found.h_t[0], [0, 3 * np.log2(1e-3), 3 * np.log2(1e4)], atol=1e-6)
    assert "0.5 times the mean variance" in found.i_xt.channel and float(found.relative_noise_variance) == 0.5
    constant = fp.Pairwise(0.5, relative="unit")(np.ones((5, 2)), [0, 1, 0, 1, 0])
    assert float(constant.i_xt) == 0.0
    with pytest.raises(InputError, match="relative: found 'epoch', expected False, 'unit', 'total' or 'recording'"):
        fp.Pairwise(0.5, relative="epoch")


@pytest.mark.parametrize("copies", [1, 3])
def test_drawn_rows_are_read_as_if_they_were_all(copies):
    layer, labels, inputs = layer_of(5), np.arange(150) % 3, np.arange(150)[:, None] // copies
    found = fp.Pairwise(0.1, rows=40)(layer, labels, inputs=inputs, seed=2)
    rows = drawn_rows(40, SimpleNamespace(samples=150, law=False, seed=2, device="cpu")).numpy()
    alone = fp.Pairwise(0.1)(layer[rows], labels[rows], inputs=inputs[rows])
    for name in QUANTITIES:
        assert float(found[name]) == pytest.approx(float(alone[name]), abs=TOLERANCE)
