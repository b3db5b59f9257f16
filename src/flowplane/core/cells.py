"""Nearest neighbours in few dimensions: points sorted into cells by their first and last coordinates.

Rows of cells hold equally many points by the first coordinate, columns by the last, so that cells suit any density; a row's
cells lie side by side. Rows and columns farther away than the neighbours found so far are never looked at.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flowplane.core.compiled import kernel
from flowplane.core.lines import sorting
from flowplane.core.threads import shared

__all__ = ["cell_distance", "cell_nearer"]

#: Points in a cell, on average.
POINTS = 3
#: More than rounding can take from a bound that the triangle inequality gives.
SLACK = 1 + 1e-15


class _Cells(NamedTuple):
    """Points of several groups in the order of their cells; `starts` says where each cell's begin."""

    points: Float[np.ndarray, "group sample feature"]
    order: Int[np.ndarray, "group sample"]
    cell: Int[np.ndarray, "group sample"]
    starts: Int[np.ndarray, "group cells+1"]
    row_ends: Float[np.ndarray, "group 2 side"]
    column_ends: Float[np.ndarray, "group 2 side"]


def cell_distance(points: Float[np.ndarray, "member sample feature"], k: int) -> Float[np.ndarray, "member sample"]:
    """The distance from every point to its k-th neighbour; 1 ≤ k < samples, two features or more."""
    cells, distance = _in_cells(points), np.empty(points.shape[:2])
    nanoseconds = 50 * 2 ** points.shape[2] * distance.size
    shared(lambda first, last: _kth(cells, k, first, last, distance), distance.size, nanoseconds)
    return distance


def cell_nearer(
    points: Float[np.ndarray, "group sample feature"], bounds: Float[np.ndarray, "group member sample"]
) -> Int[np.ndarray, "group member sample"]:
    """How many other points are strictly nearer than each bound, for several members' bounds on the same points."""
    cells, near = _in_cells(points), np.empty(bounds.shape, np.int64)
    nanoseconds = 50 * 2 ** points.shape[2] * bounds.size
    shared(lambda first, last: _nearer(cells, bounds, first, last, near), cells.order.size, nanoseconds)
    return near


