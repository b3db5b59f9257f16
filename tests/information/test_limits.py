"""Intervals of well separated classes, values of any scale, whole numbers of any size: what all estimators share."""

import numpy as np
import pytest
import torch
from slower import first_ones
from truths import TRUTHS

import flowplane as fp
from flowplane.core.results import Flags

SEPARATED = [fp.GaussianMI(), fp.Pairwise(1.0), fp.KSG(), fp.Binned(8)]


@pytest.mark.parametrize("n", first_ones(1, [50, 1000]))
@pytest.mark.parametrize("name", ["far-classes", "far-classes-0.9"])
@pytest.mark.parametrize("measure", SEPARATED, ids=lambda one: type(one).__name__)
def test_classes_far_apart_are_covered(measure, name, n):
    """The sample's own H(Y) is neither the truth nor a limit: 40 draws, of which a 95 % interval misses 6 or more in 1 %."""
    truth, within = TRUTHS[name], 0
    for seed in range(40):
        _, t, y = truth.sample(n, seed)
        found = measure(t, y, seed=seed)
        assert 0 <= float(found.i_ty_lower) <= float(found.i_ty) <= float(found.i_ty_upper) <= 1
        within += float(found.i_ty_lower) - 1e-9 <= truth.i_ty <= float(found.i_ty_upper) + 1e-9
    assert within >= 35


def test_a_bound_is_not_cut_to_the_sample():
    """Variational's lower bound and Decodable's keep their own ends, also above the sample's H(Y)."""
    _, t, y = TRUTHS["far-classes-0.9"].sample(300, 0)
    found = fp.Decodable()(t, y)
    share = y.mean()
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    assert float(found.i_ty) <= entropy < float(found.i_ty_upper)


def test_known_inputs_limit_the_information():
    """Sixteen inputs in all: no estimate and no upper bound of I(X;T) exceeds their entropy."""
    t = np.random.default_rng(0).normal(size=(16, 3)) * 10
    law = np.arange(1.0, 17) / 136
    entropy = float(-(law * np.log2(law)).sum())
    found = fp.GaussianMI(noise_variance=1e-6, deterministic=True)(t, probability=law)
    assert float(found.i_xt) == pytest.approx(entropy) and float(fp.GaussianMI(noise_variance=1e-6)(t).i_xt) != entropy
    uniform = fp.GaussianMI(noise_variance=1e-6, deterministic=True)(t, probability=np.full(16, 1 / 16))
    assert float(uniform.i_xt) == pytest.approx(4)


SCALED = [
    fp.Binned(8, range="data"),
    fp.Pairwise(0.1, relative="total"),
    fp.Pairwise(0.1, relative="unit"),
    fp.KSG(),
    fp.GaussianMI(),
    fp.GaussianMI(shrinkage=0.1),
    fp.MatrixRenyi(),
    fp.SlicedMI(slices=8),
    fp.Decodable(),
    fp.Variational(epochs=10),
]


@pytest.mark.parametrize("measure", SCALED, ids=str)
def test_scale_is_nothing(measure):
    """Values of 1e155 and beyond, whose squares overflow, and of 1e-200, whose squares vanish."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    t, y = x + 0.5 * rng.normal(size=(300, 2)), (x[:, 0] > 0) * 1
    plain = measure(t, y, inputs=x)
    for scale in (1e155, 1e300, 1e-200, 1e-300):
        found = measure(t * scale, y, inputs=x * scale)
        for name in ("i_xt", "i_ty"):
            for end in ("", "_lower", "_upper"):
                expected = pytest.approx(float(plain[name + end]), abs=1e-6, nan_ok=True)
                assert float(found[name + end]) == expected, (name + end, scale)
        assert Flags.names(found.flags) == Flags.names(plain.flags)


@pytest.mark.parametrize("scale", [1e155, 1e300])
def test_noise_is_nothing_beside_huge_values(scale):
    """Every sample stands alone, and says so."""
    rng = np.random.default_rng(0)
    t, y = rng.normal(size=(60, 2)) * scale, np.arange(60) % 2
    for measure in (fp.Pairwise(0.1), fp.information.MonteCarlo(0.1)):
        found = measure(t, y)
        assert float(found.i_xt) == pytest.approx(np.log2(60)) and float(found.i_ty) == pytest.approx(1)
        assert "saturated" in Flags.names(found.i_xt_flags)


INTEGERS = [np.int64, np.uint64, "torch", np.longdouble]


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_whole_numbers_are_told_apart_as_given(kind):
    """2^62 + k, which float64 cannot tell apart for k below 512; equal ones stay one input."""
    keys = 2**62 + np.repeat(np.arange(200), 2)
    inputs = torch.from_numpy(keys) if kind == "torch" else keys.astype(kind)
    t = np.repeat(np.arange(200.0), 2)[:, None]
    expected = np.log2(200)
    for measure in (fp.Binned(1000, range="data"), fp.Pairwise(1e-6)):
        found = measure(t, inputs=inputs)
        assert float(found.i_xt) == pytest.approx(expected, abs=1e-6)
        assert "not_a_function" not in Flags.names(found.i_xt_flags)
    few = fp.KSG(noise_variance=0.01)
    assert float(few(t, inputs=inputs).i_xt) == pytest.approx(float(few(t, inputs=keys - 2**62).i_xt), abs=1e-9)
    top = np.array([0, 2**63, 2**64 - 1] * 10, np.uint64)
    assert float(fp.Binned(10, range="data")(np.tile([0.0, 1.0, 2.0], 10)[:, None], inputs=top).i_xt) == pytest.approx(
        np.log2(3)
    )


def test_a_task_refuses_inputs_that_it_cannot_tell_apart():
    with pytest.raises(fp.errors.InputError, match="inputs"):
        fp.tasks.Task(np.arange(10)[:, None] + 2**40, np.arange(10) % 2)
    assert len(fp.tasks.Task(np.arange(10)[:, None] + 2**10, np.arange(10) % 2)) == 10


def test_few_points_and_few_draws_have_an_honest_interval():
    """Two points through noise, one draw of it each: the exact value lies within in at least 34 of 40 draws."""
    exact = TRUTHS["noisy-sign"].i_xt
    found = [fp.information.MonteCarlo(1.0, draws=1)([[-1.0], [1.0]], seed=seed) for seed in range(40)]
    assert sum(float(one.i_xt_lower) <= exact <= float(one.i_xt_upper) for one in found) >= 34
    usual = fp.information.MonteCarlo(1.0)([[-1.0], [1.0]])
    assert float(usual.i_xt_upper) - float(usual.i_xt_lower) < 0.2 and abs(float(usual.i_xt) - exact) < 0.1
