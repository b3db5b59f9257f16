"""Binned's corrections for the bias of the plug-in: by definition, less biased, with intervals that cover."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_information import CORRECTED, corrected_information, grassberger_g, plain_entropy, plug_in
from scipy.integrate import quad
from slower import first_ones

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.entropies import CORRECTIONS, entropy_table

TOLERANCE = 1e-9
KINDS = (None, *CORRECTIONS)


def flags(result):
    return set(Flags.names(result.flags))


def of_cells(cells):
    """A layer of one unit whose bins are these symbols."""
    return np.asarray(cells, dtype=float)[:, None] + 0.5


def binned(count, correction):
    return fp.Binned(count, range=(0, count), correction=correction)


# -- by definition -----------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(lambda counts: sum(counts) > 1))
@pytest.mark.parametrize("correction", KINDS)
def test_tables_against_the_oracle(correction, counts):
    n = sum(counts)
    table, constant = entropy_table(n, correction)
    assert constant - table[counts].sum() / n == pytest.approx(CORRECTED[correction](counts), abs=TOLERANCE)


def test_grassberger_by_its_integral():
    """G(m) = ψ(m) + (−1)^m ∫₀¹ x^(m−1)/(x + 1) dx (Grassberger 2003, eq. 29)."""
    table, constant = entropy_table(40, "grassberger")
    for m in range(1, 41):
        harmonic = -0.57721566490153286061 + sum(1 / j for j in range(1, m))
        by_integral = harmonic + (-1) ** m * quad(lambda x, m=m: x ** (m - 1) / (x + 1), 0, 1)[0]
        assert grassberger_g(m) == pytest.approx(by_integral, abs=1e-10)
        assert table[m] * math.log(2) / m == pytest.approx(by_integral, abs=1e-10)
    assert constant == pytest.approx(math.log2(40))


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(4, 40))
@pytest.mark.parametrize("correction", KINDS)
def test_information_against_the_oracle(correction, seed, n):
    rng = np.random.default_rng(seed)
    cells, x = rng.integers(0, 5, n), rng.integers(0, 4, n)
    labels = np.append([0, 1], rng.integers(0, 3, n - 2))
    result = binned(5, correction)(of_cells(cells), labels, inputs=x[:, None])
    if len(set(x)) < n:
        assert float(result.i_xt) == pytest.approx(max(0.0, corrected_information(cells, x, correction)), abs=TOLERANCE)
    most = math.log2(len(set(labels)))  # a correction may go beyond it
    corrected = min(most, max(0.0, corrected_information(cells, labels, correction)))
    assert float(result.i_ty) == pytest.approx(corrected, abs=TOLERANCE)
    expected = CORRECTED[correction](list(np.unique(cells, return_counts=True)[1]))
    assert float(result.h_t) == pytest.approx(max(0.0, expected), abs=TOLERANCE)


# -- truths ------------------------------------------------------------------------------------------------------------


def test_all_agree_on_many_samples():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 4, 20_000)
    labels = (cells + (rng.random(20_000) < 0.2)) % 2
    plain = binned(4, None)(of_cells(cells), labels)
    for correction in CORRECTIONS:
        result = binned(4, correction)(of_cells(cells), labels)
        # the bias of the plug-in is (cells − 1)/2n nats, 4·2 cells at most
        for name in ("i_ty", "h_t"):
            assert float(result[name]) == pytest.approx(float(plain[name]), abs=2 * 7 / 40_000 / math.log(2))
            assert float(result[name]) != float(plain[name])


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_corrections_are_less_biased_than_the_plug_in(correction):
    """Ten equally likely cells, 40 samples: the plug-in misses 9/80 nats, each correction a third of that at most."""
    truth = math.log2(10)
    draws = [np.random.default_rng(seed).integers(0, 10, 40) for seed in range(400)]
    corrected = [float(binned(10, correction)(of_cells(cells)).h_t) for cells in draws]
    plain = [plug_in(list(np.unique(cells, return_counts=True)[1])) for cells in draws]
    bias, error = abs(np.mean(corrected) - truth), np.std(corrected) / math.sqrt(400)
    assert truth - np.mean(plain) == pytest.approx(9 / 80 / math.log(2), rel=0.15)
    assert bias < (truth - np.mean(plain)) / 3 + 4 * error


@pytest.mark.parametrize("correction", KINDS)
def test_certainty_stays_certain(correction):
    result = binned(3, correction)(of_cells(np.zeros(50)), np.arange(50) % 2)
    assert float(result.h_t) == pytest.approx(0, abs=0.02)  # Grassberger's is not exact: G(50) = ln 50 − 1/50…
    assert float(result.i_ty) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_invariances(correction):
    rng = np.random.default_rng(1)
    cells, labels = rng.integers(0, 6, 200), rng.integers(0, 3, 200)
    base = binned(6, correction)(of_cells(cells), labels)
    order = rng.permutation(200)
    same = {
        "permuted": (of_cells(cells[order]), labels[order]),
        "renamed": (of_cells(cells), np.array([9, 2, 5])[labels]),
        "cells renamed": (of_cells(rng.permutation(6)[cells]), labels),
        "unit twice": (np.hstack([of_cells(cells)] * 2), labels),
        "constant unit": (np.hstack([of_cells(cells), np.ones((200, 1))]), labels),
    }
    for name, (layer, names) in same.items():
        result = binned(6, correction)(layer, names)
        for quantity in ("i_xt", "i_ty", "h_t"):
            for end in ("", "_lower", "_upper"):
                key = quantity + end
                assert float(result[key]) == pytest.approx(float(base[key]), abs=TOLERANCE), (name, key)


# -- coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", first_ones(1, [150, 600]))
@pytest.mark.parametrize("correction", KINDS)
def test_intervals_cover_the_population(correction, n):
    """H(T), I(T;Y) and I(X;T) of a known table, x taking five values: within in at least 90 % of 200 draws."""
    rng = np.random.default_rng(2)
    p_x, given_x, given_t = rng.dirichlet(np.full(5, 3.0)), rng.dirichlet(np.ones(6), 5), rng.dirichlet(np.full(3, 0.5), 6)
    p_xt = p_x[:, None] * given_x
    p_ty = p_xt.sum(0)[:, None] * given_t
    h_t = plain_entropy(p_xt.sum(0))
    truth = {
        "h_t": h_t,
        "i_xt": h_t + plain_entropy(p_x) - plain_entropy(p_xt.ravel()),
        "i_ty": h_t + plain_entropy(p_ty.sum(0)) - plain_entropy(p_ty.ravel()),
    }
    within, kept = dict.fromkeys(truth, 0), 0
    for seed in range(200):
        draw = np.random.default_rng([seed, n])
        pair = draw.choice(30, n, p=p_xt.ravel())
        x, cells = pair // 6, pair % 6
        labels = (given_t.cumsum(1)[cells] < draw.random(n)[:, None]).sum(1)
        result = binned(6, correction)(of_cells(cells), labels, inputs=x[:, None])
        if flags(result):
            continue
        kept += 1
        for name, value in truth.items():
            within[name] += float(result[f"{name}_lower"]) <= value <= float(result[f"{name}_upper"])
    assert kept >= 100
    for name, count in within.items():
        assert count / kept >= 0.9, (name, count, kept)


# -- what is refused, what is missing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_nothing_is_counted_with_weights(correction):
    rng = np.random.default_rng(3)
    cells, labels = rng.integers(0, 4, 100), np.arange(100) % 2
    weights = rng.dirichlet(np.ones(100))
    weighted = binned(4, correction)(of_cells(cells), labels, probability=weights)
    assert flags(weighted) == {"weighted"}
    assert all(np.isnan(weighted[name]) for name in ("i_xt", "i_ty", "h_t"))
    soft = binned(4, correction)(of_cells(cells), conditional=rng.dirichlet(np.ones(2), 100))
    assert flags(soft) == {"weighted"}
    assert np.isnan(soft.i_ty)
    assert np.isfinite(soft.h_t)
    assert np.isfinite(soft.i_xt)


def test_unknown_corrections_are_refused():
    with pytest.raises(InputError, match="correction: found 'miller', expected one of miller-madow"):
        fp.Binned(5, correction="miller")
    for wrong in (3, True, ["jackknife"]):
        with pytest.raises(InputError, match="correction"):
            fp.Binned(5, correction=wrong)


def test_the_correction_is_named_in_the_answer():
    result = fp.Binned(5, correction="jackknife")(of_cells(np.arange(20) % 5), np.arange(20) % 2)
    assert "correction='jackknife'" in result.i_xt.parameters
    assert "correction" not in fp.Binned(5)(of_cells(np.arange(20) % 5)).i_xt.parameters


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_two_samples_and_one(correction):
    two = binned(2, correction)(of_cells([0, 1]), [0, 1])
    assert np.isfinite(two.h_t)
    assert "too_few_samples" in flags(two)
    one = binned(2, correction)(of_cells([0]))
    assert float(one.h_t) >= 0 or np.isnan(one.h_t)
