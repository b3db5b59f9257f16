"""Nearest-neighbour information against the oracle, the truth of known distributions, its invariances and its flags."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles_neighbours import kozachenko_leonenko, ksg, ross
from scipy.stats import norm
from sklearn.feature_selection import mutual_info_classif
from truths import TRUTHS

from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.ksg import KSG
from flowplane.information.sliced import SlicedMI

TOLERANCE = 1e-9
QUANTITIES = ("i_xt", "i_ty", "h_t")
VALUES = st.one_of(st.floats(-2, 2, width=32), st.sampled_from([0.0, 0.5, -1.0]))


def flags(result):
    return set(Flags.names(result.flags))


def normal_pair(seed, n, correlation, dimension=1):
    """x and t, each standard normal, every coordinate correlated with its counterpart; I(X;T) = −d/2 log2(1 − ρ²)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dimension))
    return x, correlation * x + math.sqrt(1 - correlation**2) * rng.normal(size=(n, dimension))


def two_blobs(seed, n, apart, dimension=1):
    """A mixture of two normals whose means are 2·apart from each other, and which one it was."""
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, n - 2))
    t = rng.normal(size=(n, dimension))
    t[:, 0] += apart * (2 * labels - 1)
    return t, labels


def two_blobs_truth(apart):
    """By summing over a fine grid."""
    grid = np.linspace(-12, 12, 100_001)
    density = (norm.pdf(grid - apart) + norm.pdf(grid + apart)) / 2
    return -(density * np.log2(density)).sum() * (grid[1] - grid[0]) - 0.5 * math.log2(2 * math.pi * math.e)


