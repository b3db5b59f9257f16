"""Binned information: the plug-in estimate after cutting every unit's output into bins (§B3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.errors import InputError, Text, unknown
from flowplane.information import counting, symbols
from flowplane.information.arguments import row_numbers
from flowplane.information.entropies import CORRECTIONS, entropy_tables
from flowplane.information.estimator import Estimator, raised
from flowplane.information.known import Estimates, Known, Quantity

__all__ = ["Binned"]

RANGES = ("activation", "data", "quantiles", "snapshot")
BOUNDED = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0)}
MOST_BINS = 10_000_000
#: `saturated` where I(X;T) exceeds this share of H(X).
SATURATION = 0.99
#: `too_few_samples` where more than this share of the samples is alone in its cell, the probability of cells not seen yet.
#: Up to it intervals cover the population's value (docs/estimators.md).
ALONE = 0.05
#: How much larger than the jackknife's estimate the plug-in's bias is, at most, up to that share.
BIAS = 1.5
#: Errors are wider by this over the number of samples: of three classes in eight bins, 50 samples, 82 % of intervals held
#: the truth without it.
FEW = 10
#: Values from which the quantiles of a layer are taken; more are thinned evenly.
QUANTILE_VALUES = 1 << 22


@dataclass(frozen=True)
class Binned(Estimator):
    """Mutual information of a layer whose units are cut into bins: I(X;T) = H(T) − H(T|X), I(T;Y) = H(T) − H(T|Y), plug-in.

    The bins are the channel: without them I(X;T) of a deterministic network would be infinite.

    See also: Shwartz-Ziv and Tishby (2017), arXiv 1703.00810; Saxe et al. (ICLR 2018) on what bins do to it. docs/papers.md
    §B3.

    Arguments:
        bins: number of equal bins of each unit, half-open, the last closed; or the bins' edges, increasing; the last may be
            infinite.
        range: where the bins lie. "activation": (−1, 1) for tanh, (0, 1) for sigmoid and softmax, otherwise the least to
            the greatest value; "data": the least to the greatest value; "quantiles": bins that hold equally many values;
            (low, high): as given. Least, greatest and quantiles are a layer's over the whole recording, on a bare array
            the array's; "snapshot": from the least to the greatest value of each snapshot, each batch member, by itself, so
            that a layer whose values only grow does not fill more bins. Ignored when edges are given.
        deterministic: T is known to be a function of x; else the flag `not_a_function` says where the inputs show that it is
            not: equal or near ones with different T.
        correction: of the plug-in's bias: "miller-madow", "jackknife" or "grassberger"; None for none. With weights or
            a soft rule nothing is counted: what would need it is NaN with the flag `weighted`.

    Values outside go into the end bins and raise the flag `clipped`. Intervals are those of samples drawn from a larger
    population, by the delta method, widened by the plug-in's bias as the jackknife gives it; where the samples are all there
    is, as in the reference task, the plug-in is exact. `saturated`: nearly every sample falls alone. `too_few_samples`: so
    many do that the bias cannot be estimated.

    Raises:
        InputError: fewer than one bin, edges or a range that do not increase, an unknown range or correction.

    Example:
        >>> import numpy as np
        >>> layer = np.array([[-0.9], [-0.8], [0.1], [0.9]])
        >>> plane = Binned(2, range=(-1, 1))(layer, [0, 0, 1, 1])
        >>> float(plane.i_xt), float(plane.i_ty), plane.i_xt.units
        (1.0, 1.0, 'bits')
    """

    short_name: ClassVar[str] = "binned"
    help: ClassVar[str] = "bins=30, range=activation, data, snapshot, quantiles or -1..1, correction=miller-madow"
    needs_function: ClassVar[bool] = True

    bins: int | tuple[float, ...] = 30
    range: str | tuple[float, float] = "activation"
    correction: str | None = None
    deterministic: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.bins, bool) or not isinstance(self.bins, int | np.integer | Sequence | np.ndarray):
            raise InputError("bins", self.bins, "a whole number, at least 1, or increasing edges")
        if isinstance(self.bins, int | np.integer):
            if not 1 <= self.bins <= MOST_BINS:
                raise InputError("bins", self.bins, f"a whole number from 1 to {MOST_BINS}, or increasing edges")
            object.__setattr__(self, "bins", int(self.bins))
        else:
            edges = _increasing("bins", self.bins, "two increasing edges or more, finite but for the last")
            object.__setattr__(self, "bins", edges)
        if isinstance(self.range, str):
            if self.range not in RANGES:
                raise unknown("range", self.range, RANGES)
        else:
            object.__setattr__(self, "range", _increasing("range", self.range, "(low, high), low < high, finite", length=2))

        if self.correction is not None and self.correction not in CORRECTIONS:
            raise unknown("correction", self.correction, CORRECTIONS)

    @classmethod
    def published(cls) -> Binned:
        """The setting of the published code (§B3): 30 edges from −1 to 1, that is 29 bins, and one for exactly 1.0, on
        every layer, the softmax too.

        Example:
            >>> len(Binned.published().bins), Binned.published().bins[-1]
            (31, inf)
        """
        return cls((*np.linspace(-1.0, 1.0, 30).tolist(), np.inf), range=(-1.0, 1.0))

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "bins", (2, 4, 8, 16, 32, 64, 128, 256)

    # -- which bins ---------------------------------------------------------------------------------------------------

    def _fitted(self, activation: str | None, blocks: Callable[[], Iterator[Tensor]]) -> Self:
        """The estimator with its bins fixed for one layer."""
        if not isinstance(self.bins, int) or not isinstance(self.range, str) or self.range == "snapshot":
            return self
        if self.range == "activation" and activation in BOUNDED:
            return replace(self, range=BOUNDED[activation])
        if self.range == "quantiles":
            return replace(self, bins=_quantile_edges(blocks(), self.bins))
        low, high = np.inf, -np.inf
        for values in blocks():
            require_finite("activations", values)
            least, greatest = torch.aminmax(values)
            low, high = min(low, float(least)), max(high, float(greatest))
        if not low < high:  # a constant layer: one bin around it
            low, high = low - 0.5, high + 0.5
        return replace(self, range=(low, high))

    def _edges(self) -> Float[np.ndarray, " edge"]:
        if isinstance(self.bins, tuple):
            return np.array(self.bins)
        ends = (0.0, 1.0) if self.range == "snapshot" else self.range
        assert isinstance(ends, tuple)
        return np.linspace(*ends, self.bins + 1)

    def _placed(self, values: Float[Tensor, "*batch sample unit"]) -> Tensor:
        """The values on the scale of the bins: each member's own range as 0 … 1, where there is one per snapshot."""
        if self.range != "snapshot" or not isinstance(self.bins, int):
            return values
        wide = values.double()
        low, high = (end.unsqueeze(-1).unsqueeze(-1) for end in torch.aminmax(wide.flatten(-2), dim=-1))
        return torch.where(low < high, (wide - low) / torch.where(low < high, high - low, 1.0), 0.5)

    def _channel(self, edges: np.ndarray) -> str:
        if self.range == "snapshot" and isinstance(self.bins, int):
            return f"{self.bins} equal bins from the least to the greatest value of the layer at that epoch"
        if np.isinf(edges[-1]):
            return f"{len(edges) - 2} bins on [{edges[0]:g}, {edges[-2]:g}) and one for {edges[-2]:g}"
        equal = isinstance(self.bins, int)
        return f"{len(edges) - 1} {'equal ' if equal else ''}bins on [{edges[0]:.6g}, {edges[-1]:.6g}]"

    def cells(self, activations: Any) -> Int[Tensor, "*batch sample"]:
        """T itself: a number from 0 on for each distinct cell of a member of the leading dimensions, sample by sample.

        Arguments:
            activations: (*batch, sample, unit), as for the estimate.

        Raises:
            InputError: not an array of finite numbers of that shape.

        Example:
            >>> Binned(2, range=(-1, 1)).cells([[-0.9, 0.0], [0.1, 0.9], [-0.8, 0.5]]).tolist()
            [0, 1, 0]
        """
        values = as_tensor("activations", activations)
        if values.ndim < 2 or 0 in values.shape:
            raise InputError(
                "activations", Text(f"shape {tuple(values.shape)}"), "shape (…, samples, units), none of them 0"
            )
        values = values if values.dtype in (torch.float32, torch.float64) else values.double()
        require_finite("activations", values)
        activation = activations.attrs.get("activation") if isinstance(activations, xr.DataArray) else None
        values = self._placed(values)
        inner = _open(self._fitted(activation, lambda: iter([values]))._edges(), values.dtype)[1:-1].to(values.device)
        bins = torch.bucketize(values, inner.contiguous(), right=True)
        flat = bins.reshape(-1, *bins.shape[-2:])
        return torch.stack([row_numbers(member) for member in flat]).reshape(values.shape[:-1])

    # -- the estimate -------------------------------------------------------------------------------------------------

    def _about(self, known: Known) -> dict[str, Any]:
        x = "every sample is its own x" if known.inputs is None else "equal inputs are one x"
        return {"channel": self._channel(self._edges()), "i_xt": {"x": x}}

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        return _estimate(self._placed(values), known, self._edges(), self.correction)

    def _parameters(self) -> dict[str, Any]:
        corrected = {"correction": self.correction} if self.correction else {}
        if not isinstance(self.bins, tuple):
            return {"bins": self.bins, "range": self.range, **corrected}
        return {"setting": "published"} if np.isinf(self.bins[-1]) else {"bins": list(self.bins), **corrected}


