"""Binned information against the oracle, its invariances, and its flags."""

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import bin_of, binned_information, published_bin

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError

TOLERANCE = 1e-9


def layer_of(seed, n=200, units=3, batch=()):
    return np.tanh(np.random.default_rng(seed).normal(size=(*batch, n, units)))


def check(result, expected):
    for name, value in zip(("i_xt", "i_ty", "h_t"), expected, strict=True):
        assert float(result[name]) == pytest.approx(value, abs=TOLERANCE), name


VALUES = st.one_of(st.floats(-1.5, 1.5, width=32), st.sampled_from([-1.0, 1.0, 0.0, 1 / 3, 0.2, -0.6, 29 / 30]))


@settings(max_examples=60)
@given(
    arrays(np.float32, st.tuples(st.integers(2, 25), st.integers(1, 4)), elements=VALUES),
    st.integers(1, 40),
    st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-0.3, 0.4)]),
    st.integers(0, 3),
)
def test_against_the_oracle(layer, bins, span, kind):
    n = len(layer)
    rng = np.random.default_rng(n)
    labels = np.append([0, 1], rng.integers(0, 3, n - 2))
    edges = np.linspace(*span, bins + 1)
    given_too = {}
    if kind & 1:
        given_too["probability"] = rng.dirichlet(np.ones(n))
    if kind & 2:
        given_too["conditional"] = rng.dirichlet(np.ones(3), n)
    result = fp.Binned(bins, range=span)(layer, labels, **given_too)
    check(result, binned_information(layer, labels, place=lambda value: bin_of(value, edges), **given_too))
    inputs = rng.integers(0, 2, (n, 2))
    with_inputs = fp.Binned(bins, range=span)(layer, labels, inputs=inputs, **given_too)
    check(
        with_inputs, binned_information(layer, labels, place=lambda value: bin_of(value, edges), inputs=inputs, **given_too)
    )


@settings(max_examples=40)
@given(arrays(np.float64, st.tuples(st.integers(2, 25), st.integers(1, 4)), elements=VALUES))
def test_published_setting_against_the_oracle(layer):
    layer = layer.clip(-1, 1)
    labels = np.arange(len(layer)) % 2
    check(fp.Binned.published()(layer, labels), binned_information(layer, labels, place=published_bin))


