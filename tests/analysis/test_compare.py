"""Estimators side by side: each answers as it would alone, and its attributes are kept by name."""

import numpy as np
import pytest
import torch
import xarray as xr

import flowplane as fp
from flowplane.analysis.comparison import usual_estimators
from flowplane.core.results import Flags, said
from flowplane.errors import InputError
from flowplane.information.monte_carlo import MonteCarlo

CHEAP = {
    "bins": fp.Binned(8, range=(-1, 1)),
    "noise": fp.Pairwise(0.1),
    "normal": fp.GaussianMI(),
    "kernel": fp.MatrixRenyi(),
}


def layer_of(seed, n=120, batch=()):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    layer = np.tanh(x + 0.3 * rng.normal(size=(*batch, n, 2)))
    return x, layer, (x[:, 0] > 0).astype(int)


def flags(result):
    return set(Flags.names(result.flags))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_each_answers_as_it_would_alone(batch):
    x, layer, labels = layer_of(0, batch=batch)
    table = fp.compare_estimators(layer, labels, inputs=x, estimators=CHEAP)
    assert table.estimator.values.tolist() == list(CHEAP)
    assert len(table.i_xt.dims) == 1 + len(batch)
    for name, estimator in CHEAP.items():
        alone = estimator(layer, labels, inputs=x)
        for variable in alone.data_vars:
            found = table[variable].sel(estimator=name)
            assert np.array_equal(found.values, alone[variable].values, equal_nan=True), (name, variable)
            assert found.attrs.get("units") == alone[variable].attrs.get("units")


def test_attributes_by_estimator():
    x, layer, labels = layer_of(1)
    table = fp.compare_estimators(layer, labels, inputs=x, estimators=CHEAP)
    assert table.channel.dims == ("estimator",)
    assert said(table, "i_xt", "channel", estimator="bins") == "8 equal bins on [-1, 1]"
    assert said(table, "i_ty", "estimator", estimator="kernel") == "MatrixRenyi"
    told = {name: said(table, "i_xt", "quantity", estimator=name) for name in CHEAP}
    assert {name for name, text in told.items() if text} == {"kernel"}  # which alone has one
    assert (table.i_xt.units, table.attrs["confidence"]) == ("bits", 0.95)
    assert "noise_variance=0.1" in said(table, "i_xt", "parameters", estimator="noise")
    assert "{" not in "".join(str(value) for value in table.attrs.values())


def test_names():
    _, layer, labels = layer_of(2)
    several = fp.compare_estimators(layer, labels, estimators=[fp.Binned(2), fp.GaussianMI(), fp.Binned(9), fp.Binned(20)])
    assert several.estimator.values.tolist() == ["Binned", "GaussianMI", "Binned 2", "Binned 3"]
    assert len(set(several.h_t.values)) == 4
    usual = usual_estimators()
    assert all(isinstance(value, fp.information.estimator.Estimator) for value in usual.values())
    assert all(name == type(estimator).__name__ for name, estimator in usual.items())


def test_one_of_each_kind():
    x, layer, labels = layer_of(3, n=80)
    table = fp.compare_estimators(layer, labels, inputs=x)
    assert table.estimator.values.tolist() == list(usual_estimators())
    assert np.isfinite(table.i_ty).all()
    assert np.isfinite(table.i_xt.drop_sel(estimator="Decodable")).all()
    assert Flags.names(table.i_xt_flags.sel(estimator="Decodable")) == ("labels_only",)


def test_noise_is_for_those_without_a_channel():
    x, layer, labels = layer_of(4)
    table = fp.compare_estimators(layer, labels, inputs=x, estimators=CHEAP, noise_variance=0.5)
    plain = fp.compare_estimators(layer, labels, inputs=x, estimators=CHEAP)
    assert float(table.i_xt.sel(estimator="normal")) < float(plain.i_xt.sel(estimator="normal"))
    for name in ("bins", "noise", "kernel"):
        assert float(table.i_xt.sel(estimator=name)) == float(plain.i_xt.sel(estimator=name))
    assert said(table, "i_xt", "channel", estimator="normal") == "Gaussian noise of variance 0.5 added to each unit"


def test_seeds_weights_and_rules_are_passed_on():
    _, layer, labels = layer_of(5)
    chosen = [fp.SlicedMI(fp.GaussianMI(), slices=3)]
    first, again, other = (
        float(fp.compare_estimators(layer, labels, estimators=chosen, seed=seed).i_ty[0]) for seed in (0, 0, 1)
    )
    assert first == again != other
    rng = np.random.default_rng(5)
    weights, rule = rng.dirichlet(np.ones(120)), rng.dirichlet(np.ones(2), 120)
    table = fp.compare_estimators(layer, conditional=rule, probability=weights, estimators=CHEAP)
    for name, estimator in CHEAP.items():
        alone = estimator(layer, conditional=rule, probability=weights)
        assert float(table.i_ty.sel(estimator=name)) == float(alone.i_ty)