def _estimate(
    values: Float[Tensor, "batch sample unit"], known: Known, edges: np.ndarray, correction: str | None
) -> Estimates:
    n = values.shape[1]
    turned = values.transpose(1, 2).contiguous()
    least, greatest = torch.amin(turned, 2), torch.amax(turned, 2)
    symbols_x = known.symbols
    # distinct inputs leave nothing to average over: H(T|X) = 0 exactly
    distinct = symbols_x is None or int(symbols_x.max()) + 1 == n
    entropies, rest = _cell_statistics(turned, _open(edges, values.dtype), known, distinct, correction)
    h_t, h_ty, h_tx = entropies.unbind(1)
    var_t, var_ty, var_tx, alone = rest.unbind(1)
    mass_x = known.mass_of_inputs
    entropy = _quantity(h_t, var_t, known)
    i_xt = entropy if distinct else _quantity(h_t + _entropies(mass_x, correction, known) - h_tx, var_tx, known)
    i_ty = Quantity.missing(values)
    if known.conditional is not None:
        prior = _entropies(known.mass @ known.conditional, correction, known, soft=known.rule is not None)
        i_ty = _quantity((h_t[:, 1:2] if known.rule is not None else h_t) + prior - h_ty, var_ty, known)
    flags = raised(
        known,
        values,
        saturated=(h_t[:, 1] if distinct else i_xt.value) >= SATURATION * known.input_entropy,
        clipped=(least < edges[0]).any(1) | (greatest > _last_closed(edges)).any(1),
        constant_units=(least == greatest).any(1),
        too_few_samples=(alone > ALONE * n) if known.weights is None else False,
        weighted=_uncounted(known, correction),
    )
    missing = Quantity.missing(values)
    if correction is not None and known.weights is not None:
        return Estimates(missing, missing, missing, flags)
    if correction is not None and known.rule is not None:
        i_ty = missing
    return Estimates(i_xt, i_ty, entropy.within(0.0, np.inf), flags)


