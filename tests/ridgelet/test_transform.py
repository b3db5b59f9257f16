"""R and S: reconstruction in one, two and three dimensions, against direct evaluation, and invariances."""

import numpy as np
import oracles_ridgelet as oracles
import pytest
import torch
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError
from flowplane.ridgelet import Pair, missed_share, monte_carlo_transform, transform
from flowplane.ridgelet.pairs import ACTIVATIONS
from flowplane.ridgelet.quadrature import cell_volumes, half_sphere, signed_radii
from flowplane.ridgelet.spreading import STEP, lagrange, regular, spread

LINE = np.linspace(-6, 6, 301)


def box(count, reach, dimension):
    axis = np.linspace(-reach, reach, count)
    return np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), -1).reshape(-1, dimension)


def bell(x):
    return np.exp(-np.square(x).reshape(len(x), -1).sum(1) / 2)


def missed(pair, x, largest):
    """What |a| < A takes from a unit Gaussian on the line, by quadrature over frequencies."""
    xi = np.linspace(0, 9, 2001)
    lost = missed_share(pair, xi, largest=largest) * np.exp(-(xi**2) / 2)
    return np.trapezoid(lost * np.cos(np.multiply.outer(x, xi)), xi) * np.sqrt(2 / np.pi)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_a_function_of_the_line_comes_back_but_for_what_truncation_misses(activation):
    pair = Pair(activation)
    # the kink of ReLU wants many offsets, the sigmoid is the widest and loses most
    grid = (120, 1600) if activation == "relu" else (120, 300)
    spectrum = transform(bell(LINE), LINE, pair=pair, extent=(8.0, 65.0), grid=grid)
    x = np.linspace(-2, 2, 21)
    np.testing.assert_allclose(spectrum.reconstruct(x), bell(x) - missed(pair, x, 8.0), atol=1.5e-3)


@pytest.mark.parametrize("activation, offsets", [("tanh", 100), ("gaussian", 100), ("sin", 100), ("relu", 1000)])
def test_in_the_plane_plus_f_comes_back(activation, offsets):
    """The sign of Λ² shows here: without it S[R] = −K f."""
    x = box(33, 4.5, 2)
    pair = Pair(activation)
    spectrum = transform(bell(x), x, pair=pair, extent=(5.0, 31.0), grid=(80, offsets), directions=40)
    xi = np.linspace(0, 10, 2001)
    lost = np.trapezoid(missed_share(pair, xi, largest=5.0) * xi * np.exp(-(xi**2) / 2), xi)
    assert spectrum.reconstruct([[0.0, 0.0]])[0] == pytest.approx(1 - lost, abs=2e-3)
    x = np.array([[1.0, 0.5], [-0.3, 1.2]])
    np.testing.assert_allclose(spectrum.reconstruct(x), bell(x), atol=0.025)


@pytest.mark.parametrize("activation", ["tanh", "gaussian"])
def test_in_space_too(activation):
    x = box(17, 4.0, 3)
    spectrum = transform(bell(x), x, pair=Pair(activation), extent=(3.5, 24.0), grid=(40, 70), directions=196)
    xi = np.linspace(0, 10, 2001)
    density = xi**2 * np.exp(-(xi**2) / 2) * np.sqrt(2 / np.pi)
    lost = np.trapezoid(missed_share(Pair(activation), xi, largest=3.5) * density, xi)
    assert spectrum.reconstruct(np.zeros((1, 3)))[0] == pytest.approx(1 - lost, abs=6e-3)


def test_an_inadmissible_pair_forced_by_hand_reconstructs_nothing():
    class Forced(Pair):
        def _check(self):
            pass

    x = box(33, 4.5, 2)
    for activation, order in (("relu", 1), ("sigmoid", 0)):
        pair = Forced(activation, order)
        assert abs(pair.integral) == pytest.approx(0.5)
        spectrum = transform(bell(x), x, pair=pair, extent=(5.0, 31.0), grid=(80, 400), directions=40)
        assert np.abs(spectrum.reconstruct(x[::7])).max() < 0.02


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("activation, order", [("tanh", 3), ("relu", 4)])
def test_coefficients_are_the_sums_they_stand_for(dimension, activation, order):
    rng = np.random.default_rng(dimension)
    x, f = rng.normal(size=(25, dimension)), rng.normal(size=25)
    w = rng.uniform(0.5, 2, size=25)
    spectrum = transform(f, x, pair=Pair(activation), weights=w, extent=(6.0, 20.0), grid=(6, 9), directions=4)
    a = spectrum.hidden.repeat_interleave(9, 0).numpy()
    expected = oracles.coefficients(f, w, x, order, a, spectrum.offsets.flatten().numpy())
    size = np.abs(oracles.ridgelet_function(order, dimension, np.linspace(-9, 9, 301))).max() * (w * np.abs(f)).sum()
    np.testing.assert_allclose(spectrum.coefficients.flatten().numpy(), expected, atol=1e-8 * size)


