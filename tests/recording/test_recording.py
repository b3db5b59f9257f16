"""Reading recordings: views, activations, measures, and everything that is refused."""

import icechunk
import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from oracles import PlainNetwork

import flowplane as fp
from flowplane.core.schedule import even_places
from flowplane.errors import InputError
from flowplane.recording.store import FORMAT


@pytest.fixture
def stored(task, tmp_path):
    return fp.train(task, path=tmp_path / "run.fp", replicas=2, epochs=9, snapshots=4)


def test_on_disk_and_in_memory_are_the_same(task, stored, tmp_path):
    memory = fp.train(task, replicas=2, epochs=9, snapshots=4)
    reopened = fp.open(str(tmp_path / "run.fp"))
    for rec in (stored, reopened):
        assert np.array_equal(rec.weights.values, memory.weights.values)
        assert rec.metrics.equals(memory.metrics)
        assert rec.attrs == memory.attrs
        assert rec.task.digest == task.digest
        assert (rec.layers, rec.epochs.tolist()) == (memory.layers, [0, 1, 3, 9])
    assert reopened.path == str(tmp_path / "run.fp")
    assert "replicas: 2, snapshots: 4, from epoch 0 to 9 of 9" in repr(reopened)


def test_icechunk_storage(task, tmp_path):
    storage = icechunk.local_filesystem_storage(str(tmp_path / "bucket"))
    rec = fp.train(task, path=storage, replicas=1, epochs=2, snapshots=2)
    assert np.array_equal(fp.open(storage).weights.values, rec.weights.values)
    with pytest.raises(InputError, match="mode='resume' continues"):
        fp.train(task, path=storage, replicas=1, epochs=2, snapshots=2)
    longer = fp.train(task, path=storage, replicas=1, epochs=3, snapshots=2, mode="resume")
    assert longer.epochs.tolist() == [0, 2, 3]
    anew = fp.train(task, path=storage, replicas=1, epochs=1, snapshots=2, mode="overwrite", seed=4)
    assert anew.epochs.tolist() == [0, 1]
    assert fp.open(storage).attrs["seed"] == 4


def test_metrics_are_kept_at_every_epoch(stored):
    assert stored.metrics.train_epoch.values.tolist() == list(range(10))
    assert set(stored.metrics) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    assert stored.metrics.train_loss.dims == ("replica", "train_epoch")
    assert float(stored.metrics.train_loss[0, 0]) == pytest.approx(np.log(2), abs=0.2)


def test_activations_against_the_plain_network(stored, task):
    for depth, layer in enumerate(stored.layers):
        array = stored.activations(layer)
        assert array.dims == ("replica", "epoch", "sample", "unit")
        plain = PlainNetwork(stored.weights.values[1, 2], stored.network.sizes, "tanh").layers(task.inputs)[depth]
        assert array.values[1, 2] == pytest.approx(plain, rel=1e-5, abs=1e-5)


def test_activations_are_lazy_and_have_the_same_bits_however_reached(stored, monkeypatch):
    from flowplane.core.network import Network

    whole = stored.activations("layer4").values
    passes = []
    forward = Network.forward
    monkeypatch.setattr(Network, "forward", lambda *arguments: passes.append(len(arguments[1])) or forward(*arguments))
    lazy = stored.activations("layer4")
    part = lazy.isel(replica=1).sel(epoch=3)
    assert passes == []
    assert np.array_equal(part.values, whole[1, 2])
    assert passes == [1]
    assert np.array_equal(lazy[:, 1:3, 5:90:7, [0, 2]].values, whole[:, 1:3, 5:90:7][..., [0, 2]])
    assert float(lazy[1, 3, 17, 2]) == whole[1, 3, 17, 2]
    assert np.array_equal(lazy.isel(sample=-1, unit=slice(None, None, -1)).values, whole[:, :, -1, ::-1])
    assert np.array_equal(stored.sel(replica=1, epoch=[1, 9]).activations("layer4").values, whole[[1]][:, [1, 3]])


def test_other_inputs(stored):
    inputs = np.random.default_rng(0).normal(size=(5, 12))
    array = stored.activations("layer1", inputs=inputs)
    assert array.shape == (2, 4, 5, 10)
    plain = PlainNetwork(stored.weights.values[0, 3], stored.network.sizes, "tanh").layers(inputs)[0]
    assert array.values[0, 3] == pytest.approx(plain, abs=2e-6)
    for bad, message in ((np.zeros((5, 3)), "inputs: found shape"), (np.full((5, 12), np.nan), "inputs: found NaN")):
        with pytest.raises(InputError, match=message):
            stored.activations("layer1", inputs=bad)


