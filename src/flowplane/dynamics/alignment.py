"""How far apart two networks' weights are once hidden units are matched, their signs too where these are free (B-8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from flowplane.core.arrays import as_numbers
from flowplane.core.network import ACTIVATIONS
from flowplane.core.points import check_count, check_seed
from flowplane.errors import InputError, Text, unknown

__all__ = ["Alignment", "align", "centred", "weight_distance"]

#: σ(−z) = −σ(z): the sign of a unit is free.
ODD = ("tanh", "linear")
#: Share of the norms by which a sweep must bring networks nearer to be followed by another.
PROGRESS = 1e-12
MOST_SWEEPS = 1000

Layers = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Which unit of a network stands for which of another, hidden layer by hidden layer, and with which sign.

    Arguments:
        permutations: for each hidden layer the unit of the second network that takes the place of each of the first's.
        signs: 1 or −1 for each of these places.
    """

    permutations: tuple[Int[np.ndarray, "_"], ...]
    signs: tuple[Float[np.ndarray, "_"], ...]

    def __call__(self, layers: Any) -> Layers:
        """The second network with its units in their new places; it computes the same function.

        Raises:
            InputError: layers of another network.
        """
        moved = _checked("layers", layers)
        if [len(bias) for _, bias in moved[:-1]] != [len(order) for order in self.permutations]:
            widths = [len(bias) for _, bias in moved[:-1]]
            raise InputError("layers", Text(f"hidden widths {widths}"), f"{[len(order) for order in self.permutations]}")
        for k, (order, sign) in enumerate(zip(self.permutations, self.signs, strict=True)):
            (weight, bias), (after, shift) = moved[k], moved[k + 1]
            moved[k] = sign[:, None] * weight[order], sign * bias[order]
            moved[k + 1] = after[:, order] * sign, shift
        return moved


def align(first: Any, second: Any, activation: str, *, starts: int = 4, seed: int = 0) -> Alignment:
    """The symmetry of the second network that brings its weights nearest to the first's, as far as descent finds it (B-8).

    The hidden units of a layer may change places, and with an odd activation (tanh, linear) their signs, without a change of
    the function. Σ_l ‖W_l − W'_l‖² + ‖b_l − b'_l‖² is lowered one hidden layer at a time: with all others fixed the best
    places are those of a linear assignment, unit i to unit j at the gain c_ij = ⟨row, row⟩ + b_i b'_j + ⟨column, column⟩, or
    |c_ij| where the sign is free. No step raises the distance, but it may end in a local minimum: it starts from the units
    as they stand, from matching layer by layer from the inputs on and from the outputs back, and then from random places;
    the best end is kept. The matching from the inputs finds an exact copy whose rows differ.

    Other symmetries stay: with ReLU the positive scale of each unit, with linear units any invertible map, with sigmoid
    σ(−z) = 1 − σ(z), a sign that also shifts the next biases. The last layer is not permuted: its units are the classes.

    See also: Ainsworth, Hayase and Srinivasa (ICLR 2023), Git Re-Basin, arXiv 2209.04836: weight matching, without signs.

    Arguments:
        first, second: (weight (output, input), bias (output,)) of each layer, the last one too; the same shapes.
        activation: of the hidden layers.
        starts: 1 for the units as they stand alone, and so on in the order above; 4 add one random start.

    Raises:
        InputError: layers that do not fit each other, NaN, networks of different shapes, an unknown activation, no start.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> first = [(rng.normal(size=(3, 5)), rng.normal(size=3)), (rng.normal(size=(2, 3)), rng.normal(size=2))]
        >>> moved = Alignment((np.array([2, 0, 1]),), (np.array([1.0, -1.0, 1.0]),))(first)
        >>> found = align(first, moved, "tanh")
        >>> found.permutations[0].tolist(), round(weight_distance(first, found(moved))[0], 12)
        ([1, 2, 0], 0.0)
    """
    a, b = _alike(first, second)
    if activation not in ACTIVATIONS:
        raise unknown("activation", activation, ACTIVATIONS)
    starts, rng = check_count("starts", starts), np.random.default_rng(check_seed(seed))
    signed = activation in ODD
    if len(a) == 1:
        return Alignment((), ())
    best, gain = None, -np.inf
    enough = PROGRESS * sum(float((w * w).sum() + (c * c).sum()) for w, c in (*a, *b))
    for places in _starts(a, b, signed, starts, rng):
        reached = _descend(a, b, places, signed, enough, rng)
        if reached > gain + enough or best is None:
            best, gain = places, reached
    assert best is not None
    return Alignment(tuple(order for order, _ in best), tuple(sign for _, sign in best))


def weight_distance(first: Any, second: Any) -> tuple[float, Float[np.ndarray, " layer"]]:
    """‖a − b‖ / √((‖a‖² + ‖b‖²)/2) of all weights and biases, and of each layer's own.

    √2 for orthogonal ones, which independent ones of many weights nearly are; 0 for the same, 2 for the negative.

    Raises:
        InputError: layers that do not fit each other, NaN, or networks of different shapes.

    Example:
        >>> whole, by_layer = weight_distance([([[1.0, 0.0]], [0.0])], [([[0.0, 1.0]], [0.0])])
        >>> round(whole, 3), by_layer.round(3).tolist()
        (1.414, [1.414])
    """
    a, b = _alike(first, second)
    away, size = np.zeros(len(a)), np.zeros(len(a))
    for k, (ours, theirs) in enumerate(zip(a, b, strict=True)):
        for u, v in zip(ours, theirs, strict=True):
            away[k] += np.square(u - v).sum()
            size[k] += (np.square(u).sum() + np.square(v).sum()) / 2
    whole = np.sqrt(away.sum() / size.sum()) if size.sum() > 0 else 0.0
    return float(whole), np.sqrt(np.divide(away, size, out=np.zeros(len(a)), where=size > 0))


