"""The transport profile and the similarity of layers: what is on them, what is escaped, what they refuse."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.analysis.transport.quantities import QUANTITIES
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.plot.figures.layer_transport import PANELS
from flowplane.plot.names import layer_texts, shortened
from flowplane.plot.page.drawing import drawn

NAMES = ["net.0.<script>alert(1)</script>", "net.a_very_long_name_of_a_layer_indeed.proj", "net.2"]


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    dims, shape = ("replica", "epoch", "layer"), (2, 3, 3)
    data = {name: (dims, rng.random(shape), {"units": about.units}) for name, about in QUANTITIES.items()}
    for name in ("log_det", "log_det_affine"):
        data[name] = (dims, np.full(shape, np.nan), {"units": "nats"})
        data[f"{name}_flags"] = (dims, np.ones(shape, int), Flags({"lost": ("no <weights>", "")}).attrs())
    data["wasserstein"][1][1] = np.nan
    data["cka"] = ((*dims, "other_layer"), np.tile(np.eye(3), (2, 3, 1, 1)), {"units": "1"})
    data["probe_input"] = ((), 0.5)
    return xr.Dataset(data, {"replica": [0, 1], "epoch": [0, 10, 100], "layer": NAMES}, {"network": "<b>Net</b>"})


def test_every_quantity_of_a_panel_is_drawn_for_every_epoch(found):
    figure = fp.plot.layer_transport(found)
    count = sum(len(panel.curves) for panel in PANELS)
    # two quantities are missing, the inputs have a line, the colour bar an unseen point
    assert len(figure.data) == 3 * (count - 2) + 1 + 1
    cost = [trace for trace in figure.data if trace.yaxis == "y" and len(trace.x) == 3]
    np.testing.assert_allclose([trace.y for trace in cost], found.cost.mean("replica"))
    exact = [trace for trace in figure.data if trace.yaxis == "y2" and trace.line.dash == "solid"]
    np.testing.assert_allclose([trace.y for trace in exact], found.wasserstein[0])
    assert len({trace.line.color for trace in cost}) == 3
    assert figure.layout.coloraxis.colorbar.title.text == "epoch"


def said(figure):
    return figure.layout.title.subtitle.text.replace(" <br>", " ").replace("<br>", " ")


def test_a_page_runs_on_where_the_figure_wraps_a_line(found):
    alphabet = Flags({"lost": ("the step changes the dimension, so volumes cannot be compared, " * 3, "")})
    for name in ("log_det", "log_det_affine"):
        found[f"{name}_flags"].attrs |= alphabet.attrs()
    figure = fp.plot.layer_transport(found)
    assert " <br>" in figure.layout.title.subtitle.text
    subtitle = drawn("figure", figure).content["subtitle"]
    assert said(figure).split("not shown: ")[1].strip() == subtitle.split("not shown: ")[1]


def test_what_has_no_panel_is_said(found):
    figure = fp.plot.layer_transport(found)
    assert len(figure.layout.annotations) == len(PANELS) - 1
    assert "not shown: change of volume at equal width (no &lt;weights&gt;)" in said(figure)
    with pytest.raises(InputError, match="found no finite value"):
        fp.plot.layer_transport(found.where(found.replica > 9))
    found = found.drop_vars(["log_det_flags", "log_det_affine_flags"])
    found["log_det"] = xr.full_like(found["log_det"], -np.inf)
    assert "(−∞: the derivative is singular)" in said(fp.plot.layer_transport(found))


def test_epochs_without_exact_plans_are_counted(found):
    assert "exact W₂ at" not in said(fp.plot.layer_transport(found))
    found["wasserstein"][:, 1] = np.nan
    assert "exact W₂ at 2 of 3 epochs" in said(fp.plot.layer_transport(found))


def test_what_a_single_layer_lacks_is_said():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), epochs=2, replicas=1, snapshots=2)
    found = fp.layer_transport(rec.sel(layer="layer1"), samples=100)
    text = said(fp.plot.layer_transport(found))
    assert "(there is no step before this one)" in text and "no finite value" not in text


@pytest.mark.parametrize("name", ["layer_transport", "layer_similarity"])
def test_names_are_escaped_and_short(found, name):
    figure = getattr(fp.plot, name)(found)
    text = figure.to_json()
    assert "<script" not in text.replace("\\u003c", "<") and "<b>Net" not in text.replace("\\u003c", "<")
    ticks = next(axis.ticktext for axis in figure.select_xaxes() if axis.ticktext)
    assert max(len(tick) for tick in ticks if "&" not in tick) <= 18


def test_layers_are_called_by_what_tells_them_apart():
    def texts(names):
        return layer_texts(xr.Dataset(coords={"layer": names}))

    assert texts(["layer1", "layer2"]) == ["1", "2"]
    assert texts([f"transformer.h.{k}.mlp" for k in range(3)]) == ["0", "1", "2"]
    assert texts(["a.b", "a.b.c"]) == ["b", "b.c"]
    assert texts(["head"]) == ["head"] and texts(["a.head"]) == ["a.head"]
    assert len(set(texts(NAMES))) == 3
    assert shortened("x" * 40, 10) == "xxxxx…xxxx"


def test_similarity_has_a_frame_an_epoch(found):
    found["cka"][0, 1, 0, 1] = np.nan
    figure = fp.plot.layer_similarity(found)
    assert [frame.name for frame in figure.frames] == ["0", "10", "100"]
    np.testing.assert_array_equal(figure.data[0].z, np.eye(3))
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 1)
    assert [step.label for step in figure.layout.sliders[0].steps] == ["0", "10", "100"]
    assert figure.layout.sliders[0].active == 2
    assert figure.frames[1].data[0].z[0, 1] == 0  # of the replica that has it
    assert not fp.plot.layer_similarity(found.isel(epoch=[0])).layout.sliders


def test_what_figures_of_transport_refuse(found):
    with pytest.raises(InputError, match=r"dataset: found ndarray, expected what fp\.layer_transport makes"):
        fp.plot.layer_transport(np.ones(3))
    with pytest.raises(InputError, match=r"what fp\.layer_transport makes"):
        fp.plot.layer_transport(found.drop_vars("cost"))
    with pytest.raises(InputError, match="without cka"):
        fp.plot.layer_similarity(found.drop_vars("cka"))
    with pytest.raises(InputError, match="no finite cka"):
        fp.plot.layer_similarity(found.assign(cka=found.cka * np.nan))
