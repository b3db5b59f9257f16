"""Wasserstein gradient flows: every row of §A2, its equation and its dissipation."""

import math

import numpy as np
import oracles
import pytest
import torch
from scipy.integrate import quad
from slower import first_ones

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import (
    Entropy,
    InternalEnergy,
    KullbackLeibler,
    NegativeEntropy,
    PotentialEnergy,
    RenyiEntropy,
    TsallisEntropy,
)

LINE = fp.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4])
PLANE = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.2], [1.0, 0.0]], [0.5, 0.4])


def bowl(x):
    return (x.square().sum(1) + 0.2 * torch.cos(3 * x[:, 0])) / 2


ROWS = [
    (Entropy(), LINE, 0.1),
    (NegativeEntropy(), LINE, 0.5),
    (KullbackLeibler(fp.Normal(0.5, 0.7)), LINE, 1.0),
    (KullbackLeibler(LINE), fp.Normal(0.0, 1.0), 0.5),
    (InternalEnergy(2.0), LINE, 0.5),
    (InternalEnergy(1.5), LINE, 0.5),
    (TsallisEntropy(2.0), LINE, 0.1),
    (RenyiEntropy(2.0), LINE, 0.03),
    (PotentialEnergy(bowl), LINE, 1.0),
    (NegativeEntropy(), PLANE, 0.5),
    (KullbackLeibler(fp.Normal([0.5, 0.0], 0.7)), PLANE, 1.0),
    (PotentialEnergy(bowl), PLANE, 1.0),
]


@pytest.mark.parametrize(("functional", "density", "time"), first_ones(6, ROWS))
def test_energy_falls_by_the_dissipation(functional, density, time):
    """dF/dt = −∫|v|²p: the fall of the energy is the integral of the dissipation."""
    times = np.linspace(0, time, 41)
    profile = fp.gradient_flow(functional, density, time).profile(samples=500, times=times)
    energy, dissipation = profile.energy.values, profile.dissipation.values
    assert (np.diff(energy) < 0).all()
    assert (dissipation > 0).all()
    fall = energy[0] - energy[-1]
    from scipy.integrate import simpson

    spent = simpson(dissipation, x=times)
    error = 4 * (profile.energy_error.values[[0, -1]].sum() + time * profile.dissipation_error.values.max())
    assert fall == pytest.approx(spent, abs=error + 0.01 * abs(fall))
    assert profile.energy.attrs["units"] == functional.units


def test_heat_and_its_reverse_are_convolutions():
    x = np.linspace(-4, 4, 9)[:, None]
    forward = fp.gradient_flow(NegativeEntropy(), LINE, 0.5)
    np.testing.assert_allclose(forward.log_prob(x), LINE.smoothed(1.0).log_prob(x), atol=1e-10)
    backward = fp.gradient_flow(Entropy(), LINE, 0.1)
    np.testing.assert_allclose(backward(x), fp.denoising_flow(LINE, 0.1, math.inf)(x), atol=1e-9)
    there = fp.gradient_flow(Entropy(), LINE.smoothed(1.0), 0.5)
    np.testing.assert_allclose(there(forward(x)), x, atol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 10])
def test_fokker_planck_towards_a_gaussian(d):
    """The Ornstein–Uhlenbeck semigroup, against the change of variables along the particles."""
    rng = np.random.default_rng(d)
    root = rng.normal(size=(d, d + 2))
    target = fp.Normal(rng.normal(size=d), root @ root.T / d + 0.3 * np.eye(d))
    start = fp.GaussianMixture([0.3, 0.7], rng.normal(size=(2, d)), [0.5, 0.8])
    flow = fp.gradient_flow(KullbackLeibler(target), start, 0.4)
    x = start.sample(20, seed=1)
    y = flow(x)
    np.testing.assert_allclose(flow.log_prob(y), start.log_prob(x) - flow.log_det_jacobian(x), atol=1e-6)
    late = fp.gradient_flow(KullbackLeibler(target), start, 60.0)
    np.testing.assert_allclose(late.log_prob(y), target.log_prob(y), atol=1e-3)
    kernel = fp.Empirical(start.sample(50, seed=0), kernel_covariance=0.3)
    points = fp.gradient_flow(KullbackLeibler(target), kernel, 0.4)
    np.testing.assert_allclose(points.log_prob(points(x)), kernel.log_prob(x) - points.log_det_jacobian(x), atol=1e-6)


