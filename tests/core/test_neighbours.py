"""Nearest neighbours against the oracle; all ways agree to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles_neighbours import distances, joint, others, within_class

from flowplane.core import all_pairs, cells, lines, neighbours, threads
from flowplane.core.neighbours import (
    class_neighbours,
    classes_in_parts,
    distance_in_parts,
    joint_in_parts,
    joint_neighbours,
    neighbour_distance,
)

#: Few different values, so that ties and repeated points are common.
VALUES = st.one_of(st.floats(-2, 2, width=32), st.sampled_from([0.0, 0.1, 0.3, 1 / 3, -1.0]))
POINTS = st.tuples(st.integers(6, 24), st.integers(2, 9)).flatmap(lambda shape: arrays(np.float64, shape, elements=VALUES))


def as_lists(found):
    return [part[0, 0].tolist() for part in found]


def equal(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("by_cells", [False, True])
def test_against_the_oracle(by_cells, monkeypatch):
    for table in ("CELLS_FROM", "JOINT_CELLS_FROM"):
        monkeypatch.setattr(neighbours, table, dict.fromkeys(range(10), 0) if by_cells else {})

    @settings(max_examples=60)
    @given(POINTS, st.integers(1, 5), st.data())
    def check(points, k, data):
        cut = data.draw(st.integers(1, points.shape[1] - 1))
        x, t = points[:, :cut], points[:, cut:]
        groups = torch.from_numpy(x)[None], torch.from_numpy(t)[None, None]
        expected = [list(column) for column in zip(*joint(x, t, k), strict=True)]
        assert as_lists(joint_neighbours(*groups, k)) == expected
        alone = [np.sort(others(row, i))[k - 1] for i, row in enumerate(distances(t))]
        assert neighbour_distance(torch.from_numpy(t), k).tolist() == alone
        y = np.arange(len(t)) % 3
        expected = [list(column) for column in zip(*within_class(t, y, k), strict=True)]
        assert as_lists(class_neighbours(groups[1], torch.from_numpy(y)[None], k)) == expected

    check()


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("features", "units"), [(1, 1), (2, 1), (1, 3), (3, 3), (5, 4)])
def test_all_ways_agree(features, units, repeated, monkeypatch):
    """Three groups of two members, whose classes differ; on a GPU's way in blocks of rows, and of groups."""
    rng = np.random.default_rng(features)
    x, t, y = rng.normal(size=(3, 700, features)), rng.normal(size=(3, 2, 700, units)), rng.integers(0, 3, (3, 700))
    if repeated:
        x, t = x.round(1), t.round(1)
    tensors = torch.from_numpy(x), torch.from_numpy(t)
    together = all_pairs.all_pairs_joint(x, t, 4)
    in_classes = all_pairs.all_pairs_classes(t, y, 4)
    assert equal(neighbours._joint_by_parts(x, t, 4), together)
    assert equal(neighbours._classes_by_parts(t, y, 4), in_classes)
    if units == 1:
        assert equal(neighbours._classes_on_lines(t, y, 4), in_classes)
    for chunk in (700 * 37, 2 * 700**2):
        monkeypatch.setattr(all_pairs, "CHUNK", chunk)
        assert equal(all_pairs.gpu_joint(*tensors, 4), together)
        assert equal(all_pairs.gpu_classes(tensors[1], torch.from_numpy(y), 4), in_classes)


@pytest.mark.parametrize("k", [1, 4, 11])
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("features", "units"), [(1, 1), (1, 2), (5, 4)])
def test_a_part_is_as_if_there_were_no_others(features, units, repeated, k):
    """Divisions into one part, into equal ones, and into unequal ones that leave samples out."""
    rng = np.random.default_rng(features)
    x, t = rng.normal(size=(2, 500, features)), rng.standard_t(2, size=(2, 3, 500, units))
    if repeated:
        x, t = x.round(1), t.round(1)
    y = rng.integers(0, 3, 500)
    parts = np.stack([np.zeros(500, int), np.arange(500) % 4, rng.choice([-1, 0, 1, 1, 3], 500)])
    x, t, y, parts = map(torch.from_numpy, (x, t, y, parts))
    found = joint_in_parts(x, t, parts, k)
    near, distance = classes_in_parts(t[0], y, parts, k), distance_in_parts(t, parts, k)
    for division, own in enumerate(parts):
        for part in own[own >= 0].unique():
            places = (own == part).nonzero()[:, 0]
            alone = joint_neighbours(x[:, places], t[:, :, places], k)
            within = class_neighbours(t[:1, :, places], y[places][None], k)
            furthest = neighbour_distance(t[:, :, places], k)
            expected = alone.near_x, alone.near_t, furthest, furthest, within.near[0]
            assert equal([array[division][..., places] for array in (*found, distance, near)], expected)


