"""An estimator whose channel suits a recording."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import flowplane as fp
from flowplane.analysis.reading import VARIANCES, own_plane, suitable_measure
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
    assert choice.valid and choice.measure.relative == "unit" and f"{choice.measure.noise_variance:g} times" in choice.reason
    plane = fp.information_plane(rec)
    assert saturated(plane) <= 0.25 and np.isfinite(plane.i_xt).all()
    less = VARIANCES[VARIANCES.index(choice.measure.noise_variance) - 1]
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
    assert ";" not in plane.i_xt.channel  # one channel for all layers


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
    assert fp.information_plane(rec).i_xt.channel == fp.information_plane(rec, fp.Pairwise(2.0)).i_xt.channel


@pytest.mark.parametrize("online", [True, False])
def test_arguments_that_cannot_be_honoured_are_refused(online):
    rec = recorded(wide(30, 3), **({"measures": fp.Pairwise(2.0), "keep": "gradients"} if online else {}))
    with pytest.raises(InputError, match="samples: found 'nonsense', expected one of all, train, test"):
        fp.information_plane(rec, samples="nonsense")
    with pytest.raises(InputError, match=r"noise_variance: found -3\.0, expected the variance of Gaussian noise, above 0"):
        fp.information_plane(rec, noise_variance=-3.0)
    with pytest.raises(InputError, match=r"noise_variance: found"):  # the reading has a channel of its own
        fp.information_plane(rec, noise_variance=0.1)
    with pytest.raises(InputError, match="noise_variance: found a variance for Binned"):
        fp.information_plane(rec, fp.Binned(30), noise_variance=0.1)
    with pytest.raises(TypeError, match=r"no argument 'noise' any more: it is called 'noise_variance' now"):
        fp.information_plane(rec, noise=0.1)
    with pytest.raises(InputError, match="samples: found a part of the probe inputs"):
        fp.information_plane(rec, samples="train")


def test_measures_that_are_no_planes_are_passed_over():
    def width(activations, *rest, **known):
        return xr.Dataset({"width": ("batch", np.full(len(activations), activations.shape[2]))})

    rec = recorded(wide(30, 3), measures=(width, fp.Pairwise(2.0)), keep="gradients")
    assert fp.information_plane(rec).i_xt.estimator == "Pairwise"


def test_what_is_made_of_a_plane_reads_as_the_function_does():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(4, 3), replicas=2, epochs=20, snapshots=8)
    plane = fp.information_plane(rec)
    assert fp.relaxation_times(rec).identical(fp.relaxation_times(rec, plane))
    assert fp.replica_spread(rec).identical(fp.replica_spread(rec, plane))
    np.testing.assert_array_equal(own_plane(rec, None, ("i_xt",)).i_xt, plane.i_xt)
