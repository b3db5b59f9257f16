"""Training reaches the best denoiser where that is known (§A3, §A6), and is repeatable."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import Autoencoder, denoising_loss, optimal_loss, train_denoiser
from flowplane.transport.learned.fitting import Data, Plan

GAUSSIAN = fp.Normal([1.0, -2.0], [[2.0, 0.6], [0.6, 0.5]])
CLUSTERS = fp.GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.05, 0.1])


def excess(g, density, covariance, samples=20_000, seed=9):
    """E|g − g*|² over the loss of g*, on noisy points: the relative excess of the loss, without its sampling noise."""
    best = fp.denoising_flow(density, 1.0, 1, noise_covariance=covariance)
    y = density.smoothed(covariance).sample(samples, seed)
    return float(((g(y) - best(y)) ** 2).sum(1).mean()) / float(optimal_loss(density, covariance, samples=samples))


def test_an_affine_network_reaches_the_gaussian_closed_form():
    """A regression on N fresh pairs with 3 numbers an output exceeds the best loss by 3/N of it; towards the end Adam
    averages over some 10 % of 1500 · 512 pairs, 4e-5, and a factor of ten is left for its steps."""
    covariance = 0.5
    g = train_denoiser((), GAUSSIAN, noise_covariance=covariance, steps=1500, device="cpu")
    assert excess(g, GAUSSIAN, covariance) < 4e-4
    precision = np.linalg.inv(GAUSSIAN.covariance)
    matrix = np.linalg.inv(np.eye(2) + covariance * precision)
    found = g(np.eye(2)) - g(np.zeros((1, 2)))
    # an error of the matrix of δ costs δ² · tr Cov(x̃) = 3.5 δ²; the best loss is 0.63
    np.testing.assert_allclose(found.T, matrix, atol=np.sqrt(4e-4 * 0.63 / 3.5) * 3)
    np.testing.assert_allclose(g([GAUSSIAN.mean]), [GAUSSIAN.mean], atol=0.03)
    assert g.affine
    assert g.profile(times=[0.5]).attrs["method"] == "closed form"


def test_a_network_reaches_the_best_map_and_loss():
    """On a mixture, from 4000 points, to within 1 %; the best linear map loses 44 %."""
    points = CLUSTERS.sample(4000, 3)
    g = train_denoiser((32, 32), points, noise_covariance=0.2, steps=1000, device="cpu")
    linear = fp.denoising_flow(fp.Normal(CLUSTERS.mean, CLUSTERS.covariance), 0.2, 1)
    assert excess(g, CLUSTERS, 0.2) < 0.01 < 0.4 < excess(linear, CLUSTERS, 0.2)
    # the same draws: the difference of two losses has a smaller error than each
    found, best = (
        denoising_loss(g, CLUSTERS, noise_covariance=0.2, samples=50_000),
        optimal_loss(CLUSTERS, 0.2, samples=50_000),
    )
    assert best - 0.1 * best.standard_error < found < 1.01 * best + 0.1 * best.standard_error
    # 400 held-out points: three standard errors
    spread = found.standard_error * np.sqrt(50_000 / 400)
    assert g.held_out_loss == pytest.approx(float(found), abs=3 * spread)


def test_losses_of_known_maps():
    """E tr Cov(x|x̃) = tr (Σ⁻¹ + C⁻¹)⁻¹ of a Gaussian; the identity loses tr C; both within four standard errors."""
    noise = np.array([[0.5, 0.1], [0.1, 0.2]])
    best = optimal_loss(GAUSSIAN, noise, samples=40_000)
    known = np.trace(np.linalg.inv(np.linalg.inv(GAUSSIAN.covariance) + np.linalg.inv(noise)))
    assert best == pytest.approx(known, abs=4 * best.standard_error)
    identity = denoising_loss(fp.transport.AffineMap(1.0, [0.0, 0.0]), GAUSSIAN, noise_covariance=noise, samples=40_000)
    assert identity == pytest.approx(np.trace(noise), abs=4 * identity.standard_error)
    # the empirical denoiser of the points is the best on the points
    points = CLUSTERS.sample(20, 0)
    assert optimal_loss(points, 0.1) < denoising_loss(fp.denoising_flow(CLUSTERS, 0.1, 1), points, noise_covariance=0.1)
    with pytest.raises(InputError, match="denoiser: found a map of 2 dimensions, expected one of 1"):
        denoising_loss(fp.denoising_flow(GAUSSIAN, 1.0, 1), fp.Normal(0.0, 1.0), noise_covariance=1.0)
    with pytest.raises(InputError, match="denoiser: found Identity, expected a transport map"):
        denoising_loss(nn.Identity(), GAUSSIAN, noise_covariance=1.0)


def test_tweedies_score_and_anisotropic_noise():
    """g − x̃ = C∇log(p * N(0, C)): the relative error of the score's square is that of the displacement, weighted."""
    noise = np.array([[0.3, 0.1], [0.1, 0.08]])
    g = train_denoiser((32, 32), CLUSTERS, noise_covariance=noise, steps=1000, device="cpu")
    smoothed = CLUSTERS.smoothed(noise)
    y = smoothed.sample(5000, 4)
    score = smoothed.score(y)
    np.testing.assert_allclose(g(y) - y, g.score(y) @ noise, atol=1e-12)
    assert ((g.score(y) - score) ** 2).mean() < 0.02 * (score**2).mean()
    assert g.time == pytest.approx(0.19)
    torch.testing.assert_close(g.metric, torch.from_numpy(noise / 0.19))
    round_one = train_denoiser((32, 32), CLUSTERS, noise_covariance=0.19, steps=1000, device="cpu")
    assert round_one.metric is None
    assert excess(g, CLUSTERS, noise) < 0.005 < 0.1 < excess(round_one, CLUSTERS, noise)


