"""Information of pairs by denoising: known values, invariances, additivity, and nothing where there is nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles_bridge import information
from slower import first_ones
from truths import TRUTHS

from flowplane.bridge.pairs import pair_information
from flowplane.bridge.training import Schedule
from flowplane.errors import InputError

QUICK = Schedule(hidden=(48, 48), steps=300)
LONGER = Schedule(hidden=(64, 64, 64), steps=500)
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


def test_what_samples_are_too_few_for_is_not_called_converged():
    # T = sin 4X + noise: networks learn their own samples by heart, and find less in others
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 1))
    few = found(x, np.sin(4 * x) + 0.3 * rng.standard_normal((100, 1)))
    assert few.remembered > 0.2
    assert few.upper - few.value > few.remembered
    assert not few.converged
    assert found(*normals(0.75, 1000, 0)).remembered < 0.05


def test_without_training_the_answer_is_that_of_normals():
    x, t = normals(0.8, 2000, 1, units=3)
    truth = -1.5 * math.log2(1 - 0.8**2)
    # the sampling error of ½ ln(1 − r²) is ρ/√n nats a unit
    assert found(x, t, schedule=LINEAR).value == pytest.approx(truth, abs=4 * math.sqrt(3 / 2000) * 0.8 / math.log(2))
    assert found(*waves(1000, 2), schedule=LINEAR).value < 0.2


@pytest.mark.parametrize(("variance", "truth"), first_ones(1, [(0.25, 0.72145), (1e-4, 0.91274), (1.0, 0.41624)]))
def test_two_classes_through_a_channel(variance, truth):
    rng = np.random.default_rng(3)
    y = rng.choice([-1.0, 1.0], (3000, 1))
    t = y + 0.5 * rng.standard_normal((3000, 1))
    assert information(0.25 + variance) == pytest.approx(truth, abs=1e-5)
    answer = found(t, y, variance=variance, schedule=LONGER)
    assert answer.value == pytest.approx(truth, abs=0.04)


def information_of_waves():
    """In bits, by the trapezoid rule."""
    x, t = np.linspace(-9, 9, 4001), np.linspace(-5, 5, 1001)
    given = np.exp(-((t[:, None] - 1.5 * np.sin(2 * x)) ** 2) / 0.5) / math.sqrt(0.5 * math.pi)
    density = given @ np.exp(-(x**2) / 2) * (x[1] - x[0]) / math.sqrt(2 * math.pi)
    entropy = -(density * np.log2(density)).sum() * (t[1] - t[0])
    return float(entropy - 0.5 * math.log2(2 * math.pi * math.e * 0.25))


@pytest.mark.slow
def test_what_is_not_normal():
    answer = found(*waves(2000, 4), schedule=LONGER)
    assert answer.value == pytest.approx(information_of_waves(), abs=0.12)
    assert answer.lower < information_of_waves() < answer.upper
    assert answer.value > found(*waves(2000, 4), schedule=LINEAR).value + 0.8


@pytest.mark.slow
def test_independent_parts_add_up():
    (a, b), (c, d) = waves(1500, 4), normals(0.8, 1500, 5)
    both = found(np.hstack([a, c]), np.hstack([b, d]), schedule=LONGER)
    truth = information_of_waves() - 0.5 * math.log2(1 - 0.8**2)
    assert both.value == pytest.approx(truth, rel=0.1)
    assert both.lower < truth < both.upper


@pytest.mark.slow
def test_independent_parts_that_are_not_normal_add_up():
    (a, b), (c, d) = waves(1500, 4), waves(1500, 5)
    both = pair_information(torch.from_numpy(np.hstack([a, c])), torch.from_numpy(np.hstack([b, d])))
    assert both.value == pytest.approx(2 * information_of_waves(), rel=0.12)
    assert both.lower < 2 * information_of_waves() < both.upper


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_published_tasks():
    names = [
        "1v1-normal-0.75",
        "1v1-additive-0.1",
        "swissroll_x-normal_cdf-1v1-normal-0.75",
        "half_cube-multinormal-sparse-3-3-2-2.0",
        "spiral-normal_cdf-multinormal-sparse-3-3-2-2.0",
        "student-identity-2-2-1",
    ]
    misses = []
    for name in names:
        sample = TRUTHS[name].sample(2000, 1)
        answer = pair_information(torch.from_numpy(sample.inputs), torch.from_numpy(sample.activations))
        misses.append(abs(answer.value - TRUTHS[name].i_xt))
    assert np.mean(misses) < 0.1


@pytest.mark.slow
def test_what_is_done_to_one_vector_adds_nothing():
    """Data processing: rounding T, leaving out a unit, more noise: none of them knows more of X."""
    x, t = normals(0.8, 1500, 5, units=2)
    rng = np.random.default_rng(55)
    whole = found(x, t, schedule=LINEAR)
    for less in (t + rng.standard_normal(t.shape), t[:, :1], np.round(t, 1) + 0.3 * rng.standard_normal(t.shape)):
        assert found(x, less, schedule=LINEAR).value < whole.value - 0.1
