"""Relaxation times of a recording: from its own plane, and from planes whose relaxation is known."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def long_rec(task):
    return fp.train(task, replicas=8, epochs=20, snapshots=21)


def made_plane(rec, compression, delays, peak=2):
    """I(X;T) that ends where ΔS says, after falls by 1 bit with the given Δτ."""
    since = np.maximum(rec.epochs - peak, 0)[None, :, None]
    ends = 12 - np.cumsum(compression, axis=1)[:, None]
    falling = ends + np.exp(-since / delays[:, None])
    early = rec.epochs < peak
    falling[:, early] = ends
    dims = ("replica", "epoch", "layer")
    coords = {"replica": rec.replicas, "epoch": rec.epochs, "layer": list(rec.layers)}
    return xr.Dataset({"i_xt": (dims, falling, {"units": "bits"})}, coords)


def test_of_its_own_plane(long_rec):
    plane = fp.information_plane(long_rec)
    found = fp.relaxation_times(long_rec)
    assert found.identical(fp.relaxation_times(long_rec, plane))
    end = plane.i_xt.isel(epoch=-1)
    assert np.allclose(found.end, end)
    assert np.allclose(found.peak, plane.i_xt.max("epoch"))
    assert np.allclose(found.cost_at_once, 12 - end.isel(layer=-1))
    assert (found.cost_by_layer <= np.log2(6) + found.compression.max("layer")).all()
    assert (np.isfinite(found.delay) == (found.fall >= 0.1)).all()
    assert found.attrs["points"] == int(found.fitted.sum())
    assert {str(found[name].attrs["units"]) for name in ("compression", "fall", "peak", "end")} == {"bits"}
    assert found.peak_epoch.units == "epochs"
    assert found.compression.channel == plane.i_xt.attrs["channel"]


def test_an_exponential_law_is_found_again(long_rec):
    rng = np.random.default_rng(0)
    compression = np.linspace(0.3, 2.8, 6) + rng.uniform(-0.2, 0.2, (8, 6))
    delays = 0.45 * 2 ** (compression + 0.02 * rng.normal(size=(8, 6)))
    found = fp.relaxation_times(long_rec, made_plane(long_rec, compression, delays))
    assert np.allclose(found.peak_epoch, 2)
    # the curve must have fallen by the end (20 epochs), and one epoch lies between snapshots: good to about 0.15 epochs
    assert np.abs(found.delay - delays).max() < 0.2
    assert found.attrs["best"] == "exponential"
    assert 0.8 < float(found.slope) < 1.2
    assert float(found.slope_lower) < float(found.slope) < float(found.slope_upper)


def test_a_constant_law_is_no_exponential(long_rec):
    rng = np.random.default_rng(1)
    compression = np.linspace(0.3, 1.8, 6) + rng.uniform(-0.1, 0.1, (8, 6))
    plane = made_plane(long_rec, compression, 3 * 2 ** (0.1 * rng.normal(size=(8, 6))))
    found = fp.relaxation_times(long_rec, plane)
    assert found.attrs["exponent_one"] == "False"
    assert abs(float(found.slope)) < 0.1
    assert float(found.weight.sel(law="constant")) > 0.05


def test_the_order_of_a_plane_does_not_matter(long_rec):
    plane = fp.information_plane(long_rec, fp.Binned.published())
    turned = plane.isel(replica=slice(None, None, -1), epoch=slice(None, None, -1)).transpose("layer", "epoch", "replica")
    assert fp.relaxation_times(long_rec, turned).identical(fp.relaxation_times(long_rec, plane))


def test_some_epochs_and_replicas(long_rec):
    plane = fp.information_plane(long_rec)
    part = fp.relaxation_times(long_rec.sel(replica=[1, 4], epoch=slice(5, 12)), plane)
    assert part.replica.values.tolist() == [1, 4]
    assert part.peak_epoch.min() >= 5
    assert np.allclose(part.end, plane.i_xt.sel(replica=[1, 4], epoch=12))
    assert part.identical(fp.relaxation_times(long_rec.sel(replica=[1, 4], epoch=slice(5, 12))))


def test_too_few_points_are_said(rec):
    found = fp.relaxation_times(rec.sel(replica=0, epoch=slice(0, 2)))
    assert np.isnan(found.slope) and found.attrs["best"] == "" and found.attrs["exponent_one"] == ""


def test_what_recordings_are_refused(rec):
    plane = fp.information_plane(rec, fp.Binned.published())
    with pytest.raises(InputError, match=r"^rec: found Dataset"):
        fp.relaxation_times(plane)
    with pytest.raises(InputError, match=r"^rec: found a recording that shows layer2"):
        fp.relaxation_times(rec.sel(layer=["layer2", "layer3"]))
    with pytest.raises(InputError, match=r"^rec: found a recording that shows 1 epochs"):
        fp.relaxation_times(rec.sel(epoch=0))
    with pytest.raises(TypeError, match=r"has no argument 'epochs' any more: use rec.thin\(…\) or rec.sel\(epoch=…\)"):
        fp.relaxation_times(rec, epochs=slice(0, 9))
    with pytest.raises(InputError, match=r"^seed"):
        fp.relaxation_times(rec, seed=-1)


def test_what_planes_are_refused(rec):
    plane = fp.information_plane(rec, fp.Binned.published())
    for dim in ("replica", "epoch", "layer"):
        with pytest.raises(InputError, match=rf"^plane: found {dim}s without"):
            fp.relaxation_times(rec, plane.isel({dim: slice(1, None)}))
    with pytest.raises(InputError, match=r"^plane: found i_xt over"):
        fp.relaxation_times(rec, plane.mean("replica", keep_attrs=True))
    with pytest.raises(InputError, match=r"^plane: found EnsembleRecording"):
        fp.relaxation_times(rec, rec)
    with pytest.raises(InputError, match=r"^plane: found .*'i_ty'"):
        fp.relaxation_times(rec, plane[["i_ty"]])
    nats = plane.copy()
    nats["i_xt"] = nats["i_xt"].assign_attrs(units="nats")
    with pytest.raises(InputError, match=r"^plane: found i_xt in 'nats'"):
        fp.relaxation_times(rec, nats)
    with pytest.raises(InputError, match=r"^plane: found that of activation 'relu'"):
        fp.relaxation_times(rec, plane.assign_attrs(activation="relu"))
