"""Entropies of cells by sorting 64-bit symbols: the path of a GPU, on whatever device the arrays are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["cell_statistics", "row_symbols"]

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
    bits = (rows.double() + 0.0).contiguous().view(torch.int64) if rows.is_floating_point() else rows  # −0 is 0
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


def _masses(
    symbols: Int[Tensor, "batch sample"], columns: Float[Tensor, "sample column"]
) -> tuple[Float[Tensor, "run column"], Int[Tensor, " run"], Int[Tensor, "batch sample"]]:
    """The mass of each different symbol of each member in each column, whose member it is, and the run of each sample."""
    batch, n = symbols.shape
    ordered, order = torch.sort(symbols, dim=1)
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    run = starts.view(-1).cumsum(0) - 1
    runs = int(run[-1]) + 1
    masses = columns.new_zeros((runs, columns.shape[1])).index_add_(0, run, columns[order.view(-1)])
    member = torch.zeros(runs, dtype=torch.int64, device=symbols.device)
    member[run] = torch.arange(batch, device=symbols.device).repeat_interleave(n)
    places = torch.empty_like(symbols).scatter_(1, order, run.view(batch, n))
    return masses, member, places


def _entropies(
    masses: Tensor, member: Tensor, total: Tensor, batch: int, tables: Tensor, constants: Tensor
) -> Float[Tensor, "batch table"]:
    """Entropies in bits of each member; whole masses are looked up."""
    if len(tables) == 0:
        terms = torch.xlogy(masses, masses).sum(1) / np.log(2.0)
        summed = masses.new_zeros(batch).index_add_(0, member, terms)
        return (torch.log2(total) - summed / total).clamp(min=0.0).unsqueeze(1)
    looked_up = tables[:, masses.round().long()].sum(2)
    return constants - masses.new_zeros((batch, len(tables))).index_add_(0, member, looked_up.T) / total


def cell_statistics(
    values: Float[Tensor, "batch unit sample"],
    edges: Float[Tensor, " edge"],
    weights: Float[Tensor, " sample"] | None,
    labels: Int[Tensor, " sample"] | None,
    rule: Float[Tensor, "sample class"] | None,
    inputs: Int[Tensor, " sample"] | None,
    tables: Float[Tensor, "table count"],
    constants: Float[Tensor, " table"],
) -> tuple[Float[Tensor, "batch 3 table"], Float[Tensor, "batch 4"]]:
    """As `flowplane.information.counting.cell_statistics`."""
    symbols = _cells(values, edges)
    batch, n = symbols.shape
    mass = torch.ones(n, dtype=torch.float64, device=values.device) if weights is None else weights
    total = mass.sum()
    lookup = tables if weights is None else tables[:0]
    entropies = torch.full((batch, 3, len(tables)), torch.nan, dtype=torch.float64, device=values.device)
    rest = torch.full((batch, 4), torch.nan, dtype=torch.float64, device=values.device)
    p_t, member, places = _masses(symbols, mass[:, None])

    def written(column: int, masses: Tensor, owner: Tensor, known: Tensor, terms: Tensor) -> None:
        """Entropies and the variance of the samples' terms into their places."""
        entropies[:, column] = _entropies(masses, owner, total, batch, known, constants)
        mean = terms @ mass / total
        rest[:, column] = (terms.square() @ mass / total - mean.square()).clamp(min=0.0)

    mass_t = p_t[places, 0]
    if weights is None:
        rest[:, 3] = (mass_t == 1.0).sum(1).double()
    written(0, p_t, member, lookup, torch.where(mass > 0, torch.log2(total / mass_t), 0.0))
    given = rule if labels is None or rule is not None else torch.nn.functional.one_hot(labels).double()
    if given is not None:
        columns = mass[:, None] * given
        p_ty, _, _ = _masses(symbols, columns)
        ratio = (p_ty * total / (p_t * columns.sum(0))).log2()
        terms = (torch.where(p_ty > 0, ratio, 0.0)[places] * given).sum(2)
        written(1, p_ty, member, lookup if rule is None else lookup[:0], terms)
    if inputs is not None:
        p_tx, owner, pairs = _masses(combine(symbols, inputs), mass[:, None])
        mass_x = torch.zeros(int(inputs.max()) + 1, dtype=torch.float64, device=values.device).index_add_(0, inputs, mass)
        terms = torch.log2(p_tx[pairs, 0] * total / (mass_t * mass_x[inputs]))
        written(2, p_tx, owner, lookup, torch.where(mass > 0, terms, 0.0))
    return entropies, rest
