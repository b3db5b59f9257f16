"""A stack of denoising autoencoders is a composition of anisotropic denoisers in the ground space (§A9)."""

import copy

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import (
    AffineMap,
    Autoencoder,
    Composition,
    LearnedDenoiser,
    Stack,
    load_denoiser,
    load_stack,
    stack,
    train_denoiser,
)
from flowplane.transport.learned.anisotropic import LocalDenoiser
from flowplane.transport.learned.decoders import Decoders

TIME = 0.3
NORMAL = fp.Normal([0.3, -0.2], [[2.0, 0.5], [0.5, 1.0]])
MOONS = fp.densities.two_moons(0.3)


def affine_autoencoder(decoder, offset, matrix, shift):
    """h(x) = V⁺(Ax + b − c), d(h) = Vh + c: an affine autoencoder d∘h = A·+b, A followed by the projection on V's range."""
    network = Autoencoder(decoder.shape[0], decoder.shape[1], hidden=()).double()
    back = np.linalg.pinv(decoder)
    values = [(network.decoder, decoder, offset), (network.encoder, back @ matrix, back @ (shift - offset))]
    for part, weight, bias in values:
        part.perceptron.skip.weight.data = torch.from_numpy(weight)
        part.perceptron.skip.bias.data = torch.from_numpy(bias)
    return network


def linear_stack(mean, covariance, decoders, time=TIME, seed=0):
    """Every layer the best affine map for the Gaussian features of the one before, in closed form, oracle and all."""
    rng = np.random.default_rng(seed)
    layers = []
    for decoder in decoders:
        d = len(mean)
        matrix = covariance @ np.linalg.inv(covariance + time * np.eye(d))
        network = affine_autoencoder(decoder, rng.normal(size=d), matrix, mean - matrix @ mean)
        layers.append(LearnedDenoiser(network, time))
        weight, bias = (getattr(network.encoder.perceptron.skip, name).detach().numpy() for name in ("weight", "bias"))
        mean, covariance = weight @ mean + bias, weight @ covariance @ weight.T
    return Stack(layers)


