"""Large clouds are made lighter by whole replicas and epochs: every layer is drawn, at the same ones."""

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import flowplane as fp
from flowplane.plot import plane as parts
from flowplane.plot.page import drawing
from flowplane.plot.thinning import kept_rows

REPLICAS, EPOCHS = 5, 12


def plane(layers):
    """I(X;T) says which layer a point belongs to, I(T;Y) which replica and epoch."""
    replica, epoch, layer = np.meshgrid(*map(np.arange, (REPLICAS, EPOCHS, layers)), indexing="ij")
    dims, bits = ("replica", "epoch", "layer"), {"units": "bits", "channel": "bins"}
    values = {"i_xt": layer + 1.0, "i_ty": (EPOCHS * replica + epoch + 1.0) / 100}
    coords = {"replica": range(REPLICAS), "epoch": range(EPOCHS), "layer": [f"layer{k + 1}" for k in range(layers)]}
    return xr.Dataset({name: (dims, part, bits) for name, part in values.items()}, coords)


def drawn_by_layer(x, y):
    """Which replicas and epochs are drawn in each layer."""
    x, y = (np.array(list(part), float) for part in (x, y))
    return {layer: sorted(y[x == layer].round(2)) for layer in np.unique(x)}


@pytest.mark.parametrize("layers", [1, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("every", [2, 3, 4, 5])
def test_all_layers_keep_the_same_replicas_and_epochs(layers, every, monkeypatch):
    size = REPLICAS * EPOCHS * layers
    whole = fp.plot.information_plane(plane(layers))
    assert len(whole.data[0].x) == size
    monkeypatch.setattr(drawing, "POINTS", size // every)
    page = drawing.drawn("plane", whole).content["data"][0]
    monkeypatch.setattr(parts, "FAINT_POINTS", size // every)
    lighter = fp.plot.information_plane(plane(layers)).data[0]
    for trace in (page, lighter.to_plotly_json()):
        shown = drawn_by_layer(trace["x"], trace["y"])
        assert list(shown) == list(range(1, layers + 1))
        assert len({tuple(rows) for rows in shown.values()}) == 1
        assert len(shown[1]) == REPLICAS * EPOCHS // every
        assert len(trace["x"]) == len(trace["y"]) == len(trace["marker"]["color"]) <= size // every


def test_of_more_layers_than_points_none_is_lost(monkeypatch):
    monkeypatch.setattr(parts, "FAINT_POINTS", 4)
    assert sorted(fp.plot.information_plane(plane(6)).data[0].x) == [1, 2, 3, 4, 5, 6]


def test_what_is_not_known_does_not_move_the_others(monkeypatch):
    known = plane(3)
    gaps = known.assign(i_xt=known.i_xt.where((known.layer != "layer2") | (known.epoch % 2 == 0)).assign_attrs(units="bits"))
    figure = fp.plot.information_plane(gaps)
    monkeypatch.setattr(drawing, "POINTS", 60)
    page = drawing.drawn("plane", figure).content["data"][0]
    x = np.array([np.nan if value is None else value for value in page["x"]]).reshape(-1, 3)
    assert len(x) == 20 and (x[:, 0] == 1).all() and (x[:, 2] == 3).all()
    assert set(x[:, 1][~np.isnan(x[:, 1])]) == {2} and np.isnan(x[:, 1]).any()


@pytest.mark.parametrize("every", [2, 3, 4, 5, 6])
def test_clouds_of_others_lose_no_layer_either(every, monkeypatch):
    x = np.tile(np.arange(6.0), 200)
    monkeypatch.setattr(drawing, "POINTS", len(x) // every)
    figure = go.Figure(go.Scattergl(x=x, y=x, mode="markers", marker={"color": x}))
    page = drawing.drawn("cloud", figure).content["data"][0]
    assert set(page["x"]) == set(range(6)) and page["x"] == page["y"] == page["marker"]["color"]


def test_rows():
    assert kept_rows(4, 4).tolist() == [0, 1, 2, 3]
    assert len(kept_rows(10, 0)) == 1
    kept = kept_rows(100, 10)
    assert len(set(kept)) == 10 and (np.diff(kept) > 0).all() and (kept == kept_rows(100, 10)).all()
