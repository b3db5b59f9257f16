"""Figures of estimators: what is on them, in which units, what is hollow, and what they refuse."""

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError

CHOSEN = {"bins": fp.Binned(8), "noise": fp.Pairwise(0.1), "normal": fp.GaussianMI()}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 2))
    layer = x + 0.5 * rng.normal(size=x.shape)
    return fp.compare_estimators(layer, x[:, 0] > 0, inputs=x, estimators=CHOSEN)


@pytest.fixture(scope="module")
def curves(rec):
    chosen = {"bins": fp.Binned(30), "normal": fp.GaussianMI()}
    return fp.compare_estimators(rec.sel(replica=[0, 1], layer=["layer1", "layer5", "layer6"]), estimators=chosen)


@pytest.fixture(scope="module")
def curve():
    rng = np.random.default_rng(1)
    layer = rng.normal(size=(128, 2))
    labels = np.arange(128) % 2
    return fp.information.convergence(fp.KSG(), layer + 2 * labels[:, None], labels, inputs=layer, draws=2)


def axes(figure, letter):
    return [axis.title.text for axis in figure.select_xaxes() if letter == "x"] or [
        axis.title.text for axis in figure.select_yaxes()
    ]


# -- a table -----------------------------------------------------------------------------------------------------------


def test_a_table_as_a_figure(table):
    figure = fp.plot.compare_estimators(table, title="One layer")
    assert isinstance(figure, go.Figure)
    assert figure.layout.title.text == "One layer"
    assert axes(figure, "x") == ["I(X;T) [bits]", "I(T;Y) [bits]"]
    assert len(figure.data) == 4  # two quantities, with and without a flag
    assert list(figure.layout.yaxis.categoryarray) == list(CHOSEN)[::-1]
    for k, quantity in enumerate(("i_xt", "i_ty")):
        shown = {name: x for trace in figure.data[2 * k : 2 * k + 2] for name, x in zip(trace.y, trace.x, strict=True)}
        assert shown == {name: float(table[quantity].sel(estimator=name)) for name in CHOSEN}
        for trace in figure.data[2 * k : 2 * k + 2]:
            rows = table.sel(estimator=list(trace.y))
            assert np.allclose(np.array(trace.x) + trace.error_x.array, rows[f"{quantity}_upper"])
            assert np.allclose(np.array(trace.x) - trace.error_x.arrayminus, rows[f"{quantity}_lower"])


def test_flagged_values_are_hollow(table):
    figure = fp.plot.compare_estimators(table)
    for k, trace in enumerate(figure.data):
        flags, flagged = table["i_xt_flags" if k < 2 else "i_ty_flags"], trace.marker.color == "white"
        assert all((int(flags.sel(estimator=name)) != 0) == flagged for name in trace.y)


def test_what_is_not_given_is_said(table):
    missing = fp.compare_estimators(np.random.default_rng(2).normal(size=(80, 2)), np.arange(80) % 2, estimators=CHOSEN)
    figure = fp.plot.compare_estimators(missing)
    assert axes(figure, "x") == ["I(X;T) [bits]", "I(T;Y) [bits]"] and figure.layout.yaxis.categoryarray[0] == "normal"
    said = "not given: I(X;T) of normal (I(X;T) needs the inputs, which were not given)"
    assert said in figure.layout.title.subtitle.text
    assert all(len(trace.x) == len(trace.error_x.array) for trace in figure.data)
    assert "not given" not in fp.plot.compare_estimators(table).layout.title.subtitle.text


def test_a_quantity_and_an_estimator_without_values_are_left_out(table):
    table = table.copy(deep=True)
    for quantity in ("i_xt", "i_ty"):
        table[quantity][1] = np.nan
        table[f"{quantity}_flags"][1] = 0
    figure = fp.plot.compare_estimators(table)
    assert list(figure.layout.yaxis.categoryarray) == ["normal", "bins"]
    assert "not given: I(X;T) of noise; I(T;Y) of noise" in figure.layout.title.subtitle.text
    unlabelled = fp.compare_estimators(np.random.default_rng(2).normal(size=(80, 2)), estimators=CHOSEN)
    figure = fp.plot.compare_estimators(unlabelled)
    assert axes(figure, "x") == ["I(X;T) [bits]"]
    assert "I(T;Y) (I(T;Y) needs labels" in figure.layout.title.subtitle.text.replace("<br>", "")
    with pytest.raises(InputError, match="found no finite value"):
        fp.plot.compare_estimators(table.isel(estimator=[1]))


