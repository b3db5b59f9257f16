"""Figures: what is on them, what they refuse, and that they can be written."""

import json
import shutil

import numpy as np
import plotly.graph_objects as go
import pytest

import flowplane as fp
from flowplane.errors import InputError, MissingRequirement
from flowplane.plot.style import epoch_ticks, time_scale


@pytest.fixture(scope="module")
def plane(rec):
    return fp.information_plane(rec, fp.Binned.published())


def test_information_plane(plane):
    figure = fp.plot.information_plane(plane, title="A plane")
    assert figure.layout.title.text == "A plane"
    assert "29 bins on [-1, 1) and one for 1" in figure.layout.title.subtitle.text
    assert "12-10-7-5-4-3-2 tanh" in figure.layout.title.subtitle.text
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("I(X;T) [bits]", "I(T;Y) [bits]")
    assert [frame.name for frame in figure.frames] == ["all", *(str(epoch) for epoch in plane.epoch.values)]
    assert [step.label for step in figure.layout.sliders[0].steps][:2] == ["all", "0"]
    assert figure.layout.updatemenus[0].buttons[0].label == "▶ play"
    faint = figure.data[0]
    assert len(faint.x) == plane.i_xt.size
    assert np.unique(faint.marker.color).size == plane.sizes["epoch"]
    moment = figure.frames[1 + 3].data
    assert np.allclose(sorted(moment[0].x), sorted(plane.i_xt.values[:, 3].ravel()), atol=1e-6)
    assert np.allclose(moment[1].x, plane.i_xt.values[:, 3].mean(axis=0))
    assert not any(len(trace.x) for trace in figure.data[-2:])


def test_everything_lies_inside_the_axes(plane):
    figure = fp.plot.information_plane(plane)
    for values, axis in ((plane.i_xt, figure.layout.xaxis), (plane.i_ty, figure.layout.yaxis)):
        assert axis.range[0] < float(values.min())
        assert float(values.max()) < axis.range[1]


def test_layers_that_share_a_place_share_a_name(plane):
    names = [note.text for note in fp.plot.information_plane(plane).layout.annotations]
    assert any(name == "<b>1, 2</b>" or name.startswith("<b>1, 2, 3") for name in names)
    assert any("6 (softmax)" in name for name in names)


def test_units_are_not_mixed(plane):
    nats = plane.copy()
    nats["i_xt"] = nats["i_xt"].assign_attrs(units="nats")
    with pytest.raises(InputError, match="i_xt: found units 'nats', expected bits"):
        fp.plot.information_plane(nats)


def test_what_is_refused(plane, rec):
    with pytest.raises(InputError, match="dimensions"):
        fp.plot.information_plane(plane.mean("replica", keep_attrs=True))
    with pytest.raises(InputError, match="a Dataset with i_xt"):
        fp.plot.information_plane(rec.metrics)
    with pytest.raises(InputError, match="no finite point"):
        fp.plot.information_plane(plane.where(plane.i_xt > 99))
    for wrong in (plane, rec):
        with pytest.raises(InputError, match="dataset: found"):
            fp.plot.metrics(wrong)
    with pytest.raises(InputError, match="dataset: found EnsembleRecording"):
        fp.plot.information_plane(rec)
    with pytest.raises(InputError, match="dataset: found list"):
        fp.plot.information_planes([plane])
    with pytest.raises(InputError, match="figure: found NoneType"):
        fp.plot.save(None, "x.html")
    with pytest.raises(InputError, match="dataset: found"):
        fp.plot.information_planes({})


def test_one_replica_one_epoch(rec):
    part = fp.information_plane(rec.sel(replica=0, epoch=0))
    assert len(fp.plot.information_plane(part).frames) == 2


def test_information_planes_through_several_channels(plane):
    other = plane.copy()
    other["i_xt"] = plane.i_xt.assign_attrs(channel="another")
    subtitle = fp.plot.information_planes({"a": plane, "b": other}).layout.title.subtitle.text
    assert subtitle.startswith("each through its own channel, so bits cannot be compared")


def test_information_planes(plane):
    figure = fp.plot.information_planes({"all": plane, "start": plane.isel(epoch=[0])}, "Two")
    texts = [note.text for note in figure.layout.annotations]
    assert {"all", "start"} <= set(texts)
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range


def test_training_curves(rec):
    figure = fp.plot.metrics(rec.metrics)
    assert [trace.name for trace in figure.data if trace.name] == ["train", "test", "train", "test"]
    assert figure.layout.yaxis2.title.text == "accuracy [fraction right]"
    mean = next(trace for trace in figure.data if trace.name == "test")
    assert mean.y[-1] == pytest.approx(float(rec.metrics.test_loss.isel(train_epoch=-1).mean()))
    nothing_held_out = rec.metrics.load().copy()
    nothing_held_out["test_loss"][:] = np.nan
    assert len(fp.plot.metrics(nothing_held_out).data) == 6


def test_ticks():
    places, texts = epoch_ticks(8000)
    assert texts == ["0", "1", "10", "100", "1,000", "8,000"]
    assert places == time_scale(np.array([0, 1, 10, 100, 1000, 8000])).tolist()
    assert epoch_ticks(1200)[1][-2:] == ["100", "1,200"]
    assert epoch_ticks(2000)[1][-2:] == ["100", "2,000"] and epoch_ticks(3000)[1][-2:] == ["1,000", "3,000"]


def test_save(plane, tmp_path):
    figure = fp.plot.information_plane(plane)
    fp.plot.save(figure, tmp_path / "new" / "plane.html")
    assert json.loads(fp.plot.save(figure, tmp_path / "plane.json").read_text())["frames"]
    with pytest.raises(InputError, match=r"ends in \.html"):
        fp.plot.save(figure, tmp_path / "plane.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file that can be written"):
        fp.plot.save(figure, tmp_path / "file" / "plane.html")


def test_missing_browser_is_one_clear_sentence(plane, tmp_path, monkeypatch):
    def no_browser(*arguments, **named):
        raise RuntimeError("Kaleido requires Google Chrome to be installed.")

    monkeypatch.setattr(go.Figure, "to_image", no_browser)
    with pytest.raises(MissingRequirement, match=r"need Google Chrome or Chromium, and none was found.*\.html"):
        fp.plot.save(fp.plot.information_plane(plane), tmp_path / "plane.svg")
    assert not (tmp_path / "plane.svg").exists()


@pytest.mark.skipif(not any(map(shutil.which, ("chromium", "google-chrome", "chrome"))), reason="no browser here")
@pytest.mark.parametrize(("ending", "start"), [("svg", b"<svg"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_still_pictures(rec, tmp_path, ending, start):
    path = fp.plot.save(fp.plot.metrics(rec.metrics), tmp_path / f"curves.{ending}")
    assert path.read_bytes().startswith(start)
