"""Sums over pairs of points of a Gaussian kernel, and the entropy bounds made of them (§B4)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import row_blocks, squared_distances
from flowplane.information.known import Known

__all__ = ["Bounds", "Distances", "Kernel", "entropies", "repeated", "standard_error", "with_scale"]

#: Matrices up to this size are kept between passes over them.
KEPT_BYTES = 1 << 28


class Bounds(NamedTuple):
    """An upper and a lower bound in bits (2,), their standard errors, and each sample's share in them."""

    value: Float[Tensor, "2"]
    error: Float[Tensor, "2"]
    terms: Tensor = torch.empty(0, dtype=torch.float64, device="cpu")


class Distances:
    """d_ij/8s² between points, where s² is the unit of the noise's variance; a block of rows at a time, kept if it is small
    and asked for several times."""

    def __init__(self, t: Float[Tensor, "sample unit"], variance: float, keep: bool = False) -> None:
        self.t = (t - t.mean(0)) / math.sqrt(8 * variance)
        self.squares = self.t.square().sum(1)
        self.small = 8 * len(t) ** 2 <= KEPT_BYTES
        self._kept: dict[int, Tensor] | None = {} if keep and self.small else None

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Rows, and their distances from all points; a caller may change those that are not kept."""
        for rows in row_blocks(len(self.t), self.t.device):
            found = None if self._kept is None else self._kept.get(rows.start)
            if found is None:
                found = squared_distances(self.t, self.squares, rows)
                if self._kept is not None:
                    self._kept[rows.start] = found
            yield rows, found if self._kept is None else found.clone()

    def kept(self, rows: slice) -> Tensor | None:
        """Distances of these rows, if they were kept."""
        return None if self._kept is None else self._kept.get(rows.start)


class Kernel:
    """exp(−d/8σ²) and exp(−d/2σ²), the lower bound's kernel and the upper one's, for noise of this many units of variance;
    small matrices are kept for the next pass."""

    def __init__(self, distances: Distances, noise: float = 1.0) -> None:
        self.distances, self.noise = distances, noise
        self._kept: dict[int, tuple[slice, Tensor, Tensor]] | None = {} if distances.small else None

    def blocks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Rows, and both kernels between them and all points."""
        if self._kept:
            yield from self._kept.values()
            return
        for rows, found in self.distances.blocks():
            kernel = (found.neg_() if self.noise == 1.0 else found.mul_(-1.0 / self.noise)).exp_()
            block = rows, kernel, kernel.square().square_()
            if self._kept is not None:
                self._kept[rows.start] = block
            yield block

    def exponents(self, rows: slice, kernel: Tensor) -> Tensor:
        """d/8σ² of a block."""
        near = self.distances.kept(rows)
        return -kernel.clamp_min(1e-300).log() if near is None else near / self.noise

    def times(self, columns: Float[Tensor, "#2 sample column"]) -> Float[Tensor, "2 sample column"]:
        """Σ_j K_ij c_j for the upper bound's kernel and the lower bound's, each with columns of its own."""
        columns = columns.expand(2, -1, -1)
        found = columns.new_empty(columns.shape)
        for rows, lower, upper in self.blocks():
            found[1, rows] = lower @ columns[1]
            found[0, rows] = upper @ columns[0]
        return found


def with_scale(bounds: Bounds, rows: Kernel, density: Float[Tensor, "2 sample"], r: Tensor, known: Known) -> Bounds:
    """Bounds through noise that is a share of the samples' own total variance, which varies with the samples as well: each
    moves it by r_i − 1, and with it the bound by dI/d ln σ² = −Σ p_i (Σ_j p_j K_ij e_ij)/(Σ_j p_j K_ij), K = exp(−e).

    Arguments:
        density: Σ_j p_j K_ij.
        r: |t_i − m|² in units of the total variance.
    """
    slope = density.new_zeros(2)
    for part, lower, upper in rows.blocks():
        exponent = rows.exponents(part, lower)
        for which, own, times in ((1, lower, 1.0), (0, upper, 4.0)):
            pulled = (own * exponent) @ known.mass * times
            slope[which] -= (known.mass[part] * pulled / density[which, part].clamp_min(1e-300)).sum() / math.log(2.0)
    terms = bounds.terms + slope[:, None] * (r - 1.0)
    return Bounds(bounds.value, standard_error(terms, known), terms)


def entropies(rows: Kernel, density: Tensor, share: Float[Tensor, "sample class"], known: Known) -> Bounds:
    """−Σ_y Σ_i share_iy log2 g_y(t_i), and each sample's influence on it."""
    logs = density.clamp_min(1e-300).log2()
    value = -(share * logs).sum((1, 2))
    conditional = share / known.mass.clamp_min(1e-300)[:, None]
    pulled = rows.times(share / share.sum(0) / density.clamp_min(1e-300))
    terms = -(conditional * (logs + pulled / math.log(2.0))).sum(2)
    return Bounds(value, standard_error(terms, known), terms)


def standard_error(terms: Float[Tensor, "2 sample"], known: Known) -> Float[Tensor, "2"]:
    """Standard errors; NaN for samples with weights, which are not draws."""
    error = terms.std(1, correction=0) / math.sqrt(known.samples)
    return error if known.weights is None else torch.full_like(error, torch.nan)


def repeated(rows: Kernel, mass: Tensor, groups: Tensor | None) -> Float[Tensor, "2"] | None:
    """h(T+Z|X) − h(Z) where inputs repeat with different T: the same bounds on each x."""
    if groups is None:
        return None
    mass_x = torch.zeros_like(mass).index_add_(0, groups, mass)[groups]
    density = torch.empty((2, len(mass)), dtype=mass.dtype, device=mass.device)
    for part, lower, upper in rows.blocks():
        together = groups[part, None] == groups
        density[1, part] = (lower * together) @ mass / mass_x[part]
        density[0, part] = (upper * together) @ mass / mass_x[part]
    return -(density.clamp_min(1e-300).log2() @ mass)
