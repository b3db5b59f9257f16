"""The truth set: its values against integrals and determinants written differently, its samples against its values."""

import numpy as np
import oracles_truths as oracles
import pytest
from truths import TRUTHS
from truths_published import published

N = 200_000


def agree(found, expected, tolerance):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=tolerance)


@pytest.mark.parametrize("name", TRUTHS)
def test_samples(name):
    truth = TRUTHS[name]
    one, same, other = truth.sample(50, seed=3), truth.sample(50, seed=3), truth.sample(50, seed=4)
    for part, again in zip(one, same, strict=True):
        assert (part is None) == (again is None)
        if part is not None:
            np.testing.assert_array_equal(part, again)
            assert len(part) == 50 and np.isfinite(part).all()
    assert not np.array_equal(one.activations, other.activations)
    assert one.activations.ndim == 2
    assert (one.inputs is None) == (truth.i_xt is None)
    assert (one.labels is None) == (truth.i_ty is None)
    if one.inputs is not None:
        assert one.inputs.ndim == 2
        assert not np.shares_memory(one.inputs, one.activations)
    if one.labels is not None:
        assert one.labels.shape == (50,) and one.labels.dtype == np.int64
    assert truth.name == name and truth.title and truth.source


@pytest.mark.parametrize("name", TRUTHS)
def test_log_density_ratios_of_the_samples_average_to_the_values(name):
    """The mean of log2 p(t|x)/p(t) over samples is I(X;T), within three standard errors; and for y."""
    truth = TRUTHS[name]
    x, t, y = truth.sample(N, seed=20)
    if truth.channel_variance is not None:
        t = t + np.random.default_rng(21).normal(scale=truth.channel_variance**0.5, size=t.shape)
    for value, ratios in zip((truth.i_xt, truth.i_ty), oracles.log_ratios(name, x, t, y), strict=True):
        assert (value is None) == (ratios is None)
        if ratios is not None:
            assert abs(ratios.mean() - value) <= 3 * ratios.std() / N**0.5 + 1e-12


OWN = {name: about for name, about in oracles.ELLIPTIC.items() if TRUTHS[name].i_ty is not None}
#: As benchmark-mi 0.1.3 has it, in bits: its forty tasks, by what they have in common.
PUBLISHED = {
    ("1v1-normal-0.75", "normal_cdf-1v1-normal-0.75", "1v1-bimodal-0.75", "wiggly-1v1-normal-0.75"): 0.59632,
    ("half_cube-1v1-normal-0.75", "swissroll_x-normal_cdf-1v1-normal-0.75"): 0.59632,
    ("1v1-additive-0.1",): 2.4662,
    ("1v1-additive-0.75",): 0.4809,
    ("student-identity-1-1-1", "asinh-student-identity-1-1-1"): 0.32341,
    ("student-identity-2-2-1", "asinh-student-identity-2-2-1"): 0.62317,
    ("student-identity-2-2-2",): 0.27865,
    ("student-identity-3-3-2", "asinh-student-identity-3-3-2"): 0.41971,
    ("student-identity-3-3-3",): 0.25783,
    ("student-identity-5-5-2", "asinh-student-identity-5-5-2"): 0.64654,
    ("student-identity-5-5-3",): 0.43071,
    ("multinormal-dense-2-2-0.5",): 0.424,
    ("multinormal-dense-3-3-0.5",): 0.59632,
    ("multinormal-dense-5-5-0.5",): 0.85525,
    ("multinormal-dense-25-25-0.5",): 1.86423,
    ("multinormal-dense-50-50-0.5",): 2.34332,
    ("multinormal-sparse-2-2-2-2.0",): 1.47393,
    **{
        (f"{maps}multinormal-sparse-{d}-{d}-2-2.0",): 1.47393
        for maps in ("", "normal_cdf-", "half_cube-", "spiral-", "spiral-normal_cdf-")
        for d in (3, 5, 25)
    },
}


