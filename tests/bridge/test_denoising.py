"""The estimator: known values, bounds that hold, what cannot be read is said."""

import math

import numpy as np
import pytest
import torch
from slower import first_ones

import flowplane as fp
from flowplane.bridge.classes import class_gap
from flowplane.bridge.layers import upper_bound
from flowplane.bridge.training import Schedule
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.probes.folds import Folds

SHORT = Schedule(hidden=(48, 48), steps=250)


def folds(classes):
    return Folds.of(np.asarray(classes), np.arange(len(classes)), 0, torch.device("cpu"))


def test_a_normal_layer_wider_than_its_samples_tell_apart():
    """C1: 50 equal directions, 20 bits; bounds between 500 samples stop at log2 500."""
    variance = math.expm1(2 * 20 * math.log(2) / 50)
    found = []
    for seed in range(4):
        layer = np.random.default_rng(seed).normal(scale=math.sqrt(variance), size=(500, 50))
        one = fp.Denoising(1.0, "linear")(layer)
        assert one.i_xt.bound == "upper" and int(one.i_xt_flags) == 0
        assert float(fp.Pairwise(1.0)(layer).i_xt) <= math.log2(500)
        found.append(float(one.i_xt))
    assert 19.8 < np.mean(found) < 21


def test_linear_denoisers_of_normals():
    """½ Σ log2(1 + λ/t), within the interval, and a share of the total variance is the same as that variance."""
    rng = np.random.default_rng(0)
    scale = np.array([3.0, 1.0, 0.3])
    layer = rng.normal(size=(3000, 3)) * scale
    for noise in (0.01, 1.0, 100.0):
        found = fp.Denoising(noise, "linear")(layer)
        exact = 0.5 * np.log2(1 + scale**2 / noise).sum()
        assert float(found.i_xt_lower) < exact < float(found.i_xt_upper)
        h_t = exact + 1.5 * math.log2(2 * math.pi * math.e * noise)
        assert float(found.h_t_lower) < h_t < float(found.h_t_upper)
    total = float(layer.var(0).sum())
    share = fp.Denoising(0.1, "linear", "total")(layer)
    assert float(share.i_xt) == pytest.approx(float(fp.Denoising(0.1 * total, "linear")(layer).i_xt), abs=1e-9)
    # the noise follows the samples' own spread, which then adds nothing to the error
    assert float(share.i_xt_upper - share.i_xt) < float(fp.Denoising(0.1 * total, "linear")(layer).i_xt_upper - share.i_xt)


def test_networks_lower_the_bound_of_what_is_not_normal():
    """Four clusters in the plane: exact by points of many samples, above it by held-out networks, more so by normals."""
    rng = np.random.default_rng(1)
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    layer = torch.from_numpy(corners[rng.integers(0, 4, 1000)] + 0.05 * rng.normal(size=(1000, 2)))
    layer = (layer - layer.mean(0)) / layer.var(0, correction=0).sum().sqrt()
    noise = torch.tensor([[0.03]], dtype=torch.float64)
    known = (layer[None], folds(np.zeros(1000, int)), noise, 0)
    linear = upper_bound(*known, None)
    learned = upper_bound(*known, SHORT)
    exact = float(fp.Denoising(0.03, "points")(layer.numpy()).i_xt) * math.log(2)
    assert float(learned.terms.mean()) < float(linear.terms.mean()) - 0.3
    assert exact - 0.02 < float(learned.terms.mean()) < exact + 0.15
    assert float(learned.missed.mean()) < float(linear.missed.mean())


def test_classes_that_are_normals():
    """C2: T|Y = ±1 ~ N(±1, ¼)."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000)
    layer = (0.5 * rng.normal(size=3000) + 2 * y - 1)[:, None]
    for noise, bits in ((1e-4, 0.91274), (0.25, 0.72145), (1.0, 0.41624)):
        found = fp.Denoising(noise, "linear")(layer, y)
        assert abs(float(found.i_ty) - bits) < 0.04 and found.i_ty.bound == "estimate"
        assert float(found.i_ty_lower) < bits < float(found.i_ty_upper)


def test_classes_that_are_not_normal():
    """Two rings of one bit, which normals cannot tell apart by their means: networks can."""
    rng = np.random.default_rng(2)
    y = np.arange(600) % 2
    angle, radius = rng.uniform(0, 2 * np.pi, 600), 1 + y * np.where(rng.random(600) < 0.5, 1.0, -0.8)
    layer = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) + 0.03 * rng.normal(size=(600, 2))
    values = torch.from_numpy(layer - layer.mean(0))
    values = (values / values.square().sum(1).mean().sqrt())[None]
    known = (values, torch.from_numpy(y), folds(y), torch.zeros(1, dtype=torch.float64), 0)
    normals, learned = (float(class_gap(*known, schedule).loss.mean()) / math.log(2) for schedule in (None, SHORT))
    assert normals < 0.6 and 0.75 < learned < 1.0


@pytest.mark.parametrize("units", first_ones(1, [2, 60]))
def test_labels_that_say_nothing(units):
    rng = np.random.default_rng(units)
    layer, y = rng.normal(size=(300, units)), rng.integers(0, 3, 300)
    found = fp.Denoising(0.1, "linear", "total")(layer, y)
    assert abs(float(found.i_ty)) < 0.03
    gap = class_gap(
        torch.from_numpy(layer / math.sqrt(units))[None],
        torch.from_numpy(y),
        folds(y),
        torch.tensor([0.1]).double(),
        0,
        SHORT,
    )
    assert abs(float(gap.loss.mean())) / math.log(2) < 0.03


def test_numbers_and_inputs():
    """I(T;Y) of a number, I(X;T) of inputs of which T is no function, each without a channel."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 2))
    layer = x + rng.normal(size=(500, 2))
    found = fp.Denoising(0.0, "linear")(layer, x[:, 0], inputs=x)
    # I(X;T) = 2 · ½ log2 2, and half of it of the first coordinate
    assert float(found.i_xt_lower) < 1.0 < float(found.i_xt_upper)
    assert float(found.i_ty_lower) < 0.5 < float(found.i_ty_upper)
    assert found.i_xt.channel == "none" and math.isnan(float(found.h_t))
    assert Flags.names(found.flags) == ("no_noise",)


