"""Continuous flows of any velocity field, affine maps and compositions."""

import math

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane.core.streams import PROFILE, generator
from flowplane.errors import InputError
from flowplane.transport import (
    AffineMap,
    Composition,
    Entropy,
    KullbackLeibler,
    LearnedScore,
    NegativeEntropy,
    ODEMap,
    PotentialEnergy,
    ScoreNetwork,
)
from flowplane.transport.maps import ode


def rotation(t, x):
    return torch.stack([-x[:, 1], x[:, 0]], 1)


def test_linear_fields_have_known_flows():
    matrix = torch.tensor([[-0.5, 0.3], [0.1, 0.2]], dtype=torch.float64)
    flow = ODEMap(lambda t, x: x @ matrix.T, dimension=2, time=1.5, source=fp.Normal([1.0, 0.0], [[1.0, 0.2], [0.2, 0.5]]))
    exponential = torch.linalg.matrix_exp(1.5 * matrix).numpy()
    x = np.random.default_rng(0).normal(size=(10, 2))
    np.testing.assert_allclose(flow(x), x @ exponential.T, atol=1e-7)
    np.testing.assert_allclose(flow.inverse(flow(x)), x, atol=1e-7)
    np.testing.assert_allclose(flow.log_det_jacobian(x), 1.5 * float(torch.trace(matrix)), atol=1e-8)
    moved = fp.Normal(exponential @ [1.0, 0.0], exponential @ [[1.0, 0.2], [0.2, 0.5]] @ exponential.T)
    np.testing.assert_allclose(flow.log_prob(x), moved.log_prob(x), atol=1e-6)
    profile = flow.profile(samples=4000, times=[0.0, 1.5])
    assert profile.entropy.values[1] == pytest.approx(float(moved.entropy()), abs=5 * float(profile.entropy_error[1]))
    information = np.trace(np.linalg.inv(moved.covariance))
    assert profile.fisher_information.values[1] == pytest.approx(information, rel=0.1)


def test_fisher_information_along_any_field():
    """The score carried by ds/dt = −(∇v)ᵀs − ∇(∇·v), against the closed form of the heat equation."""
    p = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.3]], [0.4, 0.3])
    flow = fp.denoising_flow(p, 0.1, math.inf)
    same = ODEMap(flow.field, 2, time=0.1, source=p)
    known, carried = (f.profile(samples=200, times=[0.0, 0.05, 0.1], seed=1) for f in (flow, same))
    for name in ("entropy", "entropy_rate", "fisher_information", "cost", "kinetic_energy"):
        np.testing.assert_allclose(carried[name], known[name], rtol=1e-5, err_msg=name)


def test_time_dependent_field():
    flow = ODEMap(lambda t, x: torch.full_like(x, 2 * t), dimension=1, time=2.0)
    assert flow([[1.0]])[0, 0] == pytest.approx(5.0, abs=1e-7)
    np.testing.assert_allclose(flow.trajectory([[0.0]], [0.0, 1.0, 2.0])[:, 0, 0], [0.0, 1.0, 4.0], atol=1e-7)
    assert flow.at(1.0)([[1.0]])[0, 0] == pytest.approx(2.0, abs=1e-7)


def pulse(t):
    """Of integral 1 and some thousandths wide, at time 0.3."""
    return math.exp(-0.5 * ((t - 0.3) / 1e-3) ** 2) / (1e-3 * math.sqrt(2 * math.pi))


def test_a_pulse_is_seen_with_steps_as_short():
    x = np.array([[0.5, -1.0]])
    push, shrink = lambda t, x: 0 * x + pulse(t), lambda t, x: -pulse(t) * x
    assert np.array_equal(ODEMap(push, 2, time=1.0)(x), x)  # what the docstring warns of
    flow = ODEMap(push, 2, time=1.0, max_step=3e-3, source=fp.Normal([0.0, 0.0]))
    np.testing.assert_allclose(flow(x), x + 1, atol=1e-6)
    np.testing.assert_allclose(flow.inverse(x), x - 1, atol=1e-6)
    np.testing.assert_allclose(flow.trajectory(x, [0.2, 0.3, 0.9])[:, 0, 0], [0.5, 1.0, 1.5], atol=1e-6)
    np.testing.assert_allclose(flow.at(0.3)(x), x + 0.5, atol=1e-6)
    # ∫2v² dt = 1/(σ√π)
    energy = flow.profile(samples=10, times=[1.0]).kinetic_energy
    assert float(energy[0]) == pytest.approx(1 / (1e-3 * math.sqrt(math.pi)), rel=1e-6)
    smaller = ODEMap(shrink, 2, time=1.0, max_step=3e-3)
    np.testing.assert_allclose(smaller(x), x / math.e, atol=1e-6)
    np.testing.assert_allclose(smaller.log_det_jacobian(x), -2.0, atol=1e-6)