def test_kinds_of_array():
    x, layer, labels = layer_of(6, batch=(3,))
    plain = fp.compare_estimators(layer, labels, inputs=x, estimators=CHEAP)
    named = xr.DataArray(layer, dims=("epoch", "sample", "unit"), coords={"epoch": [0, 5, 9]})
    table = fp.compare_estimators(named, labels, inputs=x, estimators=CHEAP)
    assert table.i_xt.dims == ("estimator", "epoch")
    assert table.epoch.values.tolist() == [0, 5, 9]
    tensors = fp.compare_estimators(torch.tensor(layer), torch.tensor(labels), inputs=torch.tensor(x), estimators=CHEAP)
    for other in (table, tensors):
        assert np.array_equal(other.i_xt.values, plain.i_xt.values)


# -- whatever a user brings --------------------------------------------------------------------------------------------

EVERY = usual_estimators() | {
    "MonteCarlo": MonteCarlo(0.1),
    "corrected": fp.Binned(5, correction="jackknife"),
    "any order": fp.MatrixRenyi(1.5),
    "largest": fp.SlicedMI(fp.GaussianMI(), slices=3, reduce="max"),
    "sliced": fp.SlicedMI(fp.GaussianMI(), slices=3),
    "shrunk": fp.GaussianMI("oas"),
}
SMALL = {name: one for name, one in EVERY.items() if name not in ("Variational", "SlicedMI")}
ODD = {
    "two samples": ([[0.1], [0.7]], [0, 1]),
    "three samples, each a class": ([[0.1], [0.7], [0.3]], [0, 1, 2]),
    "whole numbers": (np.random.default_rng(0).integers(0, 5, (40, 2)), np.arange(40) % 2),
    "bytes": (np.random.default_rng(0).integers(0, 255, (40, 2)).astype(np.uint8), np.arange(40) % 2),
    "truths": (np.random.default_rng(0).random((40, 2)) > 0.5, np.arange(40) % 2 == 0),
    "half precision": (np.random.default_rng(0).normal(size=(40, 2)).astype(np.float16), np.arange(40) % 2),
    "single precision": (np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32), np.arange(40.0) % 2),
    "constant": (np.ones((40, 2)), np.arange(40) % 2),
    "one unit of many constant": (np.eye(40)[:, :3], np.arange(40) % 2),
    "more units than samples": (np.random.default_rng(0).normal(size=(12, 40)), np.arange(12) % 2),
    "every sample its own class": (np.random.default_rng(0).normal(size=(20, 2)), np.arange(20)),
    "a class of one": (np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) == 0),
    "tiny": (1e-200 * np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2),
    "far away": (1e9 + np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2),
    "repeated": (np.repeat(np.random.default_rng(0).normal(size=(4, 2)), 10, axis=0), np.arange(40) % 2),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", SMALL)
def test_odd_samples_give_a_number_or_a_reason(name, odd):
    """No exception; what is given is at most H(Y) and lies in its interval, what is NaN has a flag."""
    layer, labels = ODD[odd]
    n = len(layer)
    result = SMALL[name](layer, labels, inputs=np.random.default_rng(1).normal(size=(n, 2)))
    counts = np.unique(labels, return_counts=True)[1] / n
    for quantity in ("i_xt", "i_ty"):
        value, lower, upper = (float(result[f"{quantity}{end}"]) for end in ("", "_lower", "_upper"))
        assert np.isfinite(value) or flags(result), quantity
        assert not np.isinf(value), quantity
        if np.isfinite(lower) and np.isfinite(upper) and np.isfinite(value):
            assert lower <= value + 1e-9 and value <= upper + 1e-9, quantity
    if not flags(result):
        assert float(result.i_ty) <= -(counts * np.log2(counts)).sum() + 1e-6


@pytest.mark.parametrize("name", [name for name, one in SMALL.items() if one.takes_weights and name != "corrected"])
def test_all_the_weight_on_one_sample(name):
    """Nothing is left to know: 0 bits, or NaN with a flag."""
    x, layer, labels = layer_of(9, n=30)
    result = SMALL[name](layer, labels, inputs=x, probability=np.eye(30)[3])
    for quantity in ("i_xt", "i_ty"):
        value = float(result[quantity])
        assert value == pytest.approx(0, abs=1e-6) or (np.isnan(value) and flags(result) - {"no_labels"}), quantity


@pytest.mark.parametrize("name", [name for name, one in SMALL.items() if name != "corrected"])
def test_a_class_that_cannot_occur_does_no_harm(name):
    x, layer, _ = layer_of(10)
    rule = np.random.default_rng(10).dirichlet(np.ones(2), 120)
    wider = np.hstack([rule[:, :1], np.zeros((120, 1)), rule[:, 1:]])
    plain, other = (SMALL[name](layer, inputs=x, conditional=given) for given in (rule, wider))
    assert float(other.i_ty) == pytest.approx(float(plain.i_ty), abs=1e-9, nan_ok=True)