def test_dimensions_of_one_are_no_dimensions(table, rec):
    assert len(fp.plot.compare_estimators(table.expand_dims(replica=[0])).data) == 4
    part = rec.sel(replica=0, epoch=40, layer="layer3")
    figure = fp.plot.compare_estimators(fp.compare_estimators(part, estimators=[fp.Binned(30), fp.GaussianMI()]))
    assert list(figure.layout.yaxis.categoryarray) == ["GaussianMI", "Binned"]


def test_one_estimator_is_a_table(table):
    assert fp.plot.compare_estimators(table.isel(estimator=[0])).data


@pytest.mark.parametrize("wrong", [None, "table", 3, xr.Dataset()])
def test_what_is_no_table_is_refused(wrong):
    for figure in (fp.plot.compare_estimators, fp.plot.estimator_curves, fp.plot.convergence):
        with pytest.raises(InputError):
            figure(wrong)


def test_tables_over_more_than_estimators_are_refused(table, curves, curve):
    with pytest.raises(InputError, match="dataset: found dimensions"):
        fp.plot.compare_estimators(curves)
    with pytest.raises(InputError, match="dataset: found dimensions"):
        fp.plot.compare_estimators(table.isel(estimator=0))
    with pytest.raises(InputError, match="dataset: found dimensions"):
        fp.plot.compare_estimators(curve)


@pytest.mark.parametrize("name", ["compare_estimators", "estimator_curves", "convergence"])
def test_units_are_not_mixed(name, table, curves, curve):
    given = {"compare_estimators": table, "estimator_curves": curves, "convergence": curve}[name].copy()
    given["i_xt"] = given["i_xt"].assign_attrs(units="nats")
    with pytest.raises(InputError, match="i_xt: found units 'nats', expected bits"):
        getattr(fp.plot, name)(given)


# -- curves over training ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "label"), [("i_xt", "I(X;T)"), ("i_ty", "I(T;Y)"), ("h_t", "H(T)")])
def test_curves(curves, quantity, label):
    figure = fp.plot.estimator_curves(curves, title="Training", quantity=quantity)
    assert figure.layout.title.text == "Training"
    assert set(axes(figure, "x")) - {None} == {"epoch"}
    assert {axis.title.text for axis in figure.select_yaxes()} - {None} == {f"{label} [bits]"}
    estimators = 1 if quantity == "i_xt" else 2  # of a continuous channel without noise I(X;T) is infinite
    assert len(figure.data) == estimators * 3 * (2 + 1)  # layers, replicas and their mean
    named = [trace for trace in figure.data if trace.showlegend is not False]
    assert [trace.name for trace in named] == ["layer 1", "layer 5", "layer 6 (softmax)"]
    mean = curves[quantity].sel(estimator="bins", layer="layer5").mean("replica").values
    strong = next(trace for trace in figure.data if trace.name == "layer 5" and trace.mode == "lines+markers")
    assert np.allclose(strong.y, mean)
    assert np.allclose(strong.x, np.log10(curves.epoch.values + 1))


def test_an_estimator_that_gives_nothing_has_no_panel(curves):
    figure = fp.plot.estimator_curves(curves)
    assert [note.text for note in figure.layout.annotations] == ["bins"]
    assert "not given, see fp.explain: normal" in figure.layout.title.subtitle.text
    assert "not given" not in fp.plot.estimator_curves(curves, quantity="i_ty").layout.title.subtitle.text
    with pytest.raises(InputError, match="found no finite value"):
        fp.plot.estimator_curves(curves.where(curves.i_xt > 99))


def test_networks_are_rows(curves):
    both = xr.concat([curves, curves], xr.Variable("network", ["tanh", "relu"]), combine_attrs="override")
    figure = fp.plot.estimator_curves(both, quantity="i_ty")
    assert len(figure.data) == 2 * 2 * 3 * 3
    titles = {note.text for note in figure.layout.annotations}
    assert titles >= {"tanh · bins", "tanh · normal", "relu · bins", "relu · normal"}
    assert len(axes(figure, "x")) == 4


def test_hollow_where_most_replicas_are_flagged(curves):
    flagged = curves.copy(deep=True)
    flagged["i_xt_flags"][:], flagged["i_ty_flags"][:] = 0, 1
    flagged["i_xt_flags"][{"estimator": 0, "layer": 0, "epoch": -1}] = 1
    figure = fp.plot.estimator_curves(flagged)
    first = next(trace for trace in figure.data if trace.mode == "lines+markers")
    assert first.marker.color[-1] == "white"
    assert "white" not in first.marker.color[:-1]


