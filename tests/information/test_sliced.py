"""Sliced information: normals' in closed form, one dimension as its base, never more than Shannon's, covering, flagged."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from oracles_information import mixture_of_classes

import flowplane as fp
from flowplane.analysis.estimators import parse_estimator
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information import sliced

TOLERANCE = 1e-9
QUANTITIES = ("i_xt", "i_ty", "h_t")
NODES, SHARES = np.polynomial.legendre.leggauss(40)


def flags(result):
    return set(Flags.names(result.flags))


def normal_pair(seed, n, correlation, dimension=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dimension))
    return x, correlation * x + math.sqrt(1 - correlation**2) * rng.normal(size=(n, dimension))


def two_blobs(seed, n, apart=1.5):
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, n - 2))
    t = rng.normal(size=(n, 3))
    t[:, 0] += apart * (2 * labels - 1)
    return t, labels


def sliced_normals(correlation):
    """In three dimensions θ·φ is uniform on (−1, 1): the mean of −½ log2(1 − ρ²u²)."""
    return float((SHARES / 2) @ (-0.5 * np.log2(1 - (correlation * NODES) ** 2)))


def sliced_blobs(apart):
    """φ·e is uniform on (−1, 1): the mean of the information of two normals ±a·u."""
    return sum(
        share / 2 * mixture_of_classes((-apart * u, apart * u), (1, 1), (0.5, 0.5))
        for u, share in zip(NODES, SHARES, strict=True)
    )


# -- truths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_normals_in_closed_form(correlation):
    n, slices = 3000, 400
    x, t = normal_pair(0, n, correlation)
    result = fp.SlicedMI(fp.GaussianMI(), slices=slices)(t, inputs=x)
    truth = sliced_normals(correlation)
    spread = math.sqrt(float((SHARES / 2) @ (-0.5 * np.log2(1 - (correlation * NODES) ** 2) - truth) ** 2))
    # the slices' own spread, the sample's (ρ/√n nats a slice), and 1/2n nats where ρ is 0
    allowed = 5 * (spread / math.sqrt(slices) + correlation / math.sqrt(n) + 1 / (2 * n) / math.log(2))
    assert float(result.i_xt) == pytest.approx(truth, abs=allowed)
    assert float(result.i_xt) < -1.5 * math.log2(1 - correlation**2) + 5 / n  # Shannon's


def test_classes_in_closed_form():
    n = 3000
    t, labels = two_blobs(1, n)
    result = fp.SlicedMI(fp.GaussianMI(), slices=300)(t, labels)
    # a slice's information is between 0 and 1 bit: a spread of at most half a bit
    assert float(result.i_ty) == pytest.approx(sliced_blobs(1.5), abs=5 * (0.5 / math.sqrt(300) + 1 / math.sqrt(n)))
    assert float(result.i_ty) < float(fp.GaussianMI()(t, labels).i_ty_upper)


@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_in_one_dimension_a_slice_is_the_whole(reduce):
    """θ and φ are ±1: the base's own value, if mirrored; half the samples choose among equals for the max."""
    x, t = normal_pair(2, 400, 0.7, 1)
    labels = (t[:, 0] + x[:, 0] > 0).astype(int)
    alone = fp.GaussianMI()(t, labels, inputs=x)
    sliced = fp.SlicedMI(fp.GaussianMI(), slices=4, reduce=reduce)(t, labels, inputs=x)
    for name in QUANTITIES:
        allowed = TOLERANCE if reduce == "mean" else 5 * 1.5 / math.sqrt(400)
        assert float(sliced[name]) == pytest.approx(float(alone[name]), abs=allowed), name
    nearest = fp.SlicedMI(fp.KSG(3), slices=2)(t, labels, inputs=x)
    assert float(nearest.i_xt) == pytest.approx(float(fp.KSG(3)(t, inputs=x).i_xt), abs=TOLERANCE)