def _uncounted(known: Known, correction: str | None) -> dict[str, Tensor | bool]:
    """Which quantities a correction cannot give, for want of counts."""
    if correction is None:
        return {}
    weights = known.weights is not None
    return {"i_xt": weights, "i_ty": weights or known.rule is not None, "h_t": weights}


def _quantity(values: Float[Tensor, "batch table"], variance: Tensor, known: Known) -> Quantity:
    """A value and its interval: the samples' own spread, and beyond it what is left of the bias, judged by the jackknife."""
    value, plain, jackknife = values.expand(-1, 3).unbind(1)
    left = plain + BIAS * (jackknife - plain) - value
    # where all cells weigh the same the first order of the error vanishes; the second is known from the bias, (K − 1)/2n
    second = (jackknife - plain).abs() / (known.samples * np.log(2.0))
    # frequencies that were fitted to the samples make these look less spread than they are
    fitted = (2 * np.log(2.0) * (jackknife - plain).abs()).clamp(max=0.5)
    error = (variance / known.samples / (1 - fitted) + second).sqrt() * (1 + FEW / known.samples)
    around = Quantity.around(value, error, below=(-left).clamp(min=0.0), above=left.clamp(min=0.0))
    return around.of_draws(known)


def _cell_statistics(
    values: Float[Tensor, "batch unit sample"],
    edges: Float[Tensor, " edge"],
    known: Known,
    distinct: bool,
    correction: str | None,
) -> tuple[Float[Tensor, "batch 3 table"], Float[Tensor, "batch 4"]]:
    """Entropies by each table, variances, how many cells hold one sample: by counting on a CPU, by sorting elsewhere."""
    tables, constants = entropy_tables(known.samples, correction)
    given = (known.weights, known.classes, known.rule, None if distinct else known.symbols)
    if values.device.type != "cpu":
        lookup = [torch.from_numpy(part).to(values.device) for part in (tables, constants)]
        return symbols.cell_statistics(values, edges.to(values.device), *given, lookup[0], lookup[1])
    weights, labels, rule, x = (None if part is None else part.numpy() for part in given)
    found = counting.cell_statistics(values.numpy(), edges.numpy(), weights, labels, rule, x, tables, constants)
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


