"""The figure of ridgelet coefficients."""

import numpy as np
import pytest
import torch
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError
from flowplane.ridgelet import finite_network, monte_carlo_transform, transform, units_of

LINE = np.linspace(-4, 4, 101)
BELL = np.exp(-(LINE**2) / 2)


def plane(values):
    axis = np.linspace(-3, 3, 13)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return transform(values(x), x, extent=(2.5, 12.0), grid=(12, 15), directions=6).to_dataset()


TURNED = plane(lambda x: np.exp(-(x**2).sum(1)))
TWO = plane(lambda x: np.stack([np.exp(-(x**2).sum(1)), x[:, 0] * np.exp(-(x**2).sum(1))], 1))


def test_a_line_has_sign_and_dots():
    spectrum = transform(BELL, LINE, grid=(20, 30))
    units = units_of(finite_network(spectrum, 40))
    figure = fp.plot.ridgelet_spectrum(spectrum.to_dataset(), units, window=(1.0, 2.0))
    heat, dots = figure.data
    colors = figure.layout.coloraxis
    assert colors.cmin == -colors.cmax and colors.cmax == pytest.approx(float(spectrum.coefficients.abs().max()))
    np.testing.assert_allclose(heat.z, spectrum.coefficients[:, :, 0].T, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(dots.x, units.hidden[:, 0])
    outside = int(((units.hidden[:, 0].abs() > 1) | (units.offsets.abs() > 2)).sum())
    assert f"{outside} beyond the edges" in figure.layout.title.subtitle.text
    assert figure.layout.xaxis.range == (-1.0, 1.0) and "[f·x]" in colors.colorbar.title.text
    closer = fp.plot.ridgelet_spectrum(spectrum.to_dataset()).layout.yaxis.range[1]
    assert closer < spectrum.extent[1]


def test_the_plane_is_reduced_over_directions():
    figure = fp.plot.ridgelet_spectrum(TURNED)
    heat = figure.data[0]
    colors = figure.layout.coloraxis
    assert colors.cmin == 0 and min(heat.x) > 0 and figure.layout.xaxis.title.text == "|a| [1/x]"
    # f turns into itself: every direction is the mean
    expected = TURNED.coefficient.isel(direction=0, channel=0).sel(radius=TURNED.radius > 0)
    np.testing.assert_allclose(heat.z, np.abs(expected.T), atol=0.03 * colors.cmax)
    one = fp.plot.ridgelet_spectrum(TURNED, direction=2)
    assert one.layout.coloraxis.cmin < 0 and min(one.data[0].x) < 0
    units = (torch.ones(3, 2), torch.zeros(3), torch.ones(3))
    np.testing.assert_allclose(fp.plot.ridgelet_spectrum(TURNED, units).data[1].x, np.sqrt(2), rtol=1e-6)


def test_channels_are_chosen_or_their_norm_is_drawn():
    norm = fp.plot.ridgelet_spectrum(TWO, direction=1).data[0]
    np.testing.assert_allclose(norm.z, np.linalg.norm(TWO.coefficient[1], axis=-1).T, rtol=1e-5, atol=1e-5)
    assert fp.plot.ridgelet_spectrum(TWO, direction=1, channel=1).layout.coloraxis.cmin < 0
    assert fp.plot.ridgelet_spectrum(TWO).layout.coloraxis.cmin == 0


def test_what_is_refused():
    drawn = monte_carlo_transform(BELL, LINE, units=5).to_dataset()
    line = transform(BELL, LINE, grid=(4, 4)).to_dataset()
    for spectrum, message in (
        (xr.Dataset(), "dataset: found a Dataset without coefficient"),
        (drawn, "dataset: found nodes that were drawn"),
    ):
        with pytest.raises(InputError, match=message):
            fp.plot.ridgelet_spectrum(spectrum)
    units = (np.zeros((2, 2)), np.zeros(2), np.ones(2))
    for spectrum, arguments, message in (
        (TURNED, {"direction": 6}, "direction: found 6, expected 0 to 5"),
        (TWO, {"channel": 2}, "channel: found 2"),
        (TURNED, {"units": units, "direction": 1}, "units: found units, and direction"),
        (line, {"units": units}, "units: found shapes"),
        (line, {"units": units[:2]}, "units: found tuple"),
        (line, {"window": (1.0,)}, "window: found"),
    ):
        with pytest.raises(InputError, match=message):
            fp.plot.ridgelet_spectrum(spectrum, **arguments)
