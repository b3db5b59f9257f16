"""What points spend on a polygon, the slow and obvious way (docs/papers.md §E2). Nothing here imports flowplane."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def spent(path, durations):
    """The energy and its four terms, by walking along each polygon in small steps of time, within `1e-3` of the energy.

    path (vertex, row, feature); durations of the steps, which add up to 1.
    """
    path, times = np.asarray(path, float), np.concatenate([[0.0], np.cumsum(durations)])
    rows = path.shape[1]
    fine = np.unique(np.concatenate([np.linspace(0, 1, 2001), times]))
    energy, length, pace = (np.zeros(rows) for _ in range(3))
    for i in range(rows):
        places = np.stack([np.interp(fine, times, path[:, i, k]) for k in range(path.shape[2])], 1)
        moves, widths = np.diff(places, axis=0), np.diff(fine)
        speeds = np.sqrt((moves**2).sum(1)) / widths
        energy[i] = (speeds**2 * widths).sum()
        length[i] = (speeds * widths).sum()
        pace[i] = ((speeds - length[i]) ** 2 * widths).sum()
    chord = ((path[-1] - path[0]) ** 2).sum(1)
    transport = distance(path[0], path[-1])
    return {
        "energy": energy.mean(),
        "transport": transport,
        "coupling": chord.mean() - transport,
        "bending": (length**2).mean() - chord.mean(),
        "pace": pace.mean(),
    }


def distance(x, y):
    """W_2² between as many points, by the best assignment."""
    costs = ((x[:, None] - y[None]) ** 2).sum(2)
    return costs[linear_sum_assignment(costs)].mean()


def ring(points, rounds):
    """Points on a circle, and the same turned by `rounds` of the circle: the cloud is the same where that is a place of
    another point."""
    angles = 2 * np.pi * (np.arange(points) / points + rounds)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def grouped_error(values, groups):
    """The standard error of a mean over rows that come in groups: the groups' sums vary, not the rows."""
    parts = [values[groups == group] - values.mean() for group in np.unique(groups)]
    return np.sqrt(sum(part.sum() ** 2 for part in parts)) / len(values)
