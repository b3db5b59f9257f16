"""Denoising flows against the closed forms of §A3–§A6."""

import math

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import DenoisingFlow

DEPTHS = (1, 2, 4, 16, math.inf)


def covariance_in(d, seed=0, least=0.3):
    root = np.random.default_rng(seed).normal(size=(d, d + 1))
    return root @ root.T / d + least * np.eye(d)


def gaussian(d, seed=0):
    return fp.Normal(np.random.default_rng(seed + 100).normal(size=d), covariance_in(d, seed))


def mixture(d, seed=0, components=3):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(components, 5.0))
    covariances = np.stack([covariance_in(d, 10 * seed + k) for k in range(components)])
    return fp.GaussianMixture(weights, 1.5 * rng.normal(size=(components, d)), covariances)


def least(p):
    return min(np.linalg.eigvalsh(c)[0] for c in p.covariances)


@pytest.mark.parametrize("d", [1, 2, 10])
@pytest.mark.parametrize("layers", DEPTHS)
@pytest.mark.parametrize("anisotropic", [False, True])
def test_gaussian_closed_form(d, layers, anisotropic):
    p = gaussian(d)
    mean, covariance = p.mean, p.covariance
    noise = covariance_in(d, seed=5) / 3 if anisotropic else np.eye(d)
    time = 0.7 * oracles.gaussian_singular_time(covariance, noise)
    flow = fp.denoising_flow(p, time, layers, noise_covariance=noise if anisotropic else None)
    x = p.sample(7, seed=1)
    matrix = oracles.gaussian_denoiser(covariance, noise, time, layers)
    np.testing.assert_allclose(flow(x), (x - mean) @ matrix.T + mean, rtol=1e-9, atol=1e-9)
    moved = matrix @ covariance @ matrix.T
    profile = flow.profile(times=[0.0, time])
    assert profile.variance.values[-1] == pytest.approx(np.trace(moved), rel=1e-8)
    assert profile.entropy.values[-1] == pytest.approx(oracles.gaussian_entropy(moved), abs=1e-8)
    information = np.trace(noise @ np.linalg.inv(moved))
    assert profile.fisher_information.values[-1] == pytest.approx(information, rel=1e-7)
    assert flow.log_det_jacobian(x)[0] == pytest.approx(np.linalg.slogdet(matrix)[1], abs=1e-8)
    np.testing.assert_allclose(flow.log_prob(flow(x)), oracles.gaussian_log_prob(flow(x), mean, moved), atol=1e-7)
    np.testing.assert_allclose(flow.inverse(flow(x)), x, atol=1e-7)
    if layers == math.inf:
        assert flow.singular_time == pytest.approx(oracles.gaussian_singular_time(covariance, noise), rel=1e-9)
        assert np.trace(moved) == pytest.approx(np.trace(covariance) - 2 * time * np.trace(noise), rel=1e-9)


@pytest.mark.parametrize(
    ("layers", "variance"), [(1, 0.5102), (2, 0.4186), (4, 0.3431), (16, 0.2499), (256, 0.2037), (math.inf, 0.2)]
)
def test_the_six_variances(layers, variance):
    flow = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers)
    assert flow([[1.0]])[0, 0] ** 2 == pytest.approx(variance, abs=5e-5)
    assert flow.profile(times=[0.4]).variance.values[0] == pytest.approx(variance, abs=5e-5)


@pytest.mark.parametrize("d", [1, 2, 10])
def test_shallow_mixture_is_the_posterior_mean(d):
    p = mixture(d)
    x = p.sample(20, seed=2)
    expected = oracles.mixture_posterior_mean(x, p.weights, p.means, p.covariances, 0.3 * np.eye(d))
    np.testing.assert_allclose(fp.denoising_flow(p, 0.3, 1)(x), expected, atol=1e-10)
    noise = covariance_in(d, seed=9)
    expected = oracles.mixture_posterior_mean(x, p.weights, p.means, p.covariances, 0.3 * noise)
    np.testing.assert_allclose(fp.denoising_flow(p, 0.3, 1, noise_covariance=noise)(x), expected, atol=1e-10)


