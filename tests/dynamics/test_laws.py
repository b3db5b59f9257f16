"""Laws found again in points drawn from them, and how often the interval of the slope covers the truth."""

import numpy as np
import pytest

from flowplane.dynamics.laws import LAWS, fit_laws, law_values, slope_interval
from flowplane.errors import InputError

TRUE = {"exponential": (3.0, 1.0), "linear": (20.0, 150.0), "power": (4.0, 2.0), "constant": (7.0, np.nan)}


def points(law, rng, replicas=30, sigma=0.25, shared=0.0, tilt=0.0):
    """(replica, layer): five layers a replica; `shared` and `tilt` are a replica's own offset and slope."""
    x = np.linspace(0.4, 4.8, 5) + rng.uniform(-0.3, 0.3, (replicas, 5))
    noise = (
        sigma * rng.normal(size=x.shape)
        + shared * rng.normal(size=(replicas, 1))
        + tilt * rng.normal(size=(replicas, 1)) * x
    )
    return x, law_values(law, TRUE[law], x) * 2**noise


def winner(found):
    return str(found.aic.idxmin().values)


@pytest.mark.parametrize("law", ["exponential", "linear", "power"])
def test_the_law_behind_the_points_wins(law):
    rng = np.random.default_rng(5)
    won = sum(winner(fit_laws(*points(law, rng))) == law for _ in range(60))
    assert won >= 57


def test_no_law_is_made_of_nothing():
    # a superfluous parameter is taken on where it lowers AIC: χ² > 2 for one has probability 0.16, for the best of three
    # that go together at most 0.4
    rng = np.random.default_rng(6)
    found = [fit_laws(*points("constant", rng)) for _ in range(100)]
    assert sum(winner(one) == "constant" for one in found) >= 55
    assert all(float(one.difference.sel(law="constant")) < 15 for one in found)


@pytest.mark.parametrize("law", list(LAWS))
def test_exact_points_give_exact_parameters(law):
    x, y = points(law, np.random.default_rng(7), sigma=0.0)
    found = fit_laws(x, y)
    assert np.allclose(found.parameters.sel(law=law), TRUE[law], rtol=1e-5, equal_nan=True)
    assert float(found.difference.sel(law=law)) < 1e-6 or winner(found) == law
    assert float(found.weight.sum()) == pytest.approx(1)


def test_a_law_that_would_fall_below_zero_stays_above():
    x = np.linspace(0.2, 6, 40)
    y = 1000 * 2.0 ** (-2 * x)
    a, b = fit_laws(x, y).parameters.sel(law="linear").values
    assert b < 0
    assert (a + b * x > 0).all()


def test_linear_fit_is_a_minimum():
    rng = np.random.default_rng(8)
    x, y = points("linear", rng, sigma=0.6)
    a, b = fit_laws(x, y).parameters.sel(law="linear").values

    def misfit(a, b):
        return np.square(np.log2(y) - np.log2(a + b * x)).sum()

    best = misfit(a, b)
    for da, db in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)]:
        assert misfit(a * (1 + 1e-3 * da), b * (1 + 1e-3 * db)) > best


def test_aic_against_the_likelihood():
    x, y = points("exponential", np.random.default_rng(9), replicas=4)
    found = fit_laws(x, y)
    n, z = x.size, np.log2(y).ravel()
    slope, level = np.polyfit(x.ravel(), z, 1)
    variance = np.mean((z - level - slope * x.ravel()) ** 2)
    log_likelihood = -n / 2 * (np.log(2 * np.pi * variance) + 1)
    aicc = -2 * log_likelihood + 6 + 24 / (n - 4)
    assert float(found.aic.sel(law="exponential")) == pytest.approx(aicc - n * (np.log(2 * np.pi) + 1))
    assert np.allclose(found.parameters.sel(law="exponential"), [level, slope])
    assert float(found.sigma.sel(law="exponential")) == pytest.approx(np.sqrt(variance * n / (n - 2)))


def test_points_without_a_place_are_left_out():
    x, y = points("power", np.random.default_rng(10), replicas=3)
    more = np.append(x, [0.0, -1.0, np.nan, 2.0]), np.append(y, [5.0, 5.0, 5.0, np.nan])
    found = fit_laws(*more)
    assert found.attrs["points"] == x.size
    assert found.identical(fit_laws(x.ravel(), y.ravel()))


def test_too_few_points():
    for x in ([1.0, 2.0, 3.0, 4.0], [2.0] * 9):
        found = fit_laws(x, 2 * np.ones(len(x)))
        assert np.isnan(found.aic).all() and np.isnan(found.parameters).all()
    assert np.isnan(slope_interval([[2.0, 2.0]], [[1.0, 3.0]])).all()
    slope, lower, upper = slope_interval([[1.0, 2.0]] * 2, [[2.0, 4.0]] * 2)
    assert slope == pytest.approx(1) and np.isnan([lower, upper]).all()
    assert np.isnan(slope_interval(np.full((3, 2), np.nan), np.full((3, 2), np.nan))).all()


@pytest.mark.parametrize("replicas", [6, 40])
def test_the_interval_covers_the_slope(replicas):
    """Replicas have slopes of their own, so that points are not independent; 200 draws, binomial(200, 0.95) ± 4 σ."""
    rng = np.random.default_rng(11)
    inside = 0
    for draw in range(200):
        _, lower, upper = slope_interval(*points("exponential", rng, replicas, shared=0.4, tilt=0.15), draws=800, seed=draw)
        inside += lower <= 1 <= upper
    assert 190 - 4 * np.sqrt(200 * 0.95 * 0.05) <= inside <= 199


def test_the_interval_says_no_to_other_slopes():
    x, y = points("exponential", np.random.default_rng(12), replicas=40)
    slope, lower, upper = slope_interval(x, y**0.5)
    assert lower < slope < upper < 1
    assert abs(slope - 0.5) < 0.05


def test_the_slope_is_the_fit_and_the_seed_is_the_draw():
    x, y = points("exponential", np.random.default_rng(13), replicas=10)
    y[0] = np.nan
    y[3, 2] = np.nan
    first = slope_interval(x, y, seed=4)
    assert first == slope_interval(x, y, seed=4) != slope_interval(x, y, seed=5)
    assert first[0] == pytest.approx(float(fit_laws(x, y).parameters.sel(law="exponential", parameter="b")))


def test_an_exact_law_has_a_narrow_interval():
    x, y = points("exponential", np.random.default_rng(14), replicas=10, sigma=0.0)
    assert np.allclose(slope_interval(x, y), 1, atol=1e-9)


def test_what_points_are_refused():
    with pytest.raises(InputError, match=r"^delay: found shape"):
        fit_laws([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match=r"^delay: found 1 value of 0 or less"):
        fit_laws([1.0, 2.0], [1.0, 0.0])
    with pytest.raises(InputError, match=r"^compression: found shape"):
        slope_interval([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(InputError, match=r"^draws"):
        slope_interval([[1.0]], [[1.0]], draws=0)
