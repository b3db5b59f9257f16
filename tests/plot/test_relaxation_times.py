"""The figure of relaxation times: every point, every law, what it says of the slope, and what it refuses."""

import numpy as np
import pytest

import flowplane as fp
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def relaxed(rec):
    """A recording's result, with times that follow the law."""
    found = fp.relaxation_times(rec)
    rng = np.random.default_rng(0)
    compression = np.linspace(-0.2, 4, 6) + rng.uniform(0, 0.2, (3, 6))
    delay = 4 * 2 ** (compression + 0.1 * rng.normal(size=(3, 6)))
    delay[1, 4] = np.nan
    from flowplane.dynamics.laws import fit_laws, slope_interval

    fitted = (compression > 0.1) & np.isfinite(delay)
    points = np.where(fitted, compression, np.nan), delay
    found["compression"].values[:], found["delay"].values[:], found["fitted"].values[:] = compression, delay, fitted
    found = found.drop_vars(list(fit_laws(*points))).merge(fit_laws(*points), compat="override", join="outer")
    for name, value in zip(("slope", "slope_lower", "slope_upper"), slope_interval(*points), strict=True):
        found[name] = ((), value, found[name].attrs)
    return found


def test_points_and_laws(relaxed):
    figure = fp.plot.relaxation_times(relaxed, title="Slow")
    assert figure.layout.title.text == "Slow"
    layers = [trace for trace in figure.data if trace.mode == "markers"]
    assert [trace.name for trace in layers] == [f"layer {k}" for k in range(1, 6)] + ["layer 6 (softmax)"]
    assert sum(len(trace.x) for trace in layers) == 17
    assert np.allclose(layers[3].x, relaxed.compression[:, 3])
    assert np.allclose(layers[3].y, relaxed.delay[:, 3])
    hollow = sum(color == "white" for trace in layers for color in trace.marker.color)
    assert hollow == 17 - int(relaxed.fitted.sum()) > 0
    lines = {trace.name.split(",")[0]: trace for trace in figure.data if trace.mode == "lines"}
    assert list(lines) == ["exponential", "linear", "power", "constant"]
    a, b = relaxed.parameters.sel(law="exponential").values
    line = lines["exponential"]
    assert np.allclose(np.log2(line.y), a + b * np.array(line.x))
    shown = relaxed.compression.values[relaxed.fitted.values]
    assert min(line.x) == shown.min() and max(line.x) == shown.max()


def test_axes_and_words(relaxed):
    figure = fp.plot.relaxation_times(relaxed)
    assert figure.layout.yaxis.type == "log"
    assert "[epochs]" in figure.layout.yaxis.title.text and "[bits]" in figure.layout.xaxis.title.text
    low, high = figure.layout.yaxis.range
    assert low < np.log10(np.nanmin(relaxed.delay)) and np.log10(np.nanmax(relaxed.delay)) < high
    words = figure.layout.title.subtitle.text
    assert f"b = {float(relaxed.slope):.2f}" in words and f"to {float(relaxed.slope_upper):.2f}" in words
    assert "hollow" in words and "3 replicas" in words


def test_too_few_points_for_a_law(rec):
    found = fp.relaxation_times(rec.sel(replica=[0], epoch=slice(0, 40)))
    if not np.isfinite(found.delay).any():
        found["delay"].values[0, 5] = 3.0
    found["slope"] = found["slope"] * np.nan
    found["weight"] = found["weight"] * np.nan
    figure = fp.plot.relaxation_times(found)
    assert "too few points for a law" in figure.layout.title.subtitle.text
    assert not [trace for trace in figure.data if trace.mode == "lines"]


def test_what_is_refused(relaxed, rec):
    with pytest.raises(InputError, match="found EnsembleRecording"):
        fp.plot.relaxation_times(rec)
    with pytest.raises(InputError, match="a Dataset with delay"):
        fp.plot.relaxation_times(rec.metrics)
    with pytest.raises(InputError, match="delay: found units 'seconds'"):
        fp.plot.relaxation_times(relaxed.assign(delay=relaxed.delay.assign_attrs(units="seconds")))
    with pytest.raises(InputError, match=r"^dataset: found a Dataset without slope,"):
        fp.plot.relaxation_times(relaxed.drop_vars("slope"))
    with pytest.raises(InputError, match="no layer whose"):
        fp.plot.relaxation_times(relaxed.assign(delay=(relaxed.delay * np.nan).assign_attrs(relaxed.delay.attrs)))
