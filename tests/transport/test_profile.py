"""Profiles, residuals and histories of flows."""

import math

import numpy as np
import pytest

import flowplane as fp
from flowplane.core.streams import HISTORY, PROFILE, generator
from flowplane.errors import InputError
from flowplane.transport import ODEMap, brenier_defect, continuity_residual, flow_history
from flowplane.transport.profiles.profile import VARIABLES

LINE = fp.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4])
PLANE = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.2], [1.0, 0.0]], [0.5, 0.4])
FAR = fp.GaussianMixture([0.4, 0.6], np.random.default_rng(0).normal(size=(2, 10)), [0.5, 0.4])


@pytest.mark.parametrize("density", [LINE, PLANE, FAR])
def test_entropy_falls_at_the_rate_of_the_fisher_information(density):
    flow = fp.denoising_flow(density, 0.1, math.inf)
    profile = flow.profile(samples=20_000)
    error = profile.entropy_rate_error + profile.fisher_information_error
    assert (np.abs(profile.entropy_rate + profile.fisher_information) < 4 * error).all()
    slope = np.gradient(profile.entropy.values, profile.time.values, edge_order=2)
    np.testing.assert_allclose(slope, profile.entropy_rate, rtol=0.02)


def test_anisotropic_entropy_falls_at_the_weighted_rate():
    noise = [[1.0, 0.4], [0.4, 0.5]]
    profile = fp.denoising_flow(PLANE, 0.1, math.inf, noise_covariance=noise).profile(samples=20_000)
    error = profile.entropy_rate_error + profile.fisher_information_error
    assert (np.abs(profile.entropy_rate + profile.fisher_information) < 4 * error).all()
    assert profile.variance.values[-1] == pytest.approx(np.trace(PLANE.covariance) - 2 * 0.1 * 1.5, rel=1e-12)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("density", [LINE, PLANE])
def test_layers_against_differences(density, layers):
    """Entropy rate and Fisher information of layered flows against finite differences of log p_t."""
    flow = fp.denoising_flow(density, 0.12, layers)
    times = np.array([0.05, 0.0501])
    profile = flow.profile(samples=300, times=times, seed=3)
    assert profile.entropy_rate.values[0] == pytest.approx(np.diff(profile.entropy.values)[0] / 1e-4, rel=1e-2)
    part = flow.at(0.05)
    y = part(density.draw(300, generator(3, PROFILE)).numpy())
    scores = [(part.log_prob(y + 1e-5 * unit) - part.log_prob(y - 1e-5 * unit)) / 2e-5 for unit in np.eye(density.dimension)]
    assert profile.fisher_information.values[0] == pytest.approx(np.square(scores).sum(0).mean(), rel=1e-4)
    assert profile.entropy.values[0] == pytest.approx(-part.log_prob(y).mean(), rel=1e-6)


@pytest.mark.parametrize("density", [LINE, PLANE, FAR, fp.Normal([0.0, 1.0], [[1.0, 0.5], [0.5, 2.0]])])
def test_the_isotropic_shallow_map_is_optimal(density):
    flow = fp.denoising_flow(density, 0.3, 1)
    profile = flow.profile(samples=500)
    np.testing.assert_allclose(profile.optimality, 1.0, atol=1e-9)
    np.testing.assert_allclose(profile.straightness, 1.0, atol=1e-9)
    np.testing.assert_allclose(profile.benamou_brenier_gap, 0.0, atol=1e-9)
    np.testing.assert_allclose(profile.wasserstein**2, profile.cost, rtol=1e-9)
    assert float(brenier_defect(flow, samples=100)) < 1e-12


def test_anisotropic_shallow_is_not_optimal():
    p = fp.Normal([0.0, 0.0], [[1.0, 0.6], [0.6, 1.5]])
    flow = fp.denoising_flow(p, 0.1, 1, noise_covariance=[[1.0, -0.8], [-0.8, 1.0]])
    assert flow.profile(times=[0.1]).optimality.values[0] < 0.995
    assert float(brenier_defect(flow)) > 1e-4


def test_gaussian_profile_is_exact():
    p = fp.Normal([0.0, 1.0], [[1.0, 0.5], [0.5, 2.0]])
    profile = fp.denoising_flow(p, 0.2, math.inf).profile()
    assert profile.attrs["method"] == "closed form"
    assert profile.sizes == {"time": 21}
    assert (profile.entropy_error == 0).all()
    moved = fp.Normal(p.mean, p.covariance - 0.4 * np.eye(2))
    assert profile.entropy.values[-1] == pytest.approx(float(moved.entropy()), abs=1e-9)
    assert profile.wasserstein.values[-1] == pytest.approx(fp.wasserstein(p, moved, method="gaussian"), abs=1e-9)
    assert profile.optimality.values[-1] == pytest.approx(1.0, abs=1e-9)


