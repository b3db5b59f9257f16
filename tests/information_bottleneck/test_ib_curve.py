"""The curve against closed forms, brute force, embo, and its own laws."""

import importlib
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from oracles_bottleneck import (
    best_of_plain,
    certificate,
    plain_lagrangian,
    plain_step,
    plane_of,
    symmetric_curve,
    symmetric_lagrangian,
)
from slower import first_ones

import flowplane as fp
from flowplane.bottleneck import ib_curve
from flowplane.bottleneck.blahut_arimoto import step
from flowplane.bottleneck.ceiling import ceiling
from flowplane.bottleneck.codebook import Codebook, Problem, as_words
from flowplane.bottleneck.peaks import climbed_peaks
from flowplane.bottleneck.polish import _derivatives
from flowplane.errors import InputError


def random_joint(seed, n, classes, concentration=0.5):
    return np.random.default_rng(seed).dirichlet(np.full(n * classes, concentration)).reshape(n, classes)


@pytest.fixture(scope="module")
def soft():
    return fp.tasks.spherical_rule(information=0.99)


@pytest.fixture(scope="module")
def reference(soft):
    return ib_curve(soft, encoders=True)


# -- closed forms and brute force --------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [0.05, 0.2, 0.4])
def test_the_symmetric_bit_is_mrs_gerbers(flip):
    joint = np.array([[1 - flip, flip], [flip, 1 - flip]]) / 2
    critical = 1 / (1 - 2 * flip) ** 2
    betas = critical * np.array([0.5, 0.999, 1.001, 1.05, 1.5, 3.0, 20.0, 200.0])
    curve = ib_curve(joint, betas)
    for point in curve.transpose("beta").beta:
        here = curve.sel(beta=point)
        assert float(here.i_ty) == pytest.approx(symmetric_curve(float(here.i_xt), flip), abs=1e-9)
        assert float(here.lagrangian) == pytest.approx(symmetric_lagrangian(float(point), flip), abs=1e-8)
    assert curve.clusters.values.tolist() == [1, 1, 2, 2, 2, 2, 2, 2]
    assert (curve.gap <= 1e-9).all()


@pytest.mark.parametrize(("n", "classes"), [(2, 2), (4, 2), (3, 3), (4, 3), (5, 4)])
def test_plain_iterations_from_many_starts_are_no_better(n, classes):
    joint = random_joint(n, n, classes)
    betas = np.array([1.3, 2.0, 4.0, 11.0])
    curve = ib_curve(joint, betas)
    for beta, found in zip(betas, curve.lagrangian.values, strict=True):
        brute = plain_lagrangian(joint, beta)
        assert found <= brute + 1e-9
        assert found == pytest.approx(brute, abs=1e-5)  # 400 plain steps are not quite there


@pytest.mark.parametrize("seed", range(4))
def test_the_certificate_holds_on_a_grid_of_its_own(seed):
    joint = random_joint(seed, 12, 2, 0.1 if seed % 2 else 1.0)
    curve = ib_curve(joint, [1.2, 3.0, 30.0, 300.0], encoders=True)
    p = joint.sum(1)
    for beta in curve.beta.values:
        here = curve.sel(beta=beta)
        p_t = p @ here.p_t_given_x.values
        alive = p_t > 0
        assert certificate(joint, beta, p_t[alive], here.p_y_given_t.values[alive]) < 1e-8
        assert float(here.gap) <= 1e-9


def test_a_loose_tolerance_keeps_its_promise(soft):
    exact = ib_curve(soft, np.geomspace(1.01, 100, 15))
    rough = ib_curve(soft, np.geomspace(1.01, 100, 15), tolerance=0.03)
    excess = (rough.lagrangian - exact.lagrangian).values
    assert (excess >= -2e-9).all()
    assert (excess <= rough.gap.values + 1e-9).all()
    assert (rough.gap <= 0.03).all()


def test_never_below_embo():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = np.geterr()
        embo = importlib.import_module("embo.core").InformationBottleneck
        np.seterr(**before)  # embo turns NumPy's warnings off for everybody
    for seed in range(4):
        joint = random_joint(seed, 6, 2 + seed % 3)
        with np.errstate(all="ignore"):
            np.random.seed(seed)  # noqa: NPY002
            i_xt, i_ty, _, betas = embo(pxy=joint.copy(), numbeta=12, maxbeta=20, rtol=1e-9, iterations=500).get_bottleneck()
        curve = ib_curve(joint, np.asarray(betas))
        assert (curve.lagrangian.values <= i_xt - betas * i_ty + 1e-9).all()
        line = ib_curve(joint)  # points of theirs are below each tangent of ours
        above = np.asarray(i_ty)[:, None] - (np.asarray(i_xt)[:, None] - line.lagrangian.values) / line.beta.values
        assert above.max() < 1e-9


