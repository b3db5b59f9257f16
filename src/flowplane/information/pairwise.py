"""Bounds from pairwise distances on the information that passes through Gaussian noise (§B4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.points import check_count, check_positive, in_scale
from flowplane.core.renamed import renamed
from flowplane.core.results import Z
from flowplane.core.streams import SUBSETS, generator
from flowplane.errors import InputError, unknown
from flowplane.information.estimator import Estimator, constant_units, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.pairwise_kernel import Bounds, Distances, Kernel, entropies, repeated, standard_error, with_scale

__all__ = ["Pairwise", "Spread", "drawn_rows"]

BOUNDS = ("upper", "lower")
#: `saturated` where the upper bound on I(X;T) exceeds this share of H(X). For normals in 1 to 20 dimensions, n from 200 to
#: 2000 and σ² from 0.02 to 2, the interval loses the value for all of the population between 0.95 and 0.98.
SATURATION = 0.9
#: Also where the upper bound on I(X;T|Y) exceeds this share of H(X|Y), and `too_few_samples` with so few per class. For
#: labels that have nothing to do with T, a normal in the plane, n = 500 and 2 to 200 classes, the interval of I(T;Y) held 0
#: up to a share of 0.87 and with 10 samples per class, not from 0.89 on, nor with 5 per class or fewer at some variances.
IN_CLASS, FEW_IN_CLASS = 0.88, 6


#: Values of `relative`: to the mean variance of a unit or the sum of all, at each snapshot; to the mean over the recording.
UNIT, TOTAL, RECORDING = "unit", "total", "recording"
#: The most rows; if there are more, they are drawn, unless they are the whole law of X.
ROWS = 4096
#: `width_limited` where the noise per unit is so large that the bound is this near to its limit, (Σ of the units'
#: variances)/σ² nats for the upper one. `few_directions` where (tr C)²/tr C² is below this, in layers of as many units.
LINEAR, DIRECTIONS, UNITS = 0.95, 2.0, 4
#: Noise below this variance, where the layer's values are about 1, makes every sample stand alone; so does this one.
LEAST = 1e-200


@renamed
@dataclass(frozen=True)
class Pairwise(Estimator):
    """Kolchinsky and Tracey's bounds on the information in T + Z, Z ~ N(0, σ²I), where T is a function of x.

    With p_i = p(x_i) and d_ij = |t_i − t_j|², in nats:
    −Σ p_i ln Σ p_j exp(−d_ij/8σ²) ≤ I(X;T+Z) ≤ −Σ p_i ln Σ p_j exp(−d_ij/2σ²), the Bhattacharyya and the Kullback–Leibler
    distance between the noise around two points. I(T+Z;Y) is the difference of the same bound on h(T+Z) and on h(T+Z|Y), as
    in Saxe et al. (2018), which is not a bound; `i_ty_lower` and `i_ty_upper` combine opposite ones, and are bounds.

    See also: Kolchinsky and Tracey, Entropy 19 (2017), arXiv 1706.02419. docs/papers.md §B4.

    Arguments:
        noise_variance: σ² of the noise, a coordinate of the result.
        bound: "upper" or "lower": which of the two is reported as the value.
        relative: False: σ² is `noise_variance`. "unit": σ² is `noise_variance` times the mean variance of the layer's units
            at each snapshot, each batch member, by itself, so that a layer whose values only grow or shrink knows as much as
            before. "total": times the sum of the units' variances: `noise_variance` is then the resolution c of §D1, which
            means the same in a layer of ten units and one of a thousand: units that are repeated, turned, scaled or added
            without any variance change nothing. "recording": as "unit", over the whole recording, on a bare array over the
            array.
        deterministic: T is known to be a function of x; else the flag `not_a_function` says where the inputs show that it is
            not: equal or near ones with different T.
        rows: the most samples; None for all. From more, this many are drawn by the seed, the same in all layers and epochs,
            unless `conditional` or `probability` say that they are the whole law of X; the attribute `x` says so.

    Every sample is its own x unless `inputs` repeat. The intervals hold both bounds and, beyond them, 95 % of the sampling
    error of samples drawn from a larger population (delta method); `i_xt_error` is the standard error of the one bound that
    is the value. Flags: `saturated`, nearly every sample stands alone, among all or within its class; `too_few_samples`, six
    per class or fewer; with `relative="total"` `few_directions`, the layer's variance lies in fewer than two directions, and
    `dominant_unit` is the unit that holds half of it, −1 for none; otherwise `width_limited`, the value is within 5 % of
    what it tends to under large noise, which only adds up variances.

    Raises:
        InputError: a variance that is not above 0, an unknown bound, something other than False, "unit", "total" and
            "recording", fewer than two rows.

    Example:
        >>> import numpy as np
        >>> t = np.array([[-1.0], [1.0]])
        >>> plane = Pairwise(0.01)(t, [0, 1])
        >>> float(plane.i_xt), float(plane.i_ty), float(plane.noise_variance)
        (1.0, 1.0, 0.01)
    """

    short_name: ClassVar[str] = "pairwise"
    help: ClassVar[str] = "noise_variance=0.1, bound=upper or lower, relative=unit, total or recording"
    needs_function: ClassVar[bool] = True

    noise_variance: float
    bound: str = "upper"
    relative: Literal[False] | str = False
    rows: int | None = field(default=ROWS, repr=False)
    deterministic: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        variance = check_positive("noise_variance", self.noise_variance, "the variance of Gaussian noise, above 0")
        if self.bound not in BOUNDS:
            raise unknown("bound", self.bound, BOUNDS)
        object.__setattr__(self, "noise_variance", variance)
        if self.rows is not None:
            object.__setattr__(self, "rows", check_count("rows", self.rows, 2))
        if self.relative not in (False, UNIT, TOTAL, RECORDING):
            raise InputError("relative", self.relative, f"False, {UNIT!r}, {TOTAL!r} or {RECORDING!r}")

    def _fitted(self, activation: str | None, blocks: Callable[[], Iterator[Tensor]]) -> Self:
        """The estimator with σ² fixed for one layer."""
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
        if self.relative == TOTAL:
            channel = f"Gaussian noise of {self.noise_variance:g} times the layer's total variance at that epoch"
            name = "resolution"
        x = "every sample is its own x" if known.inputs is None else "equal inputs are one x"
        if (rows := drawn_rows(self.rows, known)) is not None:
            x = f"{x}; {len(rows):,} of {known.samples:,} samples, drawn with seed {known.seed}"
        return {  # I(T;Y) is a difference of bounds, which is not a bound
            "channel": channel,
            "i_xt": {"bound": self.bound, "x": x},
            "h_t": {"bound": self.bound},
            "more": {
                "i_xt_error": {"units": "bits", "long_name": f"I(X;T), standard error of the {self.bound} bound"},
                "dominant_unit": {"long_name": "unit that holds half of the variance, -1 for none"},
            },
            "coords": {name: self.noise_variance},
        }

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        if (rows := drawn_rows(self.rows, known)) is not None:
            values, known = values[:, rows], known.some(rows)
        parts = []
        for layer in values:
            spread = Spread(layer, known)
            parts.append(self.member(spread, Distances(spread.t, self._variance(spread)), known))
        return Estimates.together(parts)

    def _variance(self, spread: Spread) -> float:
        """σ², in the units of `spread.t`; a constant layer has no scale: any noise does."""
        if self.relative == UNIT:
            return self.noise_variance * (spread.total / spread.t.shape[1] or 1.0)
        if self.relative == TOTAL:
            return self.noise_variance * (spread.total or 1.0)
        deviation = math.sqrt(self.noise_variance) / spread.power
        return min(max(deviation * deviation, LEAST), 1 / LEAST)

    def member(self, spread: Spread, distances: Distances, known: Known, noise: float = 1.0) -> Estimates:
        """The estimate of one batch member.

        Arguments:
            distances: over eight variances of the noise, or of `noise` times less.
        """
        variance = self._variance(spread)
        rows = Kernel(distances, noise)
        mass = known.mass
        share = mass[:, None] if known.conditional is None else mass[:, None] * known.conditional
        share = share[:, share.sum(0) > 0]
        prior = share.sum(0)
        groups = None if known.symbols is None or int(known.symbols.max()) + 1 == known.samples else known.symbols
        columns = mass[None, :, None]
        if known.conditional is not None:
            columns = torch.cat([(share / prior)[None], columns], 2)
        density = rows.times(columns)
        whole = entropies(rows, density[:, :, -1:], mass[:, None], known)
        if self.relative == TOTAL:
            whole = with_scale(whole, rows, density[:, :, -1], spread.shares, known)
        inside = repeated(rows, mass, groups)
        units = spread.t.shape[1]
        spread_of_noise = math.log2(self.noise_variance) / 2
        if self.relative:
            spread_of_noise = math.log2(variance) / 2 + math.log2(spread.power)
        h_z = units * (0.5 * math.log2(2 * math.pi * math.e) + spread_of_noise)
        h_t = self._between(whole)
        i_xt = h_t
        if inside is not None:  # the upper bound of one entropy less the lower bound of the other, and the other way round
            i_xt = self._between(Bounds(whole.value - inside.flip(0), whole.error), plain=whole.value - inside)
        i_xt = Quantity(i_xt.value.clamp(min=0.0), i_xt.lower.clamp(min=0.0), i_xt.upper.clamp(min=0.0))
        entropy = Quantity(*(part + h_z for part in h_t))
        i_ty, alone = Quantity(*(torch.full_like(i_xt.value, torch.nan) for _ in range(3))), torch.zeros_like(i_xt.value)
        if known.conditional is not None:
            classes = entropies(rows, density[:, :, :-1], share, known)
            terms = whole.terms - classes.terms
            crossed = Bounds(whole.value - classes.value.flip(0), standard_error(terms, known))
            i_ty = known.counted(self._between(crossed, plain=whole.value - classes.value))
            left = -torch.xlogy(share, share / prior).sum() / math.log(2.0)
            alone = classes.value[0] / left.clamp_min(1e-300)
        more = {"i_xt_error": whole.error[BOUNDS.index(self.bound)]}
        if self.relative == TOTAL:
            more["dominant_unit"] = torch.tensor(spread.unit, device="cpu")
        flags = self._flags(spread, variance, (i_xt, alone), known)
        plane = [Quantity(*(end.reshape(1) for end in each)) for each in (i_xt, i_ty, entropy)]
        return Estimates(plane[0], plane[1], plane[2], flags, {name: each.reshape(1) for name, each in more.items()})

    def _flags(self, spread: Spread, variance: float, found: tuple[Quantity, Tensor], known: Known) -> Tensor:
        (i_xt, alone), t = found, spread.t
        top = i_xt.value if self.bound == "upper" else i_xt.upper
        alone_in_all = top >= SATURATION * known.input_entropy
        few = known.conditional is not None and known.samples <= FEW_IN_CLASS * known.conditional.shape[1]
        share_only = spread.total / (variance * math.log(2.0)) / (1.0 if self.bound == "upper" else 4.0)
        wide = self.relative != TOTAL and spread.total > 0 and float(i_xt.value) >= LINEAR * share_only
        narrow = self.relative == TOTAL and t.shape[1] >= UNITS and spread.directions < DIRECTIONS
        return raised(
            known,
            t[None],
            saturated={"i_xt": alone_in_all, "i_ty": alone_in_all | (alone >= IN_CLASS), "h_t": alone_in_all},
            too_few_samples={"i_ty": few},
            # of the total variance constant units have no share
            constant_units=constant_units(t[None]).any(1) if self.relative != TOTAL else spread.total == 0.0,
            width_limited={"i_xt": wide, "i_ty": wide},
            few_directions={"i_xt": narrow, "i_ty": narrow},
        )

    def _between(self, bounds: Bounds, plain: Tensor | None = None) -> Quantity:
        """The chosen one of both bounds as the value, and an interval that holds both and their sampling error."""
        value = (bounds.value if plain is None else plain)[BOUNDS.index(self.bound)]
        return Quantity(value, bounds.value[1] - Z * bounds.error[1], bounds.value[0] + Z * bounds.error[0])


class Spread:
    """How a layer's samples, with their probabilities, spread about their mean."""

    def __init__(self, t: Float[Tensor, "sample unit"], known: Known) -> None:
        #: The samples, divided by `power` where their squares would overflow or vanish.
        self.t, power = in_scale(t, (0, 1))
        self.power, t = float(power), self.t
        varies = t.amin(0) < t.amax(0)  # otherwise a rounded mean would move it
        self._centred = torch.where(varies, t - known.mass @ t, 0.0)
        self._weighted = self._centred * known.mass.sqrt()[:, None]
        self._variances = self._weighted.square().sum(0)
        #: tr C of the covariance.
        self.total = float(self._variances.sum())

    @property
    def unit(self) -> int:
        """The unit that holds half of tr C, −1 for none."""
        largest = int(self._variances.argmax())
        return largest if self.total > 0.0 and float(self._variances[largest]) >= 0.5 * self.total else -1

    @cached_property
    def directions(self) -> float:
        """(tr C)²/tr C², how many equal directions would hold as much."""
        rows = self._weighted
        if self.total == 0.0 or not math.isfinite(self.total):
            return float(rows.shape[1]) if self.total == 0.0 else math.nan
        gram = rows.mT @ rows if rows.shape[1] <= len(rows) else rows @ rows.mT
        return self.total**2 / float(gram.square().sum())

    @cached_property
    def shares(self) -> Float[Tensor, " sample"]:
        """|t_i − m|²/tr C of each sample."""
        return self._centred.square().sum(1) / self.total if self.total else torch.ones_like(self._centred[:, 0])


def drawn_rows(most: int | None, known: Known) -> Int[Tensor, " row"] | None:
    """Rows that are drawn where there are too many and they are not the whole law of X; None for all."""
    if most is None or known.samples <= most or known.law:
        return None
    drawn = generator(known.seed, SUBSETS).choice(known.samples, most, replace=False)
    return torch.from_numpy(np.sort(drawn)).to(known.device)
