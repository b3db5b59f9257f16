"""Nearest neighbours on a line and in a plane, by sorting, among all samples or among those of the same part.

A sample's part is a number from 0 on, or −1 where it belongs to none: it is then no sample's neighbour, and what is found
for it means nothing. In a plane, strips hold equally many points by the first coordinate, each in the order of the second,
and consecutive points of a strip go together, as what is near to one is near to all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flowplane.core.compiled import kernel
from flowplane.core.near_lanes import LANES, count_nearer, keep_nearest
from flowplane.core.threads import shared

__all__ = ["Lines", "line_distance", "line_nearer", "plane_distance", "sorted_lines", "sorting"]

#: Points by which a range grows: with more, more are looked at in vain; with fewer, more branches are mispredicted.
STEP = 4
WINDOW = 16
#: As many points on one side of a point, or more, are counted by bisection.
WIDE = 1024


class Lines(NamedTuple):
    """Points of several lines in ascending order, and their indices."""

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


def line_distance(
    lines: Lines, parts: Int[np.ndarray, "division group sample"], k: int
) -> Float[np.ndarray, "division line sample"]:
    """The distance to the k-th neighbour of the same part, in a part of m ≤ k samples to the (m − 1)-th.

    Groups have equally many lines each, and these are consecutive; a group's parts hold for all its lines.
    """
    distance = np.zeros((len(parts), *lines.order.shape))
    nanoseconds = 10 * distance.size
    shared(lambda first, last: _on_lines(*lines, parts, k, first, last, distance), len(lines.order), nanoseconds)
    return distance


def line_nearer(
    lines: Lines, bounds: Float[np.ndarray, "division line member sample"], parts: Int[np.ndarray, "division sample"]
) -> Int[np.ndarray, "division line member sample"]:
    """How many others of the same part lie strictly nearer than each bound, for several members' bounds on each line."""
    near = np.zeros(bounds.shape, np.int64)
    nanoseconds = 20 * bounds.size
    shared(lambda first, last: _nearer(*lines, bounds, parts, first, last, near), len(lines.order), nanoseconds)
    return near


def plane_distance(
    x: Lines, t: Lines, parts: Int[np.ndarray, "division sample"], k: int
) -> Float[np.ndarray, "division line sample"]:
    """The distance to the k-th neighbour of the same part in (x, t); 1 ≤ k < samples of a part.

    Lines of x have equally many lines of t each, and these are consecutive.
    """
    distance = np.zeros((len(parts), *t.order.shape))
    nanoseconds = 50 * distance.size
    shared(lambda first, last: _in_plane(*x, *t, parts, k, first, last, distance), len(t.order), nanoseconds)
    return distance


@kernel()
def _ends(parts):
    """Where each part begins, and ends, if samples are dealt to them in turn."""
    ends = np.zeros(parts.max() + 2, np.int64)
    for part in parts:
        if part >= 0:
            ends[part + 1] += 1
    for part in range(len(ends) - 1):
        ends[part + 1] += ends[part]
    return ends


@kernel()
def _deal(ordered, order, parts, ends, dealt, sample):
    """Deals a line's points to their parts, in ascending order."""
    place = ends[:-1].copy()
    for rank in range(len(order)):
        part = parts[order[rank]]
        if part >= 0:
            to = place[part]
            dealt[to], sample[to] = ordered[rank], order[rank]
            place[part] = to + 1


@kernel()
def _row_distances(ordered, k, distance):
    """Each point's distance to its k-th neighbour on a sorted line: the least reach of k + 1 consecutive points with it."""
    distance[:] = np.inf
    for place in range(k + 1):
        for low in range(len(ordered) - k):
            i = low + place
            below, above = ordered[i] - ordered[low], ordered[low + k] - ordered[i]
            reach = below if below > above else above
            distance[i] = distance[i] if distance[i] < reach else reach