# -- against other implementations -------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(
    arrays(np.float64, st.tuples(st.integers(8, 24), st.integers(2, 6)), elements=VALUES),
    st.integers(1, 5),
    st.integers(2, 4),
)
def test_against_the_oracle(points, k, classes):
    x, t = points[:, : points.shape[1] // 2], points[:, points.shape[1] // 2 :]
    labels = np.arange(len(t)) % classes
    labels[-1] = 9  # a class of one sample
    result = KSG(k, rescale=False)(t, labels, inputs=x)
    assert float(result.i_xt) == pytest.approx(max(0.0, ksg(x, t, k)), abs=TOLERANCE)
    if (t != t[0]).any():
        most = math.log2(len(set(labels)))
        assert float(result.i_ty) == pytest.approx(min(most, max(0.0, ross(t, labels, k))), abs=TOLERANCE)
    with np.errstate(divide="ignore"):
        entropy = kozachenko_leonenko(t, k)
    if (t == t[0]).all(0).any() or not np.isfinite(entropy):
        assert np.isnan(result.h_t)
    else:
        assert float(result.h_t) == pytest.approx(entropy, abs=TOLERANCE)


def test_against_scikit_learn():
    t, labels = two_blobs(0, 300, 1.0)
    labels[:3] = 7  # fewer than k
    labels[3] = 8  # one alone
    for k in (1, 3, 6):
        expected = mutual_info_classif(t, labels, n_neighbors=k, random_state=0)[0] / math.log(2)
        assert float(KSG(k)(t, labels).i_ty) == pytest.approx(expected, abs=1e-9)


# -- truths --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6, 0.9])
def test_normal_pair(correlation):
    n = 2000
    x, t = normal_pair(1, n, correlation)
    result = KSG()(t, inputs=x)
    # four standard deviations of the pointwise information and of ψ(n_x + 1) + ψ(n_t + 1), 1.6 bits together at most
    assert float(result.i_xt) == pytest.approx(-0.5 * math.log2(1 - correlation**2), abs=4 * 1.6 / math.sqrt(n))
    assert float(result.h_t) == pytest.approx(0.5 * math.log2(2 * math.pi * math.e), abs=4 * 1.6 / math.sqrt(n))


def test_nothing_leaves_what_is_possible():
    """Independent x and t, whose bare estimate is as often negative; and two classes, whose bare estimate exceeds a bit."""
    found = [KSG()(normal_pair(seed, 300, 0.0)[1], inputs=normal_pair(seed, 300, 0.0)[0]) for seed in range(40)]
    values = [float(one.i_xt) for one in found]
    assert min(values) == 0 and 10 <= np.count_nonzero(values) <= 30
    assert all(0 <= float(one.i_xt_lower) <= float(one.i_xt) <= float(one.i_xt_upper) for one in found)
    tied = np.repeat([0.0, 1.0, 2.0, 3.0], 50)[:, None]
    for measure in (KSG(), SlicedMI(slices=4)):
        result = measure(tied, np.arange(200) // 100)
        assert 0 <= float(result.i_ty_lower) <= float(result.i_ty) <= float(result.i_ty_upper) <= 1
        assert "ties" in flags(result)


def test_classes_far_apart_give_one_bit():
    t, labels = two_blobs(2, 1000, 20.0)
    share = labels.mean()
    assert float(KSG()(t, labels).i_ty) == pytest.approx(
        -share * math.log2(share) - (1 - share) * math.log2(1 - share), abs=0.01
    )


def test_noise_is_a_channel():
    x = np.random.default_rng(3).normal(size=(2000, 1))
    noisy = KSG(noise_variance=0.25)
    truth = 0.5 * math.log2(1 + 1 / 0.25)
    by_function = KSG(noise_variance=0.25, deterministic=True)(x)
    by_pairs = noisy(x, inputs=x)
    assert by_function.i_xt_lower < truth < by_function.i_xt_upper
    assert by_pairs.i_xt_lower < truth < by_pairs.i_xt_upper
    assert float(by_function.i_xt) == pytest.approx(float(by_function.h_t) - 0.5 * math.log2(2 * math.pi * math.e * 0.25))
    assert by_pairs.i_xt.channel == "Gaussian noise of variance 0.25 added to each unit"
    assert float(noisy(x, inputs=x, seed=1).i_xt) != float(by_pairs.i_xt)
    assert float(noisy(x, inputs=x).i_xt) == float(by_pairs.i_xt)


# -- invariances ---------------------------------------------------------------------------------------------------------


@settings(max_examples=4)
@given(st.integers(0, 10_000))
def test_invariances(seed):
    rng = np.random.default_rng(seed)
    x, t = normal_pair(seed, 120, 0.7, 2)
    labels = np.append([0, 1, 2], rng.integers(0, 3, 117))
    base = KSG(3)(t, labels, inputs=x)
    order = rng.permutation(120)
    same = {
        "samples permuted": (t[order], labels[order], x[order]),
        "units permuted": (t[:, ::-1], labels, x),
        "labels renamed": (t, np.array([7, 3, 5])[labels], x),
        "mirrored and moved": (-t + 2.0**-3, labels, x),
        "x and t scaled alike": (4 * t, labels, 4 * x),
        "constant input added": (t, labels, np.hstack([x, np.ones((120, 1))])),
    }
    for name, (values, names, inputs) in same.items():
        result = KSG(3)(values, names, inputs=inputs)
        for quantity in QUANTITIES:
            more = 4.0 if name == "x and t scaled alike" and quantity == "h_t" else 0.0  # two units, two bits each
            assert float(result[quantity]) == pytest.approx(float(base[quantity]) + more, abs=TOLERANCE), (name, quantity)
    turned = KSG(3)(x, inputs=t)
    assert float(turned.i_xt) == pytest.approx(float(base.i_xt), abs=TOLERANCE)


def test_a_member_does_not_depend_on_the_batch():
    rng = np.random.default_rng(4)
    x, t, labels = rng.normal(size=(150, 2)), rng.normal(size=(2, 3, 150, 2)), np.arange(150) % 3
    for estimator in (KSG(), KSG(noise_variance=0.1)):
        whole = estimator(t, labels, inputs=x)
        assert whole.i_xt.dims == ("batch_0", "batch_1")
        for i, j in np.ndindex(2, 3):
            alone = estimator(torch.tensor(t[i, j]), labels, inputs=x)
            for name in whole.data_vars:
                assert float(alone[name]) == pytest.approx(float(whole[name][i, j]), abs=1e-12), name


# -- intervals -----------------------------------------------------------------------------------------------------------


def covered(case, draws, n=500):
    """How often a quantity lies in its interval where no flag is set; there must be such draws."""
    inside = []
    for seed in range(draws):
        result, quantity, truth = case(seed, n)
        if flags(result) <= {"no_labels", "no_inputs"}:
            inside.append(float(result[f"{quantity}_lower"]) <= truth <= float(result[f"{quantity}_upper"]))
    assert len(inside) > draws / 3
    return np.mean(inside)


def pair_case(correlation, dimension):
    def case(seed, n):
        x, t = normal_pair([seed, n], n, correlation, dimension)
        return KSG()(t, inputs=x, seed=seed), "i_xt", -dimension / 2 * math.log2(1 - correlation**2)

    return case


def dense_normal(seed, n):
    covariance = 0.5 * np.eye(3) + 0.5
    t = np.random.default_rng([seed, n]).normal(size=(n, 3)) @ np.linalg.cholesky(covariance).T
    return KSG()(t, seed=seed), "h_t", 1.5 * math.log2(2 * math.pi * math.e) + 0.5 * math.log2(np.linalg.det(covariance))


def one_and_two(seed, _):
    """Two units, each x and noise of its own: I = ½ log2(1 + 2). Three dimensions ask for a thousand samples."""
    x, first, second = np.random.default_rng([seed, 3]).normal(size=(3, 1000, 1))
    return KSG()(np.hstack([x + first, x + second]), inputs=x, seed=seed), "i_xt", 0.5 * math.log2(3)


def blobs_case(apart, dimension):
    truth = two_blobs_truth(apart)

    def case(seed, n):
        t, labels = two_blobs([seed, n], n, apart, dimension)
        return KSG()(t, labels, seed=seed), "i_ty", truth

    return case


CASES = {
    "pair": pair_case(0.6, 1),
    "independent": pair_case(0.0, 1),
    "strong": pair_case(0.95, 1),
    "one and two": one_and_two,
    "dense normal": dense_normal,
    "blobs": blobs_case(1.0, 1),
    "blobs in five": blobs_case(1.0, 5),
    "blobs in ten": blobs_case(1.0, 10),
}


@pytest.mark.parametrize("name", ["pair", "dense normal", "blobs"])
def test_intervals_hold_the_truth(name):
    # 0.95 less three standard deviations of 40 draws
    assert covered(CASES[name], 40) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_intervals_hold_the_truth_in_nine_of_ten_draws(name):
    assert covered(CASES[name], 200) >= 0.9


# -- flags ---------------------------------------------------------------------------------------------------------------


def test_flags():
    rng = np.random.default_rng(5)
    x, t = normal_pair(5, 400, 0.6)
    wide = rng.normal(size=(400, 2))
    labels = np.arange(400) % 2
    assert flags(KSG()(t, labels, inputs=x)) == set()
    assert flags(KSG()(t, inputs=x)) == {"no_labels"}
    assert flags(KSG()(t, labels)) == {"no_inputs"}
    assert flags(KSG(deterministic=True)(t, labels, inputs=x)) == {"deterministic"}
    assert flags(KSG(deterministic=True, noise_variance=0.1)(t, labels)) == set()
    assert flags(KSG()(np.maximum(t, 0), labels, inputs=x)) == {"ties"}
    assert flags(KSG()(t, labels, inputs=x.round(2))) == {"ties"}
    assert flags(KSG(noise_variance=0.1)(np.maximum(t, 0), labels, inputs=x)) == set()
    assert flags(KSG()(t[:40], labels[:40], inputs=x[:40])) == {"too_few_samples"}
    assert flags(KSG()(t, np.where(np.arange(400) < 3, 5, labels), inputs=x)) == {"too_few_samples"}
    assert flags(KSG()(wide, labels, inputs=rng.normal(size=(400, 5)))) == set()
    assert flags(KSG()(wide, labels, inputs=rng.normal(size=(400, 12)))) == {"too_few_samples"}
    assert flags(KSG()(t[:60], labels[:60], inputs=x[:60])) == {"too_few_samples"}
    assert flags(KSG()(np.hstack([t, np.ones((400, 1))]), labels, inputs=x)) == {"constant_units"}
    assert flags(KSG()(t, labels, inputs=x, probability=np.arange(1, 401) / 80200)) == {"weighted"}


def test_drift_beyond_the_error_is_flagged():
    x, t = normal_pair(6, 400, 0.99999)
    assert flags(KSG()(t, np.arange(400) % 2, inputs=x)) == {"too_few_samples"}


def test_many_dimensions_and_long_tails_are_flagged():
    rng = np.random.default_rng(9)
    x, t = rng.normal(size=(2, 2000, 2))
    assert flags(KSG()(t, inputs=x)) == {"no_labels"}
    spiral = TRUTHS["spiral"].sample(2000, 0)
    assert flags(KSG()(spiral.activations, inputs=spiral.inputs)) == {"no_labels", "too_few_samples"}
    parity = TRUTHS["parity-3"].sample(2000, 0)
    assert flags(KSG()(parity.activations, parity.labels)) == {"no_inputs", "too_few_samples"}
    student = rng.standard_t(1.5, size=(2000, 1))
    assert flags(KSG()(student, inputs=x[:, :1])) == {"no_labels", "heavy_tails"}
    assert flags(KSG()(student, x[:, 0] > 0)) == {"no_inputs"}


def test_a_few_repeated_points_are_ties():
    x, t = normal_pair(7, 400, 0.6)
    repeated = t.copy()
    repeated[:6] = repeated[0]
    result = KSG()(repeated, np.arange(400) % 2, inputs=x)
    assert flags(result) == {"ties"}
    assert np.isnan(float(result.h_t))


def test_constant_layer_tells_nothing():
    x = np.random.default_rng(8).normal(size=(100, 2))
    result = KSG()(np.ones((100, 3)), np.arange(100) % 2, inputs=x)
    assert {"constant_units", "ties"} <= flags(result)
    assert float(result.i_xt) == pytest.approx(0, abs=TOLERANCE)
    assert float(result.i_ty) == 0
    assert np.isnan(float(result.h_t))


def test_a_constant_unit_changes_no_information():
    x, t = normal_pair(9, 200, 0.6)
    labels = np.arange(200) % 2
    alone, beside = KSG()(t, labels, inputs=x), KSG()(np.hstack([t, np.ones((200, 1))]), labels, inputs=x)
    assert float(alone.i_xt) == pytest.approx(float(beside.i_xt), abs=1e-12)
    assert float(alone.i_ty) == pytest.approx(float(beside.i_ty), abs=1e-12)
    assert np.isnan(float(beside.h_t))  # −∞: T lies in a plane


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_few_samples_for_k(n):
    result = KSG(4)(np.arange(2.0 * n).reshape(n, 2), inputs=np.arange(float(n)))
    assert "too_few_samples" in flags(result)
    assert all(np.isnan(float(result[name])) for name in QUANTITIES)


def test_classes_of_one_sample_each():
    result = KSG(1)(np.random.default_rng(0).normal(size=(30, 1)), np.arange(30))
    assert "too_few_samples" in flags(result)
    assert np.isnan(float(result.i_ty))


# -- form ----------------------------------------------------------------------------------------------------------------


def test_schema():
    x, t = normal_pair(10, 200, 0.6)
    result = KSG(3, noise_variance=0.5)(t, np.arange(200) % 2, inputs=x)
    for name in QUANTITIES:
        assert result[f"{name}_lower"] <= result[name] <= result[f"{name}_upper"]
    assert result.i_xt.parameters == "k=3, noise_variance=0.5, rescale=True"
    assert (result.i_xt.units, result.i_xt.bound, result.i_xt.estimator) == ("bits", "estimate", "KSG")
    assert KSG()(t).i_xt.channel == "none"
    drawn = KSG()(t, conditional=np.full((200, 2), 0.5))
    assert drawn.i_ty.labels == "labels drawn from the soft rule p(y|x)"
    assert np.isfinite(float(drawn.i_ty))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k: found 0"),
        ({"k": 2.5}, "k: found 2.5"),
        ({"k": True}, "k: found True"),
        ({"noise_variance": 0}, "noise_variance: found 0"),
        ({"noise_variance": -1.0}, "noise_variance: found -1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        KSG(**arguments)


def test_nothing_is_changed_in_place():
    x, t = normal_pair(11, 100, 0.6)
    copies = x.copy(), t.copy()
    KSG(noise_variance=0.1)(t, inputs=x)
    assert np.array_equal(x, copies[0])
    assert np.array_equal(t, copies[1])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_unequal_scales_are_flagged(scale):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 1))
    t = scale * (x + 0.3 * rng.normal(size=(300, 1)))
    labels, unequal = (x[:, 0] > 0) * 1, scale != 1.0
    bare = KSG(rescale=False)
    assert ("unequal_scales" in flags(bare(t, labels, inputs=x))) == unequal
    assert "unequal_scales" not in flags(bare(t, labels)) | flags(KSG()(t, labels, inputs=x))
    both = np.hstack([t, rng.normal(size=(300, 1)), np.ones((300, 1))])
    assert ("unequal_scales" in flags(bare(both, labels))) == unequal
    assert ("unequal_scales" in flags(SlicedMI(bare, slices=4)(t, labels, inputs=x))) == unequal


@pytest.mark.parametrize("name", ["nuisance-1-1", "nuisance-4-1", "nuisance-4-8", "nuisance-15-1"])
def test_units_of_noise(name):
    """One unit tells the class, others are noise, of any scale: within, or flagged where they are too many."""
    truth = TRUTHS[name]
    for seed in range(8):
        _, t, y = truth.sample(1000, seed)
        found = KSG()(t, y)
        assert float(found.i_ty_lower) <= truth.i_ty <= float(found.i_ty_upper) or "too_few_samples" in flags(found)
        assert ("too_few_samples" in flags(found)) == (t.shape[1] > 15)


def test_the_scale_of_a_unit_is_nothing():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 1000, 1))
    t = np.hstack([(x + y) / 2, rng.normal(size=(1000, 1))])
    plain, scaled = KSG()(t, y[:, 0] > 0, inputs=x), KSG()(t * [1e3, 1e-5], y[:, 0] > 0, inputs=12 * x)
    for name in ("i_xt", "i_xt_lower", "i_xt_upper", "i_ty", "i_ty_lower", "i_ty_upper"):
        assert float(scaled[name]) == pytest.approx(float(plain[name]), abs=5e-3)
    assert float(scaled.h_t) == pytest.approx(float(plain.h_t) + np.log2(1e-2), abs=5e-3)
