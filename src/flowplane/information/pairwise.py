"""Bounds from pairwise distances on the information that passes through Gaussian noise (§B4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import check_positive, row_blocks, squared_distances
from flowplane.core.renamed import renamed
from flowplane.errors import InputError, unknown
from flowplane.information.estimator import Estimates, Estimator, Known, Quantity, Z, constant_units, raised

__all__ = ["Pairwise"]

BOUNDS = ("upper", "lower")
#: Kernel matrices up to this size are kept between the two passes over them.
KEPT_BYTES = 1 << 28
#: `saturated` where the upper bound on I(X;T) exceeds this share of H(X). For normals in 1 to 20 dimensions, n from 200 to
#: 2000 and σ² from 0.02 to 2, the interval loses the value for all of the population between 0.95 and 0.98.
SATURATION = 0.9
#: Also where the upper bound on I(X;T|Y) exceeds this share of H(X|Y), and `too_few_samples` with so few samples a class. Of
#: labels that have nothing to do with T, a normal in the plane, n = 500 and 2 to 200 classes, the interval of I(T;Y) held 0
#: up to a share of 0.87 and with 10 samples a class, not from 0.89 on, nor with 5 a class and fewer at some variances.
IN_CLASS, FEW_IN_CLASS = 0.88, 6


#: Values of `relative`: to the variance of a unit at each snapshot, or over the whole recording.
UNIT, RECORDING = "unit", "recording"


@renamed
@dataclass(frozen=True)
class Pairwise(Estimator):
    """Kolchinsky and Tracey's bounds on the information in T + Z, Z ~ N(0, σ²I), where T is a function of x.

    With p_i = p(x_i) and d_ij = |t_i − t_j|², in nats:
    −Σ p_i ln Σ p_j exp(−d_ij/8σ²) ≤ I(X;T+Z) ≤ −Σ p_i ln Σ p_j exp(−d_ij/2σ²), the Bhattacharyya and the Kullback–Leibler
    distance between the noise around two points. I(T+Z;Y) is the difference of the same bound on h(T+Z) and on h(T+Z|Y), as
    Saxe et al. (2018) have it, which is no bound; `i_ty_lower` and `i_ty_upper` are made of opposite ones, which are.

    See also: Kolchinsky and Tracey, Entropy 19 (2017), arXiv 1706.02419. docs/papers.md §B4.

    Arguments:
        noise_variance: σ² of the noise, a coordinate of the result.
        bound: "upper" or "lower": which of the two is reported as the value.
        relative: False: σ² is `noise_variance`. "unit": σ² is `noise_variance` times the mean variance of the layer's units
            at each snapshot, each batch member, by itself, so that a layer whose values only grow or shrink knows as much as
            before. "recording": times that over the whole recording, on a bare array over the array.

    Every sample is its own x unless `inputs` repeat. The intervals hold both bounds and, beyond them, 95 % of the sampling
    error of samples drawn from a larger population (delta method). `saturated`: nearly every sample stands alone, among all
    or within its class; `too_few_samples`: six a class or fewer.

    Raises:
        InputError: a variance that is not above 0, an unknown bound, something else than False, "unit" and "recording".

    Example:
        >>> import numpy as np
        >>> t = np.array([[-1.0], [1.0]])
        >>> plane = Pairwise(0.01)(t, [0, 1])
        >>> float(plane.i_xt), float(plane.i_ty), float(plane.noise_variance)
        (1.0, 1.0, 0.01)
    """

    short_name: ClassVar[str] = "pairwise"
    help: ClassVar[str] = "noise_variance=0.1, bound=upper or lower, relative=unit or recording"
    needs_function: ClassVar[bool] = True

    noise_variance: float
    bound: str = "upper"
    relative: Literal[False] | str = False

    def __post_init__(self) -> None:
        variance = check_positive("noise_variance", self.noise_variance, "the variance of Gaussian noise, above 0")
        if self.bound not in BOUNDS:
            raise unknown("bound", self.bound, BOUNDS)
        object.__setattr__(self, "noise_variance", variance)
        if self.relative not in (False, UNIT, RECORDING):
            raise InputError("relative", self.relative, f"False, {UNIT!r} or {RECORDING!r}")

    def _fitted(self, activation: str | None, blocks: Callable[[], Iterator[Tensor]]) -> Self:
        """The estimator with σ² settled for one layer."""
        if self.relative != RECORDING:
            return self
        total, count = 0.0, 0
        for values in blocks():
            total += float(values.double().var(1, correction=0).mean()) * len(values)
            count += len(values)
        # a constant layer has no scale: any noise does
        return replace(self, noise_variance=self.noise_variance * (total / count or 1.0), relative=False)

    @classmethod
    def usual(cls) -> Pairwise:
        """A tenth of the mean variance of the layer's units as noise."""
        return cls(0.1, relative=RECORDING)

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "noise_variance", tuple(self.noise_variance * 10.0 ** (power / 2) for power in range(-6, 7))

    def _about(self, known: Known) -> dict[str, Any]:
        channel, name = f"Gaussian noise of variance {self.noise_variance:.6g} added to each unit", "noise_variance"
        if self.relative == UNIT:
            channel = f"Gaussian noise of {self.noise_variance:g} times the mean variance of the layer's units at that epoch"
            name = "relative_noise_variance"
        x = "every sample is its own x" if known.inputs is None else "equal inputs are one x"
        return {  # I(T;Y) is a difference of bounds, which is none
            "channel": channel,
            "i_xt": {"bound": self.bound, "x": x},
            "h_t": {"bound": self.bound},
            "coords": {name: self.noise_variance},
        }

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        members = [self._member(layer.double(), known) for layer in values]
        i_xt, i_ty, h_t = (Quantity.stacked(column) for column in zip(*(member[:3] for member in members), strict=True))
        alone = torch.stack([member[3] for member in members])
        symbols = known.symbols
        mass_x = known.mass if symbols is None else known.mass.new_zeros(known.samples).index_add_(0, symbols, known.mass)
        h_x = float(torch.special.entr(mass_x).sum() / math.log(2.0))
        top = i_xt.value if self.bound == "upper" else i_xt.upper
        alone_in_all = top >= SATURATION * h_x
        saturated = {"i_xt": alone_in_all, "i_ty": alone_in_all | (alone >= IN_CLASS), "h_t": alone_in_all}
        few = known.conditional is not None and known.samples <= FEW_IN_CLASS * known.conditional.shape[1]
        constant = constant_units(values).any(1)
        flags = raised(known, values, saturated=saturated, too_few_samples={"i_ty": few}, constant_units=constant)
        return Estimates(i_xt, i_ty, h_t, flags)

    def _member(self, t: Float[Tensor, "sample unit"], known: Known) -> tuple[Quantity, Quantity, Quantity, Tensor]:
        """I(X;T+Z), I(T+Z;Y) and h(T+Z) of one batch member in bits; the upper bound on I(X;T+Z|Y) as a share of H(X|Y)."""
        variance = self.noise_variance
        if self.relative == UNIT:  # a constant layer has no scale: any noise does
            variance *= float(t.var(0, correction=0).mean()) or 1.0
        rows = _Rows(t, variance)
        mass = known.mass
        share = mass[:, None] if known.conditional is None else mass[:, None] * known.conditional
        share = share[:, share.sum(0) > 0]
        prior = share.sum(0)
        groups = None if known.symbols is None or int(known.symbols.max()) + 1 == known.samples else known.symbols
        density = torch.cat([rows.times((share / prior)[None]), rows.times(mass[None, :, None])], 2)
        whole = _entropies(rows, density[:, :, -1:], mass[:, None], known)
        inside = _repeated(rows, mass, groups)
        h_z = 0.5 * t.shape[1] * math.log2(2 * math.pi * math.e * variance)
        h_t = self._between(whole)
        i_xt = h_t
        if inside is not None:  # the upper bound of one entropy less the lower bound of the other, and the other way round
            i_xt = self._between(_Bounds(whole.value - inside.flip(0), whole.error), plain=whole.value - inside)
        i_xt = Quantity(i_xt.value.clamp(min=0.0), i_xt.lower.clamp(min=0.0), i_xt.upper)
        entropy = Quantity(*(part + h_z for part in h_t))
        if known.conditional is None:
            nan = torch.full_like(i_xt.value, torch.nan)
            return i_xt, Quantity(nan, nan, nan), entropy, torch.zeros_like(nan)
        classes = _entropies(rows, density[:, :, :-1], share, known)
        terms = whole.terms - classes.terms
        error = _error(terms, known)
        crossed = _Bounds(whole.value - classes.value.flip(0), error)
        i_ty = self._between(crossed, plain=whole.value - classes.value)
        left = -torch.xlogy(share, share / prior).sum() / math.log(2.0)
        alone = classes.value[0] / left.clamp_min(1e-300)
        return i_xt, i_ty.within(0.0, known.label_entropy), entropy, alone

    def _between(self, bounds: _Bounds, plain: Tensor | None = None) -> Quantity:
        """The chosen one of both bounds as the value, and an interval that holds both and their sampling error."""
        value = (bounds.value if plain is None else plain)[BOUNDS.index(self.bound)]
        return Quantity(value, bounds.value[1] - Z * bounds.error[1], bounds.value[0] + Z * bounds.error[0])


