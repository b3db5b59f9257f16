"""A report that was asked to denoise: the spectrum beside the plane, the bound beside I(X;T), and sentences that are so."""

import re
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from page_reading import Read

import flowplane as fp
from flowplane.analysis import with_denoised
from flowplane.errors import InputError
from flowplane.reporting import recordings
from flowplane.reporting.denoised import saturation_words, spectrum_words
from flowplane.reporting.layers import LayerNumbers, Learned, Quantity

CALL = 'fp.information_plane(rec, fp.Denoising(0.1, relative="total"))'


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Networks take seconds a layer; what normals leave is a bound all the same."""
    linear = partial(fp.denoising_spectrum, denoiser="linear")
    monkeypatch.setattr(recordings, "denoising_spectrum", linear)


@pytest.fixture(scope="module")
def wide():
    """Sixty directions are more than eighty samples can show; three are not."""
    x = np.random.default_rng(0).normal(size=(80, 160)).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    return fp.from_arrays({"wide": x, "narrow": np.tanh(x[:, :4] @ weights)}, x[:, 0] > 0, inputs=x)


@pytest.fixture(scope="module")
def spectrum(wide):
    return fp.denoising_spectrum(wide, denoiser="linear")


def said(read, section) -> str:
    return " ".join(read.sections[section].split())


def test_the_bound_stands_beside_what_is_saturated(wide, spectrum, tmp_path):
    read = Read(fp.report(wide, tmp_path / "report.html", denoising=True).read_text())
    assert "denoising-spectrum" in read.figures()
    bound = spectrum.information.sel(layer="wide", resolution=0.1).item()
    assert bound > np.log2(80)
    plane = said(read, "plane")
    assert "In wide almost every input occupies its own cell" in plane
    assert f"Denoising, which does not stop there, gives at most {bound:.2f} bits in wide." in plane
    assert "The bound of wide lies above H(X) = 6.32 bits" in plane
    assert CALL not in plane
    summary = said(read, "summary")
    assert f"by denoising at most {bound:.2f} [" in summary and summary.count("by denoising") == 1
    assert "Denoising (I(X;T + noise)): an upper bound" in said(read, "validity")
    assert "denoising=True)" in said(read, "provenance")


def test_i_xt_stays_that_of_pairwise(wide, spectrum, tmp_path):
    plane = fp.information_plane(wide)
    beside = with_denoised(plane, spectrum)
    xr.testing.assert_identical(beside[list(plane.data_vars)].drop_vars("flags"), plane.drop_vars("flags"))
    assert (beside.i_xt.estimator, beside.i_xt_denoised.estimator) == ("Pairwise", "Denoising")
    assert beside.i_xt_denoised.bound == "upper" and beside.i_xt_denoised.units == "bits"
    assert "resolution times the layer's total variance" in beside.i_xt_denoised.channel
    assert beside.i_xt_denoised.dims == plane.i_xt.dims
    np.testing.assert_allclose(
        beside.i_xt_denoised.sel(resolution=0.03), spectrum.information.sel(resolution=0.03)
    )  # every resolution of a plane is one of a spectrum
    assert np.isfinite(beside.i_xt_denoised).all()
    numbers = re.compile(r"\d\.\d\d \[[\d.]+, [\d.]+\]")
    pages = [Read(fp.report(wide, tmp_path / "report.html", denoising=asked).read_text()) for asked in (False, True)]
    without, asked = (numbers.findall(said(page, "summary")) for page in pages)
    assert set(without) < set(asked)


def test_epochs_that_were_not_denoised_are_missing(spectrum, wide):
    plane = fp.information_plane(wide)
    longer = xr.concat([plane, plane.assign_coords(epoch=[5])], "epoch", combine_attrs="override")
    for name in plane.data_vars:
        longer[name].attrs = plane[name].attrs
    beside = with_denoised(longer, spectrum)
    assert np.isfinite(beside.i_xt_denoised.sel(epoch=0)).all() and beside.i_xt_denoised.sel(epoch=5).isnull().all()
    assert beside.i_xt_denoised_flags.dtype.kind == "i" and not beside.i_xt_denoised_flags.sel(epoch=5).any()


def test_what_does_not_go_together_is_refused(wide, spectrum):
    plane = fp.information_plane(wide)
    with pytest.raises(InputError, match=r"plane: found .* expected a plane at resolutions"):
        with_denoised(plane.isel(resolution=0), spectrum)
    with pytest.raises(InputError, match=r"spectrum: found .* expected what"):
        with_denoised(plane, plane)
    with pytest.raises(InputError, match="network 'another', expected one of the plane's recording"):
        with_denoised(plane, spectrum.assign_attrs(network="another"))


def test_without_it_the_sentence_names_the_call(wide, tmp_path):
    read = Read(fp.report(wide, tmp_path / "report.html").read_text())
    assert f"`{CALL}`" in said(read, "plane") and "denoising-spectrum" not in read.figures()
    assert "by denoising" not in said(read, "summary")
    found = fp.information_plane(wide, fp.Denoising(0.1, "linear", relative="total"))  # the call does
    assert np.isfinite(found.i_xt).all()


def test_an_ensembles_plane_stays_and_the_spectrum_stands_beside(small, tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "DENOISED", 9)
    read = Read(fp.report(small, tmp_path / "report.html", denoising=True).read_text())
    assert {"information-plane", "denoising-spectrum"} <= set(read.figures())
    assert "at 3 of 8 snapshots and in the first replica only" in said(read, "plane")
    assert len(read.figures()["denoising-spectrum"]["controls"]["labels"]) == 3
    assert "hardest to denoise" in said(read, "plane") and "by denoising" not in said(read, "summary")


def test_of_many_layers_the_last_snapshot_is_denoised(small, monkeypatch):
    monkeypatch.setattr(recordings, "DENOISED", 4)
    few, words = recordings._few(small)
    assert few.epochs.tolist() == [small.epochs.max()] and "1 of 8 snapshots" in words[0]
    monkeypatch.setattr(recordings, "DENOISED", 99)
    assert recordings._few(small.sel(replica=[0]))[1] == []


def test_where_nothing_can_be_denoised_it_is_said(tmp_path):
    rec = fp.record(torch.nn.Linear(4, 3), torch.randn(30, 4, generator=torch.Generator().manual_seed(0)))
    read = Read(fp.report(rec, tmp_path / "report.html", denoising=True).read_text())
    assert "No layer could be denoised (too few samples)" in said(read, "plane")
    assert "denoising-spectrum" not in read.figures()


def test_results_are_not_denoised(small, tmp_path):
    from flowplane.experiments.claim import Claim
    from flowplane.experiments.registry import Result

    claim = Claim(id="B-1", role="headline", statement="I(X;T) falls", measured=(1.0,), verdict="reproduced")
    with pytest.raises(InputError, match="denoising: found True, expected False: results are shown as they were found"):
        fp.report(Result({}, {}, [claim]), tmp_path / "report.html", denoising=True)


def made(error, linear) -> xr.Dataset:
    """A spectrum of two layers at two resolutions."""
    dims = ("replica", "epoch", "layer", "resolution")
    parts = {"mmse": (dims, np.array([[error]]), {"bound": "estimate"}), "linear_mmse": (dims, np.array([[linear]]))}
    return xr.Dataset(parts, {"replica": [0], "epoch": [7], "layer": ["a", "3"], "resolution": [0.01, 0.1]})


def test_which_is_hardest_and_which_is_no_normal():
    hardest, farthest = spectrum_words(made([[0.1, 0.4], [0.05, 0.2]], [[0.15, 0.42], [0.35, 0.21]]))
    assert "at epoch 7, a is hardest to denoise: the best denoiser leaves 40 % of the variance unexplained in it" in hardest
    assert "20 % in layer 3, the easiest" in hardest
    assert "Farthest from a normal is layer 3 at resolution 0.01" in farthest
    assert "leaves 35 % there, this one 5.0 %" in farthest
    _, normal = spectrum_words(made([[0.1, 0.4], [0.05, 0.2]], [[0.1, 0.405], [0.05, 0.2]]))
    assert "look like normals" in normal
    assert spectrum_words(made([[np.nan, np.nan]] * 2, [[np.nan, np.nan]] * 2)) == []


def full(name, denoised) -> LayerNumbers:
    nothing = Learned(0.0, 0.0, np.nan, np.nan, np.nan, 0)
    flags = {"saturated": 1.0}
    number = Quantity(denoised)
    return LayerNumbers(name, 1, 4, Quantity(6.0), Quantity(0.5), nothing, 0.0, 0.0, flags=flags, denoised=number)


def test_which_bounds_lie_above_what_the_inputs_can_show():
    _, told = saturation_words([full("a", 5.0), full("b", 8.0), full("c", 9.0)], 6.0, 0.1)
    assert "gives at most 5.00 bits in a, 8.00 bits in b and 9.00 bits in c." in told
    assert "The bounds of b and c lie above H(X) = 6.00 bits" in told
    assert "above" not in saturation_words([full("a", 5.0)], 6.0, 0.1)[1]
    assert saturation_words([], 6.0, 0.1) == []
