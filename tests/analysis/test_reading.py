"""How a recording is read where nobody says how."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import flowplane as fp
from flowplane.analysis.compression import compression
from flowplane.analysis.reading import own_plane
from flowplane.core.results import Flags
from flowplane.errors import InputError

X = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))


def recorded(model, **arguments):
    with fp.Recorder(model, X, X[:, 0] > 0, **arguments) as recorder:
        pass
    return recorder.recording


def wide(*widths):
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(a, b) for a, b in zip((20, *widths), widths, strict=False)))


def test_the_papers_networks_get_bins():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(6, 4), replicas=1, epochs=1, snapshots=2)
    assert fp.information_plane(rec).identical(fp.information_plane(rec, fp.Binned(30)))
    resolved = fp.information_plane(rec, resolution=[0.3, 0.1])  # as a model is read
    assert resolved.resolution.values.tolist() == [0.3, 0.1] and resolved.i_ty.estimator == "Decodable"
    assert "drawn" not in resolved.i_xt.attrs["x"]  # its 4,096 patterns are all there are


def test_networks_with_noise_need_no_channel():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=1, epochs=1, snapshots=2, noise_variance=0.01)
    assert fp.information_plane(rec).i_xt.estimator == "KSG"
    with pytest.raises(InputError, match="rec: found int"):
        fp.information_plane(3)


def test_models_are_read_at_resolutions_and_by_a_probe():
    plane = fp.information_plane(recorded(wide(2000, 500, 100)))
    assert plane.i_xt.dims == ("replica", "epoch", "layer", "resolution")
    assert plane.resolution.values.tolist() == [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
    assert plane.i_ty.dims == ("replica", "epoch", "layer") == plane.accuracy.dims
    assert (plane.i_xt.estimator, plane.i_xt.bound) == ("Pairwise", "upper")
    assert (plane.i_ty.estimator, plane.i_ty.bound, plane.i_ty.channel) == ("Decodable", "lower", "none")
    assert float(plane.i_ty.min()) > 0.7  # linear layers lose nothing that is linear
    assert np.ptp(plane.i_xt.sel(resolution=0.1).values) < 0.5  # and are alike, however wide
    one = fp.information_plane(recorded(wide(30, 3)), resolution=0.05)
    assert one.resolution.values.tolist() == [0.05]


def test_without_labels_there_is_no_y():
    with fp.Recorder(wide(30, 3), X) as recorder:
        pass
    plane = fp.information_plane(recorder.recording)
    assert np.isnan(plane.i_ty).all() and Flags.names(plane.i_ty_flags) == ("no_labels",)
    assert np.isfinite(plane.i_xt).all() and "accuracy" not in plane


def trained():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 10), nn.ReLU(), nn.Linear(10, 2))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    labels = (X[:, 0] * X[:, 1] > 0).long()
    with fp.Recorder(model, X, labels, epochs=12) as recorder:
        for _ in range(12):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X), labels).backward()
            optimizer.step()
            recorder.step()
    return recorder.recording


def test_a_layer_reads_the_same_whatever_else_is_shown():
    rec = trained()
    whole = fp.information_plane(rec)
    parts = [rec.sel(layer=["2", "4"]), rec.sel(epoch=[0, 5, 12]), rec.sel(layer="0", epoch=12), rec.thin(3)]
    for part in parts:
        found = fp.information_plane(part)
        chosen = whole.sel(epoch=found.epoch.values, layer=found.layer.values)
        for name in ("i_xt", "i_ty", "i_xt_lower", "i_ty_upper", "accuracy"):
            np.testing.assert_allclose(found[name], chosen[name], atol=1e-5, err_msg=name)
        assert (found.i_xt_flags.values == chosen.i_xt_flags.values).all()


def test_a_layer_that_only_grows_neither_learns_nor_compresses():
    model = wide(30, 2)
    with fp.Recorder(model, X, X[:, 0] > 0, epochs=20) as recorder, torch.no_grad():
        for _ in range(20):
            model[0].weight.mul_(1.2)
            model[0].bias.mul_(1.2)
            recorder.step()
    plane = fp.information_plane(recorder.recording)
    assert (plane.sel(layer="0").std("epoch")[["i_xt", "i_ty"]].to_array() < 1e-4).all()
    assert not compression(recorder.recording, plane).compresses.any()


class Noisy(nn.Module):
    def forward(self, x):
        return x + 0.1 * torch.randn_like(x)


def test_noisy_layers_are_no_functions_of_x():
    with pytest.warns(RuntimeWarning, match="different outputs for the same inputs"):
        rec = recorded(nn.Sequential(nn.Linear(20, 5), Noisy(), nn.Linear(5, 2)))
    plane = fp.information_plane(rec)
    noisy = plane.sel(layer=~plane.deterministic)
    assert noisy.sizes["layer"] >= 1 and np.isnan(noisy.i_xt).all() and np.isfinite(noisy.i_ty).all()
    assert Flags.names(noisy.i_xt_flags) == ("not_a_function",)
    assert np.isfinite(plane.sel(layer=plane.deterministic).i_xt).all()
    assert np.isfinite(fp.information_plane(rec, fp.KSG()).sel(layer=~plane.deterministic).i_xt).all()


def test_targets_are_decoded_as_numbers():
    y = X[:, 0] + 0.5 * X[:, 1]
    with fp.Recorder(wide(30, 3), X, y) as recorder:
        pass
    plane = fp.information_plane(recorder.recording)
    assert plane.i_ty.sel(layer="0").item() > 3.5 and "accuracy" not in plane
    assert plane.i_ty.attrs["labels"] == "numbers or tags"
    assert "label_information" not in plane.attrs  # the entropy of ten classes is no ceiling of a number's


def test_tokens_of_one_prompt_are_held_out_together():
    """Every token carries its prompt's random label, and where it is from: only folds by prompt find nothing."""
    prompts = torch.randn(60, 1, 16, generator=torch.Generator().manual_seed(1)).expand(-1, 7, -1)
    labels = torch.randint(0, 2, (60,), generator=torch.Generator().manual_seed(2))[:, None].expand(-1, 7)
    rec = fp.record(nn.Sequential(nn.Linear(16, 16), nn.ReLU()), prompts, labels, reduce="tokens")
    plane = fp.information_plane(rec)
    assert rec.row_samples is not None and float(plane.i_ty_lower.max()) < 0.05
    plain = fp.Decodable("neighbours")(rec.activations("0").values[0, 0], rec.task.labels)
    assert float(plain.i_ty) > 0.4


