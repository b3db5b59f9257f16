"""The noise in a mean gradient: what is subtracted is what is there."""

import numpy as np
import pytest

from flowplane.dynamics import drift_norm, per_weight
from flowplane.errors import InputError


def statistics(gradients):
    """‖ĝ‖ and √(tr Cov) of gradients (…, batch, parameter)."""
    return np.linalg.norm(gradients.mean(-2), axis=-1), np.sqrt(gradients.var(-2, ddof=1).sum(-1))


def test_independent_batches_leave_the_squared_drift_unbiased():
    rng = np.random.default_rng(0)
    drift, root, batches, trials = np.array([3.0, 0.0, -1.0, 0.5]), rng.normal(size=(4, 4)), 5, 4000
    mean, std = statistics(drift + rng.normal(size=(trials, batches, 4)) @ root.T)
    square = mean**2 - std**2 / batches
    error = square.std() / np.sqrt(trials)
    assert abs(square.mean() - drift @ drift) < 4 * error
    assert (mean**2).mean() - drift @ drift > 8 * error  # without the correction it is not
    np.testing.assert_allclose(drift_norm(mean, std, batches), np.sqrt(np.maximum(square, 0)))


@pytest.mark.parametrize("batches", [2, 4, 5])
def test_batches_without_replacement_hold_less_noise(batches):
    """An epoch over `batches` of 8 samples out of 40: the gradient of all 40, squared, is met on average."""
    rng = np.random.default_rng(1)
    population = rng.normal(size=(40, 3)) + np.array([0.3, 0.0, 0.0])
    orders = rng.permuted(np.tile(np.arange(40), (4000, 1)), axis=1)[:, : 8 * batches]
    mean, std = statistics(population[orders].reshape(4000, batches, 8, 3).mean(2))
    covered = 8 * batches / 40
    truth = (population.mean(0) ** 2).sum()
    square = mean**2 - (1 - covered) * std**2 / batches
    assert abs(square.mean() - truth) < 4 * square.std() / np.sqrt(4000) + 1e-12
    np.testing.assert_allclose(drift_norm(mean, std, batches, covered), np.sqrt(np.maximum(square, 0)))


def test_no_noise_no_change_and_never_below_zero():
    assert drift_norm([2.0, 0.1, 3.0], [0.0, 9.0, 9.0], 3).tolist()[:2] == [2.0, 0.0]
    assert drift_norm(3.0, 9.0, 3, covered=1) == 3.0
    assert np.isnan(drift_norm([1.0], [np.nan], 1)).all()


def test_units_cancel():
    mean, std, norm = np.random.default_rng(2).uniform(1, 2, (3, 4, 5))
    np.testing.assert_allclose(
        per_weight(drift_norm(7 * mean, 7 * std, 3), 7 * norm), per_weight(drift_norm(mean, std, 3), norm)
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: per_weight([1.0], [1.0, 2.0]), "weight_norm: "),
        (lambda: per_weight([-1.0], [1.0]), "gradient: "),
        (lambda: per_weight([np.inf], [1.0]), "gradient: "),
        (lambda: drift_norm([1.0], [1.0, 2.0], 3), "gradient_std: "),
        (lambda: drift_norm([1.0], [1.0], 0), "batches: "),
        (lambda: drift_norm([1.0], [1.0], 2, 1.5), "covered: "),
        (lambda: drift_norm(["a"], [1.0], 2), "gradient_mean: "),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()
