"""Moments of the simulated processes, whatever the times."""

import numpy as np
import pytest

from flowplane.dynamics import ornstein_uhlenbeck, wiener
from flowplane.dynamics.processes import wiener_displacement
from flowplane.errors import InputError

TIMES = np.array([3.0, 3.5, 7.0, 60.0])
COVARIANCE = np.array([[2.0, 0.6], [0.6, 0.5]])
DRAWS = 20_000


def close(sample, expected, draws=DRAWS):
    """A sample covariance (i, j) against the true one, within four of its standard errors."""
    deviation = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / draws)
    assert (np.abs(sample - expected) < 4 * deviation + 1e-12).all()


def test_wiener_covariance_is_c_times_the_lesser_time():
    path = wiener(TIMES, COVARIANCE, 2, draws=DRAWS, seed=1)
    flat = path[:, 1:].reshape(DRAWS, -1)
    lags = TIMES[1:] - TIMES[0]
    close(flat.T @ flat / DRAWS, np.kron(np.minimum.outer(lags, lags), COVARIANCE))
    assert (np.abs(flat.mean(0)) < 4 * flat.std(0) / np.sqrt(DRAWS)).all()


def test_ornstein_uhlenbeck_is_in_equilibrium_and_forgets():
    rate = 0.2
    path = ornstein_uhlenbeck(TIMES, rate, COVARIANCE, 2, draws=DRAWS, seed=2)
    flat = path.reshape(DRAWS, -1)
    memory = np.exp(-rate * np.abs(np.subtract.outer(TIMES, TIMES)))
    close(flat.T @ flat / DRAWS, np.kron(memory, COVARIANCE / (2 * rate)))
    moved = ((path - path[:, :1]) ** 2).sum(2).mean(0)
    np.testing.assert_allclose(moved, np.trace(COVARIANCE) * (1 - memory[0]) / rate, rtol=0.05)


def test_displacements_have_the_moments_of_the_whole_process():
    """From eigenvalues and a bulk: E = t·tr C, Var = 2t² tr C², correlation of two lags as of a Wiener process."""
    spectrum, rest, others = np.array([[3.0, 1.0]]), np.array([0.25]), 8
    lags = np.array([0.5, 2.0, 20.0])
    found = wiener_displacement(spectrum, rest, others, lags, DRAWS, np.random.default_rng(3))[:, 0]
    trace, squares = 4 + 8 * 0.25, 10 + 8 * 0.25**2
    np.testing.assert_allclose(found.mean(0), lags * trace, rtol=4 * np.sqrt(2 * squares) / trace / np.sqrt(DRAWS))
    np.testing.assert_allclose(found.var(0), 2 * lags**2 * squares, rtol=0.1)
    together = np.cov(found.T)
    np.testing.assert_allclose(together[0, 1], 2 * lags[0] ** 2 * squares, rtol=0.15)
    eigenvalues = np.append(spectrum[0], np.full(8, 0.25))
    path = wiener(np.append(0, lags), np.diag(eigenvalues), 10, draws=DRAWS)
    logs = [np.log(part).std(0) for part in (found, (path[:, 1:] ** 2).sum(2))]
    np.testing.assert_allclose(logs[0], logs[1], rtol=0.05)


def test_seeds_repeat_and_differ():
    for simulate in (wiener, lambda times, seed: ornstein_uhlenbeck(times, 1.0, seed=seed)):
        first, again, other = (simulate(TIMES, seed=seed) for seed in (1, 1, 2))
        assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: wiener([1.0, 0.5]), "times: "),
        (lambda: wiener([0.0, 1.0], -1.0), "covariance: "),
        (lambda: wiener([0.0, 1.0], np.eye(3), 2), "covariance: "),
        (lambda: wiener([0.0, 1.0], draws=0), "draws: "),
        (lambda: ornstein_uhlenbeck([0.0, 1.0], 0.0), "rate: "),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()
