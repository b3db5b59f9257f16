"""Alignment: exact copies are found, the function stays, no step goes the wrong way."""

from itertools import pairwise, permutations, product

import numpy as np
import pytest
import torch

from flowplane.core.network import Network
from flowplane.dynamics.alignment import Alignment, _agreement, _descend, _starts, align, centred, weight_distance
from flowplane.errors import InputError

REFERENCE = (12, 10, 7, 5, 4, 3, 2)


def drawn(rng, sizes=REFERENCE):
    return [(rng.normal(size=(o, i)) / np.sqrt(i), 0.3 * rng.normal(size=o)) for i, o in pairwise(sizes)]


def symmetry(rng, sizes=REFERENCE, signed=True):
    widths = sizes[1:-1]
    orders = tuple(rng.permutation(n) for n in widths)
    return Alignment(orders, tuple(rng.choice([-1.0, 1.0], n) if signed else np.ones(n) for n in widths))


def outputs(layers, activation, inputs):
    sizes = (layers[0][0].shape[1], *(len(bias) for _, bias in layers))
    packed = np.concatenate([np.concatenate([weight.ravel(), bias]) for weight, bias in layers])
    return Network(sizes, activation).forward(torch.from_numpy(packed)[None], torch.from_numpy(inputs))[-1][0].numpy()


@pytest.mark.parametrize(("activation", "signed"), [("tanh", True), ("linear", True), ("relu", False), ("sigmoid", False)])
def test_a_copy_is_found(activation, signed):
    rng = np.random.default_rng(0)
    for _ in range(20):
        first = drawn(rng)
        moved = symmetry(rng, signed=signed)(first)
        found = align(first, moved, activation)
        assert weight_distance(first, found(moved))[0] < 1e-12


def test_the_symmetry_itself_is_found():
    rng = np.random.default_rng(1)
    first = drawn(rng)
    done = symmetry(rng)
    undone = align(first, done(first), "tanh")
    for order, sign, back, flip in zip(done.permutations, done.signs, undone.permutations, undone.signs, strict=True):
        assert (order[back] == np.arange(len(order))).all()
        assert (sign[back] * flip == 1).all()


def test_relu_units_keep_their_sign():
    rng = np.random.default_rng(2)
    found = align(drawn(rng), drawn(rng), "relu")
    assert all((sign == 1).all() for sign in found.signs)
    flipped = align(drawn(rng), drawn(rng), "tanh")
    assert any((sign == -1).any() for sign in flipped.signs)


