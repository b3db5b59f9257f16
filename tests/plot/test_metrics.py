"""Training curves of ensembles and of somebody's own metrics."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


def metrics(**values):
    """One replica, whatever names."""
    epochs = np.arange(1, len(next(iter(values.values()))) + 1)
    variables = {name: (("replica", "train_epoch"), np.array([series], dtype=float)) for name, series in values.items()}
    return xr.Dataset(variables, {"replica": [0], "train_epoch": epochs})


def test_a_panel_a_quantity_and_a_line_a_part():
    figure = fp.plot.metrics(metrics(train_loss=[3, 2, 1], val_loss=[3, 2.5, 2], perplexity=[20, 9, 4]))
    assert figure.layout.yaxis.title.text == "loss"
    assert figure.layout.yaxis2.title.text == "perplexity"
    strong = {trace.name: trace for trace in figure.data if trace.name}
    assert set(strong) == {"train", "val", "perplexity"}
    assert strong["val"].xaxis == strong["train"].xaxis != strong["perplexity"].xaxis
    assert strong["val"].y.tolist() == [3, 2.5, 2]
    assert len({trace.line.color for trace in (strong["train"], strong["val"])}) == 2


def test_epochs_without_a_value_are_bridged():
    nan = float("nan")
    figure = fp.plot.metrics(metrics(loss=[3, 2, 1, 0.5], test_loss=[nan, 2, nan, 1]))
    strong = {trace.name: trace for trace in figure.data if trace.name}
    assert strong["test"].y.tolist() == [2, 1]
    assert strong["test"].customdata.tolist() == [2, 4]
    assert strong["loss"].y.tolist() == [3, 2, 1, 0.5]


def test_losses_below_zero_keep_their_axis():
    assert fp.plot.metrics(metrics(loss=[1, -1])).layout.yaxis.rangemode is None
    assert fp.plot.metrics(metrics(loss=[1, 0.5])).layout.yaxis.rangemode == "tozero"


def test_units_stand_on_the_axis():
    given = metrics(loss=[1, 0.5])
    given["loss"].attrs["units"] = "bits"
    assert fp.plot.metrics(given).layout.yaxis.title.text == "loss [bits]"


def test_nothing_to_draw_is_refused():
    with pytest.raises(InputError, match="dataset: found no finite value"):
        fp.plot.metrics(metrics(loss=[float("nan")] * 3))
    with pytest.raises(InputError, match="dataset: found"):
        fp.plot.metrics(xr.Dataset())


def test_runs_on_the_same_axes():
    runs = {"<a>": metrics(train_loss=[3, 2], test_loss=[3, 2.5]), "b": metrics(loss=[4, 3, 2], perplexity=[9, 8, 7])}
    figure = fp.plot.metrics(runs)
    strong = {trace.name: trace for trace in figure.data if trace.name}
    assert set(strong) == {"&lt;a&gt;, train", "&lt;a&gt;, test", "b"}
    assert strong["b"].line.color != strong["&lt;a&gt;, train"].line.color == strong["&lt;a&gt;, test"].line.color
    assert strong["&lt;a&gt;, train"].line.dash != strong["&lt;a&gt;, test"].line.dash
    assert figure.layout.xaxis.ticktext[-1] == "3"
    assert figure.layout.yaxis2.title.text == "perplexity"
    for wrong in ({}, {"a": 1}, [metrics(loss=[1])]):
        with pytest.raises(InputError, match=r"dataset: found .*, expected rec\.metrics of a Recording, or"):
            fp.plot.metrics(wrong)
