"""Verdicts of the second lens, from data made to deserve them."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.experiments.transport.flows import (
    balance_claim,
    entropy_balance,
    fall_claim,
    flows_by_depth,
    variance_by_depth,
)

LINE = fp.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4])


def balance(gap, entropy=(3.0, 2.0, 1.0)):
    columns = {"entropy": entropy, "gap": gap, "gap_error": [0.1] * 3, "fisher_information": [1.0] * 3}
    return xr.Dataset({name: ("time", list(values)) for name, values in columns.items()})


def test_verdicts_on_the_entropy_balance():
    assert balance_claim("A-3", "headline", "", [balance([0.1, -0.2, 0.0])]).verdict == "reproduced"
    assert balance_claim("A-3", "headline", "", [balance([0.1, -0.5, 0.0])]).verdict == "contradicted"
    assert balance_claim("A-3", "headline", "", [balance([0.0] * 3, entropy=(1.0, 2.0, 0.0))]).verdict == "contradicted"
    assert balance_claim("A-3", "headline", "", [balance([0.1] * 3), balance([0.5] * 3)]).measured == pytest.approx(
        (1.0, 5.0)
    )


def test_a_shallow_flow_fails_the_balance_that_the_continuous_one_keeps():
    shallow, continuous = (entropy_balance(fp.denoising_flow(LINE, 0.1, layers), 4000, 0) for layers in (1, np.inf))
    assert balance_claim("A-3", "headline", "", [continuous]).verdict == "reproduced"
    assert balance_claim("A-3", "headline", "", [shallow]).verdict == "contradicted"
    np.testing.assert_allclose(continuous.entropy_difference, continuous.entropy_rate, rtol=0.02)


def test_verdicts_on_falling_variance():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 1000))
    assert fall_claim("A-1", "", noise * 0.1 + [[3.0], [2.0], [1.0]]).verdict == "reproduced"
    assert fall_claim("A-1", "", noise * 0.1 + [[3.0], [2.0], [2.5]]).verdict == "contradicted"
    assert fall_claim("A-1", "", noise + np.array([[3.0], [2.0], [1.999]])).verdict == "inconclusive"


def test_variance_by_depth_is_that_of_the_profile():
    flows = flows_by_depth(LINE, 0.1, (1, 2, np.inf))
    values, errors, squares = variance_by_depth(flows, 2000, 3)
    profile = flows["L = 2"].profile(samples=2000, times=[0.1], seed=3)
    assert values[1] == pytest.approx(float(profile.variance[0]), rel=1e-9)
    assert errors[1] == pytest.approx(float(profile.variance_error[0]), rel=1e-9)
    assert squares.shape == (3, 2000)
