"""Matrix-based Rényi information: against explicit kernels and their eigenvalues, bounded, invariant, covering."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles_information import renyi_information
from slower import first_ones

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError

TOLERANCE = 1e-9
QUANTITIES = ("i_xt", "i_ty", "h_t")
VALUES = st.one_of(st.floats(-3, 3, width=32), st.sampled_from([0.0, 0.5, -1.0]))
ORDERS = (0.5, 1.0, 1.01, 2.0, 3.0)


def flags(result):
    return set(Flags.names(result.flags))


def pair_of(seed, n=80, units=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    return x, np.tanh(x @ rng.normal(size=(2, units)) + 0.3 * rng.normal(size=(n, units)))


# -- against the oracle ------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    arrays(np.float64, st.tuples(st.integers(2, 14), st.integers(1, 3)), elements=VALUES),
    st.sampled_from(ORDERS),
    st.sampled_from([0.2, 0.5, 2.0]),
    st.integers(0, 3),
)
def test_against_the_oracle(layer, alpha, bandwidth, kind):
    n = len(layer)
    rng = np.random.default_rng(n)
    labels = np.append([0, 1], rng.integers(0, 3, n - 2))
    known = {"inputs": rng.normal(size=(n, 2))}
    if kind & 1:
        known["probability"] = rng.dirichlet(np.ones(n))
    if kind & 2:
        known["conditional"] = rng.dirichlet(np.ones(3), n)
    result = fp.MatrixRenyi(alpha, bandwidth)(layer, labels, **known)
    expected = renyi_information(layer, alpha, bandwidth, labels=labels, **known)
    # eigenvalues of 0 are found to 1e-16, and below order 1 count with that power: n of them
    allowed = 1e-7 if alpha >= 1 else 1e-5
    for name, value in zip(QUANTITIES, expected, strict=True):
        assert float(result[name]) == pytest.approx(max(value, 0.0), abs=allowed), name


# -- truths and limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", ORDERS)
def test_points_far_apart_are_symbols(alpha):
    """Blocks of equal points: the spectrum is their frequencies, S_α their Rényi entropy, I_α(T;Y) that of y a function."""
    share = np.array([10, 20, 30]) / 60
    t = np.repeat([0.0, 1000.0, 5000.0], [10, 20, 30])[:, None]
    result = fp.MatrixRenyi(alpha, 0.02)(t, np.repeat([0, 1, 1], [10, 20, 30]), inputs=t)
    shannon = -(share * np.log2(share)).sum()
    expected = shannon if alpha == 1 else math.log2((share**alpha).sum()) / (1 - alpha)
    assert float(result.h_t) == pytest.approx(expected, abs=1e-5)
    assert float(result.i_xt) == pytest.approx(expected, abs=1e-5)
    merged = np.array([1 / 6, 5 / 6])
    label_entropy = -(merged * np.log2(merged)).sum() if alpha == 1 else math.log2((merged**alpha).sum()) / (1 - alpha)
    assert float(result.i_ty) == pytest.approx(label_entropy, abs=1e-5)


@pytest.mark.parametrize("alpha", ORDERS)
def test_limits_of_the_bandwidth(alpha):
    x, t = pair_of(0)
    labels = np.arange(80) % 2
    narrow = fp.MatrixRenyi(alpha, 1e-4)(t, labels, inputs=x)
    assert float(narrow.h_t) == pytest.approx(math.log2(80), abs=1e-6)
    assert float(narrow.i_xt) == pytest.approx(math.log2(80), abs=1e-6)
    assert "saturated" in flags(narrow)
    wide = fp.MatrixRenyi(alpha, 1e6)(t, labels, inputs=x)
    # 1 − K is of the order of 1e-12; below order 1 the rest of the spectrum counts by its root
    assert float(wide.h_t) == pytest.approx(0, abs=1e-9 if alpha >= 1 else 1e-4)
    assert float(wide.i_ty) == pytest.approx(0, abs=1e-9 if alpha >= 1 else 1e-4)
    assert "saturated" not in flags(wide)


def test_order_one_is_the_limit():
    x, t = pair_of(1)
    labels = np.arange(80) % 3
    one = fp.MatrixRenyi(1.0)(t, labels, inputs=x)
    for near in (1 - 1e-6, 1 + 1e-6):
        other = fp.MatrixRenyi(near)(t, labels, inputs=x)
        for name in QUANTITIES:
            assert float(other[name]) == pytest.approx(float(one[name]), abs=1e-4)
    two, beside = fp.MatrixRenyi(2.0)(t, labels, inputs=x), fp.MatrixRenyi(2.0 + 1e-9)(t, labels, inputs=x)
    for name in QUANTITIES:
        assert float(beside[name]) == pytest.approx(float(two[name]), abs=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(ORDERS))
def test_bounds(seed, alpha):
    """A Hadamard product with a unit diagonal has no smaller entropy than either factor: I ≤ min(S(X), S(T)), S ≤ log2 n."""
    x, t = pair_of(seed, n=40)
    labels = np.append([0, 1], np.random.default_rng(seed).integers(0, 4, 38))
    estimator = fp.MatrixRenyi(alpha)
    result, of_x = estimator(t, labels, inputs=x), estimator(x)
    counts = np.bincount(labels) / 40
    counts = counts[counts > 0]
    h_y = -(counts * np.log2(counts)).sum() if alpha == 1 else math.log2((counts**alpha).sum()) / (1 - alpha)
    assert 0 <= float(result.i_xt) <= min(float(result.h_t), float(of_x.h_t)) + 1e-6
    assert 0 <= float(result.i_ty) <= min(float(result.h_t), h_y) + 1e-6
    assert float(result.h_t) <= math.log2(40) + 1e-6
    for name in QUANTITIES:
        assert result[f"{name}_lower"] <= result[name] <= result[f"{name}_upper"]


def test_orders_decrease():
    _, t = pair_of(2)
    found = [float(fp.MatrixRenyi(alpha)(t).h_t) for alpha in (0.3, 0.5, 1.0, 1.5, 2.0, 4.0)]
    assert found == sorted(found, reverse=True)


# -- invariances -------------------------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 2.0, 3.0]))
def test_invariances(seed, alpha):
    rng = np.random.default_rng(seed)
    x, t = pair_of(seed, n=60)
    labels = np.append([0, 1, 2], rng.integers(0, 3, 57))
    estimator = fp.MatrixRenyi(alpha)
    base = estimator(t, labels, inputs=x)
    order = rng.permutation(60)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    same = {
        "samples permuted": (t[order], labels[order], x[order]),
        "units permuted": (t[:, ::-1], labels, x),
        "labels renamed": (t, np.array([7, 3, 5])[labels], x),
        "moved": (t + 100, labels, x - 100),
        "rotated": (t @ turn, labels, x),
        "scaled": (1e-3 * t, labels, 1e6 * x),
        "constant unit added": (np.hstack([t, np.full((60, 1), 0.3)]), labels, x),
        "units all twice": (np.hstack([t, t]), labels, x),
    }
    for name, (values, names, inputs) in same.items():
        result = estimator(values, names, inputs=inputs)
        for quantity in QUANTITIES:
            for end in ("", "_lower", "_upper"):
                key = quantity + end
                assert float(result[key]) == pytest.approx(float(base[key]), abs=1e-6), (name, key)
    assert float(estimator(x, inputs=t).i_xt) == pytest.approx(float(base.i_xt), abs=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_weights(alpha):
    x, t = pair_of(3)
    labels = np.arange(80) % 2
    estimator = fp.MatrixRenyi(alpha)
    plain = estimator(t, labels, inputs=x)
    uniform = estimator(t, labels, inputs=x, probability=np.full(80, 1 / 80))
    repeated = np.append(np.arange(80), np.arange(20))
    doubled = estimator(t[repeated], labels[repeated], inputs=x[repeated])
    weighted = estimator(t, labels, inputs=x, probability=np.where(np.arange(80) < 20, 2, 1) / 100)
    absent = estimator(t, labels, inputs=x, probability=np.where(np.arange(80) < 50, 0.02, 0.0))
    fewer = estimator(t[:50], labels[:50], inputs=x[:50])
    for name in QUANTITIES:
        assert float(uniform[name]) == pytest.approx(float(plain[name]), abs=1e-8)
        assert float(weighted[name]) == pytest.approx(float(doubled[name]), abs=1e-8)
        assert float(absent[name]) == pytest.approx(float(fewer[name]), abs=1e-8)
        assert np.isnan(weighted[f"{name}_lower"])


def test_batches_and_kinds_of_array():
    rng = np.random.default_rng(4)
    x, layer, labels = rng.normal(size=(60, 2)), rng.normal(size=(2, 3, 60, 2)), np.arange(60) % 2
    dims = ("replica", "epoch", "sample", "unit")
    for alpha in (1.5, 2.0):
        estimator = fp.MatrixRenyi(alpha)
        whole = estimator(layer, labels, inputs=x)
        for array in (torch.tensor(layer), xr.DataArray(layer, dims=dims), layer.tolist()):
            assert np.array_equal(estimator(array, torch.tensor(labels), inputs=x).i_xt.values, whole.i_xt.values)
        assert np.allclose(estimator(layer.astype(np.float32), labels, inputs=x).i_xt, whole.i_xt, atol=1e-5)
        for i in range(2):
            for j in range(3):
                alone = estimator(layer[i, j], labels, inputs=x)
                for name in whole.data_vars:
                    assert float(alone[name]) == pytest.approx(float(whole[name][i, j]), abs=1e-8), name


def test_hard_rule_equals_hard_labels():
    _, t = pair_of(5)
    labels = np.arange(80) % 3
    for alpha in (1.0, 2.0):
        by_rule, by_labels = fp.MatrixRenyi(alpha)(t, conditional=np.eye(3)[labels]), fp.MatrixRenyi(alpha)(t, labels)
        assert float(by_rule.i_ty) == pytest.approx(float(by_labels.i_ty), abs=TOLERANCE)


# -- coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("correlation", "bandwidth"), first_ones(2, [(0.6, 0.5), (0.6, 1.0), (0.0, 0.5), (0.9, 0.5)]))
def test_intervals_cover_normals(correlation, bandwidth):
    """Order 2 in the limit: E exp(−d²/h²) of normals, det(I + 2·2R/h²)^−½, s² = 1; within in 90 % of 200 draws."""
    n = 300
    own = (1 + 4 / bandwidth**2) ** -0.5
    both = np.linalg.det(np.eye(2) + 4 / bandwidth**2 * np.array([[1, correlation], [correlation, 1]])) ** -0.5
    truth = {"i_xt": max(0.0, -2 * math.log2(own) + math.log2(both)), "h_t": -math.log2(own)}
    within, kept = dict.fromkeys(truth, 0), 0
    for seed in range(200):
        rng = np.random.default_rng([seed, n])
        x = rng.normal(size=(n, 1))
        t = correlation * x + math.sqrt(1 - correlation**2) * rng.normal(size=(n, 1))
        result = fp.MatrixRenyi(2.0, bandwidth)(t, inputs=x)
        if flags(result) != {"no_labels"}:
            continue
        kept += 1
        for name, value in truth.items():
            within[name] += float(result[f"{name}_lower"]) <= value <= float(result[f"{name}_upper"])
    assert kept > 180
    for name, count in within.items():
        assert count / kept >= 0.9, (name, count, kept)


def test_intervals_cover_classes():
    """Order 2, y one of two normals ±1: the kernel within a class and between them in closed form."""
    n, bandwidth = 300, 0.5
    width = bandwidth**2 * 2.0  # s² = 1 + 1
    same = (1 + 4 / width) ** -0.5
    other = same * math.exp(-4 / (width + 4))
    # E exp(−d²/w), d ~ N(m, 2): (1 + 4/w)^−½ exp(−m²/(w + 4)), m = 2 between the classes
    truth = -math.log2((same + other) / 2) - math.log2(0.5) + math.log2(same / 2)
    within = []
    for seed in range(200):
        rng = np.random.default_rng([seed, 5])
        labels = rng.integers(0, 2, n)
        result = fp.MatrixRenyi(2.0, bandwidth)(rng.normal(size=(n, 1)) + 2 * labels[:, None] - 1, labels)
        assert flags(result) == {"no_inputs"}
        within.append(float(result.i_ty_lower) <= truth <= float(result.i_ty_upper))
    assert np.mean(within) >= 0.9


# -- flags and mistakes ------------------------------------------------------------------------------------------------


def test_flags():
    x, t = pair_of(6, n=200)
    labels = np.arange(200) % 2
    for alpha in (1.5, 2.0):
        estimator = fp.MatrixRenyi(alpha)
        assert flags(estimator(t, labels, inputs=x)) == set()
        assert flags(estimator(t, labels)) == {"no_inputs"}
        assert flags(estimator(t, inputs=x)) == {"no_labels"}
        assert np.isnan(estimator(t, labels).i_xt)
        assert np.isnan(estimator(t, inputs=x).i_ty)
        assert flags(fp.MatrixRenyi(alpha, 0.001)(t, labels, inputs=x)) == {"saturated"}
        assert flags(estimator(np.hstack([t, np.ones((200, 1))]), labels, inputs=x)) == {"constant_units"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0}, "alpha: found 0"),
        ({"alpha": -1}, "alpha: found -1"),
        ({"alpha": math.inf}, "alpha: found inf"),
        ({"alpha": math.nan}, "alpha: found nan"),
        ({"alpha": "2"}, "alpha: found '2'"),
        ({"alpha": True}, "alpha: found True"),
        ({"bandwidth": 0.0}, "bandwidth: found 0.0"),
        ({"bandwidth": None}, "bandwidth: found None"),
        ({"bandwidth": [0.1]}, "bandwidth: found"),
    ],
)
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fp.MatrixRenyi(**arguments)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_small_and_odd_samples(alpha):
    estimator = fp.MatrixRenyi(alpha)
    two = estimator([[0], [1]], [3, 4], inputs=[0, 1])
    assert 0 <= float(two.i_ty) <= 1
    one = estimator([[0.5]], inputs=[[1.0]])
    assert float(one.h_t) == pytest.approx(0, abs=TOLERANCE)
    flat = estimator(np.ones((10, 2)), np.arange(10) % 2, inputs=np.arange(10))
    assert float(flat.h_t) == pytest.approx(0, abs=1e-6)
    assert float(flat.i_ty) == pytest.approx(0, abs=1e-6)
    assert "constant_units" in flags(flat)
    for scale in (1e-100, 1e100):
        _, t = pair_of(7)
        assert float(estimator(scale * t).h_t) == pytest.approx(float(estimator(t).h_t), abs=1e-6)


def test_large_samples_are_worked_on_by_blocks(monkeypatch):
    x, t = pair_of(8)
    labels = np.arange(80) % 3
    whole = fp.MatrixRenyi()(t, labels, inputs=x)
    monkeypatch.setattr("flowplane.core.points.CACHED_BYTES", 8 * 80 * 7)
    monkeypatch.setattr("flowplane.core.points.FEWEST_ROWS", 1)
    parts = fp.MatrixRenyi()(t, labels, inputs=x)
    for name in whole.data_vars:
        assert float(parts[name]) == pytest.approx(float(whole[name]), abs=TOLERANCE)
