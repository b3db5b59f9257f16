"""What goes wrong is said in one line, and what did not come back is known."""

import numpy as np
import pytest
import torch
import xarray as xr

from flowplane.errors import InputError
from flowplane.ridgelet import Pair, WideLimit, finite_network, least_squares_network, transform

LINE = np.linspace(-6, 6, 400)
BELL = np.exp(-(LINE**2) / 2)


def test_the_error_is_that_of_the_reconstruction():
    spectrum = transform(BELL, LINE, extent=(1.0, 30.0))
    chosen = np.linspace(0, 399, 64).round().astype(int)
    gap = spectrum.reconstruct(LINE[chosen]) - BELL[chosen]
    assert spectrum.error == pytest.approx(np.sqrt(np.square(gap).mean() / np.square(BELL[chosen]).mean()), rel=1e-6)
    assert spectrum.error > 0.1


def test_the_default_extent_follows_what_f_and_its_points_allow():
    x = np.linspace(-1, 1, 2000)
    once, thrice = (transform(np.sin(2 * np.pi * n * x), x) for n in (1, 3))
    assert once.error < 0.02 and thrice.error < 0.05
    assert thrice.extent[0] > transform(BELL, LINE).extent[0]
    few = np.linspace(-6, 6, 40)
    coarse = transform(np.exp(-(few**2) / 2), few)
    # points 0.3 apart cannot carry |a| up to 10
    assert coarse.extent[0] < 10 and coarse.error < 0.02


def test_what_cannot_come_back_is_known():
    x = np.linspace(-1, 1, 4000)
    assert transform(np.sin(20 * np.pi * x), x).error > 0.2


def test_a_finite_network_answers_in_kind():
    network = finite_network(transform(BELL, LINE), 50)
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
    expected = network(x).detach().numpy()
    assert expected.shape == (5,) and network(x).requires_grad
    np.testing.assert_allclose(network(x.numpy()), expected)
    np.testing.assert_allclose(network(xr.DataArray(x.numpy(), dims=("point", "feature"))).values, expected)
    assert network(x.float().numpy()).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transform(BELL, LINE, pair="tanh"), r"pair: found 'tanh', expected fp.ridgelet.Pair\('tanh'\)"),
        (lambda: transform(BELL, LINE, pair=3), "pair: found 3"),
        (lambda: Pair("tanh", 33), "order: found 33, expected 12 at most"),
        (lambda: Pair(["tanh"]), "activation: found"),
        (lambda: finite_network(None, 10), "spectrum: found NoneType"),
        (lambda: finite_network(transform(BELL, LINE), 10)(np.zeros((3, 2))), r"x: found shape \(3, 2\)"),
        (lambda: least_squares_network(transform(BELL, LINE), BELL, points=LINE, units=10, ridge=True), "ridge: found True"),
        (lambda: WideLimit(lambda x: -x, points=np.zeros((3, 1)), time=1.0), "field: found a function that fails"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_field_that_works_in_place_changes_nobodys_points():
    points = np.random.default_rng(0).uniform(-1, 1, (50, 1))
    kept = points.copy()
    WideLimit(lambda t, x: x.neg_(), points=points, time=0.5, pair=Pair("gaussian"), extent=2.0)
    np.testing.assert_array_equal(points, kept)
