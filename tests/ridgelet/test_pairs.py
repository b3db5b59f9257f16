"""σ and ρ: the table of §A10, what is not admissible, and ρ against its Fourier integral."""

import math
import re

import numpy as np
import oracles_ridgelet as oracles
import pytest
import torch

from flowplane.errors import InputError
from flowplane.ridgelet import Pair, activation_transform, missed_share
from flowplane.ridgelet.derivatives import gaussian_derivative, hilbert_derivative
from flowplane.ridgelet.pairs import ACTIVATIONS

PLACES = torch.cat([torch.linspace(-50, 50, 401), torch.tensor([8.99, 9.0, 9.01])]).double()


@pytest.mark.parametrize(
    "activation, order, integral",
    [("tanh", 1, -0.60571), ("tanh", 3, 0.36360), ("relu", 2, 0.39894), ("gaussian", 0, 0.70711), ("sin", 1, -0.60653)],
)
def test_the_table_of_a10(activation, order, integral):
    pair = Pair(activation, order)
    assert pair.integral == pytest.approx(integral, abs=6e-6)
    for m in (1, 2, 3):
        assert pair.constant(m) == pytest.approx((2 * math.pi) ** m * pair.integral, rel=1e-14)


def test_closed_forms_of_the_integral():
    assert Pair("relu", 4).integral == pytest.approx(-1 / math.sqrt(2 * math.pi), rel=1e-12)
    assert Pair("gaussian", 0).integral == pytest.approx(1 / math.sqrt(2), rel=1e-12)
    assert Pair("gaussian", 2).integral == pytest.approx(-1 / (2 * math.sqrt(2)), rel=1e-12)
    assert Pair("sin", 1).integral == pytest.approx(-math.exp(-0.5), rel=1e-12)
    # gelu'' = g(z)(2 − z²): ∫ g·gelu'' = (2 − 1/2)/(2√π)
    assert Pair("gelu", 2).integral == pytest.approx(1.5 / (2 * math.sqrt(math.pi)), rel=1e-12)


@pytest.mark.parametrize("activation", sorted(oracles.TRANSFORMS))
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_constant_is_the_integral_over_frequencies(activation, dimension):
    pair = Pair(activation)
    expected = oracles.constant(pair.order, oracles.TRANSFORMS[activation], dimension)
    assert pair.constant(dimension) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("activation, order", [("tanh", 3), ("tanh", 1), ("relu", 4), ("gaussian", 0)])
def test_the_ridgelet_is_its_fourier_integral(activation, order, dimension):
    expected = oracles.ridgelet_function(order, dimension, PLACES.numpy())
    found = Pair(activation, order).ridgelet(PLACES, dimension).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    assert found[0] == pytest.approx((-1) ** order * found[400], rel=1e-9, abs=1e-300)  # parity of ρ is that of ρ_0


def test_odd_dimensions_have_long_tails_of_the_known_power():
    for order, m in ((1, 1), (3, 1), (3, 3), (4, 1)):
        activation = "relu" if order == 4 else "tanh"
        far = Pair(activation, order).ridgelet(torch.tensor([100.0, 200.0]).double(), m).abs()
        assert float(torch.log2(far[0] / far[1])) == pytest.approx(m + order + 1, abs=0.02)
        assert Pair(activation, order).ridgelet(torch.tensor([100.0]).double(), m + 1).item() == 0


def test_the_hilbert_transform_is_its_fourier_integral():
    # −i sgn ω and not +i: the transform of a density is positive far right
    assert float(hilbert_derivative(0, torch.tensor([5.0]).double())) > 0
    nodes, weights = np.polynomial.legendre.leggauss(300)
    w = 6 * (nodes + 1)
    z = np.array([-3.0, -0.4, 0.0, 1.3, 12.0])
    for n in range(4):
        hat = (1j * w) ** n * np.exp(-(w**2) / 2) * -1j
        expected = (np.exp(1j * np.multiply.outer(z, w)) @ (6 * weights * hat)).real / np.pi
        np.testing.assert_allclose(hilbert_derivative(n, torch.from_numpy(z)).numpy(), expected, rtol=0, atol=1e-12)


