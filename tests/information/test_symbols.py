"""The two ways to count cells give the same entropies."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import flowplane as fp
from flowplane.information import counting, symbols
from flowplane.information.entropies import CORRECTIONS, entropy_tables


def arguments(seed, units, edges):
    rng = np.random.default_rng(seed)
    values = np.tanh(rng.normal(size=(3, units, 90))).astype(rng.choice([np.float32, np.float64]))
    values[1, :, 40:] = values[1, :, :50]
    opened = np.concatenate([[-np.inf], np.sort(rng.uniform(-1, 1, edges)), [np.inf]]).astype(values.dtype)
    if rng.random() < 0.5:
        opened[1:-1] = np.linspace(-1, 1, edges)
    weights = rng.dirichlet(np.ones(90)) if rng.random() < 0.5 else None
    labels = np.append(np.arange(4), rng.integers(0, 4, 86))
    rule = rng.dirichlet(np.ones(3), 90) if rng.random() < 0.5 else None
    inputs = np.append(np.arange(20), rng.integers(0, 20, 70)) if rng.random() < 0.5 else None
    return values, opened, weights, labels, rule, inputs


@settings(max_examples=40)
@given(st.integers(0, 100_000), st.integers(1, 30), st.integers(1, 40), st.sampled_from([None, *CORRECTIONS]))
def test_counting_and_sorting_agree(seed, units, edges, correction):
    given_arrays = arguments(seed, units, edges)
    tensors = [None if part is None else torch.tensor(part) for part in given_arrays]
    tables, constants = entropy_tables(90, correction)
    counted = counting.cell_statistics(*given_arrays, tables, constants)
    sorted_ones = symbols.cell_statistics(*tensors, torch.tensor(tables), torch.tensor(constants))
    for one, other in zip(sorted_ones, counted, strict=True):
        np.testing.assert_allclose(one.numpy(), other, atol=1e-10)
    assert np.isnan(counted[0][:, 2]).all() == (given_arrays[-1] is None)


def test_a_member_does_not_depend_on_its_batch():
    given_arrays = arguments(5, 4, 9)
    tables, constants = entropy_tables(90, None)
    whole = counting.cell_statistics(*given_arrays, tables, constants)
    for k in range(3):
        alone = counting.cell_statistics(given_arrays[0][k : k + 1], *given_arrays[1:], tables, constants)
        for one, all_of_them in zip(alone, whole, strict=True):
            assert np.array_equal(one[0], all_of_them[k], equal_nan=True)


def test_equal_rows_get_equal_numbers():
    rows = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0], [1.0, 1.0]])
    for numbers in (symbols.row_symbols(rows), counting.row_symbols(rows.numpy())):
        assert numbers[0] == numbers[2]
        assert sorted(set(numbers.tolist())) == [0, 1, 2]


@pytest.mark.gpu
def test_on_the_gpu(rec, task):
    soft = fp.tasks.spherical_rule(information=0.9)
    for layer in ("layer1", "layer4", "layer6"):
        values = torch.tensor(rec.activations(layer).values[:, -1])
        for named in (
            {},
            {"inputs": task.inputs},
            {"conditional": soft.conditional},
            {"probability": np.full(4096, 1 / 4096)},
        ):
            here, there = (fp.Binned.published()(values.to(device), task.labels, **named) for device in ("cpu", "cuda"))
            for name in ("i_xt", "i_ty", "h_t"):
                np.testing.assert_allclose(there[name], here[name], atol=1e-9)
            assert np.array_equal(there.flags, here.flags)
