"""Nearest neighbours on a line: by sorting, n log n."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flowplane.core.compiled import kernel
from flowplane.core.threads import shared

__all__ = ["Lines", "line_distance", "line_nearer", "sorted_lines", "sorting"]


class Lines(NamedTuple):
    """Points of several lines in ascending order, and which they are."""

    ordered: Float[np.ndarray, "line sample"]
    order: Int[np.ndarray, "line sample"]


def sorting(points: Float[np.ndarray, "line sample"]) -> Int[np.ndarray, "line sample"]:
    """The order that sorts each line."""
    order = np.empty(points.shape, np.int64)

    def sort(first: int, last: int) -> None:
        order[first:last] = np.argsort(points[first:last])

    shared(sort, len(points), 20 * points.size)
    return order


def sorted_lines(points: Float[np.ndarray, "line sample"]) -> Lines:
    """Each line in ascending order."""
    order = sorting(points)
    return Lines(np.take_along_axis(points, order, 1), order)


def line_distance(lines: Lines, classes: Int[np.ndarray, "group sample"], k: int) -> Float[np.ndarray, "line sample"]:
    """The distance to the k-th neighbour of the same class, in a class of n_y ≤ k the (n_y − 1)-th.

    A group's classes, numbered from 0, are those of as many lines in a row as there are lines for each group.
    """
    size = int(classes.max()) + 1
    counts = np.stack([np.bincount(group, minlength=size) for group in classes])
    ends = np.hstack([np.zeros((len(counts), 1), np.int64), counts.cumsum(1)])
    distance = np.empty(lines.order.shape)
    nanoseconds = 20 * distance.size
    shared(lambda first, last: _distances(*lines, classes, ends, k, first, last, distance), len(distance), nanoseconds)
    return distance


def line_nearer(lines: Lines, bounds: Float[np.ndarray, "line member sample"]) -> Int[np.ndarray, "line member sample"]:
    """How many others lie strictly nearer than each bound, for several members' bounds on each line."""
    near = np.empty(bounds.shape, np.int64)
    shared(lambda first, last: _nearer(*lines, bounds, first, last, near), lines.order.size, 100 * bounds.size)
    return near


@kernel()
def _row_distances(ordered, k, distance):
    """The distance from each of a sorted line to its k-th neighbour: the least reach of k + 1 in a row that it is among."""
    n = len(ordered)
    for i in range(n):
        distance[i] = np.inf
        for low in range(max(i - k, 0), min(i, n - 1 - k) + 1):
            below, above = ordered[i] - ordered[low], ordered[low + k] - ordered[i]
            reach = below if below > above else above
            distance[i] = distance[i] if distance[i] < reach else reach


@kernel()
def _distances(ordered, order, classes, ends, k, first, last, distance):
    """Lines first … last − 1, each dealt to its classes in ascending order."""
    n = ordered.shape[1]
    dealt, sample, found = np.empty(n), np.empty(n, np.int64), np.empty(n)
    each = len(ordered) // len(classes)
    for line in range(first, last):
        group = line // each
        place = ends[group, :-1].copy()
        for rank in range(n):
            name = classes[group, order[line, rank]]
            dealt[place[name]], sample[place[name]] = ordered[line, rank], order[line, rank]
            place[name] += 1
        for name in range(len(place)):
            start, stop = ends[group, name], ends[group, name + 1]
            _row_distances(dealt[start:stop], min(k, stop - start - 1), found[start:stop])
        for rank in range(n):
            distance[line, sample[rank]] = found[rank]


@kernel()
def _reach(ordered, i, bound):
    """The first and last + 1 that lie strictly nearer to the i-th of a sorted line than `bound`.

    By doubling steps, then bisection: a rounded difference grows with what it is taken of.
    """
    here = ordered[i]
    step, start, beyond = 8, i, i - 8
    while beyond >= 0 and here - ordered[beyond] < bound:
        step *= 2
        start, beyond = beyond, beyond - step
    low = max(beyond + 1, 0)
    while low < start:
        middle = (low + start) // 2
        if here - ordered[middle] < bound:
            start = middle
        else:
            low = middle + 1
    step, stop, beyond = 8, i + 1, i + 8
    while beyond < len(ordered) and ordered[beyond] - here < bound:
        step *= 2
        stop, beyond = beyond + 1, beyond + step
    high = min(beyond, len(ordered))
    while stop < high:
        middle = (stop + high) // 2
        if ordered[middle] - here < bound:
            stop = middle + 1
        else:
            high = middle
    return start, stop


@kernel()
def _nearer(ordered, order, bounds, first, last, near):
    """Points first … last − 1 of all lines in a row."""
    n = ordered.shape[1]
    for line in range(first // n, (last - 1) // n + 1):
        points = ordered[line]
        for i in range(max(first - line * n, 0), min(last - line * n, n)):
            sample = order[line, i]
            for member in range(bounds.shape[1]):
                start, stop = _reach(points, i, bounds[line, member, sample])
                near[line, member, sample] = stop - start - 1
