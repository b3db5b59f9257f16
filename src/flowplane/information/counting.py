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
    """A number from 0 on for each distinct symbol, written to `slots`; returns how many there are."""
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


def row_symbols(rows: Float[np.ndarray, "sample feature"] | Int[np.ndarray, "sample feature"]) -> Int[np.ndarray, " sample"]:
    """Equal rows get equal numbers from 0 on, different rows different ones."""
    if rows.dtype.kind == "f":
        rows = np.asarray(rows, np.float64) + 0.0  # −0 and 0 are the same input
    return _rows(np.ascontiguousarray(rows).view(np.uint64))


@kernel()
def _entropies(masses, total, tables, constants, found):
    """H in bits of masses that sum to `total`, one for each table: whole masses are looked up, H = constant − Σ
    table[m]/total. Without tables one, by its definition."""
    if len(tables) > 0:
        for k in range(len(tables)):
            table, summed = tables[k], 0.0
            for mass in masses:
                summed += table[np.int64(mass)]
            found[k] = constants[k] - summed / total
        return
    summed = 0.0
    for mass in masses:
        if mass > 0.0 and mass != 1.0:
            summed += mass * np.log2(mass)
    found[:] = max(np.log2(total) - summed / total, 0.0)


@kernel()
def _alone(masses):
    found = 0
    for mass in masses:
        found += mass == 1.0
    return found


@kernel()
def _member(
    layer,
    edges,
    low,
    inverse,
    equal,
    exact,
    weights,
    labels,
    classes,
    rule,
    inputs,
    tables,
    constants,
    work,
    entropies,
    rest,
):
    """H(T), H(T, Y), H(T, X) in bits of one batch member, by each table; then the variance over the samples of log2 1/p(t),
    of log2 p(t,y)/p(t)p(y) and of log2 p(t,x)/p(t)p(x), and how many t occur once, if samples are counted. Empty `labels`,
    `rule` or `inputs` are left out."""
    symbols, keys, taken, slots, masses, joint, x_masses = work
    n = layer.shape[1]
    _cells(layer, edges, low, inverse, equal, exact, symbols)
    found = _slots(symbols, keys, taken, slots)
    total = 0.0
    masses[:found] = 0.0
    for s in range(n):
        masses[slots[s]] += weights[s]
        total += weights[s]
    _entropies(masses[:found], total, tables, constants, entropies[0])
    rest[3] = _alone(masses[:found]) if len(tables) > 0 else np.nan
    first, second = 0.0, 0.0
    for mass in masses[:found]:
        if mass > 0.0:
            term = np.log2(total / mass)
            first += mass * term
            second += mass * term * term
    rest[0] = max(second / total - (first / total) ** 2, 0.0)
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
        counted = 0 if len(rule) > 0 else len(tables)
        _entropies(joint[: found * columns], total, tables[:counted], constants, entropies[1])
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
        rest[1] = max(second / total - (first / total) ** 2, 0.0)
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
        _entropies(masses[:found], total, tables, constants, entropies[2])
        first, second = 0.0, 0.0
        for s in range(n):
            if weights[s] > 0.0:
                term = np.log2(masses[slots[s]] * total / (joint[s] * x_masses[inputs[s]]))
                first += weights[s] * term
                second += weights[s] * term * term
        rest[2] = max(second / total - (first / total) ** 2, 0.0)


@kernel()
def _members(
    values, edges, low, inverse, equal, exact, weights, labels, classes, rule, inputs, tables, constants, entropies, rest
):
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
            values[member],
            edges,
            low,
            inverse,
            equal,
            exact,
            weights,
            labels,
            classes,
            rule,
            inputs,
            tables,
            constants,
            work,
            entropies[member],
            rest[member],
        )


def cell_statistics(
    values: Float[np.ndarray, "batch unit sample"],
    edges: Float[np.ndarray, " edge"],
    weights: Float[np.ndarray, " sample"] | None,
    labels: Int[np.ndarray, " sample"] | None,
    rule: Float[np.ndarray, "sample class"] | None,
    inputs: Int[np.ndarray, " sample"] | None,
    tables: Float[np.ndarray, "table count"],
    constants: Float[np.ndarray, " table"],
) -> tuple[Float[np.ndarray, "batch 3 table"], Float[np.ndarray, "batch 4"]]:
    """H(T), H(T, Y), H(T, X) in bits of every batch member, their variances, how many t stand alone, see `_member`; NaN
    where labels and rule, or inputs, are None.

    `edges` run from −∞ to ∞. Labels and inputs are numbers from 0. `tables` and `constants` say what entropies of whole
    counts are (`flowplane.information.entropies`); with weights they are not used. Members are shared out over the
    processors.
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
        tables if weights is None else tables[:0],
        constants,
    )
    entropies = np.full((len(values), 3, len(tables)), np.nan)
    rest = np.full((len(values), 4), np.nan)
    workers = min(cores(), len(values))
    cuts = np.linspace(0, len(values), workers + 1).astype(int)
    parts = [slice(first, last) for first, last in pairwise(cuts)]
    if workers == 1:
        _members(values, *arguments, entropies, rest)
        return entropies, rest
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda part: _members(values[part], *arguments, entropies[part], rest[part]), parts):
            pass
    return entropies, rest