# -- many classes, many states -----------------------------------------------------------------------------------------


def rows_of(kind, n, classes, seed):
    """Joints of the kinds that solvers stumble over."""
    rng = np.random.default_rng(seed)
    rows, p = rng.dirichlet(np.full(classes, 0.3), n), np.full(n, 1 / n)
    if kind == "sparse":
        rows = rows * (rng.random((n, classes)) < 0.3)
        rows[np.arange(n), rng.integers(0, classes, n)] += 0.2
    elif kind == "deterministic in part":
        some = rng.random(n) < 0.5
        rows[some] = np.eye(classes)[rng.integers(0, classes, some.sum())]
    elif kind == "rare":
        p = 10 ** rng.uniform(-12, 0, n)
    joint = p[:, None] * rows / rows.sum(1, keepdims=True)
    return joint / joint.sum()


def critical(joint):
    return 1 / np.linalg.svd(joint / np.sqrt(np.outer(joint.sum(1), joint.sum(0))), compute_uv=False)[1] ** 2


@pytest.fixture(scope="module")
def wide():
    return rows_of("dense", 220, 10, 0)


@pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic in part", "rare"])
def test_no_plain_iterations_from_random_starts_are_better(kind):
    joint = rows_of(kind, 60, 7, 3)
    betas = critical(joint) * np.array([0.95, 1.2, 3.0])
    curve = ib_curve(joint, betas)
    plain = np.array([best_of_plain(joint, beta, 20, 12, 100, 1000) for beta in betas])
    assert (curve.lagrangian.values <= plain + 1e-9).all()
    assert (curve.lagrangian.values - curve.gap.values <= plain + 1e-12).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [400, 210, 30])
@pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic in part", "rare"])
def test_nor_from_500_starts(kind, n):
    joint = rows_of(kind, n, 4 + n % 9, n)
    beta = 1.15 * critical(joint)
    plain = min(best_of_plain(joint, beta, 50, 24, 200, 2000, seed) for seed in range(10))
    assert float(ib_curve(joint, beta).lagrangian[0]) <= plain + 1e-9


def test_the_answer_does_not_depend_on_the_other_betas(wide):
    together = ib_curve(wide, [1.5, 3.0, 3.4, 5.0])
    for beta in (3.0, 3.4):
        alone = ib_curve(wide, beta)
        for name in ("lagrangian", "i_ty", "gap"):
            assert float(alone[name][0]) == pytest.approx(float(together[name].sel(beta=beta)), abs=1e-8), name
    assert float(together.lagrangian.sel(beta=3.4)) < -0.01


def test_more_starts_are_never_worse(wide):
    found = [float(ib_curve(wide, 3.0, starts=starts).lagrangian[0]) for starts in (0, 8, 200)]
    assert found[0] + 1e-13 >= found[1] >= found[2] - 1e-13


def test_rare_states_do_not_spoil_the_certificate():
    for seed, (n, classes) in enumerate([(60, 2), (60, 3), (150, 3)]):
        curve = ib_curve(rows_of("rare", n, classes, seed), [1.2, 3.0, 30.0, 300.0])
        assert (curve.gap <= 1e-9).all()


def test_the_gap_is_no_less_than_what_a_loose_tolerance_costs(wide):
    best, rough = ib_curve(wide, [3.0, 4.0]), ib_curve(wide, [3.0, 4.0], tolerance=0.05)
    assert (rough.gap >= rough.lagrangian - best.lagrangian - 1e-12).all()
    assert (best.gap > 0.1).all()  # ten classes: it cannot be proved that these are the optimum