@pytest.mark.parametrize("alpha", first_ones(1, [2.0, 1.5, 3.0]))
def test_porous_medium_against_finite_differences(alpha):
    grid = np.linspace(-7, 7, 701)
    p = fp.Normal(0.0, 1.0)
    flow = fp.gradient_flow(InternalEnergy(alpha), p, 0.8)
    end = oracles.porous_medium(np.exp(p.log_prob(grid[:, None])), grid[1] - grid[0], alpha, 0.8)
    truth = (end**alpha).sum() * (grid[1] - grid[0]) / (alpha - 1)
    assert flow.profile(samples=100, times=[0.8]).energy.values[0] == pytest.approx(truth, rel=0.01)
    spread = np.sqrt((grid**2 * end).sum() * (grid[1] - grid[0]))
    assert flow(p.sample(20_000, seed=0)).std() == pytest.approx(spread, rel=0.02)


def test_smaller_blobs_come_nearer():
    grid = np.linspace(-7, 7, 701)
    p = fp.Normal(0.0, 1.0)
    end = oracles.porous_medium(np.exp(p.log_prob(grid[:, None])), grid[1] - grid[0], 2.0, 0.5)
    truth = (end**2).sum() * (grid[1] - grid[0])
    errors = []
    for kernel in (0.16, 0.04, 0.01):
        flow = fp.gradient_flow(InternalEnergy(2.0), p, 0.5, kernel=kernel)
        assert flow.kernel == kernel
        errors.append(abs(flow.profile(samples=10, times=[0.5]).energy.values[0] - truth))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_blobs_follow_the_exact_fokker_planck_flow(monkeypatch):
    """The same equation both ways."""
    from flowplane.transport.flows.blobs import BlobFlow

    target, start = fp.Normal(0.5, 0.7), LINE
    exact = fp.gradient_flow(KullbackLeibler(target), start, 0.5)
    blobs = BlobFlow(KullbackLeibler(target), start, 0.5, None)
    x = np.linspace(-2.5, 2.5, 21)[:, None]
    assert np.abs(blobs(x) - exact(x)).max() < 0.02


def test_renyi_takes_the_same_paths_by_another_clock():
    p = fp.Normal(0.0, 1.0)
    tsallis = fp.gradient_flow(TsallisEntropy(2.0), p, 0.1)
    renyi = fp.gradient_flow(RenyiEntropy(2.0), p, 0.02)
    x = np.linspace(-2, 2, 9)[:, None]
    mean_density = 1 / np.sqrt(4 * np.pi)
    ratio = renyi.velocity(0.0, x) / tsallis.velocity(0.0, x)
    np.testing.assert_allclose(ratio[np.abs(x[:, 0]) > 0.1], 1 / mean_density, rtol=0.02)
    clock = np.interp(renyi([[1.0]])[0, 0], tsallis.trajectory([[1.0]])[::-1, 0, 0], np.linspace(0, 0.1, 21)[::-1])
    np.testing.assert_allclose(tsallis.at(clock)(x), renyi(x), atol=2e-3)


def test_equilibrium_is_the_target():
    """Towards a target with two modes, whose Fokker–Planck equation has no closed form."""
    flow = fp.gradient_flow(KullbackLeibler(LINE), fp.Normal(0.0, 1.0), 4.0)
    end = flow(fp.Normal(0.0, 1.0).sample(4000, seed=1))
    assert end.mean() == pytest.approx(float(LINE.mean[0]), abs=0.1)
    assert end.var() == pytest.approx(float(LINE.covariance[0, 0]), rel=0.1)
    assert fp.wasserstein(end, LINE.sample(4000, seed=2)) < 0.12


def test_far_from_all_blobs():
    flow = fp.gradient_flow(KullbackLeibler(LINE), LINE, 0.05)
    assert np.isfinite(flow.log_prob([[0.0], [4.0], [9.0]])).all()
    assert flow.log_prob([[9.0]])[0] < -50


