"""What the Gaussian information bottleneck must satisfy."""

import numpy as np
import pytest
import torch
from oracles_encoder import linear_optimum

from flowplane.bottleneck.gaussian import gaussian_ib
from flowplane.errors import InputError


def covariances(x, y, seed=0):
    """Of some joint distribution."""
    mixing = np.random.default_rng(seed).normal(size=(x + y, x + y))
    whole = mixing @ mixing.T + 0.3 * np.eye(x + y)
    return whole[:x, :x], whole[x:, x:], whole[:x, x:]


def test_numbers_with_correlation_rho():
    rho, betas = 0.7, np.array([1.5, 2.5, 9.0])
    curve = gaussian_ib(4.0, 0.25, rho, betas)
    noise = 1 - rho**2  # λ
    np.testing.assert_allclose(curve.critical_betas, [1 / rho**2])
    expected = np.where(betas > 1 / rho**2, 0.5 * np.log2(np.maximum((betas - 1) * rho**2 / noise, 1)), 0)
    np.testing.assert_allclose(curve.i_xt, expected, atol=1e-14)
    np.testing.assert_allclose(curve.i_ty, -0.5 * np.log2(1 - rho**2 + rho**2 * 4.0**-expected), atol=1e-14)


@pytest.mark.parametrize("beta", [1.3, 3.0, 12.0])
def test_no_linear_map_does_better(beta):
    of_x, of_y, cross = covariances(3, 2, seed=1)
    curve = gaussian_ib(of_x, of_y, cross, [beta])
    np.testing.assert_allclose([curve.i_xt[0], curve.i_ty[0]], linear_optimum(of_x, of_y, cross, beta), atol=2e-6)


def test_its_own_map_attains_the_curve():
    of_x, of_y, cross = covariances(4, 3, seed=2)
    curve = gaussian_ib(of_x, of_y, cross)
    given_y = of_x - cross @ np.linalg.solve(of_y, cross.T)
    for k in range(0, 100, 7):
        a = curve.gain.values[k][:, None] * curve.direction.values
        whole, rest = (np.linalg.slogdet(a @ c @ a.T + np.eye(4))[1] / 2 / np.log(2) for c in (of_x, given_y))
        np.testing.assert_allclose([whole, whole - rest], [curve.i_xt[k], curve.i_ty[k]], atol=1e-10)


def test_the_curve_ends_at_the_whole_information():
    of_x, of_y, cross = covariances(3, 5, seed=3)
    whole = np.block([[of_x, cross], [cross.T, of_y]])
    logs = [np.linalg.slogdet(part)[1] for part in (of_x, of_y, whole)]
    information = (logs[0] + logs[1] - logs[2]) / 2 / np.log(2)
    curve = gaussian_ib(of_x, of_y, cross, [1e12])
    assert curve.attrs["information"] == pytest.approx(information, abs=1e-12)
    assert float(curve.i_ty[0]) == pytest.approx(information, abs=1e-10)


def test_concave_with_slope_one_over_beta():
    betas = np.geomspace(1.01, 300, 4001)
    curve = gaussian_ib(*covariances(4, 4, seed=4), betas)
    x, y = curve.i_xt.values, curve.i_ty.values
    opened = x[:-1] > 0
    slopes = (np.diff(y) / np.where(np.diff(x) > 0, np.diff(x), 1))[opened]
    assert (np.diff(slopes) < 0).all()
    # between two β the chord's slope lies between 1/β of its ends
    assert (slopes <= (1 / betas[:-1])[opened] + 1e-9).all() and (slopes >= (1 / betas[1:])[opened] - 1e-9).all()


def test_directions_open_at_their_critical_betas():
    curve = gaussian_ib(*covariances(4, 2, seed=5))
    critical = curve.critical_betas.values
    assert (np.diff(critical[:2]) > 0).all() and np.isinf(critical[2:]).all()
    assert np.array_equal(curve.gain.values > 0, curve.beta.values[:, None] > critical)
    assert np.array_equal(curve.i_xt.values > 0, curve.beta.values > critical[0])


def test_the_order_of_betas_and_the_kind_of_arrays_do_not_matter():
    given = covariances(3, 3)
    up, down = (gaussian_ib(*given, betas) for betas in ([2.0, 5.0, 20.0], [20.0, 5.0, 2.0]))
    np.testing.assert_array_equal(up.i_xt, down.i_xt[::-1])
    np.testing.assert_array_equal(down.beta, [20.0, 5.0, 2.0])
    tensors = gaussian_ib(*(torch.tensor(part) for part in given), torch.tensor([2.0, 5.0, 20.0]))
    np.testing.assert_array_equal(up.i_ty, tensors.i_ty)


def test_invariant_under_linear_maps_of_x_and_y():
    of_x, of_y, cross = covariances(3, 2, seed=6)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(2, 2))
    moved = gaussian_ib(a @ of_x @ a.T, b @ of_y @ b.T, a @ cross @ b.T, [1.5, 4.0, 40.0])
    still = gaussian_ib(of_x, of_y, cross, [1.5, 4.0, 40.0])
    np.testing.assert_allclose(moved.i_xt, still.i_xt, atol=1e-9)
    np.testing.assert_allclose(moved.critical_betas[:2], still.critical_betas[:2], rtol=1e-9)


def test_no_information_at_all():
    curve = gaussian_ib(np.eye(2), 1.0, np.zeros((2, 1)))
    assert np.isinf(curve.critical_betas).all() and not curve.i_xt.any() and curve.attrs["information"] == 0


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        (([[1.0, 0.5], [0.0, 1.0]], 1.0, [[0.1], [0.1]]), "covariance_x"),
        (([[1.0, 2.0], [2.0, 1.0]], 1.0, [[0.1], [0.1]]), "covariance_x"),
        ((np.eye(2), -1.0, [[0.1], [0.1]]), "covariance_y"),
        ((np.eye(3), 1.0, [[0.1], [0.1]]), "covariance_x"),
        ((np.eye(2), 1.0, [0.1, 0.1]), "covariance_xy"),
        ((np.eye(2), 1.0, [[0.9], [0.9]]), "covariance_xy"),
        ((1.0, 1.0, 1.0), "covariance_xy"),
        ((1.0, 1.0, np.nan), "covariance_xy"),
        ((1.0, 1.0, 0.5, [0.0]), "betas"),
    ],
)
def test_bad_input_is_named(given, argument):
    with pytest.raises(InputError) as raised:
        gaussian_ib(*given)
    assert raised.value.argument == argument
