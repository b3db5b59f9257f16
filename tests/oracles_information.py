"""Slow, obvious, independent estimates of information. Nothing here imports flowplane."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from scipy.special import psi

EULER = 0.57721566490153286061


def plain_entropy(masses) -> float:
    """Bits."""
    return -sum(p * math.log2(p) for p in masses if p > 0)


def _rule(labels, conditional, n):
    """p(y|x) as a list of rows."""
    if conditional is not None:
        return [list(row) for row in conditional]
    names = sorted(set(labels))
    return [[1.0 if labels[i] == name else 0.0 for name in names] for i in range(n)]


# -- pairwise bounds ---------------------------------------------------------------------------------------------------


def pairwise_information(t, variance, *, bound, labels=None, conditional=None, probability=None, inputs=None):
    """I(X;T+Z), I(T+Z;Y), h(T+Z) in bits by Kolchinsky and Tracey's formula, one pair of samples at a time."""
    n, d = np.shape(t)
    p = [1 / n] * n if probability is None else list(probability)
    width = 2 * variance if bound == "upper" else 8 * variance

    def similar(i, j):
        return math.exp(-sum((a - b) ** 2 for a, b in zip(t[i], t[j], strict=True)) / width)

    def spread(masses):
        """The bound on h(T+Z) − h(Z) of a mixture with these masses."""
        total = 0.0
        for i in range(n):
            if masses[i] > 0:
                total -= masses[i] * math.log2(sum(masses[j] * similar(i, j) for j in range(n)))
        return total

    whole = spread(p)
    x = list(range(n)) if inputs is None else [tuple(row) for row in inputs]
    i_xt = whole
    for name in set(x):
        mass = sum(p[i] for i in range(n) if x[i] == name)
        if mass > 0:
            i_xt -= mass * spread([p[i] / mass if x[i] == name else 0.0 for i in range(n)])
    i_ty = math.nan
    if labels is not None or conditional is not None:
        rule = _rule(labels, conditional, n)
        i_ty = whole
        for y in range(len(rule[0])):
            mass = sum(p[i] * rule[i][y] for i in range(n))
            if mass > 0:
                i_ty -= mass * spread([p[i] * rule[i][y] / mass for i in range(n)])
    return i_xt, i_ty, whole + 0.5 * d * math.log2(2 * math.pi * math.e * variance)


# -- matrix-based Rényi ------------------------------------------------------------------------------------------------


def kernel_matrix(points, bandwidth, probability=None):
    """exp(−|a − b|²/2h²s²), s² half the mean squared distance of two samples, with replacement."""
    n = len(points)
    p = [1 / n] * n if probability is None else probability
    squares = [[float(np.sum((np.asarray(a) - np.asarray(b)) ** 2)) for b in points] for a in points]
    spread = sum(p[i] * p[j] * squares[i][j] for i in range(n) for j in range(n)) / 2
    if spread == 0:
        return np.ones((n, n))
    return np.array([[math.exp(-square / (2 * bandwidth**2 * spread)) for square in row] for row in squares])


def label_matrix(labels=None, conditional=None):
    """1 where labels are equal; the chance that they are, where they follow a rule."""
    rule = _rule(labels, conditional, len(labels) if conditional is None else len(conditional))
    same = np.array([[sum(a * b for a, b in zip(one, other, strict=True)) for other in rule] for one in rule])
    np.fill_diagonal(same, 1.0)
    return same


def renyi_entropy(kernel, alpha, probability=None) -> float:
    """S_α of the kernel matrix, normalised to trace 1, by all its eigenvalues."""
    n = len(kernel)
    p = np.full(n, 1 / n) if probability is None else np.asarray(probability)
    matrix = np.array([[kernel[i, j] * math.sqrt(p[i] * p[j]) for j in range(n)] for i in range(n)])
    spectrum = [max(float(value), 0.0) for value in np.linalg.eigvalsh(matrix / np.trace(matrix))]
    if alpha == 1:
        return plain_entropy(spectrum)
    return math.log2(sum(value**alpha for value in spectrum if value > 1e-18)) / (1 - alpha)


def renyi_information(t, alpha, bandwidth, *, labels=None, conditional=None, probability=None, inputs=None):
    """I_α(X;T), I_α(T;Y), S_α(T) in bits."""

    def entropy(matrix):
        return renyi_entropy(matrix, alpha, probability)

    of_t = kernel_matrix(t, bandwidth, probability)
    i_xt = i_ty = math.nan
    if inputs is not None:
        of_x = kernel_matrix(inputs, bandwidth, probability)
        i_xt = entropy(of_x) + entropy(of_t) - entropy(of_x * of_t)
    if labels is not None or conditional is not None:
        of_y = label_matrix(labels, conditional)
        i_ty = entropy(of_y) + entropy(of_t) - entropy(of_y * of_t)
    return i_xt, i_ty, entropy(of_t)


# -- normals -----------------------------------------------------------------------------------------------------------


def determinants_information(x, t) -> float:
    """½ log2 |S_x| |S_t| / |S_xt| of the sample covariances, and nothing done about its bias."""
    both = np.cov(np.hstack([x, t]).T, bias=True)
    d = x.shape[1]
    pieces = [np.linalg.slogdet(np.atleast_2d(part))[1] for part in (both[:d, :d], both[d:, d:], both)]
    return 0.5 * (pieces[0] + pieces[1] - pieces[2]) / math.log(2)


