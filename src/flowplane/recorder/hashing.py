"""Long rows made short by one fixed sparse random map, which keeps distances and nearly all that a probe reads."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["HASHED", "hashed"]

#: Numbers per row.
HASHED = 512


def hashed(rows: Float[Tensor, "*batch number"], size: int = HASHED) -> Float[Tensor, "*batch other"]:
    """Rows of at most `size` numbers: each number is added, with a sign, to one of them; place and sign are drawn once for
    all rows of equal length (feature hashing, Weinberger et al. 2009).

    Squared distances are kept in the mean over maps, with a relative deviation of about √(2/size).

    Example:
        >>> rows = torch.randn(2, 40_000, generator=torch.Generator().manual_seed(0))
        >>> few = hashed(rows)
        >>> few.shape, bool(abs((few[0] - few[1]).norm() / (rows[0] - rows[1]).norm() - 1) < 0.1)
        (torch.Size([2, 512]), True)
        >>> torch.equal(hashed(rows[:, :512]), rows[:, :512])
        True
    """
    if rows.shape[-1] <= size:
        return rows
    places, signs = _map(rows.shape[-1], size)
    few = rows.new_zeros(*rows.shape[:-1], size)
    return few.index_add_(rows.ndim - 1, places.to(rows.device), rows * signs.to(rows))


@lru_cache(64)
def _map(numbers: int, size: int) -> tuple[Int[Tensor, " number"], Int[Tensor, " number"]]:
    generator = torch.Generator().manual_seed(numbers)
    places = torch.randint(size, (numbers,), generator=generator, device="cpu")
    return places, 2 * torch.randint(2, (numbers,), generator=generator, device="cpu") - 1