def gaussian(d, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    return rng.normal(size=d), root @ root.T + 0.3 * np.eye(d)


def rms(rows):
    return float(np.sqrt((np.asarray(rows) ** 2).sum(1).mean()))


def by_layer(made, other, x):
    """Of each layer: the rms difference of what it moves points by, over the rms of that."""
    moves = [np.diff(flow.trajectory(x, flow.vertices), axis=0) for flow in (made, other)]
    return np.array([rms(ours - theirs) / rms(theirs) for ours, theirs in zip(*moves, strict=True)])


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_linear_stack_is_the_anisotropic_composition(d):
    mean, covariance = gaussian(d, d)
    rng = np.random.default_rng(d + 10)
    made = linear_stack(mean, covariance, [rng.normal(size=(d, d)) for _ in range(3)])
    density = fp.Normal(mean, covariance)
    x = density.sample(200, 1)
    exact = made.composition(density)
    assert by_layer(made, exact, x).max() < 1e-10
    np.testing.assert_allclose(made(x), exact(x), atol=1e-11)
    # the isotropic composition only shares the first layer; even one with as much noise is far off where d > 1
    plain = by_layer(made, made.composition(density, noise_covariances=[np.eye(d)] * 3), x)
    assert plain[0] < 1e-12
    assert plain[1:].min() > 0.1
    if d > 1:
        scaled = [np.trace(made.decoded_covariance(x[0], k)) / d * np.eye(d) for k in (1, 2, 3)]
        assert by_layer(made, made.composition(density, noise_covariances=scaled), x)[1:].min() > 0.1
    # by hand: each layer the denoiser for D = VVᵀ of the density that the layers before it made
    running, y, decoder = density, x, np.eye(d)
    for k in (1, 2, 3):
        decoder = (
            np.eye(d) if k == 1 else decoder @ made.layers[k - 2].network.decoder.perceptron.skip.weight.detach().numpy()
        )
        np.testing.assert_allclose(
            made.decoded_covariance(x, k), np.broadcast_to(decoder @ decoder.T, (200, d, d)), atol=1e-12
        )
        layer = fp.denoising_flow(running, TIME, 1, noise_covariance=decoder @ decoder.T)
        y = layer(y)
        np.testing.assert_allclose(made.decoded(x, k), y, atol=1e-10)
        slope = (layer(np.eye(d)) - layer(np.zeros((1, d)))).T
        spread = slope @ running.covariance @ slope.T
        running = fp.Normal(layer(running.mean[None])[0], (spread + spread.T) / 2)


def test_with_orthogonal_decoders_it_is_the_isotropic_one():
    mean, covariance = gaussian(3, 4)
    rng = np.random.default_rng(5)
    made = linear_stack(mean, covariance, [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(3)])
    density = fp.Normal(mean, covariance)
    x = density.sample(100, 1)
    deep = fp.denoising_flow(density, 3 * TIME, 3)
    np.testing.assert_allclose(made(x), deep(x), atol=1e-11)
    np.testing.assert_allclose(made.composition(density)(x), deep(x), atol=1e-11)
    np.testing.assert_allclose(made.decoded_covariance(x, 3), np.broadcast_to(np.eye(3), (100, 3, 3)), atol=1e-12)


def test_narrow_features_move_points_within_the_range_of_the_decoders():
    mean, covariance = gaussian(4, 6)
    rng = np.random.default_rng(7)
    decoders = [rng.normal(size=(4, 2)), rng.normal(size=(2, 2)), rng.normal(size=(2, 1)), rng.normal(size=(1, 1))]
    made = linear_stack(mean, covariance, decoders)
    density = fp.Normal(mean, covariance)
    x = density.sample(100, 1)
    exact = made.composition(density)
    assert by_layer(made, exact, x).max() < 1e-10
    assert [np.linalg.matrix_rank(made.decoded_covariance(x[0], k)) for k in (1, 2, 3, 4)] == [4, 2, 2, 1]
    places = made.trajectory(x, made.vertices)
    normal = np.linalg.svd(decoders[0].T)[2][2:]  # what is orthogonal to the range of d_1
    assert abs(np.diff(places, axis=0)[1:] @ normal.T).max() < 1e-12
    # a layer leaves what a point has beside the range as it is
    np.testing.assert_allclose((made.maps[1](x) - x) @ normal.T, 0, atol=1e-12)
    np.testing.assert_allclose((exact.maps[1](x) - x) @ normal.T, 0, atol=1e-12)
    assert not np.isfinite(made.log_det_jacobian(x)).any()
    with pytest.raises(InputError, match="points that the map does not reach"):
        made.inverse(x)


def test_the_composition_of_points_is_attention():
    made = linear_stack(*gaussian(2, 8), [np.array([[1.0, 0.4], [0.0, 0.7]])] * 2)
    points = np.random.default_rng(9).normal(size=(60, 2))
    found = made.composition(points)
    matrix = made.decoded_covariance(points[0], 2)
    first = fp.denoising_flow(fp.Empirical(points), TIME, 1)
    second = fp.denoising_flow(fp.Empirical(first(points)), TIME, 1, noise_covariance=matrix)
    np.testing.assert_allclose(found(points), second(first(points)), atol=1e-13)
    # the same by the local denoiser, whose D is looked up at each point
    local = LocalDenoiser(
        Decoders(list(made.layers)[:1]), torch.eye(2).double(), torch.from_numpy(first(points)), None, TIME
    )
    x = first(points)[:7]
    np.testing.assert_allclose(local(x), second(x), atol=1e-13)
    np.testing.assert_allclose(local.log_det_jacobian(x), second.log_det_jacobian(x), atol=1e-10)
    # a mixture on nodes agrees with many draws of it
    density = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.3], [1.0, -0.2]], [0.4, 0.3])
    exact, drawn = made.composition(density), made.composition(density.sample(8000, 3))
    assert by_layer(drawn, exact, density.sample(300, 4)).max() < 0.1
    assert exact.maps[0](x) == pytest.approx(fp.denoising_flow(density, TIME, 1)(x), abs=1e-13)


class Scaling(nn.Module):
    """ax, in place or not."""

    def __init__(self, factor, writes):
        super().__init__()
        self.factor, self.writes = factor, writes

    def forward(self, x):
        return x.mul_(self.factor) if self.writes else self.factor * x


class Pair(nn.Module):
    """An encoder and a decoder of which neither touches what it is given, or both do."""

    features = 2

    def __init__(self, writes):
        super().__init__()
        self.encoder, self.decoder = Scaling(0.25, writes), Scaling(3.0, writes)

    def forward(self, x):
        return self.decoder(self.encoder(x))


