"""Information by denoising: the estimator that reads the first lens's plane through the second (§C)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bridge.gaussian import linear_bound
from flowplane.bridge.points import principal_axes
from flowplane.bridge.reading import Read, by_fitting, by_points
from flowplane.bridge.training import Schedule
from flowplane.core.points import check_not_negative, in_scale
from flowplane.errors import InputError, unknown
from flowplane.information.estimator import Estimator, constant_units, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.pairwise import LEAST, TOTAL, drawn_rows
from flowplane.information.probes.folds import held_together
from flowplane.information.schema import QUANTITIES

__all__ = ["DENOISERS", "POINTS", "Denoising", "Pointwise", "unit_variance"]

POINTS, LINEAR, LEARNED = DENOISERS = ("points", "linear", "learned")
#: The fewest independent samples for fitted denoisers, and the most: of more, this many are drawn.
FEWEST, ROWS = 50, 10_000
#: `saturated` where I(X;T) exceeds this share of H(X).
SATURATION = 0.99
#: `loose` above this many times the information of a normal with the samples' covariance.
LOOSE = 1.25


class Reading(NamedTuple):
    """Both quantities of batch members, and the noise of each in the units of its values."""

    i_xt: Read | None
    i_ty: Read | None
    noise: Float[Tensor, " batch"]


@dataclass(frozen=True)
class Denoising(Estimator):
    """Information by denoising: how well T is estimated from T + N(0, τI), over all τ above σ² (I-MMSE).

    I(X;T_σ²) = ½ ∫_σ²^∞ E|T − g_τ(T_τ)|²/τ² dτ, g_τ the posterior mean, where T is a function of x; I(T_σ²;Y) =
    ½ ∫ E|g_τ(T_τ) − g_τ(T_τ|Y)|²/τ² dτ, what knowing y adds. So the x-axis of the information plane is the area under a
    denoiser's error. It does not stop at log2 n, as estimators that compare samples with one another do, and needs neither
    bins nor neighbours.

    See also: `Pairwise`, bounds through the same channel; `fp.denoising_spectrum`, the integrand. docs/papers.md §C.

    References:
        Guo, Shamai and Verdú, *Mutual information and minimum mean-square error in Gaussian channels* (2005).
        Kong, Brekelmans and Ver Steeg, *Information-theoretic diffusion* (ICLR 2023), arXiv 2302.03792.
        Franzese, Bounoua and Michiardi, *MINDE* (ICLR 2024), arXiv 2310.09031.

    Arguments:
        noise_variance: σ² of the noise. 0 for I(T;Y), and for I(X;T) where T is not a function of the inputs, without
            noise: the limit σ² → 0. I(X;T) of a deterministic layer is infinite there.
        denoiser: "points": attention over the samples, exact for the law that lies on them; "linear": normals, of all
            samples and of each class; "learned": what networks add to these. Those two are judged on samples that they were
            not fitted to, and read the population. None: "points" where p(x) or the rule p(y|x) says that the samples are
            all the inputs there are, else "learned".
        relative: False, or "total": σ² is `noise_variance` times the sum of the units' variances at each snapshot, the
            resolution of §D1.
        deterministic: T is known to be a function of x; else the flag `not_a_function` says where the inputs show that it is
            not.

    With "points" everything is an estimate whose interval covers the error of the noise drawn, not that of samples
    from a larger population. Otherwise `i_xt` and `h_t` are upper bounds, in expectation; `i_ty` is what knowing y saves in
    the loss, for classes too low in expectation, and its interval also covers what the posterior itself expects.

    Flags: `saturated`, nearly every sample stands alone ("points"); `loose`, far above the normal with the samples'
    covariance; `not_converged`, two ways to read it lie far apart, networks were still learning, or found much more in the
    samples that they learned from; `impossible`, I(T;Y) above log2 of the classes: NaN; `too_few_samples`, below 50: NaN;
    `deterministic`, `no_noise`: without noise I(X;T) of a deterministic layer, and h(T), are not given; `constant_units`,
    `not_a_function`, `no_labels`, `no_inputs`, `weighted`.

    Raises:
        InputError: a variance below 0, an unknown denoiser, something other than False and "total".

    Example:
        >>> plane = Denoising(1.0, "points")([[-1.0], [1.0]], [0, 1])
        >>> round(float(plane.i_xt), 5), round(float(plane.i_ty), 5)
        (0.48594, 0.48594)
    """

    short_name: ClassVar[str] = "denoising"
    help: ClassVar[str] = "noise_variance=0.1, denoiser=points, linear or learned, relative=total"
    takes_targets: ClassVar[bool] = True
    takes_groups: ClassVar[bool] = True

    noise_variance: float
    denoiser: str | None = None
    relative: Literal[False] | str = False
    deterministic: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        variance = check_not_negative("noise_variance", self.noise_variance, "the variance of Gaussian noise, 0 or more")
        object.__setattr__(self, "noise_variance", variance)
        if self.denoiser is not None and self.denoiser not in DENOISERS:
            raise unknown("denoiser", self.denoiser, DENOISERS)
        if self.relative not in (False, TOTAL):
            raise InputError("relative", self.relative, f"False or {TOTAL!r}")
        if variance == 0.0 and self.denoiser == POINTS:
            wanted = (
                "above 0 for denoiser='points', whose distribution is discrete: without noise every point is distinguishable"
            )
            raise InputError("noise_variance", 0.0, wanted)

    @property
    def needs_function(self) -> bool:  # type: ignore[override]
        """With noise T is assumed to be a function of x; without any, inputs are taken as they are."""
        return self.noise_variance > 0

    @classmethod
    def usual(cls) -> Denoising:
        """Noise of a tenth of the layer's total variance, and normals alone: networks take seconds per layer."""
        return cls(0.1, LINEAR, TOTAL)

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "noise_variance", tuple((self.noise_variance or 1.0) * 10.0 ** (power / 2) for power in range(-4, 5))

    def kind(self, known: Known) -> str:
        """Which denoiser reads these samples."""
        return self.denoiser or (POINTS if known.law and self.noise_variance > 0 else LEARNED)

    def _about(self, known: Known) -> dict[str, Any]:
        kind, name = self.kind(known), "noise_variance"
        channel = (
            "none"
            if self.noise_variance == 0.0
            else f"Gaussian noise of variance {self.noise_variance:.6g} added to each unit"
        )
        if self.relative == TOTAL and self.noise_variance > 0:
            channel = f"Gaussian noise of {self.noise_variance:g} times the layer's total variance at that epoch"
            name = "resolution"
        x = "the samples are all the x there are" if kind == POINTS else "T is a function of x"
        if self.noise_variance == 0.0:
            x = "inputs as given"
        if (rows := self.rows(known)) is not None:
            x = f"{x}; {len(rows):,} of {known.samples:,} samples, drawn with seed {known.seed}"
        bound = "estimate" if kind == POINTS or self.noise_variance == 0.0 else "upper"
        return {
            "channel": channel,
            "denoiser": kind,
            "i_xt": {"bound": bound, "x": x},
            "h_t": {"bound": bound},
            "coords": {name: self.noise_variance},
        }

    def rows(self, known: Known) -> Int[Tensor, " row"] | None:
        """Rows that are drawn; None for all."""
        return None if self.kind(known) == POINTS else drawn_rows(ROWS, known)

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        rows, samples = self.rows(known), known.samples
        if rows is not None:
            values, known = values[:, rows], known.some(rows)
        scaled, power = unit_variance(values, known.mass)
        with torch.inference_mode(False):  # networks are trained
            read = self.read(scaled.clone(), known, power)
        missing = Quantity.missing(values)
        i_xt = missing if read.i_xt is None else read.i_xt.quantity
        i_ty = missing if read.i_ty is None else read.i_ty.quantity
        h_t = missing
        if self.noise_variance > 0:
            h_z = values.shape[2] * (0.5 * (2 * math.pi * math.e * read.noise).log2() + power.log2())
            h_t = Quantity(*(end + h_z for end in i_xt))
        impossible = (i_ty.value > known.most_of_labels + 1e-9) & (self.kind(known) != POINTS)
        i_ty = Quantity(*(torch.where(impossible, torch.nan, end) for end in i_ty))
        flags = self._flags(scaled, known, read, impossible)
        return Estimates(i_xt, i_ty, h_t, flags, self._each(read, rows, samples))

    def _each(self, read: Reading, rows: Int[Tensor, " row"] | None, samples: int) -> dict[str, Tensor]:
        """Further variables: none."""
        return {}

    def read(self, values: Float[Tensor, "batch sample unit"], known: Known, power: Float[Tensor, " batch"]) -> Reading:
        """Both quantities of batch members, with each sample's part; None where one cannot be given.

        Arguments:
            values: of total variance 1, in units of `power`.
        """
        kind = self.kind(known)
        noise = torch.full_like(power, self.noise_variance)
        if not self.relative and self.noise_variance > 0:
            noise = (math.sqrt(self.noise_variance) / power).square().clamp(LEAST, 1 / LEAST)
        if any(self.refused(known).values()):
            return Reading(None, None, noise)
        if kind == POINTS:
            return Reading(*by_points(values, known, noise), noise)
        if self.deterministic and self.noise_variance == 0.0:  # I(X;T) is infinite; equal inputs are held out together still
            known = replace(known, inputs=None)
        return Reading(*by_fitting(values, known, noise, self.relative == TOTAL, self.schedule(known)), noise)

    def refused(self, known: Known) -> dict[str, bool]:
        """Why denoisers that are fitted cannot read these samples."""
        fitted = self.kind(known) != POINTS or known.targets is not None
        few = fitted and int(held_together(known).max()) + 1 < FEWEST
        return {"too_few_samples": few, "weighted": fitted and known.weights is not None}

    def schedule(self, known: Known) -> Schedule | None:
        """Of networks that are trained; None for normals alone."""
        return Schedule() if self.kind(known) == LEARNED else None

    def limits(
        self, values: Float[Tensor, "batch sample unit"], known: Known, bits: Float[Tensor, " batch"], noise: Tensor
    ) -> dict[str, dict[str, Tensor]]:
        """Whether I(X;T) through noise, of values of total variance 1, is at the end of what can be estimated."""
        if self.kind(known) == POINTS:
            alone = bits >= SATURATION * known.input_entropy
            return {"saturated": dict.fromkeys(QUANTITIES, alone)}
        variances = (principal_axes(t, known.mass)[1] for t in values)
        levels = noise.expand(len(values))
        normal = torch.stack([linear_bound(part, level[None])[0] for part, level in zip(variances, levels, strict=True)])
        loose = bits * math.log(2.0) > LOOSE * normal
        return {"loose": {"i_xt": loose, "h_t": loose}}

    def _flags(self, values: Tensor, known: Known, read: Reading, impossible: Tensor) -> Tensor:
        without = self.noise_variance == 0.0
        parts = {"i_xt": read.i_xt, "i_ty": read.i_ty}
        apart = {name: part.apart for name, part in parts.items() if part is not None and part.apart is not None}
        ends = {}
        if read.i_xt is not None and not without:
            ends = self.limits(values, known, read.i_xt.quantity.value, read.noise)
        constant = constant_units(values)
        return raised(
            known,
            values,
            **ends,
            constant_units=constant.all(1) if self.relative == TOTAL else constant.any(1),
            not_converged=apart,
            impossible={"i_ty": impossible},
            **self.refused(known),
            no_noise={"h_t": without},
            deterministic=without and self.deterministic,
            no_inputs=without and not self.deterministic and known.inputs is None,
        )