@pytest.mark.parametrize("covariance", [None, [[1.0, 0.4], [0.4, 0.6]]])
def test_shallow_points_are_attention(covariance):
    points = np.random.default_rng(0).normal(size=(200, 2)) * [1.0, 0.3] + 5.0
    noise = 0.2 * (np.eye(2) if covariance is None else np.array(covariance))
    flow = fp.denoising_flow(fp.Empirical(points), 0.2, 1, noise_covariance=covariance)
    np.testing.assert_allclose(flow(points[:30]), oracles.softmax_denoiser(points[:30], points, noise), atol=1e-10)
    single = fp.denoising_flow(fp.Empirical(points.astype(np.float32)), 0.2, 1, noise_covariance=covariance)
    found = single(points[:30].astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, oracles.softmax_denoiser(points[:30], points, noise), atol=2e-5)


def test_points_composed_attend_to_where_the_points_are():
    points = np.random.default_rng(1).normal(size=(60, 2))
    expected = points
    for _ in range(3):
        expected = oracles.softmax_denoiser(expected, expected, 0.1 * np.eye(2))
    flow = fp.denoising_flow(fp.Empirical(points), 0.3, 3)
    np.testing.assert_allclose(flow(points), expected, atol=1e-10)
    assert float(flow.representation_error()) == 0.0


def test_points_freeze_below_their_spacing():
    """docs/papers.md §A5: with t/L below the squared spacing of the points nothing moves any more."""
    points = np.random.default_rng(0).normal(size=(1000, 1))
    points = (points - points.mean()) / points.std()
    variances = [fp.denoising_flow(fp.Empirical(points), 0.4, layers)(points).var() for layers in (1, 2, 4, 16, 256)]
    assert variances[0] == pytest.approx(0.51, abs=0.05)
    assert variances[0] > variances[1] > variances[2]
    assert variances[2] < variances[3] < variances[4]
    assert variances[4] > 0.9


@pytest.mark.parametrize("layers", [1, 3, math.inf])
def test_smoothed_points_are_the_mixture(layers):
    points = np.random.default_rng(3).normal(size=(12, 1))
    kernel = fp.Empirical(points, kernel_covariance=0.2)
    same = fp.GaussianMixture(np.full(12, 1 / 12), points, 0.2)
    x = same.sample(50, seed=4)
    arguments = {} if layers in (1, math.inf) else {"representation": "nodes"}
    np.testing.assert_allclose(
        fp.denoising_flow(kernel, 0.06, layers, **arguments)(x),
        fp.denoising_flow(same, 0.06, layers, **arguments)(x),
        atol=1e-6,
    )


@pytest.mark.parametrize("d", [1, 2, 10])
def test_trace_law(d):
    """tr Cov(p_t) = tr Cov(p_0) − 2td for mixtures: the flow's own particles obey it within their error."""
    p = mixture(d, seed=1)
    time = 0.4 * least(p)
    flow = fp.denoising_flow(p, time, math.inf)
    x = p.sample(20_000, seed=0)
    y = flow(x)
    change = ((y - y.mean(0)) ** 2).sum(1) - ((x - x.mean(0)) ** 2).sum(1)
    assert change.mean() == pytest.approx(-2 * time * d, abs=5 * change.std() / np.sqrt(len(x)))
    assert flow.profile(times=[time], samples=50).variance.values[0] == pytest.approx(
        np.trace(p.covariance) - 2 * time * d, rel=1e-12
    )


@pytest.mark.parametrize("d", [1, 2, 10])
def test_continuous_mixture_is_the_push_forward(d):
    """The closed form of p_t against the change of variables along the particles' paths."""
    p = mixture(d, seed=2)
    flow = fp.denoising_flow(p, 0.3 * least(p), math.inf)
    x = p.sample(30, seed=1)
    y = flow(x)
    np.testing.assert_allclose(flow.log_prob(y), p.log_prob(x) - flow.log_det_jacobian(x), atol=1e-6)
    expected = fp.GaussianMixture(p.weights, p.means, p.covariances - 0.6 * least(p) * np.eye(d))
    np.testing.assert_allclose(flow.log_prob(y), expected.log_prob(y), atol=1e-9)
    np.testing.assert_allclose(flow.inverse(y), x, atol=1e-6)


