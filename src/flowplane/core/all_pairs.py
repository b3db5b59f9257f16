"""Nearest neighbours in any number of dimensions: each point against all, by Numba on a CPU, by torch on a GPU."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.compiled import kernel
from flowplane.core.near_lanes import LANES, TOGETHER, keep_least
from flowplane.core.threads import shared

__all__ = ["all_pairs_classes", "all_pairs_joint", "all_pairs_joint_in_parts", "gpu_classes", "gpu_joint"]

#: Distances that a GPU holds at once.
CHUNK = 1 << 25


def all_pairs_joint(
    x: Float[np.ndarray, "group sample feature"], t: Float[np.ndarray, "group member sample unit"], k: int
) -> tuple[np.ndarray, ...]:
    """As `flowplane.core.neighbours.joint_neighbours`; distances in x are computed once for all members of a group."""
    shape = t.shape[:3]
    found = (np.empty(shape), np.empty(shape, np.int64), np.empty(shape, np.int64))
    turned = _turned(x), _turned(t)
    count = shape[0] * shape[2]
    shared(lambda first, last: _joint(*turned, k, first, last, *found), count, t.size * shape[2])
    return found


def all_pairs_joint_in_parts(
    x: Float[np.ndarray, "group sample feature"],
    t: Float[np.ndarray, "group member sample unit"],
    parts: Int[np.ndarray, "division sample"],
    k: int,
) -> tuple[np.ndarray, ...]:
    """As `flowplane.core.neighbours.joint_in_parts`; all distances are computed once for all divisions."""
    shape = (len(parts), *t.shape[:3])
    found = (np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape))
    turned = _turned(x), _turned(t)
    order = np.argsort(parts, kind="stable")
    ordered = np.take_along_axis(parts, order, 1)
    starts, stops = (
        np.stack([np.searchsorted(row, own, side) for row, own in zip(ordered, parts, strict=True)])
        for side in ("left", "right")
    )
    stops[parts < 0] = 0
    count = shape[1] * shape[3]
    nanoseconds = 2 * t.size * shape[3]
    order = order.astype(np.int32)
    shared(lambda first, last: _in_parts(*turned, order, starts, stops, k, first, last, *found), count, nanoseconds)
    return found


def all_pairs_classes(
    t: Float[np.ndarray, "group member sample unit"], classes: Int[np.ndarray, "group sample"], k: int
) -> tuple[np.ndarray, ...]:
    """As `flowplane.core.neighbours.class_neighbours`, on samples sorted by class."""
    order = np.argsort(classes, kind="stable")
    ordered = np.take_along_axis(classes, order, 1)
    starts = np.stack([np.searchsorted(row, row) for row in ordered])
    stops = np.stack([np.searchsorted(row, row, "right") for row in ordered])
    shape = t.shape[:3]
    found = (np.empty(shape), np.empty(shape, np.int64))
    turned = _turned(np.take_along_axis(t, order[:, None, :, None], 2))
    count = shape[0] * shape[2]
    shared(lambda first, last: _within(turned, starts, stops, k, first, last, *found), count, t.size * shape[2])
    back = np.argsort(order)[:, None]
    return tuple(np.take_along_axis(part, back, 2) for part in found)


def _turned(points: np.ndarray) -> Float[np.ndarray, "*batch feature sample"]:
    """One row per feature, and rows of zeros, which change no distance, where they save `_distances` passes."""
    features = points.shape[-1]
    more = -features % 4 if features % 4 > 1 else 0
    turned = np.zeros((*points.shape[:-2], features + more, points.shape[-2]))
    turned[..., :features, :] = np.swapaxes(points, -1, -2)
    return turned


@kernel()
def _distances(points, i, out):
    """From point i to all, infinite to itself; `points` is (feature, sample), four features per pass."""
    features, n = points.shape
    for j in range(n):
        out[j] = 0.0
    for f in range(0, features - features % 4, 4):
        p, q, r, s = points[f], points[f + 1], points[f + 2], points[f + 3]
        a, b, c, d = p[i], q[i], r[i], s[i]
        for j in range(n):
            first, second, third, fourth = abs(p[j] - a), abs(q[j] - b), abs(r[j] - c), abs(s[j] - d)
            first = first if first > second else second
            third = third if third > fourth else fourth
            first = first if first > third else third
            out[j] = out[j] if out[j] > first else first
    for f in range(features - features % 4, features):
        p = points[f]
        a = p[i]
        for j in range(n):
            first = abs(p[j] - a)
            out[j] = out[j] if out[j] > first else first
    out[i] = np.inf


@kernel()
def _kth(distances, k, kept):
    """The k-th smallest, from the k smallest of each lane and the rest, too few for the lanes; `kept` is scratch space."""
    least, nearest = kept[: k * LANES], kept[k * LANES : k * LANES + k]
    kept[:] = np.inf
    rows = len(distances) // (LANES * TOGETHER)
    keep_least(distances, rows, least)
    for some in (least, distances[rows * LANES * TOGETHER :]):
        for found in some:
            if found < nearest[k - 1]:
                place = k - 1
                while place > 0 and nearest[place - 1] > found:
                    nearest[place] = nearest[place - 1]
                    place -= 1
                nearest[place] = found
    return nearest[k - 1]


@kernel()
def _nearer(distances, bound):
    count = 0
    for j in range(len(distances)):
        count += distances[j] < bound
    return count


@kernel()
def _joint(x, t, k, first, last, distance, near_x, near_t):
    """Points first … last − 1 of all groups concatenated."""
    n = x.shape[2]
    in_x, in_t, in_both, kept = np.empty(n), np.empty(n), np.empty(n), np.empty(k * (LANES + 1))
    for point in range(first, last):
        group = point // n
        i = point - group * n
        _distances(x[group], i, in_x)
        for member in range(t.shape[1]):
            _distances(t[group, member], i, in_t)
            for j in range(n):
                in_both[j] = in_x[j] if in_x[j] > in_t[j] else in_t[j]
            bound = _kth(in_both, k, kept)
            distance[group, member, i] = bound
            near_x[group, member, i] = _nearer(in_x, bound)
            near_t[group, member, i] = _nearer(in_t, bound)


@kernel()
def _in_parts(x, t, order, starts, stops, k, first, last, near_x, near_t, distance_t):
    """Points first … last − 1 of all groups concatenated; those of a point's part lie between its start and its stop."""
    n = x.shape[2]
    in_x, in_t, kept = np.empty(n), np.empty(n), np.empty(k * (LANES + 1))
    part_x, part_t, both = np.empty(n), np.empty(n), np.empty(n)
    for point in range(first, last):
        group = point // n
        i = point - group * n
        _distances(x[group], i, in_x)
        for member in range(t.shape[1]):
            _distances(t[group, member], i, in_t)
            for division in range(len(order)):
                start, stop = starts[division, i], stops[division, i]
                if stop <= start:
                    continue
                own_x, own_t, own_both = in_x, in_t, both
                if stop - start < n:  # some of the samples: theirs gathered
                    own_x, own_t, own_both = part_x[: stop - start], part_t[: stop - start], both[: stop - start]
                    own = order[division, start:stop]
                    for place in range(len(own)):
                        own_x[place], own_t[place] = in_x[own[place]], in_t[own[place]]
                for place in range(len(own_x)):
                    own_both[place] = own_x[place] if own_x[place] > own_t[place] else own_t[place]
                bound = _kth(own_both, k, kept)
                near_x[division, group, member, i] = _nearer(own_x, bound)
                near_t[division, group, member, i] = _nearer(own_t, bound)
                distance_t[division, group, member, i] = _kth(own_t, k, kept)