def test_the_largest_slice_is_at_least_the_mean_and_at_most_shannon():
    x, t = normal_pair(3, 1500, 0.8)
    estimators = (fp.SlicedMI(fp.GaussianMI(), slices=64, reduce=reduce) for reduce in ("mean", "max"))
    mean, largest = (estimator(t, inputs=x) for estimator in estimators)
    assert float(largest.i_xt) > float(mean.i_xt)
    assert float(largest.i_xt_lower) < -0.5 * math.log2(1 - 0.64)  # of the best pair of directions, θ = φ
    assert float(largest.i_xt_upper) >= float(largest.i_xt)


def test_independence_gives_nothing():
    """Chosen in one half, measured in the other: the largest of many slices of nothing is nothing, too."""
    found = {"mean": [], "max": []}
    for seed in range(10):
        x, t = normal_pair(seed, 200, 0.0)
        for reduce, values in found.items():
            values.append(float(fp.SlicedMI(fp.GaussianMI(), slices=16, reduce=reduce)(t, inputs=x).i_xt))
    for reduce, values in found.items():
        # what is cut at 0 leaves the positive half of an error of 1/2n nats, in 100 samples for the max
        assert np.mean(values) < 0.02, reduce


# -- invariances -------------------------------------------------------------------------------------------------------


def test_invariances():
    x, t = normal_pair(4, 200, 0.7)
    labels = np.arange(200) % 3
    order = np.random.default_rng(4).permutation(200)
    for base in (fp.GaussianMI(), fp.KSG(3)):
        estimator = fp.SlicedMI(base, slices=4)
        plain = estimator(t, labels, inputs=x)
        for values, names, inputs in ((t[order], labels[order], x[order]), (t, np.array([4, -1, 2])[labels], x)):
            other = estimator(values, names, inputs=inputs)
            for name in QUANTITIES:
                assert float(other[name]) == pytest.approx(float(plain[name]), abs=TOLERANCE)
    scaled = fp.SlicedMI(fp.GaussianMI(), slices=4)(1e3 * t + 7, labels, inputs=1e-3 * x)
    gaussian = fp.SlicedMI(fp.GaussianMI(), slices=4)(t, labels, inputs=x)
    for name in ("i_xt", "i_ty"):
        assert float(scaled[name]) == pytest.approx(float(gaussian[name]), abs=1e-6)


def test_batches_kinds_of_array_and_seeds():
    rng = np.random.default_rng(5)
    x, layer, labels = rng.normal(size=(120, 2)), rng.normal(size=(2, 2, 120, 3)), np.arange(120) % 2
    dims = ("replica", "epoch", "sample", "unit")
    for reduce in ("mean", "max"):
        estimator = fp.SlicedMI(fp.GaussianMI(), slices=5, reduce=reduce)
        whole = estimator(layer, labels, inputs=x)
        for array in (torch.tensor(layer), xr.DataArray(layer, dims=dims)):
            assert np.array_equal(estimator(array, torch.tensor(labels), inputs=x).i_xt.values, whole.i_xt.values)
        for i in range(2):
            for j in range(2):
                alone = estimator(layer[i, j], labels, inputs=x)
                for name in QUANTITIES:
                    assert float(alone[name]) == pytest.approx(float(whole[name][i, j]), abs=TOLERANCE), name
        assert float(estimator(layer[0, 0], labels, seed=1).i_ty) != float(whole.i_ty[0, 0])


# -- coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [pytest.param(0.3, marks=pytest.mark.slow), 0.8])
def test_intervals_cover_normals(correlation):
    """The information averaged over all directions: within in at least 90 % of 200 draws, other directions each time."""
    truth = sliced_normals(correlation)
    within = []
    for seed in range(200):
        x, t = normal_pair([seed, 6], 300, correlation)
        result = fp.SlicedMI(fp.GaussianMI(), slices=8)(t, inputs=x, seed=seed)
        if flags(result) == {"no_labels"}:
            within.append(float(result.i_xt_lower) <= truth <= float(result.i_xt_upper))
    assert len(within) > 100
    assert np.mean(within) >= 0.9


@pytest.mark.slow
def test_intervals_cover_classes():
    truth = sliced_blobs(1.5)
    within = []
    for seed in range(200):
        t, labels = two_blobs([seed, 7], 300)
        result = fp.SlicedMI(fp.GaussianMI(), slices=8)(t, labels, seed=seed)
        if flags(result) == {"no_inputs"}:
            within.append(float(result.i_ty_lower) <= truth <= float(result.i_ty_upper))
    assert len(within) > 100
    assert np.mean(within) >= 0.9