class _Bounds(NamedTuple):
    """An upper and a lower bound in bits (2,), their standard errors, and each sample's part in them."""

    value: Float[Tensor, "2"]
    error: Float[Tensor, "2"]
    terms: Tensor = torch.empty(0)


class _Rows:
    """exp(−d/2σ²) and exp(−d/8σ²), a block of rows at a time; small matrices are kept for the second pass."""

    def __init__(self, t: Float[Tensor, "sample unit"], variance: float) -> None:
        self.t = (t - t.mean(0)) / math.sqrt(8 * variance)
        self.squares = self.t.square().sum(1)
        n = len(t)
        self.kept: dict[int, Tensor] | None = {} if 8 * n * n <= KEPT_BYTES else None

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """exp(−d/8σ²) of each block of rows."""
        for rows in row_blocks(len(self.t), self.t.device):
            if self.kept is not None and rows.start in self.kept:
                yield rows, self.kept[rows.start]
                continue
            kernel = squared_distances(self.t, self.squares, rows).neg_().exp_()
            if self.kept is not None:
                self.kept[rows.start] = kernel
            yield rows, kernel

    def times(self, columns: Float[Tensor, "#2 sample column"]) -> Float[Tensor, "2 sample column"]:
        """Σ_j K_ij c_j for the upper bound's kernel and the lower bound's, each with columns of its own."""
        columns = columns.expand(2, -1, -1)
        found = columns.new_empty(columns.shape)
        for rows, kernel in self.blocks():
            found[1, rows] = kernel @ columns[1]
            found[0, rows] = kernel.square().square_() @ columns[0]
        return found


