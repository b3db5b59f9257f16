"""Two denoisers in the plane, side by side."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


def field(shift=0.3, features=2):
    axis = np.linspace(-1, 1, 25)
    density = np.exp(-4 * (axis[:, None] ** 2 + axis**2))
    optimal = np.zeros((25, 25, features)) + 0.5
    return xr.Dataset(
        {
            "density": (("x", "y"), density),
            "optimal": (("x", "y", "feature"), optimal),
            "learned": (("x", "y", "feature"), optimal + np.eye(1, features)[0] * shift),
        },
        {"x": axis, "y": axis},
        {"displacement": 0.6},
    )


def test_what_is_on_it():
    figure = fp.plot.denoiser_fields({"one": field(), "two": field(0.0)}, "A title")
    assert figure.layout.title.text == "A title"
    assert [note.text for note in figure.layout.annotations] == [
        "one: displacements",
        "one: their distance",
        "two: displacements",
        "two: their distance",
    ]
    density, optimal, learned, distance = figure.data[:4]
    assert (optimal.name, learned.name) == ("optimal", "learned")
    np.testing.assert_allclose(density.z, np.log10(field().density.values.T), rtol=1e-4)
    shown = distance.z[~np.isnan(distance.z)]
    np.testing.assert_allclose(shown, 0.5, rtol=1e-5)  # 0.3 over 0.6
    assert np.isnan(distance.z).any()  # where there is next to nothing
    assert np.nanmax(figure.data[7].z) == 0
    # arrows begin on the grid, both kinds at the same places and at one scale
    steps = [trace.x[1::6] - trace.x[::6] for trace in (optimal, learned)]
    np.testing.assert_array_equal(optimal.x[::6], learned.x[::6])
    np.testing.assert_allclose(steps[1] / steps[0], 0.8 / 0.5, rtol=1e-4)


def test_one_dataset_has_no_row_title():
    figure = fp.plot.denoiser_fields(field())
    assert [note.text for note in figure.layout.annotations] == ["displacements", "their distance"]


def test_what_is_refused():
    with pytest.raises(InputError, match=r"dataset: .*the experiment learned-dae"):
        fp.plot.denoiser_fields(field().drop_vars("learned"))
    with pytest.raises(InputError, match=r"dataset: found 1 dimensions"):
        fp.plot.denoiser_fields(field(features=1))
    with pytest.raises(InputError, match="the attribute displacement"):
        fp.plot.denoiser_fields(field().assign_attrs(displacement=1).drop_attrs())
