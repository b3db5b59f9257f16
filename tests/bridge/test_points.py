"""Denoising by points against sums on a grid, Monte Carlo and itself."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_denoising import line_information, line_mmse, mixture_gap, mixture_information

import flowplane as fp
from flowplane.bridge.levels import Levels
from flowplane.bridge.points import Points
from flowplane.core.results import Flags


@pytest.mark.parametrize("noise", [1e-4, 0.01, 0.1, 1.0, 30.0, 1e5])
def test_two_points(noise):
    """C1's oracle, also where noise is far below and far above the points' distance."""
    found = fp.Denoising(noise, "points")([[-1.0], [1.0]], [0, 1])
    exact = line_information(np.array([-1.0, 1.0]), np.array([0.5, 0.5]), noise)
    assert abs(float(found.i_xt) - exact) < 1e-6
    assert abs(float(found.i_ty) - exact) < 1e-5
    assert noise != 1.0 or abs(float(found.i_xt) - 0.485944) < 1e-5


@settings(deadline=None, max_examples=15)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6, unique=True), st.integers(0, 10_000), st.floats(0.003, 30.0))
def test_atoms_on_a_line(points, seed, noise):
    """Any atoms of any probability."""
    mass = np.random.default_rng(seed).dirichlet(np.ones(len(points)))
    found = fp.Denoising(noise, "points")(np.array(points)[:, None], probability=mass)
    assert abs(float(found.i_xt) - line_information(np.array(points), mass, noise)) < 2e-5


def test_errors_of_atoms():
    """mmse at each level, not only its integral."""
    points, mass = np.array([-1.0, 0.2, 2.0]), np.array([0.2, 0.5, 0.3])
    law = Points(torch.from_numpy(points)[:, None], torch.from_numpy(mass))
    levels = Levels.between([0.01, 0.1, 1.0], float(law.variances.sum())).with_starts
    curve = law.curve(levels, 0)
    assert (curve.errors == 0).all()
    for at, noise in enumerate(levels.starts, len(levels.tau) - 3):
        exact = line_mmse(points, mass, noise)
        assert abs(float(law.mass @ curve.spread[:, at]) - exact) < 1e-8
        assert abs(float(law.mass @ curve.missed[:, at]) - exact) < 1e-8
        bits = float(law.mass @ curve.surprise[:, at]) / math.log(2)
        assert abs(bits - line_information(points, mass, noise)) < 1e-8


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.2, 1.0])
def test_against_monte_carlo(soft, share):
    """I(X;T) and I(T;Y), hard labels and a rule, p(x) not uniform."""
    rng = np.random.default_rng(3)
    t = np.tanh(rng.normal(size=(300, 4)) @ rng.normal(size=(4, 6)))
    mass = rng.dirichlet(np.ones(300))
    rule = rng.dirichlet(np.ones(3), size=300) if soft else np.eye(3)[rng.integers(0, 3, 300)]
    noise = share * float(mass @ ((t - mass @ t) ** 2).sum(1))
    known = {"conditional": rule, "probability": mass}
    found = fp.Denoising(noise)(t, **known)
    exact = fp.information.MonteCarlo(noise, draws=400)(t, **known)
    assert found.i_xt.attrs["denoiser"] == "points" and found.i_xt.bound == "estimate"
    for name in ("i_xt", "i_ty", "h_t"):
        reach = sum(float(each[f"{name}_upper"] - each[name]) for each in (found, exact))
        assert abs(float(found[name]) - float(exact[name])) < 1.5 * reach < 0.2


def test_what_changes_nothing():
    """Rotating, scaling, repeating units and adding constant ones, at a share of the total variance."""
    rng = np.random.default_rng(0)
    t, y = rng.normal(size=(80, 3)), rng.integers(0, 2, 80)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    measure = fp.Denoising(0.1, "points", "total")
    first = measure(t, y)
    others = {
        "scaled": 1e-80 * t,
        "turned": t @ turn + 5,
        "repeated": np.hstack([t, t]) / 2,
        "padded": np.hstack([t, np.full((80, 2), 7.0)]),
    }
    for name, other in others.items():
        again = measure(other, y)
        reach = float(first.i_xt_upper - first.i_xt) + float(again.i_xt_upper - again.i_xt)
        assert abs(float(again.i_xt) - float(first.i_xt)) < max(reach, 1e-9), name
        assert abs(float(again.i_ty) - float(first.i_ty)) < 0.01, name


def test_units_that_do_not_matter():
    """Two independent pairs of points: bits add up; so do they along rotated axes."""
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    for points in (square, square @ [[0.6, 0.8], [-0.8, 0.6]]):
        found = fp.Denoising(1.0, "points")(points, [0, 0, 1, 1])
        assert abs(float(found.i_xt) - 2 * 0.485944) < 5e-4
        assert abs(float(found.i_ty) - 0.485944) < 5e-4


def test_flags():
    apart = fp.Denoising(1e-6, "points")(np.arange(20.0)[:, None], np.arange(20) % 2)
    assert Flags.names(apart.i_xt_flags) == ("saturated",) and abs(float(apart.i_xt) - math.log2(20)) < 1e-6
    constant = fp.Denoising(0.1, "points", "total")(np.ones((20, 3)), np.arange(20) % 2)
    assert "constant_units" in Flags.names(constant.i_xt_flags)
    assert float(constant.i_xt) == 0 == float(constant.i_ty)
    noisy = fp.Denoising(0.1, "points")(np.arange(40.0)[:, None], inputs=np.arange(40) // 2)
    assert "not_a_function" in Flags.names(noisy.i_xt_flags)


def test_oracles_agree():
    """C2's values by the mixture's exact denoisers, and by its entropies."""
    means, shares = np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    for noise, bits in ((1e-4, 0.91274), (0.25, 0.72145), (1.0, 0.41624)):
        assert abs(mixture_information(means, shares, 0.25, noise) - bits) < 1e-5
        assert abs(mixture_gap(means, shares, 0.25, noise) - bits) < 1e-5
