"""How weights of recordings move: stored paths, and recordings whose weights are known processes."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import linregress

import flowplane as fp
from flowplane.dynamics import ornstein_uhlenbeck, wiener
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def trained(task):
    return fp.train(task, hidden=(5, 3), replicas=4, epochs=400, snapshots=40)


@pytest.fixture(scope="module")
def found(trained):
    return fp.weight_diffusion(trained, since=20, draws=50)


def moving(monkeypatch, rec, path):
    """The recording with these weights (replica, epoch, parameter)."""
    weights = rec.weights.copy(data=path.astype(np.float32))
    monkeypatch.setattr(type(rec), "weights", property(lambda self: weights))


def test_every_number_from_the_stored_weights(trained, found):
    epochs = trained.epochs
    origin = epochs[epochs >= 20][0]
    assert (found.origin == origin).all() and found.snapshots.values.tolist() == [(epochs > origin).sum()] * 3
    weights = trained.weights.values.astype(float)
    for k, (start, stop) in enumerate(zip(trained.network.starts, trained.network.starts[1:], strict=False)):
        path = weights[:, epochs >= origin, start:stop]
        msd = ((path[:, 1:] - path[:, :1]) ** 2).sum(2)
        np.testing.assert_allclose(found.msd[:, :, k], msd, rtol=1e-10)
        slopes = [linregress(np.log(found.lag_epoch), np.log(row)).slope for row in msd]
        np.testing.assert_allclose(found.exponent[:, k], slopes)
        assert found.exponent_mean[k] == pytest.approx(np.mean(slopes))
        assert found.exponent_lower[k] < found.exponent_mean[k] < found.exponent_upper[k]
        pooled = linregress(np.log(found.lag_epoch), np.log(msd.mean(0))).slope
        assert found.exponent_pooled[k] == pytest.approx(pooled)
    np.testing.assert_allclose(found.spectrum.sum("component"), 1.0)


def test_weights_that_are_a_wiener_process(monkeypatch, trained):
    moving(monkeypatch, trained, wiener(trained.epochs, 0.01, trained.network.parameters, draws=4, seed=1))
    found = fp.weight_diffusion(trained, since=10, draws=200)
    assert ((found.wiener_lower < 1) & (found.wiener_upper > 1)).all()
    assert ((found.exponent_lower - 0.1 < 1) & (found.exponent_upper + 0.1 > 1)).all()
    assert (found.wiener_p_value > 0.01).all()
    parameters = np.diff(trained.network.starts)
    assert (found.participation < found.snapshots).all()
    np.testing.assert_allclose(found.participation_corrected.mean("replica"), parameters, rtol=0.35)
    pairs = found.snapshots.values - 1
    assert (np.abs(found.autocorrelation) < 4 / np.sqrt(4 * pairs * parameters)).all()


def test_weights_that_drift_or_are_held(monkeypatch, trained):
    speed = np.random.default_rng(0).normal(size=(4, 1, trained.network.parameters))
    moving(monkeypatch, trained, speed * trained.epochs[:, None])
    straight = fp.weight_diffusion(trained, since=10, draws=100)
    np.testing.assert_allclose(straight.exponent, 2.0, rtol=1e-4)
    assert (straight.wiener_p_value < 0.05).all() and (straight.autocorrelation > 0.9).all()
    moving(monkeypatch, trained, ornstein_uhlenbeck(trained.epochs, 2.0, dimension=speed.shape[2], draws=4))
    held = fp.weight_diffusion(trained, since=10, draws=100)
    assert (np.abs(held.exponent_mean) < 0.2).all() and (held.autocorrelation < -0.2).all()


def test_without_an_epoch_each_layer_counts_from_its_own_crossing(monkeypatch, trained):
    gradients = trained.gradients
    epochs = np.maximum(trained.epochs, 1)[:, None]
    where = np.array([30.0, 0.1, 1e6])
    std = xr.ones_like(gradients.gradient_std)
    gradients = gradients.assign(gradient_mean=(std.dims, np.tile(where / epochs, (4, 1, 1))), gradient_std=std)
    monkeypatch.setattr(fp.Recording, "gradients", property(lambda self: gradients))
    found = fp.weight_diffusion(trained, draws=20)
    crossing = fp.gradient_phases(trained).crossing_median.values
    expected = [trained.epochs[trained.epochs >= epoch][0] for epoch in (crossing[0], 1, 400 ** (1 / 3))]
    assert found.origin.values.tolist() == expected
    assert found.attrs["fallback"] == ["layer3"]
    for k, origin in enumerate(expected):
        own = trained.epochs[trained.epochs > origin] - origin
        known = np.isfinite(found.msd.isel(layer=k)).all("replica")
        assert found.lag_epoch.values[known].tolist() == own.tolist()


def test_a_layer_that_crosses_too_late_is_left_open(monkeypatch, trained):
    gradients = trained.gradients
    epochs = np.maximum(trained.epochs, 1)[:, None]
    std = xr.ones_like(gradients.gradient_std)

    def crossing(*where):
        changed = gradients.assign(gradient_mean=(std.dims, np.tile(np.array(where) / epochs, (4, 1, 1))), gradient_std=std)
        monkeypatch.setattr(fp.Recording, "gradients", property(lambda self: changed))

    crossing(30.0, 20.0, 395.0)
    found = fp.weight_diffusion(trained, draws=20)
    assert np.isnan(found.exponent_mean[2]) and np.isfinite(found.exponent_mean[:2]).all()
    assert np.isnan(found.msd.isel(layer=2)).all() and found.snapshots[2] < 3
    crossing(396.0, 395.0, 395.0)
    with pytest.raises(InputError, match="since: "):
        fp.weight_diffusion(trained)


def test_the_window_and_parts_of_a_recording(trained, found):
    short = fp.weight_diffusion(trained, since=20, window=(1, 100), draws=20)
    chosen = found.lag_epoch.values <= 100
    slope = linregress(np.log(found.lag_epoch[chosen]), np.log(found.msd[0, chosen, 0])).slope
    assert short.exponent[0, 0] == pytest.approx(slope)
    part = fp.weight_diffusion(trained.sel(layer="layer2", replica=[2, 0]), since=20, draws=20)
    np.testing.assert_allclose(part.exponent, found.exponent.sel(layer=["layer2"], replica=[2, 0]))
    single = fp.weight_diffusion(trained.sel(replica=0), since=20, draws=20)
    assert np.isfinite(single.exponent_mean).all() and np.isnan(single.exponent_lower).all()


def test_it_is_labelled_and_can_be_stored(found, tmp_path):
    assert all("units" in found[name].attrs for name in found)
    assert found.depth.values.tolist() == [1, 2, 3]
    found.to_netcdf(tmp_path / "diffusion.nc", engine="h5netcdf")


def test_bad_input_is_named(trained, task):
    small = {"hidden": (2,), "replicas": 1, "epochs": 5, "snapshots": 6}
    no_weights = fp.train(task, keep=("gradients",), **small)
    no_gradients = fp.train(task, keep=("weights",), **small)
    for call, text in (
        (lambda: fp.weight_diffusion("run.fp"), "rec: "),
        (lambda: fp.weight_diffusion(no_weights), "weights: found a recording that keeps gradients"),
        (lambda: fp.weight_diffusion(no_gradients), "rec: found a recording without gradients"),
        (lambda: fp.weight_diffusion(trained, 400), "since: found 0 snapshots after epoch 400"),
        (lambda: fp.weight_diffusion(trained, 4000), "since: "),
        (lambda: fp.weight_diffusion(trained, -1), "since: "),
        (lambda: fp.weight_diffusion(trained, 20.5), "since: "),
        (lambda: fp.weight_diffusion(trained, 20, window=(1, 2)), "window: "),
        (lambda: fp.weight_diffusion(trained, 20, draws=0), "draws: "),
        (lambda: fp.weight_diffusion(trained, 20, seed=0.5), "seed: "),
    ):
        with pytest.raises(InputError, match=text):
            call()
    assert fp.weight_diffusion(no_gradients, since=0, draws=20).origin.values.tolist() == [0, 0]
