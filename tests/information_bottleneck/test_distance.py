"""What distances to the curve must satisfy."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.bottleneck.curve import ib_curve
from flowplane.bottleneck.distance import curve_distance, curve_line
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def joint():
    return fp.tasks.spherical_rule(information=0.99).joint


@pytest.fixture(scope="module")
def curve(joint):
    return ib_curve(joint)


def symmetric_curve(betas, error=0.1):
    """The curve of a fair bit through a binary symmetric channel: T = X through another one, I(X;T) = 1 − h(e)."""
    flips = np.array([0.5 if b * (1 - 2 * error) ** 2 <= 1 else _flip(b, error) for b in betas])
    return 1 - _h(flips), 1 - _h(flips + error - 2 * flips * error)


def _h(p):
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


def _flip(beta, error):
    """Where the slope dI(T;Y)/dI(X;T) is 1/β: bisection."""
    low, high = 1e-12, 0.5 - 1e-12
    for _ in range(200):
        e = (low + high) / 2
        both = e + error - 2 * e * error
        slope = (1 - 2 * error) * np.log(both / (1 - both)) / np.log(e / (1 - e))
        low, high = (e, high) if slope < 1 / beta else (low, e)
    return (low + high) / 2


def test_exact_where_the_curve_is_known():
    joint = [[0.45, 0.05], [0.05, 0.45]]
    betas = np.geomspace(1.3, 60, 60)
    x, y = symmetric_curve(betas)
    curve = xr.Dataset({"i_xt": ("beta", x), "i_ty": ("beta", y)}, {"beta": betas})
    dense_x, dense_y = symmetric_curve(np.geomspace(1.6, 5000, 997))
    line = curve_line(curve, joint)
    assert np.abs(line.information(dense_x) - dense_y).max() < 2e-5
    assert np.abs(line.compression(dense_y) - dense_x).max() < 1e-3
    inner = (dense_x > 0.4) & (dense_x < x.max())
    assert np.abs(line.information(dense_x) - dense_y)[inner].max() < 5e-6


def test_between_the_betas_of_the_reference_task(joint, curve):
    betas = np.sort(curve.beta.values)
    assert len(betas) == 100
    between = ib_curve(joint, np.concatenate([betas[:-1] ** f * betas[1:] ** (1 - f) for f in (0.2, 0.5, 0.8)]))
    down, _ = curve_distance(between.i_xt, between.i_ty, curve, joint)
    assert np.abs(down).max() < 1e-4


def test_concave_increasing_and_within_its_bounds(joint, curve):
    line = curve_line(curve, joint)
    x = np.linspace(0, 12, 5001)
    y = line.information(x)
    assert (np.diff(y) >= 0).all() and y[0] == 0
    assert y[-1] == pytest.approx(0.99, abs=1e-9)
    assert (y <= x + 1e-12).all()
    # nowhere below a chord, nowhere above a tangent
    for beta, at, value in zip(curve.beta.values, curve.i_xt.values, curve.i_ty.values, strict=True):
        assert (y <= value + (x - at) / beta + 1e-8).all()
    order = np.argsort(curve.i_xt.values)
    chords = np.interp(x, curve.i_xt.values[order], curve.i_ty.values[order])
    inside = x <= curve.i_xt.values.max()
    assert (y >= chords - 1e-9)[inside].all()


def test_the_two_directions_invert_each_other(joint, curve):
    line = curve_line(curve, joint)
    y = np.linspace(0, 0.98, 200)
    np.testing.assert_allclose(line.information(line.compression(y)), y, atol=1e-9)


def test_points_of_the_curve_have_no_distance_and_the_ends_are_in(joint, curve):
    down, _ = curve_distance(curve.i_xt, curve.i_ty, curve, joint)
    assert np.abs(down).max() < 1e-9
    ends_down, ends_right = curve_distance([0.0, 12.0, 12.0], [0.0, 0.99, 0.5], curve, joint)
    np.testing.assert_allclose(ends_down, [0, 0, 0.49], atol=1e-9)
    entropy = 5.347023129796223  # of the 53 states
    assert ends_right[0] == 0 and ends_right[1] >= 12 - entropy - 1e-9
    assert ends_right[2] > ends_right[1]


def test_the_order_of_betas_does_not_matter(joint, curve):
    mixed = curve.isel(beta=np.random.default_rng(0).permutation(100))
    for one, other in zip(*(curve_distance([0.5, 2.0], [0.4, 0.9], c, joint) for c in (curve, mixed)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_information_is_a_level_line():
    joint = np.full((2, 2), 0.25)
    curve = xr.Dataset({"i_xt": ("beta", [0.0]), "i_ty": ("beta", [0.0])}, {"beta": [2.0]})
    down, right = curve_distance([0.0, 0.7], [0.0, 0.0], curve, joint)
    np.testing.assert_allclose(down, 0)
    np.testing.assert_allclose(right, [0.0, 0.7], atol=1e-12)


@pytest.mark.parametrize(
    "wrong", [None, xr.Dataset({"i_xt": ("beta", [0.0])}, {"beta": [2.0]}), xr.Dataset({"i_ty": ("beta", [0.0])})]
)
def test_bad_curves_are_named(wrong, joint):
    with pytest.raises(InputError, match="curve"):
        curve_distance([0.0], [0.0], wrong, joint)
