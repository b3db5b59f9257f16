"""`fp.plot.show` draws whatever has a figure, as it comes from its maker, and says of all else what it cannot draw."""

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from makers import MAKERS, layer

import flowplane as fp
from flowplane.core.results import RESULTS, stamp
from flowplane.errors import InputError
from flowplane.plot.registry import registered

#: Results that are drawn by the figure of another name.
SHARED = {
    "deterministic_ib": "ib_curve",
    "gaussian_ib": "ib_curve",
    "measure": "information_plane",
    "mutual_information": "estimate",
    "noisy_information": "information_plane",
}


@pytest.mark.parametrize("result", [name for name in MAKERS if name in registered()])
def test_what_a_maker_makes_is_drawn(result, rec, soft, flow):
    dataset = MAKERS[result](rec, soft, flow)
    assert dataset.attrs["result"] == result
    figure = fp.plot.show(dataset)
    assert isinstance(figure, go.Figure) and figure.data
    named = getattr(fp.plot, SHARED.get(result, result))
    assert figure.to_json() == named(dataset).to_json()


def test_of_every_figure_a_dataset_is_shown():
    assert set(registered()) <= set(MAKERS) | {"sweep"}


def test_of_several_figures_the_first_that_can_is_drawn(rec):
    blind = fp.information_plane(rec)
    blind = blind.assign(i_ty=blind.i_ty * np.nan).assign(i_ty=lambda found: found.i_ty.assign_attrs(blind.i_ty.attrs))
    assert fp.plot.show(blind).layout.title.text == "What each layer knows of its input"
    curves = fp.compare_estimators(rec.sel(replica=[0, 1]), estimators=[fp.Binned(8)])
    assert fp.plot.show(curves).to_json() == fp.plot.estimator_curves(curves).to_json()
    with pytest.raises(InputError, match="no finite point"):
        fp.plot.show(blind.assign(i_xt=blind.i_ty))


def test_a_sweep_and_a_pair():
    epochs = (("hidden", "optimizer", "replica"), np.arange(8.0).reshape(2, 2, 2), {"units": "epochs"})
    swept = stamp(xr.Dataset({"epochs": epochs}, {"hidden": [1, 3], "optimizer": ["sgd", "adam"]}), "sweep")
    figure = fp.plot.show(swept)
    assert figure.to_json() == fp.plot.sweep(swept, "epochs", along="hidden", by="optimizer").to_json()
    with pytest.raises(InputError, match=r"epochs over \('hidden', 'optimizer'\), expected one over replica"):
        fp.plot.show(swept.isel(replica=0))
    values = {"mutual_information": 1.0, "mutual_information_lower": 0.8, "mutual_information_upper": np.inf}
    pair = xr.Dataset({name: ((), value, {"units": "bits", "bound": "estimate"}) for name, value in values.items()})
    figure = fp.plot.show(stamp(pair, "mutual_information"))
    assert (figure.data[0].y, figure.data[0].error_y.arrayminus) == ((1.0,), (pytest.approx(0.2),))


def test_one_layer_and_a_batch():
    flat = fp.GaussianMI()(**layer())
    figure = fp.plot.estimate(flat)
    assert [axis.title.text for axis in figure.select_yaxes()] == ["I(X;T) [bits]", "I(T;Y) [bits]", "H(T) [bits]"]
    assert figure.data[1].y[0] == float(flat.i_ty)
    assert figure.data[1].error_y.array[0] == pytest.approx(float(flat.i_ty_upper - flat.i_ty))
    batch = xr.concat([flat, flat + 1], "epoch", combine_attrs="override")
    for name in batch:
        batch[name].attrs = flat[name].attrs
    assert list(fp.plot.estimate(batch).data[0].y) == batch.i_xt.values.tolist()
    with pytest.raises(InputError, match="a batch in one dimension"):
        fp.plot.estimate(xr.concat([batch, batch], "replica", combine_attrs="override"))
    with pytest.raises(InputError, match="no finite value"):
        fp.plot.estimate(flat[["i_xt"]] * np.nan)


def test_what_is_not_drawn_is_said():
    nothing = xr.Dataset({"defect": 1.0})
    for result in set(RESULTS) - set(registered()):
        with pytest.raises(InputError, match=f"dataset: found '{result}', which has no figure, expected one of budget, "):
            fp.plot.show(stamp(nothing, result))
    with pytest.raises(InputError, match="dataset: found a Dataset without a result's name"):
        fp.plot.show(nothing)
    with pytest.raises(InputError, match="dataset: found result 'tea' of version unknown, expected one of"):
        fp.plot.show(nothing.assign_attrs(result="tea"))
    for wrong in (None, "plane", np.ones(3), {"a": nothing}):
        with pytest.raises(InputError, match=r"dataset: found .* that flowplane made"):
            fp.plot.show(wrong)