def test_encoders_and_decoders_may_write_into_their_rows():
    pure, writing = (
        Stack([LearnedDenoiser(Pair(writes), TIME, dimension=2) for _ in range(3)], source=NORMAL)
        for writes in (False, True)
    )
    x = np.random.default_rng(0).normal(size=(4, 2))
    given = torch.from_numpy(x.copy())
    for name in (
        "__call__",
        "features",
        "decode",
        "decoded",
        "decoded_covariance",
        "inverse",
        "log_det_jacobian",
        "trajectory",
    ):
        np.testing.assert_allclose(getattr(writing, name)(given), getattr(pure, name)(given), atol=1e-12, err_msg=name)
    layers = [stack.layers[0] for stack in (pure, writing)]
    for name in ("encoder", "decoder"):
        np.testing.assert_array_equal(*(getattr(layer, name)(given) for layer in layers))
        np.testing.assert_array_equal(*(getattr(layer, name)(given.numpy()) for layer in layers))
    np.testing.assert_allclose(writing.composition(NORMAL)(given), pure.composition(NORMAL)(given), atol=1e-12)
    np.testing.assert_array_equal(given, x)


class Bent(nn.Module):
    """A curved decoder in closed form: (u, v) ↦ (u, v + au²), which keeps volume, or (u + au³/3, v), which does not."""

    dimension = features = 2

    def __init__(self, size, shear):
        super().__init__()
        self.register_buffer("size", torch.tensor(size).double())
        self.shear = shear
        self.encoder, self.decoder = nn.Identity(), self._Decoder(self)

    class _Decoder(nn.Module):
        def __init__(self, outer):
            super().__init__()
            self.outer = [outer]

        def forward(self, z):
            outer, (u, v) = self.outer[0], z.unbind(1)
            if outer.shear:
                return torch.stack([u, v + outer.size * u.square()], 1)
            return torch.stack([u + outer.size * u**3 / 3, v], 1)

    def forward(self, x):
        return self.decoder(self.encoder(x))


@pytest.mark.parametrize("shear", [True, False])
def test_curved_decoders_are_local_up_to_the_volume(shear):
    """d(g(z)) − d(z) = tD∇log p + ½tD∇log det D + O(t²): §A9 to first order where det D is constant."""
    features = fp.GaussianMixture([0.5, 0.5], [[-0.6, 0.0], [0.6, 0.3]], [0.4, 0.5])
    decoders = Decoders([LearnedDenoiser(Bent(0.5, shear), 1.0)])
    z = features.draw(200, np.random.default_rng(5))
    x = decoders.decode(z)
    axis = torch.arange(-5, 5, 0.06, dtype=torch.float64)
    nodes = torch.cartesian_prod(axis, axis)
    logs = features.smoothing.log_prob(0.0, nodes)
    kept = logs > logs.max() - 25
    root = decoders.jacobian(z)
    volume = torch.zeros_like(z)
    volume[:, 0] = 0.0 if shear else z[:, 0] / (1 + 0.5 * z[:, 0].square())  # ∇log|det ∇d|
    plain, corrected = [], []
    for t in (0.08, 0.04, 0.02):
        local = LocalDenoiser(decoders, torch.eye(2).double(), decoders.decode(nodes[kept]), logs[kept].log_softmax(0), t)
        exact = decoders.decode(fp.denoising_flow(features, t, 1).forward(z)) - x
        found = local.displacement(x)
        extra = t * torch.einsum("nij,nj->ni", root, volume)
        plain.append(rms(exact - found) / rms(exact))
        corrected.append(rms(exact - found - extra) / rms(exact))
    assert corrected[-1] < 0.06
    assert 1.6 < corrected[0] / corrected[1] < 2.6  # of the first order in t
    assert 1.6 < corrected[1] / corrected[2] < 2.6
    if not shear:
        assert plain[-1] > 0.2


@pytest.fixture(scope="module")
def trained():
    """Two moons, three layers of affine decoders: errors of about ten percent."""
    return stack((24, 24), MOONS, noise_covariance=[0.2, 1.5, 1.5], depth=3, steps=500, device="cpu")


@pytest.fixture(scope="module")
def curved():
    return stack((16,), MOONS, noise_covariance=0.2, depth=2, decoder_hidden=(8,), steps=150, device="cpu")