def test_activations_that_were_not_kept_leave_what_was_measured():
    rec = recorded(wide(30, 3), measures=(fp.Pairwise(2.0), fp.KSG()), keep="gradients")
    plane = fp.information_plane(rec)
    assert plane.i_xt.channel == fp.information_plane(rec, fp.Pairwise(2.0)).i_xt.channel
    assert fp.information_plane(rec, list(rec.online)[1]).i_ty.estimator == "KSG"
    with pytest.raises(InputError, match=r"estimator: found 'KSG', expected an estimator .*: Pairwise"):
        fp.information_plane(rec, "KSG")
    with pytest.raises(InputError, match=r"resolution: found .* taken while it was recorded"):
        fp.information_plane(rec, resolution=0.1)
    kept = recorded(wide(30, 3), measures=fp.Pairwise(2.0))
    assert fp.information_plane(kept).i_ty.estimator == "Decodable"  # what was asked for online is read where it is named
    assert fp.information_plane(kept, next(iter(kept.online))).i_ty.estimator == "Pairwise"

    def width(activations, *rest, **known):
        return xr.Dataset({"width": ("batch", np.full(len(activations), activations.shape[2]))})

    with pytest.raises(InputError, match=r"keep=\('activations', …\) while recording, or estimator="):
        fp.information_plane(recorded(wide(30, 3), measures=width, keep="gradients"))


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
    with pytest.raises(InputError, match=r"resolution: found \(0\.1,\) beside Binned"):
        fp.information_plane(rec, fp.Binned(30), resolution=0.1)
    with pytest.raises(InputError, match=r"resolution: found \(0\.1,\) beside Pairwise"):
        fp.information_plane(rec, fp.Pairwise(0.1), resolution=0.1)
    with pytest.raises(InputError, match="resolution: found -1, expected shares"):
        fp.information_plane(rec, resolution=-1)
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
