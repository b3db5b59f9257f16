"""Gaussian paths in closed form, the slow and obvious way. Nothing here imports flowplane."""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad


def linear(tau):
    """α, σ, dα/dτ, dσ/dτ."""
    return tau, 1 - tau, 1.0, -1.0


def vp(tau):
    turn = np.pi / 2
    return np.cos(turn * tau), np.sin(turn * tau), -turn * np.sin(turn * tau), turn * np.cos(turn * tau)


def ve(tau):
    return 1.0, tau, 0.0, 1.0


def axes(covariance):
    return np.linalg.eigh(np.asarray(covariance, float))


def moved(x, mean, covariance, first, last):
    """The probability flow of data N(mean, covariance) from (α, σ) `first` to `last`: √(α²λ + σ²) scales each axis."""
    values, vectors = axes(covariance)
    (a0, s0), (a1, s1) = first[:2], last[:2]
    factors = np.sqrt((a1**2 * values + s1**2) / (a0**2 * values + s0**2))
    return a1 * np.asarray(mean) + ((x - a0 * np.asarray(mean)) @ vectors * factors) @ vectors.T


def predicted(kind, x, mean, covariance, point):
    """What the best network says at x, where x_data is N(mean, covariance) and x = α x_data + σ ε."""
    alpha, sigma, alpha_rate, sigma_rate = point
    mean, covariance = np.asarray(mean), np.asarray(covariance)
    total = alpha**2 * covariance + sigma**2 * np.eye(len(mean))
    score = -np.linalg.solve(total, (x - alpha * mean).T).T
    denoised = mean + alpha * -score @ covariance
    noise = -sigma * score
    return {
        "score": score,
        "denoised": denoised,
        "noise": noise,
        "v": alpha * noise - sigma * denoised,
        "velocity": alpha_rate * denoised + sigma_rate * noise,
    }[kind]


def spent(path, tau, mean, covariance):
    """E∫|u|² ds and W_2² of the same flow between two τ, s going evenly with τ; the map is optimal, so that E|Δ|² = W_2²."""
    values, _ = axes(covariance)
    size = float(np.square(mean).sum())

    def rate(now):
        alpha, sigma, alpha_rate, sigma_rate = path(now)
        speeds = (alpha * alpha_rate * values + sigma * sigma_rate) / np.sqrt(alpha**2 * values + sigma**2)
        return alpha_rate**2 * size + float(np.square(speeds).sum())

    first, last = tau
    energy = (last - first) * quad(rate, first, last, epsabs=1e-12, epsrel=1e-12, limit=500)[0]
    (a0, s0), (a1, s1) = path(first)[:2], path(last)[:2]
    scales = [np.sqrt(a**2 * values + s**2) for a, s in ((a0, s0), (a1, s1))]
    return energy, (a1 - a0) ** 2 * size + float(np.square(scales[1] - scales[0]).sum())


def mixture_denoised(x, weights, means, variances, alpha, sigma):
    """E[x_data | x] for data Σ w N(μ_k, v_k I), point by point."""
    found = np.empty_like(x)
    for row, point in enumerate(x):
        logs, centres = [], []
        for w, m, v in zip(weights, np.asarray(means, float), variances, strict=True):
            total = alpha**2 * v + sigma**2
            apart = point - alpha * m
            logs.append(np.log(w) - 0.5 * apart @ apart / total - 0.5 * len(m) * np.log(total))
            centres.append(m + alpha * v / total * apart)
        shares = np.exp(np.array(logs) - np.max(logs))
        found[row] = shares @ np.array(centres) / shares.sum()
    return found
