"""Whether T is a function of x: by equal inputs, by near ones; neither where nothing can be told."""

import numpy as np
import pytest

import flowplane as fp
from flowplane.core.results import Flags

MEASURES = [fp.Binned(30, range="data"), fp.Pairwise(0.01), fp.information.MonteCarlo(0.1)]


def flagged(t, x, measure=MEASURES[1]):
    return "not_a_function" in Flags.names(measure(t, inputs=x).i_xt_flags)


def network(rng, x, units=3):
    return np.tanh(2 * x @ rng.normal(size=(x.shape[1], units)) / np.sqrt(x.shape[1]))


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_a_noisy_pair_is_flagged_and_keeps_its_value(measure):
    """Normals with 0.596 bit: every x is unique, and H(T) would be read as I(X;T)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 1))
    t = 0.75 * x + np.sqrt(1 - 0.75**2) * rng.normal(size=(1000, 1))
    assert flagged(t, x, measure) and np.isfinite(float(measure(t, inputs=x).i_xt))
    assert not flagged(t, None, measure) and not flagged(np.sin(3 * x), x, measure)
    assert Flags.names(measure(t, np.arange(1000) % 2, inputs=x).i_ty_flags).count("not_a_function") == 0


@pytest.mark.parametrize("features", [1, 2, 3])
def test_noise_is_found_and_functions_are_not_blamed(features):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(1000, features))
        t = network(rng, x)
        assert not flagged(t, x)
        assert flagged(t + 0.4 * t.std() * rng.normal(size=t.shape), x)


def test_steps_and_fast_waves_are_functions():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(500, 1))
    for t in ((x > 0) * 1.0, np.sin(40 * x), np.abs(x) ** 0.2, np.round(8 * x)):
        assert not flagged(t, x)


def test_equal_inputs_decide():
    """A hash, whose neighbours are unlike, is a function; noise on few equal inputs is none; on many it is measured."""
    rng = np.random.default_rng(1)
    place = rng.integers(100, size=300)
    x, values = place[:, None] * 1.0, rng.permutation(100)
    assert not flagged(values[place][:, None] * 1.0, x)
    assert flagged(values[place][:, None] + rng.normal(size=(300, 1)), x)
    assert not flagged((values[place][:, None] * (1 + 1e-7 * rng.normal(size=(300, 1)))), x)  # rounding
    often = rng.integers(4, size=400)[:, None]
    assert not flagged(often + rng.normal(size=(400, 1)), often)


def test_nothing_is_said_where_nothing_is_near():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 30))
    assert not flagged(rng.normal(size=(300, 2)), x)
    assert not flagged(rng.normal(size=(300, 2)), np.zeros((300, 1)) + np.arange(300)[:, None] * 0.0)


def test_a_recorded_network_is_known_to_be_one():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(3,), replicas=1, epochs=1, snapshots=2)
    assert "not_a_function" not in Flags.names(fp.information_plane(rec, fp.Binned(30)).i_xt_flags)
