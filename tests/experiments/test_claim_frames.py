"""Results as tables."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from flowplane.core.frames import long_frame, wide_frame
from flowplane.errors import InputError
from flowplane.experiments.claim import COLUMNS, Claim
from flowplane.experiments.registry import Result

NAN = float("nan")
CLAIMS = [
    Claim(
        id="B-1",
        role="headline",
        statement="two layers",
        measured=(1.0, 2.0),
        interval=((0.5, 1.5), (1.5, 2.5)),
        reference=(1.1, 2.1),
        tolerance=(0.2, 0.2),
        verdict="reproduced",
        scale="full",
        units="bits",
    ),
    Claim(id="B-2", role="control", statement="a sign", measured=(3.0,), verdict="contradicted", scale="full"),
]


def dataset():
    """Variables of different dimensions, text among them."""
    value = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("replica", "layer"), attrs={"units": "bits"})
    state = xr.DataArray(["risen", "fallen", "flat"], dims="layer")
    coords = {"layer": ["a", "b", "c"], "width": ("layer", [3, 2, 1])}
    return xr.Dataset({"value of it": value, "state": state, "total": 15}, coords)


def test_a_row_for_each_number_of_each_claim():
    frame = Result({}, {}, CLAIMS).to_dataframe()
    assert tuple(frame.columns) == COLUMNS
    rows = frame.drop(columns=["statement", "scale", "units"]).values.tolist()
    expected = [
        ["B-1", "headline", 0, 1.0, 0.5, 1.5, 1.1, 0.2, "reproduced"],
        ["B-1", "headline", 1, 2.0, 1.5, 2.5, 2.1, 0.2, "reproduced"],
        ["B-2", "control", 0, 3.0, NAN, NAN, NAN, NAN, "contradicted"],
    ]
    assert repr(rows) == repr(expected)
    assert frame["measured"].dtype == np.float64


def test_no_claims_are_an_empty_table_with_the_same_columns():
    frame = Result({}, {}, []).to_dataframe()
    assert (len(frame), tuple(frame.columns)) == (0, COLUMNS)
    assert frame["lower"].dtype == np.float64


def test_long_form_holds_every_number_once():
    result = Result({"plane": dataset()}, {}, CLAIMS)
    frame = result.to_dataframe("plane")
    assert list(frame.columns) == ["variable", "replica", "layer", "width", "value", "text", "units"]
    assert len(frame) == 6 + 3 + 1
    back = frame[frame["variable"] == "value of it"].set_index(["replica", "layer"])["value"].to_xarray()
    np.testing.assert_array_equal(back, dataset()["value of it"])
    assert frame.groupby("variable")["value"].sum()["value of it"] == 15.0
    assert frame[frame["variable"] == "state"]["text"].tolist() == ["risen", "fallen", "flat"]
    assert frame[frame["variable"] == "state"]["value"].isna().all()
    assert set(frame[frame["variable"] == "value of it"]["units"]) == {"bits"}
    assert frame[frame["variable"] == "state"]["width"].tolist() == [3, 2, 1]


def test_long_form_does_not_multiply_dimensions_that_no_variable_shares():
    big = xr.Dataset({f"v{k}": (f"dim{k}", np.zeros(1000)) for k in range(4)})
    assert len(long_frame(big)) == 4000


def test_an_empty_dataset_and_an_unknown_name():
    assert list(long_frame(xr.Dataset()).columns) == ["variable", "value", "units"]
    with pytest.raises(InputError, match=r"name: found 'plan', expected one of plane \(did you mean 'plane'\?\)"):
        Result({"plane": dataset()}, {}, CLAIMS).to_dataframe("plan")


def test_metrics_of_a_recording(rec):
    frame = wide_frame(rec.metrics)
    assert len(frame) == rec.metrics.sizes["replica"] * rec.metrics.sizes["train_epoch"]
    mean = frame.groupby("train_epoch")["train_loss"].mean().values
    np.testing.assert_allclose(mean, rec.metrics["train_loss"].mean("replica"), rtol=1e-6)
    assert isinstance(frame, pd.DataFrame)