@pytest.mark.slow
def test_intervals_cover_normals_by_neighbours():
    truth = sliced_normals(0.8)
    within = []
    for seed in range(200):
        x, t = normal_pair([seed, 8], 300, 0.8)
        result = fp.SlicedMI(slices=16)(t, inputs=x, seed=seed)
        if flags(result) == {"no_labels"}:
            within.append(float(result.i_xt_lower) <= truth <= float(result.i_xt_upper))
    assert len(within) > 100
    assert np.mean(within) >= 0.9


# -- what is missing ---------------------------------------------------------------------------------------------------


def test_flags():
    x, t = normal_pair(9, 300, 0.7)
    labels = np.arange(300) % 2
    estimator = fp.SlicedMI(slices=4)
    assert flags(estimator(t, labels, inputs=x)) == set()
    assert flags(estimator(t, labels)) == {"no_inputs"}
    assert np.isnan(estimator(t, labels).i_xt)
    assert flags(estimator(t, inputs=x)) == {"no_labels"}
    assert np.isnan(estimator(t, inputs=x).i_ty)
    infinite = fp.SlicedMI(slices=4, deterministic=True)(t, labels, inputs=x)
    assert flags(infinite) == {"deterministic"}
    assert np.isnan(infinite.i_xt)
    assert np.isfinite(infinite.i_ty)
    assert flags(estimator(np.hstack([t, np.ones((300, 1))]), labels, inputs=x)) == {"constant_units"}
    weighted = estimator(t, labels, inputs=x, probability=np.random.default_rng(0).dirichlet(np.ones(300)))
    assert flags(weighted) == {"weighted"}
    assert np.isnan(weighted.i_ty)
    uniform = estimator(t, labels, inputs=x, probability=np.full(300, 1 / 300))
    assert float(uniform.i_xt) == pytest.approx(float(estimator(t, labels, inputs=x).i_xt), abs=TOLERANCE)
    assert "not_gaussian" in flags(fp.SlicedMI(fp.GaussianMI(), slices=4)(t**3, labels, inputs=x))
    assert "too_few_samples" in flags(estimator(t[:20], labels[:20], inputs=x[:20]))


def test_a_base_with_a_channel():
    """Binned makes the information finite where T is a function of x."""
    x = np.random.default_rng(10).normal(size=(300, 2))
    result = fp.SlicedMI(fp.Binned(6), slices=4, deterministic=True)(np.tanh(x), np.arange(300) % 2, inputs=x)
    assert 0 < float(result.i_xt) < math.log2(6)
    assert "deterministic" not in flags(result)


def test_noise_is_a_channel_of_a_function():
    x = np.random.default_rng(11).normal(size=(500, 2))
    found = [
        float(fp.SlicedMI(slices=8, noise_variance=noise, deterministic=True)(x, inputs=x).i_xt)
        for noise in (0.05, 0.5, 50.0)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.1 > abs(found[2])


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        ({"noise_variance": 0.1, "deterministic": True}, {}),  # no inputs to project
        ({"base": fp.KSG(deterministic=True)}, {"inputs": np.random.default_rng(0).normal(size=(100, 2))}),
        ({"base": fp.GaussianMI(deterministic=True)}, {"inputs": np.random.default_rng(0).normal(size=(100, 2))}),
    ],
)
def test_nothing_is_missing_without_a_reason(arguments, known):
    t = np.random.default_rng(12).normal(size=(100, 2))
    result = fp.SlicedMI(slices=4, **arguments)(t, np.arange(100) % 2, **known)
    assert np.isfinite(result.i_xt) or flags(result) & {"no_inputs", "deterministic"}


def test_the_noise_of_the_base_is_a_channel_and_is_named():
    x = np.random.default_rng(13).normal(size=(200, 2))
    result = fp.SlicedMI(fp.KSG(noise_variance=0.5), slices=4)(x, inputs=x)
    assert "variance 0.5" in result.i_xt.channel


