"""Figures of gradients and of diffusing weights: what is on them, what they refuse."""

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def trained(task):
    return fp.train(task, replicas=4, epochs=400, snapshots=40)


@pytest.fixture(scope="module")
def phases(trained):
    return fp.gradient_phases(trained, fp.information_plane(trained))


@pytest.fixture(scope="module")
def moved(trained):
    return fp.weight_diffusion(trained, since=30, draws=50)


def named(figure, name):
    return [trace for trace in figure.data if trace.name and trace.name.startswith(name) and trace.x[0] is not None]


def test_gradient_curves_are_the_medians(phases):
    figure = fp.plot.gradient_phases(phases, title="Phases")
    assert figure.layout.title.text == "Phases" and "4 replicas" in figure.layout.title.subtitle.text
    for name, label in (("gradient_mean", "drift"), ("gradient_std", "diffusion")):
        traces = named(figure, label)
        assert len(traces) == 6
        for k, trace in enumerate(traces):
            assert 0 not in trace.x
            median = phases[name].isel(layer=k).median("replica")[1:]
            np.testing.assert_allclose(trace.y, median.where(median > 0))
    assert {axis.type for axis in figure.select_xaxes()} == {axis.type for axis in figure.select_yaxes()} == {"log"}
    shown = [trace.name for trace in figure.data if trace.name and trace.showlegend is not False]
    assert len(shown) == len(set(shown)) == 5


def test_bands_that_reach_zero_end_at_the_floor(phases):
    zero = phases.gradient_mean.copy()
    zero[:2, 10], zero[:, 20] = 0.0, 0.0
    figure = fp.plot.gradient_phases(phases.assign(gradient_mean=zero))
    floor = 10 ** figure.layout.yaxis.range[0]
    for trace in named(figure, "drift"):
        assert np.isnan(trace.y[19]) and np.isfinite(np.delete(trace.y, 19)).all()
    bands = [trace for trace in figure.data if trace.legendgroup and trace.legendgroup.startswith("drift") and trace.fill]
    assert len(bands) == 6 and all(min(band.y) == pytest.approx(floor) for band in bands)


def test_the_crossing_and_the_start_of_compression_are_marked(phases):
    figure = fp.plot.gradient_phases(phases)
    crossed = phases.crossing_median.values[np.isfinite(phases.crossing_median)]
    assert len(crossed) and [trace.x[0] for trace in named(figure, "crossing")] == crossed.tolist()
    starts = phases.compression_start.where(phases.compression_start > 0).median("replica").values
    most = (phases.compression_start > 0).mean("replica").values >= 0.5
    assert most.any() and not most.all()
    assert [trace.x[0] for trace in named(figure, "compression")] == starts[most].tolist()
    without = fp.plot.gradient_phases(phases.drop_vars("compression_start"))
    assert not any(trace.name == "compression starts" for trace in without.data)


def test_what_is_censored_is_said(phases):
    states = ["crossed", "never", "diffusion from the start", "undefined", "crossed", "crossed"]
    known = np.array([state == "crossed" for state in states])
    changed = phases.assign(median_state=("layer", states), crossing_median=phases.crossing_median.where(known, np.nan))
    titles = [note.text for note in fp.plot.gradient_phases(changed).layout.annotations]
    assert titles[1:4] == ["layer 2: drift to the end", "layer 3: diffusion from the start", "layer 4: undefined"]


def test_one_batch_an_epoch_has_nothing_but_a_mean(task):
    rec = fp.train(task, hidden=(3,), replicas=2, epochs=8, snapshots=6, train_fraction=0.05)
    phases = fp.gradient_phases(rec)
    figure = fp.plot.gradient_phases(phases)
    drawn = [trace.name for trace in figure.data if trace.x is not None and trace.x[0] is not None and trace.name]
    assert any("E g" in name for name in drawn) and not any("Cov" in name for name in drawn)
    assert [note.text for note in figure.layout.annotations] == ["layer 1: undefined", "layer 2 (softmax): undefined"]
    with pytest.raises(InputError, match="no finite gradient"):
        fp.plot.gradient_phases(phases.assign(gradient_mean=phases.gradient_std))


def test_displacements(moved):
    figure = fp.plot.weight_diffusion(moved, title="Moves")
    assert isinstance(figure, go.Figure) and figure.layout.title.text == "Moves"
    traces = named(figure, "mean of the replicas")
    assert len(traces) == 6
    for k, trace in enumerate(traces):
        part = moved.msd.isel(layer=k).dropna("lag_epoch")
        np.testing.assert_allclose(trace.x, part.lag_epoch)
        np.testing.assert_allclose(trace.y, part.mean("replica"))
    for k, trace in enumerate(named(figure, "mean exponent")):
        slope = np.diff(np.log(trace.y[[0, -1]])) / np.diff(np.log(trace.x[[0, -1]]))
        assert slope[0] == pytest.approx(float(moved.exponent_mean[k]))
    texts = [note.text for note in figure.layout.annotations if note.text.startswith("t<sup>")]
    assert len(texts) == 6 and f"α = {float(moved.exponent_mean[3]):.2f}" in texts[3]
    assert all("Wiener: " in text for text in texts)
    bands = named(figure, "Wiener")
    assert len(bands) == 6 and all(np.isfinite(band.y).all() for band in bands)


def test_a_layer_without_an_exponent_is_said(moved):
    gone = moved.copy(deep=True)
    for name in ("msd", "wiener_msd", "exponent_mean", "exponent_lower", "exponent_upper"):
        gone[name][{"layer": 0}] = np.nan
    figure = fp.plot.weight_diffusion(gone)
    assert "no exponent" in [note.text for note in figure.layout.annotations]
    assert len(named(figure, "mean of the replicas")) == 5
    assert sum(bool(trace.showlegend) for trace in named(figure, "mean of the replicas")) == 1


def test_a_single_layer_and_replica(trained):
    part = trained.sel(layer="layer5", replica=1)
    assert len(named(fp.plot.gradient_phases(fp.gradient_phases(part)), "drift")) == 1
    assert fp.plot.gradient_phases(fp.gradient_phases(part)).layout.annotations[0].text.startswith("layer 5: ")
    figure = fp.plot.weight_diffusion(fp.weight_diffusion(part, since=20, draws=20))
    assert len(named(figure, "mean of the replicas")) == 1 and "1 replica ·" in figure.layout.title.subtitle.text


@pytest.mark.parametrize("wrong", [None, "phases", xr.Dataset()])
@pytest.mark.parametrize("name", ["gradient_phases", "weight_diffusion"])
def test_other_things_are_refused(name, wrong):
    with pytest.raises(InputError, match="dataset: "):
        getattr(fp.plot, name)(wrong)


def test_weights_that_do_not_move_are_refused(moved):
    with pytest.raises(InputError, match="no displacement above 0"):
        fp.plot.weight_diffusion(moved.assign(msd=xr.zeros_like(moved.msd)))
