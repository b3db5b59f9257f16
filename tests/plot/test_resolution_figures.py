"""Figures of planes with resolutions: two sliders, curves by resolution, decodable bits by depth."""

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def rec():
    torch.manual_seed(0)
    x = torch.randn(90, 6)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    with fp.Recorder(model, x, x[:, 0] > 0, epochs=2) as recorder:
        for _ in range(2):
            with torch.no_grad():
                model[0].weight.add_(torch.randn(5, 6))
            recorder.step()
    return recorder.recording


@pytest.fixture(scope="module")
def plane(rec):
    return fp.information_plane(rec)


def test_the_plane_has_a_slider_of_resolutions(plane):
    figure = fp.plot.information_plane(plane)
    epochs, resolutions = figure.layout.sliders
    assert [step.label for step in resolutions.steps] == ["1", "0.3", "0.1", "0.03", "0.01", "0.003", "0.001"]
    assert resolutions.active == 2 and len(epochs.steps) == 1 + 3
    for k, step in enumerate(resolutions.steps):
        seen = [trace for trace, visible in zip(figure.data, step.args[0]["visible"], strict=True) if visible]
        means = next(trace for trace in seen if trace.name == "mean of the replicas")
        expected = plane.i_xt.isel(resolution=k).transpose("replica", "layer", "epoch").values.ravel()
        np.testing.assert_allclose(means.x, expected)
    shown = [bool(trace.visible) for trace in figure.data]
    assert shown == list(resolutions.steps[2].args[0]["visible"])
    moving = figure.frames[1 + 1]
    assert len(moving.traces) == 2 * 7 and all(not len(figure.data[place].x) for place in moving.traces)
    np.testing.assert_allclose(moving.data[5].x, plane.i_xt.isel(replica=0, epoch=1, resolution=2))
    assert "at that epoch" in figure.layout.title.subtitle.text and "no noise" in figure.layout.title.subtitle.text


def test_bars_are_the_bounds_own_error(plane):
    figure = fp.plot.information_plane(plane)
    bars = next(trace for trace in figure.data if trace.name and "sampling error" in trace.name)
    np.testing.assert_allclose(
        bars.error_x.array, 1.96 * plane.i_xt_error.isel(replica=0, epoch=-1, resolution=0), rtol=1e-4
    )


def test_resolution_curves(plane):
    figure = fp.plot.resolution_curves(plane)
    assert [trace.name for trace in figure.data] == ["0", "1", "2"]
    fine_first = plane.sortby("resolution")
    np.testing.assert_allclose(figure.data[1].y, fine_first.i_xt.isel(replica=0, epoch=-1, layer=1))
    np.testing.assert_allclose(figure.frames[0].data[1].y, fine_first.i_xt.isel(replica=0, epoch=0, layer=1))
    with pytest.raises(InputError, match="at one resolution"):
        fp.plot.resolution_curves(plane.isel(resolution=0))


def test_decodable_depth(plane, rec):
    figure = fp.plot.decodable_depth(plane)
    bits, start, accuracy, _ = figure.data
    np.testing.assert_allclose(bits.y, np.maximum(plane.i_ty.isel(replica=0, epoch=-1), 0))
    np.testing.assert_allclose(start.y, np.maximum(plane.i_ty.isel(replica=0, epoch=0), 0))
    np.testing.assert_allclose(accuracy.y, plane.accuracy.isel(replica=0, epoch=-1))
    np.testing.assert_allclose(bits.error_y.array, (plane.i_ty_upper - plane.i_ty).isel(replica=0, epoch=-1))
    assert figure.layout.xaxis.type == "category"  # names that are numbers are names
    with pytest.raises(InputError, match="no probe decoded"):
        fp.plot.decodable_depth(fp.information_plane(rec, fp.Pairwise(0.1)))
    with pytest.raises(InputError, match="no finite"):
        fp.plot.decodable_depth(plane.where(plane.i_ty > 99))


def test_decodable_depth_of_runs(plane):
    figure = fp.plot.decodable_depth({"a": plane, "b": plane.isel(epoch=[0])})
    first, second = figure.data[:2]
    np.testing.assert_allclose(first.y, np.maximum(plane.i_ty.isel(replica=0, epoch=-1), 0))
    np.testing.assert_allclose(second.y, np.maximum(plane.i_ty.isel(replica=0, epoch=0), 0))
    assert [trace.name.split(",")[0] for trace in figure.data] == ["a", "b", "a", "b"]
    assert first.line.color != second.line.color and not figure.frames


def test_without_labels_one_resolution_is_drawn(rec):
    x = torch.randn(50, 3)
    found = fp.information_plane(fp.record(torch.nn.Linear(3, 2), x))
    figure = fp.plot.show(found)
    np.testing.assert_allclose(figure.data[0].y, found.i_xt.sel(resolution=0.1)[0, :, 0])
    with pytest.raises(InputError, match="no finite point"):
        fp.plot.information_plane(found)
