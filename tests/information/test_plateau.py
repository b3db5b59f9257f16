"""How an estimate depends on samples and on its own parameter: shapes, subsets, plateaus where there are, refusals."""

import numpy as np
import pytest
import torch
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError
from flowplane.information import convergence
from flowplane.information.monte_carlo import MonteCarlo


def layer_of(seed, n=256, units=2):
    rng = np.random.default_rng(seed)
    layer = rng.normal(size=(n, units))
    return layer, (layer[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(int)


def two_blobs(seed, n, apart=1.5):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    return rng.normal(size=(n, 1)) + apart * (2 * labels[:, None] - 1), labels


def plateaus(curve):
    return {name: curve[name].attrs.get("plateau") for name in ("i_xt", "i_ty")}


# -- shapes and subsets ------------------------------------------------------------------------------------------------


def test_shapes_and_attributes():
    layer, labels = layer_of(0)
    curve = convergence(fp.Binned(), layer, labels, values=[2, 4, 8], draws=3)
    assert dict(curve.i_xt.sizes) == {"bins": 3, "samples": 4, "draw": 3}
    assert curve.bins.values.tolist() == [2, 4, 8]
    assert curve.samples.values.tolist() == [32, 64, 128, 256]
    assert curve.attrs["parameter"] == "bins"
    assert curve.i_xt.estimator == "Binned"
    assert set(plateaus(curve)) == {"i_xt", "i_ty"}
    for name in ("i_xt", "i_ty", "h_t"):
        for end in ("", "_lower", "_upper"):
            assert curve[name + end].dims == ("bins", "samples", "draw")
            assert curve[name + end].attrs["units"] == "bits"
    assert curve.flags.dtype.kind == "i"


def test_at_all_samples_it_is_the_estimator_itself():
    layer, labels = layer_of(1)
    curve = convergence(fp.Binned(range=(-3, 3)), layer, labels, inputs=np.arange(256) // 2, values=[3, 9], draws=2)
    for bins in (3, 9):
        alone = fp.Binned(bins, range=(-3, 3))(layer, labels, inputs=np.arange(256) // 2)
        for name in alone.data_vars:
            found = curve[name].sel(bins=bins, samples=256).values
            assert np.array_equal(found, np.full(2, float(alone[name])), equal_nan=True), name


def test_smaller_samples_are_draws_by_the_seed():
    layer, labels = layer_of(2)
    first, again, other = (convergence(fp.MatrixRenyi(), layer, labels, values=[0.5], draws=3, seed=k) for k in (0, 0, 1))
    assert first.identical(again)
    small = first.isel(bandwidth=0, samples=0).i_ty.values
    assert len(set(small)) == 3
    assert not np.array_equal(small, other.isel(bandwidth=0, samples=0).i_ty.values)
    # H(T) of a part of the samples is no more than log2 of their number
    assert (first.h_t <= np.log2(first.samples)).all()


def test_sizes_as_given_and_as_usual():
    layer, labels = layer_of(3, n=100)
    curve = convergence(fp.Binned(), layer, labels, values=[4], sizes=[50, 10, 50, 100], draws=1)
    assert curve.samples.values.tolist() == [10, 50, 100]
    assert convergence(fp.Binned(), layer, labels, values=[4], draws=1).samples.values.tolist() == [50, 100]
    tiny = convergence(fp.Binned(), layer[:20], labels[:20], values=[4], draws=1)
    assert tiny.samples.values.tolist() == [20]


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (fp.Binned(), "bins"),
        (fp.KSG(), "k"),
        (fp.GaussianMI(), "shrinkage"),
        (fp.MatrixRenyi(), "bandwidth"),
        (fp.SlicedMI(fp.GaussianMI()), "slices"),
        (fp.Pairwise(0.1), "noise_variance"),
    ],
)
def test_the_parameter_that_matters_most(estimator, name):
    layer, labels = layer_of(4, n=64)
    curve = convergence(estimator, layer, labels, inputs=layer, sizes=[64], draws=1)
    assert curve.attrs["parameter"] == name
    assert curve.sizes[name] > 3
    assert np.isfinite(curve.i_ty).all()
    if name == "noise_variance":
        assert curve.noise_variance.values[0] == pytest.approx(1e-4)
        assert curve.noise_variance.values[-1] == pytest.approx(100.0)
        assert (np.diff(curve.i_xt.values[:, 0, 0]) <= 1e-12).all()  # more noise, less information


def test_a_parameter_by_name():
    layer, labels = layer_of(5, n=64)
    by_alpha = convergence(
        fp.MatrixRenyi(), layer, labels, parameter="alpha", values=[0.5, 1.0, 2.0, 3.0], sizes=[64], draws=1
    )
    entropies = by_alpha.h_t.values[:, 0, 0]
    assert (np.diff(entropies) < 0).all()
    by_range = convergence(fp.Binned(4), layer, labels, parameter="range", values=["data", "quantiles"], sizes=[64], draws=1)
    assert by_range["range"].values.tolist() == ["data", "quantiles"]
    by_correction = convergence(
        fp.Binned(4), layer, labels, parameter="correction", values=["miller-madow", "jackknife", "grassberger"], draws=1
    )
    assert by_correction.sizes["correction"] == 3


def test_none_is_a_value_like_others():
    layer, labels = layer_of(6, n=2000, units=1)
    values = [None, "miller-madow", "jackknife", "grassberger"]
    curve = convergence(fp.Binned(4), layer, labels, parameter="correction", values=values, sizes=[2000], draws=1)
    assert plateaus(curve)["i_ty"] == ["None", "grassberger"]


def test_a_parameter_of_several_numbers():
    layer, labels = layer_of(16, n=64)
    spans = [(-1, 1), (-2, 2), (-3, 3)]
    curve = convergence(fp.Binned(4), layer, labels, parameter="range", values=spans, sizes=[64], draws=1)
    for k, span in enumerate(spans):
        alone = fp.Binned(4, range=span)(layer, labels)
        assert float(curve.i_ty.isel(range=k).squeeze()) == float(alone.i_ty)


def test_noise_relative_to_the_layer():
    layer, labels = layer_of(7, n=128)
    curve = convergence(fp.Pairwise(0.1, relative="recording"), layer, labels, draws=2)
    assert curve.sizes["noise_variance"] == 13
    assert curve.i_xt.dims == ("noise_variance", "samples", "draw")
    assert curve.noise_variance.values[6] == pytest.approx(0.1)


def test_kinds_of_array():
    layer, labels = layer_of(8, n=64)
    plain = convergence(fp.Binned(), layer, labels, values=[4, 8], draws=2)
    for array in (torch.tensor(layer), xr.DataArray(layer, dims=("sample", "unit")), layer.tolist()):
        other = convergence(fp.Binned(), array, torch.tensor(labels), values=[4, 8], draws=2)
        assert np.array_equal(other.i_ty, plain.i_ty)


# -- plateaus ----------------------------------------------------------------------------------------------------------


def test_neighbours_find_the_information_of_classes_whatever_k():
    layer, labels = two_blobs(9, 1000)
    curve = convergence(fp.KSG(), layer, labels, sizes=[1000], draws=1)
    first, last = plateaus(curve)["i_ty"]
    assert last >= 4 * first
    assert plateaus(curve)["i_xt"] is None  # no inputs: NaN is no plateau


def test_bins_find_no_information_of_x():
    layer, labels = layer_of(10, n=1000, units=3)
    curve = convergence(fp.Binned(), layer, labels, sizes=[1000], draws=1)
    assert plateaus(curve)["i_xt"] is None
    assert plateaus(convergence(fp.Pairwise(0.1), layer, labels, sizes=[1000], draws=1))["i_xt"] is None


def test_saturation_is_no_plateau():
    """From 10⁴ bins on each sample stands alone: log2 n whatever the bins, which says nothing of the layer."""
    layer, labels = layer_of(11, n=64)
    curve = convergence(fp.Binned(), layer, labels, values=[10**4, 10**5, 10**6, 10**7], sizes=[64], draws=1)
    assert np.allclose(curve.i_xt, 6.0)
    assert plateaus(curve) == {"i_xt": None, "i_ty": None}


def test_a_plateau_is_three_values_wide():
    layer = np.repeat([0.1, 0.6, 1.1, 1.6], 50)[:, None]
    labels = np.arange(200) % 2
    known = {"labels": labels, "sizes": [200], "draws": 1}
    estimator = fp.Binned(range=(0, 2))
    assert plateaus(convergence(estimator, layer, values=[4, 8, 16], **known))["i_xt"] == [4, 16]
    assert plateaus(convergence(estimator, layer, values=[4, 8], **known))["i_xt"] is None
    assert plateaus(convergence(estimator, layer, values=[1, 4, 8, 16, 32], **known))["i_xt"] == [4, 32]


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"estimator": "binned"}, "estimator: found str"),
        ({"estimator": fp.Binned}, "estimator: found"),
        ({"activations": np.zeros((2, 30, 3))}, "activations: found shape"),
        ({"activations": np.zeros(30)}, "activations: found shape"),
        ({"activations": np.zeros((1, 3)), "labels": None}, "activations: found shape"),
        ({"activations": [["a"]] * 60}, "activations: found"),
        ({"activations": np.full((60, 2), np.nan)}, "activations: found"),
        ({"activations": []}, "activations: found shape"),
        ({"labels": np.zeros(60)}, "labels: found one class"),
        ({"labels": ["a", "b"] * 30}, "labels: found"),
        ({"labels": np.arange(20) % 2}, "labels: found shape"),
        ({"labels": np.arange(90) % 2}, "labels: found shape"),
        ({"inputs": np.zeros((20, 2))}, "inputs: found shape"),
        ({"conditional": np.full((20, 2), 0.5)}, "conditional: found shape"),
        ({"sizes": [61]}, "sizes: found"),
        ({"sizes": [1]}, "sizes: found 1"),
        ({"sizes": [2.5]}, "sizes: found 2.5"),
        ({"sizes": []}, "sizes: found"),
        ({"draws": 0}, "draws: found 0"),
        ({"draws": "3"}, "draws: found"),
        ({"seed": -1}, "seed: found -1"),
        ({"parameter": "bin"}, "did you mean 'bins'"),
        ({"parameter": "correction"}, "values: found None"),
        ({"values": []}, "values: found none"),
        ({"values": [0, 1]}, "bins: found 0"),
        ({"values": ["few"]}, "bins: found 'few'"),
        ({"estimator": MonteCarlo(0.1)}, "values: found none"),
    ],
)
def test_what_is_refused(changed, message):
    layer, labels = layer_of(12, n=60)
    known = {"estimator": fp.Binned(), "activations": layer, "labels": labels, "draws": 2} | changed
    with pytest.raises(InputError, match=message):
        convergence(known.pop("estimator"), known.pop("activations"), known.pop("labels"), **known)