def steps_of(flow, x):
    """Evaluations of the velocity on the way there."""
    core, calls = getattr(flow, "core", flow), []
    field = core.field
    core.field = lambda t, x: calls.append(t) or field(t, x)
    end = flow(x)
    return len(calls), end


TWO = fp.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4])


@pytest.mark.parametrize(
    "made",
    [
        lambda **limit: ODEMap(lambda t, x: -x, 1, time=0.1, **limit),
        lambda **limit: fp.denoising_flow(TWO, 0.1, math.inf, **limit),
        lambda **limit: fp.denoising_flow(TWO, 0.1, math.inf, noise_covariance=0.5, **limit),
        lambda **limit: fp.gradient_flow(Entropy(), TWO, 0.1, **limit),
        lambda **limit: fp.gradient_flow(NegativeEntropy(), TWO, 0.1, **limit),
        lambda **limit: fp.gradient_flow(KullbackLeibler(fp.Normal(0.0)), TWO, 0.1, **limit),
        lambda **limit: fp.gradient_flow(KullbackLeibler(TWO), fp.Normal(0.0), 0.1, **limit),
        lambda **limit: fp.gradient_flow(PotentialEnergy(lambda x: x.square().sum(1)), TWO, 0.1, **limit),
        lambda **limit: LearnedScore(ScoreNetwork(1, (0.1, 0.5), hidden=(4,)), (0.1, 0.5)).flow(0.1, **limit),
    ],
)
def test_max_step_is_kept_by_all_that_solve(made):
    x = np.array([[-0.7], [0.2]])
    few, free = steps_of(made(), x)
    many, bound = steps_of(made(max_step=2e-3), x)
    # six evaluations a step
    assert few < 300 <= many
    np.testing.assert_allclose(bound, free, atol=1e-4)
    for wrong in (0, -0.1, math.nan, "short"):
        with pytest.raises(InputError, match="max_step: found"):
            made(max_step=wrong)


