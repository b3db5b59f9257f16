"""What a layer does to volumes: log|det| of its derivative, exactly from its weights or of the best affine map (§A1)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import as_points
from flowplane.errors import InputError, Text, unknown

__all__ = ["AffineVolume", "affine_log_det", "dense_log_det"]

#: Activation functions whose derivative is known here.
KNOWN = ("tanh", "relu", "sigmoid", "linear", "softmax")
#: Eigenvalues of x's covariance below this part of the largest leave the affine map open.
ROUNDING = 1e-10


class AffineVolume(NamedTuple):
    """log|det A| of the affine map that fits best, nats, and the share R² of the variance that it explains."""

    log_det: float
    fit: float


def dense_log_det(x: Any, weight: Any, *, bias: Any, activation: str) -> Any:
    """log|det ∂y/∂x| of the layer y = σ(Wx + b) of as many units as inputs: log|det W| + Σ_j log|σ'(z_j)| (§A1).

    Arguments:
        x: points (…, unit).
        weight, bias: W (unit, unit) and b (unit,).
        activation: σ: "tanh", "relu", "sigmoid", "linear" or "softmax". A softmax is on the simplex: −∞ everywhere.

    Returns:
        Nats, (…), in the kind of x; −∞ where the derivative is singular, as with a ReLU that is 0.

    Raises:
        InputError: a W that is not square or does not fit, NaN, an unknown activation.

    Example:
        >>> dense_log_det([[0.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]], bias=[0.0, 0.0], activation="tanh").round(6)
        array([0.693147])
    """
    if activation not in KNOWN:
        raise unknown("activation", activation, KNOWN)
    matrix, offset = (as_tensor(name, value).double() for name, value in (("weight", weight), ("bias", bias)))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError("weight", Text(f"shape {tuple(matrix.shape)}"), "a square matrix: as many units as inputs")
    if offset.shape != matrix.shape[:1]:
        raise InputError("bias", Text(f"shape {tuple(offset.shape)}"), f"shape ({len(matrix)},)")
    require_finite("weight", matrix)
    require_finite("bias", offset)
    points, form = as_points("x", x, len(matrix))
    z = points @ matrix.to(points.device).T + offset.to(points.device)
    # of the size of z, not of σ(z): near ±1 the digits of 1 − σ² are lost
    if activation == "tanh":
        slopes = 2 * (math.log(2.0) - z.abs() - F.softplus(-2 * z.abs()))
    elif activation == "sigmoid":
        slopes = -z.abs() - 2 * F.softplus(-z.abs())
    elif activation == "linear":
        slopes = torch.zeros_like(z)
    else:
        slopes = (z > 0).double().log() if activation == "relu" else torch.full_like(z, -math.inf)
    return form.values(slopes.sum(1) + torch.linalg.slogdet(matrix)[1].to(points.device))


def affine_log_det(x: Any, y: Any) -> AffineVolume:
    """log|det A| of the affine map y ≈ Ax + b that fits best, for points of one dimension (§A1).

    Where the layer is affine it is log|det ∂y/∂x|. For others it is that of a mean derivative: A = E ∂y/∂x for normal x. How
    near the layer is to affine is R² = 1 − tr E rrᵀ/tr Cov(y), r the residuals, adjusted for the d + 1 numbers that are
    fitted per unit.

    Arguments:
        x, y: points (sample, unit) and where the layer took them, row by row.

    Returns:
        `AffineVolume`: NaN twice where there are fewer than d + 2 samples, or x lies on a hyperplane; −∞ for a
        singular A; R² is NaN where y is the same for all samples.

    Raises:
        InputError: NaN, different shapes.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> found = affine_log_det(x, x @ np.array([[2.0, 0.0], [5.0, 3.0]]) + 1.0)
        >>> round(found.log_det, 6), round(found.fit, 6)  # log 6
        (1.791759, 1.0)
    """
    rows, form = as_points("x", x, None)
    others, other_form = as_points("y", y, None, device=rows.device)
    if len(form.batch) != 1 or other_form.batch != form.batch or rows.shape != others.shape:
        found, wanted = ((*each.batch, part.shape[1]) for each, part in ((other_form, others), (form, rows)))
        raise InputError("y", Text(f"shape {found}"), f"the shape of x, {wanted}, (sample, unit)")
    n, d = rows.shape
    if n < d + 2:
        return AffineVolume(math.nan, math.nan)
    before, after = rows - rows.mean(0), others - others.mean(0)
    values, axes = torch.linalg.eigh(before.T @ before)
    if float(values[0]) <= ROUNDING * float(values[-1]):
        return AffineVolume(math.nan, math.nan)
    scores = before @ axes
    transposed = axes @ ((scores.T @ after) / values.unsqueeze(1))
    left = float((after - before @ transposed).square().sum()) / (n - d - 1)
    total = float(after.square().sum()) / (n - 1)
    fit = 1.0 - left / total if total > 0 else math.nan
    return AffineVolume(float(torch.linalg.slogdet(transposed)[1]), fit)