def test_a_trained_stack_comes_near_and_shuffled_pairing_does_not(trained):
    x = MOONS.sample(800, 5)
    exact = trained.composition(MOONS)
    errors = by_layer(trained, exact, x)
    assert errors.max() < 0.3
    moves = [np.diff(flow.trajectory(x, flow.vertices), axis=0) for flow in (trained, exact)]
    for ours, theirs in zip(*moves, strict=True):
        assert rms(ours - np.roll(theirs, 1, axis=0)) / rms(theirs) > 1.0
    untrained = Stack([LearnedDenoiser(Autoencoder(2, 2, seed=k), 0.2) for k in range(3)])
    assert by_layer(untrained, untrained.composition(MOONS), x).min() > 1.0
    # each layer sees the features of the one before
    assert trained.history.sizes["layer"] == 3
    losses = trained.history.best_loss.values
    z = trained.features(x, 1)
    assert losses[1] == pytest.approx(fp.transport.optimal_loss(z, 1.5, samples=4000), rel=0.1)


def test_as_a_map_it_is_a_polygon_of_decoded_features(trained, curved):
    x = MOONS.sample(40, 6)
    for made in (trained, curved):
        depth = len(made)
        places = made.trajectory(x, made.vertices)
        for k in range(depth + 1):
            np.testing.assert_allclose(places[k], made.decoded(x, k), atol=1e-12)
            np.testing.assert_allclose(made.decode(made.features(x, k), k), made.decoded(x, k), atol=1e-12)
        np.testing.assert_array_equal(made.decoded(x, 1), made.layers[0](x))
        np.testing.assert_allclose(made(x), places[-1], atol=1e-12)
        # the same by the decoded layers, which look for the features of each point
        np.testing.assert_allclose(Composition(made.maps)(x), made(x), atol=1e-9)
        middle = 0.5 * (made.vertices[1] + made.vertices[2])
        np.testing.assert_allclose(made.trajectory(x, [middle])[0], (places[1] + places[2]) / 2, atol=1e-9)
        np.testing.assert_allclose(made.at(middle)(x), (places[1] + places[2]) / 2, atol=1e-9)
        speed = (places[2] - places[1]) / made.maps[1].time
        np.testing.assert_allclose(made.velocity(made.vertices[1], places[1]), speed, atol=1e-8)
        shifted = AffineMap(np.eye(2), [1.0, 0.0]) @ made
        np.testing.assert_allclose(shifted(x), made(x) + np.array([1.0, 0.0]), atol=1e-12)


def test_its_derivatives_are_those_of_finite_differences(trained, curved):
    x = MOONS.draw(5, np.random.default_rng(7))
    for made in (trained, curved):
        rows = torch.from_numpy(made.decoded(x.numpy(), 1))
        layer, step = made.maps[1], 1e-5
        jacobian, hessian = layer.displacement_jacobian(rows), layer.displacement_hessian(rows)
        for k, direction in enumerate(torch.eye(2).double()):
            ahead, behind = rows + step * direction, rows - step * direction
            slope = (layer.displacement(ahead) - layer.displacement(behind)) / (2 * step)
            torch.testing.assert_close(jacobian[:, :, k], slope, rtol=1e-6, atol=1e-6)
            bend = (layer.displacement_jacobian(ahead) - layer.displacement_jacobian(behind)) / (2 * step)
            torch.testing.assert_close(hessian[:, :, :, k], bend, rtol=1e-5, atol=1e-5)
        direct = torch.func.vmap(torch.func.jacrev(lambda point, made=made: made(point)))(x)
        torch.testing.assert_close(made.log_det(x), torch.linalg.slogdet(direct)[1], rtol=1e-8, atol=1e-8)
    moved = trained.profile(samples=50, times=[0.0, trained.time])
    assert moved.variance[1] < moved.variance[0]