@pytest.mark.parametrize("classes", [2, 3, 4, 6])
@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_no_point_of_the_simplex_is_above_the_ceiling(classes, spread):
    rng = np.random.default_rng(classes)
    joint = torch.from_numpy(random_joint(classes, 15, classes))
    betas = torch.tensor([0.7, 3.0, 20.0, 200.0], dtype=torch.float64)
    problem = Problem(joint.sum(1), joint / joint.sum(1, keepdim=True), betas)
    states = problem.conditional.log()
    dual = problem.mass.log() + torch.from_numpy(rng.normal(size=(4, 15)) * spread)  # any: the optimum's is not special
    peaks = climbed_peaks(problem, dual, states.expand(4, -1, -1))[0]
    top = ceiling(problem, dual, peaks[:, :1], 1e-9)
    mixed = rng.dirichlet(np.full(15, 0.2), 20_000) @ problem.conditional.numpy()
    everywhere = torch.from_numpy(np.concatenate([mixed, rng.dirichlet(np.full(classes, 0.5), 20_000)])).log()
    words = torch.cat([everywhere.expand(4, -1, -1), peaks], 1)
    height = (problem.log_kernel(words) + dual[..., None]).logsumexp(1).amax(1)
    assert (top >= height).all()
    if classes <= 4:  # and it is no loose one
        assert (top <= 2 * height.clamp(min=0) + 1e-8).all()


# -- the laws of the curve ---------------------------------------------------------------------------------------------


def assert_a_curve(curve):
    order = np.argsort(curve.beta.values)
    beta, across, up = (curve[name].values[order] for name in ("beta", "i_xt", "i_ty"))
    slack = 1e-6
    assert (np.diff(across) >= -slack).all()
    assert (np.diff(up) >= -slack).all()
    assert (up <= across + 1e-12).all()
    assert (up <= curve.attrs["i_xy"] + 1e-12).all()
    assert (across <= curve.attrs["h_x"] + 1e-12).all()
    # concave with slope 1/β: each point is on or below each tangent
    tangents = up[:, None] + (across[None] - across[:, None]) / beta[:, None]
    assert (up[None] <= tangents + 1e-9).all()


def test_the_reference_curve(reference):
    assert_a_curve(reference)
    assert reference.attrs["states"] == 53
    assert reference.attrs["i_xy"] == pytest.approx(0.99, abs=1e-9)
    assert reference.attrs["h_x"] == pytest.approx(12.0)
    assert (reference.gap <= 1e-9).all()
    assert float(reference.i_ty[-1]) > 0.998 * 0.99
    assert (np.diff(reference.i_ty) < 0.06).all()  # the whole curve is seen


@pytest.mark.parametrize(
    ("n", "classes", "concentration"), first_ones(1, [(8, 2, 0.3), (10, 3, 1.0), (30, 4, 0.1), (40, 2, 3.0)])
)
def test_random_curves(n, classes, concentration):
    curve = ib_curve(random_joint(n, n, classes, concentration))
    assert_a_curve(curve)
    assert (curve.gap <= 2e-9).all()
    assert float(curve.i_ty[-1]) > 0.995 * curve.attrs["i_xy"]


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(2, 4))
def test_any_curve(seed, n, classes):
    joint = random_joint(seed, n, classes, 0.2)
    joint[joint < 0.01] = 0.0
    joint = joint[joint.sum(1) > 0]
    if (joint.sum(0) > 0).sum() < 2:
        return
    assert_a_curve(ib_curve(joint / joint.sum(), [0.7, 1.0, 1.5, 4.0, 40.0, 1e4]))


def test_the_slope_is_one_over_beta():
    for seed, beta in ((1, 2.0), (2, 3.0), (4, 4.0)):
        near = ib_curve(random_joint(seed, 6, 3), beta * np.array([1 - 1e-3, 1 + 1e-3]), tolerance=1e-12)
        rise, run = float(near.i_ty.diff("beta")[0]), float(near.i_xt.diff("beta")[0])
        assert run > 1e-5
        assert rise / run == pytest.approx(1 / beta, rel=1e-4)


def test_encoders_solve_the_equations_and_give_the_plane(soft, reference):
    joint = soft.joint
    for index in (0, 20, 60, 99):
        here = reference.isel(beta=index)
        encoder = here.p_t_given_x.values
        alive = encoder.sum(0) > 0
        assert alive.sum() == int(here.clusters)
        np.testing.assert_allclose(encoder.sum(1), 1.0, atol=1e-12)
        distinct, first = np.unique(encoder[:, alive], axis=0, return_index=True)
        assert len(distinct) <= 53
        p_t = joint.sum(1) @ encoder[:, alive]
        together = joint.T @ encoder[:, alive] / p_t
        np.testing.assert_allclose(here.p_y_given_t.values[alive].T, together, atol=1e-4)
        of_states = np.array([joint[(encoder == encoder[i]).all(1)].sum(0) for i in first])
        i_xt, i_ty = plane_of(of_states, encoder[first][:, alive])
        assert float(here.i_xt) == pytest.approx(i_xt, abs=1e-9)
        assert float(here.i_ty) == pytest.approx(i_ty, abs=1e-9)
    joint = random_joint(1, 5, 3)
    encoder = ib_curve(joint, 8.0, encoders=True).p_t_given_x.values[0]
    encoder = encoder[:, encoder.any(0)]
    np.testing.assert_allclose(plain_step(joint, encoder, 8.0), encoder, atol=1e-5)


