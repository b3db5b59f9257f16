"""How many steps a flow needs, and how likely points are under it."""

import math

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.transport import AffineMap, ODEMap, model_flow


def growing(size=1, **options):
    return ODEMap(lambda t, x: -x, size, time=1.0, source=fp.Normal(np.zeros(size)), **options)


def test_methods_in_closed_form():
    """dx/dt = −x: Euler (1 − h)^N, Heun (1 − h + h²/2)^N, against e⁻¹."""
    found = growing().steps(samples=500, numbers=(1, 3, 10))
    size = float(found.distance.sel(solver="euler", steps=1)) / abs(math.exp(-1))  # √E|x|²
    for n in (1, 3, 10):
        h = 1 / n
        for solver, end in (("euler", (1 - h) ** n), ("heun", (1 - h + h * h / 2) ** n)):
            expected = size * abs(end - math.exp(-1))
            assert float(found.distance.sel(solver=solver, steps=n)) == pytest.approx(expected, rel=1e-5)
    assert found.evaluations.values.tolist() == [[1, 3, 10], [2, 6, 20]]
    assert (found.adaptive_evaluations.diff("tolerance") >= 0).all() and float(found.adaptive_distance[-1]) < 1e-5 * size


def test_orders_of_convergence():
    flow = fp.denoising_flow(fp.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4]), 0.1, math.inf)
    found = flow.steps(samples=100, numbers=(16, 32))
    ratios = (found.distance.sel(steps=16) / found.distance.sel(steps=32)).values
    assert 1.8 < ratios[0] < 2.3 and 3.5 < ratios[1] < 4.8


def test_the_least_number_is_the_least():
    found = growing().steps(samples=200)
    within = found.attrs["within"]
    assert within == pytest.approx(0.01 * found.attrs["moved"])
    for solver in ("euler", "heun"):
        least = int(found.least_steps.sel(solver=solver))
        around = growing().steps(samples=200, numbers=(least - 1, least), within=within)
        below, at = around.distance.sel(solver=solver).values
        assert at <= within < below
    missed = growing().steps(samples=20, numbers=(1, 2), within=1e-9)
    assert np.isnan(missed.least_steps).all() and Flags.names(missed.flags) == ("not_reached",)
    assert growing().steps(samples=20, numbers=(4,), within=100.0).least_steps.values.tolist() == [1.0, 1.0]


def test_a_straight_flow_needs_one_step():
    straight = model_flow(lambda x, t: 0 * x + 2.0, shape=2)
    found = straight.steps(samples=50)
    assert found.least_steps.values.tolist() == [1.0, 1.0]
    assert float(found.distance.max()) < 1e-6


def test_what_steps_refuse():
    with pytest.raises(InputError, match="flow: found DenoisingFlow, a map of layers"):
        fp.denoising_flow(fp.Normal(0.0), 0.1, 3).steps()
    for wrong in ((0, 1), (2, 2), (1.5,)):
        with pytest.raises(InputError, match="numbers: found"):
            growing().steps(numbers=wrong)
    with pytest.raises(InputError, match="within: found -1"):
        growing().steps(within=-1)


def test_likelihood_by_probes_knows_its_error():
    """In many dimensions: log p of a linear flow is known, and the error is that of the estimates."""
    d = 30
    rng = np.random.default_rng(0)
    matrix = torch.from_numpy(rng.normal(size=(d, d)) / d)
    flow = ODEMap(lambda t, x: x @ matrix.T, d, time=1.0, source=fp.Normal(np.zeros(d)), probes=16)
    whole = torch.linalg.matrix_exp(matrix).numpy()
    known = fp.Normal(np.zeros(d), whole @ whole.T)
    y = known.sample(400, seed=0)
    found = flow.bits_per_dimension(y)
    off = (found.log_prob.values - known.log_prob(y)) / found.log_prob_error.values
    assert 0.8 < off.std() < 1.3 and abs(off.mean()) < 0.2
    np.testing.assert_allclose(found.log_prob, flow.log_prob(y), atol=1e-6)
    np.testing.assert_allclose(found.bits_per_dimension, -found.log_prob / d / math.log(2), rtol=1e-12)
    mean = -known.log_prob(y).mean() / d / math.log(2)
    assert float(found.mean_bits_per_dimension) == pytest.approx(mean, abs=4 * float(found.mean_bits_per_dimension_error))
    profile = flow.profile(samples=1000, times=[0.0, 1.0])
    assert float(profile.entropy[1]) == pytest.approx(float(known.entropy()), abs=4 * float(profile.entropy_error[1]))
    rate = float(torch.trace(matrix))
    np.testing.assert_allclose(profile.entropy_rate, rate, atol=4 * float(profile.entropy_rate_error[1]))
    assert np.isnan(profile.fisher_information).all() and "30 dimensions" in profile.attrs["missing"]


def test_grey_levels():
    """d levels of width w: the probability of a level is p·w^d."""
    flow = AffineMap(2.0, [0.0, 0.0], source=fp.Normal([0.0, 0.0]))
    one, levels = (flow.bits_per_dimension([[0.3, 0.4], [1.0, 0.0]], width=width) for width in (1.0, 2 / 255))
    np.testing.assert_allclose(levels.bits_per_dimension - one.bits_per_dimension, math.log2(127.5), rtol=1e-12)
    assert one.log_prob.attrs["units"] == "nats" and one.bits_per_dimension.attrs["units"] == "bits"
    with pytest.raises(InputError, match="width: found 0"):
        flow.bits_per_dimension([[0.3, 0.4]], width=0)


def test_wide_clouds_are_drawn_without_a_matrix():
    p = fp.Normal(np.full(4000, 0.5), 4.0)
    x = p.sample(200, seed=0)
    assert x.shape == (200, 4000) and abs(x.std() - 2) < 0.01
    expected = -0.5 * (((x - 0.5) / 2) ** 2).sum(1) - 4000 * math.log(2 * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-12)
    np.testing.assert_allclose(p.score(x), (0.5 - x) / 4, atol=1e-12)
    small = fp.Normal([0.5, 0.2], 4.0)
    same = fp.Normal([0.5, 0.2], 4 * np.eye(2))
    y = small.sample(5, seed=1)
    np.testing.assert_allclose(y, same.sample(5, seed=1), rtol=1e-15)
    for name in ("log_prob", "score"):
        np.testing.assert_allclose(getattr(small, name)(y), getattr(same, name)(y), rtol=1e-14)
    rows = torch.from_numpy(y)
    for name in ("hessian", "third_derivative"):
        torch.testing.assert_close(getattr(small.smoothing, name)(0.3, rows), getattr(same.smoothing, name)(0.3, rows))