def test_offsets_in_several_blocks(monkeypatch):
    whole = transform(bell(LINE), LINE, grid=(20, 30))
    monkeypatch.setattr("flowplane.ridgelet.integral.KERNEL", 5000)
    monkeypatch.setattr("flowplane.ridgelet.spectrum.BLOCK", 5000)
    parts = transform(bell(LINE), LINE, grid=(20, 30))
    torch.testing.assert_close(whole.coefficients, parts.coefficients, rtol=0, atol=1e-12)
    np.testing.assert_allclose(parts.reconstruct(LINE), whole.reconstruct(LINE), atol=1e-12)


def test_quadrature_converges_to_what_truncation_leaves():
    x = np.linspace(-2, 2, 21)
    exact = bell(x) - missed(Pair(), x, 8.0)
    errors = [
        np.abs(transform(bell(LINE), LINE, extent=(8.0, 60.0), grid=(count, 2 * count)).reconstruct(x) - exact).max()
        for count in (40, 60, 120)
    ]
    assert errors[0] > 20 * errors[1] > 400 * errors[2] and errors[2] < 2e-4


def test_more_of_a_brings_f_nearer():
    errors = []
    for largest in (4.0, 8.0, 16.0):
        spectrum = transform(bell(LINE), LINE, extent=(largest, 6 * largest + 25), grid=(240, 400))
        errors.append(abs(spectrum.reconstruct([0.0])[0] - 1))
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx([3, 3], abs=0.25)


def test_the_transform_turns_with_the_function():
    """R[f∘Qᵀ](Qa, b) = R[f](a, b) for a rotation Q, at any nodes; grids of even angles go over into each other."""
    rng = np.random.default_rng(3)
    x, f, w = rng.normal(size=(80, 3)), rng.normal(size=80), np.full(80, 0.1)
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    a, b = rng.normal(size=(50, 3)), rng.normal(size=50)
    one = monte_carlo_transform(f, x, units=(a, b, np.ones(50)), weights=w)
    turned = monte_carlo_transform(f, x @ q.T, units=(a @ q.T, b, np.ones(50)), weights=w)
    torch.testing.assert_close(one.coefficients, turned.coefficients, rtol=0, atol=1e-11)
    angle = np.pi / 6
    q = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x = x[:, :2]
    settings = {"weights": w, "extent": (4.0, 15.0), "grid": (10, 21), "directions": 12}
    one, turned = transform(f, x, **settings), transform(f, x @ q.T, **settings)
    first, second = (part.to_dataset().coefficient for part in (one, turned))
    np.testing.assert_allclose(second[2:], first[:-2], atol=1e-7)


def test_a_shift_of_f_shifts_b():
    """R[f(· − c)](a, b) = R[f](a, b − a·c)."""
    rng = np.random.default_rng(5)
    x, f, c = rng.normal(size=(40, 2)), rng.normal(size=40), np.array([0.3, -2.0])
    a, b, w = rng.normal(size=(30, 2)), rng.normal(size=30), np.ones(40)
    one = monte_carlo_transform(f, x, units=(a, b - a @ c, np.ones(30)), weights=w)
    moved = monte_carlo_transform(f, x + c, units=(a, b, np.ones(30)), weights=w)
    torch.testing.assert_close(one.coefficients, moved.coefficients, rtol=0, atol=1e-11)


def test_channels_are_transformed_side_by_side():
    f = np.stack([bell(LINE), LINE * bell(LINE)], 1)
    both = transform(f, LINE, extent=(8.0, 60.0), grid=(60, 120))
    x = np.array([-1.0, 0.0, 0.5])
    back = both.reconstruct(x)
    assert back.shape == (3, 2)
    for channel in range(2):
        one = transform(f[:, channel], LINE, extent=(8.0, 60.0), grid=(60, 120))
        torch.testing.assert_close(one.coefficients[..., 0], both.coefficients[..., channel], rtol=0, atol=1e-13)
        np.testing.assert_allclose(one.reconstruct(x), back[:, channel], atol=1e-12)


