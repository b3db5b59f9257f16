"""The figure of embeddings: every embedding, every step, each axis one unit."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def influence():
    x = np.random.default_rng(0).normal(size=(40, 4))
    return fp.transport.embedding_influence([x, np.tanh(x), x[:, :3], x[:, :2]], draws=3)


def test_every_embedding_and_every_step(influence):
    figure = fp.plot.embedding_influence(influence, title="Apart")
    assert figure.layout.title.text == "Apart"
    assert [trace.name for trace in figure.data if trace.showlegend] == influence.embedding.values.tolist()
    for place, name in enumerate(("cost", "wasserstein", "optimality", "turning")):
        for trace, values in zip(figure.data[place::4], influence[name].values, strict=True):
            np.testing.assert_array_equal(trace.y, values)
    bars = {trace.name for trace in figure.data if trace.error_y.array is not None}
    assert bars == {"random"}  # the others have no draws
    assert f"procrustes {float(influence.straightness.sel(embedding='procrustes')):.2f}" in figure.layout.title.subtitle.text


def test_networks_are_averaged(influence):
    networks = xr.concat([influence, influence + 0.2], "network", combine_attrs="override")
    for name in influence:
        networks[name].attrs = influence[name].attrs
    figure = fp.plot.embedding_influence(networks)
    np.testing.assert_allclose(figure.data[0].y[1:], influence.cost.values[0, 1:] + 0.1)
    np.testing.assert_allclose(figure.data[0].error_y.array[1:], 0.2 / np.sqrt(2))


def test_what_is_refused(influence):
    with pytest.raises(InputError, match="cost"):
        fp.plot.embedding_influence(influence.drop_vars("cost"))
    with pytest.raises(InputError, match="wasserstein: found units 'bits'"):
        fp.plot.embedding_influence(influence.assign(wasserstein=influence.wasserstein.assign_attrs(units="bits")))
    with pytest.raises(InputError, match=r"dataset: found cost over \('layer',\)"):
        fp.plot.embedding_influence(influence.isel(embedding=0))