@pytest.mark.parametrize(("layers", "d"), [(1, 1), (2, 1), (5, 1), (math.inf, 1), (1, 2), (2, 2), (math.inf, 2)])
def test_densities_between_layers_stay_normalised(layers, d):
    p = mixture(d, seed=3, components=2)
    flow = fp.denoising_flow(p, 0.4 * least(p), layers)
    axis = np.linspace(-8, 8, 2001 if d == 1 else 81)
    grid = axis[:, None] if d == 1 else np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    mass = np.exp(flow.log_prob(grid)).sum() * (axis[1] - axis[0]) ** d
    assert mass == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("layers", [1, 3, math.inf])
@pytest.mark.parametrize("density", ["mixture", "points"])
def test_log_det_and_inverse(layers, density):
    p = (
        mixture(2, seed=4)
        if density == "mixture"
        else fp.Empirical(mixture(2, seed=4).sample(100, seed=0), kernel_covariance=0.3)
    )
    flow = fp.denoising_flow(p, 0.1, layers)
    x = p.sample(8, seed=3)
    np.testing.assert_allclose(flow.log_det_jacobian(x), oracles.log_det_by_differences(flow, x), atol=1e-6)
    np.testing.assert_allclose(flow.inverse(flow(x)), x, atol=1e-6)


def test_composition_tends_to_the_continuous_flow_like_one_over_l():
    for p, atol in ((gaussian(3), 0.05), (fp.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.3), 0.12)):
        time = 0.25 * (least(p) if p.dimension == 1 else np.linalg.eigvalsh(p.covariance)[0])
        x = p.sample(500, seed=0)
        end = fp.denoising_flow(p, time, math.inf)(x)
        layers = np.array([16, 32, 64])
        errors = [np.sqrt(np.mean((fp.denoising_flow(p, time, int(count))(x) - end) ** 2)) for count in layers]
        assert np.polyfit(np.log(layers), np.log(errors), 1)[0] == pytest.approx(-1, abs=atol)


def test_shallow_error_is_of_second_order():
    p = mixture(2, seed=5)
    x = p.sample(200, seed=0)
    times = 0.01 * 2.0 ** -np.arange(3)
    errors = [np.abs(fp.denoising_flow(p, t, 1)(x) - fp.denoising_flow(p, t, math.inf)(x)).max() for t in times]
    assert np.polyfit(np.log(times), np.log(errors), 1)[0] == pytest.approx(2, abs=0.1)


def test_representations_agree_and_say_so():
    """Nodes are exact until rounding is amplified; a fit is near; other nodes and points tell how near."""
    p = fp.GaussianMixture([0.4, 0.6], [[-1.0], [0.8]], [0.3, 0.25])
    x = p.sample(2000, seed=0)
    nodes, refit, points = (fp.denoising_flow(p, 0.05, 4, representation=name) for name in ("nodes", "refit", "points"))
    assert nodes.representation.startswith("nodes: ")
    assert float(nodes.representation_error()) < 1e-9
    distance = np.sqrt(np.mean((refit(x) - nodes(x)) ** 2))
    assert float(refit.representation_error()) == pytest.approx(distance, rel=0.3)
    assert distance < 0.01
    scatter = np.sqrt(np.mean((points(x) - nodes(x)) ** 2))
    assert 0.2 * scatter < float(points.representation_error()) < 5 * scatter
    assert fp.denoising_flow(p, 0.05, 8).representation.startswith("nodes")
    assert fp.denoising_flow(p, 0.05, 9).representation.startswith("refit")
    assert float(fp.denoising_flow(p, 0.05, math.inf).representation_error()) == 0.0


