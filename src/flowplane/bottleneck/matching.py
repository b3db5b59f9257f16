"""Loops that find β*: an encoder's p(state, t) against what its own p(t), p(y|t) would give at each β."""

from __future__ import annotations

import numpy as np

from flowplane.core.compiled import kernel

__all__ = ["match_encoders", "match_symbols"]

#: A slope of the mean divergence, in nats, that cannot be distinguished from 0.
FLAT = 1e-14
#: Excess of the exponent over the least one, beyond which a term of Z counts as 0; exp is slow where it underflows.
NOTHING = 700.0
STEPS, PRECISION = 200, 1e-12

Array = np.ndarray


@kernel()
def _codewords(together: Array, conditional: Array) -> tuple[Array, Array, Array]:
    """p(t) of the clusters that occur, p(y|t), and p(state, t), clusters with equal p(y|t) merged."""
    states, clusters = together.shape
    classes = conditional.shape[1]
    weight = np.zeros(clusters)
    codeword = np.zeros((clusters, classes))
    for s in range(states):
        for t in range(clusters):
            mass = together[s, t]
            if mass > 0.0:
                weight[t] += mass
                for y in range(classes):
                    codeword[t, y] += mass * conditional[s, y]
    for t in range(clusters):
        for y in range(classes):
            codeword[t, y] /= max(weight[t], 1e-300)
    number = np.full(clusters, -1)
    distinct = -1
    last = -1
    for t in np.argsort(codeword[:, 0]):
        if weight[t] > 0.0:
            same = last >= 0
            for y in range(classes):
                same = same and codeword[t, y] == codeword[last, y]
            if not same:
                distinct += 1
                last = t
            number[t] = distinct
    joined = np.zeros((states, distinct + 1))
    shared = np.zeros(distinct + 1)
    words = np.zeros((distinct + 1, classes))
    for t in range(clusters):
        if number[t] >= 0:
            shared[number[t]] += weight[t]
            words[number[t]] = codeword[t]
    for s in range(states):
        for t in range(clusters):
            if together[s, t] > 0.0:
                joined[s, number[t]] += together[s, t]
    return shared, words, joined


@kernel()
def _relevant(shared: Array, words: Array) -> float:
    """I(T;Y) in nats."""
    classes = words.shape[1]
    prior = np.zeros(classes)
    for k in range(len(shared)):
        for y in range(classes):
            prior[y] += shared[k] * words[k, y]
    total = 0.0
    for k in range(len(shared)):
        for y in range(classes):
            if words[k, y] > 0.0:
                total += shared[k] * words[k, y] * np.log(words[k, y] / prior[y])
    return max(total, 0.0)


@kernel()
def _excess(words: Array, conditional: Array) -> Array:
    """KL(p(y|x) ‖ p(y|t)) in nats (state, cluster), less the least of each state: that cancels between Z and the rest."""
    states, classes = conditional.shape
    logs = np.empty_like(words)
    for k in range(len(words)):
        for y in range(classes):
            logs[k, y] = np.log(words[k, y]) if words[k, y] > 0.0 else -np.inf
    excess = np.zeros((states, len(words)))
    for s in range(states):
        for k in range(len(words)):
            for y in range(classes):
                if conditional[s, y] > 0.0:
                    excess[s, k] -= conditional[s, y] * logs[k, y]
        excess[s] -= excess[s].min()
    return excess


@kernel()
def _slope(beta: float, mass: Array, shared: Array, excess: Array, mean: float) -> tuple[float, float, float]:
    """First and second derivative in β of the mean divergence, and the divergence itself less its value at β = 0."""
    first, second, value = mean, 0.0, beta * mean
    for s in range(len(mass)):
        z, zd, zdd = 0.0, 0.0, 0.0
        for k in range(len(shared)):
            d = excess[s, k]
            if beta * d < NOTHING:
                term = shared[k] * np.exp(-beta * d)
                z += term
                term *= d
                zd += term
                zdd += term * d
        first -= mass[s] * zd / z
        second += mass[s] * max(zdd / z - (zd / z) ** 2, 0.0)
        value += mass[s] * np.log(z)
    return first, second, value


@kernel()
def _best(mass: Array, shared: Array, excess: Array, mean: float, low: float, high: float) -> tuple[float, float, float]:
    """β* by Newton's method in log β between ends that close in; at which end it lies; the divergence less that at β = 0."""
    first, _, value = _slope(low, mass, shared, excess, mean)
    if first >= -FLAT:
        return low, -1.0, value
    first, _, value = _slope(high, mass, shared, excess, mean)
    if first <= FLAT:
        return high, 1.0, value
    below, above = np.log(low), np.log(high)
    at = (below + above) / 2
    for _ in range(STEPS):
        beta = np.exp(at)
        first, second, value = _slope(beta, mass, shared, excess, mean)
        if first < 0.0:
            below = at
        else:
            above = at
        further = at - first / (beta * second) if second > 0.0 else below
        if not below < further < above:
            further = (below + above) / 2
        if abs(further - at) < PRECISION:
            break
        at = further
    return np.exp(at), 0.0, value


@kernel()
def _kept(together: Array) -> float:
    """I(S;T) in nats of p(state, t): what T keeps of x's p(y|x)."""
    states, clusters = together.shape
    mass, weight = together.sum(1), np.zeros(clusters)
    for s in range(states):
        weight += together[s]
    total = 0.0
    for s in range(states):
        for t in range(clusters):
            if together[s, t] > 0.0:
                total += together[s, t] * np.log(together[s, t] / (mass[s] * weight[t]))
    return max(total, 0.0)


@kernel()
def _matched(together: Array, conditional: Array, i_xt: float, low: float, high: float, found: Array) -> None:
    """β*, edge, residual, I(X;T), I(T;Y) and the residual of p(t|state), in nats, from p(state, t) and I(X;T)."""
    shared, words, joined = _codewords(together, conditional)
    excess = _excess(words, conditional)
    mass = np.zeros(len(joined))
    mean = 0.0
    for s in range(len(joined)):
        for k in range(len(shared)):
            if joined[s, k] > 0.0:
                mass[s] += joined[s, k]
                mean += joined[s, k] * excess[s, k]
    found[0], found[1], value = _best(mass, shared, excess, mean, low, high)
    found[2] = max(i_xt + value, 0.0)
    found[3] = i_xt
    found[4] = _relevant(shared, words)
    found[5] = max(_kept(together) + value, 0.0)


@kernel()
def match_encoders(together: Array, i_xt: Array, conditional: Array, low: float, high: float, found: Array) -> None:
    """`_matched` for each member of p(state, t) (member, state, t) and I(X;T) in nats (member)."""
    for member in range(len(together)):
        _matched(together[member], conditional, i_xt[member], low, high, found[member])


@kernel()
def match_symbols(
    symbols: Array, probability: Array, state: Array, conditional: Array, low: float, high: float, found: Array
) -> None:
    """`_matched` for each member of symbols (member, x), given p(x), the state of each x, and p(y|state)."""
    for member in range(len(symbols)):
        together = np.zeros((len(conditional), symbols[member].max() + 1))
        weight = np.zeros(together.shape[1])
        for x in range(len(probability)):
            together[state[x], symbols[member, x]] += probability[x]
            weight[symbols[member, x]] += probability[x]
        entropy = 0.0
        for mass in weight:
            if mass > 0.0:
                entropy -= mass * np.log(mass)
        _matched(together, conditional, max(entropy, 0.0), low, high, found[member])
