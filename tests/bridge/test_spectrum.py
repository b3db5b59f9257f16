"""Spectra of layers: consistent with the estimator, with densities and with themselves."""

import math

import numpy as np
import pytest

import flowplane as fp
from flowplane.bridge.spectrum import Spectra
from flowplane.core.results import Flags
from flowplane.errors import InputError

GRID = (1.0, 0.1, 0.3, 0.03)


@pytest.fixture(scope="module")
def layer():
    rng = np.random.default_rng(0)
    return np.tanh(rng.normal(size=(300, 3)) @ rng.normal(size=(3, 5)))


@pytest.mark.parametrize("denoiser", ["points", "linear"])
def test_the_estimator_at_each_resolution(layer, denoiser):
    found = Spectra(GRID, denoiser)(layer)
    for share in GRID:
        one = fp.Denoising(share, denoiser, "total")(layer)
        at = found.sel(resolution=share)
        for name in ("i_xt", "h_t"):
            reach = float(one[f"{name}_upper"] - one[name]) if denoiser == "points" else 1e-9
            assert abs(float(at[name]) - float(one[name])) <= 2 * reach
    assert found.i_xt.bound == ("estimate" if denoiser == "points" else "upper")


def test_one_law(layer):
    """Information by the integral of errors is that by densities; entropy grows by half the Fisher information."""
    grid = tuple(np.geomspace(0.01, 3.0, 30))
    found = Spectra(grid, "points")(layer)
    reach = 4 * np.hypot(found.information_by_density_error, (found.i_xt_upper - found.i_xt) / 1.96)
    assert (abs(found.information_by_density - found.i_xt) < reach + 1e-3).all()
    rate, half = (found[name].values[3:-3] * np.array(grid)[3:-3] for name in ("entropy_rate", "fisher"))
    assert np.abs(rate - half / 2).mean() < 0.1 < half.mean() / 4
    assert (np.diff(found.mmse) > -0.02).all() and (found.mmse <= found.linear_mmse + 0.02).all()


def test_pointwise(layer):
    rec = fp.from_arrays({"a": layer}, (layer[:, 0] > 0).astype(int))
    found = fp.pointwise_information(rec, layer="a", epoch=0, denoiser="linear")
    assert found.i_xt_each.dims == ("replica", "sample") and found.i_xt_each.units == "bits"
    for name in ("i_xt", "i_ty"):
        assert float(found[f"{name}_each"].mean()) == pytest.approx(float(found[name][0]), abs=1e-9)
    far = np.argsort(np.square(layer - layer.mean(0)).sum(1))
    each = found.i_xt_each.values[0]
    assert each[far[-30:]].mean() > each[far[:30]].mean() + 0.5  # what lies far out is told from the others
    with pytest.raises(InputError, match="layer"):
        fp.pointwise_information(rec, layer="b", epoch=0)
    with pytest.raises(InputError, match="resolution"):
        fp.pointwise_information(rec, layer="a", epoch=0, resolution=0.0)


def test_of_a_recording(layer):
    rec = fp.from_arrays({"a": layer, "b": 2 * layer[:, :2]}, (layer[:, 0] > 0).astype(int))
    found = fp.denoising_spectrum(rec, denoiser="linear", resolution=GRID)
    assert dict(found.information.sizes) == {"replica": 1, "epoch": 1, "layer": 2, "resolution": 4}
    assert found.attrs["result"] == "denoising_spectrum" and found.information.units == "bits"
    assert found.information.bound == "upper" and found.mmse.units == "1"
    at = float(found.information.sel(layer="a", resolution=0.1).squeeze())
    plane = fp.information_plane(rec, fp.Denoising(0.1, "linear", "total"))
    assert at == pytest.approx(float(plane.i_xt.sel(layer="a").squeeze()), abs=1e-9)
    assert fp.explain(found).startswith("denoising_spectrum: how hard each layer is to denoise")
    with pytest.raises(InputError, match="denoiser"):
        fp.denoising_spectrum(rec, denoiser="best")


def test_of_noisy_layers(layer):
    noisy = Spectra(GRID, "points", deterministic=False)(layer)
    assert np.isnan(noisy.i_xt).all() and Flags.names(noisy.i_xt_flags) == ("not_a_function",)


def test_an_ensemble_is_read_by_its_points():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(3,), replicas=1, epochs=2, snapshots=2).sel(epoch=2, layer="layer2")
    found = fp.denoising_spectrum(rec, resolution=0.3)
    exact = fp.information_plane(rec, fp.information.MonteCarlo(float(rec.activations("layer2").var("sample").sum() * 0.3)))
    assert found.information.attrs["denoiser"] == "points"
    reach = float((exact.i_xt_upper - exact.i_xt).squeeze()) + float((found.information_upper - found.information).squeeze())
    assert abs(float(found.information.squeeze()) - float(exact.i_xt.squeeze())) < 1.5 * reach < 0.2
    assert math.isfinite(float(found.fisher.squeeze()))


def test_beyond_neighbours_information_is_found_by_denoising():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    found = fp.mutual_information(x, x + rng.normal(size=(200, 4)), fp.Denoising(0.0, "linear"))
    assert found.mutual_information.estimator == "Denoising"
    assert float(found.mutual_information_lower) < 2.0 < float(found.mutual_information_upper)