def test_both_natures(trained):
    x = MOONS.sample(6, 8)
    tensor = torch.from_numpy(x).float().requires_grad_()
    seen = []
    handles = [module.register_forward_hook(lambda *_: seen.append(1)) for module in (trained, trained.layers[2].network)]
    y = trained(tensor)
    for handle in handles:
        handle.remove()
    assert len(seen) == 2
    assert y.dtype == torch.float32
    y.square().sum().backward()
    assert bool((tensor.grad != 0).any())
    # of the last layer all, of those before the encoders and the decoders that are walked back through
    assert all(part.grad is not None for part in trained.parameters())
    trained.zero_grad()
    assert not trained.forward(torch.zeros(3, 2)).requires_grad
    assert trained.features(tensor, 2).requires_grad
    assert trained(x.reshape(2, 3, 2)).shape == (2, 3, 2)
    assert trained(x.astype(np.float32)).dtype == np.float32
    array = xr.DataArray(x, dims=("sample", "feature"))
    np.testing.assert_allclose(trained.decoded(array, 2).values, trained.decoded(x, 2))
    np.testing.assert_allclose(trained.decoded_covariance(array, 2), trained.decoded_covariance(x, 2))
    assert trained.decoded_covariance(torch.from_numpy(x).reshape(2, 3, 2), 3).shape == (2, 3, 2, 2)
    assert trained.source is MOONS
    twin = copy.deepcopy(trained)
    np.testing.assert_array_equal(twin(x), trained(x))
    assert twin.maps[1].layer is twin.layers[1]
    single = twin.float()
    np.testing.assert_allclose(single(x), trained(x), atol=1e-5)
    np.testing.assert_allclose(Composition(single.maps)(x), trained(x), atol=1e-3)


def test_saved_and_loaded_it_is_the_same(trained, curved, tmp_path):
    x = MOONS.sample(6, 9)
    for made in (trained, curved):
        again = load_stack(made.save(tmp_path / "stack"), source=MOONS)
        np.testing.assert_array_equal(again(x), made(x))
        np.testing.assert_array_equal(again.decoded_covariance(x, 2), made.decoded_covariance(x, 2))
        np.testing.assert_array_equal(again.vertices, made.vertices)
        assert again.layers[1].held_out_loss == made.layers[1].held_out_loss
        assert not again.training
    assert again.source is MOONS
    with pytest.raises(InputError, match="a stack, expected a denoiser"):
        load_denoiser(tmp_path / "stack.safetensors")
    made.layers[0].save(tmp_path / "one")
    with pytest.raises(InputError, match="a denoiser, expected a stack"):
        load_stack(tmp_path / "one.safetensors")
    foreign = Stack([LearnedDenoiser(Bent(0.5, True), 0.1)] * 2)
    path = foreign.save(tmp_path / "foreign")
    with pytest.raises(InputError, match=r"network: found None, expected network=…, a Bent built like"):
        load_stack(path)
    np.testing.assert_array_equal(load_stack(path, [Bent(0.0, True)] * 2)(x), foreign(x))


def test_going_on_from_a_trained_autoencoder():
    points = MOONS.sample(400, 10)
    first = train_denoiser(
        Autoencoder(2, 2, hidden=(8,), seed=3), points, noise_covariance=0.2, steps=60, seed=3, device="cpu"
    )
    made = stack(None, points, depth=2, start=first, seed=3, steps=60, device="cpu")
    x = points[:5]
    np.testing.assert_array_equal(made.decoded(x, 1), first(x))
    assert made.layers[0] is not first
    assert made.layers[1].network.hidden == (8,)
    whole = stack((8,), points, noise_covariance=0.2, depth=2, seed=3, steps=60, device="cpu")
    assert made.layers[1].time == pytest.approx(0.2)
    assert len(stack((4,), points, depth=3, start=made, noise_covariance=0.5, steps=20, device="cpu")) == 3
    # the same seed, the same stack; and its first layer is what train_denoiser makes
    np.testing.assert_array_equal(
        whole(x), stack((8,), points, noise_covariance=0.2, depth=2, seed=3, steps=60, device="cpu")(x)
    )
    np.testing.assert_array_equal(whole.layers[0](x), first(x))
    np.testing.assert_array_equal(made(x), whole(x))
    assert made.source is None
    with pytest.raises(InputError, match="source: found None"):
        made.log_prob(x)