def test_sel(stored):
    part = stored.sel(replica=1, epoch=slice(1, 5), layer=["layer6", "layer2"])
    assert (part.replicas.tolist(), part.epochs.tolist(), part.layers) == ([1], [1, 3], ("layer6", "layer2"))
    assert part.weights.shape == (1, 2, 294)
    assert part.gradients.layer.values.tolist() == ["layer6", "layer2"]
    assert part.metrics.sizes == {"replica": 1, "train_epoch": 10}
    assert part.sel(epoch=3).epochs.tolist() == [3]
    assert stored.epochs.tolist() == [0, 1, 3, 9]
    plane, whole = fp.information_plane(part), fp.information_plane(stored)
    xr.testing.assert_equal(plane, whole.sel(replica=[1], epoch=[1, 3], layer=["layer6", "layer2"]))


def test_sel_takes_labels_of_any_kind(stored):
    plane = fp.information_plane(stored)
    for epoch in (plane.epoch[1:3], torch.tensor([1, 3]), np.array([1, 3]), (1, 3), iter([1, 3])):
        assert stored.sel(epoch=epoch).epochs.tolist() == [1, 3]
    assert stored.sel(epoch=plane.epoch[-1]).epochs.tolist() == [9]
    assert stored.sel(layer=plane.layer[:2]).layers == ("layer1", "layer2")
    backwards = fp.information_plane(stored.sel(epoch=[9, 0]))
    assert fp.plot.information_plane(backwards).frames[1].name == "0"


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"epoch": 4}, "epoch: found 4, expected a recorded epoch; nearest: 3, 9|nearest: 1, 3"),
        ({"epoch": slice(4, 8)}, "a selection that leaves something"),
        ({"epoch": []}, "a selection that leaves something"),
        ({"replica": 2}, "replica: found 2"),
        ({"replica": "first"}, "replica: found 'first'"),
        ({"layer": "layer7"}, "layer: found 'layer7', expected one of layer1"),
        ({"layer": 3}, "layer: found 3"),
        ({"replica": True}, "replica: found True"),
        ({"epoch": [[0, 1]]}, r"epoch: found \[0, 1\]"),
        ({"epoch": slice(0, 9, 0)}, "a slice within"),
        ({"epoch": float("nan")}, "a recorded epoch, 0 … 9"),
    ],
)
def test_sel_refuses(stored, selection, message):
    with pytest.raises(InputError, match=message):
        stored.sel(**selection)


class CountsSamples:
    """A foreign measure: anything callable with the same arguments will do."""

    def __call__(self, activations, labels=None, *, inputs=None, conditional=None, probability=None, seed=0):
        assert labels.shape == (activations.shape[1],)
        assert inputs.shape == (activations.shape[1], 12)
        size = np.full(len(activations), activations.shape[1])
        ones = np.full(len(activations), int(labels.sum()))
        moments = torch.stack([activations.mean((1, 2)), activations.std((1, 2))], dim=1).numpy()
        variables = {"size": ("batch", size), "ones": ("batch", ones), "moments": (("batch", "moment"), moments)}
        return xr.Dataset(variables, attrs={"estimator": "CountsSamples", "width": activations.shape[2]})


def test_measures_of_ones_own(stored, task):
    result = stored.measure(CountsSamples())
    assert result["moments"].dims == ("replica", "epoch", "layer", "moment")
    assert (result["size"].values == 4096).all()
    assert result.width.sel(layer="layer3") == 5
    assert float(result["moments"][1, 2, 3, 0]) == pytest.approx(float(stored.activations("layer4")[1, 2].mean()), abs=1e-6)
    assert result.width.values.tolist() == [10, 7, 5, 4, 3, 2]
    for samples, count in (("train", 3481), ("test", 615)):
        result = stored.measure(CountsSamples(), samples)
        assert (result["size"].values == count).all()
        mask = stored.split.values if samples == "train" else ~stored.split.values
        for k in range(2):
            assert (result["ones"].values[k] == task.labels[mask[k]].sum()).all()


def test_blocks_change_nothing(stored):
    whole = fp.information_plane(stored, fp.Binned(30))
    xr.testing.assert_identical(stored.measure(fp.Binned(30), memory_budget=1), stored.measure(fp.Binned(30)))
    assert whole.i_xt.shape == (2, 4, 6)


def test_measure_refuses(stored, task):
    for measure, samples, message in (
        ("binned", "all", "measure: found 'binned'"),
        (fp.Binned, "all", r"measure: found the class Binned, expected an estimator made from it, such as Binned\(…\)"),
        (fp.Binned(3), "some", "samples: found 'some', expected one of all, train, test"),
    ):
        with pytest.raises(InputError, match=message):
            stored.measure(measure, samples)
    rec = fp.train(task, replicas=1, epochs=1, snapshots=2, train_fraction=1.0)
    with pytest.raises(InputError, match="leaves no test set"):
        rec.measure(fp.Binned(3), "test")
    with pytest.raises(InputError, match="rec: found Dataset"):
        fp.information_plane(xr.Dataset())