def _entropies(masses: Tensor, correction: str | None, known: Known, soft: bool = False) -> Float[Tensor, " table"]:
    """H in bits of a distribution by each table; by its definition where it was not counted."""
    if known.weights is not None or soft:
        return (torch.special.entr(masses).sum() / np.log(2.0)).unsqueeze(0)
    tables, constants = entropy_tables(known.samples, correction)
    counts = (masses * known.samples).round().long().cpu().numpy()
    return torch.from_numpy(constants - tables[:, counts].sum(1) / known.samples).to(masses.device)


def _last_closed(edges: np.ndarray) -> float:
    """The greatest value inside: for the published setting its last finite edge."""
    return float(edges[-1] if np.isfinite(edges[-1]) else edges[-2])


def _open(edges: np.ndarray, dtype: torch.dtype) -> Float[Tensor, " edge"]:
    """The edges in the values' precision, the outermost moved to infinity.

    The others are rounded up: x ≥ edge holds for the rounded edge exactly when it held before.
    """
    exact = torch.from_numpy(np.array(edges, np.float64))
    rounded = exact.to(dtype)
    up = torch.nextafter(rounded, torch.full_like(rounded, torch.inf)) if dtype != torch.float64 else rounded
    opened = torch.where(rounded.double() < exact, up, rounded)
    opened[0], opened[-1] = -torch.inf, torch.inf
    return opened


def _quantile_edges(blocks: Iterator[Tensor], bins: int) -> tuple[float, ...]:
    """Edges that leave equally many of the values in each bin; equal edges merge into one."""
    kept: list[Tensor] = []
    for values in blocks:
        require_finite("activations", values)
        kept.append(values.reshape(-1).cpu())
    pooled = torch.cat(kept).double()
    if len(pooled) > QUANTILE_VALUES:  # drawn, as a stride would meet some of the units only
        pooled = pooled[torch.from_numpy(np.random.default_rng(0).integers(len(pooled), size=QUANTILE_VALUES))]
    edges = np.unique(np.quantile(pooled.numpy(), np.linspace(0, 1, bins + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0] - 0.5, edges[0] + 0.5])
    return tuple(edges.tolist())


def _increasing(name: str, values: Any, expected: str, length: int | None = None) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(name, values, expected) from error
    increasing = all(a < b for a, b in pairwise(numbers))
    few = len(numbers) < 2 or (length and len(numbers) != length)
    finite = np.isfinite(numbers[:-1]).all() and (not length or np.isfinite(numbers[-1]))
    if few or not increasing or not finite:
        raise InputError(name, values, expected)
    return numbers