def centred(layers: Any) -> Layers:
    """The network without the mean over classes of its last weights and biases, which a softmax does not see.

    Example:
        >>> (weight, bias), = centred([([[1.0], [3.0]], [0.0, 4.0])])
        >>> weight.tolist(), bias.tolist()
        ([[-1.0], [1.0]], [-2.0, 2.0])
    """
    checked = _checked("layers", layers)
    weight, bias = checked[-1]
    checked[-1] = weight - weight.mean(axis=0), bias - bias.mean()
    return checked


Places = list[tuple[np.ndarray, np.ndarray]]


def _starts(a: Layers, b: Layers, signed: bool, count: int, rng: np.random.Generator) -> Iterator[Places]:
    widths = [len(bias) for _, bias in a[:-1]]
    yield [(np.arange(n), np.ones(n)) for n in widths]
    for ends in ("inputs", "outputs")[: count - 1]:
        places: Places = [(np.arange(n), np.ones(n)) for n in widths]
        layers = range(len(widths)) if ends == "inputs" else reversed(range(len(widths)))
        for k in layers:
            places[k] = _matched(_incoming(a, b, places, k) if ends == "inputs" else _outgoing(a, b, places, k), signed)
        yield places
    for _ in range(count - 3):
        yield [(rng.permutation(n), rng.choice([-1.0, 1.0], n) if signed else np.ones(n)) for n in widths]


def _descend(a: Layers, b: Layers, places: Places, signed: bool, enough: float, rng: np.random.Generator) -> float:
    """Moves `places` to a local optimum, one layer at a time in random order; the networks' inner product there."""
    before = -np.inf
    for _ in range(MOST_SWEEPS):
        for k in rng.permutation(len(places)).tolist():
            places[k] = _matched(_incoming(a, b, places, k) + _outgoing(a, b, places, k), signed)
        now = _agreement(a, b, places)
        if now - before <= enough:
            break
        before = now
    return now


def _incoming(a: Layers, b: Layers, places: Places, k: int) -> Float[np.ndarray, "unit unit"]:
    """Inner products of what units of hidden layer k receive, the layer below in its places."""
    theirs = b[k][0]
    if k:
        order, sign = places[k - 1]
        theirs = theirs[:, order] * sign
    return a[k][0] @ theirs.T + np.outer(a[k][1], b[k][1])


def _outgoing(a: Layers, b: Layers, places: Places, k: int) -> Float[np.ndarray, "unit unit"]:
    """Inner products of what they send, the layer above in its places."""
    theirs = b[k + 1][0]
    if k + 1 < len(places):
        order, sign = places[k + 1]
        theirs = sign[:, None] * theirs[order]
    return a[k + 1][0].T @ theirs


def _matched(gain: Float[np.ndarray, "unit unit"], signed: bool) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import linear_sum_assignment

    order = linear_sum_assignment(np.abs(gain) if signed else gain, maximize=True)[1]
    flipped = signed & (gain[np.arange(len(gain)), order] < 0)
    return order, np.where(flipped, -1.0, 1.0)


def _agreement(a: Layers, b: Layers, places: Places) -> float:
    """Σ_l ⟨W_l, W'_l⟩ + ⟨b_l, b'_l⟩ with the second network's units in their places."""
    total = float(a[-1][1] @ b[-1][1])
    for k, (order, sign) in enumerate(places):
        total += float((_incoming(a, b, places, k)[np.arange(len(order)), order] * sign).sum())
    order, sign = places[-1]
    return total + float((_outgoing(a, b, places, len(places) - 1)[np.arange(len(order)), order] * sign).sum())


def _alike(first: Any, second: Any) -> tuple[Layers, Layers]:
    a, b = _checked("first", first), _checked("second", second)
    shapes = [[weight.shape for weight, _ in layers] for layers in (a, b)]
    if shapes[0] != shapes[1]:
        raise InputError("second", Text(f"weights of shapes {shapes[1]}"), f"the first network's, {shapes[0]}")
    return a, b


def _checked(name: str, layers: Any) -> Layers:
    expected = "(weight (output, input), bias (output,)) of each layer, each layer's inputs the outputs of the one before"
    pairs = isinstance(layers, Sequence) and all(isinstance(part, Sequence) and len(part) == 2 for part in layers)
    if not pairs or not layers:
        raise InputError(name, Text(type(layers).__name__), expected)
    found = [
        (as_numbers(name, weight).astype(np.float64), as_numbers(name, bias).astype(np.float64)) for weight, bias in layers
    ]
    for k, (weight, bias) in enumerate(found):
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or (k and weight.shape[1] != len(found[k - 1][1])):
            raise InputError(name, Text(f"layer {k + 1} of shapes {weight.shape} and {bias.shape}"), expected)
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise InputError(name, Text(f"NaN or infinite values in layer {k + 1}"), "finite numbers")
    return found
