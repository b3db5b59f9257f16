"""Entropies of cells by counting in a hash table: the CPU path, one batch member at a time.

Compiled by Numba and cached on disk; a member's result does not depend, to the last bit, on the rest of the batch.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from flowplane.core.compiled import cores, kernel

__all__ = ["cell_statistics", "row_symbols"]


@kernel()
def _mix(symbol, more):
    """One 64-bit symbol for a pair, by hashing: two different pairs among n meet with probability below n²/2⁶⁴."""
    mixed = np.uint64(symbol) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed = (mixed + np.uint64(more)) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(29))


@kernel()
def _cells(layer, edges, low, inverse, equal, exact, symbols):
    """The cell of every sample: its units' bins in mixed radix, or hashed where the radix would overflow.

    Bin k holds edges[k] ≤ x < edges[k + 1]; the outermost edges are infinite. Equal bins are guessed by a multiplication
    and set right by comparing with the two edges, the others found by bisection.
    """
    units, n = layer.shape
    bins = len(edges) - 1
    for s in range(n):
        symbols[s] = np.uint64(0)
    for unit in range(units):
        values = layer[unit]
        for s in range(n):
            x = values[s]
            if equal:
                place = (x - low) * inverse  # clamped before it is an integer: a far value would overflow one
                k = np.int64(min(max(place, 0.0), bins - 1.0))
                k = k + np.int64(x >= edges[k + 1]) - np.int64(x < edges[k])
            else:
                k = np.searchsorted(edges, x, side="right") - 1
            if exact:
                symbols[s] = symbols[s] * np.uint64(bins) + np.uint64(k)
            else:
                symbols[s] = _mix(symbols[s], k)


@kernel()
def _table_size(n):
    """A power of two that leaves at least half of a table of n entries empty."""
    size = 64
    while size < 2 * n:
        size *= 2
    return size


@kernel()
def _slots(symbols, keys, taken, slots):
    """A number from 0 on for each different symbol, written to `slots`; how many there are."""
    mask = len(keys) - 1
    taken[:] = -1
    found = 0
    for s in range(len(symbols)):
        symbol = symbols[s]
        place = np.int64((symbol * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & mask
        while taken[place] >= 0 and keys[place] != symbol:
            place = (place + 1) & mask
        if taken[place] < 0:
            taken[place] = found
            keys[place] = symbol
            found += 1
        slots[s] = taken[place]
    return found


@kernel()
def _rows(bits):
    n, columns = bits.shape
    symbols = np.zeros(n, np.uint64)
    for s in range(n):
        for column in range(columns):
            symbols[s] = _mix(symbols[s], bits[s, column])
    size = _table_size(n)
    slots = np.empty(n, np.int64)
    _slots(symbols, np.empty(size, np.uint64), np.empty(size, np.int64), slots)
    return slots


def row_symbols(rows: Float[np.ndarray, "sample feature"]) -> Int[np.ndarray, " sample"]:
    """Equal rows get equal numbers from 0 on, different rows different ones."""
    doubles = np.ascontiguousarray(rows, np.float64) + 0.0  # −0 and 0 are the same input
    return _rows(doubles.view(np.uint64))


@kernel()
def _entropy(masses, total, table, constant):
    """H in bits of masses that sum to `total`. Whole masses are looked up: H = constant − Σ table[m]/total."""
    summed = 0.0
    if len(table) > 0:
        for mass in masses:
            summed += table[np.int64(mass)]
        return constant - summed / total
    for mass in masses:
        if mass > 0.0 and mass != 1.0:
            summed += mass * np.log2(mass)
    return max(np.log2(total) - summed / total, 0.0)


@kernel()
def _occupied(masses):
    found = 0
    for mass in masses:
        found += mass > 0.0
    return found


@kernel()
def _member(layer, edges, low, inverse, equal, exact, weights, labels, classes, rule, inputs, table, constant, work, result):
    """H(T), H(T, Y), H(T, X) in bits of one batch member; the variance over the samples of log2 1/p(t), of
    log2 p(t,y)/p(t)p(y) and of log2 p(t,x)/p(t)p(x); how many t, (t, y) and (t, x) occur. Empty `labels`, `rule` or
    `inputs` are not counted."""
    symbols, keys, taken, slots, masses, joint, x_masses = work
    n = layer.shape[1]
    _cells(layer, edges, low, inverse, equal, exact, symbols)
    found = _slots(symbols, keys, taken, slots)
    total = 0.0
    masses[:found] = 0.0
    for s in range(n):
        masses[slots[s]] += weights[s]
        total += weights[s]
    result[0] = _entropy(masses[:found], total, table, constant)
    result[6] = _occupied(masses[:found])
    first, second = 0.0, 0.0
    for mass in masses[:found]:
        if mass > 0.0:
            term = np.log2(total / mass)
            first += mass * term
            second += mass * term * term
    result[3] = max(second / total - (first / total) ** 2, 0.0)
    columns = rule.shape[1] if len(rule) > 0 else classes
    if len(rule) > 0 or len(labels) > 0:
        joint[: found * columns] = 0.0
        prior = np.zeros(columns)
        for s in range(n):
            start = slots[s] * columns
            if len(rule) > 0:
                for c in range(columns):
                    joint[start + c] += weights[s] * rule[s, c]
                    prior[c] += weights[s] * rule[s, c]
            else:
                joint[start + labels[s]] += weights[s]
                prior[labels[s]] += weights[s]
        result[1] = _entropy(joint[: found * columns], total, table[: 0 if len(rule) > 0 else len(table)], constant)
        result[7] = _occupied(joint[: found * columns])
        first, second = 0.0, 0.0
        # log2 p(t,y)/p(t)p(y), in the place of the joint masses
        for t in range(found):
            for c in range(columns):
                mass = joint[t * columns + c]
                term = np.log2(mass * total / (masses[t] * prior[c])) if mass > 0.0 else 0.0
                joint[t * columns + c] = term
                first += mass * term
                second += mass * term * term
        if len(rule) > 0:
            second = 0.0
            for s in range(n):
                term = 0.0
                for c in range(columns):
                    term += rule[s, c] * joint[slots[s] * columns + c]
                second += weights[s] * term * term
        result[4] = max(second / total - (first / total) ** 2, 0.0)
    if len(inputs) > 0:
        for s in range(n):
            symbols[s] = np.uint64(slots[s]) * np.uint64(n) + np.uint64(inputs[s])
            x_masses[inputs[s]] = 0.0
        for s in range(n):
            x_masses[inputs[s]] += weights[s]
            joint[s] = masses[slots[s]]  # p(t) of each sample, before the slots are those of (t, x)
        found = _slots(symbols, keys, taken, slots)
        masses[:found] = 0.0
        for s in range(n):
            masses[slots[s]] += weights[s]
        result[2] = _entropy(masses[:found], total, table, constant)
        result[8] = _occupied(masses[:found])
        first, second = 0.0, 0.0
        for s in range(n):
            if weights[s] > 0.0:
                term = np.log2(masses[slots[s]] * total / (joint[s] * x_masses[inputs[s]]))
                first += weights[s] * term
                second += weights[s] * term * term
        result[5] = max(second / total - (first / total) ** 2, 0.0)


@kernel()
def _members(values, edges, low, inverse, equal, exact, weights, labels, classes, rule, inputs, table, constant, results):
    n = values.shape[2]
    size = _table_size(n)
    work = (
        np.empty(n, np.uint64),
        np.empty(size, np.uint64),
        np.empty(size, np.int64),
        np.empty(n, np.int64),
        np.empty(n),
        np.empty(n * max(classes, 1)),
        np.empty(n),
    )
    for member in range(len(values)):
        _member(
            values[member], edges, low, inverse, equal, exact, weights, labels, classes, rule, inputs, table, constant, work,
            results[member],
        )  # fmt: skip


def cell_statistics(
    values: Float[np.ndarray, "batch unit sample"],
    edges: Float[np.ndarray, " edge"],
    weights: Float[np.ndarray, " sample"] | None,
    labels: Int[np.ndarray, " sample"] | None,
    rule: Float[np.ndarray, "sample class"] | None,
    inputs: Int[np.ndarray, " sample"] | None,
    table: Float[np.ndarray, " count"],
    constant: float,
) -> Float[np.ndarray, "batch 9"]:
    """H(T), H(T, Y), H(T, X) in bits of every batch member, their variances and how many cells are occupied, see `_member`;
    NaN where labels and rule, or inputs, are None.

    `edges` run from −∞ to ∞. Labels and inputs are numbers from 0. `table` and `constant` say what an entropy of whole
    counts is (`flowplane.information.entropies`); with weights there are none. Members are shared out over the processors.
    """
    inner = edges[1:-1]
    finite = inner[np.isfinite(inner)]
    equal = len(finite) > 1 and bool(np.allclose(np.diff(finite), finite[1] - finite[0], rtol=1e-3, atol=0.0))
    step = (finite[-1] - finite[0]) / (len(finite) - 1) if equal else 1.0
    # bin 0 ends at the first inner edge
    low = (finite[0] - step) if equal else 0.0
    units, n = values.shape[1:]
    classes = 1 if labels is None else int(labels.max()) + 1
    arguments = (
        edges,
        values.dtype.type(low),
        values.dtype.type(1.0 / step),
        equal,
        (len(edges) - 1) ** units <= 1 << 63,
        np.ones(n) if weights is None else np.ascontiguousarray(weights, np.float64),
        np.empty(0, np.int64) if labels is None else np.ascontiguousarray(labels, np.int64),
        classes if rule is None else rule.shape[1],
        np.empty((0, 1)) if rule is None else np.ascontiguousarray(rule, np.float64),
        np.empty(0, np.int64) if inputs is None else np.ascontiguousarray(inputs, np.int64),
        table if weights is None else np.empty(0),
        constant,
    )
    results = np.full((len(values), 9), np.nan)
    workers = min(cores(), len(values))
    cuts = np.linspace(0, len(values), workers + 1).astype(int)
    parts = [slice(first, last) for first, last in pairwise(cuts)]
    if workers == 1:
        _members(values, *arguments, results)
        return results
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda part: _members(values[part], *arguments, results[part]), parts):
            pass
    return results
