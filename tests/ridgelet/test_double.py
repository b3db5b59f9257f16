"""Residual networks built from a flow without training (§A11)."""

import math

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane.errors import InputError
from flowplane.ridgelet import Pair, WideLimit, network
from flowplane.ridgelet.cutoff import Region, as_field

LINE = fp.denoising_flow(fp.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4]), 0.1, math.inf)
PLANE = fp.denoising_flow(fp.Normal([0.3, 0.0], [[1.0, 0.4], [0.4, 0.8]]), 0.15, math.inf)
BUMP = Pair("gaussian")


@pytest.fixture(scope="module")
def limit():
    return WideLimit(LINE, pair=BUMP, extent=20.0)


def euler(flow, x, layers):
    step = flow.time / layers
    for k in range(layers):
        x = x + step * flow.velocity(k * step, x)
    return x


def error(found, exact):
    return float(np.sqrt(np.square(found - exact).sum(-1).mean()))


def slope(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def test_the_cutoff_is_one_on_the_way_and_zero_beyond_the_margin():
    region = Region.around(as_field(LINE, None, None, 0).visited)
    x = LINE.source.sample(1000, 0)
    assert (region(torch.from_numpy(LINE.trajectory(x)).reshape(-1, 1)) == 1).all()
    edge = region.centre + region.half + torch.linspace(0, 1, 101, dtype=torch.float64)[:, None] * region.margin
    fall = region(edge)
    assert fall[0] == 1 and fall[-1] == 0 and (fall.diff() <= 0).all()
    assert float(region(edge + 1e-12)[-1]) == 0
    # all derivatives vanish at both ends
    assert (1 - fall[1]).item() < 1e-40 and fall[-2].item() < 1e-40


def test_cells_of_the_grid_integrate_a_cut_off_function():
    region = Region(torch.zeros(2).double(), torch.tensor([1.0, 2.0]).double(), torch.tensor([0.5, 1.0]).double())
    x, cells = region.grid(0.05)
    # ∫c over one coordinate is 2r + margin, because c(u) + c(1 − u) = 1
    assert float(cells @ region(x)) == pytest.approx((2 + 0.5) * (4 + 1.0), rel=1e-9)


@pytest.mark.parametrize(("flow", "pair"), [(LINE, Pair("tanh")), (LINE, BUMP), (LINE, Pair("relu")), (PLANE, BUMP)])
def test_the_quadrature_gives_the_field_back(flow, pair):
    assert network(flow, 1, 10, pair=pair).field_error < 0.02


def root_mean_square(net, width, exact, x):
    """Over all networks of that width which the units make."""
    blocks = [net.narrowed(width, first) for first in range(0, net.width, width)]
    return np.sqrt(np.mean([error(block(x), exact) ** 2 for block in blocks]))


def test_a_wide_network_with_units_of_its_own_follows_the_polygon(limit):
    x = LINE.source.sample(300, 7)
    exact = euler(LINE, x, 8)
    assert error(limit.network(8, 20_000, shared_units=False)(x), exact) < 0.1 * error(x, exact)


def test_width_converges_like_its_square_root(limit):
    x = LINE.source.sample(200, 7)
    net, exact = limit.network(8, 4 * 4096, seed=3), euler(LINE, x, 8)
    errors = [root_mean_square(net, width, exact, x) for width in (256, 1024, 4096)]
    # 64, 16 and 4 networks: the logarithm of a root mean square of 4 errs by 1/√8, the slope over log 16 by 0.13
    assert slope((256, 1024, 4096), errors) == pytest.approx(-0.5, abs=0.25)


def test_units_of_each_layer_gain_by_depth_and_shared_ones_do_not(limit):
    x = LINE.source.sample(200, 7)
    own, shared = [], []
    for depth in (4, 16, 64):
        exact = euler(LINE, x, depth)
        own.append(root_mean_square(limit.network(depth, 16 * 256, shared_units=False, seed=4), 256, exact, x))
        shared.append(root_mean_square(limit.network(depth, 16 * 256, shared_units=True, seed=4), 256, exact, x))
    # sixteen networks each: ±0.18 in the logarithm, the slope over log 16 by 0.09
    assert slope((4, 16, 64), own) == pytest.approx(-0.5, abs=0.2)
    assert slope((4, 16, 64), shared) == pytest.approx(0.0, abs=0.2)


def test_what_a_limit_keeps_changes_nothing():
    used, fresh = (WideLimit(LINE, pair=BUMP, extent=3.0) for _ in range(2))
    used.network(8, 10), used.network(2, 10, shared_units=False)
    first, second = (each.network(4, 50, shared_units=False, seed=9) for each in (used, fresh))
    assert torch.equal(first.hidden, second.hidden)
    torch.testing.assert_close(first.output, second.output, rtol=1e-12, atol=1e-12)


def test_layers_are_euler_steps_and_units_are_shared_or_not(limit):
    net = limit.network(4, 50)
    assert net.shared_units and net.hidden.shape == (1, 50, 1) and net.output.shape == (4, 50, 1)
    x = torch.randn(6, 1, dtype=torch.float64)
    path = net.trajectory(x)
    assert path.shape == (5, 6, 1)
    bump = torch.exp(-((x @ net.hidden[0].T - net.offsets[0]) ** 2) / 2)
    torch.testing.assert_close(path[1] - path[0], LINE.time / 4 * (bump @ net.output[0]).detach())
    own = limit.network(4, 50, shared_units=False)
    assert not own.shared_units and own.hidden.shape == (4, 50, 1)
    assert not torch.equal(own.hidden[0], own.hidden[1])


def test_it_is_a_torch_module_that_can_be_trained_and_answers_in_kind():
    net = network(PLANE, 3, 40, pair=BUMP)
    assert isinstance(net(np.zeros((2, 5, 2), np.float32)), np.ndarray)
    x = torch.zeros(4, 2, requires_grad=True)
    out = net(x)
    assert out.dtype == torch.float32 and out.shape == (4, 2)
    out.square().sum().backward()
    assert x.grad is not None and all(part.grad is not None for part in net.parameters())


def test_the_same_seed_builds_the_same_network():
    first, second, other = (network(PLANE, 2, 30, pair=BUMP, extent=2.0, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.hidden, other.hidden)


def test_a_bare_velocity_needs_points_and_a_time():
    def shrink(t, x):
        return -x

    points = np.random.default_rng(0).uniform(-1, 1, (200, 1))
    net = network(shrink, 16, 20_000, shared_units=False, points=points, time=1.0, pair=BUMP)
    assert error(net(points), points * (1 - 1 / 16) ** 16) < 0.05
    with pytest.raises(InputError, match="points: found None"):
        network(shrink, 2, 10, time=1.0)
    with pytest.raises(InputError, match="time: found None"):
        network(shrink, 2, 10, points=points)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"field": 3}, "field: found int, expected a flow"),
        ({"layers": 0}, "layers: found 0"),
        ({"width": 1.5}, "width: found 1.5"),
        ({"shared_units": "yes"}, "shared_units: found 'yes'"),
        ({"time": 7.0}, "time: found 7.0, expected at most 0.1"),
        ({"margin": -1.0}, "margin: found -1.0"),
        ({"extent": (1.0,)}, "extent: found"),
        ({"field": fp.denoising_flow(fp.Normal([0.0] * 4, 1.0), 0.1, math.inf)}, r"points: found shape \(1000, 4\)"),
        ({"field": lambda t, x: x[:, :0], "points": np.zeros((3, 2)), "time": 1.0}, "field: found velocities of shape"),
        ({"field": lambda t, x: x / 0, "points": np.ones((3, 2)), "time": 1.0}, "field: found 3 velocities that are not"),
        ({"field": lambda t, x: 0 * x, "points": [[0.0], [1.0]], "time": 1.0}, "field: found 0 everywhere"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        network(**{"field": LINE, "layers": 2, "width": 10} | arguments)


def test_a_narrowed_network_has_units_of_the_wide_one(limit):
    net = limit.network(2, 40)
    part = net.narrowed(10, 20)
    assert torch.equal(part.hidden, net.hidden[:, 20:30]) and torch.equal(part.output, 4 * net.output[:, 20:30])
    with pytest.raises(InputError, match="width: found 30"):
        net.narrowed(30, 20)