def test_two_layers_by_brute_force():
    """The second layer's optimality, checked by integration over the first one's output."""
    p = fp.GaussianMixture([0.4, 0.6], [[-1.0], [0.8]], [0.3, 0.25])
    first = fp.denoising_flow(p, 0.1, 1)
    grid = np.linspace(-6, 6, 4001)[:, None]
    pushed, mass = first(grid)[:, 0], np.exp(p.log_prob(grid))
    x = np.array([[-1.5], [0.0], [0.4], [2.0]])
    middle = first(x)[:, 0]
    kernel = np.exp(-((middle[:, None] - pushed) ** 2) / (2 * 0.1)) * mass
    expected = (kernel @ pushed) / kernel.sum(1)
    np.testing.assert_allclose(fp.denoising_flow(p, 0.2, 2)(x)[:, 0], expected, atol=1e-8)


def test_refit_in_ten_dimensions():
    """Between shallow and continuous, nearer to the continuous with depth."""
    p = mixture(10, seed=6)
    time = 0.3 * least(p)
    x = p.sample(500, seed=1)
    end = fp.denoising_flow(p, time, math.inf)(x)
    distances = [np.sqrt(((fp.denoising_flow(p, time, layers)(x) - end) ** 2).sum(1).mean()) for layers in (1, 2, 4, 8)]
    assert (np.diff(distances) < 0).all()
    assert distances[3] < 0.4 * distances[0]


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 4), layers=st.sampled_from([1, 2, math.inf]))
def test_equivariance(seed, d, layers):
    """Rotating and shifting the density rotates and shifts the flow."""
    rng = np.random.default_rng(seed)
    p = mixture(d, seed=seed, components=1 if layers == 2 else 2)
    turn, shift = np.linalg.qr(rng.normal(size=(d, d)))[0], rng.normal(size=d)
    other = fp.GaussianMixture(p.weights, p.means @ turn.T + shift, turn @ p.covariances @ turn.T)
    time = 0.3 * least(p)
    x = p.sample(5, seed=seed % 1000)
    flow, moved = fp.denoising_flow(p, time, layers), fp.denoising_flow(other, time, layers)
    np.testing.assert_allclose(moved(x @ turn.T + shift), flow(x) @ turn.T + shift, atol=1e-6)
    np.testing.assert_allclose(moved.log_prob(x @ turn.T + shift), flow.log_prob(x), atol=1e-5)


@pytest.mark.slow
def test_velocity_and_trajectory():
    p = mixture(2, seed=7)
    time = 0.3 * least(p)
    x = p.sample(6, seed=0)
    for layers in (1, 4, math.inf):
        flow = fp.denoising_flow(p, time, layers)
        path = flow.trajectory(x, [0.0, 0.3 * time, time])
        assert path.shape == (3, 6, 2)
        np.testing.assert_allclose(path[0], x, atol=1e-12)
        np.testing.assert_allclose(path[-1], flow(x), atol=1e-7)
        np.testing.assert_allclose(path[1], flow.at(0.3 * time)(x), atol=1e-7)
        assert flow.trajectory(x).shape == (21, 6, 2)
    step = time / 4
    np.testing.assert_allclose(flow.velocity(0.0, x), p.score(x), atol=1e-9)
    layered = fp.denoising_flow(p, time, 4)
    first = fp.denoising_flow(p, step, 1)
    np.testing.assert_allclose(layered.velocity(0.5 * step, x), (first(x) - x) / step, atol=1e-10)
    np.testing.assert_allclose(layered.velocity(0.5 * step, x), p.smoothed(step).score(x), atol=1e-10)


