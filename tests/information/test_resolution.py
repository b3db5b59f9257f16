"""Resolution: noise in proportion to a layer's total variance means the same in every layer (§D1)."""

import math

import numpy as np
import pytest
import torch
from oracles_information import pairwise_information
from scipy.stats import ortho_group

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.resolution import RESOLUTIONS, Resolutions, checked_resolutions, shown


def total(c, bound="upper", **arguments):
    return fp.Pairwise(c, bound, relative="total", **arguments)


def layer_of(seed, n=120, d=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ np.diag(rng.uniform(0.1, 3, d)) + rng.normal(size=d)


def equidistant(k, c):
    """log2 K − log2(1 + (K − 1) e^{−K/((K − 1)c)}), the upper bound of K equidistant points; the lower with 4c for c."""
    return math.log2(k) - math.log2(1 + (k - 1) * math.exp(-k / ((k - 1) * c)))


@pytest.mark.parametrize("k", [2, 3, 16, 200])
@pytest.mark.parametrize("c", RESOLUTIONS)
def test_equidistant_points(k, c):
    for layer in (np.eye(k), np.repeat(np.eye(k), 5, 1) - 7, 1e-6 * np.repeat(np.eye(k), 64, 1)):
        assert float(total(c)(layer).i_xt) == pytest.approx(equidistant(k, c), abs=1e-9)
        assert float(total(c, "lower")(layer).i_xt) == pytest.approx(equidistant(k, 4 * c), abs=1e-9)


def test_the_numbers_of_the_paper():
    assert float(total(0.3)(np.eye(16)).i_xt) == pytest.approx(3.4855, abs=5e-5)
    assert float(total(0.3, "lower")(np.eye(16)).i_xt) == pytest.approx(1.1587, abs=5e-5)
    many = np.random.default_rng(0).normal(size=(500, 512))
    assert Resolutions((1.0, 0.3, 0.1))(many).i_xt.values == pytest.approx([1.44, 4.72, 8.93], abs=0.005)


@pytest.mark.parametrize("bound", ["upper", "lower"])
def test_the_oracle_pair_by_pair(bound):
    layer, labels = layer_of(1, n=40), np.arange(40) % 3
    variance = 0.2 * layer.var(0).sum()
    found = total(0.2, bound)(layer, labels)
    i_xt, i_ty, h_t = pairwise_information(layer, variance, bound=bound, labels=labels.tolist())
    assert float(found.i_xt) == pytest.approx(i_xt, abs=1e-9)
    assert float(found.i_ty) == pytest.approx(i_ty, abs=1e-9)
    assert float(found.h_t) == pytest.approx(h_t, abs=1e-9)


def test_weights_count_in_the_variance_too():
    layer = layer_of(2, n=30)
    weights = np.random.default_rng(3).dirichlet(np.ones(30))
    centred = layer - weights @ layer
    variance = 0.2 * float(weights @ (centred**2).sum(1))
    expected = pairwise_information(layer, variance, bound="upper", probability=weights)[0]
    assert float(total(0.2)(layer, probability=weights).i_xt) == pytest.approx(expected, abs=1e-9)


def same(layer):
    turned = ortho_group.rvs(layer.shape[1] + 4, random_state=0)[: layer.shape[1]]
    return {
        "repeated": np.repeat(layer, 16, 1),
        "turned": layer @ ortho_group.rvs(layer.shape[1], random_state=0),
        "scaled": -1e5 * layer,
        "moved": layer + 300.0,
        "embedded": layer @ turned,
        "padded": np.pad(layer, ((0, 0), (2, 40))),
    }


@pytest.mark.parametrize("name", same(np.ones((2, 2))))
def test_what_changes_nothing(name):
    layer, labels = layer_of(4), np.arange(120) % 2
    for c in (1.0, 0.1, 0.01):
        one, other = (total(c)(each, labels) for each in (layer, same(layer)[name]))
        for quantity in ("i_xt", "i_xt_lower", "i_xt_upper", "i_xt_error", "i_ty"):
            assert float(one[quantity]) == pytest.approx(float(other[quantity]), abs=1e-9), quantity


def test_a_unit_is_no_measure():
    """Noise a unit makes a table of widths: sixteen units repeated read more and more, which is flagged where they only add
    up."""
    layer = np.random.default_rng(0).normal(size=(400, 16))
    wide = [float(fp.Pairwise(100.0, relative="unit")(np.repeat(layer, times, 1)).i_xt) for times in (1, 4, 16)]
    assert wide[0] < 0.5 * wide[1] < 0.25 * wide[2]
    assert "width_limited" in Flags.names(fp.Pairwise(100.0, relative="unit")(layer).i_xt_flags)
    assert "width_limited" not in Flags.names(fp.Pairwise(1.0, relative="unit")(layer).i_xt_flags)
    assert "width_limited" not in Flags.names(total(1.0)(layer).i_xt_flags)


def test_one_unit_holds_nearly_all():
    layer = np.random.default_rng(0).normal(size=(300, 256))
    layer[:, 17] *= 1000.0
    found = total(0.1)(layer)
    assert "few_directions" in Flags.names(found.i_xt_flags) and int(found.dominant_unit) == 17
    turned = total(0.1)(layer @ ortho_group.rvs(256, random_state=1))
    assert "few_directions" in Flags.names(turned.i_xt_flags) and int(turned.dominant_unit) == -1
    assert "Unit 17 holds half of it or more." in fp.explain(found)
    assert "One direction, of several units, holds most of it." in fp.explain(turned)
    assert "few_directions" not in Flags.names(total(0.1)(layer[:, :17]).i_xt_flags)
    assert "few_directions" not in Flags.names(total(0.1)(layer[:, 17:20]).i_xt_flags)  # three units have few anyway


def test_a_dead_layer():
    found = Resolutions()(np.ones((30, 5)))
    assert np.abs(found.i_xt).max() < 1e-12 and Flags.names(found.i_xt_flags) == ("constant_units",)
    half = np.pad(layer_of(0), ((0, 0), (0, 9)))  # constant units have no share of the variance
    assert "constant_units" not in Flags.names(Resolutions()(half).i_xt_flags)


def test_all_resolutions_at_once():
    layers = np.stack([layer_of(seed) for seed in range(3)])
    found = Resolutions()(layers)
    assert found.i_xt.dims == ("batch", "resolution") and found.resolution.values.tolist() == list(RESOLUTIONS)
    for c in RESOLUTIONS:
        alone = total(c)(layers)
        for name in ("i_xt", "i_xt_lower", "i_xt_upper", "i_xt_flags", "i_xt_error", "h_t"):
            np.testing.assert_allclose(found[name].sel(resolution=c), alone[name], atol=1e-9, err_msg=name)
    assert (np.diff(found.i_xt.values) >= 0).all()  # finer tells more apart
    assert found.i_xt.estimator == "Pairwise" and found.i_xt.bound == "upper"
    near = shown(found)
    assert float(near.resolution) == 0.1 and "0.1 times the layer's total variance" in near.i_xt.channel


def test_noisy_layers_are_no_function():
    found = Resolutions(deterministic=False)(layer_of(0))
    assert np.isnan(found.i_xt).all() and Flags.names(found.i_xt_flags) == ("not_a_function",)


def test_many_samples_are_drawn_from():
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(6000, 3))
    few, again = (total(0.1)(layer, seed=seed) for seed in (0, 0))
    assert few.identical(again) and "4,096 of 6,000 samples, drawn with seed 0" in few.i_xt.attrs["x"]
    rows = total(0.1, rows=None)(layer)
    assert abs(float(few.i_xt) - float(rows.i_xt)) < 4 * float(few.i_xt_error)
    assert float(rows.i_xt_error) < float(few.i_xt_error)
    uniform = np.full(6000, 1 / 6000) * np.r_[np.full(3000, 0.5), np.full(3000, 1.5)]
    assert "drawn" not in total(0.1)(layer, probability=uniform).i_xt.attrs["x"]  # the whole law of X
    assert total(0.1)(layer[:4000]).i_xt.attrs["x"] == "every sample is its own x"
    with pytest.raises(InputError, match="rows: found 1, expected"):
        total(0.1, rows=1)


