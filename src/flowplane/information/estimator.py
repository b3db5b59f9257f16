"""What all estimators share: how they are called, what they are given, how they answer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.core.arrays import as_tensor, batch_dims, require_finite
from flowplane.core.measure import LayerFacts, require_function
from flowplane.core.modes import in_own_modes
from flowplane.core.points import check_positive, check_seed
from flowplane.core.results import stamp
from flowplane.errors import InputError, Text
from flowplane.information.arguments import (
    checked_groups,
    checked_inputs,
    checked_labelling,
    checked_weights,
    classes_or_targets,
)
from flowplane.information.function import not_a_function
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.schema import FLAGS, QUANTITIES, estimate_dataset, parameters_text

__all__ = ["NUMBERS", "Continuous", "Estimator", "check_noise", "constant_units", "raised"]

#: What an estimator calls labels that are not classes.
NUMBERS = "numbers or tags"
#: Arguments of constructors that describe the samples.
TOLD = ("deterministic", "rows")
#: Flags that concern one quantity alone.
OF_ONE = {
    "no_inputs": "i_xt",
    "deterministic": "i_xt",
    "not_a_function": "i_xt",
    "batch_ceiling": "i_xt",
    "no_labels": "i_ty",
}


def raised(known: Known, values: Tensor, **where: Tensor | bool | Mapping[str, Tensor | bool]) -> Int[Tensor, "3 batch"]:
    """Flags of each quantity of each batch member: the named ones where they hold, for all quantities or, from a mapping,
    for those that it names; `no_labels` where labels are missing."""
    flags = torch.zeros((len(QUANTITIES), len(values)), dtype=torch.int64, device=values.device)
    for name, holds in {"no_labels": not known.labelled, **where}.items():
        of_one = (OF_ONE[name],) if name in OF_ONE else tuple(QUANTITIES)
        parts = holds if isinstance(holds, Mapping) else dict.fromkeys(of_one, holds)
        for row, quantity in enumerate(QUANTITIES):
            held = torch.as_tensor(parts.get(quantity, False), device=values.device)
            flags[row] += held.expand(len(values)) * FLAGS.bits(name)
    return flags


def constant_units(values: Float[Tensor, "batch sample unit"]) -> Bool[Tensor, "batch unit"]:
    """Which units do not vary over the samples."""
    return values.amin(1) == values.amax(1)


def check_noise(noise_variance: Any) -> float | None:
    """A variance above 0, or None. Raises InputError otherwise."""
    return (
        None
        if noise_variance is None
        else check_positive("noise_variance", noise_variance, "the variance of Gaussian noise, above 0, or None")
    )


class Estimator(ABC):
    """Called with activations and what is known about the samples; answers in the schema of `estimate_dataset`."""

    #: What the command line calls it, and the arguments that its help names; without a name it is not offered there.
    short_name: ClassVar[str] = ""
    help: ClassVar[str] = ""
    #: Values (samples × units × members) that are worked on together.
    block_values: ClassVar[int] = 1 << 22
    #: Whether p(x) may be other than uniform, and p(y|x) soft. Where not, all is NaN, and labels are drawn from the rule.
    takes_weights: ClassVar[bool] = True
    takes_rule: ClassVar[bool] = True
    #: Whether labels may be tags or numbers; a recording's regression targets are then given in place of their classes.
    takes_targets: ClassVar[bool] = False
    #: Whether it is given the rows that belong to one sample.
    takes_groups: ClassVar[bool] = False
    #: Whether `Known.inputs` may be (batch, sample, feature): inputs of each batch member's own.
    takes_batched_inputs: ClassVar[bool] = False
    #: Whether T is assumed to be a function of x, so that distinct inputs leave H(T|X) = 0; such an estimator has the
    #: argument `deterministic`, which says that it is known to be one.
    needs_function: ClassVar[bool] = False
    deterministic: bool = False
    #: Whether it is Shannon's information that is estimated, with its limits.
    shannon: ClassVar[bool] = True

    @in_own_modes
    def __call__(
        self,
        activations: Any,
        labels: Any = None,
        *,
        inputs: Any = None,
        conditional: Any = None,
        probability: Any = None,
        groups: Any = None,
        seed: int = 0,
    ) -> xr.Dataset:
        """The estimate for each member of the leading dimensions.

        Arguments:
            activations: (*batch, sample, unit), a NumPy array, tensor or DataArray.
            labels: (sample,) class numbers, for I(T;Y) with hard labels.
            inputs: (sample, feature), for I(X;T); equal rows are the same x. Without them Binned and Pairwise, whose channel
                makes that exact, take every sample as its own x; the others give NaN and the flag `no_inputs`.
            conditional: (sample, class), p(y|x); where given, I(T;Y) follows this rule and not the labels. Estimators that
                need labels draw them from it.
            probability: (sample,), p(x); uniform if None. Estimators of samples without weights give NaN and the flag
                `weighted` unless it is uniform.
            groups: (sample,), equal for rows of one sample, such as its tokens: estimators that hold samples out hold them
                out together, as they do with equal inputs.
            seed: of everything random.

        Returns:
            Dataset over the leading dimensions: `i_xt`, `i_ty`, `h_t` in bits, each with `_lower` and `_upper` at
            `attrs["confidence"]` (NaN where there is no interval), `_flags` of its own, and attributes that say its `bound`,
            `estimator` and `channel`; `flags`, all flags together.

        Raises:
            InputError: NaN or infinite activations, no samples, unequal lengths, only one class, an invalid distribution.
        """
        values = _checked_activations(activations)
        batch, (n, units) = values.shape[:-2], values.shape[-2:]
        targets = None
        if self.takes_targets and conditional is None:
            labels, targets = classes_or_targets(labels, n, values.device)
        classes, rule = checked_labelling(labels, conditional, n, values.device)
        weights = checked_weights(probability, n, values.device)
        rows, symbols = (None, None) if inputs is None else checked_inputs(inputs, n, values.device)
        known = Known(
            n,
            rows,
            classes,
            rule,
            weights,
            values.device,
            check_seed(seed),
            targets,
            None if groups is None else checked_groups(groups, n, values.device),
            symbols,
            probability is not None or rule is not None,
        )
        activation = activations.attrs.get("activation") if isinstance(activations, xr.DataArray) else None
        flat = values.reshape(-1, n, units)
        settled = self._fitted(activation, lambda: iter([flat]))
        step = max(1, self.block_values // (n * units))
        refused = weights is not None and not self.takes_weights
        estimate = _refused if refused else settled._possible
        parts = [estimate(flat[first : first + step], known) for first in range(0, len(flat), step)]
        dataset = settled._dataset(activations, batch, known, Estimates.together(parts), self._parameters())
        return stamp(dataset, "estimate", seed=known.seed)

    @classmethod
    def usual(cls) -> Estimator:
        """The estimator with the parameters that it is compared with others at."""
        return cls()

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        """The parameter whose choice matters most, and values to compare: what `convergence` sweeps."""
        return fields(self)[0].name, ()  # type: ignore[arg-type]

    def with_channel(self, noise_variance: float | None) -> Estimator:
        """The estimator with Gaussian noise of this variance as its channel; as it is where it has one of its own."""
        return self

    def _dataset(
        self, activations: Any, batch: torch.Size, known: Known, estimates: Estimates, parameters: dict[str, Any]
    ) -> xr.Dataset:
        dims, coords = batch_dims(activations, len(batch))
        found: dict[str, np.ndarray] = {}
        intervals: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name in QUANTITIES:
            ends = [_unflattened(end.double(), batch) for end in getattr(estimates, name)]
            found[name], intervals[name] = ends[0], (ends[1], ends[2])
        flags = np.stack([_unflattened(part, batch) for part in estimates.flags])
        about = self._about(known)
        own, described = about.pop("dims", ()), about.pop("more", {})
        more = {}
        for name, values in estimates.more.items():
            attrs = dict(described[name])
            more[name] = xr.Variable((*dims, *attrs.pop("dims", own)), _unflattened(values, batch), attrs)
        labels = {"labels": self._labelling(known)} | about.pop("i_ty", {})
        said = {"estimator": type(self).__name__, "parameters": parameters_text(parameters), "i_ty": labels} | about
        dataset = estimate_dataset(
            (*dims, *own),
            coords | said.pop("coords", {}),
            found,
            dict(zip(QUANTITIES, flags, strict=True)),
            intervals=intervals,
            about=said,
        )
        return dataset.assign(more)

    def _labelling(self, known: Known) -> str:
        if not known.labelled:
            return "none"
        if known.targets is not None:
            return NUMBERS
        if known.rule is None:
            return "hard labels"
        return "soft rule p(y|x)" if self.takes_rule else "labels drawn from the soft rule p(y|x)"

    def _parameters(self) -> dict[str, Any]:
        """The arguments of the constructor; what speaks of the samples is left out."""
        names = [field.name for field in fields(self) if field.name not in TOLD]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names}

    def prepared(self, layer: LayerFacts) -> Self:
        """The estimator for one layer of a recording: with whether T is a function of x, and with what depends on the
        layer's values fixed. Raises InputError for one that needs T to be a function of x where it is not."""
        if self.needs_function:
            require_function(self, layer)
        fitted = self._fitted(layer.activation, layer.blocks)
        if all(field.name != "deterministic" for field in fields(self)):  # type: ignore[arg-type]
            return fitted
        return replace(fitted, deterministic=layer.deterministic)  # type: ignore[type-var]

    def _fitted(self, activation: str | None, blocks: Callable[[], Iterator[Tensor]]) -> Self:
        """The estimator with whatever depends on a layer's values (batch, sample, unit) fixed."""
        return self

    def _possible(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        """The estimate for a block of batch members, within what is possible: of estimates 0 to log2 of the number of
        classes for I(T;Y), and for I(X;T) 0 to H(X) where all of X is known, which an upper bound may be replaced by as
        well; other bounds are left as they are."""
        found = self._estimate(values, known)
        if self.needs_function and not self.deterministic and known.symbols is not None:
            noisy = not_a_function(values, known.symbols, known.near)
            found = found._replace(flags=found.flags | raised(known, values, not_a_function=noisy))
        if not self.shannon:
            return found
        about = self._about(known)
        bounds = {name: about.get(name, {}).get("bound", "estimate") for name in QUANTITIES}
        if bounds["i_xt"] != "lower":
            least = 0.0 if bounds["i_xt"] == "estimate" else -math.inf
            found = found._replace(i_xt=found.i_xt.within(least, known.most_of_inputs))
        if bounds["i_ty"] == "estimate":
            found = found._replace(i_ty=found.i_ty.within(0.0, known.most_of_labels))
        return found

    @abstractmethod
    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        """The estimate for a block of batch members."""

    @abstractmethod
    def _about(self, known: Known) -> dict[str, Any]:
        """`channel`, and what else is to be said of all quantities; under `i_xt`, `i_ty`, `h_t` what holds for one, such as
        its `bound` ("lower" or "upper"; an estimate where nothing is said); under `more` the attributes, and `dims`, of each
        further variable; under `dims` dimensions behind the batch, under `coords` coordinates."""


class Continuous(Estimator):
    """An estimator of continuous distributions: I(X;T) needs the inputs, and is infinite where T is a function of x.

    `noise_variance` is that of Gaussian noise added to every unit, a channel of its own; `deterministic` says that T is
    known to be a function of x, as in a recording of `fp.train`: then I(X;T) is NaN with a flag unless there is noise.
    """

    noise_variance: float | None
    deterministic: bool

    def with_channel(self, noise_variance: float | None) -> Continuous:
        """The estimator with Gaussian noise of this variance added to each unit."""
        return self if noise_variance is None else replace(self, noise_variance=check_noise(noise_variance))  # type: ignore[type-var]

    def _blocked(self, known: Known) -> dict[str, bool]:
        """Why I(X;T) cannot be given at all."""
        infinite = self.deterministic and self.noise_variance is None
        return {"deterministic": infinite, "no_inputs": not self.deterministic and known.inputs is None}

    def _channel(self) -> str:
        return (
            "none"
            if self.noise_variance is None
            else f"Gaussian noise of variance {self.noise_variance:.6g} added to each unit"
        )

    def _x(self, known: Known) -> str:
        if self.deterministic:
            return "T is a function of x"
        return "not given" if known.inputs is None else "inputs as given"


def _unflattened(values: Tensor, batch: torch.Size) -> np.ndarray:
    return values.cpu().numpy().reshape((*batch, *values.shape[1:]))


def _refused(values: Tensor, known: Known) -> Estimates:
    missing = Quantity.missing(values)
    return Estimates(missing, missing, missing, raised(known, values, weighted=True))


def _checked_activations(activations: Any) -> Tensor:
    values = as_tensor("activations", activations)
    if values.ndim < 2 or 0 in values.shape:
        raise InputError("activations", Text(f"shape {tuple(values.shape)}"), "shape (…, samples, units), none of them 0")
    if values.dtype not in (torch.float32, torch.float64):
        values = values.double()
    require_finite("activations", values)
    return values
