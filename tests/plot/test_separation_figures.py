"""Figures of features by depth: an axis a unit, the raw data and the limit beside the depths."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError

UNITS = dict.fromkeys(("probe", "neighbours", "fisher", "distances"), "1") | {"information": "bits"}


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    shape = ("data", "split", "depth")
    columns = {name: (shape, rng.random((2, 3, 4)), {"units": unit}) for name, unit in UNITS.items()}
    columns["truth"] = ("data", [np.nan, 0.5], {"units": "bits"})
    columns["information_valid"] = (shape, np.ones((2, 3, 4)))
    dataset = xr.Dataset(columns, {"data": ["digits", "moons"], "depth": [0.0, 1.0, 2.0, np.inf]})
    dataset["probe"][0, :, 2] = np.nan  # digits have no depth 2
    dataset["information_valid"][1, 0, 3] = 0
    return dataset


def curves(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_every_measure_has_a_curve_in_every_row(found):
    figure = fp.plot.separation_curves(found, title="Apart")
    assert figure.layout.title.text == "Apart"
    first, second = curves(figure, "linear probe")
    np.testing.assert_allclose(first.y, found.probe[0].mean("split").values[[1, 3]])
    np.testing.assert_allclose(second.y, found.probe[1].mean("split").values[1:])
    assert first.x[-1] == second.x[-1] == 6.0 and second.error_y.array[0] == 0  # of the difference from L = 1
    assert figure.layout.xaxis.ticktext == ("1", "2", "∞")
    titles = [figure.layout[f"yaxis{k}"].title.text for k in ("", "2", "3")]
    assert titles[0].startswith("accuracy") and titles[2] == "I(T;Y) [bits]"
    dotted = [trace for trace in figure.data if trace.line.dash == "dot"]
    assert len(dotted) == 2 * 5 and dotted[0].y[0] == pytest.approx(float(found.probe[0, :, 0].mean()))
    assert [list(trace.y) for trace in figure.data if trace.line.dash == "dash"] == [[0.5, 0.5]]


def test_flagged_values_are_hollow(found):
    figure = fp.plot.separation_curves(found)
    bits = curves(figure, "I(T;Y)")
    assert "white" not in bits[0].marker.color
    assert [color == "white" for color in bits[1].marker.color] == [False, False, True]


def test_what_is_refused(found):
    with pytest.raises(InputError, match="information: found units 'nats'"):
        fp.plot.separation_curves(found.assign(information=found.information.assign_attrs(units="nats")))
    with pytest.raises(InputError, match="dataset: found probe over"):
        fp.plot.separation_curves(found.isel(data=0))
    with pytest.raises(InputError, match="fisher"):
        fp.plot.separation_curves(found.drop_vars("fisher"))


def test_particles_keep_their_colours_and_share_axes():
    points = np.random.default_rng(0).normal(size=(3, 20, 2))
    labels = np.arange(20) % 2
    coords = {"panel": ["raw", "L = 1", "continuous"], "label": ("sample", labels)}
    given = xr.Dataset({"position": (("panel", "sample", "feature"), points)}, coords)
    figure = fp.plot.class_particles(given)
    assert len(figure.data) == 6 and sum(trace.showlegend for trace in figure.data) == 2
    np.testing.assert_array_equal(figure.data[3].x, points[1, labels == 1, 0])
    assert figure.data[0].marker.color == figure.data[2].marker.color != figure.data[1].marker.color
    assert figure.layout.xaxis.range == figure.layout.xaxis3.range
    low, high = figure.layout.yaxis.range
    assert low < points[..., 1].min() and points[..., 1].max() < high
    with pytest.raises(InputError, match="dataset: found ndarray"):
        fp.plot.class_particles(points)
    with pytest.raises(InputError, match="without label"):
        fp.plot.class_particles(given.drop_vars("label"))
    with pytest.raises(InputError, match="two features"):
        fp.plot.class_particles(given.isel(feature=[0]))