def test_drawn_nodes_agree_within_their_standard_error():
    x = np.array([0.0, 0.7, 2.0])
    grid = transform(bell(LINE), LINE, extent=(4.0, 40.0), grid=(100, 300)).reconstruct(x)
    drawn = [monte_carlo_transform(bell(LINE), LINE, units=2000, extent=(4.0, 40.0), seed=seed) for seed in range(16)]
    found = np.stack([spectrum.reconstruct(x) for spectrum in drawn])
    error = found.std(0, ddof=1) / np.sqrt(16)
    assert (np.abs(found.mean(0) - grid) < 4 * error).all()
    # and the error itself is that of 2000 independent terms
    terms = (
        drawn[0].coefficients[:, 0, 0] * drawn[0].weights[:, 0] * torch.tanh(-drawn[0].offsets[:, 0])
    ).numpy() / Pair().constant(1)
    assert found[:, 0].std(ddof=1) == pytest.approx(terms.std() * np.sqrt(2000), rel=0.5)


def test_points_drawn_from_a_density_need_only_its_weights():
    rng = np.random.default_rng(0)
    x = 1.5 * rng.normal(size=(20_000, 2))
    f = bell(x)
    w = 2 * np.pi * 2.25 * np.exp((x**2).sum(1) / 4.5) / len(x)
    spectrum = transform(f, x, weights=w, extent=(3.0, 24.0), grid=(50, 80), directions=30)
    # a Monte Carlo integral of 20,000 points
    assert spectrum.reconstruct([[0.0, 0.0]])[0] == pytest.approx(0.94, abs=0.05)


def test_weights_of_grids_and_lines():
    x = box(5, 1.0, 2)
    order = np.random.default_rng(0).permutation(25)
    volumes = cell_volumes(torch.from_numpy(x[order])).numpy()
    assert volumes.sum() == pytest.approx(4)
    assert set(np.round(volumes, 12)) == {0.0625, 0.125, 0.25}
    assert volumes[order.argsort()][0] == 0.0625
    torch.testing.assert_close(cell_volumes(torch.tensor([[3.0], [1.0], [0.0]])), torch.tensor([1.0, 1.5, 0.5]))


@pytest.mark.parametrize("dimension, directions", [(1, 1), (2, 9), (3, 36), (3, 50)])
def test_directions_integrate_over_the_sphere(dimension, directions):
    u, share = half_sphere(dimension, directions)
    area = {1: 1.0, 2: np.pi, 3: 2 * np.pi}[dimension]
    assert float(share.sum()) == pytest.approx(area)
    torch.testing.assert_close(u.norm(dim=1), torch.ones(len(u), dtype=torch.float64))
    second = torch.einsum("j,ja,jb->ab", share, u, u)
    torch.testing.assert_close(second, torch.eye(dimension, dtype=torch.float64) * area / dimension)
    assert len(u) >= directions and float((u @ u.T + 1).abs().min()) > 1e-6 if dimension > 1 else True
    radii, part = signed_radii(dimension, 2.0, 10)
    ball = {1: 4.0, 2: 4 * np.pi, 3: 32 * np.pi / 3}[dimension]
    assert float(part.sum() * share.sum()) == pytest.approx(ball)
    torch.testing.assert_close(radii, -radii.flip(0))


def test_spreading_is_exact_for_polynomials_and_near_for_what_is_smooth():
    rng = np.random.default_rng(1)
    z, v = torch.from_numpy(rng.uniform(-3, 3, 40)), torch.from_numpy(rng.normal(size=(2, 40)))
    grid = regular(3.0)
    onto = spread(v, z, grid)
    for power in range(8):
        torch.testing.assert_close(onto @ grid**power, v @ z**power, rtol=1e-8, atol=1e-8)
    start, weights = lagrange(torch.tensor([0.0, 3.0]).double(), float(grid[0]), STEP)
    assert (start >= 0).all() and (start + 8 <= len(grid)).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["numpy32", "torch", "dataarray", "list"])