def test_derivatives_follow_one_another():
    z = torch.linspace(-14, 14, 57, dtype=torch.float64)
    step = 1e-4
    for function in (gaussian_derivative, hilbert_derivative):
        for n in range(6):
            slope = (function(n, z + step) - function(n, z - step)) / (2 * step)
            torch.testing.assert_close(slope, function(n + 1, z), rtol=0, atol=2e-5)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_splits_into_its_parity_and_a_straight_part(activation):
    """What is left of the other parity is a constant or a line, which vanishing moments remove."""
    z = torch.linspace(-6, 6, 121, dtype=torch.float64)
    sigma, known = Pair(activation).activation_values, ACTIVATIONS[activation]
    wrong = (sigma(z) - (-1) ** known.parity * sigma(-z)) / 2
    assert float(wrong.diff().diff().abs().max()) < 1e-12
    if known.least < 2:
        assert float(wrong.diff().abs().max()) < 1e-12


@pytest.mark.parametrize(
    "activation, order, reasons",
    [
        ("tanh", 0, ["an odd number, 1 or more, for tanh", "1 vanishing moment or more", "cancels against an even"]),
        ("tanh", 2, ["cancels against an even ρ_0"]),
        ("sigmoid", 0, ["∫ρ_0σ = 0.50000 comes from the point ω = 0"]),
        ("relu", 0, ["an even number, 2 or more", "2 vanishing moments", "over ω ≠ 0 is infinite"]),
        ("relu", 1, ["2 vanishing moments", "∫ρ_0σ = -0.50000 comes from the point ω = 0", "reconstructs 0"]),
        ("relu", 3, ["cancels against an odd ρ_0"]),
        ("softplus", 1, ["2 vanishing moments"]),
        ("gelu", 3, ["an even number, 2 or more"]),
        ("silu", 1, ["2 vanishing moments"]),
        ("gaussian", 1, ["an even number, 0 or more"]),
        ("sin", 2, ["an odd number, 1 or more"]),
        ("tanh", -1, ["a whole number, 0 or more"]),
        ("tanh", 1.0, ["a whole number"]),
    ],
)
def test_inadmissible_pairs_are_refused_with_the_reason(activation, order, reasons):
    with pytest.raises(InputError) as raised:
        Pair(activation, order)
    for reason in reasons:
        assert reason in str(raised.value)


def test_other_refusals():
    with pytest.raises(InputError, match=r"activation: found 'tahn'.*did you mean 'tanh'"):
        Pair("tahn")
    for m in (0, 1.5):
        with pytest.raises(InputError, match="dimension: found"):
            Pair().constant(m)
    with pytest.raises(InputError, match="activation: found 'sin'"):
        activation_transform("sin", [1.0])
    with pytest.raises(InputError, match="frequency: found 0"):
        activation_transform("tanh", [0.0])
    with pytest.raises(InputError, match=re.escape("largest: found -1")):
        missed_share(Pair(), [1.0], largest=-1)


def test_orders_by_default():
    wanted = {"tanh": 3, "sigmoid": 3, "relu": 4, "softplus": 4, "gelu": 4, "silu": 4, "gaussian": 2, "sin": 1}
    assert {name: Pair(name).order for name in ACTIVATIONS} == wanted
    assert Pair("tanh") == Pair("tanh", 3)


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"sin"}))
def test_what_truncation_misses(activation):
    """Everything beyond, nothing of frequency 0, and a power of |ξ|/A that two more orders raise by two."""
    best = Pair(activation)
    least = Pair(activation, best.order - 2)
    assert float(missed_share(best, 1e4, largest=1.0)) == pytest.approx(1, rel=1e-9)
    for pair, power in ((best, 3), (least, 1)):
        near = missed_share(pair, [0.01, 0.02], largest=1.0)
        assert np.log2(near[1] / near[0]) == pytest.approx(power, abs=2e-3)
    assert missed_share(Pair("sin"), [0.9, 1.1], largest=1.0).tolist() == [0, 1]


@pytest.mark.parametrize(
    "activation, published, exact",
    [
        ("tanh", (0.0156, 0.0019, 0.0001), (0.01581, 0.00214, 0.00027)),
        ("gaussian", (0.020, 0.0026, 0.0002), (0.02016, 0.00275, 0.00035)),
        ("relu", (0.0072, 0.0007, -0.0002), (0.00754, 0.00099, 0.00012)),
    ],
)
def test_the_truncation_table_of_a10(activation, published, exact):
    """The relative error at the origin for a unit Gaussian in the plane: D averaged over |ξ| with density ξ e^{−ξ²/2}."""
    xi = np.linspace(0, 10, 4001)
    density = xi * np.exp(-(xi**2) / 2)
    for largest, seen, error in zip((5, 10, 20), published, exact, strict=True):
        found = np.trapezoid(missed_share(Pair(activation), xi, largest=largest) * density, xi)
        assert found == pytest.approx(error, abs=6e-6)
        assert found == pytest.approx(seen, abs=4e-4)  # their quadrature's error, the same at every A
