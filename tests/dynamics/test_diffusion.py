"""Displacement, exponent and spectrum of processes whose answers are known."""

import numpy as np
import pytest
from scipy.stats import linregress, ttest_1samp

from flowplane.core.results import interval
from flowplane.core.schedule import log_spaced
from flowplane.dynamics import (
    diffusion_exponent,
    mean_squared_displacement,
    ornstein_uhlenbeck,
    update_spectrum,
    velocity_autocorrelation,
    wiener,
)
from flowplane.errors import InputError

EPOCHS = log_spaced(8000, 60)[25:].astype(float)
EIGENVALUES = 1.0 / np.arange(1, 41)


@pytest.fixture(scope="module")
def diffusing():
    return wiener(EPOCHS, np.diag(EIGENVALUES), 40, draws=300, seed=0)


def exponents(weights, window=None):
    lags, msd = mean_squared_displacement(weights, EPOCHS, EPOCHS[0])
    return diffusion_exponent(msd, lags, window)


def test_displacement_term_by_term():
    weights = np.random.default_rng(0).normal(size=(2, 5, 3))
    lags, msd = mean_squared_displacement(weights, [0, 2, 3, 7, 9], 2)
    assert lags.tolist() == [1, 5, 7]
    for k, epoch in enumerate((2, 3, 4)):
        for replica in range(2):
            assert msd[replica, k] == pytest.approx(sum((weights[replica, epoch] - weights[replica, 1]) ** 2))


def test_a_wiener_process_has_exponent_one(diffusing):
    found = exponents(diffusing)
    assert abs(found.mean() - 1) < 4 * found.std() / np.sqrt(len(found))
    lags, msd = mean_squared_displacement(diffusing, EPOCHS, EPOCHS[0])
    reach = 4 * np.sqrt(2 * (EIGENVALUES**2).sum() / 300) / EIGENVALUES.sum()
    np.testing.assert_allclose(msd.mean(0) / lags, EIGENVALUES.sum(), rtol=reach)


def test_straight_lines_have_exponent_two_and_bound_weights_zero():
    line = EPOCHS[:, None] * np.random.default_rng(1).normal(size=(3, 1, 5))
    np.testing.assert_allclose(exponents(line), 2.0)
    held = ornstein_uhlenbeck(EPOCHS, 1.0, dimension=30, draws=200, seed=1)
    late = exponents(held, (10, 8000))
    assert abs(late.mean()) < 4 * late.std() / np.sqrt(200)
    slow = ornstein_uhlenbeck(EPOCHS, 1e-5, dimension=30, draws=200, seed=2)
    early = exponents(slow)
    assert abs(early.mean() - 1) < 4 * early.std() / np.sqrt(200) + 0.02  # t is up to 0.08/θ: slightly bent


def test_the_slope_is_that_of_least_squares():
    rng = np.random.default_rng(2)
    lags, msd = np.sort(rng.uniform(1, 100, 12)), rng.uniform(1, 9, 12)
    assert diffusion_exponent(msd, lags) == pytest.approx(linregress(np.log(lags), np.log(msd)).slope)
    chosen = (lags >= 10) & (lags <= 80)
    expected = linregress(np.log(lags[chosen]), np.log(msd[chosen])).slope
    assert diffusion_exponent(msd, lags, (10, 80)) == pytest.approx(expected)
    assert diffusion_exponent(5 * msd, 7 * lags) == pytest.approx(diffusion_exponent(msd, lags))


def test_weights_that_do_not_move_have_no_exponent():
    still = np.zeros((2, len(EPOCHS), 4))
    still[1] = EPOCHS[:, None]
    assert np.isnan(exponents(still)[0]) and exponents(still)[1] == pytest.approx(2)
    spectrum = update_spectrum(still, EPOCHS, EPOCHS[0])
    assert np.isnan(spectrum.participation[0]) and np.isnan(spectrum.participation_corrected[0])
    assert np.isnan(velocity_autocorrelation(still, EPOCHS, EPOCHS[0])[0])


def test_the_interval_is_students():
    values = np.random.default_rng(3).normal(size=(7, 2))
    mean, lower, upper = interval(values)
    for k in range(2):
        expected = ttest_1samp(values[:, k], 0).confidence_interval(0.95)
        np.testing.assert_allclose([lower[k], upper[k]], expected)
        assert mean[k] == pytest.approx(values[:, k].mean())
    gapped = np.vstack([values, [[np.nan, 1.0]]])
    assert interval(gapped)[1][0] == pytest.approx(lower[0])
    one = interval([[2.0], [np.nan]])
    assert one[0][0] == 2.0 and np.isnan(one[1][0])
    assert np.isnan(interval([[np.nan]])[0]).all()


