"""A layer's rows as probes see them: rotated to their principal components, at one scale for all layers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["COMPONENTS", "SCALE", "components"]

#: The most principal components, and the total variance that rows are given.
COMPONENTS, SCALE = 160, 64.0


def components(values: Float[Tensor, "batch row unit"]) -> Float[Tensor, "batch row component"]:
    """Rows in their principal components, the largest first, scaled to a total variance of `SCALE`; no label is needed.

    A rotation, a shift and a scale, the same for all rows, pass nothing from one row to another row's probe that could
    reveal a label.

    Example:
        >>> turned = components(torch.tensor([[[3.0, 4.0], [-3.0, -4.0], [0.3, 0.4], [-0.3, -0.4]]]))
        >>> turned.var(1, correction=0).sum(1).round().tolist()
        [64.0]
    """
    rows = values.double()
    rows = rows - rows.mean(1, keepdim=True)
    largest = rows.abs().amax((1, 2), keepdim=True)
    rows = rows / torch.where(largest > 0, largest, 1.0)
    n, units = rows.shape[1:]
    if units <= n:
        squares, axes = torch.linalg.eigh(rows.mT @ rows)
        turned = rows @ axes.flip(2)[:, :, :COMPONENTS]
    else:
        squares, axes = torch.linalg.eigh(rows @ rows.mT)
        turned = axes.flip(2)[:, :, :COMPONENTS] * squares.flip(1)[:, None, :COMPONENTS].clamp_min(0).sqrt()
    total = rows.square().sum((1, 2), keepdim=True) / n
    return turned * (SCALE / torch.where(total > 0, total, 1.0)).sqrt()
