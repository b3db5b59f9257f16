"""The verdict on A-9, from errors made to deserve it."""

import numpy as np
import pytest

from flowplane.experiments.ridgelet import double_limit
from flowplane.experiments.ridgelet.scaling import scaling_errors, scaling_law

DEPTHS, WIDTHS = (2, 4, 8, 16, 32), (128, 512, 2048, 8192)


def made(p, q, r, draws=20, spread=0.05, field_error=0.001, displacement=9.0):
    """Errors over (units, draw, layers, width) that go like (0.5 L^−p)² + (3 N^−q L^−r)², r for shared units and for own."""
    rng = np.random.default_rng(0)
    L, N = np.array(DEPTHS)[:, None], np.array(WIDTHS)
    apart = np.stack([3.0 * N**-q * L ** -float(each) for each in r])[:, None] * np.exp(
        spread * rng.normal(size=(2, draws, len(DEPTHS), len(WIDTHS)))
    )
    times = 0.5 * np.array(DEPTHS) ** -float(p)
    error = np.sqrt(times[:, None] ** 2 + apart**2)
    return scaling_errors(error, apart, times, double_limit.KINDS, DEPTHS, WIDTHS, displacement, field_error)


def claim(whole):
    fits = {("line", kind): scaling_law(whole.sel(units=kind), 0) for kind in double_limit.KINDS}
    return double_limit._main(fits, whole)


def test_exponents_of_a_surface_are_found_with_intervals():
    fit = scaling_law(made(1.0, 0.5, (0.0, 0.5)).sel(units="own"), 0)
    np.testing.assert_allclose(fit["exponent"], [1.0, 0.5, 0.5], atol=0.02)
    assert (fit["lower"] < fit["exponent"]).all() and (fit["exponent"] < fit["upper"]).all()
    assert fit.attrs["misfit"] < 0.05


def test_places_where_the_network_is_no_approximation_are_left_out():
    fit = scaling_law(made(1.0, 0.5, (0.0, 0.5), displacement=0.1).sel(units="shared"), 0)
    assert 0 < int(fit["places"]) < len(DEPTHS) * len(WIDTHS)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({}, "reproduced"),
        ({"q": 0.25}, "contradicted"),
        ({"p": 0.5}, "contradicted"),
        ({"r": (0.5, 0.5)}, "contradicted"),
        ({"r": (0.0, 0.0)}, "contradicted"),
        ({"draws": 3, "spread": 1.5}, "inconclusive"),
        ({"field_error": 0.1}, "inconclusive"),
    ],
)
def test_verdicts(given, verdict):
    whole = made(**{"p": 1.0, "q": 0.5, "r": (0.0, 0.5)} | given)
    assert claim(whole).verdict == verdict


def test_slopes_by_draw():
    whole = made(1.0, 0.5, (0.0, 0.5), spread=0.0).expand_dims(case=["line"])
    for kind, dim, wanted in (("shared", "width", -0.5), ("own", "layers", -0.5), ("shared", "layers", 0.0)):
        slopes = double_limit._slopes(whole["sampling_error"].sel(units=kind), dim)
        np.testing.assert_allclose(slopes, wanted, atol=1e-9)