def test_every_variable_has_units_and_the_same_seed_the_same_numbers():
    flow = fp.denoising_flow(LINE, 0.1, 2)
    profile, again = (flow.profile(samples=50, seed=4) for _ in range(2))
    assert set(VARIABLES) <= set(profile)
    assert all(profile[name].attrs["units"] for name in profile)
    assert profile.identical(again)
    assert profile.attrs["wasserstein_samples"] == 50
    assert profile.optimality.values[0] == 1.0
    assert profile.cost.values[0] == 0.0


def test_bare_points_have_no_entropy_but_a_cost():
    points = LINE.sample(200, seed=0)
    profile = fp.denoising_flow(fp.Empirical(points), 0.1, 3).profile(samples=100, times=[0.0, 0.1])
    assert np.isnan(profile.entropy).all()
    assert np.isnan(profile.fisher_information).all()
    assert profile.cost.values[1] > 0
    assert 0.9 < profile.optimality.values[1] <= 1.0


@pytest.mark.parametrize(("density", "grids"), [(LINE, (41, 81, 161)), (PLANE, (31, 61, 121))])
def test_residuals_shrink_at_second_order(density, grids):
    reach = (-4.5, 4.5)
    flow = fp.denoising_flow(density, 0.1, math.inf)
    pushed = ODEMap(flow.field, density.dimension, time=0.1, source=density)
    shallow = fp.denoising_flow(density, 0.1, 1)
    for each, heat in ((flow, True), (pushed, True), (shallow, False)):
        found = [continuity_residual(each, 0.05, points=points, extent=reach).attrs for points in grids]
        continuity, equation = ([attrs[name] for attrs in found] for name in ("continuity_norm", "backward_heat_norm"))
        spacing = np.log([attrs["spacing"] for attrs in found])
        assert np.polyfit(spacing, np.log(continuity), 1)[0] == pytest.approx(2.0, abs=0.25)
        if heat:
            assert np.polyfit(spacing, np.log(equation), 1)[0] == pytest.approx(2.0, abs=0.25)
        else:
            assert equation[-1] > 0.5 * equation[0]


def test_residual_of_layers_between_vertices():
    flow = fp.denoising_flow(LINE, 0.12, 3)
    found = [
        continuity_residual(flow, 0.06, points=points, extent=(-4.5, 4.5)).attrs["continuity_norm"] for points in (81, 161)
    ]
    assert found[0] / found[1] == pytest.approx(4.0, rel=0.2)


def test_history_is_the_flow():
    flow = fp.denoising_flow(PLANE, 0.1, math.inf)
    history = flow_history(flow, samples=30, times=[0.0, 0.05, 0.1], points=61, extent=(-4, 4), seed=2)
    particles = PLANE.draw(30, generator(2, HISTORY)).numpy()
    np.testing.assert_allclose(history.position[0], particles)
    np.testing.assert_allclose(history.position[-1], flow(particles), atol=1e-7)
    mass = history.density.sum(("x", "y")) * (8 / 60) ** 2
    np.testing.assert_allclose(mass, 1.0, atol=1e-3)
    place = np.array([[history.arrow_x.values[5], history.arrow_y.values[9]]])
    np.testing.assert_allclose(history.velocity[1, :, 5, 9], flow.velocity(0.05, place)[0], rtol=1e-9)
    atoms = flow_history(fp.denoising_flow(fp.Empirical(LINE.sample(50, seed=0)), 0.1, 2), samples=10)
    assert np.isnan(atoms.density).all()


def test_what_is_refused():
    far = fp.denoising_flow(FAR, 0.1, 1)
    with pytest.raises(InputError, match="flow: found 10 dimensions"):
        continuity_residual(far, 0.05)
    with pytest.raises(InputError, match="flow: found 10 dimensions"):
        flow_history(far)
    flow = fp.denoising_flow(LINE, 0.1, math.inf)
    for t in (0.0, 0.1, 1.0):
        with pytest.raises(InputError, match="t: found"):
            continuity_residual(flow, t)
    with pytest.raises(InputError, match="extent"):
        flow_history(flow, extent=(1.0, -1.0))
    with pytest.raises(InputError, match="samples: found 1"):
        flow.profile(samples=1)
    with pytest.raises(InputError, match="seed: found -1"):
        flow.profile(seed=-1)
    with pytest.raises(InputError, match="source: found None"):
        fp.transport.AffineMap(2.0, [0.0]).profile()
