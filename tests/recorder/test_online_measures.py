"""What measures find while a model is trained: stored as it is, whatever it is, and read from recordings of format 2."""

import json

import icechunk
import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from torch import nn

import flowplane as fp
from flowplane.recording.store import FORMAT

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


class Manifold:
    """Numbers of all kinds: of a layer, of its units' quantiles, texts, truths; what a layer says of itself."""

    def __repr__(self):
        return "Manifold()"

    def __call__(self, activations, labels=None, *, inputs=None, conditional=None, probability=None, seed=0):
        values = np.asarray(activations, np.float64)
        quantiles = np.quantile(values, [0.1, 0.5, 0.9], axis=(1, 2)).T
        size = values.std(axis=(1, 2))
        dims = ("batch",)
        return xr.Dataset(
            {
                "size": (dims, size, {"units": "units of x", "levels": np.array([1, 2]), "least": float("nan")}),
                "quantiles": ((*dims, "level"), quantiles.astype(np.float32), {"units": "units of x"}),
                "units": (dims, np.full(len(values), values.shape[-1], np.int16)),
                "wide": (dims, np.full(len(values), values.shape[-1] > 2)),
                "word": (dims, np.where(size > size.mean() - 1, f"{values.shape[-1]} units: σ", "few")),
            },
            {"scale": float(size[0] > 0) * values.shape[-1], "channel": f"a grid of {values.shape[-1]}"},
            {"confidence": 0.95, "ends": (-np.inf, 1.0), "said": f"{values.shape[-1]} units", "none": None},
        )


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    path = tmp_path_factory.mktemp("online") / "run.fp"
    with fp.Recorder(model, X, Y, path=path, epochs=3, measures=(Manifold(), fp.Pairwise(0.1))) as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X), Y).backward()
            optimizer.step()
            recorder.step()
    return recorder.recording


def test_any_dataset_is_stored_as_it_is(rec):
    found = rec.measure(Manifold())
    alone = [[Manifold()(rec.activations(layer).values[0, e][None]) for layer in rec.layers] for e in range(4)]
    assert list(found.data_vars) == list(alone[0][0].data_vars)
    for name, variable in found.data_vars.items():
        expected = np.stack([[part[name].values[0] for part in parts] for parts in alone])
        assert variable.dims[:3] == ("replica", "epoch", "layer") and variable.dtype.kind == expected.dtype.kind
        assert variable.dtype.kind == "U" or variable.dtype == expected.dtype
        np.testing.assert_array_equal(variable.values[0], expected, err_msg=str(name))
    assert found.quantiles.dims == ("replica", "epoch", "layer", "level")
    assert found.word.values[0, -1, 0] == "5 units: σ"
    about = found["size"].attrs
    assert about["units"] == "units of x" and list(about["levels"]) == [1, 2] and np.isnan(about["least"])


def test_what_a_layer_says_of_itself(rec):
    found = rec.measure(Manifold())
    assert found.scale.dims == found.channel.dims == ("layer",)
    assert found.scale.values.tolist() == [5.0, 5.0, 2.0] and found.channel.values.tolist()[-1] == "a grid of 2"
    assert found.said.values.tolist() == ["5 units", "5 units", "2 units"]  # an attribute in which layers differ
    assert found.attrs["confidence"] == 0.95 and list(found.attrs["ends"]) == [-np.inf, 1.0]
    some = rec.sel(layer=["2", "0"], epoch=[3, 1]).measure(Manifold())
    assert some.scale.values.tolist() == [2.0, 5.0] and some.layer.values.tolist() == ["2", "0"]
    xr.testing.assert_identical(some, found.sel(layer=["2", "0"], epoch=[3, 1]))


def test_an_array_a_variable_and_no_text_in_json(rec):
    root = zarr.open_group(icechunk.Repository.open(storage(rec)).readonly_session("main").store, mode="r")
    assert root.attrs["flowplane_format"] == FORMAT
    plane = rec.measure(fp.Pairwise(0.1))
    group = root["measures/01"]
    assert set(group.array_keys()) == {*map(str, plane.data_vars), *group.attrs["coordinates"]} - {"flags"} | (
        {"flags"} if "i_xt_flags" not in plane else set()
    )
    assert group["i_xt"].metadata.dimension_names == ("replica", "epoch", "layer")
    assert group["i_xt"].attrs["units"] == "bits"
    assert not any(isinstance(value, str) and value.startswith("{") for value in group.attrs.values())


