"""Sliced mutual information: information between one-dimensional projections (§B4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.points import check_count
from flowplane.core.renamed import renamed
from flowplane.core.results import Z
from flowplane.errors import InputError, Text, unknown
from flowplane.information.estimator import Continuous, Estimator, check_noise, constant_units, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.ksg import KSG
from flowplane.information.schema import FLAGS

__all__ = ["SlicedMI"]

REDUCTIONS = ("mean", "max")
#: A flag of the base is raised where more than this share of the slices has it.
FLAGGED = 0.05
#: Samples in each half that a slice is chosen or measured in.
FEWEST = 8
#: Directions from which the base's range or scale is taken.
CALIBRATING = 64
#: Values of slices that the base works on together.
BLOCK = 1 << 17


@renamed
@dataclass(frozen=True)
class SlicedMI(Continuous):
    """The mean, or the largest, of I(θ·X; φ·T) and I(φ·T; Y) over random directions θ and φ.

    One dimension at a time is estimated, so that the error does not grow with the dimension of the layer; in return it
    is an information of its own: at most Shannon's, zero where that is zero, and able to grow from layer to layer.

    See also: Goldfeld and Greenewald (2021), arXiv 2110.05279; Tsur et al. (2023), arXiv 2309.16200. docs/papers.md §B4.

    Arguments:
        base: the estimator of one-dimensional samples.
        slices: how many pairs of directions, drawn uniformly by the seed.
        reduce: "mean", or "max": the slice that is largest in one half of the samples, measured in the other, both ways
            round.
        noise_variance: of Gaussian noise added to each unit before slicing.
        deterministic: T is a function of x, as in a recording of `fp.train`: then I(X;T) is NaN without noise, unless the
            base has a channel of its own, as Binned.

    Intervals hold the base's own, averaged over slices, and for the mean what the choice of slices adds. Flags of the base
    are raised where more than 5 % of the slices have them.

    Raises:
        InputError: a base that is not an estimator, fewer than two slices, an unknown reduction.

    Example:
        >>> import numpy as np
        >>> t = np.random.default_rng(0).normal(size=(300, 3))
        >>> plane = SlicedMI(slices=8)(t, t[:, 0] > 0)
        >>> bool(0 < plane.i_ty < 1), plane.i_ty.base
        (True, 'KSG')
    """

    short_name: ClassVar[str] = "sliced"
    help: ClassVar[str] = "base=ksg, slices=64, reduce=mean or max"
    block_values: ClassVar[int] = 1 << 20  # of which each is held in as many slices as there are
    takes_weights: ClassVar[bool] = False

    base: Estimator = field(default_factory=KSG)
    slices: int = 64
    reduce: str = "mean"
    noise_variance: float | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.base, Estimator):
            raise InputError("base", Text(type(self.base).__name__), "an estimator such as fp.KSG()")
        object.__setattr__(self, "slices", check_count("slices", self.slices, 2))
        if self.reduce not in REDUCTIONS:
            raise unknown("reduce", self.reduce, REDUCTIONS)
        object.__setattr__(self, "noise_variance", check_noise(self.noise_variance))
        object.__setattr__(self, "deterministic", bool(self.deterministic))
        if isinstance(self.base, Continuous):
            # noise on every unit is noise of the same variance on every slice; and a slice is not a function of another
            noise_variance = self.base.noise_variance if self.noise_variance is None else self.noise_variance
            object.__setattr__(self, "noise_variance", noise_variance)
            object.__setattr__(self, "deterministic", self.deterministic or self.base.deterministic)
            object.__setattr__(self, "base", replace(self.base, noise_variance=None, deterministic=False))  # type: ignore[type-var]

    def _fitted(self, activation: str | None, blocks: Callable[[], Iterator[Tensor]]) -> Self:
        """The estimator with its base fixed on slices of the layer."""

        def slices() -> Iterator[Tensor]:
            for values in blocks():
                ahead = _directions(np.random.default_rng(0), CALIBRATING, values.shape[-1]).to(values.device)
                yield (values.double() @ ahead.T).transpose(-1, -2).reshape(-1, values.shape[-2], 1)

        return replace(self, base=self.base._fitted(None, slices))

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "slices", (4, 8, 16, 32, 64, 128)

    def _about(self, known: Known) -> dict[str, Any]:
        continuous = isinstance(self.base, Continuous)
        return {
            "channel": self._channel() if continuous else self.base._about(known)["channel"],
            "quantity": f"sliced information, {self.reduce} over {self.slices} pairs of directions",
            "base": type(self.base).__name__,
            "i_xt": {"x": self._x(known)},
        }

    def _labelling(self, known: Known) -> str:
        return self.base._labelling(known)

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        values = known.with_noise(values, self.noise_variance)
        infinite = isinstance(self.base, Continuous) and self.deterministic and self.noise_variance is None
        blocked = {"deterministic": infinite, "no_inputs": known.inputs is None and not infinite}
        unknown_x = any(blocked.values())
        rng = np.random.default_rng([known.seed, 2])
        ahead = _directions(rng, self.slices, values.shape[2]).to(values.device)
        behind = None
        if not unknown_x and known.inputs is not None:
            behind = _directions(rng, self.slices, known.inputs.shape[1]).to(values.device)
        projected = values @ ahead.T
        inputs = None if behind is None or known.inputs is None else known.inputs @ behind.T
        reduced = self._mean if self.reduce == "mean" else self._largest
        i_xt, i_ty, h_t, flags = reduced(projected, inputs, known)[:4]
        missing = Quantity.missing(values)
        own = raised(known, values, **blocked, constant_units=constant_units(values).any(1))
        # what the base says about missing inputs is said above, with the reason
        flags &= ~FLAGS.bits("no_inputs", "deterministic")
        return Estimates(missing if unknown_x else i_xt, i_ty, h_t, flags | own)

    def _slices(self, projected: Tensor, inputs: Tensor | None, known: Known) -> Estimates:
        """What the base finds, (slice, batch) in place of (batch): slices are more of a batch where it can take them so."""
        batch, n, slices = projected.shape
        many = max(1, BLOCK // (n * batch)) if self.base.takes_batched_inputs else 1
        found = []
        for first in range(0, slices, many):
            layers = projected[:, :, first : first + many].permute(2, 0, 1).contiguous().view(-1, n, 1)
            own = None
            if inputs is not None:
                own = inputs[:, first : first + many]
                if self.base.takes_batched_inputs:
                    own = own.T.repeat_interleave(batch, 0).unsqueeze(2)
            found.append(self.base._estimate(layers, replace(known, inputs=own)))
        return _joined(found, batch)

    def _mean(self, projected: Tensor, inputs: Tensor | None, known: Known) -> Estimates:
        found = self._slices(projected, inputs, known)
        quantities = []
        for value, lower, upper in found[:3]:
            chance = Z * value.std(0) / math.sqrt(self.slices)
            mean = value.mean(0)
            below, above = ((end - value).abs().mean(0) for end in (lower, upper))
            quantities.append(Quantity(mean, mean - torch.hypot(below, chance), mean + torch.hypot(above, chance)))
        return Estimates(quantities[0], quantities[1], quantities[2], _common(found.flags))

    def _largest(self, projected: Tensor, inputs: Tensor | None, known: Known) -> Estimates:
        """The slice is chosen in one half and measured in the other; the upper end holds the largest over all samples."""
        whole = self._slices(projected, inputs, known)
        if known.samples < 2 * FEWEST:  # too few to choose in one half and measure in the other
            nan = Quantity.missing(projected).value
            i_xt, i_ty, h_t = (Quantity(quantity.value.amax(0), nan, nan) for quantity in whole[:3])
            return Estimates(i_xt, i_ty, h_t, _common(whole.flags) | FLAGS.bits("too_few_samples"))
        order = torch.from_numpy(np.random.default_rng([known.seed, 3]).permutation(known.samples)).to(projected.device)
        halves = [
            self._slices(projected[:, part], None if inputs is None else inputs[part], _part(known, part))
            for part in (order[: known.samples // 2], order[known.samples // 2 :])
        ]
        quantities = []
        for all_samples, *in_halves in zip(whole[:3], halves[0][:3], halves[1][:3], strict=True):
            crossed = []
            for choosing, measuring in (in_halves, in_halves[::-1]):
                place = choosing.value.nan_to_num(-math.inf).argmax(0, keepdim=True)
                crossed.append(Quantity(*(end.gather(0, place)[0] for end in measuring)))
            value, lower, upper = (end.mean(0) for end in Quantity.stacked(crossed))
            quantities.append(Quantity(value, lower, torch.maximum(upper, all_samples.value.amax(0))))
        return Estimates(quantities[0], quantities[1], quantities[2], _common(whole.flags))


def _joined(found: list[Estimates], batch: int) -> Estimates:
    """Several (slice · batch) as one (slice, batch)."""
    i_xt, i_ty, h_t = (
        Quantity(*(torch.cat(ends).unflatten(0, (-1, batch)) for ends in zip(*(part[place] for part in found), strict=True)))
        for place in range(3)
    )
    return Estimates(i_xt, i_ty, h_t, torch.cat([part.flags for part in found], 1).unflatten(1, (-1, batch)))


def _directions(rng: np.random.Generator, count: int, dimension: int) -> Float[Tensor, "slice feature"]:
    """Uniform on the unit sphere."""
    drawn = rng.normal(size=(count, dimension))
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _part(known: Known, places: Tensor) -> Known:
    """What is known about some of the samples."""
    inputs, rule = (None if part is None else part[places] for part in (known.inputs, known.rule))
    classes = None if known.classes is None else torch.unique(known.classes[places], return_inverse=True)[1]
    return Known(len(places), inputs, classes, rule, None, known.device, known.seed)


def _common(flags: Int[Tensor, "3 slice batch"]) -> Int[Tensor, "3 batch"]:
    """The flags that more than a few of the slices raise."""
    common = torch.zeros_like(flags[:, 0])
    for name in FLAGS:
        bit = FLAGS.bits(name)
        common += ((flags & bit) > 0).double().mean(1).gt(FLAGGED) * bit
    return common