# -- where it begins ---------------------------------------------------------------------------------------------------


def test_trivial_below_the_critical_beta(soft):
    critical = 1.0055
    curve = ib_curve(soft, [0.3, 1.0, critical - 6e-4, critical + 6e-4])
    assert curve.clusters.values.tolist() == [1, 1, 1, 2]
    assert (curve.i_xt.values[:3] == 0).all()
    assert float(curve.i_xt[3]) > 0.01
    patterns = fp.tasks.spherical_rule()
    strength = fp.tasks.spherical_strength(patterns.inputs.astype(np.int64))
    rule = 1 / (1 + np.exp(-10.0 * (strength - strength.mean())))
    gentle = np.stack([1 - rule, rule], 1) / 4096
    curve = ib_curve(gentle, np.array([0.998, 1.002]) / 0.912486)
    assert curve.clusters.values.tolist() == [1, 2]


def test_a_split_that_comes_before_the_critical_beta():
    """A rare x that settles y: one cluster is stable beyond where two are better, and only the certificate tells."""
    joint = np.array([[0.49, 0.48], [0.029, 0.0], [0.0, 0.001]])
    second = np.linalg.svd(joint / np.sqrt(np.outer(joint.sum(1), joint.sum(0))))[1][1] ** 2
    curve = ib_curve(joint, 0.97 / second)
    assert int(curve.clusters[0]) > 1
    assert float(curve.lagrangian[0]) < -1e-4
    assert float(curve.lagrangian[0]) <= plain_lagrangian(joint + 1e-15, 0.97 / second) + 1e-9


# -- invariances and edges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_merged_is_unmerged(classes):
    joint = random_joint(3, 5, classes)
    doubled = np.concatenate([joint * share for share in (0.2, 0.3, 0.5)])
    betas = [0.9, 1.7, 3.0, 12.0]
    merged = ib_curve(doubled, betas)
    unmerged = ib_curve(doubled, betas, merge=False)
    assert (merged.attrs["states"], unmerged.attrs["states"]) == (5, 15)
    np.testing.assert_allclose(merged.lagrangian, unmerged.lagrangian, atol=3e-9)
    np.testing.assert_allclose(merged.i_ty, unmerged.i_ty, atol=1e-4)
    np.testing.assert_allclose(merged.lagrangian, ib_curve(joint, betas).lagrangian, atol=3e-9)


def test_the_callers_order():
    joint = random_joint(0, 4, 3)
    betas = [7.0, 2.0, 30.0, 2.0]
    curve = ib_curve(joint, betas, encoders=True)
    assert curve.beta.values.tolist() == betas
    alone = [ib_curve(joint, beta).i_ty.item() for beta in betas]
    np.testing.assert_allclose(curve.i_ty, alone, atol=1e-6)
    for index in range(4):
        i_xt, _ = plane_of(joint, curve.p_t_given_x.values[index])
        assert i_xt == pytest.approx(float(curve.i_xt[index]), abs=1e-9)


def test_columns_and_rows_may_be_permuted():
    joint = random_joint(5, 7, 4)
    rng = np.random.default_rng(0)
    mixed = joint[rng.permutation(7)][:, rng.permutation(4)]
    np.testing.assert_allclose(ib_curve(joint, [2.0, 9.0]).lagrangian, ib_curve(mixed, [2.0, 9.0]).lagrangian, atol=3e-9)


@pytest.mark.parametrize(
    "joint",
    [
        [[0.5, 0.0], [0.25, 0.25]],
        [[0.3, 0.0, 0.0], [0.0, 0.3, 0.0], [0.2, 0.1, 0.1]],
        [[0.25, 0.25], [0.25, 0.25]],
        [[0.3, 0.7]],
        [[0.3, 0.0, 0.2], [0.1, 0.0, 0.4]],
        [[0.5 - 1e-20, 1e-20], [1e-30, 0.5 - 1e-30]],
        [[1e-300, 0.5], [0.5, 1e-300]],
    ],
)
def test_zeros_ones_and_constants(joint):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for merge in (True, False):
            curve = ib_curve(joint, [0.5, 1.0, 2.0, 50.0, 1e6], merge=merge, encoders=True)
            assert not any(np.isnan(values).any() for values in curve.data_vars.values())
            assert_a_curve(curve)
        ib_curve(joint)


