"""Figures of denoising: the spectrum by resolution, and what each sample has of a layer's information."""

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane.errors import InputError
from flowplane.plot.page.drawing import drawn


@pytest.fixture(scope="module")
def ensemble():
    inputs = np.array([[(k >> bit) & 1 for bit in range(6)] for k in range(64)])
    task = fp.tasks.Task(inputs, inputs.sum(axis=1) % 3 > 1)
    return fp.train(task, hidden=(3,), replicas=2, epochs=4, snapshots=3)


@pytest.fixture(scope="module")
def exact(ensemble):
    return fp.denoising_spectrum(ensemble, resolution=(1.0, 0.3, 0.1, 0.03))


@pytest.fixture(scope="module")
def model():
    x = torch.randn(90, 9, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(9, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3))
    return fp.record(net, x, (x[:, :3].argmax(1)).long(), reduce="flatten"), x


@pytest.fixture(scope="module")
def each(model):
    return fp.pointwise_information(model[0], layer="0", epoch=0, denoiser="linear")


def of(figure, **about):
    return [trace for trace in figure.data if all(getattr(trace, name) == value for name, value in about.items())]


def test_three_panels_where_densities_are_known(exact):
    figure = fp.plot.denoising_spectrum(exact)
    fine_first = exact.sortby("resolution").isel(epoch=-1, layer=0)
    best, linear = of(figure, name="1", xaxis="x")
    np.testing.assert_allclose(best.y, fine_first.mmse.mean("replica"))
    np.testing.assert_allclose(linear.y, fine_first.linear_mmse.mean("replica"))
    assert linear.line.dash == "dot" and linear.line.color == best.line.color
    assert (best.showlegend, linear.showlegend) == (True, False)
    _, bits = of(figure, name="1", xaxis="x2")
    np.testing.assert_allclose(bits.y, fine_first.information.mean("replica"))
    lines, circles = of(figure, name="1", xaxis="x3")
    np.testing.assert_allclose(lines.y, fine_first.fisher.mean("replica") / 2)
    np.testing.assert_allclose(circles.y, fine_first.entropy_rate.mean("replica"))
    assert (lines.mode, circles.mode) == ("lines", "markers")
    titles = [axis.title.text for axis in figure.select_yaxes()]
    assert titles == ["share of the total variance", "I(X;T + noise) [bits]", "dh/dt and ½ J [nats/total variance]"]
    assert [axis.type for axis in figure.select_yaxes()] == ["linear", "log", "log"]
    assert {axis.type for axis in figure.select_xaxes()} == {"log"}


def test_the_slider_shows_other_epochs_and_leaves_the_ceiling(exact):
    figure = fp.plot.denoising_spectrum(exact)
    assert [frame.name for frame in figure.frames] == [str(epoch) for epoch in exact.epoch.values]
    assert figure.layout.sliders[0].active == exact.sizes["epoch"] - 1
    first = exact.sortby("resolution").isel(epoch=0, layer=0)
    np.testing.assert_allclose(figure.frames[0].data[0].y, first.mmse.mean("replica"))
    ceiling = figure.data[-1]
    assert ceiling.name == "H(X) = 6 bits" and list(ceiling.y) == [6.0, 6.0]
    assert len(figure.data) - 1 not in figure.frames[0].traces
    unknown = exact.drop_attrs(deep=False).assign_attrs(result="denoising_spectrum")
    assert not of(fp.plot.denoising_spectrum(unknown), name="H(X) = 6 bits")


def test_of_one_replica_the_band_is_the_intervals(exact):
    one = exact.isel(replica=[1]).sortby("resolution")
    band = of(fp.plot.denoising_spectrum(one), name="1", xaxis="x2", fill="toself")[0]
    here = one.isel(replica=0, epoch=-1, layer=0)
    np.testing.assert_allclose(band.y[:4], here.information_upper)
    np.testing.assert_allclose(band.y[4:], here.information_lower[::-1])


def test_without_densities_there_are_two_panels(model):
    found = fp.denoising_spectrum(model[0], denoiser="linear")
    figure = fp.plot.denoising_spectrum(found)
    assert len(list(figure.select_xaxes())) == 2 and not figure.frames
    assert "an upper bound" in figure.layout.title.subtitle.text
    narrow = drawn("spectrum", figure).content["narrow"]
    assert {narrow[axis]["domain"][0] for axis in ("xaxis", "xaxis2")} == {0.0}