def storage(rec):
    return icechunk.local_filesystem_storage(f"{rec.path}/data")


def test_a_measure_of_format_2_is_read(rec):
    """As 0.1 wrote it: one row of numbers a layer, described in JSON; `epochs` were `total`."""
    now = rec.measure(fp.Pairwise(0.1))
    session = icechunk.Repository.open(storage(rec)).writable_session("main")
    root = zarr.open_group(session.store, mode="r+")
    names = ["i_xt", "i_ty", "flags"]
    flags = {"flag_masks": [1, 2], "flag_meanings": "saturated clipped", "long_name": "validity"}
    attrs = {"i_xt": {"units": "bits", "long_name": "I(X;T)"}, "i_ty": {"units": "bits"}, "flags": flags}
    kinds = {"i_xt": "<f8", "i_ty": "<f8", "flags": "<i4"}
    variables = [{"name": n, "dims": [], "shape": [], "kind": kinds[n], "attrs": attrs[n]} for n in names]
    about = {"kind": ["upper bound"] * 3, "estimator": ["Pairwise"] * 3, "parameters": [json.dumps({"variance": 0.1})] * 3}
    about |= {"channel": ["noise of 1", "noise of 1", "noise of 2"], "units": ["bits"] * 3}
    del root["measures/01"]
    group = root.create_group("measures/01")
    group.attrs["packing"] = json.dumps({"variables": variables, "attrs": about})
    values = np.stack([now["i_xt"].values, now["i_ty"].values, np.full(now["i_xt"].shape, 2.0)], axis=-1)
    room = np.concatenate([values, np.full((1, 60, *values.shape[2:]), np.nan)], axis=1)
    group.create_array("values", data=room, dimension_names=("replica", "epoch", "layer", "number"))
    stored = json.loads(root.attrs["configuration"])
    stored["total"] = stored.pop("epochs")
    stored["measures"][1] = "Pairwise(variance=0.1, bound='upper', relative=False)"
    root.attrs.update({"configuration": json.dumps(stored), "flowplane_format": 2})
    session.commit("as it was")
    old = fp.open(rec.path)
    assert old.attrs["epochs"] == 3 and "total" not in old.attrs
    found = old.measure(fp.Pairwise(0.1))
    np.testing.assert_array_equal(found.i_xt, now.i_xt)
    np.testing.assert_array_equal(found.i_ty, now.i_ty)
    assert (found.flags == 2).all() and found.flags.dtype.kind == "i" and found.i_xt.attrs["units"] == "bits"
    assert (found.i_xt.bound, found.i_xt.estimator, found.i_xt.parameters) == ("upper", "Pairwise", "variance=0.1")
    assert found.channel.values.tolist() == ["noise of 1", "noise of 1", "noise of 2"]
    assert set(found.attrs) >= {"result", "network", "samples"} and not {"kind", "units", "channel"} & set(found.attrs)
    some = old.sel(layer="2", epoch=[2, 3]).measure(fp.Pairwise(0.1))
    assert some.i_xt.channel == "noise of 2"
    np.testing.assert_array_equal(some.i_xt.values[0, :, 0], now.i_xt.values[0, 2:, 2])
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    with pytest.raises(fp.errors.InputError, match=r"path: found .*, online measures in format 2, expected format 3"):
        fp.Recorder(model, X, Y, path=rec.path, mode="resume", measures=(Manifold(), fp.Pairwise(0.1))).start()


class Dropped(nn.Module):
    """A model with noise of its own in eval mode too."""

    def forward(self, x):
        return x + torch.randn_like(x)


def test_measures_know_the_layer_online_as_they_do_later():
    """KSG of a deterministic model has no I(X;T), and a measure of noisy ones that needs a function is refused."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    with fp.Recorder(model, X, Y, measures=(fp.KSG(4),)) as recorder:
        pass
    online = recorder.recording.measure(fp.KSG(4))
    assert np.isnan(online.i_xt).all() and np.isfinite(online.i_ty).all()
    with fp.Recorder(model, X, Y) as recorder:
        pass
    xr.testing.assert_allclose(online, recorder.recording.measure(fp.KSG(4)))
    with (
        pytest.warns(RuntimeWarning, match="different outputs for the same inputs"),
        pytest.raises(fp.errors.InputError, match=r"measures: found Pairwise, expected .* noise of its own"),
    ):
        fp.Recorder(nn.Sequential(nn.Linear(3, 2), Dropped()), X, Y, measures=(fp.Pairwise(0.1),))