def test_the_error_is_that_of_the_bound():
    """Over draws from a normal, the upper bound spreads nearly as far as its error says; the error is a little too wide, as
    a point's own term in the sum does not vary. That the scale is the draw's own is in it: without, it were four times that.
    """
    rng = np.random.default_rng(0)
    found = total(0.1)(rng.normal(size=(300, 200, 2)))
    assert 1.0 < float(found.i_xt_error.mean()) / float(found.i_xt.std()) < 1.5
    assert float(fp.Pairwise(0.2)(rng.normal(size=(200, 2))).i_xt) == pytest.approx(float(found.i_xt.mean()), abs=0.4)


def test_differences_of_epochs_are_paired():
    measure = Resolutions((0.1,))
    layer = torch.from_numpy(layer_of(5))
    terms = measure.pointwise(layer)
    found = total(0.1)(layer)
    assert float(terms[0, 0].mean()) == pytest.approx(float(found.i_xt), abs=1e-9)
    assert float(terms[0, 0].std(correction=0)) / math.sqrt(120) == pytest.approx(float(found.i_xt_error), abs=1e-9)
    assert torch.allclose(measure.pointwise(3 * layer), terms)


@pytest.mark.parametrize("wrong", [0, -0.1, math.nan, math.inf, [0.1, 0.1], [], "fine"])
def test_what_is_no_resolution(wrong):
    with pytest.raises(InputError, match="resolution: found"):
        checked_resolutions(wrong)
