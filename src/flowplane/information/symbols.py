"""Rows turned into symbols, symbols into entropies: the plug-in arithmetic of every estimator that counts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "combine",
    "entropies_with_label",
    "entropy_of_counts",
    "entropy_of_weights",
    "row_symbols",
    "symbols_from_columns",
]

#: Symbols stay below this, so that one more factor for the label still fits into 63 bits.
_EXACT = 1 << 62
#: An odd multiplier without structure (2^64 divided by the golden ratio), and the shift that brings high bits down.
_MIX = -7046029254386353131


def combine(symbols: Int[Tensor, "..."], more: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """One 64-bit symbol for a pair, by hashing: two different pairs among n meet with probability below n²/2⁶⁴."""
    mixed = symbols * _MIX
    mixed = mixed ^ ((mixed >> 32) & 0xFFFFFFFF)
    mixed = (mixed + more) * _MIX
    return mixed ^ ((mixed >> 29) & 0x7FFFFFFFF)


def symbols_from_columns(columns: Int[Tensor, "batch unit sample"], alphabet: int) -> tuple[Int[Tensor, "batch sample"], int]:
    """One symbol for each sample from its units' bins, and the number of possible symbols.

    Exact, in mixed radix, while alphabet^units fits; beyond that hashed, and the number is 0.
    """
    units = columns.shape[1]
    symbols = columns[:, 0].to(torch.int64)
    if alphabet**units <= _EXACT:
        for unit in range(1, units):
            symbols.mul_(alphabet).add_(columns[:, unit])
        return symbols, alphabet**units
    for unit in range(1, units):
        symbols = combine(symbols, columns[:, unit].to(torch.int64))
    return symbols, 0


def row_symbols(rows: Float[Tensor, "sample feature"]) -> Int[Tensor, " sample"]:
    """Equal rows get equal numbers from 0 on, different rows different ones."""
    bits = (rows.double() + 0.0).contiguous().view(torch.int64)  # + 0.0: −0 and 0 are the same input
    symbols = bits[:, 0].clone()
    for column in range(1, bits.shape[1]):
        symbols = combine(symbols, bits[:, column])
    return torch.unique(symbols, return_inverse=True)[1]


def _runs(symbols: Int[Tensor, "batch sample"]) -> Tensor:
    """Where the runs of equal symbols start in sorted rows, counted over all rows."""
    starts = torch.ones_like(symbols, dtype=torch.bool)
    torch.ne(symbols[:, 1:], symbols[:, :-1], out=starts[:, 1:])
    return torch.nonzero(starts.view(-1)).squeeze(1)


def _row_sums(terms: Float[Tensor, " run"], starts: Int[Tensor, " run"], batch: int, n: int) -> Float[Tensor, " batch"]:
    """The terms of each row's runs, summed."""
    edges = torch.searchsorted(starts, torch.arange(1, batch + 1, device=starts.device) * n)
    return torch.diff(terms.cumsum(0)[edges - 1], prepend=terms.new_zeros(1))


def sorted_rows(symbols: Int[Tensor, "batch sample"]) -> Int[Tensor, "batch sample"]:
    """Each row in increasing order; on a CPU NumPy's vectorised sort is several times faster than torch's."""
    if symbols.device.type == "cpu":
        return torch.from_numpy(np.sort(symbols.numpy(), axis=1))
    return torch.sort(symbols, dim=1).values


@lru_cache(maxsize=8)
def _count_log_count(n: int, device: torch.device) -> Float[Tensor, " count"]:
    """c·ln c for every count c from 0 to n."""
    counts = torch.arange(n + 1, dtype=torch.float64, device=device)
    return torch.xlogy(counts, counts)


def _plug_in(starts: Int[Tensor, " run"], batch: int, n: int) -> Float[Tensor, " batch"]:
    lengths = torch.diff(starts, append=starts.new_tensor([batch * n]))
    total = _row_sums(_count_log_count(n, starts.device)[lengths], starts, batch, n)
    return (np.log2(n) - total / (n * np.log(2.0))).clamp_(min=0.0)


def entropy_of_counts(symbols: Int[Tensor, "batch sample"]) -> Float[Tensor, " batch"]:
    """Plug-in entropy in bits of the symbols of each batch member, every sample equally likely."""
    return _plug_in(_runs(sorted_rows(symbols)), *symbols.shape)


def entropies_with_label(
    symbols: Int[Tensor, "batch sample"], labels: Int[Tensor, " sample"], bits: int
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """H(T) and H(T, Y) in bits from a single sort: the label, below 2^bits, makes the low bits of the joint symbol."""
    batch, n = symbols.shape
    ordered = sorted_rows((symbols << bits).add_(labels))
    joint = _runs(ordered)
    first = ordered.view(-1)[joint] >> bits
    new = torch.ones_like(first, dtype=torch.bool)
    torch.ne(first[1:], first[:-1], out=new[1:])
    new[torch.searchsorted(joint, torch.arange(batch, device=joint.device) * n)] = True
    return _plug_in(joint[new], batch, n), _plug_in(joint, batch, n)


def entropy_of_weights(
    symbols: Int[Tensor, "batch sample"], weights: Float[Tensor, "sample column"]
) -> Float[Tensor, " batch"]:
    """Entropy in bits of the pair (symbol, column), where a sample carries the given probability in each column."""
    batch, n = symbols.shape
    if symbols.device.type == "cpu":
        order = torch.from_numpy(np.argsort(symbols.numpy(), axis=1))
    else:
        order = torch.argsort(symbols, dim=1)
    starts = _runs(symbols.gather(1, order))
    ends = torch.cat([starts[1:] - 1, starts.new_tensor([batch * n - 1])])
    carried = weights[order]
    summed = carried.cumsum(1).view(-1, weights.shape[1])
    before = summed[starts].sub_(carried.view(-1, weights.shape[1])[starts])
    masses = summed[ends].sub_(before).clamp_(min=0.0)
    total = _row_sums(torch.special.entr(masses).sum(1), starts, batch, n)
    return (total / np.log(2.0)).clamp_(min=0.0)
