"""The information through noise, integrated: against a fine sum, between the bounds, in its limits."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles_information import noisy_information

from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.monte_carlo import MonteCarlo

TOLERANCE = 1e-9
QUANTITIES = ("i_xt", "i_ty", "h_t")
VALUES = st.floats(-3, 3, width=32)
DRAWS = 400


def flags(result):
    return set(Flags.names(result.flags))


def layer_of(seed, n=150, units=3, batch=()):
    return np.tanh(np.random.default_rng(seed).normal(size=(*batch, n, units)))


@settings(max_examples=25)
@given(arrays(np.float64, st.integers(3, 9), elements=VALUES), st.sampled_from([0.05, 0.5, 3.0]), st.integers(0, 3))
def test_against_a_fine_sum(places, variance, kind):
    """Within five standard errors, which are the interval's own, 1.96 of them to a side."""
    n = len(places)
    rng = np.random.default_rng(n)
    known = {"conditional": rng.dirichlet(np.ones(3), n)} if kind & 1 else {"labels": np.arange(n) % 2}
    if kind & 2:
        known["probability"] = rng.dirichlet(np.ones(n))
    truth = noisy_information(places, variance, **known)
    result = MonteCarlo(variance, DRAWS)(places[:, None], **known)
    for name, value in zip(QUANTITIES, truth, strict=True):
        reach = float(result[f"{name}_upper"] - result[f"{name}_lower"]) / 2
        # the interval of I(T;Y) is cut at 0 and at H(Y): the error of −log2 p(y|t) stays below that of H(Y);
        # noise rarer than one draw in all is not seen, and worth a few bits each time
        allowed = 5 / 1.96 * reach + 4 / (n * DRAWS) if name != "i_ty" else 5 * 1.6 / math.sqrt(DRAWS)
        assert float(result[name]) == pytest.approx(value, abs=allowed), name


@pytest.mark.slow
def test_intervals_cover_the_integral():
    """95 % of 200 seeds, within three standard deviations of a share: for one draw of the noise and for several."""
    places = np.random.default_rng(0).normal(size=60)
    labels = (places > 0).astype(int)
    truth = noisy_information(places, 0.3, labels=labels)
    for draws in (1, 8):
        found = [MonteCarlo(0.3, draws)(places[:, None], labels, seed=seed) for seed in range(200)]
        for name, value in zip(QUANTITIES, truth, strict=True):
            within = [float(one[f"{name}_lower"]) <= value <= float(one[f"{name}_upper"]) for one in found]
            assert np.mean(within) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 200), (name, draws)
            values = [float(one[name]) for one in found]
            assert np.mean(values) == pytest.approx(value, abs=4 * np.std(values) / math.sqrt(200)), (name, draws)


def test_limits():
    n = 128
    layer, labels = np.arange(n)[:, None] + 0.0, np.arange(n) % 4
    certain = MonteCarlo(1e-6)(layer, labels)
    # exponents of the order of (64/σ)², in float64
    assert float(certain.i_xt) == pytest.approx(math.log2(n), abs=1e-6)
    assert float(certain.i_ty) == pytest.approx(2.0, abs=TOLERANCE)
    assert flags(certain) == {"saturated"}
    nothing = MonteCarlo(1e9, 8)(layer, labels)
    # I ≤ ½ log2(1 + Var/σ²); each term of the integral is of the order of |t|/σ times a standard normal
    reach = 5 * n / math.sqrt(1e9) / math.log(2)
    assert abs(float(nothing.i_xt)) <= reach
    assert 0 <= float(nothing.i_ty) <= reach
    assert flags(nothing) == set()


@pytest.mark.parametrize("variance", [1e-10, 1e-14, 1e-20])
def test_hardly_any_noise(variance):
    """However far apart in units of σ, each sample is known: from its own centre it is the noise away, no more."""
    result = MonteCarlo(variance)(np.arange(128)[:, None] + 0.0, np.arange(128) % 4)
    assert float(result.i_xt) == pytest.approx(7.0, abs=1e-3)
    assert float(result.i_ty) == pytest.approx(2.0, abs=1e-3)


def test_samples_far_apart():
    result = MonteCarlo(0.1)(1e9 * np.random.default_rng(10).normal(size=(50, 2)), np.arange(50) % 2)
    assert float(result.i_xt) == pytest.approx(math.log2(50), abs=1e-6)
    assert float(result.i_ty) == pytest.approx(1.0, abs=1e-6)


def test_two_points_by_the_textbook():
    """Binary input, Gaussian noise: C(1) = 0.4859 bits at an amplitude of one standard deviation (Proakis)."""
    result = MonteCarlo(1.0, 10_000)([[-1.0], [1.0]], [0, 1])
    assert float(result.i_xt) == pytest.approx(0.4859, abs=5 / math.sqrt(20_000) + 5e-5)
    assert float(result.i_ty) == pytest.approx(0.4859, abs=5 / math.sqrt(20_000) + 5e-5)


