"""What a flow spends: four terms, each measured by itself, against closed forms."""

import math
import subprocess
import sys

import numpy as np
import oracles_flows as oracle
import pytest
import torch

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.core.streams import BUDGET, generator
from flowplane.errors import InputError
from flowplane.transport import AffineMap, ODEMap, model_flow
from flowplane.transport.models.paths import PATHS

PLANE = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.3]], [0.4, 0.3])
WASTE = ("coupling", "bending", "pace")


def turning(t, x):
    return torch.stack([-x[:, 1], x[:, 0]], 1)


def sheared(x, t):
    """A field that is no gradient, on the way bent and uneven."""
    now = t.reshape(-1, 1)
    return torch.cat([torch.sin(2 * x[:, 1:]) + now, x[:, :1] * now], 1)


FLOWS = {
    "continuous": lambda: fp.denoising_flow(PLANE, 0.12, math.inf),
    "Gaussian": lambda: fp.denoising_flow(fp.Normal([0.0, 1.0], [[1.0, 0.3], [0.3, 2.0]]), 0.3, math.inf),
    "anisotropic": lambda: fp.denoising_flow(PLANE, 0.1, math.inf, noise_covariance=[[1.0, 0.4], [0.4, 0.6]]),
    "layers": lambda: fp.denoising_flow(PLANE, 0.12, 4),
    "descent": lambda: fp.gradient_flow(fp.transport.KullbackLeibler(fp.Normal([0.0, 0.0])), PLANE, 1.0),
    "turn": lambda: ODEMap(turning, 2, time=2.0, source=PLANE),
    "model": lambda: model_flow(sheared, source=PLANE),
    "two": lambda: ODEMap(turning, 2, time=1.0) @ fp.denoising_flow(PLANE, 0.1, 2),
}


@pytest.mark.parametrize("name", FLOWS)
def test_four_terms_add_up(name):
    spent = FLOWS[name]().budget(samples=150)
    total = sum(float(spent[term]) for term in ("transport", *WASTE))
    assert total == pytest.approx(float(spent.energy), rel=1e-5)
    assert all(float(spent[term]) >= -1e-9 for term in ("transport", *WASTE))
    assert spent.attrs["result"] == "budget" and spent.energy.attrs["units"] == "squared units of x"


def test_a_turn_in_closed_form():
    """ℓ = θ|x|, |Δ| = 2 sin(θ/2)|x|, constant speed; a round cloud goes nowhere."""
    angle = 2.0
    flow = ODEMap(turning, 2, time=angle, source=fp.Normal([0.0, 0.0]))
    spent = flow.budget()
    size = float(flow.source.draw(1000, generator(0, BUDGET)).square().sum(1).mean())
    assert float(spent.energy) == pytest.approx(angle**2 * size, rel=1e-6)
    chord = 4 * math.sin(angle / 2) ** 2
    assert float(spent.bending) == pytest.approx((angle**2 - chord) * size, rel=1e-6)
    assert float(spent.transport + spent.coupling) == pytest.approx(chord * size, rel=1e-6)
    assert 0.95 < float(spent.coupling) / (chord * size) < 1
    assert abs(float(spent.pace)) < 1e-6 * float(spent.energy)
    assert float(spent.flags) == 0


@pytest.mark.parametrize("name", ["linear", "vp"])
def test_gaussian_paths_in_closed_form(name):
    mean, covariance = np.array([1.0, -0.5]), np.array([[1.0, 0.6], [0.6, 2.0]])
    path = {"linear": oracle.linear, "vp": oracle.vp}[name]
    ends = {"linear": (0.02, 0.98), "vp": (0.98, 0.02)}[name]

    def model(x, t):
        return torch.from_numpy(oracle.predicted("noise", x.numpy(), mean, covariance, path(float(t[0]))))

    alpha, sigma = path(ends[0])[:2]
    source = fp.Normal(alpha * mean, alpha**2 * covariance + sigma**2 * np.eye(2))
    spent = model_flow(model, name, "noise", source=source, times=ends).budget()
    energy, distance = oracle.spent(path, ends, mean, covariance)
    assert float(spent.energy) == pytest.approx(energy, abs=4 * float(spent.energy_error))
    assert float(spent.transport) == pytest.approx(distance, abs=4 * float(spent.transport_error))
    assert float(spent.coupling) == pytest.approx(0, abs=1e-6)  # an affine map with a symmetric matrix is optimal
    assert float(spent.bending + spent.pace) == pytest.approx(energy - distance, rel=0.1)