def test_answers_come_in_the_kind_of_the_points(kind):
    spectrum = transform(bell(LINE), LINE, grid=(40, 60))
    x = {
        "numpy32": np.zeros(4, np.float32),
        "torch": torch.zeros(4, 1, dtype=torch.float32),
        "list": [0.0] * 4,
        "dataarray": xr.DataArray(np.zeros(4), dims="sample", coords={"sample": list("abcd")}),
    }[kind]
    found = spectrum.reconstruct(x)
    assert tuple(found.shape) == (4,)
    if kind == "torch":
        assert found.dtype == torch.float32
    elif kind == "dataarray":
        assert found.dims == ("sample",) and list(found.sample.values) == list("abcd")
    else:
        assert found.dtype == (np.float32 if kind == "numpy32" else np.float64)


def test_the_dataset_says_what_it_holds():
    x = box(9, 2.0, 2)
    spectrum = transform(bell(x), x, pair=Pair("relu"), grid=(6, 7), directions=5)
    found = spectrum.to_dataset()
    assert dict(found.coefficient.sizes) == {"direction": 5, "radius": 6, "offset": 7, "channel": 1}
    assert found.coefficient.attrs["units"] == "f·x²" and found.attrs["activation"] == "relu"
    assert found.attrs["constant"] == pytest.approx(Pair("relu").constant(2))
    a = found.radius * found.direction_vector
    np.testing.assert_allclose(
        a.transpose("direction", "radius", "feature").values.reshape(-1, 2), spectrum.hidden.numpy(), atol=1e-12
    )
    drawn = monte_carlo_transform(bell(x), x, units=11).to_dataset()
    assert drawn.coefficient.dims == ("node", "channel") and drawn.hidden.shape == (11, 2)


def test_moving_to_a_device_keeps_the_answer():
    spectrum = transform(bell(LINE), LINE, grid=(20, 30))
    np.testing.assert_array_equal(spectrum.to("cpu").reconstruct([0.3]), spectrum.reconstruct([0.3]))


@pytest.mark.gpu
def test_on_a_gpu_it_is_the_same():
    x = box(25, 4.0, 2)
    there = transform(torch.from_numpy(bell(x)).cuda(), torch.from_numpy(x).cuda(), grid=(20, 30))
    here = transform(bell(x), x, grid=(20, 30))
    assert there.coefficients.is_cuda
    torch.testing.assert_close(there.coefficients.cpu(), here.coefficients, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"values": np.ones(7)}, r"values: found shape \(7,\), expected \(301,\)"),
        ({"values": np.ones((301, 2, 2))}, "values: found shape"),
        ({"values": np.full(301, np.nan)}, "values: found 301 values"),
        ({"values": np.zeros(301)}, "values: found 0 everywhere"),
        ({"points": LINE[::-1][np.r_[1, 0, 2:301]]}, r"weights: found None, for 301 points on a line.*1/\(n p\(x\)\)"),
        ({"points": np.random.default_rng(0).normal(size=(301, 2))}, "not a full grid, expected every combination"),
        ({"points": np.zeros((301, 4)), "weights": np.ones(301)}, "points: found 4 dimensions"),
        ({"points": np.zeros((7, 43, 1)), "weights": np.ones(301)}, "points: found shape"),
        ({"weights": np.ones(3)}, r"weights: found shape \(3,\)"),
        ({"extent": (1.0,)}, "extent: found"),
        ({"extent": (1.0, -2.0)}, "extent: found -2.0"),
        ({"grid": (11, 20)}, "grid: found .*an even number"),
        ({"grid": 20}, "grid: found 20"),
        ({"directions": 0}, "directions: found 0"),
        ({"points": LINE * 1e7, "extent": (1.0, 5.0)}, "extent: found"),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        transform(**{"values": bell(LINE), "points": LINE, **change})


def test_other_refusals():
    spectrum = transform(bell(LINE), LINE, grid=(10, 10))
    with pytest.raises(InputError, match="points: found shape"):
        spectrum.reconstruct(np.zeros((3, 2)))
    with pytest.raises(InputError, match="units: found 2 arrays"):
        monte_carlo_transform(bell(LINE), LINE, units=(LINE, LINE))
    with pytest.raises(InputError, match="units: found a, b and weights of shapes"):
        monte_carlo_transform(bell(LINE), LINE, units=(LINE, LINE, LINE[:2]))
    with pytest.raises(InputError, match="units: found 0"):
        monte_carlo_transform(bell(LINE), LINE, units=0)
    assert fp.ridgelet.transform is transform