def test_what_is_no_spectrum_is_refused(exact, ensemble):
    with pytest.raises(InputError, match=r"what fp\.denoising_spectrum makes"):
        fp.plot.denoising_spectrum(fp.information_plane(ensemble))
    with pytest.raises(InputError, match="no finite error"):
        fp.plot.denoising_spectrum(exact.where(exact.mmse > 9))
    nats = exact.copy()
    nats["information"] = nats["information"].assign_attrs(units="nats")
    with pytest.raises(InputError, match="found units 'nats', expected bits"):
        fp.plot.denoising_spectrum(nats)


def test_each_samples_part_from_the_least_to_the_most(each):
    figure = fp.plot.pointwise_information(each)
    parts = each.i_xt_each.values[0]
    curve, mean, ends = of(figure, type="scatter", xaxis="x")
    np.testing.assert_allclose(curve.y, np.sort(parts))
    np.testing.assert_allclose(mean.y, each.i_xt.item())
    np.testing.assert_allclose(ends.y, np.sort(parts)[[*range(10), *range(-10, 0)]])
    assert ends.text[0] == f"sample {parts.argmin()}, class {each.label.values[parts.argmin()]}"
    (boxes, _) = of(figure, type="box")
    assert list(boxes.x) == ["0", "1", "2"]
    np.testing.assert_allclose(boxes.median[1], np.median(parts[each.label.values == 1]))
    assert "layer 0 · epoch 0 · resolution 0.1" in figure.layout.title.subtitle.text


@pytest.mark.parametrize("shape", [(90, 9), (90, 3, 3), (90, 1, 3, 3)])
def test_the_ten_least_and_most_as_pictures(each, model, shape):
    figure = fp.plot.pointwise_information(each, images=model[1].reshape(shape))
    rows = of(figure, type="heatmap")
    assert len(rows) == 4  # of either quantity the least and the most
    for row, order in ((0, 1), (1, -1)):
        place = np.argsort(each.i_xt_each.values[0])[::order][0]
        picture = model[1][place].reshape(3, 3).numpy()
        np.testing.assert_allclose(rows[row].z[:, :3], (picture - picture.min()) / np.ptp(picture), rtol=1e-6)
    axis = figure.layout[f"xaxis{rows[0].xaxis[1:]}"]
    least = each.i_xt_each.values.min()
    label = each.label.values[each.i_xt_each.values[0].argmin()]
    assert len(axis.ticktext) == 10 and axis.ticktext[0] == f"{least:.2f}<br><b>{label}</b>"
    assert drawn("each", figure).content["narrow"]


def test_without_labels_there_is_one_panel(model):
    found = fp.pointwise_information(fp.record(torch.nn.Linear(9, 4), model[1]), layer="output", epoch=0, denoiser="linear")
    assert "label" not in found.coords
    figure = fp.plot.pointwise_information(found)
    assert len(list(figure.select_xaxes())) == 1 and "another class" not in figure.layout.title.subtitle.text


def test_pictures_of_others_are_refused(each):
    for wrong in (np.zeros((3, 9)), np.zeros(90), np.zeros((90, 3, 4, 4)), "pictures"):
        with pytest.raises(InputError, match=r"images: found .* one for each sample"):
            fp.plot.pointwise_information(each, images=wrong)
    with pytest.raises(InputError, match="no finite part"):
        fp.plot.pointwise_information(each.where(each.i_xt_each > 1e9))


def test_tokens_share_the_picture_of_their_sample(model):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh())
    tokens = torch.randn(60, 4, 3)
    rec = fp.record(net, tokens, reduce="tokens")
    found = fp.pointwise_information(rec, layer="0", epoch=0, denoiser="linear")
    pictures = np.arange(60)[:, None, None] + np.array([[0.0, 1.0], [2.0, 4.0]])
    assert found.sizes["sample"] == 240
    assert len(of(fp.plot.pointwise_information(found, images=pictures), type="heatmap")) == 2
