"""Slow, obvious, independent implementations of nearest-neighbour estimates. Nothing here imports flowplane."""

from __future__ import annotations

import math

import numpy as np


def psi(whole) -> float:
    """ψ of a whole number: minus Euler's constant and a harmonic sum."""
    return -0.57721566490153286061 + sum(1.0 / j for j in range(1, int(whole)))


def distances(points) -> np.ndarray:
    """Between all pairs, in the maximum norm."""
    return np.abs(points[:, None, :] - points[None, :, :]).max(2)


def others(row, i) -> np.ndarray:
    """A row of distances without the point's to itself."""
    return np.delete(row, i)


def joint(x, t, k):
    """Of each point: the distance to its k-th neighbour in (x, t), and how many others are strictly nearer in x and in t."""
    in_x, in_t, both = distances(x), distances(t), distances(np.hstack([x, t]))
    found = []
    for i in range(len(x)):
        bound = np.sort(others(both[i], i))[k - 1]
        found.append((bound, (others(in_x[i], i) < bound).sum(), (others(in_t[i], i) < bound).sum()))
    return found


def within_class(t, y, k):
    """Of each point: the distance to its k-th neighbour of the same class, and how many others are strictly nearer."""
    found = []
    for i, row in enumerate(distances(t)):
        same = np.sort([row[j] for j in range(len(t)) if y[j] == y[i] and j != i])
        bound = same[min(k, len(same)) - 1]
        found.append((bound, (others(row, i) < bound).sum()))
    return found


def ksg(x, t, k) -> float:
    """I(X;T) in bits by the first algorithm of Kraskov, Stögbauer and Grassberger."""
    inner = [psi(near_x + 1) + psi(near_t + 1) for _, near_x, near_t in joint(x, t, k)]
    return (psi(k) + psi(len(x)) - np.mean(inner)) / math.log(2)


def ross(t, y, k) -> float:
    """I(T;Y) in bits, Ross (2014); classes of one sample left out."""
    kept = np.array([(y == label).sum() > 1 for label in y])
    t, y = t[kept], y[kept]
    total = 0.0
    for i, (_, near) in enumerate(within_class(t, y, k)):
        size = (y == y[i]).sum()
        total += psi(min(k, size - 1)) - psi(size) - psi(near + 1)
    return (psi(len(t)) + total / len(t)) / math.log(2)


def kozachenko_leonenko(t, k) -> float:
    """h(T) in bits."""
    n, d = t.shape
    bounds = [np.sort(others(row, i))[k - 1] for i, row in enumerate(distances(t))]
    return (psi(n) - psi(k) + d * np.mean(np.log(2 * np.array(bounds)))) / math.log(2)