def test_a_velocity_may_write_into_its_argument():
    """It is given a copy: nothing hangs, and all is as if it did not."""

    def writes(t, x):
        x *= 0.5
        return x.sin_().neg_()

    def diverges(t, x):
        return (x.mul_(0.5).cos_() * -0.5).sum(1)

    x = np.random.default_rng(0).normal(size=(5, 2))
    before, p = x.copy(), fp.Normal([0.0, 0.0])
    pure = ODEMap(lambda t, x: -torch.sin(0.5 * x), 2, time=1.0, source=p)
    for divergence in (None, diverges):
        flow = ODEMap(writes, 2, time=1.0, source=p, divergence=divergence)
        for name in ("__call__", "inverse", "log_det_jacobian", "log_prob", "trajectory"):
            np.testing.assert_allclose(getattr(flow, name)(x), getattr(pure, name)(x), atol=1e-7, err_msg=name)
        np.testing.assert_array_equal(flow.velocity(0.5, x), pure.velocity(0.5, x))
        one, other = (each.profile(samples=50, times=[0.0, 0.5, 1.0]) for each in (flow, pure))
        for name in ("entropy", "fisher_information", "kinetic_energy", "optimality"):
            np.testing.assert_allclose(one[name], other[name], rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(x, before)


def test_exact_divergence_hutchinson_and_a_given_one():
    """Up to ten dimensions exact; above by random probes, whose error falls with their number."""
    d = 14
    rng = np.random.default_rng(3)
    matrix = torch.tensor(rng.normal(size=(d, d)) / d)
    field = lambda t, x: torch.tanh(x) @ matrix.T  # noqa: E731
    x = rng.normal(size=(40, d))
    exact = ODEMap(field, d, time=1.0, divergence=lambda t, x: (1 - torch.tanh(x) ** 2) @ matrix.diagonal())
    few, many = ODEMap(field, d, time=1.0, probes=4), ODEMap(field, d, time=1.0, probes=256)
    truth = exact.log_det_jacobian(x)
    errors = [np.sqrt(np.mean((flow.log_det_jacobian(x) - truth) ** 2)) for flow in (few, many)]
    assert errors[1] < 0.35 * errors[0]
    np.testing.assert_array_equal(few.log_det_jacobian(x), few.log_det_jacobian(x))
    small = ODEMap(lambda t, x: torch.tanh(x) @ matrix[:3, :3].T, 3, time=1.0)
    given = ODEMap(
        small.velocity_of, 3, time=1.0, divergence=lambda t, x: (1 - torch.tanh(x) ** 2) @ matrix[:3, :3].diagonal()
    )
    np.testing.assert_allclose(small.log_det_jacobian(x[:, :3]), given.log_det_jacobian(x[:, :3]), atol=1e-9)


def test_kinetic_energy_of_a_turn():
    flow = ODEMap(rotation, 2, time=np.pi / 2, source=fp.Normal([0.0, 0.0], 1.0))
    profile = flow.profile(samples=500, times=[np.pi / 2], seed=2)
    x = flow.known_source().draw(500, generator(2, PROFILE)).numpy()
    assert profile.kinetic_energy.values[0] == pytest.approx(np.pi / 2 * (x**2).sum(1).mean(), rel=1e-6)
    assert profile.cost.values[0] == pytest.approx(2 * (x**2).sum(1).mean(), rel=1e-6)
    assert profile.straightness.values[0] == pytest.approx(2 / (np.pi / 2) ** 2, rel=1e-6)
    assert profile.optimality.values[0] < 0.1  # a turn brings a round cloud nowhere
    assert profile.benamou_brenier_gap.values[0] > 0
    assert float(fp.transport.brenier_defect(flow)) == pytest.approx(1.0, abs=1e-6)


def test_affine_maps_compose():
    f = AffineMap([[2.0, 0.3], [0.0, 0.5]], [1.0, 0.0])
    g = AffineMap(0.5, [0.0, 2.0], time=0.5)
    x = np.random.default_rng(1).normal(size=(5, 2))
    both = f @ g
    assert isinstance(both, Composition)
    assert both.time == 1.5
    np.testing.assert_allclose(both(x), f(g(x)), atol=1e-12)
    np.testing.assert_allclose(both.inverse(both(x)), x, atol=1e-9)
    np.testing.assert_allclose(both.log_det_jacobian(x), np.log(0.25), atol=1e-12)
    path = both.trajectory(x, [0.0, 0.25, 0.5, 1.0, 1.5])
    np.testing.assert_allclose(path[1], (x + g(x)) / 2, atol=1e-12)
    np.testing.assert_allclose(path[2], g(x), atol=1e-12)
    np.testing.assert_allclose(path[3], (g(x) + f(g(x))) / 2, atol=1e-12)
    np.testing.assert_allclose(both.velocity(0.1, x), (g(x) - x) / 0.5, atol=1e-12)
    np.testing.assert_allclose(both.velocity(0.5, x), f(x) - x, atol=1e-12)
    np.testing.assert_allclose((f @ g @ f)(x), f(g(f(x))), atol=1e-12)
    p = fp.Normal([0.0, 1.0], [[1.0, 0.2], [0.2, 0.5]])
    known = AffineMap([[2.0, 0.3], [0.0, 0.5]], [1.0, 0.0], source=p)
    moved = fp.Normal(known([p.mean])[0], f.matrix.numpy() @ p.covariance @ f.matrix.numpy().T)
    np.testing.assert_allclose(known.log_prob(x), moved.log_prob(x), atol=1e-9)
    with pytest.raises(TypeError):
        _ = f @ np.eye(2)


def test_denoiser_after_ode_is_one_map():
    p = fp.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.3)
    heat = fp.denoising_flow(p, 0.05, math.inf)
    layer = fp.transport.Denoiser(p.smoothed(1e-9).smoothing, 0.1)
    both = layer @ heat
    x = p.sample(6, seed=0)
    np.testing.assert_allclose(both(x), layer(heat(x)), atol=1e-7)
    np.testing.assert_allclose(both.log_prob(both(x)), p.log_prob(x) - both.log_det_jacobian(x), atol=1e-6)
    profile = both.profile(samples=100, times=[0.0, 0.05, 0.1, 0.15])
    assert np.isfinite(profile.entropy).all()
    assert (np.diff(profile.entropy) < 0).all()