@dataclass(frozen=True)
class Pointwise(Denoising):
    """`Denoising` with each sample's part, whose mean by p(x) the value is: `i_xt_each` and `i_ty_each` (…, sample).

    Example:
        >>> found = Pointwise(1.0, "points")([[-1.0], [1.0], [9.0]], [0, 1, 1])
        >>> found.i_xt_each.values.round(1).tolist(), found.i_ty_each.dims
        ([1.1, 1.1, 1.6], ('sample',))
    """

    def _about(self, known: Known) -> dict[str, Any]:
        attrs = {"units": "bits", "dims": ("sample",)}
        of = {"i_xt_each": "I(X;T)", "i_ty_each": "I(T;Y)"}
        more = {name: attrs | {"long_name": f"each sample's part of {quantity}"} for name, quantity in of.items()}
        return super()._about(known) | {"estimator": "Denoising", "more": more}

    def _each(self, read: Reading, rows: Int[Tensor, " row"] | None, samples: int) -> dict[str, Tensor]:
        found = {}
        for name, part in (("i_xt_each", read.i_xt), ("i_ty_each", read.i_ty)):
            each = torch.full((len(read.noise), samples), torch.nan, dtype=torch.float64, device=read.noise.device)
            if part is not None:
                each[:, slice(None) if rows is None else rows] = part.terms
            found[name] = each
        return found


def unit_variance(values: Float[Tensor, "batch sample unit"], mass: Float[Tensor, " sample"]) -> tuple[Tensor, Tensor]:
    """Values about their mean, with a total variance of 1, or 0 for a constant layer; and their unit."""
    scaled, power = in_scale(values, (1, 2))
    varies = scaled.amin(1, keepdim=True) < scaled.amax(1, keepdim=True)  # else a mean that is rounded makes it so
    centred = torch.where(varies, scaled - (mass[:, None] * scaled).sum(1, keepdim=True), 0.0)
    total = (mass[:, None] * centred.square()).sum((1, 2), keepdim=True).sqrt()
    total = torch.where(total > 0, total, 1.0)
    return centred / total, (power * total).flatten()