def test_every_edge_falls_where_it_belongs():
    for bins in (1, 2, 3, 7, 30, 100):
        edges = np.linspace(-1, 1, bins + 1)
        for dtype in (np.float32, np.float64):
            exact = edges.astype(dtype)
            values = np.concatenate([exact, np.nextafter(exact, dtype(9)), np.nextafter(exact, dtype(-9))])
            # one sample falls into each bin by construction: H(T) counts how the others join them
            labels = np.arange(len(values)) % 2
            expected = binned_information(values[:, None], labels, place=lambda value, edges=edges: bin_of(value, edges))
            check(fp.Binned(bins, range=(-1, 1))(values[:, None], labels), expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_far_outside_go_to_the_end_bins(kind):
    layer = np.array([1e30, 0.99, -1e30, -0.99, 5.0, 3e38, -3e38, 0.0], kind)[:, None]
    labels = np.array([0, 1, 0, 1, 0, 1, 1, 0])
    edges = np.linspace(-1, 1, 31)
    result = fp.Binned(30, range=(-1, 1))(layer, labels)
    check(result, binned_information(layer, labels, place=lambda v: bin_of(v, edges)))
    assert "clipped" in flags(result)


def test_recorded_network_against_the_oracle(rec, task):
    plane = fp.information_plane(rec, fp.Binned.published())
    for layer in ("layer3", "layer6"):
        values = rec.activations(layer).sel(replica=1, epoch=40).values
        expected = binned_information(values, task.labels, place=published_bin)
        check(plane.sel(layer=layer, replica=1, epoch=40), expected)


def test_many_units_are_hashed_without_a_difference():
    layer = layer_of(0, n=300, units=40)
    layer[150:] = layer[:150]
    labels = np.arange(300) % 2
    edges = np.linspace(-1, 1, 31)
    check(fp.Binned(30, range=(-1, 1))(layer, labels), binned_information(layer, labels, place=lambda v: bin_of(v, edges)))


def test_batches_and_kinds_of_array():
    layer = layer_of(1, batch=(2, 3))
    labels = np.arange(200) % 2
    estimator = fp.Binned(10, range=(-1, 1))
    whole = estimator(layer, labels)
    assert whole.i_xt.dims == ("batch_0", "batch_1")
    for array in (torch.tensor(layer), xr.DataArray(layer, dims=("replica", "epoch", "sample", "unit"))):
        assert np.array_equal(estimator(array, labels).i_xt.values, whole.i_xt.values)
    named = estimator(xr.DataArray(layer, dims=("replica", "epoch", "sample", "unit"), coords={"epoch": [0, 5, 9]}), labels)
    assert named.i_xt.dims == ("replica", "epoch")
    assert named.epoch.values.tolist() == [0, 5, 9]
    for i in range(2):
        for j in range(3):
            alone = estimator(layer[i, j], labels)
            assert alone.i_xt.dims == ()
            assert float(alone.i_ty) == float(whole.i_ty[i, j])


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_invariances(seed):
    rng = np.random.default_rng(seed)
    layer = layer_of(seed, n=120, units=2)
    labels = np.append([0, 1, 2], rng.integers(0, 3, 117))
    estimator = fp.Binned(6, range=(-1, 1))
    base = estimator(layer, labels)
    order = rng.permutation(120)
    same = {
        "samples permuted": (layer[order], labels[order]),
        "units permuted": (layer[:, ::-1], labels),
        "labels renamed": (layer, np.array([7, 3, 5])[labels]),
        "constant unit added": (np.hstack([layer, np.full((120, 1), 0.3)]), labels),
        "unit duplicated": (layer[:, [0, 1, 1]], labels),
    }
    for name, (values, names) in same.items():
        result = estimator(values, names)
        for variable in ("i_xt", "i_ty", "h_t"):
            assert float(result[variable]) == pytest.approx(float(base[variable]), abs=TOLERANCE), name
    counts = np.bincount(labels) / 120
    assert 0 <= float(base.i_ty) <= min(float(base.h_t), -(counts * np.log2(counts)).sum()) + TOLERANCE
    assert float(estimator(layer[:, :1], labels).i_ty) <= float(base.i_ty) + TOLERANCE  # data processing


def test_uniform_weights_change_nothing_and_repeated_samples_are_weights():
    layer, labels = layer_of(3), np.arange(200) % 2
    estimator = fp.Binned(8, range=(-1, 1))
    uniform = estimator(layer, labels, probability=(1 + 1e-13 * labels) / 200)  # all but uniform
    assert float(uniform.i_ty) == pytest.approx(float(estimator(layer, labels).i_ty), abs=TOLERANCE)
    doubled = estimator(np.vstack([layer, layer[:50]]), np.append(labels, labels[:50]))
    weights = np.where(np.arange(200) < 50, 2, 1) / 250
    assert float(estimator(layer, labels, probability=weights).h_t) == pytest.approx(float(doubled.h_t), abs=TOLERANCE)


def test_hard_rule_equals_hard_labels():
    layer, labels = layer_of(4), np.arange(200) % 3
    estimator = fp.Binned(5, range=(-1, 1))
    by_rule = estimator(layer, labels, conditional=np.eye(3)[labels])
    assert float(by_rule.i_ty) == pytest.approx(float(estimator(layer, labels).i_ty), abs=TOLERANCE)
    assert by_rule.i_ty.labels.startswith("soft rule")


def test_noisy_channel_has_less_than_its_entropy():
    rng = np.random.default_rng(5)
    inputs = np.repeat(rng.normal(size=(50, 2)), 40, axis=0)
    noisy = np.tanh(inputs + 0.3 * rng.normal(size=inputs.shape))
    result = fp.Binned(8, range=(-1, 1))(noisy, inputs=inputs)
    assert float(result.i_xt) < float(result.h_t) - 0.5
    assert float(result.i_xt) < np.log2(50)


def flags(result):
    return set(Flags.names(result.flags))


def test_flags():
    rng = np.random.default_rng(6)
    labels = np.arange(400) % 2
    wide = rng.uniform(-1, 1, (400, 2))
    coarse = fp.Binned(4, range=(-1, 1))
    assert flags(coarse(wide, labels)) == set()
    assert flags(coarse(2 * wide, labels)) == {"clipped"}
    assert flags(fp.Binned(10_000, range=(-1, 1))(wide, labels)) == {"saturated", "too_few_samples"}
    assert flags(coarse(np.hstack([wide, np.zeros((400, 1))]), labels)) == {"constant_units"}
    assert flags(coarse(wide)) == {"no_labels"}
    assert np.isnan(float(coarse(wide).i_ty))
    narrow = wide[:, :1]
    assert flags(fp.Binned.published()(np.where(narrow > 0.9, 1.0, narrow), labels)) == set()
    assert flags(fp.Binned.published()(1.2 * narrow, labels)) == {"clipped"}
    assert flags(fp.Binned.published()(wide, labels)) == {"too_few_samples"}
    everything = coarse(np.zeros((400, 2)), labels)
    assert float(everything.i_xt) == pytest.approx(0, abs=TOLERANCE)
    assert float(everything.i_ty) == pytest.approx(0, abs=TOLERANCE)


def test_range_from_the_data():
    layer, labels = 5 + 3 * layer_of(7), np.arange(200) % 2
    low, high = layer.min(), layer.max()
    edges = np.linspace(low, high, 13)
    for span in ("data", "activation"):
        check(fp.Binned(12, range=span)(layer, labels), binned_information(layer, labels, place=lambda v: bin_of(v, edges)))
    edges = np.quantile(layer, np.linspace(0, 1, 13))
    check(
        fp.Binned(12, range="quantiles")(layer, labels), binned_information(layer, labels, place=lambda v: bin_of(v, edges))
    )
    assert float(fp.Binned(12, range="quantiles")(layer[:, :1], labels).h_t) == pytest.approx(np.log2(12), abs=0.01)
    constant = fp.Binned(12, range="data")(np.full((10, 2), 3.0), np.arange(10) % 2)
    assert float(constant.i_xt) == pytest.approx(0, abs=TOLERANCE)


def test_edges_as_given():
    layer, labels = layer_of(8), np.arange(200) % 2
    edges = (-1.0, -0.2, 0.1, 0.9, 1.0)
    check(fp.Binned(edges)(layer, labels), binned_information(layer, labels, place=lambda v: bin_of(v, edges)))


def test_range_belongs_to_the_layer_over_the_whole_recording(task):
    rec = fp.train(task, hidden=(4, 3), activation="relu", replicas=2, epochs=10, snapshots=4)
    plane = fp.information_plane(rec, fp.Binned(30))
    values = rec.activations("layer2").values
    edges = np.linspace(values.min(), values.max(), 31)
    expected = binned_information(values[1, 2], task.labels, place=lambda v: bin_of(v, edges))
    check(plane.isel(replica=1, epoch=2, layer=1), expected)
    part = fp.information_plane(rec.sel(replica=1, epoch=int(rec.epochs[2]), layer="layer2"), fp.Binned(30))
    assert float(part.i_xt.squeeze()) == float(plane.i_xt[1, 2, 1])
    channels = dict(zip(plane.layer.values.tolist(), plane.channel.values.tolist(), strict=True))
    assert f"{values.max():.6g}" in channels["layer2"]
    assert channels["layer3"] == "30 equal bins on [0, 1]"


def test_schema():
    result = fp.Binned(5, range=(-1, 1))(layer_of(9), np.arange(200) % 2)
    names = [f"{name}{end}" for name in ("i_xt", "i_ty", "h_t") for end in ("", "_lower", "_upper")]
    assert set(result.data_vars) == {*names, "i_xt_flags", "i_ty_flags", "h_t_flags", "flags"}
    assert all(result[name].attrs["units"] == "bits" for name in names)
    for name in ("i_xt", "i_ty", "h_t"):
        assert result[f"{name}_lower"] <= result[name] <= result[f"{name}_upper"]
    assert len(result.flags.attrs["flag_meanings"].split()) == len(result.flags.attrs["flag_masks"])
    assert result.i_xt.channel == "5 equal bins on [-1, 1]"
    assert result.i_xt.parameters == "bins=5, range=(-1.0, 1.0)"
    assert (result.i_xt.units, result.i_xt.bound, result.i_xt.estimator) == ("bits", "estimate", "Binned")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bins": 0}, "bins: found 0"),
        ({"bins": 10**12}, "bins: found 1000000000000"),
        ({"bins": 2.5}, "bins: found 2.5"),
        ({"bins": (0.0, 0.0, 1.0)}, "increasing"),
        ({"bins": (0.0,)}, "increasing"),
        ({"bins": (0.0, np.nan)}, "increasing"),
        ({"range": "everything"}, "range: found 'everything', expected one of activation"),
        ({"range": (1.0, 0.0)}, "range: found"),
        ({"range": (0.0, 1.0, 2.0)}, "range: found"),
        ({"range": 3}, "range: found 3"),
    ],
)
def test_bad_bins_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fp.Binned(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activations": np.full((4, 2), np.nan)}, "activations: found 8 values"),
        ({"activations": np.array([[0.0], [np.inf], [1.0], [2.0]])}, "activations: found 1 value"),
        ({"activations": np.zeros((4, 0))}, "activations: found shape"),
        ({"activations": np.zeros(4)}, "activations: found shape"),
        ({"activations": np.array([["a"]])}, "an array of numbers"),
        ({"labels": [0, 1]}, r"labels: found shape \(2,\), expected shape \(4,\)"),
        ({"labels": [1, 1, 1, 1]}, "one class only"),
        ({"labels": [0, 1, np.nan, 1]}, "labels: found 1 value"),
        ({"inputs": np.zeros((3, 2))}, "inputs: found shape"),
        ({"inputs": np.full((4, 2), np.inf)}, "inputs: found 8 values"),
        ({"conditional": np.zeros((4, 2))}, "conditional: found rows"),
        ({"conditional": np.zeros(4)}, "conditional: found shape"),
        ({"probability": np.ones(4)}, "probability: found 0 negative entries and a sum of 4"),
        ({"probability": [1.5, -0.5, 0, 0]}, "probability: found"),
    ],
)
def test_bad_arrays_are_refused(arguments, message):
    full = {"activations": layer_of(0, n=4), "labels": [0, 1, 0, 1]} | arguments
    with pytest.raises(InputError, match=message):
        fp.Binned(5, range=(-1, 1))(full.pop("activations"), full.pop("labels"), **full)


