"""Hard encoders against all partitions; the concave hull."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from oracles_bottleneck import hard_lagrangian, plane_of

from flowplane.bottleneck import concave_hull, deterministic_ib, ib_curve
from flowplane.errors import InputError


def random_joint(seed, n, classes, concentration=0.5):
    return np.random.default_rng(seed).dirichlet(np.full(n * classes, concentration)).reshape(n, classes)


def bits(most):
    """Numbers whose slopes can be told: none below 1e-9 but 0."""
    return st.floats(0, most).map(lambda value: round(value, 9))


@pytest.mark.parametrize(("n", "classes"), [(1, 2), (2, 2), (6, 2), (7, 2), (5, 3), (6, 4)])
def test_no_partition_is_better(n, classes):
    joint = random_joint(n, n, classes)
    betas = [0.5, 1.5, 3.0, 6.0, 20.0]
    found = deterministic_ib(joint, betas)
    assert found.attrs["exact"] == (classes == 2)
    for beta, here in zip(betas, found.lagrangian.values, strict=True):
        assert here == pytest.approx(hard_lagrangian(joint, beta), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_assignment_gives_the_plane(classes):
    joint = random_joint(1, 12, classes)
    joint[3:6] = joint[0] * np.array([[0.5], [1.0], [2.0]])
    joint /= joint.sum()
    found = deterministic_ib(joint, [8.0, 0.5, 30.0, 8.0])
    assert found.beta.values.tolist() == [8.0, 0.5, 30.0, 8.0]
    for index in range(4):
        here = found.isel(beta=index)
        cluster = here.cluster_of_x.values
        assert sorted(set(cluster)) == list(range(int(here.clusters)))
        assert len(set(cluster[[0, 3, 4, 5]])) == 1  # equal p(y|x)
        i_xt, i_ty = plane_of(joint, np.eye(cluster.max() + 1)[cluster])
        assert float(here.i_xt) == pytest.approx(i_xt, abs=1e-12)
        assert float(here.i_ty) == pytest.approx(i_ty, abs=1e-12)


def test_zeros_and_saturation_for_two_classes():
    tail = np.array([0.0, 1e-30, 1e-20, 0.3, 0.9, 1.0])
    joint = np.stack([tail, 1 - tail], 1) / 6
    found = deterministic_ib(joint, [0.5, 2.0, 1e9])
    assert np.isfinite(found.lagrangian).all()
    assert (found.lagrangian.values <= [hard_lagrangian(joint, beta) + 1e-9 * beta for beta in (0.5, 2.0, 1e9)]).all()


def test_hard_encoders_are_below_the_curve():
    joint = random_joint(4, 20, 2)
    hard = deterministic_ib(joint, np.geomspace(1, 100, 20))
    soft = ib_curve(joint)
    above = hard.i_ty.values[:, None] - (hard.i_xt.values[:, None] - soft.lagrangian.values) / soft.beta.values
    assert above.max() < 1e-9


def test_labels_that_are_a_function_of_x(task):
    found = deterministic_ib(task, [0.5, 2.0])
    assert found.clusters.values.tolist() == [1, 2]
    across, up = concave_hull(found.i_xt, found.i_ty)
    np.testing.assert_allclose(across, [0, task.information])
    np.testing.assert_allclose(up, across)


def test_many_classes_and_states_are_no_worse_than_intervals_of_one_class():
    """Two of three classes are alike, so that all says p(y=0|x) and the exact search of two classes is the optimum."""
    two = random_joint(7, 25, 2)
    three = np.stack([two[:, 0], 0.4 * two[:, 1], 0.6 * two[:, 1]], 1)
    betas = np.geomspace(1.0, 50.0, 12)
    exact, searched = deterministic_ib(two, betas), deterministic_ib(three, betas)
    assert (searched.attrs["exact"], exact.attrs["exact"]) == (0, 1)
    difference = searched.lagrangian.values - exact.lagrangian.values
    assert (difference >= -1e-10).all()
    assert (difference <= 0.01 * np.abs(exact.lagrangian.values)).all()


def test_the_seed_decides():
    joint = random_joint(0, 15, 4)
    one, two = (deterministic_ib(joint, [3.0, 9.0], seed=1) for _ in range(2))
    assert one.identical(two)


@given(st.lists(st.tuples(bits(5), bits(2)), min_size=1, max_size=12))
def test_the_hull_is_concave_rising_and_above_all_points(points):
    across, up = np.array(points).T
    x, y = concave_hull(across, up)
    assert (x[0], y[0]) == (0, 0)
    assert y[-1] == up.max()
    assert (np.diff(y) > 0).all()
    assert (np.interp(across, x, y) >= up - 1e-9)[across > 0].all()
    slopes = np.diff(y) / np.maximum(np.diff(x), 1e-300)
    assert (np.diff(slopes) <= 1e-9 * slopes[:-1]).all()


def test_bad_input():
    with pytest.raises(InputError, match=r"^i_ty: found 1 value"):
        concave_hull([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match=r"^i_xt: "):
        concave_hull([np.nan], [1.0])
    with pytest.raises(InputError, match=r"^i_ty: "):
        concave_hull([1.0], [-1.0])
    with pytest.raises(InputError, match=r"^betas: "):
        deterministic_ib([[0.4, 0.1], [0.1, 0.4]], [0.0])
    with pytest.raises(InputError, match=r"^joint: "):
        deterministic_ib([[0.4, 0.1], [0.1, 0.1]], [1.0])
