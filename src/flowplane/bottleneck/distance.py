"""How far points of the information plane lie from the bottleneck's curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from flowplane.bottleneck.joint import check_betas, checked_joint, information, merged
from flowplane.core.arrays import as_tensor, require_finite
from flowplane.errors import InputError, Text

__all__ = ["CurveLine", "curve_distance", "curve_line", "require_curve_of"]

#: Bits by which rounding may move a point of the curve.
ROUNDING = 1e-12
HALVINGS = 60


@dataclass(frozen=True)
class CurveLine:
    """The greatest I(T;Y) for each I(X;T): the curve between and beyond the β it was computed for, in bits.

    Between two points the curve lies above their chord and below both tangents, whose slopes are 1/β. Here it is the cubic
    with those values and slopes, kept between chord and tangents. It starts at the origin, where the slope is at most 1,
    and ends level at (H(S), I(X;Y)), S the states with different p(y|x): the minimal sufficient statistic.

    Arguments:
        i_xt, i_ty: points from the origin to the end, increasing and concave.
        before, after: slopes at each point, towards the point before and the one after.
    """

    i_xt: Float[np.ndarray, " point"]
    i_ty: Float[np.ndarray, " point"]
    before: Float[np.ndarray, " point"]
    after: Float[np.ndarray, " point"]

    def information(self, i_xt: Any) -> np.ndarray:
        """I(T;Y) on the curve at I(X;T), both in bits; I(X;Y) beyond the end."""
        x = np.clip(np.asarray(i_xt, np.float64), 0.0, self.i_xt[-1])
        return self._within(self._piece(self.i_xt, x), x)

    def compression(self, i_ty: Any) -> np.ndarray:
        """The least I(X;T) that leaves I(T;Y), both in bits; that of the end for I(X;Y) and more."""
        y = np.clip(np.asarray(i_ty, np.float64), 0.0, self.i_ty[-1])
        piece = self._piece(self.i_ty, y)
        low, high = self.i_xt[piece], self.i_xt[piece + 1]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            short = self._within(piece, middle) < y
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return np.where(y > 0.0, high, 0.0)

    def _piece(self, ends: np.ndarray, at: np.ndarray) -> np.ndarray:
        """The number of the piece that a coordinate falls into."""
        return (np.searchsorted(ends, at, side="left") - 1).clip(0, len(ends) - 2)

    def _within(self, piece: np.ndarray, x: np.ndarray) -> np.ndarray:
        x0, x1, y0, y1 = self.i_xt[piece], self.i_xt[piece + 1], self.i_ty[piece], self.i_ty[piece + 1]
        first, last = self.after[piece], self.before[piece + 1]
        width = x1 - x0
        u = (x - x0) / width
        chord = y0 + (y1 - y0) * u
        tangents = np.minimum(y0 + first * (x - x0), y1 - last * (x1 - x))
        slope = (y1 - y0) / width
        bulge = u * (1 - u) * width * ((first - slope) * (1 - u) + (slope - last) * u)
        return np.minimum(np.maximum(chord + bulge, chord), np.maximum(tangents, chord))


def curve_line(curve: xr.Dataset, joint: Any) -> CurveLine:
    """The curve of a joint distribution, from its points at some β.

    Arguments:
        curve: from `ib_curve`: `i_xt` and `i_ty` in bits over `beta`, in any order.
        joint: the p(x, y) that it belongs to; or a Task.

    Raises:
        InputError: no such variables, values that are not numbers, not a joint distribution, or the curve of another one.

    Example:
        >>> curve = xr.Dataset({"i_xt": ("beta", [0.6]), "i_ty": ("beta", [0.2])}, {"beta": [4.0]})
        >>> line = curve_line(curve, [[0.4, 0.1], [0.1, 0.4]])
        >>> line.information([0.0, 0.6, 1.5]).round(4).tolist()
        [0.0, 0.2, 0.2781]
    """
    if not isinstance(curve, xr.Dataset) or not {"i_xt", "i_ty", "beta"} <= {str(name) for name in curve.variables}:
        found = sorted(map(str, curve.variables)) if isinstance(curve, xr.Dataset) else type(curve).__name__
        raise InputError("curve", Text(f"{found}"), "a Dataset with i_xt and i_ty over beta, from fp.ib_curve")
    betas = check_betas(curve["beta"])
    law = merged(checked_joint(joint))
    entropy = float(torch.special.entr(law.mass).sum()) / math.log(2.0)
    i_xy = information(law.mass, law.conditional)
    require_curve_of(curve, i_xy)
    points = [(0.0, 0.0, 1.0), (entropy, i_xy, 0.0)]
    x, y = (as_tensor(f"curve.{name}", curve[name]).double().numpy() for name in ("i_xt", "i_ty"))
    for name, values in (("i_xt", x), ("i_ty", y)):
        require_finite(f"curve.{name}", torch.from_numpy(values))
    points += zip(x.clip(0.0, entropy).tolist(), y.clip(0.0, points[1][1]).tolist(), (1 / betas).tolist(), strict=True)
    return _concave(points)


def curve_distance(i_xt: Any, i_ty: Any, curve: xr.Dataset, joint: Any) -> tuple[np.ndarray, np.ndarray]:
    """How far points (I(X;T), I(T;Y)) lie below the curve and to its right, in bits.

    Arguments:
        i_xt, i_ty: of the points, arrays of one shape.
        curve, joint: as for `curve_line`.

    Returns:
        The vertical distance, I(T;Y) on the curve at this I(X;T) less I(T;Y), and the horizontal one, I(X;T) less the
        least that leaves this I(T;Y). Both are negative where a point is above the curve.

    Raises:
        InputError: as `curve_line`.

    Example:
        >>> curve = xr.Dataset({"i_xt": ("beta", [0.6]), "i_ty": ("beta", [0.2])}, {"beta": [4.0]})
        >>> down, right = curve_distance([0.6, 1.0], [0.15, 0.2], curve, [[0.4, 0.1], [0.1, 0.4]])
        >>> round(float(down[0]), 6), round(float(right[1]), 6)
        (0.05, 0.4)
    """
    line = curve_line(curve, joint)
    x, y = (as_tensor(name, value).double().cpu().numpy() for name, value in (("i_xt", i_xt), ("i_ty", i_ty)))
    return line.information(x) - y, x - line.compression(y)


def require_curve_of(curve: xr.Dataset, i_xy: float | None) -> None:
    """Raises InputError where a curve says that it is of a joint with another I(X;Y), in bits."""
    theirs = curve.attrs.get("i_xy")
    if i_xy is not None and theirs is not None and abs(theirs - i_xy) > 1e-6:
        raise InputError("curve", Text(f"one with I(X;Y) = {theirs:.6g} bits"), f"that of the task, {i_xy:.6g} bits")


def _concave(points: list[tuple[float, float, float]]) -> CurveLine:
    """Their upper hull, with their slopes; nearly equal points are one, with the slopes of all."""
    hull: list[list[float]] = []  # x, y, slope towards the left, towards the right
    for x, y, slope in sorted(points, key=lambda point: (point[0], point[1], -point[2])):
        if hull and x - hull[-1][0] <= ROUNDING:
            hull[-1][1] = max(hull[-1][1], y)
            hull[-1][2:] = [max(hull[-1][2], slope), min(hull[-1][3], slope)]
            continue
        while len(hull) > 1 and _below(hull[-2], hull[-1], x, y):
            hull.pop()
        if not hull or y - hull[-1][1] > 0.0:
            hull.append([x, y, slope, slope])
    if len(hull) == 1:  # no x says anything about y: a level line from the origin
        hull.append([1.0, 0.0, 0.0, 0.0])
    x, y, before, after = np.array(hull).T
    chords = np.diff(y) / np.diff(x)
    after[:-1] = np.maximum(after[:-1], chords)
    before[1:] = np.minimum(before[1:], chords)
    return CurveLine(x, y, before, after)


def _below(first: list[float], middle: list[float], x: float, y: float) -> bool:
    """Whether the middle point lies on or under the line from the first to (x, y)."""
    return (middle[1] - first[1]) * (x - first[0]) <= (y - first[1]) * (middle[0] - first[0])