def test_the_forty_published_tasks():
    values = {name: bits for names, bits in PUBLISHED.items() for name in names}
    assert len(values) == 40 and values.keys() == {truth.name for truth in published()}
    for name, bits in values.items():
        assert TRUTHS[name].i_xt == pytest.approx(bits, abs=1e-5), name


@pytest.mark.parametrize("name", [name for name, (_, degrees, _) in OWN.items() if degrees is None])
def test_normal_values(name):
    covariance, _, dx = oracles.ELLIPTIC[name]
    expected = oracles.canonical_information(covariance, dx), oracles.sign_information(covariance, dx)
    agree((TRUTHS[name].i_xt, TRUTHS[name].i_ty), expected, 1e-9)


@pytest.mark.parametrize("name", ["student-3", "student-5", "student-3-uncorrelated"])
def test_student_values(name):
    arguments = oracles.ELLIPTIC[name]
    expected = oracles.student_information(*arguments), oracles.student_sign_information(*arguments)
    agree((TRUTHS[name].i_xt, TRUTHS[name].i_ty), expected, 1e-6)


def test_classes_of_other_spreads():
    assert TRUTHS["other-spreads"].i_ty == pytest.approx(oracles.spreads_information(1000), abs=1e-8)


@pytest.mark.parametrize("name", [name for name in oracles.COMPONENTS if name in TRUTHS and name != "other-spreads"])
def test_components_by_gauss_hermite(name):
    truth = TRUTHS[name]
    of_x, of_y = oracles.hermite_information(oracles.COMPONENTS[name])
    agree((truth.i_xt, truth.i_ty), (of_x if name in oracles.POINTS else None, of_y), 1e-6)


@pytest.mark.parametrize("half_width", [0.1, 0.5, 0.75])
def test_additive_uniform_by_a_double_integral(half_width):
    truth = TRUTHS[f"additive-uniform-{half_width:g}"]
    agree((truth.i_xt, truth.i_ty), oracles.uniform_information(half_width), 1e-4)


def test_intervals_and_counts():
    assert TRUTHS["intervals-5"].i_ty == pytest.approx(oracles.interval_information(5), abs=1e-12)
    assert TRUTHS["zero-inflated-poisson"].i_xt == pytest.approx(oracles.poisson_information(0.15), abs=1e-7)


@pytest.mark.parametrize("name", [name for name in oracles.COMPONENTS if name in TRUTHS and TRUTHS[name].binned])
def test_binned_values(name):
    truth = TRUTHS[name]
    edges = np.linspace(*truth.span, 9)
    components = oracles.COMPONENTS[name]
    if truth.channel_variance is not None:
        components = [(p, mean, (0,), y) for p, mean, _, y in components]
    of_x, of_y = oracles.binned_information(components, edges)
    agree(truth.binned(edges), (of_x if name in oracles.POINTS else None, of_y), 1e-4)


def test_binned_intervals_with_edges_at_every_step_lose_nothing():
    truth = TRUTHS["intervals-5"]
    assert truth.binned(np.arange(7.0)) == (None, pytest.approx(truth.i_ty, abs=1e-12))
    assert truth.binned(np.array([0.0, 6.0])) == (None, pytest.approx(0.0, abs=1e-12))


@pytest.mark.parametrize("wiggle", oracles.WIGGLES)
def test_wiggles_increase(wiggle):
    assert oracles.minimal_slope(wiggle) > 0.1


def test_the_other_units_of_the_line_tell_nothing():
    """Ten units, one direction: within each class the covariance is the identity, and the means lie 2 apart."""
    _, t, y = TRUTHS["line-10d"].sample(N, seed=5)
    assert np.linalg.norm(t[y == 1].mean(0) - t[y == 0].mean(0)) == pytest.approx(2, abs=0.02)
    for k in (0, 1):
        np.testing.assert_allclose(np.cov(t[y == k].T), np.eye(10), atol=0.025)