def _in_cells(points: np.ndarray) -> _Cells:
    groups, n, _ = points.shape
    side = max(1, math.isqrt(n // POINTS))
    rows, columns = sorting(points[:, :, 0]), sorting(points[:, :, -1])
    cells = _Cells(
        np.empty(points.shape),
        np.empty((groups, n), np.int64),
        np.empty((groups, n), np.int64),
        np.zeros((groups, side**2 + 1), np.int64),
        np.empty((groups, 2, side)),
        np.empty((groups, 2, side)),
    )
    shared(lambda first, last: _fill(points, rows, columns, cells, first, last), groups, 20 * groups * n)
    return cells


@kernel()
def _fill(points, rows, columns, cells, first, last):
    """Sorts groups first … last − 1 into cells by their orders in the first and in the last coordinate."""
    n, features = points.shape[1:]
    side = cells.row_ends.shape[2]
    home = np.empty(n, np.int64)
    for group in range(first, last):
        row_ends, column_ends, starts = cells.row_ends[group], cells.column_ends[group], cells.starts[group]
        for part in range(side):
            start, stop = (part * n + side - 1) // side, ((part + 1) * n + side - 1) // side
            for rank in range(start, stop):
                home[rows[group, rank]] = part * side
            row_ends[0, part] = points[group, rows[group, start], 0]
            row_ends[1, part] = points[group, rows[group, stop - 1], 0]
            column_ends[0, part] = points[group, columns[group, start], features - 1]
            column_ends[1, part] = points[group, columns[group, stop - 1], features - 1]
        for rank in range(n):
            home[columns[group, rank]] += rank * side // n
        for i in range(n):
            starts[home[i] + 1] += 1
        for cell in range(side**2):
            starts[cell + 1] += starts[cell]
        place = starts[:-1].copy()
        for rank in range(n):
            i = columns[group, rank]
            to = place[home[i]]
            place[home[i]] += 1
            cells.order[group, to], cells.cell[group, to] = i, home[i]
            for f in range(features):
                cells.points[group, to, f] = points[group, i, f]


@kernel()
def _apart(points, i, j):
    """The distance between two points."""
    found = 0.0
    for f in range(points.shape[1]):
        step = abs(points[i, f] - points[j, f])
        found = step if step > found else found
    return found


@kernel()
def _columns(ends, column, value, bound):
    """The first and last column that hold points nearer than the bound in the last coordinate, going outwards."""
    left, right = column, column
    while left > 0 and value - ends[1, left - 1] < bound:
        left -= 1
    while right < ends.shape[1] - 1 and ends[0, right + 1] - value < bound:
        right += 1
    return left, right


@kernel()
def _kth(cells, k, first, last, distance):
    """Points first … last − 1 of all groups concatenated: their own row of cells first, then the nearest row above or below.

    What is found for one point bounds what the next, its neighbour in the same cell or one beside it, will find.
    """
    n, features = cells.points.shape[1:]
    side = cells.row_ends.shape[2]
    nearest, closer = np.empty(k), np.empty(n)
    for group in range(first // n, (last - 1) // n + 1):
        points, cell, starts = cells.points[group], cells.cell[group], cells.starts[group]
        row_ends, column_ends = cells.row_ends[group], cells.column_ends[group]
        begin = max(first - group * n, 0)
        bound = np.inf
        for i in range(begin, min(last - group * n, n)):
            if i > begin:
                bound = (bound + _apart(points, i, i - 1)) * SLACK
            nearest[:] = bound
            here, value = points[i, 0], points[i, features - 1]
            row = cell[i] // side
            column = cell[i] - row * side
            left, right = _columns(column_ends, column, value, bound)
            low, high = row, row
            while True:
                count = 0
                for j in range(starts[row * side + left], starts[row * side + right + 1]):
                    found = abs(points[j, 0] - here)
                    for f in range(1, features):
                        step = abs(points[j, f] - points[i, f])
                        found = step if step > found else found
                    closer[count] = found
                    count += (found < bound) & (j != i)
                for j in range(count):
                    if closer[j] < bound:
                        place = k - 1
                        while place > 0 and nearest[place - 1] > closer[j]:
                            nearest[place] = nearest[place - 1]
                            place -= 1
                        nearest[place] = closer[j]
                        bound = nearest[k - 1]
                below = here - row_ends[1, low - 1] if low > 0 else np.inf
                above = row_ends[0, high + 1] - here if high < side - 1 else np.inf
                if not min(below, above) < bound:
                    break
                if below < above:
                    low -= 1
                    row = low
                else:
                    high += 1
                    row = high
                while left < column and not value - column_ends[1, left] < bound:
                    left += 1
                while right > column and not column_ends[0, right] - value < bound:
                    right -= 1
            distance[group, cells.order[group, i]] = bound


@kernel()
def _nearer(cells, bounds, first, last, near):
    """Points first … last − 1 of all groups concatenated."""
    n, features = cells.points.shape[1:]
    side = cells.row_ends.shape[2]
    for group in range(first // n, (last - 1) // n + 1):
        points, starts = cells.points[group], cells.starts[group]
        row_ends, column_ends = cells.row_ends[group], cells.column_ends[group]
        for i in range(max(first - group * n, 0), min(last - group * n, n)):
            own = cells.cell[group, i] // side
            for member in range(bounds.shape[1]):
                bound = bounds[group, member, cells.order[group, i]]
                left, right = _columns(column_ends, cells.cell[group, i] - own * side, points[i, features - 1], bound)
                low, high = _columns(row_ends, own, points[i, 0], bound)
                count = 0
                for row in range(low, high + 1):
                    for j in range(starts[row * side + left], starts[row * side + right + 1]):
                        count += _apart(points, i, j) < bound
                near[group, member, cells.order[group, i]] = max(count - 1, 0)  # the point itself, unless the bound is 0
