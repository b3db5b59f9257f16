"""Figures of the second lens: what is on them, and what they refuse."""

import math

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError

LINE = fp.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4])
PLANE = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.2], [1.0, 0.0]], [0.5, 0.4])
DEPTHS = {"shallow": 1, "continuous": math.inf}


@pytest.fixture(scope="module")
def line():
    flows = {name: fp.denoising_flow(LINE, 0.1, layers) for name, layers in DEPTHS.items()}
    return {name: fp.transport.flow_history(flow, samples=40, extent=(-4, 4)) for name, flow in flows.items()}


@pytest.fixture(scope="module")
def plane():
    times = [0.0, 0.05, 0.1]
    flows = {name: fp.denoising_flow(PLANE, 0.1, layers) for name, layers in DEPTHS.items()}
    return {name: fp.transport.flow_history(flow, samples=40, points=31, times=times) for name, flow in flows.items()}


@pytest.fixture(scope="module")
def profiles():
    return {name: fp.denoising_flow(LINE, 0.1, layers).profile(samples=100) for name, layers in DEPTHS.items()}


def test_space_and_time(line):
    figure = fp.plot.flow_history(line, "A title")
    assert figure.layout.title.text == "A title"
    heat, paths = figure.data[:2]
    np.testing.assert_allclose(heat.z, np.log10(line["shallow"].density.T), rtol=1e-5)
    assert heat.x[-1] == 0.1
    assert np.isnan(paths.y).sum() == 25
    assert [note.text for note in figure.layout.annotations] == ["shallow", "continuous"]
    assert figure.layout.xaxis.title.text == "time t [variance of noise]"
    assert len(fp.plot.flow_history(line["shallow"]).data) == 2


def test_field(plane):
    figure = fp.plot.flow_history(plane)
    assert [frame.name for frame in figure.frames] == ["0", "0.05", "0.1"]
    assert len(figure.layout.sliders[0].steps) == 3
    assert figure.frames[1].traces == (0, 1, 2, 4, 5, 6)
    heat, arrows, particles = figure.frames[1].data[:3]
    now = plane["shallow"].isel(time=1)
    np.testing.assert_allclose(heat.z, np.log10(now.density.T), rtol=1e-5)
    np.testing.assert_allclose(particles.x, now.position[:, 0], rtol=1e-5)
    starts = np.stack([arrows.x[::6], arrows.y[::6]])
    tips = np.stack([arrows.x[1::6], arrows.y[1::6]]) - starts
    place = [
        np.abs(plane["shallow"][f"arrow_{dim}"].values[:, None] - start).argmin(0)
        for dim, start in zip("xy", starts, strict=True)
    ]
    velocity = now.velocity.values[:, place[0], place[1]]
    along = (tips * velocity).sum(0) / (np.hypot(*tips) * np.hypot(*velocity))
    np.testing.assert_allclose(along, 1.0, atol=1e-3)  # arrows point where the velocity points
    assert figure.layout.title.subtitle.text.endswith("t = 0.1")
    assert fp.plot.flow_history(plane, start="first").layout.title.subtitle.text.endswith("t = 0")


def test_profiles(profiles):
    figure = fp.plot.flow_profile(profiles)
    shown = {trace.name for trace in figure.data if trace.showlegend}
    assert shown == {"shallow", "continuous"}
    curves = [trace for trace in figure.data if trace.xaxis == "x3" and trace.name]
    np.testing.assert_allclose(curves[1].y, profiles["continuous"].variance)
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    np.testing.assert_allclose(dots[0].y, -profiles["shallow"].fisher_information)
    titles = [figure.layout[f"yaxis{k}"].title.text for k in ("", "2", "3")]
    assert titles == ["H [nats]", "nats per unit of time", "tr Cov [units of x²]"]
    points = fp.denoising_flow(fp.Empirical(LINE.sample(50, seed=0)), 0.1, 2).profile(samples=50)
    assert fp.plot.flow_profile(points).data  # what is unknown is left out


def test_depth_and_convergence():
    about = {"units": "units of x²", "long_name": "variance"}
    depths = xr.Dataset(
        {
            "variance": (("density", "layers"), [[0.5, 0.4]], about),
            "variance_error": (("density", "layers"), [[0.01, 0.01]]),
            "variance_continuous": ("density", [0.2]),
        },
        {"density": ["p"], "layers": [1, 2]},
    )
    figure = fp.plot.depth_curves(depths)
    assert figure.layout.yaxis.title.text == "variance [units of x²]"
    assert list(figure.data[0].error_y.array) == [0.02, 0.02]
    assert list(figure.data[1].y) == [0.2, 0.2]
    errors = xr.Dataset(
        {"error": (("series", "step"), [[0.1, 0.4]]), "scale": ("step", [1, 2], {"long_name": "t", "units": "s"})},
        {"series": ["one"]},
        {"order": 2},
    )
    figure = fp.plot.error_orders(errors)
    line = figure.data[-1]
    assert np.diff(np.log(line.y)) / np.diff(np.log(line.x)) == pytest.approx(2)
    assert figure.layout.xaxis.title.text == "t [s]"


def test_bands_of_a_few_times_have_no_markers():
    profile = fp.denoising_flow(fp.Normal([0.0, 0.0], 1.0), 0.4, layers=2).profile(samples=50, times=[0.0, 0.2, 0.4])
    profile["entropy_error"] = profile["entropy"] * 0 + 0.1
    bands = [trace for trace in fp.plot.flow_profile(profile).data if trace.fill]
    assert bands and all(band.mode == "lines" for band in bands)


def test_pages_can_be_written(plane, profiles, tmp_path):
    for name, figure in (("field", fp.plot.flow_history(plane)), ("profiles", fp.plot.flow_profile(profiles))):
        assert fp.plot.save(figure, tmp_path / f"{name}.html").stat().st_size > 1e4


def test_what_is_refused(line, plane, profiles):
    with pytest.raises(InputError, match="dataset: found 1 and 2 dimensions"):
        fp.plot.flow_history({"line": line["shallow"], "plane": plane["shallow"]})
    with pytest.raises(InputError, match="start: found 'middle'"):
        fp.plot.flow_history(plane, start="middle")
    with pytest.raises(InputError, match="the same times"):
        fp.plot.flow_history({"a": plane["shallow"], "b": plane["continuous"].isel(time=[0, 1])})
    for wrong in (None, {}, profiles, [plane["shallow"]]):
        with pytest.raises(InputError, match=r"dataset: found .*flow_history"):
            fp.plot.flow_history(wrong)
    with pytest.raises(InputError, match="dataset: found"):
        fp.plot.flow_profile(line)
    bits = profiles["shallow"].copy()
    bits["entropy"] = bits["entropy"].assign_attrs(units="bits")
    with pytest.raises(InputError, match="entropy: found units 'bits', expected nats"):
        fp.plot.flow_profile(bits)
    with pytest.raises(InputError, match="dataset: found dict"):
        fp.plot.depth_curves(profiles)
    with pytest.raises(InputError, match="without error, scale"):
        fp.plot.error_orders(profiles["shallow"])
