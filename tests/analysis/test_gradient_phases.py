"""Phases of the gradients of recordings, against the stored statistics and known crossings."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def trained(task):
    return fp.train(task, replicas=5, epochs=400, snapshots=40)


@pytest.fixture(scope="module")
def plane(trained):
    return fp.information_plane(trained, fp.Binned.published())


@pytest.fixture(scope="module")
def found(trained, plane):
    return fp.gradient_phases(trained, plane)


def replaced(monkeypatch, rec, ratio):
    """The recording with gradients of these ratios (replica, epoch, layer) and unit weights."""
    gradients = rec.gradients
    std = xr.ones_like(gradients.gradient_std)
    std[:, 0] = np.nan
    gradients = gradients.assign(gradient_mean=(std.dims, ratio), gradient_std=std, weight_norm=xr.ones_like(std))
    monkeypatch.setattr(fp.Recording, "gradients", property(lambda self: gradients))


def test_the_gradients_are_those_recorded(trained, found):
    gradients = trained.gradients
    assert (found.attrs["batches"], found.attrs["covered"]) == (6, pytest.approx(3072 / 3481))
    np.testing.assert_allclose(found.gradient_mean, gradients.gradient_mean / gradients.weight_norm, rtol=1e-5)
    square = gradients.gradient_mean**2 - (409 / 3481) * gradients.gradient_std**2 / 6  # 85 % of 4096; six batches of 512
    np.testing.assert_allclose(found.drift, np.sqrt(square.clip(0)) / gradients.weight_norm, rtol=1e-5)
    np.testing.assert_allclose(found.gradient_std, gradients.gradient_std / gradients.weight_norm, rtol=1e-5)
    np.testing.assert_allclose(found.ratio, found.gradient_mean / found.gradient_std)
    assert np.isnan(found.ratio.sel(epoch=0)).all() and np.isfinite(found.ratio.isel(epoch=slice(1, None))).all()


def test_batches_are_those_that_an_epoch_has(task):
    for fraction, size, drop, batches, covered in (
        (0.5, 1000, True, 2, 2000 / 2048),
        (0.5, 1000, False, 3, 1.0),
        (0.05, 512, True, 1, 1.0),
    ):
        rec = fp.train(
            task, hidden=(2,), replicas=1, epochs=2, snapshots=3, train_fraction=fraction, batch_size=size, drop_last=drop
        )
        found = fp.gradient_phases(rec)
        assert (found.attrs["batches"], found.attrs["covered"]) == (batches, pytest.approx(covered))
        steps = rec._root["step"].values
        assert steps[-1] == 2 * batches
        if batches == 1:
            assert (found.state == "undefined").all() and (found.median_state == "undefined").all()
            assert np.isnan(found.crossing).all() and np.isnan(found.crossed).all()


def test_known_crossings_are_found(monkeypatch, trained):
    rng = np.random.default_rng(0)
    epochs = np.maximum(trained.epochs, 1)[:, None]
    where = np.exp(rng.normal(3, 0.3, (5, 1, 6)))
    where[:, :, 4], where[:, :, 5] = 1e5, 0.1
    ratio = (where / epochs) ** 0.5
    replaced(monkeypatch, trained, ratio)
    found = fp.gradient_phases(trained)
    np.testing.assert_allclose(found.crossing.values[:, :4], where[:, 0, :4], rtol=1e-4)
    np.testing.assert_allclose(found.crossing_median[:4], np.median(where[:, 0, :4], axis=0), rtol=1e-4)
    assert found.median_state.values.tolist() == ["crossed"] * 4 + ["never", "diffusion from the start"]
    assert found.crossed.values.tolist() == [1.0] * 4 + [0.0, 0.0]
    assert (found.state == [["crossed"] * 4 + ["never", "diffusion from the start"]]).all()
    assert "compression_start" not in found


def test_gradients_without_noise_are_drift_and_without_anything_undefined(monkeypatch, trained):
    replaced(monkeypatch, trained, np.ones((5, 40, 6)))
    gradients = trained.gradients.copy(deep=True)
    gradients.gradient_std[:, 1:] = 0.0
    gradients.gradient_mean[:, :, 1] = 0.0
    monkeypatch.setattr(fp.Recording, "gradients", property(lambda self: gradients))
    found = fp.gradient_phases(trained)
    assert found.median_state.values.tolist() == ["never", "undefined", "never", "never", "never", "never"]


def test_compression_starts_at_the_peak_of_i_xt(found, plane):
    i_xt = plane.i_xt.transpose("replica", "epoch", "layer").values
    for replica in range(5):
        for layer in range(6):
            curve = i_xt[replica, :, layer]
            here = float(found.compression_start[replica, layer])
            if curve.max() - curve[-1] <= 0.1:
                assert np.isnan(here)
            else:
                assert curve[plane.epoch.values == here] == curve.max()
    assert np.isfinite(found.compression_start.sel(layer="layer5")).any()
    both = (found.compression_start > 0) & np.isfinite(found.crossing)
    np.testing.assert_array_equal(found.pairs, both.sum("replica"))
    lag = np.log2(found.compression_start / found.crossing).where(both).median("replica")
    np.testing.assert_allclose(found.lag, lag)


def test_order_and_selection_of_the_plane_do_not_matter(trained, plane, found):
    shuffled = plane.isel(epoch=slice(None, None, -1), layer=[5, 0, 1, 2, 4, 3]).transpose("layer", "epoch", "replica")
    xr.testing.assert_identical(fp.gradient_phases(trained, shuffled), found)
    part = {"replica": [1, 3, 2], "layer": ["layer5", "layer6"]}
    here = fp.gradient_phases(trained.sel(**part), plane.sel(**part))
    np.testing.assert_array_equal(here.crossing, found.crossing.sel(**part))
    np.testing.assert_array_equal(here.compression_start, found.compression_start.sel(**part))
    assert here.depth.values.tolist() == [5, 6]


def test_it_is_labelled_and_can_be_stored(found, tmp_path):
    assert {name for name in found if "units" not in found[name].attrs} == {"state", "median_state"}
    found.to_netcdf(tmp_path / "phases.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "phases.nc", engine="h5netcdf") as again:
        assert again.state.values.tolist() == found.state.values.tolist()


def test_bad_input_is_named(trained, plane, task):
    bare = fp.train(task, hidden=(2,), replicas=1, epochs=2, snapshots=2, keep=("weights",))
    for call, text in (
        (lambda: fp.gradient_phases("run.fp"), "rec: "),
        (lambda: fp.gradient_phases(bare), "gradients: found a recording that keeps weights"),
        (lambda: fp.gradient_phases(trained, seed=-1), "seed: "),
        (lambda: fp.gradient_phases(trained, 3), "plane: "),
        (lambda: fp.gradient_phases(trained, plane.drop_vars("i_xt")), "plane: "),
        (lambda: fp.gradient_phases(trained, plane.isel(epoch=slice(3, None))), "plane: found epochs without 0"),
        (lambda: fp.gradient_phases(trained, plane.isel(replica=[0, 1])), "plane: found replicas without 2"),
        (lambda: fp.gradient_phases(trained, plane.sel(layer=["layer1"])), "plane: found layers without layer2"),
        (lambda: fp.gradient_phases(trained, plane.assign_attrs(network="12-2")), "plane: found that of network"),
        (lambda: fp.gradient_phases(trained, plane.assign_attrs(task="digits")), "plane: found that of task"),
        (lambda: fp.gradient_phases(trained, plane.assign(i_xt=plane.i_xt.assign_attrs(units="nats"))), "plane: .*nats"),
        (lambda: fp.gradient_phases(trained.sel(epoch=[0, 400])), "epochs: "),
    ):
        with pytest.raises(InputError, match=text):
            call()
