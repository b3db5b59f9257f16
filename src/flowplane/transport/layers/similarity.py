"""How alike two layers are, however each is turned and scaled: linear centred kernel alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_points
from flowplane.errors import InputError, Text

__all__ = ["cka", "cka_matrix"]

#: Bytes of the blocks of all layers' Gram matrices that are held together.
BLOCK_BYTES = 1 << 26


def cka(x: Any, y: Any) -> float:
    """Linear centred kernel alignment of two layers, by the unbiased estimate of HSIC.

    CKA = HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)) with K = xxᵀ and L = yyᵀ: 1 where y is x shifted, turned and scaled, 0 on
    average for independent layers, even where there are more units than samples. An estimate may be slightly below 0.

    References:
        Kornblith, Norouzi, Lee, Hinton, *Similarity of Neural Network Representations Revisited*, ICML 2019,
        arXiv 1905.00414. Song et al., *Feature selection via dependence maximization*, JMLR 13 (2012): the estimate.

    Arguments:
        x, y: activations (sample, unit), row i the same sample in both; widths may differ; four samples or more.

    Returns:
        A number without unit, at most 1; NaN where a layer is the same for all samples.

    Raises:
        InputError: no points, NaN, another number of samples, fewer than four.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> round(cka(x, 5.0 - 2.0 * x[:, [1, 2, 0]]), 9)
        1.0
    """
    return float(cka_matrix([x, y])[0, 1])


def cka_matrix(layers: Sequence[Any]) -> Float[np.ndarray, "layer other"]:
    """`cka` between all pairs of layers, in memory that depends neither on their widths nor on the square of the samples.

    Arguments:
        layers: activations (sample, unit), one array per layer, row i the same sample in all.

    Returns:
        A symmetric matrix, 1 on the diagonal; NaN in the row and the column of a layer that is the same for all samples.

    Raises:
        InputError: no layers, NaN, another number of samples, fewer than four.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> cka_matrix([x, 3 * x, np.ones((50, 2))]).round(6).tolist()
        [[1.0, 1.0, nan], [1.0, 1.0, nan], [nan, nan, nan]]
    """
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Sequence) or not layers:
        raise InputError("layers", Text(type(layers).__name__), "a list of arrays (sample, unit), one or more")
    rows = [_centred(f"layers[{k}]", layer) for k, layer in enumerate(layers)]
    n = len(rows[0])
    for k, other in enumerate(rows):
        if len(other) != n or n < 4:
            raise InputError(f"layers[{k}]", Text(f"{len(other)} samples"), f"{max(n, 4)} samples, the same in all layers")
    hsic = _hsic(rows).cpu().numpy()
    own = np.sqrt(np.where(np.diag(hsic) > 0, np.diag(hsic), np.nan))
    found = np.clip(hsic / np.outer(own, own), -1.0, 1.0)
    np.fill_diagonal(found, np.where(np.isnan(own), np.nan, 1.0))
    return found


def _hsic(rows: list[Float[Tensor, "sample _"]]) -> Float[Tensor, "layer other"]:
    """n(n − 3) times HSIC: tr K̃L̃ + 1ᵀK̃1·1ᵀL̃1/((n − 1)(n − 2)) − 2/(n − 2)·1ᵀK̃L̃1, K̃ being K without its diagonal."""
    n, count = len(rows[0]), len(rows)
    products = rows[0].new_zeros((count, count))
    step = max(1, min(n, BLOCK_BYTES // (8 * n * count)))
    for first in range(0, n, step):
        block = torch.stack([layer[first : first + step] @ layer.T for layer in rows])
        place = torch.arange(block.shape[1], device=block.device)
        block[:, place, first + place] = 0.0
        flat = block.flatten(1)
        products += flat @ flat.T
    squares = torch.stack([layer.square().sum(1) for layer in rows])
    sums = torch.stack([layer @ layer.sum(0) for layer in rows]) - squares
    totals = sums.sum(1)
    return products + torch.outer(totals, totals) / ((n - 1) * (n - 2)) - 2 / (n - 2) * sums @ sums.T


def _centred(name: str, value: Any) -> Float[Tensor, "sample unit"]:
    """About the mean and of mean square 1, which changes nothing but the rounding; 0 where it is rounding."""
    points, form = as_points(name, value, None)
    if len(form.batch) != 1:
        raise InputError(name, Text(f"shape {(*form.batch, points.shape[1])}"), "(sample, unit)")
    largest = points.abs().max()
    centred = points - points.mean(0)
    size = centred.square().mean().sqrt()
    return centred / size if bool(size > 1e-12 * largest) else torch.zeros_like(points)
