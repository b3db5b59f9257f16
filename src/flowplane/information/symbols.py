"""Joint entropies of cells by sorting 64-bit symbols: the path of a GPU, on whatever device the arrays are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["joint_entropies", "row_symbols"]

#: An odd multiplier without structure: 2^64 divided by the golden ratio.
_MIX = -7046029254386353131


def combine(symbols: Int[Tensor, "*batch sample"], more: Int[Tensor, "*#batch sample"]) -> Int[Tensor, "*batch sample"]:
    """One 64-bit symbol for a pair, by hashing: two different pairs among n meet with probability below n²/2⁶⁴."""
    mixed = symbols * _MIX
    mixed = mixed ^ ((mixed >> 32) & 0xFFFFFFFF)
    mixed = (mixed + more) * _MIX
    return mixed ^ ((mixed >> 29) & 0x7FFFFFFFF)


def row_symbols(rows: Float[Tensor, "sample feature"] | Int[Tensor, "sample feature"]) -> Int[Tensor, " sample"]:
    """Equal rows get equal numbers from 0 on, different rows different ones."""
    bits = (rows.double() + 0.0).contiguous().view(torch.int64)  # + 0.0: −0 and 0 are the same input
    symbols = bits[:, 0].clone()
    for column in range(1, bits.shape[1]):
        symbols = combine(symbols, bits[:, column])
    return torch.unique(symbols, return_inverse=True)[1]


def _cells(values: Float[Tensor, "batch unit sample"], edges: Float[Tensor, " edge"]) -> Int[Tensor, "batch sample"]:
    """One symbol for each sample from its units' bins: in mixed radix while that fits, hashed beyond."""
    columns = torch.bucketize(values, edges[1:-1].contiguous(), right=True)
    bins, units = len(edges) - 1, values.shape[1]
    symbols = columns[:, 0].clone()
    for unit in range(1, units):
        symbols = symbols * bins + columns[:, unit] if bins**units < 1 << 63 else combine(symbols, columns[:, unit])
    return symbols


def _entropy(symbols: Int[Tensor, "batch sample"], columns: Float[Tensor, "sample column"]) -> Float[Tensor, " batch"]:
    """Entropy in bits of (symbol, column), where a sample carries the given mass in each column."""
    batch, n = symbols.shape
    ordered, order = torch.sort(symbols, dim=1)
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    run = starts.view(-1).cumsum(0) - 1
    runs = int(run[-1]) + 1
    masses = columns.new_zeros((runs, columns.shape[1])).index_add_(0, run, columns[order.view(-1)])
    member = torch.zeros(runs, dtype=torch.int64, device=symbols.device)
    member[run] = torch.arange(batch, device=symbols.device).repeat_interleave(n)
    total = columns.sum()
    summed = columns.new_zeros(batch).index_add_(0, member, torch.xlogy(masses, masses).sum(1))
    return (torch.log2(total) - summed / (total * np.log(2.0))).clamp(min=0.0)


def joint_entropies(
    values: Float[Tensor, "batch unit sample"],
    edges: Float[Tensor, " edge"],
    weights: Float[Tensor, " sample"] | None,
    labels: Int[Tensor, " sample"] | None,
    rule: Float[Tensor, "sample class"] | None,
    inputs: Int[Tensor, " sample"] | None,
) -> Float[Tensor, "batch 3"]:
    """H(T), H(T, Y), H(T, X) in bits of every batch member; NaN where labels and rule, or inputs, are None.

    `edges` run from −∞ to ∞. Labels and inputs are numbers from 0.
    """
    symbols = _cells(values, edges)
    n = symbols.shape[1]
    mass = torch.ones(n, dtype=torch.float64, device=values.device) if weights is None else weights
    results = torch.full((len(values), 3), torch.nan, dtype=torch.float64, device=values.device)
    results[:, 0] = _entropy(symbols, mass[:, None])
    if rule is not None:
        results[:, 1] = _entropy(symbols, mass[:, None] * rule)
    elif labels is not None:
        results[:, 1] = _entropy(combine(symbols, labels), mass[:, None])
    if inputs is not None:
        results[:, 2] = _entropy(combine(symbols, inputs), mass[:, None])
    return results