def test_members_know_nothing_of_each_other():
    """The same numbers for a snapshot alone and among others, whatever the scale."""
    rng = np.random.default_rng(4)
    layers, y = rng.normal(size=(3, 80, 4)) * np.array([1.0, 1e-9, 1e120])[:, None, None], np.arange(80) % 2
    measure = fp.Denoising(0.3, "linear", "total")
    together = measure(layers, y)
    for place, layer in enumerate(layers):
        alone = measure(layer, y)
        for name in ("i_xt", "i_ty", "i_xt_upper"):
            assert float(together[name][place]) == pytest.approx(float(alone[name]), abs=1e-9)


def test_what_cannot_be_read():
    rng = np.random.default_rng(5)
    layer, y = rng.normal(size=(60, 3)), np.arange(60) % 2
    few = fp.Denoising(0.1)(layer[:40], y[:40])
    assert math.isnan(float(few.i_xt)) and "too_few_samples" in Flags.names(few.i_xt_flags)
    groups = fp.Denoising(0.1)(layer, y, groups=np.arange(60) // 2)
    assert "too_few_samples" in Flags.names(groups.i_xt_flags)
    weighted = fp.Denoising(0.1, "linear")(layer, y, probability=rng.dirichlet(np.ones(60)))
    assert Flags.names(weighted.i_xt_flags) == ("weighted",)
    infinite = fp.Denoising(0.0, "linear", deterministic=True)(layer, y, inputs=layer)
    assert "deterministic" in Flags.names(infinite.i_xt_flags) and math.isnan(float(infinite.i_xt))
    assert math.isfinite(float(infinite.i_ty))
    constant = fp.Denoising(0.1, "linear", "total")(np.ones((60, 3)), y)
    assert float(constant.i_xt) == 0 and abs(float(constant.i_ty)) < 1e-12
    assert "constant_units" in Flags.names(constant.i_xt_flags)
    wide = fp.Denoising(1e-4, "linear", "total")(rng.normal(size=(60, 200)))
    assert "loose" in Flags.names(wide.i_xt_flags)


def test_errors():
    with pytest.raises(InputError, match="noise_variance: found -1"):
        fp.Denoising(-1.0)
    with pytest.raises(InputError, match=r"denoiser: .*nearest"):
        fp.Denoising(0.1, "nearest")
    with pytest.raises(InputError, match="relative"):
        fp.Denoising(0.1, relative="unit")
    with pytest.raises(InputError, match="every point is distinguishable"):
        fp.Denoising(0.0, "points")
    with pytest.raises(InputError, match="one class only"):
        fp.Denoising(0.1)(np.random.default_rng(0).normal(size=(60, 2)), np.ones(60, int))


@pytest.mark.slow
def test_digits():
    """Ten classes: no less than a linear probe decodes, and no more than there is."""
    from sklearn.datasets import load_digits

    layer, y = load_digits(return_X_y=True)
    axes = np.linalg.svd(layer - layer.mean(0), full_matrices=False)[0][:, :20] * math.sqrt(len(layer))
    found = fp.Denoising(0.0)(axes, y)
    assert float(fp.Decodable()(axes, y).i_ty) < float(found.i_ty) < math.log2(10)
    assert "not_converged" not in Flags.names(found.i_ty_flags)


def test_numbers_beside_points():
    """Regression targets are no classes: I(T;Y) of them is learned, also where I(X;T) is read by points."""
    rng = np.random.default_rng(6)
    layer = rng.normal(size=(200, 2))
    found = fp.Denoising(0.5, "points")(layer, layer[:, 0] + 0.5 * rng.normal(size=200))
    exact = -0.5 * math.log2(1 - 1 / (1.5 * 1.25))
    assert float(found.i_ty_lower) < exact < float(found.i_ty_upper) and float(found.i_xt) > 0
    few = fp.Denoising(0.5, "points")(layer[:20], rng.normal(size=20))
    assert "too_few_samples" in Flags.names(few.i_ty_flags)
