"""Recordings of networks with noise of their own: what they know of it, and what measures are told."""

import dataclasses
import json
from dataclasses import dataclass

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

import flowplane as fp
from flowplane.core.measure import require_function
from flowplane.errors import InputError
from flowplane.recording.store import FORMAT


@pytest.fixture(scope="module")
def noisy(task):
    return fp.train(task, hidden=(4, 3), replicas=2, epochs=3, snapshots=3, noise_variance=0.04)


def test_noise_is_part_of_the_network(noisy, rec):
    assert (noisy.deterministic, rec.deterministic) == (False, True)
    assert (noisy.network.noise_variance, rec.network.noise_variance) == (0.04, 0.0)
    assert noisy.attrs["noise_variance"] == noisy.activations("layer1").attrs["noise_variance"] == 0.04
    assert rec.activations("layer1").attrs["noise_variance"] == 0


def test_activations_are_draws(noisy):
    clean = dataclasses.replace(noisy.network, noise_variance=0.0)
    import torch

    weights = torch.tensor(noisy.weights.values[1])
    exact = clean.forward(weights, torch.tensor(noisy.task.inputs))[0].numpy()
    drawn = noisy.activations("layer1").values
    apart = drawn[1] - exact
    assert apart.var() == pytest.approx(0.04, rel=4 * np.sqrt(2 / apart[0].size))
    assert apart[0] == pytest.approx(apart[2], abs=1e-6)  # all snapshots share the draw
    assert np.array_equal(noisy.sel(epoch=3, replica=1).activations("layer1").values[0, 0], drawn[1, 2])
    assert float(noisy.activations("layer1")[1, 2, 17, 2]) == drawn[1, 2, 17, 2]
    other = noisy.activations("layer1", draw=1).values[1] - exact
    assert abs(np.corrcoef(other[0].ravel(), apart[0].ravel())[0, 1]) < 5 / np.sqrt(apart[0].size)
    with pytest.raises(InputError, match="draw: found -1"):
        noisy.activations("layer1", draw=-1)


def test_recordings_from_before_there_was_noise(task, tmp_path):
    path = tmp_path / "old.fp"
    fp.train(task, path=path, hidden=(3,), replicas=1, epochs=2, snapshots=2)
    session = icechunk.Repository.open(icechunk.local_filesystem_storage(str(path / "data"))).writable_session("main")
    attrs = zarr.open_group(session.store, mode="r+").attrs
    stored = json.loads(attrs["configuration"])
    del stored["noise_variance"]
    attrs.update({"configuration": json.dumps(stored), "flowplane_format": 1})
    session.commit("as it was")
    old = fp.open(path)
    assert old.deterministic
    assert old.attrs["noise_variance"] == 0
    with pytest.raises(InputError, match=r"noise_variance: found 0.1, expected 0.0, as in the recording"):
        fp.train(task, path=path, hidden=(3,), replicas=1, epochs=3, snapshots=2, noise_variance=0.1, mode="resume")
    longer = fp.train(task, path=path, hidden=(3,), replicas=1, epochs=3, snapshots=2, mode="resume")
    assert longer.epochs.tolist() == [0, 2, 3]


def test_recordings_that_call_their_variance_noise(task, tmp_path):
    about = {"path": tmp_path / "old.fp", "hidden": (3,), "replicas": 1, "snapshots": 2}
    fp.train(task, epochs=2, noise_variance=0.1, **about)
    storage = icechunk.local_filesystem_storage(str(tmp_path / "old.fp" / "data"))
    session = icechunk.Repository.open(storage).writable_session("main")
    attrs = zarr.open_group(session.store, mode="r+").attrs
    stored = json.loads(attrs["configuration"])
    stored["noise"] = stored.pop("noise_variance")
    attrs.update({"configuration": json.dumps(stored), "flowplane_format": 1})
    session.commit("as it was")
    old = fp.open(tmp_path / "old.fp")
    assert old.network.noise_variance == old.attrs["noise_variance"] == 0.1 and "noise" not in old.attrs
    assert not old.deterministic
    with pytest.raises(InputError, match=r"noise_variance: found 0.2, expected 0.1, as in the recording"):
        fp.train(task, epochs=3, noise_variance=0.2, mode="resume", **about)
    longer = fp.train(task, epochs=3, noise_variance=0.1, mode="resume", **about)
    assert longer.epochs.tolist() == [0, 2, 3] and longer.attrs["epochs"] == 3
    attrs = zarr.open_group(icechunk.Repository.open(storage).readonly_session("main").store, mode="r").attrs
    assert attrs["flowplane_format"] == FORMAT  # it says what it says in today's words


@dataclass(frozen=True)
class Told:
    """A measure that a recording tells whether T is a function of x, with a scalar coordinate of its own."""

    deterministic: bool = False

    def prepared(self, layer):
        return dataclasses.replace(self, deterministic=layer.deterministic)

    def __call__(self, activations, labels=None, *, inputs=None, conditional=None, probability=None, seed=0):
        told = np.full(len(activations), float(self.deterministic))
        width = activations.shape[2]
        coords = {"variance": ((), width / 100, {"units": "squared"}), "replica": 7, "name": f"width {width}"}
        if width == 3:
            coords["only_here"] = 1.5
        return xr.Dataset({"told": ("batch", told)}, coords)


class Bare:
    """A measure without `prepared` is taken as it is."""

    deterministic = True

    def __call__(self, activations, labels=None, **known):
        return xr.Dataset({"told": ("batch", np.full(len(activations), float(self.deterministic)))})


class NeedsFunction(Bare):
    def prepared(self, layer):
        require_function(self, layer)
        return self


def test_measures_are_told_whether_networks_are_deterministic(noisy, rec):
    for given in (True, False):
        assert (noisy.measure(Told(given)).told == 0).all()
        assert (rec.measure(Told(given)).told == 1).all()
    assert (noisy.measure(Bare()).told == 1).all()


def test_measures_that_take_t_for_a_function_of_x_are_refused(noisy, rec):
    for measure in (fp.Binned(30), NeedsFunction()):
        with pytest.raises(InputError, match=r"measure: found \w+, expected an estimator that takes inputs as they are"):
            noisy.measure(measure)
        rec.measure(measure)
    assert fp.information_plane(noisy).i_xt.estimator == "KSG"  # which takes inputs as they are


def test_scalar_coordinates_stand_along_layers(noisy):
    result = noisy.measure(Told())
    assert result.variance.dims == ("layer",)
    assert result.variance.values.tolist() == [0.04, 0.03, 0.02]
    assert result.variance.attrs == {"units": "squared"}
    assert result.name.values.tolist() == ["width 4", "width 3", "width 2"]
    assert np.isnan(result.only_here.values[[0, 2]]).all()
    assert result.only_here.values[1] == 1.5
    assert result.replica.values.tolist() == [0, 1]  # the recording's own coordinates stay
    assert result.told.sel(layer="layer2").dims == ("replica", "epoch")
