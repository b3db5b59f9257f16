"""A new figure is one file: standing in `flowplane.plot.figures` it draws its result, and nothing else changes."""

import pytest
import xarray as xr

import flowplane as fp
from flowplane.core.results import RESULTS, stamp
from flowplane.errors import InputError
from flowplane.plot import figures
from flowplane.plot.registry import registered

FILE = '''
"""Weather by the hour."""

import plotly.graph_objects as go
import xarray as xr

from flowplane.plot.registry import draws
from flowplane.plot.style import axis_title, require_variables, styled

__all__ = ["weather"]


@draws("weather")
def weather(dataset: xr.Dataset, title: str = "Weather") -> go.Figure:
    """Rain against the hour."""
    require_variables(dataset, ("rain",), "the sky")
    figure = go.Figure(go.Scatter(x=dataset["hour"].values, y=dataset["rain"].values))
    figure.update_yaxes(title=axis_title(dataset["rain"]))
    return styled(figure, title, "")
'''


@pytest.fixture
def sky(tmp_path, monkeypatch):
    (tmp_path / "weather.py").write_text(FILE)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    monkeypatch.setitem(RESULTS, "weather", "what falls from the sky")
    rain = ("hour", [0.0, 2.0], {"units": "mm", "long_name": "rain"})
    return stamp(xr.Dataset({"rain": rain}, {"hour": [0, 1]}), "weather")


def test_a_file_is_enough(sky):
    figure = fp.plot.show(sky)
    assert list(figure.data[0].y) == [0.0, 2.0]
    assert (figure.layout.title.text, figure.layout.yaxis.title.text) == ("Weather", "rain [mm]")
    with pytest.raises(InputError, match=r"dataset: found a Dataset without rain, .*expected what the sky makes"):
        fp.plot.show(sky.drop_vars("rain"))
    assert "weather" in registered()