@pytest.mark.parametrize("kind", [">f8", "f2", "i4", "?", "longdouble", "<f4"])
def test_any_number_will_do(kind):
    layer = (layer_of(0) * 2).round().astype(kind)
    labels = np.arange(200) % 2
    expected = fp.Binned(7, range=(-2, 2))(layer.astype(float), labels)
    assert float(fp.Binned(7, range=(-2, 2))(layer, labels).i_ty) == pytest.approx(float(expected.i_ty), abs=TOLERANCE)
    assert float(fp.Binned(7, range=(-2, 2))(layer.tolist(), labels.tolist()).i_ty) == pytest.approx(float(expected.i_ty))


def test_ragged_rows_are_refused():
    with pytest.raises(InputError, match="all rows equally long"):
        fp.Binned(5)([[1], [2, 3]], [0, 1])


def test_nothing_is_changed_in_place():
    layer, labels, weights = layer_of(0), np.arange(200) % 2, np.full(200, 1 / 200)
    copies = [array.copy() for array in (layer, labels, weights)]
    fp.Binned(5)(layer, labels, probability=weights, inputs=layer)
    for array, copy in zip((layer, labels, weights), copies, strict=True):
        assert np.array_equal(array, copy)


def test_a_uniform_probability_is_none_at_all():
    """Samples that weigh the same are draws like any others: their intervals stay."""
    layer, labels = np.random.default_rng(0).normal(size=(200, 2)), np.arange(200) % 2
    for estimator in (fp.Binned(4), fp.GaussianMI(), fp.Pairwise(0.1)):
        plain = estimator(layer, labels)
        weighed = estimator(layer, labels, probability=np.full(200, 1 / 200))
        assert plain.equals(weighed) and np.isfinite(weighed.i_ty_lower)


def test_bins_between_each_snapshots_own_ends():
    """A layer that only grows, or shrinks, fills as many bins as before; over the whole recording's range it fills more."""
    rng = np.random.default_rng(0)
    layer, labels = rng.normal(size=(200, 3)), np.arange(200) % 2
    grown = np.stack([layer, 100 * layer + 7, -1e-3 * layer])
    found = fp.Binned(8, range="snapshot")(grown, labels)
    for name in ("i_xt", "i_ty", "h_t"):
        np.testing.assert_allclose(found[name], float(fp.Binned(8, range="data")(layer, labels)[name]), atol=1e-12)
    whole = fp.Binned(8, range="data")(grown, labels)
    assert float(whole.i_xt[2]) < float(whole.i_xt[1])
    assert "at that epoch" in found.i_xt.channel and "clipped" not in Flags.names(found.flags)
    assert float(fp.Binned(8, range="snapshot")(np.ones((2, 9, 3))).i_xt.max()) == 0
    cells = fp.Binned(8, range="snapshot").cells(grown)
    assert (cells[0] == cells[1]).all() and len(torch.unique(cells[2])) == len(torch.unique(cells[0]))