# -- spectrum ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [3, 60])
def test_the_gram_matrix_has_the_same_eigenvalues(parameters):
    weights = np.random.default_rng(4).normal(size=(2, 11, parameters)).cumsum(1)
    epochs = np.arange(11) ** 2.0
    found = update_spectrum(weights, epochs, 1)
    steps = np.diff(weights[:, 1:], axis=1) / np.sqrt(np.diff(epochs[1:]))[:, None]
    for replica in range(2):
        whole = np.linalg.eigvalsh(steps[replica].T @ steps[replica] / 9)[::-1]
        np.testing.assert_allclose(found.eigenvalues[replica], whole[: min(9, parameters)], atol=1e-10)
        assert found.participation[replica] == pytest.approx(whole.sum() ** 2 / (whole**2).sum())


def test_the_participation_ratio_is_freed_of_few_increments(diffusing):
    found = update_spectrum(diffusing, EPOCHS, EPOCHS[0])
    truth = EIGENVALUES.sum() ** 2 / (EIGENVALUES**2).sum()
    assert found.participation.mean() < 0.85 * truth
    corrected = found.participation_corrected
    # a ratio of unbiased estimates: biased by their relative variance, some per cent at 34 increments
    assert corrected.mean() == pytest.approx(truth, rel=0.08)
    total = found.eigenvalues.sum(1)
    assert abs(total.mean() - EIGENVALUES.sum()) < 4 * total.std() / np.sqrt(300)


def test_the_corrected_squared_trace_is_unbiased():
    from flowplane.dynamics.diffusion import unbiased_traces

    weights = wiener(np.arange(6.0), np.diag([2.0, 1.0, 0.5]), 3, draws=20_000, seed=5)
    total, squares = unbiased_traces(update_spectrum(weights, np.arange(6.0), 0).eigenvalues, 5)
    for values, truth in ((total, 3.5**2), (squares, 5.25)):
        assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(20_000)


def test_rotations_and_units_change_nothing_that_they_should_not(diffusing):
    turn = np.linalg.qr(np.random.default_rng(6).normal(size=(40, 40)))[0]
    part = diffusing[:5]
    first, turned = (update_spectrum(w, EPOCHS, EPOCHS[0]) for w in (part, 3 * part @ turn + 1))
    np.testing.assert_allclose(turned.eigenvalues, 9 * first.eigenvalues, atol=1e-9)
    np.testing.assert_allclose(turned.participation_corrected, first.participation_corrected)
    np.testing.assert_allclose(exponents(3 * part @ turn + 1), exponents(part))


def test_one_direction_and_all_directions():
    line = np.cumsum(np.random.default_rng(7).normal(size=(20, 1)), 0) * np.ones(5)
    found = update_spectrum(line, np.arange(20), 0)
    assert found.participation == pytest.approx(1) and found.participation_corrected == pytest.approx(1, abs=0.15)


# -- velocity ----------------------------------------------------------------------------------------------------------


def test_successive_increments(diffusing):
    free = velocity_autocorrelation(diffusing, EPOCHS, EPOCHS[0])
    assert abs(free.mean()) < 4 * free.std() / np.sqrt(300)
    line = EPOCHS[:, None] * np.ones(3)
    steps = np.sqrt(np.diff(EPOCHS))
    expected = (steps[1:] * steps[:-1]).sum() / np.sqrt((steps[1:] ** 2).sum() * (steps[:-1] ** 2).sum())
    assert velocity_autocorrelation(line, EPOCHS, EPOCHS[0]) == pytest.approx(expected)
    held = velocity_autocorrelation(ornstein_uhlenbeck(np.arange(200.0), 5.0, draws=20, dimension=5), np.arange(200.0), 0)
    assert held.mean() == pytest.approx(-0.5, abs=0.03)  # of independent places: −σ²/2σ²


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: mean_squared_displacement(np.ones((4, 2)), [1, 2, 3, 4], 5), "origin: "),
        (lambda: mean_squared_displacement(np.ones((4, 2)), [1, 2, 3, 4], 4), "origin: "),
        (lambda: mean_squared_displacement(np.ones((4, 2)), [1, 2, 3], 1), "epochs: "),
        (lambda: mean_squared_displacement(np.ones(4), [1, 2, 3, 4], 1), "weights: "),
        (lambda: mean_squared_displacement(np.full((4, 2), np.nan), [1, 2, 3, 4], 1), "weights: "),
        (lambda: diffusion_exponent([1.0, 2.0], [1, 2]), "window: "),
        (lambda: diffusion_exponent([1.0, 2.0, 3.0], [0, 1, 2]), "lags: "),
        (lambda: diffusion_exponent([1.0, 2.0, 3.0], [1, 2, 3], (3, 1)), "window: "),
        (lambda: diffusion_exponent([-1.0, 2.0, 3.0], [1, 2, 3]), "displacement: "),
        (lambda: update_spectrum(np.ones((3, 2)), [1, 2, 3], 2), "origin: "),
        (lambda: velocity_autocorrelation(np.ones((3, 2)), [1, 2, 3], 2), "origin: "),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()