def _entropies(rows: _Rows, density: Tensor, share: Float[Tensor, "sample class"], known: Known) -> _Bounds:
    """−Σ_y Σ_i share_iy log2 g_y(t_i), and each sample's influence on it."""
    logs = density.clamp_min(1e-300).log2()
    value = -(share * logs).sum((1, 2))
    conditional = share / known.mass.clamp_min(1e-300)[:, None]
    pulled = rows.times(share / share.sum(0) / density.clamp_min(1e-300))
    terms = -(conditional * (logs + pulled / math.log(2.0))).sum(2)
    return _Bounds(value, _error(terms, known), terms)


def _error(terms: Float[Tensor, "2 sample"], known: Known) -> Float[Tensor, "2"]:
    """Standard errors; NaN for samples with weights, which are no draws."""
    error = terms.std(1, correction=0) / math.sqrt(known.samples)
    return error if known.weights is None else torch.full_like(error, torch.nan)


def _repeated(rows: _Rows, mass: Tensor, groups: Tensor | None) -> Float[Tensor, "2"] | None:
    """h(T+Z|X) − h(Z) where inputs repeat with different T: the same bounds on each x."""
    if groups is None:
        return None
    mass_x = torch.zeros_like(mass).index_add_(0, groups, mass)[groups]
    density = torch.empty((2, len(mass)), dtype=mass.dtype, device=mass.device)
    for part, kernel in rows.blocks():
        same = kernel * (groups[part, None] == groups)
        density[1, part] = same @ mass / mass_x[part]
        density[0, part] = same.square().square_() @ mass / mass_x[part]
    return -(density.clamp_min(1e-300).log2() @ mass)