def test_the_order_of_epochs_does_not_matter(curves):
    turned = fp.plot.estimator_curves(curves.isel(epoch=slice(None, None, -1)))
    straight = fp.plot.estimator_curves(curves)
    assert np.allclose(turned.data[2].y, straight.data[2].y)


def test_what_curves_refuse(curves, table):
    with pytest.raises(InputError, match="dataset: found dimensions"):
        fp.plot.estimator_curves(table)
    with pytest.raises(InputError, match="dataset: found dimensions"):
        fp.plot.estimator_curves(curves.isel(replica=0))
    with pytest.raises(InputError, match=r"quantity|dataset"):
        fp.plot.estimator_curves(curves, quantity="i_yt")


# -- convergence -------------------------------------------------------------------------------------------------------


def test_convergence(curve):
    figure = fp.plot.convergence(curve, title="Settled?")
    assert figure.layout.title.text == "Settled?"
    assert axes(figure, "x") == ["samples", "samples", "k", "k"]
    assert [axis.title.text for axis in figure.select_yaxes()] == ["I(X;T) [bits]", "I(T;Y) [bits]"] * 2
    assert len(figure.data) == 2 * (curve.sizes["k"] + 1)
    by_samples = figure.data[0]
    assert np.allclose(by_samples.y, curve.i_xt.isel(k=0).mean("draw"))
    assert by_samples.x.tolist() == curve.samples.values.tolist()
    by_parameter = figure.data[curve.sizes["k"]]
    assert np.allclose(by_parameter.y, curve.i_xt.isel(samples=-1, draw=0))
    assert "KSG" in figure.layout.title.subtitle.text


def test_only_what_is_finite_is_shown():
    layer, labels = np.random.default_rng(3).normal(size=(64, 1)), np.arange(64) % 2
    curve = fp.information.convergence(fp.KSG(), layer, labels, draws=1)
    figure = fp.plot.convergence(curve)
    assert [axis.title.text for axis in figure.select_yaxes()] == ["I(T;Y) [bits]"] * 2
    nothing = fp.information.convergence(fp.KSG(), layer, draws=1)
    with pytest.raises(InputError, match="dataset: found no finite value"):
        fp.plot.convergence(nothing)


def test_a_plateau_is_shaded():
    layer = np.repeat([0.1, 0.6, 1.1, 1.6], 50)[:, None]
    labels = np.repeat([0, 1], 100)
    known = {"sizes": [100, 200], "draws": 1}
    flat = fp.information.convergence(fp.Binned(range=(0, 2)), layer, labels, values=[4, 8, 16], **known)
    figure = fp.plot.convergence(flat)
    assert len(figure.layout.shapes) == 2
    assert {(shape.x0, shape.x1) for shape in figure.layout.shapes} == {(4, 16)}
    assert "plateau from bins = 4 to 16" in figure.layout.title.subtitle.text
    steep = fp.information.convergence(fp.Binned(range=(0, 2)), layer, labels, values=[1, 4], **known)
    assert not fp.plot.convergence(steep).layout.shapes
    assert "no plateau in bins" in fp.plot.convergence(steep).layout.title.subtitle.text


def test_parameters_that_are_names():
    layer, labels = np.random.default_rng(4).normal(size=(64, 1)), np.arange(64) % 2
    curve = fp.information.convergence(fp.Binned(4), layer, labels, parameter="range", values=["data", "quantiles"], draws=1)
    figure = fp.plot.convergence(curve)
    assert list(figure.data[2].x) == ["data", "quantiles"]


def test_what_convergence_refuses(curve, table):
    with pytest.raises(InputError, match="dataset: found dimensions"):
        fp.plot.convergence(table)
    with pytest.raises(InputError, match="dataset: found dimensions"):
        fp.plot.convergence(curve.isel(k=0))


@pytest.mark.parametrize("name", ["compare_estimators", "estimator_curves", "convergence"])
def test_figures_can_be_written(name, table, curves, curve, tmp_path):
    given = {"compare_estimators": table, "estimator_curves": curves, "convergence": curve}[name]
    path = tmp_path / "figure.html"
    fp.plot.save(getattr(fp.plot, name)(given), path)
    assert path.stat().st_size > 1000
