"""What estimators are given about the samples, and the numbers that they answer with: values, intervals, flags."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.results import Z
from flowplane.information.function import Near, near_pairs

__all__ = ["Estimates", "Known", "Quantity"]


class Quantity(NamedTuple):
    """One number per batch member and the interval around it, in bits; NaN where there is none."""

    value: Float[Tensor, " batch"]
    lower: Float[Tensor, " batch"]
    upper: Float[Tensor, " batch"]

    @classmethod
    def missing(cls, values: Tensor) -> Quantity:
        """NaN for each member of `values` (batch, …)."""
        nan = torch.full((len(values),), torch.nan, dtype=torch.float64, device=values.device)
        return cls(nan, nan, nan)

    @classmethod
    def stacked(cls, members: Sequence[Quantity]) -> Quantity:
        """One along a new first dimension for several."""
        return cls(*(torch.stack(end) for end in zip(*members, strict=True)))

    @classmethod
    def joined(cls, members: Sequence[Quantity]) -> Quantity:
        """One batch from its parts."""
        return cls(*(torch.cat(end) for end in zip(*members, strict=True)))

    @classmethod
    def around(cls, value: Tensor, error: Tensor, below: Tensor | float = 0.0, above: Tensor | float = 0.0) -> Quantity:
        """A value with `Z` standard errors on either side, and a known bias beyond: `below` and `above` are ≥ 0."""
        return cls(value, value - Z * error - below, value + Z * error + above)

    def within(self, low: float | Tensor, high: float | Tensor) -> Quantity:
        """The interval cut to what is possible; the value as well."""
        floor, ceiling = (torch.as_tensor(end, dtype=torch.float64, device=self.value.device) for end in (low, high))
        return Quantity(*(part.clamp(floor, ceiling) for part in self))

    def of_draws(self, known: Known) -> Quantity:
        """Samples that carry weights are not draws from a population: no interval."""
        if known.weights is None:
            return self
        nan = torch.full_like(self.value, torch.nan)
        return Quantity(self.value, nan, nan)

    def hull(self, other: Quantity) -> Quantity:
        """The same value, the interval widened to hold the other's as well."""
        return Quantity(self.value, torch.fmin(self.lower, other.lower), torch.fmax(self.upper, other.upper))


class Estimates(NamedTuple):
    """What an estimator finds for a block of batch members, in bits; the flags are those of the three quantities.

    All may have more dimensions behind the batch, which `_about` names under `dims`. `more` are further variables by name,
    (batch, …) over dimensions of their own.
    """

    i_xt: Quantity
    i_ty: Quantity
    h_t: Quantity
    flags: Int[Tensor, "3 batch"]
    more: Mapping[str, Tensor] = {}

    @classmethod
    def together(cls, parts: Sequence[Estimates]) -> Estimates:
        """Those of one batch, from those of its parts."""
        i_xt, i_ty, h_t = (Quantity.joined(quantity) for quantity in zip(*(part[:3] for part in parts), strict=True))
        more = {name: torch.cat([part.more[name] for part in parts]) for name in parts[0].more}
        return cls(i_xt, i_ty, h_t, torch.cat([part.flags for part in parts], 1), more)