def test_memorising_few_points_is_attention_over_them():
    """What minimises the loss over five points is E[x_j | x̃], not the density's own denoiser (§A3)."""
    points = CLUSTERS.sample(5, 1)
    g = train_denoiser((64, 64), points, noise_covariance=0.1, steps=1500, validation=0.0, device="cpu")
    attention, ideal = fp.denoising_flow(fp.Empirical(points), 0.1, 1), fp.denoising_flow(CLUSTERS, 0.1, 1)
    y = fp.Empirical(points, kernel_covariance=0.1).sample(5000, 2)
    near, far = (((g(y) - best(y)) ** 2).sum(1).mean() for best in (attention, ideal))
    assert near < 0.1 * far
    assert g.history.attrs["kept"] == "the last weights"
    assert g.history.attrs["best_step"] == 1500
    assert g.held_out_loss == float(g.history.held_out_loss[-1])


def test_early_stopping_keeps_the_best_weights():
    points = CLUSTERS.sample(30, 5)
    options = {"steps": 2000, "patience": 200, "learning_rate": 2e-2, "device": "cpu"}
    g = train_denoiser((64, 64), points, noise_covariance=0.02, **options)
    history = g.history
    assert int(history.step[-1]) < 2000
    assert int(history.step[-1]) - history.attrs["best_step"] >= 200
    held = history.held_out_loss
    assert history.attrs["held_out_loss"] == float(held.min()) < float(held[-1])
    assert int(history.step[np.argmin(held.values)]) == history.attrs["best_step"]
    data = Data(points, Plan(2000, 512, 1e-2, None, 0.1, 0, "cpu"))
    assert len(data.training) == 27
    normal, _ = data.fixed()
    loss = (g.forward(data.held_out + 0.02**0.5 * normal) - data.held_out).square().sum(1).mean()
    assert float(loss) == pytest.approx(g.held_out_loss, rel=1e-4)
    assert held.attrs["units"] == history.training_loss.attrs["units"] == "squared units of x"
    rate = history.learning_rate.values
    assert rate.max() <= 2e-2
    assert (np.diff(rate[2:]) < 0).all()


def test_units_are_free():
    """Lengths four times as long make a map four times as long; a shift moves it along."""
    points = CLUSTERS.sample(200, 6)
    y = CLUSTERS.smoothed(0.1).sample(50, 7)
    options = {"steps": 200, "device": "cpu"}
    plain = train_denoiser((16,), points, noise_covariance=0.1, **options)
    np.testing.assert_allclose(
        train_denoiser((16,), 4 * points, noise_covariance=1.6, **options)(4 * y), 4 * plain(y), atol=1e-9
    )
    shift = np.array([100.0, -50.0])
    # float32 at 100 is rounded to 4e-6
    np.testing.assert_allclose(
        train_denoiser((16,), points + shift, noise_covariance=0.1, **options)(y + shift), plain(y) + shift, atol=5e-3
    )


