"""The comparison accepts Wiener processes at its level, and nothing else."""

import numpy as np
import pytest

from flowplane.core.schedule import log_spaced
from flowplane.dynamics import against_wiener, ornstein_uhlenbeck, wiener
from flowplane.errors import InputError

EPOCHS = log_spaced(8000, 40)[20:].astype(float)


@pytest.mark.parametrize("eigenvalues", [np.ones(60), 1.0 / np.arange(1, 31), np.ones(1)], ids=["many", "some", "one"])
def test_wiener_processes_are_accepted_at_the_level_and_the_range_is_theirs(eigenvalues):
    trials, replicas = 80, 4
    paths = wiener(EPOCHS, np.diag(eigenvalues), len(eigenvalues), draws=trials * replicas, seed=1)
    paths = paths.reshape(trials, replicas, *paths.shape[1:])
    found = [against_wiener(path, EPOCHS, EPOCHS[0], draws=150, seed=k) for k, path in enumerate(paths)]
    for level in (0.1, 0.5):
        share = np.mean([one.p_value <= level for one in found])
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / trials)
    spread = np.mean([one.upper - one.lower for one in found]) / 3.92
    # a standard deviation of 80 values is known to 8 %; four of those
    assert spread == pytest.approx(np.std([one.mean for one in found]), rel=0.32)
    assert np.mean([one.lower for one in found]) < 1 < np.mean([one.upper for one in found])


def test_drift_and_bound_weights_are_not():
    noise = wiener(EPOCHS, np.eye(30), 30, draws=5, seed=2)
    speed = np.random.default_rng(3).normal(size=(5, 1, 30))
    drifting = noise + speed * (EPOCHS - EPOCHS[0])[:, None]
    held = ornstein_uhlenbeck(EPOCHS, 0.5, np.eye(30), 30, draws=5, seed=4)
    fast, slow = (against_wiener(path, EPOCHS, EPOCHS[0], draws=200) for path in (drifting, held))
    assert fast.mean > fast.upper and fast.p_value < 0.02
    assert slow.mean < slow.lower and slow.p_value < 0.02


def test_the_displacement_of_the_simulated_is_that_of_the_covariance():
    path = wiener(EPOCHS, np.eye(50), 50, draws=20, seed=5)
    found = against_wiener(path, EPOCHS, EPOCHS[0], draws=200)
    lags = EPOCHS[1:] - EPOCHS[0]
    np.testing.assert_allclose(found.displacement[:, 1], 50 * lags, rtol=0.1)
    measured = ((path[:, 1:] - path[:, :1]) ** 2).sum(2).mean(0)
    inside = (found.displacement[:, 0] <= measured) & (measured <= found.displacement[:, 2])
    assert inside.mean() > 0.5


def test_replicas_that_do_not_move_are_left_out():
    path = wiener(EPOCHS, dimension=5, draws=4, seed=6)
    still = np.concatenate([path, np.zeros_like(path[:1])])
    found, without = (against_wiener(part, EPOCHS, EPOCHS[0], draws=50) for part in (still, path))
    assert np.isnan(found.exponent[4]) and found.mean == without.mean and found.p_value == without.p_value
    nothing = against_wiener(still[4:], EPOCHS, EPOCHS[0], draws=50)
    assert np.isnan([nothing.mean, nothing.lower, nothing.p_value]).all()


def test_seeds_repeat_and_differ():
    path = wiener(EPOCHS, dimension=5, draws=2, seed=7)
    ends = [against_wiener(path, EPOCHS, EPOCHS[0], draws=50, seed=seed).lower for seed in (1, 1, 2)]
    assert ends[0] == ends[1] != ends[2]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: against_wiener(np.ones((5, 3)), np.arange(5), 0), "weights: "),
        (lambda: against_wiener(np.ones((2, 5, 3)), np.arange(5), 2), "window: "),
        (lambda: against_wiener(np.ones((2, 5, 3)), np.arange(5), 0, draws=0), "draws: "),
        (lambda: against_wiener(np.ones((2, 5, 3)), np.arange(5), 0, window=(3, 4)), "window: "),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()
