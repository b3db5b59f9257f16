"""Trained denoisers are transport maps and PyTorch modules at once."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import AffineMap, Autoencoder, Composition, DenoisingNetwork, LearnedDenoiser, train_denoiser

MOONS = fp.densities.two_moons(0.1)


@pytest.fixture(scope="module")
def denoiser():
    """Two moons, noise of variance 0.05: 500 steps, a few percent above the best."""
    return train_denoiser((32, 32), MOONS, noise_covariance=0.05, steps=500, device="cpu")


def test_as_a_map_it_answers_in_kind(denoiser):
    x = MOONS.sample(6, 1)
    y = denoiser(x)
    assert isinstance(y, np.ndarray)
    assert y.dtype == np.float64
    assert denoiser(x.astype(np.float32)).dtype == np.float32
    np.testing.assert_array_equal(denoiser(x.reshape(2, 3, 2)), y.reshape(2, 3, 2))
    np.testing.assert_array_equal(denoiser(x.tolist()), y)
    np.testing.assert_allclose(denoiser.displacement(torch.from_numpy(x)).numpy(), y - x, atol=1e-15)
    assert denoiser.time == pytest.approx(0.05)
    assert denoiser.source is MOONS
    with pytest.raises(InputError, match="x: found 1 value"):
        denoiser([[np.nan, 0.0]])
    with pytest.raises(InputError, match=r"x: found shape \(3,\), expected points of shape \(…, 2\)"):
        denoiser(torch.zeros(3))


class Halving(nn.Module):
    """x/2, in place or not."""

    def __init__(self, writes):
        super().__init__()
        self.writes = writes

    def forward(self, x):
        return x.mul_(0.5) if self.writes else 0.5 * x


def test_a_network_may_write_into_its_rows():
    pure, writing = (LearnedDenoiser(Halving(writes), 0.1, dimension=2, source=fp.Normal([0.0, 0.0])) for writes in (0, 1))
    x = np.random.default_rng(0).normal(size=(4, 2))
    for given in (x.copy(), torch.from_numpy(x.copy())):
        for name in ("__call__", "score", "inverse", "log_det_jacobian", "log_prob", "trajectory"):
            np.testing.assert_array_equal(getattr(writing, name)(given), getattr(pure, name)(given), err_msg=name)
        np.testing.assert_array_equal(given, x)


def test_as_a_module_it_is_differentiable_and_its_hooks_fire(denoiser):
    seen = []
    handle = denoiser.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    x = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = denoiser(x)
    handle.remove()
    assert seen == [(5, 3, 2)]
    assert y.dtype == torch.float32
    y.square().sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).any())
    assert all(part.grad is not None for part in denoiser.parameters())
    denoiser.zero_grad()
    head = nn.Sequential(denoiser, nn.Linear(2, 1))
    assert head(torch.zeros(4, 2)).shape == (4, 1)
    assert torch.autograd.gradcheck(denoiser, torch.randn(3, 2, dtype=torch.float64, requires_grad=True))
    assert not denoiser.forward(torch.zeros(3, 2)).requires_grad


def test_copies_states_and_dtypes(denoiser):
    x = MOONS.sample(6, 1)
    twin = copy.deepcopy(denoiser)
    np.testing.assert_array_equal(twin(x), denoiser(x))
    assert twin.train().training
    fresh = LearnedDenoiser(DenoisingNetwork(2, (32, 32), seed=3), 0.1)
    assert not np.allclose(fresh(x), denoiser(x))
    fresh.double().load_state_dict(denoiser.state_dict())
    np.testing.assert_array_equal(fresh(x), denoiser(x))
    single = twin.float()
    np.testing.assert_allclose(single(x), denoiser(x), atol=1e-5)
    np.testing.assert_allclose(single.inverse(single(x)), x, atol=1e-3)
    assert single.log_prob(single(x)).shape == (6,)


def test_its_derivatives_are_those_of_finite_differences(denoiser):
    x = MOONS.draw(4, np.random.default_rng(2))
    step = 1e-5
    jacobian, hessian = denoiser.displacement_jacobian(x), denoiser.displacement_hessian(x)
    for k, direction in enumerate(torch.eye(2).double()):
        ahead, behind = x + step * direction, x - step * direction
        slope = (denoiser.displacement(ahead) - denoiser.displacement(behind)) / (2 * step)
        torch.testing.assert_close(jacobian[:, :, k], slope, rtol=0, atol=1e-8)
        bend = (denoiser.displacement_jacobian(ahead) - denoiser.displacement_jacobian(behind)) / (2 * step)
        torch.testing.assert_close(hessian[:, :, :, k], bend, rtol=0, atol=1e-6)
    wide = LearnedDenoiser(DenoisingNetwork(17, (4,)), 0.1).displacement_hessian(torch.zeros(2, 17).double())
    assert bool(wide.isnan().all())


def test_it_inverts_composes_and_measures_itself(denoiser):
    x = MOONS.sample(20, 3)
    np.testing.assert_allclose(denoiser.inverse(denoiser(x)), x, atol=1e-8)
    shift = AffineMap(np.eye(2), [1.0, 0.0])
    both = shift @ denoiser
    assert isinstance(both, Composition)
    np.testing.assert_allclose(both(x), denoiser(x) + np.array([1.0, 0.0]), atol=1e-14)
    np.testing.assert_allclose((denoiser @ shift)(x), denoiser(x + np.array([1.0, 0.0])), atol=1e-14)
    arrived = denoiser.log_prob(denoiser(x))
    np.testing.assert_allclose(arrived, MOONS.log_prob(x) - denoiser.log_det_jacobian(x), atol=1e-6)
    profile = denoiser.profile(samples=300, times=[0.0, 0.025, 0.05])
    exact = fp.denoising_flow(MOONS, 0.05, 1).profile(samples=300, times=[0.0, 0.025, 0.05])
    # the learned map is off by a few percent of the displacement
    np.testing.assert_allclose(profile.variance, exact.variance, atol=0.02)
    np.testing.assert_allclose(profile.entropy[:2], exact.entropy[:2], atol=0.15)
    np.testing.assert_allclose(denoiser.at(0.025)(x), (x + denoiser(x)) / 2, atol=1e-14)
    assert fp.transport.brenier_defect(denoiser, samples=50) < 0.05


def test_the_autoencoder_is_decoder_after_encoder():
    given = Autoencoder(2, 3, hidden=(16,), seed=1)
    before = copy.deepcopy(given.state_dict())
    made = train_denoiser(given, MOONS, noise_covariance=0.05, steps=100, device="cpu")
    assert all(torch.equal(part, before[name]) for name, part in given.state_dict().items())  # copied, not changed
    x = MOONS.sample(7, 4)
    features = made.encoder(x)
    assert features.shape == (7, 3)
    np.testing.assert_allclose(made.decoder(features), made(x), atol=1e-12)
    tensor = torch.from_numpy(x).requires_grad_()
    torch.testing.assert_close(made.decoder(made.encoder(tensor)), made(tensor))
    assert made.encoder(tensor).requires_grad
    # a linear decoder is affine, and random ones are not orthogonal
    h = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_allclose(
        made.decoder(h[:1] + h[1:]) + made.decoder(0 * h[:1]), made.decoder(h[:1]) + made.decoder(h[1:]), atol=1e-12
    )
    matrix = given.decoder.perceptron.skip.weight.detach().numpy()
    gram = matrix @ matrix.T
    assert abs(gram[0, 1]) > 1e-3 or abs(gram[0, 0] / gram[1, 1] - 1) > 1e-3
    with pytest.raises(InputError, match="network: found DenoisingNetwork, expected a network with its encoder"):
        LearnedDenoiser(DenoisingNetwork(2, 3), 0.1).encoder(x)


def test_what_a_denoiser_refuses():
    with pytest.raises(InputError, match=r"network: found int, expected a torch\.nn\.Module"):
        LearnedDenoiser(3, 0.1)
    with pytest.raises(InputError, match="dimension: found None"):
        LearnedDenoiser(nn.Linear(2, 2), 0.1)
    assert LearnedDenoiser(nn.Linear(2, 2), np.eye(2)).dimension == 2
    with pytest.raises(InputError, match=r"network: found Linear: .*expected a module that takes rows of shape \(n, 2\)"):
        LearnedDenoiser(nn.Linear(3, 3), np.eye(2))
    with pytest.raises(InputError, match=r"network: found an answer of shape \(2, 3\)"):
        LearnedDenoiser(nn.Linear(2, 3), np.eye(2))
    with pytest.raises(InputError, match=r"covariance: .*symmetric positive definite"):
        LearnedDenoiser(DenoisingNetwork(2), -1.0)
    with pytest.raises(InputError, match=r"source: .*a density in 2 dimensions"):
        LearnedDenoiser(DenoisingNetwork(2), 1.0, source=fp.Normal(0.0, 1.0))
    with pytest.raises(InputError, match="source: found None"):
        LearnedDenoiser(DenoisingNetwork(2), 1.0).log_prob([[0.0, 0.0]])
    with pytest.raises(InputError, match=r"activation: found 'gelo', expected .*did you mean 'gelu'"):
        DenoisingNetwork(2, activation="gelo")
    with pytest.raises(InputError, match="hidden: found 'wide'"):
        Autoencoder(2, 3, hidden="wide")
    with pytest.raises(InputError, match="features: found 0"):
        Autoencoder(2, 0)
