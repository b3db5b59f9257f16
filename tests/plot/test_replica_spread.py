"""The figure of replicas: every pair, every layer, at both epochs, inside the axes."""

import numpy as np
import pytest

import flowplane as fp
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def spread(rec):
    return fp.replica_spread(rec)


def test_every_pair_and_every_layer(spread):
    figure = fp.plot.replica_spread(spread, title="Apart")
    assert figure.layout.title.text == "Apart"
    strips = [trace for trace in figure.data if trace.mode == "markers"]
    for trace, name in zip(strips, ("distance_unaligned", "distance", "distance_random"), strict=True):
        assert np.allclose(trace.y, spread[name])
    bars = [trace for trace in figure.data if trace.mode == "lines"]
    assert np.allclose([bar.y[0] for bar in bars], [np.mean(trace.y) for trace in strips])
    curves = {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}
    assert list(curves) == ["I(X;T), epoch 0", "I(X;T), epoch 40", "I(T;Y), epoch 0", "I(T;Y), epoch 40"]
    assert np.allclose(curves["I(X;T), epoch 40"].y, spread.relative_xt[1])
    assert np.allclose(curves["I(T;Y), epoch 0"].customdata, spread.spread_ty[0])


def test_all_lies_inside(spread):
    figure = fp.plot.replica_spread(spread)
    for name, axis in (
        ("distance_unaligned", "yaxis"),
        ("distance", "yaxis"),
        ("relative_xt", "yaxis2"),
        ("relative_ty", "yaxis2"),
    ):
        low, high = figure.layout[axis].range
        assert low <= float(spread[name].min()) and float(spread[name].max()) < high
    assert figure.layout.yaxis.range[1] > np.sqrt(2)
    assert f"same class on {100 * float(spread.agreement.mean()):.1f} %" in figure.layout.title.subtitle.text
    assert "3 pairs" in figure.layout.title.subtitle.text


def test_one_pair(rec):
    figure = fp.plot.replica_spread(fp.replica_spread(rec.sel(replica=[0, 1])))
    assert "1 pair," in figure.layout.title.subtitle.text


def test_what_is_refused(spread, rec):
    with pytest.raises(InputError, match="found EnsembleRecording"):
        fp.plot.replica_spread(rec)
    with pytest.raises(InputError, match="a Dataset with distance_unaligned"):
        fp.plot.replica_spread(rec.metrics)
    with pytest.raises(InputError, match="spread_xt: found units 'nats'"):
        fp.plot.replica_spread(spread.assign(spread_xt=spread.spread_xt.assign_attrs(units="nats")))
    with pytest.raises(InputError, match="two epochs"):
        fp.plot.replica_spread(spread.isel(epoch=[0]))
