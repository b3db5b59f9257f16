"""What is on the figure of a swept quantity."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


@pytest.fixture
def found():
    values = np.random.default_rng(0).lognormal(3, 0.5, (2, 3, 20))
    values[0, 1, :5] = np.nan
    variable = (("optimizer", "hidden", "replica"), values, {"units": "epochs", "long_name": "epochs to 95 %"})
    return xr.Dataset({"epochs": variable}, {"optimizer": ["adam", "sgd"], "hidden": [1, 3, 6]})


@pytest.mark.parametrize("log", [False, True])
def test_means_and_their_intervals(found, log):
    figure = fp.plot.sweep(found, "epochs", along="hidden", by="optimizer", log=log)
    strong = [trace for trace in figure.data if trace.name and trace.mode == "lines+markers"]
    assert [trace.name for trace in strong] == ["adam", "sgd"] and figure.layout.yaxis.type == ("log" if log else "linear")
    for trace, values in zip(strong, found["epochs"].values, strict=True):
        scaled = np.log(values) if log else values
        mean, count = np.nanmean(scaled, 1), np.isfinite(scaled).sum(1)
        np.testing.assert_allclose(trace.y, np.exp(mean) if log else mean)
        reach = np.nanstd(scaled, 1, ddof=1) / np.sqrt(count) * np.where(count == 20, 2.093024, 2.144787)  # t at 19 and 14
        top = np.exp(mean + reach) - np.exp(mean) if log else reach
        np.testing.assert_allclose(trace.error_y.array, top, rtol=1e-5)
        assert list(trace.customdata) == [f"{n} of 20 replicas" for n in count]
    assert figure.layout.xaxis.ticktext == ("1", "3", "6")


def test_one_curve(found):
    figure = fp.plot.sweep(found.sel(optimizer="sgd"), "epochs", along="hidden", title="Depth")
    assert len(figure.data) == 2 and not figure.layout.showlegend and figure.layout.title.text == "Depth"
    assert figure.layout.yaxis.title.text == "epochs to 95 % [epochs]"


@pytest.mark.parametrize(("along", "by"), [("width", "optimizer"), ("hidden", None), ("hidden", "seed")])
def test_what_is_not_over_the_sweep_is_refused(found, along, by):
    with pytest.raises(InputError, match="dataset: found"):
        fp.plot.sweep(found, "epochs", along=along, by=by)