# -- of a recording ----------------------------------------------------------------------------------------------------


def test_a_recording_is_read_as_a_plane(rec):
    part = rec.sel(replica=0, epoch=[0, 40], layer=["layer2", "layer6"])
    chosen = {"bins": fp.Binned.published(), "noise": fp.Pairwise(0.1, relative="recording"), "normal": fp.GaussianMI()}
    table = fp.compare_estimators(part, estimators=chosen)
    assert dict(table.i_xt.sizes) == {"estimator": 3, "replica": 1, "epoch": 2, "layer": 2}
    assert "noise_variance" not in table.coords
    for name, estimator in chosen.items():
        plane = fp.information_plane(part, estimator)
        for variable in ("i_xt", "i_ty", "flags"):
            found = table[variable].sel(estimator=name).values
            assert np.array_equal(found, plane[variable].values, equal_nan=True), (name, variable)
    assert np.isnan(table.i_xt.sel(estimator="normal")).all()
    assert all("deterministic" in Flags.names(found) for found in table.flags.sel(estimator="normal").stack(place=[...]))
    assert table.attrs["activation"] == "tanh"
    assert table.channel.sel(estimator="noise").item().count("Gaussian noise of variance") == 2  # one a layer


def test_noise_for_a_recording(rec):
    """Noise is for the estimators that need a channel; the others are left as they are."""
    part = rec.sel(replica=0, epoch=40, layer="layer2")
    chosen = {"bins": fp.Binned(30), "normal": fp.GaussianMI()}
    table = fp.compare_estimators(part, estimators=chosen, noise_variance=0.1)
    plain = fp.compare_estimators(part, estimators=chosen)
    assert float(table.i_xt.sel(estimator="bins").squeeze()) == float(plain.i_xt.sel(estimator="bins").squeeze())
    assert np.isfinite(table.i_xt.sel(estimator="normal")).all()


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [[], {}, "Binned", 3, fp.Binned(3), [fp.Binned], [fp.Binned(3), "KSG"], {"a": None}, {fp.Binned(3)}, (None,)]
)
def test_what_is_no_estimator_is_refused(wrong):
    _, layer, labels = layer_of(7)
    with pytest.raises(InputError, match=r"^estimators: found"):
        fp.compare_estimators(layer, labels, estimators=wrong)


@pytest.mark.parametrize("name", ["labels", "inputs", "conditional", "probability"])
def test_arrays_beside_a_recording_are_refused(rec, name):
    with pytest.raises(InputError, match=f"^{name}: found an array beside a Recording"):
        fp.compare_estimators(rec, **{name: np.zeros(3)})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"activations": np.full((4, 2), np.nan)}, "activations: found 8"),
        ({"activations": "layer1"}, "activations: found"),
        ({"activations": None}, "activations: found"),
        ({"activations": np.zeros((0, 2))}, "activations: found shape"),
        ({"activations": xr.Dataset({"a": ("x", [1.0])})}, "activations: found"),
        ({"activations": torch.ones(4, 2) * 1j}, "activations: found"),
        ({"conditional": np.ones((4, 0))}, "conditional: found"),
        ({"labels": ["a", "b", "a", "b"]}, "labels: found"),
        ({"labels": [0, 1]}, "labels: found shape"),
        ({"labels": [1, 1, 1, 1]}, "one class only"),
        ({"inputs": np.zeros((3, 2))}, "inputs: found shape"),
        ({"noise_variance": -1.0}, "noise_variance: found -1.0"),
        ({"noise_variance": "0.1"}, "noise_variance: found '0.1'"),
        ({"seed": "0"}, "seed: found '0'"),
        ({"seed": None}, "seed: found None"),
    ],
)
def test_bad_arguments_are_refused(changed, message):
    known = {"activations": np.arange(8.0).reshape(4, 2), "labels": [0, 1, 0, 1], "estimators": CHEAP} | changed
    with pytest.raises(InputError, match=message):
        fp.compare_estimators(known.pop("activations"), known.pop("labels"), **known)


def test_what_is_missing_is_nan_with_a_reason():
    _, layer, _ = layer_of(8)
    table = fp.compare_estimators(layer, estimators=CHEAP)
    for name in CHEAP:
        row = table.sel(estimator=name)
        assert np.isnan(row.i_ty)
        assert "no_labels" in flags(row)
        assert np.isfinite(row.i_xt) != ("no_inputs" in flags(row))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"noise_variance": -1}, "noise_variance"),
        ({"labels": np.linspace(0, 1, 60)}, "labels"),
        ({"activations": np.ma.masked_greater(np.linspace(0, 2, 60)[:, None], 1)}, "activations"),
    ],
)
def test_beginners_mistakes_are_named(given, name):
    rng = np.random.default_rng(0)
    call = {"activations": rng.normal(size=(60, 1)), "labels": np.arange(60) % 2, "estimators": [fp.Binned(8)], **given}
    with pytest.raises(InputError, match=name):
        fp.compare_estimators(**call)