@pytest.mark.parametrize("name", ["labels", "inputs", "conditional"])
@pytest.mark.parametrize("length", [20, 90])
def test_other_lengths_are_refused_for_parts_too(name, length):
    layer, _ = layer_of(13, n=60)
    wrong = {"labels": np.arange(length) % 2, "inputs": np.zeros((length, 2)), "conditional": np.full((length, 2), 0.5)}[
        name
    ]
    with pytest.raises(InputError, match=f"{name}: found shape"):
        convergence(fp.Binned(), layer, values=[4], sizes=[30], draws=1, **{name: wrong})


def test_a_rare_class_may_be_missing_from_a_part():
    """One sample in a hundred: some parts of 32 hold one class only, which is no reason to say nothing of the others."""
    layer, _ = layer_of(14, n=400)
    labels = (np.arange(400) % 100 == 0).astype(int)
    curve = convergence(fp.Binned(4), layer, labels, values=[4], draws=4)
    assert np.isfinite(curve.i_ty.sel(samples=400)).all()


def test_nothing_is_changed_in_place():
    layer, labels = layer_of(15, n=64)
    copies = layer.copy(), labels.copy()
    convergence(fp.Binned(), layer, labels, values=[4], draws=1)
    assert np.array_equal(layer, copies[0])
    assert np.array_equal(labels, copies[1])


@pytest.mark.parametrize("given", [{"values": 8}, {"sizes": 50}])
def test_one_number_is_no_list(given):
    layer = np.random.default_rng(0).normal(size=(64, 1))
    with pytest.raises(InputError, match=next(iter(given))):
        convergence(fp.Binned(), layer, layer[:, 0] > 0, **given)
