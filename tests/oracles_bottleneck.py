"""Slow, obvious, independent information bottlenecks. Nothing here imports flowplane."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq


def plane_of(joint, encoder):
    """I(X;T) and I(T;Y) in bits of p(t|x), one term at a time."""
    n, classes = joint.shape
    p = joint.sum(1)
    p_y = joint.sum(0)
    i_xt = i_ty = 0.0
    for t in range(encoder.shape[1]):
        p_t = sum(p[x] * encoder[x, t] for x in range(n))
        if p_t == 0:
            continue
        for x in range(n):
            if encoder[x, t] > 0:
                i_xt += p[x] * encoder[x, t] * math.log2(encoder[x, t] / p_t)
        for y in range(classes):
            p_ty = sum(joint[x, y] * encoder[x, t] for x in range(n))
            if p_ty > 0:
                i_ty += p_ty * math.log2(p_ty / (p_t * p_y[y]))
    return i_xt, i_ty


def plain_step(joint, encoder, beta):
    """The self-consistent equations once, x by x and t by t."""
    n, classes = joint.shape
    p = joint.sum(1)
    p_t = encoder.T @ p
    p_y_t = (joint.T @ encoder) / p_t
    new = np.zeros_like(encoder)
    for x in range(n):
        for t in range(encoder.shape[1]):
            divergence = 0.0
            for y in range(classes):
                p_yx = joint[x, y] / p[x]
                if p_yx > 0:
                    divergence += p_yx * math.log(p_yx / p_y_t[y, t])
            new[x, t] = p_t[t] * math.exp(-beta * divergence)
        new[x] /= new[x].sum()
    return new


def plain_lagrangian(joint, beta, restarts=40, steps=400, seed=0):
    """The least I(X;T) − β I(T;Y), bits, of plain iterations from many random encoders with as many clusters as x."""
    rng = np.random.default_rng(seed)
    n = len(joint)
    p = joint.sum(1)
    own = joint / p[:, None]
    best = 0.0  # one cluster
    for _ in range(restarts):
        encoder = rng.dirichlet(np.full(n, rng.choice([0.1, 1.0])), n)
        for _ in range(steps):
            p_t = encoder.T @ p
            keep = p_t > 1e-12
            encoder, p_t = encoder[:, keep], p_t[keep]
            words = (joint.T @ encoder) / p_t
            divergence = (own[:, :, None] * np.log(own[:, :, None] / words[None])).sum(1)
            score = np.log(p_t) - beta * divergence
            encoder = np.exp(score - score.max(1, keepdims=True))
            encoder /= encoder.sum(1, keepdims=True)
        i_xt, i_ty = plane_of(joint, encoder)
        best = min(best, i_xt - beta * i_ty)
    return best


def best_of_plain(joint, beta, starts, clusters, steps=300, polish=3000, seed=0):
    """The least I(X;T) − β I(T;Y), bits, of plain iterations: all starts together, then the best three for longer.

    Half of the starts are random encoders, half have their codewords at p(y|x) of random x.
    """
    rng = np.random.default_rng(seed)
    p = joint.sum(1)
    own = joint / p[:, None]
    n, m = len(p), min(clusters, len(p))
    entropy = np.where(own > 0, own * np.log(np.where(own > 0, own, 1.0)), 0.0).sum(1)

    def iterated(encoder, count):
        for _ in range(count):
            p_t = np.einsum("x,sxt->st", p, encoder)
            words = np.einsum("xy,sxt->sty", joint, encoder) / np.maximum(p_t, 1e-300)[..., None]
            score = beta * (np.log(np.maximum(words, 1e-300)) @ own.T).transpose(0, 2, 1) - beta * entropy[:, None]
            score += np.log(np.maximum(p_t, 1e-300))[:, None]
            encoder = np.exp(score - score.max(2, keepdims=True))
            encoder /= encoder.sum(2, keepdims=True)
        return encoder

    def lagrangian(encoder):
        p_t = np.einsum("x,sxt->st", p, encoder)
        together = np.einsum("xy,sxt->sty", joint, encoder)

        def h(q):
            return -np.where(q > 0, q * np.log2(np.where(q > 0, q, 1.0)), 0.0)

        i_xt = h(p_t).sum(1) - np.einsum("x,sxt->s", p, h(encoder))
        return i_xt - beta * (h(p_t).sum(1) + h(joint.sum(0)).sum() - h(together).sum((1, 2)))

    picked = own[np.array([rng.choice(n, m, replace=False) for _ in range(starts - starts // 2)])]
    near = beta * (np.log(0.95 * picked + 0.05 * joint.sum(0)) @ own.T).transpose(0, 2, 1)
    near = np.exp(near - near.max(2, keepdims=True))
    encoder = np.concatenate([rng.dirichlet(np.full(m, 0.3), (starts // 2, n)), near / near.sum(2, keepdims=True)])
    encoder = iterated(encoder, steps)
    encoder = iterated(encoder[lagrangian(encoder).argsort()[:3]], polish)
    return min(0.0, lagrangian(encoder).min())


def binary_entropy(p):
    return 0.0 if p in (0.0, 1.0) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def symmetric_curve(i_xt, flip):
    """I(T;Y) that a uniform bit x, flipped with probability `flip` into y, allows at I(X;T): Mrs Gerber's lemma is tight."""
    if i_xt <= 0:
        return 0.0
    if i_xt >= 1 - 1e-12:
        return 1 - binary_entropy(flip)
    a = brentq(lambda p: binary_entropy(p) - (1 - i_xt), 1e-15, 0.5, xtol=1e-15)
    return 1 - binary_entropy(a * (1 - flip) + (1 - a) * flip)


def symmetric_lagrangian(beta, flip):
    """The least I(X;T) − β I(T;Y) of that bit, over a fine grid of the channel's own flips."""
    a = np.concatenate([np.linspace(1e-12, 0.5, 200_001), np.geomspace(1e-12, 1e-3, 20_001)])

    def h(p):
        return -p * np.log2(p) - (1 - p) * np.log2(1 - p)

    return float(((1 - h(a)) - beta * (1 - h(a * (1 - flip) + (1 - a) * flip))).min())


def certificate(joint, beta, p_t, p_y_t):
    """log2 of the maximum of c(q) for two classes, q over a very fine grid even in log-odds and in q."""
    p = joint.sum(1)
    own = joint / p[:, None]
    odds = 1 / (1 + np.exp(-np.linspace(-40, 40, 40_001)))
    grid = np.concatenate([np.linspace(1e-9, 1 - 1e-9, 40_001), odds])

    def kernel(q):
        total = np.zeros((len(p), len(q)))
        for y, column in ((0, q), (1, 1 - q)):
            here = own[:, y] > 0
            with np.errstate(divide="ignore"):
                total[here] += own[here, y, None] * (np.log(own[here, y, None]) - np.log(column))
        return np.exp(-beta * total)

    z = kernel(p_y_t[:, 0]) @ p_t
    return math.log2(max((p / z) @ kernel(grid)))


def partitions(n):
    """All partitions of 0 … n−1, as tuples of cluster numbers."""
    found = [(0,)]
    for _ in range(n - 1):
        found = [(*part, k) for part in found for k in range(max(part) + 2)]
    return found


def hard_lagrangian(joint, beta):
    """The least H(T) − β I(T;Y), bits, over all partitions of x."""
    best = math.inf
    for part in partitions(len(joint)):
        encoder = np.eye(max(part) + 1)[list(part)]
        i_xt, i_ty = plane_of(joint, encoder)
        best = min(best, i_xt - beta * i_ty)
    return best
