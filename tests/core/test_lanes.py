"""Vectors in Numba against NumPy, number by number."""

import numba
import numpy as np
import pytest

from flowplane.core import lanes
from flowplane.core.compiled import kernel
from flowplane.core.lanes import LANES, bit, lane_sum, load, store
from flowplane.ensemble import fused

NAN = np.float32("nan")


def applied(function, *rows):
    """`function` of vectors, on rows of numbers."""
    names = ", ".join(f"load(rows, {k}, s)" for k in range(len(rows)))
    scope = {"function": function, "load": load, "store": store, "LANES": LANES}
    loop = f"for s in range(0, rows.shape[1], LANES): store(result, 0, s, function({names}))"
    exec(f"def run(rows, result):\n    {loop}", scope)
    given = np.stack(np.broadcast_arrays(*rows)).astype(np.float32)
    count = given.shape[1]
    padded = np.ones((len(rows), -(-count // LANES) * LANES), np.float32)
    padded[:, :count] = given
    result = np.empty((1, padded.shape[1]), np.float32)
    numba.njit(scope["run"], error_model="numpy")(padded, result)
    return result[0, :count]


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 3 * LANES + 5)).astype(np.float32) * 4


def test_arithmetic(numbers):
    @kernel()
    def formula(x, y):
        z = (2 * x - y / 3.0) * y
        z += x
        z -= 0.5
        z *= y
        z /= 7.0
        return z

    x, y = numbers.astype(np.float64)
    expected = ((2 * x - y / 3) * y + x - 0.5) * y / 7
    assert applied(formula, *numbers) == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("minimum", np.minimum),
        ("maximum", np.maximum),
        ("equal", lambda x, y: x == y),
        ("where_positive", lambda x, y: np.where(x > 0, y, 0)),
    ],
)
def test_functions_of_two(numbers, name, expected):
    x, y = numbers.copy()
    y[::3] = x[::3]
    assert np.array_equal(applied(getattr(lanes, name), x, y), expected(x, y))


def test_what_diverged_stays_nan():
    x, y = np.array([NAN, 1]), np.array([2, 2])
    assert np.array_equal(applied(lanes.minimum, x, y), [NAN, 1], equal_nan=True)
    assert np.array_equal(applied(lanes.maximum, x, y), [NAN, 2], equal_nan=True)


def test_powers_and_integers(numbers):
    n = np.arange(-126, 128)
    powers = applied(lanes.power_of_two, n)
    assert np.array_equal(powers, 2.0**n)
    assert np.array_equal(applied(lanes.exponent, powers * np.float32(1.75)), n)
    assert np.array_equal(applied(lanes.floor, numbers[0]), np.floor(numbers[0]))


def test_bits_and_sums():
    @kernel()
    def unpacked(words, place, rows):
        store(rows, 0, 0, bit(words, 0, place, -1.5, 2.5))
        return lane_sum(load(rows, 0, 0))

    words = np.random.default_rng(0).integers(2**32, size=LANES, dtype=np.uint32)
    rows = np.empty((1, LANES), np.float32)
    for place in (0, 7, 31):
        total = unpacked(words, place, rows)
        expected = np.where(words >> np.uint32(place) & np.uint32(1), 2.5, -1.5)
        assert np.array_equal(rows[0], expected)
        assert total == expected.sum()


def test_elementary_functions():
    x = np.linspace(-20, 20, 4001, dtype=np.float32)
    assert applied(fused._tanh, x) == pytest.approx(np.tanh(x.astype(float)), abs=4e-7)
    x = np.linspace(-87, 0, 4001, dtype=np.float32)
    assert applied(fused._exp, x) == pytest.approx(np.exp(x.astype(float)), rel=3e-7)
    x = np.concatenate([np.linspace(1, 3, 4001), np.geomspace(3, 1e6, 1000)]).astype(np.float32)
    assert applied(fused._log, x) == pytest.approx(np.log(x.astype(float)), rel=3e-7, abs=1e-7)


@pytest.mark.parametrize("columns", [1, 15, 16, 100, 512, 4096])
def test_rows_begin_at_a_cache_line_with_room_for_a_last_vector(columns):
    rows = fused.aligned_rows(3, columns)
    assert rows.ctypes.data % 64 == 0 and rows.strides[0] % 128 == 64
    assert rows.shape[1] >= columns + LANES and not rows.any()