def test_a_gaussian_is_exact():
    covariance = np.array([[1.0, 0.3], [0.3, 2.0]])
    spent = fp.denoising_flow(fp.Normal([0.0, 1.0], covariance), 0.3, math.inf).budget(samples=400)
    values = np.linalg.eigvalsh(covariance)
    energy = 0.3 * float((-0.5 * np.log(1 - 0.6 / values)).sum())  # T∫Σ 1/(λ − 2t) dt
    distance = float(np.square(np.sqrt(values) - np.sqrt(values - 0.6)).sum())
    assert float(spent.energy) == pytest.approx(energy, rel=1e-9)
    assert float(spent.transport) == pytest.approx(distance, rel=1e-9)
    assert float(spent.coupling) == pytest.approx(0, abs=1e-12)
    assert float(spent.energy_error) == float(spent.transport_error) == float(spent.coupling_error) == 0
    assert float(spent.bending + spent.pace) == pytest.approx(energy - distance, rel=1e-6)
    more = fp.denoising_flow(fp.Normal([0.0, 1.0], covariance), 0.3, math.inf).budget(samples=1000, seed=4)
    assert float(more.bending) == pytest.approx(float(spent.bending), abs=5 * float(spent.bending_error))


@pytest.mark.parametrize("source", [fp.Normal([0.0, 0.0]), PLANE])
def test_an_optimal_map_at_constant_speed_wastes_nothing(source):
    spent = AffineMap([[2.0, 0.3], [0.3, 0.5]], [1.0, 0.0], source=source).budget(samples=200)
    assert all(abs(float(spent[term])) < 1e-12 for term in WASTE)
    assert float(spent.transport) == pytest.approx(float(spent.energy), rel=1e-12)


def test_another_clock_changes_the_pace_only():
    """The same ways, at s² of the way at time s."""
    even = model_flow(sheared, source=PLANE)
    model = lambda x, t: 2 * t.reshape(-1, 1) * sheared(x, t**2)  # noqa: E731
    one, other = even.budget(samples=200), model_flow(model, source=PLANE).budget(samples=200)
    for term in ("transport", "coupling", "bending"):
        assert float(other[term]) == pytest.approx(float(one[term]), abs=1e-6), term
    assert float(other.pace) > float(one.pace) + 0.1
    assert float(other.energy - one.energy) == pytest.approx(float(other.pace - one.pace), abs=1e-5)


def test_paths_of_one_density_end_alike():
    """VP and linear paths are the same ways, apart from a scale; the first three terms belong to the ways."""
    ends = {}
    for name in ("linear", "vp", "ve"):
        path = PATHS[name]

        def model(x, t, path=path):
            p = path.at(float(t[0]))
            smooth = fp.GaussianMixture([0.5, 0.5], [[-2 * p.alpha], [2 * p.alpha]], p.alpha**2 * 0.3 + p.sigma**2)
            return smooth.smoothing.score(0.0, x)

        flow = model_flow(model, name, "score", shape=1)
        ends[name] = flow(flow.source.sample(4000, seed=1))
    for name in ("vp", "ve"):
        assert fp.wasserstein(ends["linear"], ends[name]) < 0.15
    assert fp.wasserstein(ends["linear"], fp.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], 0.3).sample(4000, seed=2)) < 0.15


@pytest.mark.parametrize(
    ("dimension", "angle", "flag"), [(2, 1.5, False), (2, 0.3, True), (30, 1.5, True), (300, 1.5, True)]
)
def test_few_particles_for_the_dimension_are_flagged(dimension, angle, flag):
    """A turn of a round cloud wastes all: where less than nine tenths of that is seen, a flag says so."""
    half = dimension // 2

    def turn(t, x):
        return angle * torch.cat([-x[:, half:], x[:, :half]], 1)

    spent = ODEMap(turn, dimension, time=1.0, source=fp.Normal(np.zeros(dimension)), rtol=1e-5, atol=1e-6).budget()
    assert bool(spent.flags) == flag
    assert Flags.names(spent.coupling_flags) == (("few_for_dimension",) if flag else ())
    seen = float(spent.coupling / (spent.coupling + spent.transport))
    assert seen > 0.9 if not flag else seen < 0.9
    if flag:
        assert "few_for_dimension (transport" in fp.explain(spent) or "few_for_dimension" in fp.explain(spent)
    # W_2 is 0, so that a lower bound is near it, in any number of dimensions
    assert float(spent.sliced_wasserstein) < 0.35 * math.sqrt(float(spent.coupling + spent.transport))


def test_what_a_budget_refuses():
    with pytest.raises(InputError, match="source: found None"):
        ODEMap(turning, 2, time=1.0).budget()
    with pytest.raises(InputError, match="samples: found 1001, expected at most 1,000"):
        FLOWS["turn"]().budget(1001)
    with pytest.raises(InputError, match="samples: found 3"):
        FLOWS["turn"]().budget(3)


WIDE = """
import resource, torch
import flowplane as fp

torch.manual_seed(0)
mixing = torch.nn.Conv2d(3, 3, 3, padding=1)
flow = fp.transport.model_flow(lambda x, t: torch.tanh(mixing(x.float())).to(x) - x, shape=(3, 32, 32), rtol=1e-4, atol=1e-4)
spent, needed = flow.budget(), flow.steps(numbers=(1, 2))
total = float(spent.transport + spent.coupling + spent.bending + spent.pace)
assert abs(total / float(spent.energy) - 1) < 1e-3 and int(spent.flags) == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_thousand_images_fit_into_two_gibibytes():
    done = subprocess.run([sys.executable, "-c", WIDE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2 << (30 if sys.platform == "darwin" else 20)