@pytest.mark.parametrize("activation", ["tanh", "linear", "relu", "sigmoid"])
def test_the_function_stays(activation):
    rng = np.random.default_rng(3)
    first, second, inputs = drawn(rng), drawn(rng), rng.normal(size=(50, 12))
    moved = align(first, second, activation)(second)
    assert np.allclose(outputs(moved, activation, inputs), outputs(second, activation, inputs), atol=1e-12)
    assert weight_distance(second, moved)[0] > 0.1
    assert np.allclose(outputs(centred(second), activation, inputs), outputs(second, activation, inputs), atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_one_hidden_layer_against_every_symmetry(activation):
    """For one hidden layer the assignment is exact: 4! permutations, and 2⁴ signs."""
    rng = np.random.default_rng(4)
    choices = list(product([-1.0, 1.0], repeat=4)) if activation == "tanh" else [(1.0,) * 4]
    for _ in range(3):
        first, second = drawn(rng, (5, 4, 3)), drawn(rng, (5, 4, 3))
        every = [
            weight_distance(first, Alignment((np.array(order),), (np.array(signs),))(second))[0]
            for order in permutations(range(4))
            for signs in choices
        ]
        found = align(first, second, activation, starts=1)
        assert weight_distance(first, found(second))[0] == pytest.approx(min(every), abs=1e-12)


def test_two_hidden_layers_against_every_symmetry():
    rng = np.random.default_rng(5)
    first, second = drawn(rng, (4, 3, 3, 2)), drawn(rng, (4, 3, 3, 2))
    layer = [
        (np.array(order), np.array(signs)) for order in permutations(range(3)) for signs in product([-1.0, 1.0], repeat=3)
    ]
    every = [
        weight_distance(first, Alignment((one[0], two[0]), (one[1], two[1]))(second))[0] for one in layer for two in layer
    ]
    assert weight_distance(first, align(first, second, "tanh", starts=20)(second))[0] == pytest.approx(min(every), abs=1e-12)


@pytest.mark.parametrize("signed", [True, False])
def test_no_step_raises_the_distance(signed, monkeypatch):
    """Places after each assignment, caught in the act."""
    from flowplane.dynamics import alignment

    rng = np.random.default_rng(6)
    for trial in range(5):
        a, b = drawn(rng), drawn(rng)
        for places in _starts(a, b, signed, 6, np.random.default_rng(trial)):
            seen = [_agreement(a, b, places)]
            matched = alignment._matched

            def caught(gain, signed, seen=seen, places=places, matched=matched, a=a, b=b):
                seen.append(_agreement(a, b, places))
                return matched(gain, signed)

            with monkeypatch.context() as patch:
                patch.setattr(alignment, "_matched", caught)
                seen.append(_descend(a, b, places, signed, 1e-12, np.random.default_rng(trial)))
            assert len(seen) > 6
            assert (np.diff(seen) >= -1e-9).all()


def test_agreement_is_the_inner_product():
    rng = np.random.default_rng(7)
    a, b, moved = drawn(rng), drawn(rng), symmetry(rng)
    places = list(zip(moved.permutations, moved.signs, strict=True))
    plain = sum((w * v).sum() + (c * d).sum() for (w, c), (v, d) in zip(a, moved(b), strict=True))
    assert _agreement(a, b, places) == pytest.approx(plain)


def test_never_farther_than_unaligned_and_never_worse_with_more_starts():
    rng = np.random.default_rng(8)
    for _ in range(10):
        first, second = drawn(rng), drawn(rng)
        plain = weight_distance(first, second)[0]
        reached = [weight_distance(first, align(first, second, "tanh", starts=n)(second))[0] for n in (1, 2, 3)]
        assert plain >= reached[0] >= reached[1] - 1e-12 >= reached[2] - 2e-12


def test_distance_of_known_pairs():
    rng = np.random.default_rng(9)
    net = drawn(rng)
    negative = [(-weight, -bias) for weight, bias in net]
    assert weight_distance(net, net)[0] == 0
    assert weight_distance(net, negative)[0] == pytest.approx(2)
    assert np.allclose(weight_distance(net, negative)[1], 2)
    wide = [drawn(rng, (300, 200, 2)) for _ in range(2)]
    # the cosine of independent directions has standard deviation n^(-1/2); 5 of them
    assert abs(weight_distance(*wide)[0] - np.sqrt(2)) < 5 / np.sqrt(2 * 60_000)
    nothing = [(np.zeros((2, 3)), np.zeros(2))]
    assert weight_distance(nothing, nothing)[0] == 0


def test_symmetric_in_the_two_networks():
    rng = np.random.default_rng(10)
    first, second = drawn(rng, (6, 5, 2)), drawn(rng, (6, 5, 2))
    there = weight_distance(first, align(first, second, "tanh")(second))[0]
    assert weight_distance(second, align(second, first, "tanh")(first))[0] == pytest.approx(there)


def test_no_hidden_layer():
    net = drawn(np.random.default_rng(11), (4, 2))
    found = align(net, net, "tanh")
    assert found.permutations == ()
    assert weight_distance(net, found(net))[0] == 0


def test_what_networks_are_refused():
    rng = np.random.default_rng(12)
    net, other = drawn(rng), drawn(rng, (12, 9, 2))
    with pytest.raises(InputError, match=r"^second: found weights of shapes"):
        align(net, other, "tanh")
    with pytest.raises(InputError, match=r"^activation"):
        align(net, net, "gelu")
    with pytest.raises(InputError, match=r"^starts"):
        align(net, net, "tanh", starts=0)
    with pytest.raises(InputError, match=r"^first: found layer 2 of shapes"):
        align([net[0], net[2]], net, "tanh")
    with pytest.raises(InputError, match="NaN or infinite values in layer 1"):
        weight_distance([(np.full((2, 3), np.nan), np.zeros(2))], [(np.zeros((2, 3)), np.zeros(2))])
    with pytest.raises(InputError, match=r"^layers: found hidden widths"):
        align(net, net, "tanh")(other)
    with pytest.raises(InputError, match=r"^first: found ndarray"):
        align(np.zeros(4), net, "tanh")