@kernel()
def _on_lines(ordered, order, parts, k, first, last, distance):
    """Lines first … last − 1."""
    n = ordered.shape[1]
    dealt, sample, found = np.empty(n), np.empty(n, np.int64), np.empty(n)
    each = len(ordered) // parts.shape[1]
    for line in range(first, last):
        for division in range(len(parts)):
            own = parts[division, line // each]
            ends = _ends(own)
            _deal(ordered[line], order[line], own, ends, dealt, sample)
            for part in range(len(ends) - 1):
                start, stop = ends[part], ends[part + 1]
                _row_distances(dealt[start:stop], min(k, stop - start - 1), found[start:stop])
            for i in range(ends[-1]):
                distance[division, line, sample[i]] = found[i]


@kernel()
def _reach(ordered, i, bound):
    """The first and last + 1 of the points that lie strictly nearer than `bound` to the i-th point of a sorted line.

    By doubling steps, then bisection: rounding keeps the differences in order.
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
def _nearer(ordered, order, bounds, parts, first, last, near):
    """Lines first … last − 1."""
    n = ordered.shape[1]
    dealt, sample, bound, count = np.empty(n), np.empty(n, np.int64), np.empty(n), np.empty(n, np.int64)
    for division in range(len(parts)):
        ends = _ends(parts[division])
        for line in range(first, last):
            _deal(ordered[line], order[line], parts[division], ends, dealt, sample)
            for member in range(bounds.shape[2]):
                for i in range(ends[-1]):
                    bound[i] = bounds[division, line, member, sample[i]]
                for part in range(len(ends) - 1):
                    start, stop = ends[part], ends[part + 1]
                    _row_nearer(dealt[start:stop], bound[start:stop], count[start:stop])
                for i in range(ends[-1]):
                    near[division, line, member, sample[i]] = count[i]


@kernel()
def _row_nearer(ordered, bounds, count):
    """How many other points of a sorted line lie strictly nearer to each point than its bound."""
    n = len(ordered)
    here, bound, found = np.empty(LANES), np.empty(LANES), np.empty(LANES, np.int64)
    for first in range(0, n, LANES):
        last = min(first + LANES, n) - 1
        furthest = 0.0
        for lane in range(LANES):
            i = min(first + lane, last)
            here[lane], bound[lane] = ordered[i], bounds[i]
            furthest = bounds[i] if bounds[i] > furthest else furthest
        low, high = first, last + 1
        while low > 0 and first - low < WIDE and ordered[first] - ordered[low - 1] < furthest:
            low = max(low - WINDOW, 0)
        while high < n and high - last < WIDE and ordered[high] - ordered[last] < furthest:
            high = min(high + WINDOW, n)
        if first - low < WIDE and high - last < WIDE:
            found[:] = 0
            count_nearer(ordered, low, high, here, bound, found)
            for i in range(first, last + 1):
                count[i] = max(found[i - first] - 1, 0)  # without the point itself, unless the bound is 0
        else:
            for i in range(first, last + 1):
                start, stop = _reach(ordered, i, bounds[i])
                count[i] = stop - start - 1


@kernel()
def _furthest(nearest):
    """The greatest of the distances that the lanes hold at the last rank."""
    bound = nearest[-LANES]
    for lane in range(len(nearest) - LANES, len(nearest)):
        bound = nearest[lane] if nearest[lane] > bound else bound
    return bound


@kernel()
def _in_plane(x_ordered, x_order, t_ordered, t_order, parts, k, first, last, distance):
    """Lines first … last − 1 of t."""
    n = t_order.shape[1]
    x, t, x_sample, t_sample = np.empty(n), np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
    rank = np.empty(n, np.int64)
    each = len(t_order) // len(x_order)
    for division in range(len(parts)):
        ends = _ends(parts[division])
        for line in range(first, last):
            _deal(x_ordered[line // each], x_order[line // each], parts[division], ends, x, x_sample)
            _deal(t_ordered[line], t_order[line], parts[division], ends, t, t_sample)
            for part in range(len(ends) - 1):
                start, stop = ends[part], ends[part + 1]
                for i in range(start, stop):
                    rank[x_sample[i]] = i - start
                _plane_distances(x[start:stop], t[start:stop], t_sample[start:stop], rank, k, distance[division, line])


@kernel()
def _plane_distances(x_values, t_values, t_sample, rank, k, distance):
    """The distance from each point of a part to its k-th neighbour; `rank` is a sample's place in the part's order by x."""
    n = len(x_values)
    strips = max(1, round(math.sqrt(n / LANES)))
    ends = np.empty(strips + 1, np.int64)
    for strip in range(strips + 1):
        ends[strip] = (strip * n + strips - 1) // strips
    place = ends[:-1].copy()
    x, t, sample = np.empty(n), np.empty(n), np.empty(n, np.int64)
    for i in range(n):
        strip = rank[t_sample[i]] * strips // n
        to = place[strip]
        x[to], t[to], sample[to] = x_values[rank[t_sample[i]]], t_values[i], t_sample[i]
        place[strip] = to + 1
    here = np.empty(2 * LANES)
    nearest = np.empty((k + 1) * LANES)  # the point itself is the nearest, or as near as the nearest
    cursor = np.empty(strips, np.int64)
    for strip in range(strips):
        start, stop = ends[strip], ends[strip + 1]
        cursor[:] = ends[:-1]
        for first in range(start, stop, LANES):
            last = min(first + LANES, stop) - 1
            for lane in range(LANES):
                i = min(first + lane, last)
                here[lane], here[LANES + lane] = x[i], t[i]
            nearest[:] = np.inf
            least_x, most_x = here[:LANES].min(), here[:LANES].max()
            low, high = max(first - STEP, start), min(last + 1 + STEP, stop)
            keep_nearest(x, t, low, high, here, nearest)
            bound = _furthest(nearest)
            while low > start and t[first] - t[low - 1] < bound:
                high_before, low = low, max(low - STEP, start)
                keep_nearest(x, t, low, high_before, here, nearest)
                bound = _furthest(nearest)
            while high < stop and t[high] - t[last] < bound:
                low_before, high = high, min(high + STEP, stop)
                keep_nearest(x, t, low_before, high, here, nearest)
                bound = _furthest(nearest)
            left, right = strip, strip
            while True:
                below = least_x - x_values[ends[left] - 1] if left > 0 else np.inf
                above = x_values[ends[right + 1]] - most_x if right < strips - 1 else np.inf
                if not min(below, above) < bound:
                    break
                if below < above:
                    left -= 1
                    other = left
                else:
                    right += 1
                    other = right
                middle = cursor[other]
                while middle < ends[other + 1] and t[middle] < t[first]:
                    middle += 1
                cursor[other] = middle
                low, high = middle, middle
                while low > ends[other] and t[first] - t[low - 1] < bound:
                    low = max(low - STEP, ends[other])
                while high < ends[other + 1] and t[high] - t[last] < bound:
                    high = min(high + STEP, ends[other + 1])
                keep_nearest(x, t, low, high, here, nearest)
                bound = _furthest(nearest)
            for i in range(first, last + 1):
                distance[sample[i]] = nearest[k * LANES + i - first]
