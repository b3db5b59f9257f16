"""Slow, obvious, independent: bottleneck solutions, β* of encoders, bifurcations. Nothing here imports flowplane."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize, minimize_scalar

# -- information, in nats ----------------------------------------------------------------------------------------------


def kl(p, q) -> float:
    """KL(p ‖ q), infinite where q lacks what p has."""
    return sum(a * math.log(a / b) if b > 0 else math.inf for a, b in zip(p, q, strict=True) if a > 0)


def mutual(joint) -> float:
    """Of a table, entry by entry."""
    rows, columns = np.sum(joint, 1), np.sum(joint, 0)
    table = np.asarray(joint)
    return sum(
        table[i, j] * math.log(table[i, j] / (rows[i] * columns[j]))
        for i in range(table.shape[0])
        for j in range(table.shape[1])
        if table[i, j] > 0
    )


def decoder(encoder, joint):
    """p(t) and p(y|t) of an encoder (x, cluster)."""
    p_x = joint.sum(1)
    p_t = np.array([sum(p_x[x] * encoder[x, t] for x in range(len(p_x))) for t in range(encoder.shape[1])])
    p_ty = np.array([sum(encoder[x, t] * joint[x] for x in range(len(p_x))) for t in range(encoder.shape[1])])
    return p_t, p_ty / np.where(p_t > 0, p_t, 1.0)[:, None]


def point(encoder, joint) -> tuple[float, float]:
    """I(X;T), I(T;Y) in bits."""
    p_t, p_yt = decoder(encoder, joint)
    i_xt = mutual(joint.sum(1)[:, None] * encoder)
    return i_xt / math.log(2), mutual(p_t[:, None] * p_yt) / math.log(2)


# -- encoders against the self-consistent equations ----------------------------------------------------------------------


def divergence(encoder, joint, beta) -> float:
    """E_x KL(p(t|x) ‖ p_β(t|x)) in nats, p_β from the encoder's own p(t) and p(y|t), one x and one t at a time."""
    p_t, p_yt = decoder(encoder, joint)
    p_x = joint.sum(1)
    total = 0.0
    for x in range(len(p_x)):
        p_yx = joint[x] / p_x[x]
        exponents = [-beta * kl(p_yx, p_yt[t]) if p_t[t] > 0 else -math.inf for t in range(len(p_t))]
        highest = max(exponents)
        z = math.log(sum(p_t[t] * math.exp(exponents[t] - highest) for t in range(len(p_t)))) + highest
        for t in range(len(p_t)):
            if encoder[x, t] > 0:
                total += p_x[x] * encoder[x, t] * (math.log(encoder[x, t] / p_t[t]) - exponents[t] + z)
    return total


def best_beta(encoder, joint, low, high) -> tuple[float, float]:
    """β* and its divergence in bits: the best of a fine grid, then the best around it."""
    grid = np.geomspace(low, high, 60)
    values = [divergence(encoder, joint, beta) for beta in grid]
    k = int(np.argmin(values))
    ends = math.log(grid[max(k - 1, 0)]), math.log(grid[min(k + 1, len(grid) - 1)])
    found = minimize_scalar(
        lambda at: divergence(encoder, joint, math.exp(at)), bounds=ends, method="bounded", options={"xatol": 1e-10}
    )
    return math.exp(found.x), found.fun / math.log(2)


def indicator(symbols) -> np.ndarray:
    """The deterministic encoder with these symbols."""
    return np.array([[1.0 if t == symbol else 0.0 for t in range(max(symbols) + 1)] for symbol in symbols])


# -- solutions -----------------------------------------------------------------------------------------------------------


def one_step(encoder, joint, beta):
    """A plain Blahut-Arimoto step, p(t|x) to p(t|x)."""
    p_t, p_yt = decoder(encoder, joint)
    p_x = joint.sum(1)
    found = np.zeros_like(encoder)
    for x in range(len(p_x)):
        for t in range(len(p_t)):
            found[x, t] = p_t[t] * math.exp(-beta * kl(joint[x] / p_x[x], p_yt[t])) if p_t[t] > 0 else 0.0
        found[x] /= found[x].sum()
    return found


def solution(joint, beta, clusters, seed=0, steps=4000):
    """A fixed point from a random start, to rounding or `steps`."""
    encoder = np.random.default_rng(seed).dirichlet(np.ones(clusters), len(joint))
    for _ in range(steps):
        following = one_step(encoder, joint, beta)
        if np.abs(following - encoder).max() < 1e-13:
            break
        encoder = following
    return encoder


def lagrangian(encoder, joint, beta) -> float:
    """I(X;T) − βI(T;Y) in nats."""
    i_xt, i_ty = point(encoder, joint)
    return (i_xt - beta * i_ty) * math.log(2)


def instability(encoder, joint, cluster) -> float:
    """λ_2(M_t), M_t(y, y') = Σ_x p(x|t) p(y|x) p(y'|x)/p(y'|t), from its definition."""
    p_t, p_yt = decoder(encoder, joint)
    p_x = joint.sum(1)
    matrix = np.zeros((joint.shape[1], joint.shape[1]))
    for x in range(len(p_x)):
        p_yx = joint[x] / p_x[x]
        matrix += p_x[x] * encoder[x, cluster] / p_t[cluster] * np.outer(p_yx, p_yx / p_yt[cluster])
    return float(sorted(np.linalg.eigvals(matrix).real)[-2])


def steps_to_rest(joint, beta, start, tolerance, most) -> int:
    """Plain steps until one moves each p(t|x) by less than `tolerance` in total variation; `most` if none does."""
    encoder = start
    for count in range(1, most + 1):
        before, encoder = encoder, one_step(encoder, joint, beta)
        if max(abs(encoder - before).sum(1)) / 2 < tolerance:
            return count
    return most


# -- normal X and Y ------------------------------------------------------------------------------------------------------


def linear_optimum(of_x, of_y, cross, beta, seed=0) -> tuple[float, float]:
    """I(X;T), I(T;Y) in bits at the least I(X;T) − βI(T;Y) over T = AX + ξ, found by descent from several A."""
    d = len(of_x)
    given_y = of_x - cross @ np.linalg.solve(of_y, cross.T)

    def information(flat):
        a = flat.reshape(d, d)
        whole, rest = (np.linalg.slogdet(a @ c @ a.T + np.eye(d))[1] / 2 for c in (of_x, given_y))
        return whole, whole - rest

    def loss(flat):
        i_xt, i_ty = information(flat)
        return i_xt - beta * i_ty

    rng = np.random.default_rng(seed)
    tries = [minimize(loss, rng.normal(size=d * d), method="BFGS", options={"gtol": 1e-9}) for _ in range(6)]
    i_xt, i_ty = information(min(tries, key=lambda found: found.fun).x)
    return i_xt / math.log(2), i_ty / math.log(2)