@pytest.mark.slow  # two minutes
def test_blobs_in_the_plane_and_beyond():
    target = fp.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.5)
    flow = fp.gradient_flow(KullbackLeibler(target), fp.Normal([0.0, 0.0], 1.0), 0.2, kernel=0.15)
    profile = flow.profile(samples=200, times=[0.0, 0.1, 0.2])
    assert (np.diff(profile.energy) < 0).all()
    assert np.isfinite(profile.entropy).all()
    deep = fp.gradient_flow(InternalEnergy(2.0), fp.Normal(np.zeros(3), 1.0), 0.02)
    assert (np.diff(deep.profile(samples=100, times=[0.0, 0.02]).energy) < 0).all()


def test_a_narrow_slow_place_is_not_passed_over():
    """V' = −1 but for a strip, a thousandth wide, where it is −1/10: how far a particle comes by time 1 is known."""

    def potential(x):
        u = (x[:, 0] - 0.5) / 1e-3
        return -x[:, 0] + 0.9e-3 * math.sqrt(math.pi / 2) * torch.erf(u / math.sqrt(2))

    flow = fp.gradient_flow(PotentialEnergy(potential), fp.Normal(0.0, 1.0), 1.0, max_step=1e-3)
    end = float(flow([[0.0]])[0, 0])
    pace = lambda x: 1 / (1 - 0.9 * math.exp(-0.5 * ((x - 0.5) / 1e-3) ** 2))  # noqa: E731
    assert quad(pace, 0.0, end, points=[0.49, 0.5, 0.51], epsabs=1e-12)[0] == pytest.approx(1.0, abs=1e-6)
    assert end < 0.995


class Writing(InternalEnergy):
    """∫p², written by one who overwrites what he is given."""

    def integrand(self, x, log_prob):
        x.zero_()
        return log_prob.exp_()

    def pressure(self, density, weights):
        weights.zero_()
        return density.fill_(1.0)

    def drift(self, x):
        return x.zero_()


def test_functionals_may_write_into_their_arguments():
    pure, same = (fp.gradient_flow(f, LINE, 0.1) for f in (InternalEnergy(2.0), Writing(2.0)))
    x = np.array([[-0.3], [0.8]])
    np.testing.assert_array_equal(same(x), pure(x))
    one, other = (flow.profile(samples=50, times=[0.0, 0.1]) for flow in (pure, same))
    for name in ("energy", "dissipation"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12)
    steep, level = (
        fp.gradient_flow(PotentialEnergy(potential), LINE, 0.5)
        for potential in (lambda x: x.square_().sum(1), lambda x: x.square().sum(1))
    )
    np.testing.assert_array_equal(steep(x), level(x))
    one, other = (flow.profile(samples=50, times=[0.0, 0.5]) for flow in (steep, level))
    for name in ("energy", "dissipation", "cost"):
        np.testing.assert_array_equal(one[name], other[name])


def test_what_is_refused():
    p = fp.Normal(0.0, 1.0)
    with pytest.raises(InputError, match="functional: found 'entropy'"):
        fp.gradient_flow("entropy", p, 1.0)
    with pytest.raises(InputError, match=r"time below t\* = 0\.5"):
        fp.gradient_flow(Entropy(), p, 0.6)
    with pytest.raises(InputError, match="time: found 0"):
        fp.gradient_flow(NegativeEntropy(), p, 0)
    with pytest.raises(InputError, match="kernel_covariance"):
        fp.gradient_flow(NegativeEntropy(), fp.Empirical([[0.0], [1.0]]), 0.1)
    with pytest.raises(InputError, match="target: found 2 dimensions"):
        fp.gradient_flow(KullbackLeibler(fp.Normal([0.0, 0.0], 1.0)), p, 0.1)
    with pytest.raises(InputError, match="alpha: found 1"):
        InternalEnergy(1)
    with pytest.raises(InputError, match="kernel: found -1"):
        fp.gradient_flow(InternalEnergy(2.0), p, 0.1, kernel=-1)
    with pytest.raises(InputError, match="density: found ndarray"):
        fp.gradient_flow(NegativeEntropy(), np.zeros((3, 1)), 0.1)
    with pytest.raises(InputError, match="potential"):
        fp.gradient_flow(PotentialEnergy(lambda x: x), p, 0.1)(np.zeros((2, 1)))