def test_what_is_refused():
    with pytest.raises(InputError, match="velocity: found 3"):
        ODEMap(3, 1, time=1.0)
    with pytest.raises(InputError, match="time: found -1"):
        ODEMap(rotation, 2, time=-1.0)
    with pytest.raises(InputError, match="dimension: found 0"):
        ODEMap(rotation, 0, time=1.0)
    with pytest.raises(InputError, match=r"source: .* a density in 2 dimensions"):
        ODEMap(rotation, 2, time=1.0, source=fp.Normal(0.0, 1.0))
    with pytest.raises(InputError, match=r"velocity: found shape \(3,\)"):
        ODEMap(lambda t, x: x[:, 0], 2, time=1.0)(np.zeros((3, 2)))
    with pytest.raises(InputError, match="cannot differentiate"):
        ODEMap(lambda t, x: x.detach(), 2, time=1.0).log_det_jacobian(np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"velocity: found a singularity near time (0\.99|1)"):
        ODEMap(lambda t, x: x * x, 1, time=2.0)([[1.0]])
    with pytest.raises(InputError, match=r"velocity: found shape \(3, 2\) in torch.complex128, expected .* real numbers"):
        ODEMap(lambda t, x: x + 1j, 2, time=1.0)(np.zeros((3, 2)))
    with pytest.raises(InputError, match="source: found None"):
        ODEMap(rotation, 2, time=1.0).log_prob(np.zeros((3, 2)))
    with pytest.raises(InputError, match="matrix: found a singular matrix"):
        AffineMap(np.zeros((2, 2)), 0.0)
    with pytest.raises(InputError, match="maps: found dimensions"):
        _ = AffineMap(2.0, [0.0]) @ AffineMap(2.0, [0.0, 0.0])
    with pytest.raises(InputError, match="shift: found shape"):
        AffineMap(np.eye(2), [1.0, 2.0, 3.0])


def test_a_velocity_with_chance_in_it_does_not_go_on_for_ever(monkeypatch):
    monkeypatch.setattr(ode, "MOST", 300)
    rough = ODEMap(lambda t, x: torch.randn_like(x), 2, time=1.0)
    with pytest.raises(InputError, match=r"velocity: found one that is rough near time .* 300 steps did not lead beyond"):
        rough(np.zeros((3, 2)))
    flow = ODEMap(rotation, 2, time=1.0, max_step=1e-3)  # what the user asks for is not too many
    np.testing.assert_allclose(flow(np.eye(2)), ODEMap(rotation, 2, time=1.0)(np.eye(2)), atol=1e-8)


def test_a_profile_of_bare_atoms_has_all_but_what_needs_a_density():
    points = np.random.default_rng(0).normal(size=(30, 2))
    for dimension, atoms in ((2, points), (12, np.tile(points, 6))):
        shrink = ODEMap(lambda t, x: -x, dimension, time=1.0, source=fp.Empirical(atoms))
        found = shrink.profile(50, [0.0, 1.0])
        assert np.isnan(found.entropy).all() and np.isnan(found.fisher_information).all()
        np.testing.assert_allclose(found.entropy_rate, -dimension, rtol=1e-6)
        np.testing.assert_allclose(found.cost[1] / found.wasserstein[1] ** 2, 1.0, rtol=1e-6)


def test_a_velocity_without_gradient_is_refused_by_name():
    flow = ODEMap(lambda t, x: torch.from_numpy(-x.detach().numpy()), 2, time=1.0, source=fp.Normal([0.0, 0.0], 1.0))
    with pytest.raises(InputError, match="velocity: found a result that torch cannot differentiate"):
        flow.profile(10, [0.0, 1.0])