def test_labels_that_are_a_function_of_x(task):
    curve = ib_curve(task, [2.0, 1.0, 0.5, 1000.0], encoders=True)
    entropy = task.information
    assert curve.attrs["deterministic_labels"] == 1
    assert "deterministic_ib and concave_hull" in curve.attrs["note"]
    np.testing.assert_allclose(curve.i_xt, [entropy, 0, 0, entropy])
    np.testing.assert_allclose(curve.i_ty, [entropy, 0, 0, entropy])
    assert curve.clusters.values.tolist() == [2, 1, 1, 2]
    assert (curve.p_t_given_x.values[0].argmax(1) == curve.p_t_given_x.values[3].argmax(1)).all()
    np.testing.assert_allclose(ib_curve(task, [2.0, 0.5], merge=False).i_ty, [entropy, 0])


def test_it_can_be_saved(tmp_path, reference):
    reference.to_netcdf(tmp_path / "curve.nc", engine="h5netcdf")


@pytest.mark.parametrize(
    ("argument", "value"),
    [("starts", -1), ("seed", -1), ("tolerance", 0.0), ("tolerance", float("nan")), ("merge", "yes"), ("betas", [0.0])],
)
def test_bad_arguments(argument, value):
    with pytest.raises(InputError, match=f"^{argument}: "):
        ib_curve([[0.4, 0.1], [0.1, 0.4]], **{argument: value})


# -- the plain step ----------------------------------------------------------------------------------------------------


def test_the_plain_step_is_the_equations():
    joint = random_joint(2, 5, 3)
    betas = torch.tensor([0.5, 3.0, 20.0], dtype=torch.float64)
    start = np.random.default_rng(0).dirichlet(np.ones(4), 5)
    mass = torch.tensor(joint.sum(1))
    conditional = torch.tensor(joint) / mass[:, None]
    found = step(mass, conditional, torch.tensor(start).log().expand(3, -1, -1), betas)
    for beta, encoder in zip(betas.tolist(), found.exp().numpy(), strict=True):
        np.testing.assert_allclose(encoder, plain_step(joint, start, beta), rtol=1e-12)


def test_a_dead_cluster_stays_dead():
    mass = torch.tensor([0.5, 0.5], dtype=torch.float64)
    conditional = torch.tensor([[1.0, 0.0], [0.2, 0.8]], dtype=torch.float64)
    start = torch.tensor([[[0.5, 0.5, 0.0], [0.3, 0.7, 0.0]]], dtype=torch.float64).log()
    found = step(mass, conditional, start, torch.tensor([4.0], dtype=torch.float64))
    assert (found[..., 2] == -torch.inf).all()
    assert not found.isnan().any()


# -- Newton's method ---------------------------------------------------------------------------------------------------


def test_gradient_and_hessian_are_those_of_automatic_differentiation():
    joint = torch.tensor(random_joint(6, 5, 3))
    mass = joint.sum(1)
    conditional = joint / mass[:, None]
    point = torch.from_numpy(np.random.default_rng(0).normal(size=6))
    words, beta = 2, 4.0

    def excess(at):
        logits = torch.cat([at[words:].reshape(words, 2), torch.zeros(words, 1, dtype=torch.float64)], 1)
        divergence = (conditional[:, None] * (conditional.log()[:, None] - logits.log_softmax(1))).sum(2)
        return -(mass * (at[:words] - beta * divergence).logsumexp(1)).sum() + at[:words].exp().sum()

    problem = Problem(mass, conditional, torch.tensor([beta], dtype=torch.float64))
    book = Codebook(point[None, :words].exp(), as_words(point[words:].reshape(1, words, 2)))
    gradient, hessian, _ = _derivatives(problem, book, book.encoder(problem))
    expected = torch.autograd.functional.jacobian(excess, point)
    torch.testing.assert_close(gradient[0], expected)
    curvature = torch.autograd.functional.hessian(excess, point)
    curvature[:words, :words] -= torch.diag(expected[:words])  # in w itself, relative to w
    torch.testing.assert_close(hessian[0], curvature)


def test_a_few_steps_of_newton_are_enough(soft):
    assert int(ib_curve(soft, np.linspace(1.2, 5, 40)).iterations.max()) <= 20
