"""Coordinates of sums over products: matrix products and einsum, axes named by letters."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

import torch
from torch import Tensor

from flowplane.recorder.tracing.coordinates import Coordinates, joined, reduced

__all__ = ["contracted", "einsum_letters", "matmul_letters"]


def matmul_letters(one: int, other: int) -> tuple[list[str], str]:
    """Names of the axes of both factors and of their product, by their numbers of axes.

    Example:
        >>> matmul_letters(3, 2), matmul_letters(2, 1)
        ((['aij', 'jk'], 'aik'), (['ij', 'j'], 'i'))
    """
    batch = "abcdefgh"[: max(one, other, 2) - 2]
    left = "j" if one == 1 else batch[len(batch) - (one - 2) :] + "ij"
    right = "j" if other == 1 else batch[len(batch) - (other - 2) :] + "jk"
    out = batch + ("i" if one > 1 else "") + ("k" if other > 1 else "")
    return [left, right], out


def einsum_letters(equation: str, axes: Sequence[int], out: int) -> tuple[list[str], str] | None:
    """The same of an equation, dots written out; None where it does not fit.

    Example:
        >>> einsum_letters("bi..., ij -> bj...", [3, 2], 3)
        (['biZ', 'ij'], 'bjZ')
    """
    left, _, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(axes):
        return None
    free = [letter for letter in reversed(ascii_letters) if letter not in equation]
    dots = max(max((n - len(term) + 3 for term, n in zip(terms, axes, strict=True) if "..." in term), default=0), 0)
    names = "".join(sorted(free[:dots]))
    opened = []
    for term, n in zip(terms, axes, strict=True):
        here = n - len(term) + 3 if "..." in term else 0
        opened.append(term.replace("...", names[len(names) - here :] if here > 0 else ""))
    if "->" in equation:
        result = right.replace("...", names)
    else:
        together = "".join(opened)
        result = names + "".join(sorted(letter for letter in set(together) - set(names) if together.count(letter) == 1))
    fits = len(result) == out and all(len(term) == n for term, n in zip(opened, axes, strict=True))
    return (opened, result) if fits else None


def contracted(
    shape: Sequence[int], letters: tuple[list[str], str], owns: Sequence[Coordinates | None]
) -> Coordinates | None:
    """Coordinates of a sum over products. A factor without coordinates is a parameter: its new axes are the units, unless
    the sum goes over places and keeps the units."""
    terms, out = letters
    parts, units = [], []
    for term, own in zip(terms, owns, strict=True):
        if own is None:
            continue
        gone = [place for place, letter in enumerate(term) if letter not in out]
        seen = reduced(own, gone, own.shape)
        axes = {letter: place for place, letter in enumerate(term)}
        parts.append(Coordinates(tuple(shape), _placed(seen.sample, axes, out), None, seen.mixed))
        lost = own.unit is not None and any(own.unit.shape[place] > 1 for place in gone)
        if own.unit is not None and not lost:
            unit = _placed(own.unit, axes, out)
            if unit is not None and unit.numel() > 1:
                units.append(unit)
    found = joined(shape, parts)
    fresh = [
        letter
        for term, own in zip(terms, owns, strict=True)
        if own is None
        for letter in term
        if letter in out and not any(letter in other for other, its in zip(terms, owns, strict=True) if its is not None)
    ]
    summed = any(letter not in out for term, own in zip(terms, owns, strict=True) if own is not None for letter in term)
    unit = units[-1] if units else None  # of two activations the second: the values of an attention
    if fresh and not (units and summed):
        lengths = [shape[axis] if letter in fresh else 1 for axis, letter in enumerate(out)]
        unit = torch.arange(float(torch.Size(lengths).numel()), dtype=torch.float32, device="cpu").reshape(lengths)
    return Coordinates(tuple(shape), found.sample, unit, found.mixed)


def _placed(coordinate: Tensor | None, axes: dict[str, int], out: str) -> Tensor | None:
    """A coordinate with its axes where the product has them."""
    if coordinate is None:
        return None
    there = [letter for letter in out if letter in axes]
    gone = [place for letter, place in axes.items() if letter not in out]
    turned = coordinate.permute(*[axes[letter] for letter in there], *gone).squeeze(
        tuple(range(len(there), coordinate.ndim))
    )
    return turned.reshape([turned.shape[there.index(letter)] if letter in there else 1 for letter in out])
