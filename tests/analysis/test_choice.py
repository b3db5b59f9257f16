"""An estimator whose channel suits a recording."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.analysis.reading import VARIANCES, suitable_measure
from flowplane.errors import InputError

X = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))


def recorded(model, **arguments):
    with fp.Recorder(model, X, X[:, 0] > 0, **arguments) as recorder:
        pass
    return recorder.recording


def wide(*widths):
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(a, b) for a, b in zip((20, *widths), widths, strict=False)))


def saturated(plane):
    return float((plane.flags & 1 != 0).mean())


def test_the_papers_networks_get_bins():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(6, 4), replicas=1, epochs=1, snapshots=2)
    choice = suitable_measure(rec)
    assert choice.measure == fp.Binned(30) and choice.valid


def test_models_get_the_least_noise_that_does():
    rec = recorded(wide(2000, 500, 100))
    choice = suitable_measure(rec)
    assert choice.valid and choice.measure.relative == "snapshot" and f"{choice.measure.variance:g} times" in choice.reason
    plane = fp.information_plane(rec)
    assert saturated(plane) <= 0.25 and np.isfinite(plane.i_xt).all()
    less = VARIANCES[VARIANCES.index(choice.measure.variance) - 1]
    assert saturated(fp.information_plane(rec, fp.Pairwise(less, relative="unit"))) > 0.25


def test_a_layer_that_only_grows_neither_learns_nor_compresses():
    model = wide(30, 2)
    with fp.Recorder(model, X, X[:, 0] > 0, epochs=20) as recorder, torch.no_grad():
        for _ in range(20):
            model[0].weight.mul_(1.2)
            model[0].bias.mul_(1.2)
            recorder.step()
    plane = fp.information_plane(recorder.recording)
    assert (plane.sel(layer="0").std("epoch")[["i_xt", "i_ty"]].to_array() < 1e-4).all()
    assert "{" not in plane.attrs["channel"]  # one channel for all layers


def test_where_nothing_fits_it_says_why():
    choice = suitable_measure(fp.Recorder(wide(20_000), X[:50]).start().recording)
    assert not choice.valid and "I(X;T) says nothing here" in choice.reason


def test_networks_with_noise_need_no_channel():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=1, epochs=1, snapshots=2, noise_variance=0.01)
    assert suitable_measure(rec).measure == fp.KSG(4)
    with pytest.raises(InputError, match="rec: found int"):
        suitable_measure(3)


def test_the_default_of_a_model_is_what_was_measured_online():
    rec = recorded(wide(30, 3), measures=fp.Pairwise(2.0), keep="gradients")
    assert fp.information_plane(rec).attrs["channel"] == fp.information_plane(rec, fp.Pairwise(2.0)).attrs["channel"]