def test_seeds_are_local():
    points = CLUSTERS.sample(100, 0)
    dropout = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2))
    state = torch.random.get_rng_state()
    for network in ((8,), dropout, Autoencoder(2, 2, hidden=(8,))):
        first, second = (
            train_denoiser(network, points, noise_covariance=0.1, steps=20, seed=3, device="cpu") for _ in range(2)
        )
        other = train_denoiser(network, points, noise_covariance=0.1, steps=20, seed=4, device="cpu")
        for name, part in first.state_dict().items():
            assert torch.equal(part, second.state_dict()[name]), name
        assert not np.array_equal(first(points), other(points))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_goes_on_from_a_trained_network():
    points = CLUSTERS.sample(500, 0)
    once = train_denoiser((16,), points, noise_covariance=0.1, steps=100, device="cpu")
    again = train_denoiser(once, points, noise_covariance=0.1, steps=100, learning_rate=1e-3, device="cpu")
    assert again.held_out_loss <= once.held_out_loss * 1.001
    gained = float(once.history.held_out_loss[0]) - once.held_out_loss
    assert float(again.history.held_out_loss[0]) < once.held_out_loss + 0.3 * gained


def test_what_training_refuses():
    points = np.random.default_rng(0).normal(size=(20, 2))

    def refused(match, network=(4,), data=points, covariance=0.1, **options):
        with pytest.raises(InputError, match=match):
            train_denoiser(network, data, noise_covariance=covariance, **({"steps": 3, "device": "cpu"} | options))

    refused("covariance: found a matrix whose smallest eigenvalue", covariance=[[1.0, 2.0], [2.0, 1.0]])
    refused(r"covariance: found shape \(3, 3\)", covariance=np.eye(3))
    refused("data: found 1 value", data=np.where(np.arange(40).reshape(20, 2) == 3, np.nan, points))
    refused(r"data: found shape \(1, 2\), expected points of shape \(n, d\), two or more", data=points[:1])
    refused(r"data: found shape \(2, 10, 2\)", data=points.reshape(2, 10, 2))
    refused("validation: found 1.0", validation=1.0)
    refused(r"validation: found 0\.99, expected a share that leaves some of the 20 points", validation=0.99)
    refused("steps: found 0", steps=0)
    refused("batch_size: found 2.5", batch_size=2.5)
    refused("patience: found 0", patience=0)
    refused("learning_rate: found -1", learning_rate=-1)
    refused("learning_rate: found 1e\\+30, expected a smaller one: the loss was NaN or infinite", learning_rate=1e30)
    refused("seed: found -1", seed=-1)
    refused("device: found 'tpu'", device="tpu")
    refused("activation: found 'sine'", activation="sine")
    refused("network: found 'deep'", network="deep")
    refused("network: found 0, expected a whole number", network=(4, 0))
    refused(r"network: found Linear, expected a torch\.nn\.Module, or widths", network=nn.Linear)
    refused("network: found a module without parameters", network=nn.Identity())
    refused(r"network: found an answer of shape \(2, 3\)", network=nn.Linear(2, 3))
    refused("network: found Autoencoder: ", network=Autoencoder(3, 2))
    refused("source: .*a density in 2 dimensions", source=fp.Normal(0.0, 1.0))


@pytest.mark.gpu
def test_on_a_gpu():
    points = torch.from_numpy(CLUSTERS.sample(2000, 0)).cuda()
    g = train_denoiser((32, 32), points, noise_covariance=0.2, steps=500)
    assert g.noise_covariance.is_cuda
    assert g(points).is_cuda
    assert excess(g, CLUSTERS, 0.2) < 0.1
    same = train_denoiser((32, 32), points, noise_covariance=0.2, steps=500)
    assert torch.equal(g(points), same(points))
    assert isinstance(g.cpu()(CLUSTERS.sample(3, 0)), np.ndarray)


def test_data_that_float32_would_lose_are_refused():
    far = np.random.default_rng(0).normal(size=(50, 1)) + 1e7
    with pytest.raises(InputError, match=r"data: found points .* times as far from the origin"):
        train_denoiser((), far, noise_covariance=0.5, steps=2, device="cpu")