def test_normals_many_samples():
    """½ log2(1 + 1/σ²), up to the finite sample."""
    n, variance = 4000, 0.5
    layer = np.random.default_rng(2).normal(size=(n, 1))
    result = MonteCarlo(variance)(layer)
    # the variance of −log2 p(t+z) of a normal is ½/ln² 2
    error = math.sqrt(0.5 / n) / math.log(2)
    assert float(result.i_xt) == pytest.approx(0.5 * math.log2(1 + 1 / variance), abs=5 * error)


def test_less_noise_or_more_units_is_more_information():
    layer, labels = layer_of(3, units=4), np.arange(150) % 2
    by_noise = [MonteCarlo(variance, 20)(layer, labels) for variance in (0.01, 0.1, 1.0, 10.0)]
    for less, more in itertools.pairwise(by_noise):
        assert float(more.i_xt_lower) <= float(less.i_xt_upper)
        assert float(more.i_xt) < float(less.i_xt)
    fewer = MonteCarlo(0.1, 20)(layer[:, :2], labels)
    assert float(fewer.i_xt) < float(by_noise[1].i_xt)
    for one in by_noise:
        assert float(one.i_xt) <= math.log2(150) + TOLERANCE
        assert 0 <= float(one.i_ty) <= min(1.0, float(one.i_xt_upper)) + TOLERANCE


def test_invariances_in_law():
    """Rotated, reordered or renamed: the same integral by other draws, within five of the two errors."""
    layer, labels = layer_of(4), np.arange(150) % 3
    rng = np.random.default_rng(4)
    order = rng.permutation(150)
    base = MonteCarlo(0.1, 30)(layer, labels)
    turned = layer @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for values, names in ((turned, labels), (layer[order], labels[order]), (layer + 5, labels)):
        other = MonteCarlo(0.1, 30)(values, names)
        for name in QUANTITIES:
            reach = float(base[f"{name}_upper"] - base[name]) + float(other[f"{name}_upper"] - other[name])
            assert float(other[name]) == pytest.approx(float(base[name]), abs=5 / 1.96 * reach)
    renamed = MonteCarlo(0.1, 30)(layer, np.array([5, -2, 9])[labels])
    assert float(renamed.i_ty) == pytest.approx(float(base.i_ty), abs=TOLERANCE)


def test_a_constant_unit_knows_nothing():
    layer, labels = layer_of(5), np.arange(150) % 2
    base = MonteCarlo(0.1, 30)(layer, labels)
    wider = MonteCarlo(0.1, 30)(np.hstack([layer, np.full((150, 1), 0.3)]), labels)
    reach = float(base.i_xt_upper - base.i_xt) + float(wider.i_xt_upper - wider.i_xt)
    assert float(wider.i_xt) == pytest.approx(float(base.i_xt), abs=5 / 1.96 * reach)
    assert flags(wider) == {"constant_units"}


def test_weights():
    layer, labels = layer_of(6), np.arange(150) % 2
    plain = MonteCarlo(0.1, 4)(layer, labels)
    uniform = MonteCarlo(0.1, 4)(layer, labels, probability=(1 + 1e-13 * labels) / 150)  # all but uniform
    for name in plain.data_vars:
        assert float(uniform[name]) == pytest.approx(float(plain[name]), abs=TOLERANCE)


@pytest.mark.parametrize("variance", [0.1, 1e-6])
def test_weight_zero_is_absence(variance):
    layer, labels = layer_of(7, n=60), np.arange(60) % 2
    weights = np.where(np.arange(60) < 50, 0.02, 0.0)
    weighted = MonteCarlo(variance, 50)(layer, labels, probability=weights)
    fewer = MonteCarlo(variance, 50)(layer[:50], labels[:50])
    for name in QUANTITIES:
        reach = float(fewer[f"{name}_upper"] - fewer[f"{name}_lower"])
        assert float(weighted[name]) == pytest.approx(float(fewer[name]), abs=5 / 1.96 * reach + 1e-6), name


def test_batches_kinds_of_array_and_seeds():
    layer, labels = layer_of(8, batch=(3,)), np.arange(150) % 2
    whole = MonteCarlo(0.1)(layer, labels)
    assert whole.i_xt.dims == ("batch",)
    assert np.array_equal(MonteCarlo(0.1)(torch.tensor(layer), labels).i_xt, whole.i_xt)
    for k in range(3):
        assert float(MonteCarlo(0.1)(layer[k], labels).i_xt) == pytest.approx(float(whole.i_xt[k]), abs=TOLERANCE)
    assert float(MonteCarlo(0.1)(layer[0], labels, seed=1).i_xt) != float(whole.i_xt[0])
    assert float(whole.noise_variance) == 0.1


def test_what_is_missing():
    result = MonteCarlo(0.1)(layer_of(9))
    assert flags(result) == {"no_labels"}
    assert np.isnan(result.i_ty)
    assert np.isfinite(result.i_xt)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "variance|noise"),
        ((None,), "variance"),
        (("0.1",), "variance|noise"),
        ((math.nan,), "variance|noise"),
        ((0.1, 0), "draws: found 0"),
        ((0.1, 1.5), "draws: found 1.5"),
        ((0.1, True), "draws: found True"),
    ],
)
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        MonteCarlo(*arguments)


def test_the_refusal_names_the_argument():
    with pytest.raises(InputError, match=r"^noise_variance: found 0"):
        MonteCarlo(0)
