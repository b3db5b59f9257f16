"""Heat maps of errors over depth and width."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


def surfaces():
    dims = ("case", "units", "draw", "layers", "width")
    values = np.arange(1.0, 1 + 2 * 2 * 3 * 2 * 3).reshape(2, 2, 3, 2, 3)
    coords = {"case": ["line", "plane"], "units": ["shared", "own"], "layers": [1, 2], "width": [10, 100, 1000]}
    return xr.Dataset({"error": (dims, values, {"units": "units of x"}), "displacement": ("case", [2.0, 4.0])}, coords)


def test_a_panel_a_case_and_kind_in_parts_of_the_displacement():
    figure = fp.plot.error_surface(surfaces())
    assert len(figure.data) == 4
    assert [note.text for note in figure.layout.annotations] == [
        "line: shared units",
        "plane: shared units",
        "line: own units",
        "plane: own units",
    ]
    part = surfaces()["error"].sel(case="plane", units="own").values
    np.testing.assert_allclose(10 ** figure.data[3].z, np.sqrt((part**2).mean(0)) / 4)
    assert figure.layout.xaxis3.title.text == "units per layer, N" and figure.layout.yaxis.title.text == "layers L"


def test_what_is_refused():
    with pytest.raises(InputError, match="dataset: found"):
        fp.plot.error_surface(surfaces().drop_vars("displacement"))
    with pytest.raises(InputError, match="dataset: found DataArray"):
        fp.plot.error_surface(surfaces()["error"])
    with pytest.raises(InputError, match="dataset: found"):
        fp.plot.error_surface(surfaces().isel(case=0))