def test_soft_rule_is_measured_and_said(task):
    soft = fp.tasks.spherical_rule(information=0.9)
    plane = fp.information_plane(fp.train(soft, replicas=1, epochs=1, snapshots=2))
    assert plane.i_ty.labels.startswith("soft rule")
    assert plane.attrs["label_information"] == pytest.approx(0.9)
    assert float(plane.i_ty.max()) <= 0.9 + 1e-9
    hard = fp.information_plane(fp.train(task, replicas=1, epochs=1, snapshots=2))
    assert hard.i_ty.labels == "hard labels"


def test_weighted_tasks_are_measured_with_their_weights(task):
    weights = np.where(np.arange(4096) < 64, 1.0, 0.0) / 64
    rec = fp.train(fp.tasks.Task(task.inputs, task.labels, probability=weights), replicas=1, epochs=1, snapshots=2)
    plane = fp.information_plane(rec)
    assert float(plane.h_t.max()) <= 6 + 1e-9
    assert plane.attrs["input_entropy"] == pytest.approx(6)


def test_thinned_recordings_are_recordings(rec):
    part = rec.thin(5)
    assert part.epochs.tolist() == rec.epochs[even_places(rec.epochs, 5)].tolist() and len(part.epochs) == 5
    assert {rec.epochs[0], rec.epochs[-1]} <= set(part.epochs.tolist())
    assert (part.replicas.tolist(), part.layers, part.whole().epochs.tolist()) == (
        rec.replicas.tolist(),
        rec.layers,
        rec.epochs.tolist(),
    )
    np.testing.assert_array_equal(part.weights, rec.weights.sel(epoch=part.epochs))
    assert rec.thin(len(rec.epochs)).epochs.tolist() == rec.thin(100).epochs.tolist() == rec.epochs.tolist()


def test_views_of_views_are_thinned(rec):
    few = rec.sel(replica=[2, 0], layer="layer3").thin(4)
    assert (few.replicas.tolist(), few.layers, len(few.epochs)) == ([2, 0], ("layer3",), 4)
    again = few.thin(3)
    assert len(again.epochs) == 3 and set(again.epochs) <= set(few.epochs) and again.epochs[-1] == rec.epochs[-1]
    turned = rec.sel(epoch=rec.epochs[::-1].tolist()).thin(4)  # order is kept
    assert turned.epochs.tolist() == few.epochs[::-1].tolist()
    alone = rec.sel(epoch=int(rec.epochs[2]))
    assert alone.thin(2).epochs.tolist() == alone.epochs.tolist()
    for wrong in (1, 0, 2.5, True):
        with pytest.raises(InputError, match=r"snapshots: found .*, expected a whole number, 2 or more"):
            rec.thin(wrong)


def test_keep(task):
    rec = fp.train(task, replicas=1, epochs=2, snapshots=3, keep=("gradients",))
    assert rec.gradients.gradient_mean.shape == (1, 3, 6)
    with pytest.raises(InputError, match="weights: found a recording that keeps gradients, expected one trained with"):
        rec.activations("layer1")
    bare = fp.train(task, replicas=1, epochs=2, snapshots=3, keep=())
    assert bare.epochs.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="keeps metrics only"):
        _ = bare.gradients


def test_planes_survive_a_file(stored, tmp_path):
    plane = fp.information_plane(stored, fp.Binned.published())
    plane.to_netcdf(tmp_path / "plane.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "plane.nc", engine="h5netcdf") as again:
        xr.testing.assert_equal(again.load(), plane)
        assert again.i_xt.parameters == "setting='published'"


@pytest.mark.parametrize("make", ["nothing", "file", "folder", "unfinished", "empty", "newer"])
def test_open_refuses_what_is_no_recording(stored, tmp_path, make):
    path = tmp_path / make
    message = {
        "nothing": "nothing is there",
        "file": "this is not one",
        "folder": "this is not one",
        "unfinished": "interrupted before its first snapshot",
        "empty": "holds no committed snapshot",
        "newer": f"in format {FORMAT + 1}, expected format {FORMAT} or older: update flowplane",
    }[make]
    if make == "file":
        path.write_text("text")
    if make == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("text")
    if make == "unfinished":
        path.mkdir()
        (path / "unfinished").touch()
    if make == "empty":
        icechunk.Repository.create(icechunk.local_filesystem_storage(str(path / "data")))
    if make == "newer":
        path = tmp_path / "run.fp"
        session = icechunk.Repository.open(icechunk.local_filesystem_storage(str(path / "data"))).writable_session("main")
        zarr.open_group(session.store, mode="r+").attrs["flowplane_format"] = FORMAT + 1
        session.commit("from the future")
    with pytest.raises(InputError, match=message):
        fp.open(path)


@pytest.mark.parametrize("path", [3, None, b"run.fp", "a\0b", "a" * 300])
def test_open_refuses_what_is_no_path(path):
    with pytest.raises(InputError, match="path: found"):
        fp.open(path)


def test_home_is_expanded(task, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fp.train(task, path="~/run.fp", replicas=1, epochs=1, snapshots=2)
    assert (tmp_path / "run.fp").is_dir()
    assert fp.open("~/run.fp").epochs.tolist() == [0, 1]
