"""Information of pairs by denoising: known values, invariances, additivity, and nothing where there is nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles_bridge import information

from flowplane.bridge.pairs import pair_information
from flowplane.bridge.training import Schedule
from flowplane.errors import InputError

QUICK = Schedule(hidden=(48, 48), steps=400)
LINEAR = Schedule(steps=0)


def normals(correlation, n, seed, units=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, units))
    return x, correlation * x + math.sqrt(1 - correlation**2) * rng.standard_normal((n, units))


def waves(n, seed):
    """T = 1.5 sin 2X + noise, correlated with X by little."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 1))
    return x, 1.5 * np.sin(2 * x) + 0.5 * rng.standard_normal((n, 1))


def found(x, t, **settings):
    return pair_information(torch.from_numpy(x), torch.from_numpy(t), **{"schedule": QUICK, **settings})


def test_two_normals():
    x, t = normals(0.75, 2000, 0)
    answer = found(x, t)
    truth = -0.5 * math.log2(1 - 0.75**2)
    assert answer.lower < truth < answer.upper
    assert answer.value == pytest.approx(truth, abs=0.06)
    assert answer.converged
    assert answer.pointwise.mean() == pytest.approx(answer.value, abs=1e-9)


def test_without_training_the_answer_is_that_of_normals():
    x, t = normals(0.8, 2000, 1, units=3)
    truth = -1.5 * math.log2(1 - 0.8**2)
    # the sampling error of ½ ln(1 − r²) is ρ/√n nats a unit
    assert found(x, t, schedule=LINEAR).value == pytest.approx(truth, abs=4 * math.sqrt(3 / 2000) * 0.8 / math.log(2))
    assert found(*waves(1000, 2), schedule=LINEAR).value < 0.1


@pytest.mark.parametrize(("variance", "truth"), [(1e-4, 0.91274), (0.25, 0.72145), (1.0, 0.41624)])
def test_two_classes_through_a_channel(variance, truth):
    rng = np.random.default_rng(3)
    y = rng.choice([-1.0, 1.0], (3000, 1))
    t = y + 0.5 * rng.standard_normal((3000, 1))
    assert information(0.25 + variance) == pytest.approx(truth, abs=1e-5)
    assert found(t, y, variance=variance).value == pytest.approx(truth, abs=0.04)


def test_independent_parts_add_up():
    (a, b), (c, d) = waves(1500, 4), waves(1500, 5)
    parts = found(a, b).value + found(c, d).value
    both = found(np.hstack([a, c]), np.hstack([b, d])).value
    assert parts > 1.5
    assert both == pytest.approx(parts, rel=0.15)


def test_shuffled_pairs_hold_nothing():
    x, t = waves(2000, 6)
    answer = found(x, np.random.default_rng(7).permutation(t))
    assert answer.lower < 0 < answer.upper
    assert abs(answer.value) < 0.03 / math.log(2)


def test_shuffled_pairs_of_many_units_hold_nothing():
    x, t = normals(0.9, 1000, 8, units=5)
    answer = found(x, np.random.default_rng(9).permutation(t))
    assert answer.lower < 0 < answer.upper
    assert abs(answer.value) < 0.03 / math.log(2)


def test_rows_of_one_group_are_never_apart():
    rng = np.random.default_rng(10)
    groups = np.repeat(np.arange(20), 60)
    x, y = (rng.standard_normal((20, 1))[groups] + 0.02 * rng.standard_normal((1200, 1)) for _ in range(2))
    apart, together = found(x, y), found(x, y, groups=groups)
    assert apart.lower > 0.5
    assert together.lower < 0 < together.upper
    assert together.value < 0.3


def test_monotone_maps_of_units_change_nothing():
    x, t = waves(300, 11)
    schedule = replace(QUICK, steps=14)
    assert found(np.exp(x), t**3, schedule=schedule).value == found(x, t, schedule=schedule).value


def test_of_a_curve_and_a_number_the_number_is_denoised():
    x, t = normals(0.75, 1000, 12)
    curve = np.hstack([np.cos(3 * x), np.sin(3 * x), x])
    answer = found(curve, t)
    assert answer.value == pytest.approx(-0.5 * math.log2(1 - 0.75**2), abs=0.12)
    assert answer.value == pytest.approx(found(t, curve).value, abs=1e-9)


def test_the_same_seed_gives_the_same_whatever_is_global():
    x, t = waves(200, 13)
    schedule = replace(QUICK, steps=14)
    first = found(x, t, schedule=schedule, variance=0.1, seed=5)
    torch.manual_seed(1)
    with torch.no_grad():
        assert found(x, t, schedule=schedule, variance=0.1, seed=5).value == first.value
    assert found(x, t, schedule=schedule, variance=0.1, seed=6).value != first.value


def test_too_few_groups_are_refused():
    x, t = normals(0.5, 100, 14)
    with pytest.raises(InputError, match="groups"):
        found(x, t, groups=np.arange(100) % 5)