def wishart_bias(n, d) -> float:
    """E ln |S| − ln |Σ| for the covariance of n normal samples, divided by n: Anderson, theorem 7.5.3, χ² by χ²."""
    return sum(psi((n - 1 - k) / 2) + math.log(2 / n) for k in range(d))


def log_normal_density(point, sample) -> float:
    """Of a normal with the sample's mean and covariance (divided by n)."""
    mean = sample.mean(0)
    covariance = np.atleast_2d(np.cov(sample.T, bias=True))
    apart = point - mean
    d = len(mean)
    distance = apart @ np.linalg.solve(covariance, apart)
    return -0.5 * (distance + np.linalg.slogdet(covariance)[1] + d * math.log(2 * math.pi))


def quadratic_discriminant(t, labels, leave_out) -> float:
    """H(Y) + the mean of log2 q(y|t), each sample's own class fitted anew without it if `leave_out`."""
    names = sorted(set(labels))
    n = len(t)
    share = {name: np.mean(labels == name) for name in names}
    total = plain_entropy(share.values())
    for i in range(n):
        joint = {}
        for name in names:
            inside = labels == name
            if leave_out:
                inside = inside & (np.arange(n) != i)
            joint[name] = math.log(share[name]) + log_normal_density(t[i], t[inside])
        top = max(joint.values())
        evidence = top + math.log(sum(math.exp(value - top) for value in joint.values()))
        total += (joint[labels[i]] - evidence) / math.log(2) / n
    return total


def mixture_of_classes(means, deviations, shares) -> float:
    """I(T;Y) of a mixture of normals on a line, by a fine sum."""
    low = min(m - 12 * s for m, s in zip(means, deviations, strict=True))
    high = max(m + 12 * s for m, s in zip(means, deviations, strict=True))
    grid = np.linspace(low, high, 200_001)
    step = grid[1] - grid[0]
    parts = [_bell(grid, m, s) for m, s in zip(means, deviations, strict=True)]
    whole = sum(p * part for p, part in zip(shares, parts, strict=True))
    return _summed_entropy(whole, step) - sum(p * _summed_entropy(part, step) for p, part in zip(shares, parts, strict=True))


def _bell(grid, mean, deviation):
    return np.exp(-((grid - mean) ** 2) / (2 * deviation**2)) / (deviation * math.sqrt(2 * math.pi))


def _summed_entropy(density, step) -> float:
    some = density[density > 1e-300]
    return float(-(some * np.log2(some)).sum() * step)


# -- through noise, on a line ------------------------------------------------------------------------------------------


def noisy_information(places, variance, labels=None, conditional=None, probability=None):
    """I(X;T+Z), I(T+Z;Y), h(T+Z) in bits for T = places[x] on a line, by a fine sum over t + z."""
    n = len(places)
    p = [1 / n] * n if probability is None else list(probability)
    s = math.sqrt(variance)
    points = max(20_001, int(40 * (max(places) - min(places) + 24 * s) / s))
    grid = np.linspace(min(places) - 12 * s, max(places) + 12 * s, points)
    step = grid[1] - grid[0]
    density = sum(p[i] * _bell(grid, places[i], s) for i in range(n))
    h = _summed_entropy(density, step)
    i_ty = math.nan
    if labels is not None or conditional is not None:
        rule = _rule(labels, conditional, n)
        i_ty = h
        for y in range(len(rule[0])):
            mass = sum(p[i] * rule[i][y] for i in range(n))
            if mass > 0:
                of_y = sum(p[i] * rule[i][y] * _bell(grid, places[i], s) for i in range(n)) / mass
                i_ty -= mass * _summed_entropy(of_y, step)
    return h - 0.5 * math.log2(2 * math.pi * math.e * variance), i_ty, h


# -- entropies of counts -----------------------------------------------------------------------------------------------


def plug_in(counts) -> float:
    n = sum(counts)
    return plain_entropy([m / n for m in counts])


def miller_madow(counts) -> float:
    cells = sum(m > 0 for m in counts)
    return plug_in(counts) + (cells - 1) / (2 * sum(counts)) / math.log(2)


def jackknife(counts) -> float:
    """Every sample left out in turn, the entropy of the others counted anew."""
    samples = [cell for cell, m in enumerate(counts) for _ in range(m)]
    n = len(samples)
    without = [plug_in(list(Counter(samples[:i] + samples[i + 1 :]).values())) for i in range(n)]
    return n * plug_in(counts) - (n - 1) * sum(without) / n


def grassberger_g(m) -> float:
    """G(1) = −γ − ln 2, G(2) = 2 − γ − ln 2, G(2k + 1) = G(2k), G(2k + 2) = G(2k) + 2/(2k + 1)."""
    if m == 1:
        return -EULER - math.log(2)
    if m == 2:
        return 2 - EULER - math.log(2)
    if m % 2:
        return grassberger_g(m - 1)
    return grassberger_g(m - 2) + 2 / (m - 1)


def grassberger(counts) -> float:
    n = sum(counts)
    return (math.log(n) - sum(m * grassberger_g(m) for m in counts if m > 0) / n) / math.log(2)


CORRECTED = {None: plug_in, "miller-madow": miller_madow, "jackknife": jackknife, "grassberger": grassberger}


def corrected_information(a, b, correction) -> float:
    """H(A) + H(B) − H(A,B), each corrected, of two sequences of symbols."""
    entropy = CORRECTED[correction]
    return (
        entropy(list(Counter(a).values()))
        + entropy(list(Counter(b).values()))
        - entropy(list(Counter(zip(a, b, strict=True)).values()))
    )