def test_what_a_stack_refuses():
    points = MOONS.sample(50, 11)
    fast = {"steps": 1, "device": "cpu"}
    assert stack((4,), points, noise_covariance=0.1, depth=1, features=3, **fast).features(points).shape == (50, 3)
    wide = r"features: found 3, expected 2 or fewer.*wider features is not injective"
    with pytest.raises(InputError, match=wide):
        stack((4,), points, noise_covariance=0.1, depth=2, features=3, **fast)
    with pytest.raises(InputError, match=wide):
        Stack([LearnedDenoiser(Autoencoder(2, 3), 0.1), LearnedDenoiser(Autoencoder(3, 2), 0.1)])
    with pytest.raises(InputError, match=wide):
        stack(None, points, depth=2, start=LearnedDenoiser(Autoencoder(2, 3), 0.1), **fast)
    with pytest.raises(InputError, match="layers: found list, expected LearnedDenoisers"):
        Stack([])
    with pytest.raises(InputError, match=r"layers\[0\]: found DenoisingNetwork"):
        Stack([train_denoiser((4,), points, noise_covariance=0.1, **fast)])
    with pytest.raises(InputError, match=r"layers\[1\]: found 2 dimensions, expected 1"):
        Stack([LearnedDenoiser(Autoencoder(2, 1), 0.1), LearnedDenoiser(Autoencoder(2, 1), 0.1)])
    with pytest.raises(InputError, match=r"layers\[0\]: found a map up to 0\.5 of its time"):
        Stack([LearnedDenoiser(Autoencoder(2, 2), 0.1).at(0.05)])
    with pytest.raises(InputError, match=r"network: found .*expected widths of hidden layers, or 3 Autoencoders"):
        stack([Autoencoder(2, 2)] * 2, points, noise_covariance=0.1, depth=3, **fast)
    with pytest.raises(InputError, match=r"network\[1\]: found one of 2, expected an Autoencoder of 1 dimensions"):
        stack([Autoencoder(2, 1), Autoencoder(2, 1)], points, noise_covariance=0.1, depth=2, **fast)
    with pytest.raises(InputError, match="network: found Autoencoder"):
        stack(Autoencoder(2, 2), points, noise_covariance=0.1, depth=2, **fast)
    with pytest.raises(InputError, match="covariance: found a list of 2, expected one, or a list of 3"):
        stack((4,), points, noise_covariance=[0.1, 0.1], depth=3, **fast)
    with pytest.raises(InputError, match=r"covariance\[1\]"):
        stack((4,), points, noise_covariance=[0.1, -0.1], depth=2, **fast)
    with pytest.raises(InputError, match="depth: found 0"):
        stack((4,), points, noise_covariance=0.1, depth=0, **fast)
    with pytest.raises(InputError, match="network: found None, expected a value where there is no start"):
        stack(None, points, noise_covariance=0.1, depth=1, **fast)
    with pytest.raises(InputError, match="noise_covariance: found None, expected a value where there is no start"):
        stack((4,), points, depth=1, **fast)
    with pytest.raises(InputError, match="depth: found 1, expected a whole number, 2 or more"):
        stack(None, points, depth=1, start=Stack([LearnedDenoiser(Autoencoder(2, 2), 0.1)] * 2), **fast)
    made = Stack([LearnedDenoiser(Autoencoder(2, 2), 0.1)] * 2)
    with pytest.raises(InputError, match="depth: found 3, expected at most 2"):
        made.features(points, 3)
    with pytest.raises(InputError, match="depth: found 0, expected a layer, 1 to 2"):
        made.decoded_covariance(points, 0)
    with pytest.raises(InputError, match=r"z: found shape \(50, 3\)"):
        made.decode(np.zeros((50, 3)))
    with pytest.raises(InputError, match="given: found 1 dimensions, expected a density or points in 2"):
        made.composition(fp.Normal(0.0, 1.0))
    with pytest.raises(InputError, match="noise_covariances: found ndarray, expected a list of 2"):
        made.composition(points, noise_covariances=np.eye(2))
    flat = copy.deepcopy(made)
    flat.layers[0].network.decoder.perceptron.skip.weight.data[1] = 0.0
    with pytest.raises(InputError, match="layers: found decoders of rank 1, expected injective decoders before layer 2"):
        flat.composition(points)
    bounded = Stack(
        [
            LearnedDenoiser(Autoencoder(2, 2, hidden=(4,), activation="tanh", decoder_hidden=(4,), seed=1), 0.1)
            for _ in range(3)
        ]
    )
    bounded.layers[0].network.decoder.perceptron.skip.weight.data.zero_()  # its range is bounded
    with pytest.raises(InputError, match=r"layers: found decoders that do not reach .* % of the density"):
        bounded.composition(100 * points)
    with pytest.raises(InputError, match=r"source: .*a density in 2 dimensions"):
        Stack(list(made.layers), source=fp.Normal(0.0, 1.0))