def test_a_rare_class_that_is_missing_in_a_half():
    x, t = normal_pair(14, 100, 0.6)
    labels = np.arange(100) % 2 * 2
    labels[7] = 1
    for base in (fp.GaussianMI(), fp.KSG(), fp.Binned(4), fp.Pairwise(0.1), fp.MatrixRenyi()):
        result = fp.SlicedMI(base, slices=3, reduce="max")(t, labels, inputs=x)
        assert np.isfinite(result.i_ty), base
        assert float(result.i_ty) < 0.5, base


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_hardly_any_samples(n, reduce):
    rng = np.random.default_rng(n)
    t, x, labels = rng.normal(size=(n, 3)), rng.normal(size=(n, 2)), np.arange(n) % 2 if n > 1 else None
    for base in (fp.KSG(), fp.GaussianMI()):
        assert "too_few_samples" in flags(fp.SlicedMI(base, slices=3, reduce=reduce)(t, labels, inputs=x)), base


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base": "KSG"}, "base: found str"),
        ({"base": fp.KSG}, "base: found"),
        ({"slices": 1}, "slices: found 1"),
        ({"slices": 2.5}, "slices: found 2.5"),
        ({"reduce": "maximum"}, "reduce: found 'maximum'.*did you mean 'max'|reduce: found 'maximum'"),
        ({"reduce": None}, "reduce: found None"),
        ({"noise_variance": -1}, "noise_variance: found -1"),
    ],
)
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fp.SlicedMI(**arguments)


def test_what_the_answer_says_of_itself():
    x, t = normal_pair(15, 60, 0.7)
    result = fp.SlicedMI(slices=3)(t, np.arange(60) % 2, inputs=x)
    assert result.i_xt.base == "KSG"
    assert "sliced information, mean over 3" in result.i_xt.quantity
    for name in QUANTITIES:
        assert result[name].attrs["units"] == "bits"


@pytest.mark.parametrize("base", [fp.Binned(6), fp.Pairwise(0.1, relative="recording")])
def test_bins_and_noise_do_not_depend_on_what_fits_in_memory(base, monkeypatch):
    """What `Binned(6)` and relative noise settle by the array is the whole array's, however it is cut into blocks."""
    rng = np.random.default_rng(16)
    x = rng.normal(size=(80, 2))
    layer = np.stack([x, 5 * np.tanh(x)])
    whole = fp.SlicedMI(base, slices=4)(layer, inputs=x)
    monkeypatch.setattr(fp.SlicedMI, "block_values", 1)
    parts = fp.SlicedMI(base, slices=4)(layer, inputs=x)
    assert np.allclose(whole.i_xt, parts.i_xt, atol=TOLERANCE)


@pytest.mark.parametrize("reduce", ["mean", "max"])
@pytest.mark.parametrize(
    "known", [{}, {"labels": np.arange(90) % 2}, {"inputs": np.random.default_rng(20).normal(size=(90, 2))}]
)
def test_slices_are_a_batch_to_a_base_that_takes_their_inputs(reduce, known, monkeypatch):
    layer = np.random.default_rng(21).normal(size=(3, 90, 2)).round(2)
    layer[1, :, 1] = 0.0
    estimator = fp.SlicedMI(slices=7, reduce=reduce)
    together = estimator(layer, **known)
    monkeypatch.setattr(sliced, "BLOCK", 90 * 3 * 2)  # two slices at once
    in_blocks = estimator(layer, **known)
    monkeypatch.setattr(fp.KSG, "takes_batched_inputs", False)
    one_by_one = estimator(layer, **known)
    for name in together.data_vars:
        assert np.allclose(together[name], one_by_one[name], rtol=0, atol=1e-12, equal_nan=True), name
        assert np.allclose(together[name], in_blocks[name], rtol=0, atol=1e-12, equal_nan=True), name


def test_sliced_by_its_name_on_the_command_line():
    x, t = normal_pair(17, 60, 0.7)
    for base in ("binned", "pairwise:noise_variance=0.1", "gaussian", "renyi"):
        name = base.partition(":")[0]
        estimator = fp.SlicedMI(parse_estimator(base), slices=3)
        assert np.isfinite(estimator(t, np.arange(60) % 2, inputs=x).i_ty), name
