"""Closed forms of flow matching between Gaussians. Nothing here imports flowplane."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.linalg import sqrtm


def gaussian_velocity(x, s, mean, covariance):
    """E[x_1 − x_0 | x_s = x] for x_0 ~ N(0, I) and x_1 ~ N(mean, covariance), independent: the regression of one Gaussian on
    another."""
    d = len(mean)
    joint = np.block([[np.eye(d), np.zeros((d, d))], [np.zeros((d, d)), covariance]])
    move, place = np.hstack([-np.eye(d), np.eye(d)]), np.hstack([(1 - s) * np.eye(d), s * np.eye(d)])
    gain = move @ joint @ place.T @ np.linalg.inv(place @ joint @ place.T)
    return mean + (x - s * mean) @ gain.T


def gaussian_energy(mean, covariance, steps=2000):
    """E∫|u|² ds of that velocity, by the midpoint rule."""
    total = 0.0
    for s in (np.arange(steps) + 0.5) / steps:
        spread = (1 - s) ** 2 * np.eye(len(mean)) + s**2 * covariance
        gain = (s * covariance - (1 - s) * np.eye(len(mean))) @ np.linalg.inv(spread)
        total += float(mean @ mean + np.trace(gain @ spread @ gain.T)) / steps
    return total


def gaussian_distance(mean, covariance):
    """W_2² from N(0, I), and the matrix of the best map x ↦ mean + Ax."""
    root = np.real(sqrtm(covariance))
    return float(mean @ mean + np.trace(np.eye(len(mean)) + covariance - 2 * root)), root


def best_assignment(x, y):
    """Σ|x_i − y_π(i)|² of the best permutation, by trying all."""
    return min(
        sum(((a - y[j]) ** 2).sum() for a, j in zip(x, order, strict=True))
        for order in itertools.permutations(range(len(x)))
    )
