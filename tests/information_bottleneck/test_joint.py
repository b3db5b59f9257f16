"""Joint distributions: what is refused, what is merged."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis.extra.numpy import arrays
from oracles_bottleneck import plane_of

import flowplane as fp
from flowplane.bottleneck.joint import States, check_betas, checked_joint, conditional_of, information, merged
from flowplane.errors import InputError


@pytest.mark.parametrize(
    ("joint", "found"),
    [
        ([[0.5, np.nan], [0.2, 0.3]], "NaN"),
        ([[0.5, np.inf], [0.2, 0.3]], "infinite"),
        ([[0.6, -0.1], [0.2, 0.3]], "1 negative"),
        ([[0.5, 0.2], [0.2, 0.3]], "sum to 1.2"),
        ([[0.5, 0.5], [0.0, 0.0]], "rows of zeros, the first row 1"),
        ([[0.5, 0.0], [0.5, 0.0]], "one class"),
        ([[0.5], [0.5]], "one class"),
        ([0.5, 0.5], "shape"),
        (np.zeros((0, 2)), "shape"),
        ([["a", "b"]], "array of"),
    ],
)
def test_no_joint(joint, found):
    with pytest.raises(InputError, match=f"^joint: .*{found}"):
        checked_joint(joint)


@pytest.mark.parametrize("betas", [[0.0], [1.0, -2.0], [np.nan], [np.inf], [], [[1.0, 2.0]], "x"])
def test_no_betas(betas):
    with pytest.raises(InputError, match=r"^betas: "):
        check_betas(betas)


def test_betas_keep_their_order():
    assert check_betas([3.0, 1, 2]).tolist() == [3.0, 1.0, 2.0]
    assert check_betas(2).tolist() == [2.0]
    assert check_betas(torch.tensor([2.0])).dtype == np.float64


def test_all_kinds_of_arrays_and_small_errors_of_the_sum():
    joint = np.array([[0.4, 0.1], [0.1, 0.4]]) * (1 + 5e-7)
    for kind in (joint, torch.tensor(joint), xr.DataArray(joint), joint.tolist(), torch.tensor(joint).float()):
        found = checked_joint(kind)
        assert found.dtype == torch.float64
        assert float(found.sum()) == pytest.approx(1.0, abs=1e-15)


def test_a_task_is_a_joint(task):
    soft = fp.tasks.spherical_rule(information=0.99)
    states = merged(checked_joint(soft))
    assert len(states.mass) == 53  # the distinct f(x), though p(y|x) saturates
    assert information(states.mass, states.conditional) == pytest.approx(0.99, abs=1e-9)
    assert len(merged(checked_joint(task)).mass) == 2
    assert States.of(checked_joint(task)).deterministic
    assert not States.of(checked_joint(soft)).deterministic


@given(arrays(float, (6, 3), elements=st.sampled_from([0.0, 1e-20, 0.1, 0.2, 0.5])))
def test_merging_keeps_the_information_and_every_conditional(weights):
    weights = weights + np.eye(6, 3) * 0.1 + np.array([0, 0, 0.1])
    joint = checked_joint(weights / weights.sum())
    states = merged(joint)
    assert float(states.mass.sum()) == pytest.approx(1.0)
    torch.testing.assert_close(states.conditional[states.state], conditional_of(joint), rtol=1e-8, atol=0)
    rows = {tuple(np.round(np.log(np.maximum(row, 1e-300)), 6)) for row in conditional_of(joint).numpy()}
    assert len(states.mass) == len(rows)
    expected = plane_of(joint.numpy(), np.eye(6))[1]
    assert information(states.mass, states.conditional) == pytest.approx(expected, abs=1e-12)


def test_saturated_rows_stay_apart():
    tail = np.array([1e-20, 1e-20, 1e-30, 0.0])
    joint = np.stack([tail, 1 - tail], 1) / 8
    joint = np.concatenate([joint, joint[:, ::-1]])
    assert merged(checked_joint(joint)).state.unique().numel() == 6


def test_columns_of_zeros_are_left_out():
    joint = np.array([[0.4, 0.0, 0.1], [0.1, 0.0, 0.4]])
    states = States.of(checked_joint(joint))
    assert states.merged.conditional.shape == (2, 2)
    assert states.columns.tolist() == [0, 2]