@kernel()
def _within(t, starts, stops, k, first, last, distance, near):
    """Points first … last − 1 of all groups concatenated; the class of a point lies between its start and its stop."""
    n = t.shape[3]
    in_t, kept = np.empty(n), np.empty(k * (LANES + 1))
    for point in range(first, last):
        group = point // n
        i = point - group * n
        start, stop = starts[group, i], stops[group, i]
        for member in range(t.shape[1]):
            _distances(t[group, member], i, in_t)
            bound = _kth(in_t[start:stop], min(k, stop - start - 1), kept)
            distance[group, member, i] = bound
            near[group, member, i] = _nearer(in_t, bound)


# -- on a GPU ---------------------------------------------------------------------------------------------------------


def gpu_joint(
    x: Float[Tensor, "group sample feature"], t: Float[Tensor, "group member sample unit"], k: int
) -> tuple[Tensor, ...]:
    """As `flowplane.core.neighbours.joint_neighbours`."""
    found = _nothing(t, 3)
    for groups, rows in _blocks(*x.shape[:2]):
        in_x = _distances_torch(x[groups], rows)
        for member in range(t.shape[1]):
            in_t = _distances_torch(t[groups, member], rows)
            bound = torch.maximum(in_x, in_t).kthvalue(k, dim=2, keepdim=True)[0]
            for part, new in zip(found, (bound[:, :, 0], (in_x < bound).sum(2), (in_t < bound).sum(2)), strict=True):
                part[groups, member, rows] = new
    return found


def gpu_classes(
    t: Float[Tensor, "group member sample unit"], classes: Int[Tensor, "group sample"], k: int
) -> tuple[Tensor, ...]:
    """As `flowplane.core.neighbours.class_neighbours`."""
    found = _nothing(t, 2)
    n = classes.shape[1]
    for groups, rows in _blocks(*classes.shape):
        other = classes[groups, rows, None] != classes[groups, None]
        rank = (n - 2 - other.sum(2, keepdim=True)).clamp(max=k - 1)  # from 0; the point itself is left out
        for member in range(t.shape[1]):
            in_t = _distances_torch(t[groups, member], rows)
            nearest = in_t.masked_fill(other, torch.inf).topk(min(k, n - 1), dim=2, largest=False)[0]
            bound = nearest.gather(2, rank)
            for part, new in zip(found, (bound[:, :, 0], (in_t < bound).sum(2)), strict=True):
                part[groups, member, rows] = new
    return found


def _blocks(groups: int, n: int) -> list[tuple[slice, slice]]:
    """Groups and samples whose distances to all are held at once: several groups, or part of one group's samples."""
    many, rows = max(1, CHUNK // n**2), max(1, min(n, CHUNK // n))
    starts = [(group, row) for group in range(0, groups, many) for row in range(0, n, rows)]
    return [(slice(group, min(group + many, groups)), slice(row, min(row + rows, n))) for group, row in starts]


def _nothing(t: Tensor, parts: int) -> tuple[Tensor, ...]:
    shape = t.shape[:3]
    counts = (torch.empty(shape, dtype=torch.int64, device=t.device) for _ in range(parts - 1))
    return torch.empty(shape, dtype=torch.float64, device=t.device), *counts


def _distances_torch(points: Float[Tensor, "group sample unit"], rows: slice) -> Float[Tensor, "group row sample"]:
    """The distances from some points to all, infinite to themselves."""
    found = torch.cdist(points[:, rows], points, p=torch.inf)
    place = torch.arange(rows.stop - rows.start, device=points.device)
    found[:, place, place + rows.start] = torch.inf
    return found
