"""Nearest neighbours against the oracle; all ways agree to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles_neighbours import distances, joint, others, within_class

from flowplane.core import neighbours
from flowplane.core.neighbours import class_neighbours, joint_neighbours, neighbour_distance

#: Few different values, so that ties and repeated points are common.
VALUES = st.one_of(st.floats(-2, 2, width=32), st.sampled_from([0.0, 0.1, 0.3, 1 / 3, -1.0]))
POINTS = st.tuples(st.integers(6, 24), st.integers(2, 9)).flatmap(lambda shape: arrays(np.float64, shape, elements=VALUES))


def as_lists(found):
    return [part[0].tolist() for part in found]


@settings(deadline=None, max_examples=60)
@given(POINTS, st.integers(1, 5), st.data())
def test_against_the_oracle(points, k, data):
    cut = data.draw(st.integers(1, points.shape[1] - 1))
    x, t = points[:, :cut], points[:, cut:]
    expected = [list(column) for column in zip(*joint(x, t, k), strict=True)]
    assert as_lists(joint_neighbours(torch.from_numpy(x), torch.from_numpy(t)[None], k)) == expected
    alone = [np.sort(others(row, i))[k - 1] for i, row in enumerate(distances(t))]
    assert neighbour_distance(torch.from_numpy(t)[None], k)[0].tolist() == alone
    y = np.arange(len(t)) % 3
    expected = [list(column) for column in zip(*within_class(t, y, k), strict=True)]
    assert as_lists(class_neighbours(torch.from_numpy(t)[None], torch.from_numpy(y), k)) == expected


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("features", "units"), [(1, 1), (2, 1), (1, 3), (3, 3), (5, 4)])
def test_all_ways_agree(features, units, repeated, monkeypatch):
    rng = np.random.default_rng(features)
    x, t = rng.normal(size=(700, features)), rng.normal(size=(2, 700, units))
    if repeated:
        x, t = x.round(1), t.round(1)
    y = np.sort(rng.integers(0, 3, 700))
    segments = [tuple(np.searchsorted(y, [c, c + 1]).tolist()) for c in range(3)]
    monkeypatch.setattr(neighbours, "CHUNK", 700 * 37)
    tensors = torch.from_numpy(x), torch.from_numpy(t)
    brute = neighbours._joint_brute(x, t, 4)
    for other in (neighbours._joint_sorted(x, t, 4), neighbours._joint_tree(x, t, 4), neighbours._joint_torch(*tensors, 4)):
        assert all(np.array_equal(a, b) for a, b in zip(brute, other, strict=True))
    brute = neighbours._classes_brute(t, segments, 4)
    for other in (neighbours._classes_tree(t, segments, 4), neighbours._classes_torch(tensors[1], segments, 4)):
        assert all(np.array_equal(a, b) for a, b in zip(brute, other, strict=True))


def test_many_points_go_by_the_tree(monkeypatch):
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 5000, 1)))
    monkeypatch.setattr(neighbours, "JOINT_TREE_FROM", {2: 5000})
    by_tree = neighbour_distance(points, 3), joint_neighbours(points[0], points.flip(1), 3)
    for table in ("TREE_FROM", "JOINT_TREE_FROM", "SORTED_FROM"):
        monkeypatch.setattr(neighbours, table, {})
    by_brute = neighbour_distance(points, 3), joint_neighbours(points[0], points.flip(1), 3)
    assert torch.equal(by_tree[0], by_brute[0])
    assert all(torch.equal(a, b) for a, b in zip(by_tree[1], by_brute[1], strict=True))


def test_threads_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(600, 3)), rng.normal(size=(1, 600, 2))
    shared = neighbours._joint_brute(x, t, 4)
    monkeypatch.setattr(neighbours, "cores", lambda: 1)
    for a, b in zip(shared, neighbours._joint_brute(x, t, 4), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.gpu
def test_gpu_equals_cpu():
    rng = np.random.default_rng(2)
    x, t, y = (
        torch.from_numpy(rng.normal(size=(500, 3))),
        torch.from_numpy(rng.normal(size=(2, 500, 4))),
        torch.arange(500) % 3,
    )
    for a, b in zip(joint_neighbours(x, t, 4), joint_neighbours(x.cuda(), t.cuda(), 4), strict=True):
        assert torch.equal(a, b.cpu())
    for a, b in zip(class_neighbours(t, y, 4), class_neighbours(t.cuda(), y.cuda(), 4), strict=True):
        assert torch.equal(a, b.cpu())
    assert torch.equal(neighbour_distance(t, 4), neighbour_distance(t.cuda(), 4).cpu())
