"""What the steps of the plain iteration must show."""

import numpy as np
import pytest
from oracles_encoder import steps_to_rest
from scipy.special import expit

import flowplane as fp
from flowplane.bottleneck.slowness import slowing_down
from flowplane.errors import InputError


def symmetric(error):
    """A fair bit sent through a binary symmetric channel."""
    return np.array([[1 - error, error], [error, 1 - error]]) / 2


def test_steps_peak_at_the_critical_beta():
    critical = 1 / (1 - 2 * 0.2) ** 2
    betas = critical * np.array([0.5, 0.8, 0.95, 1.0, 1.05, 1.3, 2.0])
    steps = slowing_down(symmetric(0.2), betas).steps.values
    assert steps.argmax() == 3 and (np.diff(steps[:4]) > 0).all() and (np.diff(steps[3:]) < 0).all()
    assert steps[3] > 20 * steps[0]


def test_steps_are_those_of_the_plain_iteration():
    joint = np.random.default_rng(1).dirichlet(np.full(24, 0.6)).reshape(8, 3)
    start = 0.5 * np.eye(8) + 0.5 * joint.sum(1)
    found = slowing_down(joint, [9.0, 2.0, 4.0], tolerance=1e-8)
    # merging puts the states in another order, which changes nothing
    assert found.steps.values.tolist() == [steps_to_rest(joint, beta, start, 1e-8, 5000) for beta in (9.0, 2.0, 4.0)]


def test_what_does_not_come_to_rest_is_marked():
    found = slowing_down(symmetric(0.2), [1 / 0.36, 1.5], most=40)
    assert found.capped.values.tolist() == [True, False] and int(found.steps[0]) == 40


@pytest.mark.slow
def test_the_reference_task_slows_down_at_its_first_critical_beta():
    betas = 1.0959 * np.linspace(0.9, 1.1, 9)
    distance = fp.tasks.spherical_strength((np.arange(4096)[:, None] >> np.arange(12)) & 1)
    distance = distance - distance.mean()
    joint = np.stack([expit(-10 * distance), expit(10 * distance)], 1) / 4096
    steps = slowing_down(joint, betas, tolerance=1e-10).steps.values
    assert steps.argmax() == 4


def test_a_cluster_that_enters_is_slow_to_grow():
    """At the β where the optimum of the sharp rule gains its third cluster each step is minute, but none rests there."""
    found = slowing_down(fp.tasks.spherical_rule(information=0.99), [15.9, 16.304731108, 17.4], most=3000)
    assert found.capped.values.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [({"betas": [0.0]}, "betas"), ({"betas": [2.0], "tolerance": 0.0}, "tolerance"), ({"betas": [2.0], "most": 0}, "most")],
)
def test_bad_input_is_named(arguments, argument):
    with pytest.raises(InputError) as raised:
        slowing_down(symmetric(0.1), **arguments)
    assert raised.value.argument == argument