@dataclass(frozen=True)
class Known:
    """What is known about the samples besides the activations, checked; the same for the whole batch."""

    samples: int
    inputs: Float[Tensor, "sample feature"] | None
    classes: Int[Tensor, " sample"] | None
    rule: Float[Tensor, "sample class"] | None
    weights: Float[Tensor, " sample"] | None  # None where uniform
    device: torch.device
    seed: int = 0
    #: Of labels that are not classes.
    targets: Float[Tensor, "sample target"] | None = None
    #: Rows that belong to one sample, such as its tokens.
    groups: Int[Tensor, " sample"] | None = None
    #: A number from 0 on for each distinct input.
    symbols: Int[Tensor, " sample"] | None = None
    #: Whether the samples are all possible inputs.
    law: bool = False

    @property
    def labelled(self) -> bool:
        """Whether labels or their rule are known."""
        return self.classes is not None or self.rule is not None or self.targets is not None

    @cached_property
    def mass(self) -> Float[Tensor, " sample"]:
        """p(x) of each sample."""
        if self.weights is not None:
            return self.weights
        return torch.full((self.samples,), 1.0 / self.samples, dtype=torch.float64, device=self.device)

    @cached_property
    def labels(self) -> Int[Tensor, " sample"] | None:
        """Classes that occur, numbered from 0: drawn from the rule, by the seed, where there is one."""
        return None if self.drawn is None else torch.unique(self.drawn, return_inverse=True)[1]

    @cached_property
    def drawn(self) -> Int[Tensor, " sample"] | None:
        """As `labels`, numbered as the columns of the rule are."""
        if self.rule is None:
            return self.classes
        uniform = np.random.default_rng(self.seed).random(self.samples)
        place = (self.rule.cpu().cumsum(1).numpy() < uniform[:, None]).sum(1).clip(max=self.rule.shape[1] - 1)
        return torch.from_numpy(place).to(self.device)

    @cached_property
    def conditional(self) -> Float[Tensor, "sample class"] | None:
        """p(y|x): the rule, or hard labels as ones and zeros."""
        if self.rule is not None or self.classes is None:
            return self.rule
        return torch.nn.functional.one_hot(self.classes).double()

    @cached_property
    def label_entropy(self) -> float:
        """H(Y) in bits; NaN without labels."""
        if self.conditional is None:
            return math.nan
        return float(torch.special.entr(self.mass @ self.conditional).sum() / math.log(2.0))

    @cached_property
    def most_of_labels(self) -> float:
        """log2 of the number of classes, which I(T;Y) cannot exceed whatever their frequencies are in the population."""
        if self.conditional is None:
            return math.inf
        return math.log2(int((self.mass @ self.conditional > 0).sum()))

    @cached_property
    def most_of_inputs(self) -> float:
        """H(X) in bits where the samples are all possible inputs; infinite elsewhere."""
        return self.input_entropy if self.law else math.inf

    @cached_property
    def near(self) -> Near | None:
        """Pairs of samples that are near in x; None where inputs repeat, or none are near."""
        distinct = self.inputs is not None and self.symbols is not None and int(self.symbols.max()) + 1 == self.samples
        return near_pairs(self.inputs) if distinct and self.inputs is not None else None

    @cached_property
    def input_entropy(self) -> float:
        """H(X) of the samples in bits, equal inputs counting as one."""
        return float(torch.special.entr(self.mass_of_inputs).sum() / math.log(2.0))

    @cached_property
    def mass_of_inputs(self) -> Float[Tensor, " x"]:
        """p(x) of each distinct input; every sample is its own where no inputs are known."""
        if self.symbols is None:
            return self.mass
        return self.mass.new_zeros(int(self.symbols.max()) + 1).index_add_(0, self.symbols, self.mass)

    def counted(self, found: Quantity) -> Quantity:
        """An interval of I(T;Y) that the delta method gave, widened by the second order of the plug-in H(Y), all that there
        is where classes are equally frequent: 2n ln 2 (H(Y) − Ĥ(Y)) is then χ², its freedom one less."""
        if self.classes is None or self.weights is not None:
            return found
        free = int((torch.bincount(self.classes) > 0).sum()) - 1
        unit = 1.0 / (2 * self.samples * math.log(2.0))
        second = Z * math.sqrt(2 * free) * unit
        below, above = (torch.hypot((end - found.value), torch.full_like(end, second)) for end in found[1:])
        return Quantity(found.value, found.value - below, found.value + above + free * unit)

    def some(self, rows: Int[Tensor, " row"]) -> Known:
        """What is known about some of the samples, without weights."""
        names = ("inputs", "classes", "rule", "targets", "groups", "symbols")
        parts: dict[str, Any] = {name: None if (part := getattr(self, name)) is None else part[rows] for name in names}
        if parts["symbols"] is not None:  # they are numbered without gaps
            parts["symbols"] = parts["symbols"].unique(return_inverse=True)[1]
        return replace(self, **parts, samples=len(rows))

    def with_noise(self, values: Tensor, variance: float | None) -> Float[Tensor, "batch sample unit"]:
        """The values in float64, plus N(0, variance·I) by the seed, the same draw for every batch member."""
        values = values.double()
        if variance is None:
            return values
        draw = np.random.default_rng([self.seed, 1]).normal(scale=math.sqrt(variance), size=tuple(values.shape[1:]))
        return values + torch.from_numpy(draw).to(values.device)
