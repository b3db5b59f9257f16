"""Whether two epochs go together, against scipy and against cases with a known answer."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from flowplane.dynamics import coincidence, compression_start
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    first = np.exp(rng.normal(4, 1, (30, 3)))
    mixed = np.exp(0.6 * np.log(first) + rng.normal(0, 0.8, first.shape))
    mixed[:, 2] = np.exp(rng.normal(4, 1, 30))  # independent
    return first, mixed


def test_against_scipy(pair):
    found = coincidence(*pair)
    for k in range(3):
        expected = spearmanr(pair[0][:, k], pair[1][:, k])
        assert found.correlation[k] == pytest.approx(expected.statistic, abs=1e-12)
        p = expected.pvalue
        assert found.p_value[k] == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 10_000) + 1e-3 + 0.03 * p)
    assert (found.correlation_lower < found.correlation).all() and (found.correlation < found.correlation_upper).all()


def test_only_ranks_count_for_the_correlation(pair):
    found, bent = coincidence(*pair), coincidence(pair[0] ** 3, 5 * pair[1])
    np.testing.assert_allclose(bent.correlation, found.correlation, atol=1e-12)
    turned = coincidence(1 / pair[0], pair[1])
    np.testing.assert_allclose(turned.correlation, -found.correlation, atol=1e-12)
    np.testing.assert_allclose(coincidence(pair[0], 4 * pair[1]).lag, found.lag + 2)
    np.testing.assert_allclose(coincidence(pair[1], pair[0]).lag, -found.lag)


def test_the_interval_covers():
    """Of normal pairs with correlation r, Spearman's ρ is 6/π arcsin(r/2)."""
    rng = np.random.default_rng(1)
    r, trials, n = 0.6, 400, 20
    x, z = rng.normal(size=(2, n, trials))
    found = coincidence(np.exp(x), np.exp(r * x + np.sqrt(1 - r**2) * z), draws=50)
    truth = 6 / np.pi * np.arcsin(r / 2)
    covered = ((found.correlation_lower < truth) & (truth < found.correlation_upper)).mean()
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / trials)
    lag = ((found.lag_lower < 0) & (found.lag_upper > 0)).mean()
    assert lag > 0.88  # a bootstrap of a median of 20, 50 draws only


def test_p_values_of_independent_pairs_are_uniform():
    rng = np.random.default_rng(2)
    found = coincidence(*np.exp(rng.normal(size=(2, 8, 400))), draws=199)
    for level in (0.05, 0.3, 0.7):
        assert abs((found.p_value <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 400) + 0.01


def test_ties_are_shared_ranks():
    first = np.array([1.0, 1, 2, 3, 3, 8])[:, None]
    second = np.array([2.0, 5, 5, 5, 9, 9])[:, None]
    assert coincidence(first, second).correlation[0] == pytest.approx(spearmanr(first, second).statistic)


def test_replicas_without_both_epochs_are_left_out(pair):
    first, second = (part[:8].copy() for part in pair)
    first[0, 0], second[1, 0], second[2, 0] = np.nan, np.nan, 0.0
    found = coincidence(first, second)
    alone = coincidence(first[3:, :1], second[3:, :1])
    assert found.pairs.tolist() == [5, 8, 8]
    assert found.correlation[0] == alone.correlation[0] and found.lag[0] == alone.lag[0]
    few = coincidence(first[:4], second[:4])
    assert few.pairs[0] == 1 and np.isnan(few.correlation[0]) and np.isnan(few.lag_lower[0]) and np.isfinite(few.lag[0])
    none = coincidence(np.full((5, 1), np.nan), np.ones((5, 1)))
    assert none.pairs[0] == 0 and np.isnan(none.lag[0])


def test_equal_epochs_have_no_correlation():
    found = coincidence(np.full((6, 1), 10.0), np.full((6, 1), 20.0))
    assert np.isnan(found.correlation[0]) and np.isnan(found.p_value[0]) and found.lag[0] == 1.0


def test_a_perfect_correlation_keeps_an_interval():
    first = np.arange(1.0, 7.0)[:, None]
    found = coincidence(first, first**2)
    assert found.correlation[0] == found.correlation_upper[0] == 1.0
    assert 0 < found.correlation_lower[0] < 1
    assert found.p_value[0] == pytest.approx(2 / 720, abs=0.002)


def test_compression_starts_at_the_last_peak():
    epochs = np.array([0, 1, 10, 100])
    curves = np.array([[1, 3, 2, 0.5], [3, 3, 3, 2], [3, 2, 2, 1], [1, 2, 3, 4], [3, 3, 3, 2.95], [1, np.nan, 3, 2]]).T
    found = compression_start(curves, epochs)
    np.testing.assert_array_equal(found, [1, 10, 0, np.nan, np.nan, np.nan])
    assert compression_start(curves, epochs, threshold=0.01)[4] == 10


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: coincidence(np.ones((3, 2)), np.ones((3, 1))), "second: "),
        (lambda: coincidence(np.ones(3), np.ones(3)), "first: "),
        (lambda: coincidence(-np.ones((3, 2)), np.ones((3, 2))), "first: "),
        (lambda: coincidence(np.ones((3, 2)), np.full((3, 2), np.inf)), "second: "),
        (lambda: coincidence(np.ones((3, 2)), np.ones((3, 2)), draws=0), "draws: "),
        (lambda: compression_start(np.ones((3, 2)), [1, 2]), "epochs: "),
        (lambda: compression_start(np.ones((3, 2)), [1, 2, 3], 0), "threshold: "),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()