def test_far_neighbours_on_a_line():
    """Bounds that few points are within, and bounds that most are, by bisection and by lanes."""
    rng = np.random.default_rng(5)
    points, whole = rng.standard_cauchy((1, 3001)), np.zeros((1, 3001), np.int64)
    bounds = np.stack([np.abs(rng.standard_cauchy(3001)), np.zeros(3001), np.full(3001, 1e9)])[None, None]
    apart = np.abs(points[0][:, None] - points[0])
    expected = np.maximum((apart < bounds[0, 0][:, :, None]).sum(2) - 1, 0)
    assert np.array_equal(lines.line_nearer(lines.sorted_lines(points), bounds, whole)[0, 0], expected)


@pytest.mark.parametrize("kind", ["on a line", "heavy tails", "equal in one coordinate", "two values", "all equal"])
def test_cells_suit_any_points(kind):
    rng = np.random.default_rng(3)
    points = {
        "on a line": rng.normal(size=(400, 1)) * np.ones(3),
        "heavy tails": rng.standard_cauchy((400, 3)) ** 3,
        "equal in one coordinate": rng.normal(size=(400, 3)) * [0, 1, 1],
        "two values": rng.integers(0, 2, (400, 3)) + np.array([0, 0, 1e-9]) * rng.normal(size=(400, 1)),
        "all equal": np.ones((400, 3)),
    }[kind]
    apart = distances(points) + np.diag(np.full(400, np.inf))
    bounds = np.sort(apart, 1)[:, 3]
    assert np.array_equal(cells.cell_distance(points[None], 4)[0], bounds)
    several = np.stack([bounds, 2 * bounds, np.zeros(400)])
    assert np.array_equal(cells.cell_nearer(points[None], several[None])[0], (apart < several[:, :, None]).sum(2))


def test_a_group_does_not_depend_on_the_others():
    rng = np.random.default_rng(4)
    x, t = torch.from_numpy(rng.normal(size=(5, 300, 1))), torch.from_numpy(rng.normal(size=(5, 2, 300, 1)))
    whole = joint_neighbours(x, t, 3)
    for group in range(5):
        alone = joint_neighbours(x[group : group + 1], t[group : group + 1, 1:], 3)
        assert equal([part[0, 0] for part in alone], [part[group, 1] for part in whole])


@pytest.mark.parametrize("dimension", [1, 2, 9])
def test_threads_change_nothing(dimension, monkeypatch):
    rng = np.random.default_rng(1)
    x, t = torch.from_numpy(rng.normal(size=(2, 3000, 1))), torch.from_numpy(rng.normal(size=(2, 2, 3000, dimension)))
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "cores", lambda count=count: count)
        found.append((*joint_neighbours(x, t, 4), neighbour_distance(t, 4)))
    assert equal(found[1], found[0])
    assert equal(found[2], found[0])


@pytest.mark.gpu
def test_gpu_equals_cpu():
    rng = np.random.default_rng(2)
    x, t = torch.from_numpy(rng.normal(size=(3, 500, 3))), torch.from_numpy(rng.normal(size=(3, 2, 500, 4)))
    y = torch.from_numpy(rng.integers(0, 3, (3, 500)))
    assert equal([part.cpu() for part in joint_neighbours(x.cuda(), t.cuda(), 4)], joint_neighbours(x, t, 4))
    assert equal([part.cpu() for part in class_neighbours(t.cuda(), y.cuda(), 4)], class_neighbours(t, y, 4))
    assert torch.equal(neighbour_distance(t, 4), neighbour_distance(t.cuda(), 4).cpu())