def test_kinds_shapes_and_dtypes():
    p = mixture(2, seed=8)
    for layers in (1, 3, math.inf):
        flow = fp.denoising_flow(p, 0.05, layers)
        x = p.sample(6, seed=0).reshape(2, 3, 2)
        assert flow(x).shape == (2, 3, 2)
        assert flow.log_prob(x).shape == (2, 3)
        assert flow.trajectory(x, [0.0, 0.05]).shape == (2, 2, 3, 2)
        assert flow(x.astype(np.float32)).dtype == np.float32
        tensor = torch.tensor(x, dtype=torch.float32)
        assert flow(tensor).dtype == torch.float32
        assert isinstance(flow.velocity(0.0, tensor), torch.Tensor)
        np.testing.assert_allclose(flow(tensor).numpy(), flow(x), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (fp.Normal(0.0, 1.0), 0.5, math.inf),
            r"time: found 0.5, expected a time below t\* = 0.5, where the continuous flow",
        ),
        ((fp.Normal(0.0, 1.0), 0.7, math.inf), r"a time below t\* = 0.5"),
        ((fp.Normal(0.0, 1.0), 0.0, 1), "time: found 0.0, expected a positive number"),
        ((fp.Normal(0.0, 1.0), -1.0, math.inf), "time: found -1.0"),
        ((fp.Normal(0.0, 1.0), float("nan"), math.inf), "time: found nan"),
        ((fp.Normal(0.0, 1.0), True, 1), "time: found True"),
        ((fp.Normal(0.0, 1.0), 0.4, 0), "layers: found 0, expected a whole number, 1 or more"),
        ((fp.Normal(0.0, 1.0), 0.4, 2.5), "layers: found 2.5"),
        (
            (fp.Empirical([[0.0], [1.0]]), 0.4, math.inf),
            r"layers: found inf, .* Empirical\(points, kernel_covariance=h\) with h above 0.8",
        ),
        ((fp.Empirical([[0.0], [1.0]], kernel_covariance=0.6), 0.3, math.inf), r"a time below t\* = 0.3"),
        (([[0.0], [1.0]], 0.4, 1), "density: found list"),
        ((fp.Normal(0.0, 1.0), 0.4, None), r"layers: found None, expected .* math\.inf"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fp.denoising_flow(*arguments)


@pytest.mark.parametrize(
    ("density", "layers", "options", "message"),
    [
        (fp.Normal([0.0, 0.0], 1.0), 1, {"noise_covariance": [[1.0, 2.0], [2.0, 1.0]]}, "noise_covariance: .* positive def"),
        (fp.Normal([0.0, 0.0], 1.0), 1, {"noise_covariance": np.eye(3)}, r"noise_covariance: found shape \(3, 3\)"),
        (fp.GaussianMixture([0.5, 0.5], np.eye(2), 1.0), 2, {"representation": "grid"}, "representation: found 'grid'"),
        (fp.GaussianMixture([0.5, 0.5], np.eye(3)[:2], 1.0), 2, {"representation": "nodes"}, "'refit' or 'points' in three"),
    ],
)
def test_what_is_refused_by_name(density, layers, options, message):
    with pytest.raises(InputError, match=message):
        fp.denoising_flow(density, 0.1, layers, **options)


def test_bad_points_are_refused():
    flow = fp.denoising_flow(mixture(2), 0.1, 1)
    for call in (flow, flow.inverse, flow.log_prob, flow.log_det_jacobian, flow.trajectory):
        with pytest.raises(InputError, match=r"found shape \(4, 3\), expected points of shape \(…, 2\)"):
            call(np.zeros((4, 3)))
        with pytest.raises(InputError, match="NaN"):
            call(np.full((4, 2), np.nan))
    with pytest.raises(InputError, match=r"times from 0 to 0\.1, where the flow ends"):
        flow.trajectory(np.zeros((1, 2)), [0.0, 0.2])
    with pytest.raises(InputError, match="times that increase"):
        flow.trajectory(np.zeros((1, 2)), [0.1, 0.05])
    with pytest.raises(InputError, match="times"):
        flow.velocity(0.3, np.zeros((1, 2)))
    with pytest.raises(InputError, match=r"t: found 0\.0"):
        flow.at(0.0)


def test_points_that_no_denoiser_reaches():
    """The shallow map of bare points ends inside their hull: outside nothing arrives."""
    flow = fp.denoising_flow(fp.Empirical([[-1.0], [0.0], [1.0]]), 0.5, 1)
    with pytest.raises(InputError, match="y: found 2 points that the map does not reach"):
        flow.inverse([[5.0], [0.2], [-1.5]])
    np.testing.assert_allclose(flow(flow.inverse([[0.2]])), [[0.2]], atol=1e-10)
    nodes = fp.denoising_flow(fp.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.3), 0.1, 3)
    assert nodes.log_prob([[50.0]])[0] == -np.inf


def test_a_fit_to_points_that_have_merged():
    """Far beyond t* each component is a place: rounding must not make its variance negative."""
    p = fp.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.04)
    x = p.sample(2000, seed=0)
    for seed in range(4):
        y = DenoisingFlow(p, 1.0, 16, representation="refit", seed=seed)(x)
        np.testing.assert_allclose(np.abs(y), 1.0, atol=1e-3)


def test_beyond_the_singular_time_layers_go_on():
    flow = fp.denoising_flow(fp.Normal(0.0, 1.0), 50.0, 64)
    x = flow([[1.0]])
    assert 0 <= x[0, 0] < 1e-6
    mixture_flow = fp.denoising_flow(fp.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.04), 1.0, 4)
    x = mixture_flow.known_source().draw(20_000, np.random.default_rng(0)).numpy()
    assert mixture_flow(x).var() == pytest.approx(0.987, abs=0.01)


@pytest.mark.gpu
@pytest.mark.parametrize("layers", [1, 3, math.inf])
def test_a_gpu_gives_the_same(layers):
    """Where the parameters live there the flow is computed, and the answer goes back to where the points are."""
    p = mixture(2, seed=9)
    there = fp.GaussianMixture(*(torch.tensor(part, device="cuda") for part in (p.weights, p.means, p.covariances)))
    points = fp.Empirical(torch.tensor(p.sample(500, seed=0), dtype=torch.float32, device="cuda"))
    x = p.sample(100, seed=1)
    flow, moved = fp.denoising_flow(p, 0.05, layers), fp.denoising_flow(there, 0.05, layers)
    found = moved(torch.tensor(x, device="cuda"))
    assert found.device.type == "cuda"
    np.testing.assert_allclose(found.cpu().numpy(), flow(x), atol=1e-6)
    np.testing.assert_allclose(moved(x), flow(x), atol=1e-6)
    if layers != math.inf:
        same = fp.denoising_flow(fp.Empirical(points.points.cpu()), 0.05, layers)
        np.testing.assert_allclose(fp.denoising_flow(points, 0.05, layers)(x), same(x), atol=1e-3)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e6])
@pytest.mark.parametrize("layers", [1, 3, 12, math.inf])
def test_units_do_not_matter(scale, layers):
    """x → cx and t → c²t."""
    p = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.3, 0.4])
    other = fp.GaussianMixture(p.weights, scale * p.means, scale**2 * p.covariances)
    x = p.sample(20, seed=0)
    expected = fp.denoising_flow(p, 0.1, layers)(x)
    np.testing.assert_allclose(fp.denoising_flow(other, 0.1 * scale**2, layers)(scale * x) / scale, expected, atol=1e-9)


@pytest.mark.parametrize("part", [0.99, 0.99999])
def test_close_to_the_singular_time(part):
    p = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.3, 0.4])
    flow = fp.denoising_flow(p, part * 0.15, math.inf)
    x = p.sample(100, seed=0)
    np.testing.assert_allclose(flow.inverse(flow(x)), x, atol=1e-5)
    assert np.isfinite(flow.log_prob(flow(x))).all()


def test_no_time_at_all_moves_nothing():
    """As t → 0 every depth is the identity, however fine nodes would have to be."""
    p = fp.densities.two_moons(noise=0.2)
    x = p.sample(50, seed=0)
    for time in (1e-4, 1e-12):
        shallow = fp.denoising_flow(p, time, 1)(x)
        np.testing.assert_allclose(fp.denoising_flow(p, time, 3)(x), shallow, atol=1e-4)


def test_merged_points_raise_nothing_of_their_own():
    points = np.random.default_rng(0).normal(size=(100, 3))
    flow = fp.denoising_flow(fp.Empirical(points), 0.02, 2)
    profile = flow.profile(samples=50, times=[0.0, 0.02])
    assert profile.cost.values[1] >= 0
    assert np.isnan(profile.entropy).all()
    assert flow.log_det_jacobian(points[:30]).max() < 0
