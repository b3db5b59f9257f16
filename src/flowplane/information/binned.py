"""Binned information: the plug-in estimate after cutting every unit's output into bins (B3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.arrays import as_tensor, batch_dims, require_finite
from flowplane.errors import InputError, Text, unknown
from flowplane.information import counting, symbols
from flowplane.information.arguments import checked_inputs, checked_labelling, checked_weights
from flowplane.information.schema import estimate_dataset, flag_bit

__all__ = ["Binned"]

RANGES = ("activation", "data", "quantiles")
BOUNDED = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0)}
MOST_BINS = 10_000_000
#: `saturated` where I(X;T) exceeds this share of H(X).
SATURATION = 0.99
#: Values binned together, so that temporaries stay small.
BLOCK_VALUES = 1 << 22
#: Values that settle the quantiles of a layer; more are thinned evenly.
QUANTILE_VALUES = 1 << 22


@dataclass(frozen=True)
class Binned:
    """Mutual information of a layer whose units are cut into bins: I(X;T) = H(T) − H(T|X), I(T;Y) = H(T) − H(T|Y), plug-in.

    The bins are the channel: without them I(X;T) of a deterministic network would be infinite.

    See also: Shwartz-Ziv and Tishby (2017), arXiv 1703.00810; Saxe et al. (ICLR 2018) on what bins do to it. PAPERS.md B3.

    Arguments:
        bins: number of equal bins of each unit, half-open, the last closed; or the bins' edges, increasing.
        range: where the bins lie. "activation": (−1, 1) for tanh, (0, 1) for sigmoid and softmax, otherwise the least to
            the greatest value; "data": the least to the greatest value; "quantiles": bins that hold equally many values;
            (low, high): as given. Least, greatest and quantiles are a layer's over the whole recording, on a bare array
            the array's. Ignored when edges are given.

    Values outside go into the end bins and raise the flag `clipped`.

    Raises:
        InputError: fewer than one bin, edges or a range that do not increase, an unknown range.

    Example:
        >>> import numpy as np
        >>> layer = np.array([[-0.9], [-0.8], [0.1], [0.9]])
        >>> plane = Binned(2, range=(-1, 1))(layer, [0, 0, 1, 1])
        >>> float(plane.i_xt), float(plane.i_ty), plane.i_xt.units
        (1.0, 1.0, 'bits')
    """

    bins: int | tuple[float, ...] = 30
    range: str | tuple[float, float] = "activation"

    def __post_init__(self) -> None:
        if isinstance(self.bins, bool) or not isinstance(self.bins, int | np.integer | Sequence | np.ndarray):
            raise InputError("bins", self.bins, "a whole number, at least 1, or increasing edges")
        if isinstance(self.bins, int | np.integer):
            if not 1 <= self.bins <= MOST_BINS:
                raise InputError("bins", self.bins, f"a whole number from 1 to {MOST_BINS}, or increasing edges")
            object.__setattr__(self, "bins", int(self.bins))
        else:
            edges = _increasing("bins", self.bins, "two increasing, finite edges or more")
            object.__setattr__(self, "bins", edges)
        if isinstance(self.range, str):
            if self.range not in RANGES:
                raise unknown("range", self.range, RANGES)
        else:
            object.__setattr__(self, "range", _increasing("range", self.range, "(low, high), low < high, finite", length=2))

    @classmethod
    def published(cls) -> Binned:
        """The setting of the published code (B3): 30 edges from −1 to 1, that is 29 bins, and one for exactly 1.0, on
        every layer, the softmax too.

        Example:
            >>> len(Binned.published().bins), Binned.published().bins[-1]
            (31, inf)
        """
        measure = cls(2)
        object.__setattr__(measure, "bins", (*np.linspace(-1.0, 1.0, 30).tolist(), np.inf))
        object.__setattr__(measure, "range", (-1.0, 1.0))
        return measure

    # -- which bins ---------------------------------------------------------------------------------------------------

    def calibrated(self, activation: str | None, blocks: Callable[[], Iterator[Tensor]]) -> Binned:
        """The estimator with its bins settled for one layer; see `flowplane.core.measure.Calibrated`."""
        if not isinstance(self.bins, int) or not isinstance(self.range, str):
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
        assert isinstance(self.range, tuple)
        return np.linspace(*self.range, self.bins + 1)

    def _channel(self, edges: np.ndarray) -> str:
        if np.isinf(edges[-1]):
            return f"{len(edges) - 2} bins on [{edges[0]:g}, {edges[-2]:g}) and one for {edges[-2]:g}"
        equal = isinstance(self.bins, int)
        return f"{len(edges) - 1} {'equal ' if equal else ''}bins on [{edges[0]:.6g}, {edges[-1]:.6g}]"

    # -- the estimate -------------------------------------------------------------------------------------------------

    def __call__(
        self,
        activations: Any,
        labels: Any = None,
        *,
        inputs: Any = None,
        conditional: Any = None,
        probability: Any = None,
        seed: int = 0,
    ) -> xr.Dataset:
        """The estimate for each member of the leading dimensions.

        Arguments:
            activations: (*batch, sample, unit), a NumPy array, tensor or DataArray.
            labels: (sample,) class numbers, for I(T;Y) with hard labels.
            inputs: (sample, feature); equal rows are the same x. Without them every sample is its own x.
            conditional: (sample, class), p(y|x); where given, I(T;Y) follows this rule and not the labels.
            probability: (sample,), p(x); uniform if None.
            seed: unused, nothing here is random.

        Returns:
            Dataset over the leading dimensions: `i_xt`, `i_ty`, `h_t` in bits, and `flags`. The plug-in has no interval.

        Raises:
            InputError: NaN or infinite activations, no samples, lengths that differ, one class only, no distribution.
        """
        values = as_tensor("activations", activations)
        if values.ndim < 2 or 0 in values.shape:
            raise InputError(
                "activations", Text(f"shape {tuple(values.shape)}"), "shape (…, samples, units), none of them 0"
            )
        if values.dtype not in (torch.float32, torch.float64):
            values = values.double()
        activation = activations.attrs.get("activation") if isinstance(activations, xr.DataArray) else None
        settled = self.calibrated(activation, lambda: iter([values]))
        batch, (n, units) = values.shape[:-2], values.shape[-2:]
        weights = checked_weights(probability, n, values.device)
        classes, rule = checked_labelling(labels, conditional, n, values.device)
        symbols_x = None if inputs is None else checked_inputs(inputs, n, values.device)
        members = int(np.prod(batch))
        flat = values.reshape(members, n, units)
        results = torch.empty((4, members), dtype=torch.float64)
        step = max(1, BLOCK_VALUES // (n * units))
        edges = settled._edges()
        for first in _range(0, members, step):
            block = flat[first : first + step]
            results[:, first : first + step] = _estimate(block, edges, weights, classes, rule, symbols_x).cpu()
        h_t, i_xt, i_ty, flags = results.numpy().reshape(4, *batch)
        dims, coords = batch_dims(activations, len(batch))
        labelling = "none" if classes is None and rule is None else "soft rule p(y|x)" if rule is not None else "hard labels"
        return estimate_dataset(
            dims,
            coords,
            {"i_xt": i_xt, "i_ty": i_ty, "h_t": h_t},
            flags,
            kind="estimate",
            channel=settled._channel(edges),
            estimator="Binned",
            parameters=self._parameters(),
            labels=labelling,
            x="every sample is its own x" if inputs is None else "equal inputs are one x",
        )

    def _parameters(self) -> dict[str, Any]:
        if not isinstance(self.bins, tuple):
            return {"bins": self.bins, "range": self.range}
        return {"setting": "published"} if np.isinf(self.bins[-1]) else {"bins": list(self.bins)}


_range = range  # the class has a field of that name


def _estimate(
    values: Float[Tensor, "batch sample unit"],
    edges: np.ndarray,
    weights: Float[Tensor, " sample"] | None,
    classes: Int[Tensor, " sample"] | None,
    rule: Float[Tensor, "sample class"] | None,
    inputs: Int[Tensor, " sample"] | None,
) -> Float[Tensor, "4 batch"]:
    """H(T), I(X;T), I(T;Y) in bits and the flags of each batch member."""
    n = values.shape[1]
    turned = values.transpose(1, 2).contiguous()
    least, greatest = torch.amin(turned, 2), torch.amax(turned, 2)  # both keep NaN
    if not bool((torch.isfinite(least) & torch.isfinite(greatest)).all()):
        require_finite("activations", values)
    # distinct inputs leave nothing to average over: H(T|X) = 0 exactly
    distinct = inputs is None or int(inputs.max()) + 1 == n
    open_edges = _open(edges, values.dtype)
    entropies = _joint_entropies(turned, open_edges, weights, classes, rule, None if distinct else inputs)
    h_t, h_ty, h_tx = entropies.unbind(1)
    mass = torch.full((n,), 1.0 / n, dtype=torch.float64, device=values.device) if weights is None else weights
    h_x = _entropy(mass if inputs is None else _summed(mass, inputs))
    i_xt = h_t if distinct else h_t + h_x - h_tx
    i_ty = torch.full_like(h_t, torch.nan)
    if rule is not None:
        i_ty = h_t + _entropy(mass @ rule) - h_ty
    elif classes is not None:
        i_ty = h_t + _entropy(_summed(mass, classes)) - h_ty
    raised = {
        "saturated": i_xt >= SATURATION * h_x,
        "clipped": (least < edges[0]).any(1) | (greatest > _last_closed(edges)).any(1),
        "constant_units": (least == greatest).any(1),
    }
    flags = torch.full_like(h_t, 0 if classes is not None or rule is not None else flag_bit("no_labels"))
    for name, where in raised.items():
        flags += where * flag_bit(name)
    return torch.stack([h_t, i_xt.clamp(min=0.0), i_ty.clamp(min=0.0), flags])


def _joint_entropies(
    values: Float[Tensor, "batch unit sample"],
    edges: Float[Tensor, " edge"],
    weights: Tensor | None,
    classes: Tensor | None,
    rule: Tensor | None,
    inputs: Tensor | None,
) -> Float[Tensor, "batch 3"]:
    """H(T), H(T, Y), H(T, X): by counting on a CPU, by sorting elsewhere."""
    if values.device.type != "cpu":
        return symbols.joint_entropies(values, edges.to(values.device), weights, classes, rule, inputs)
    arrays = [None if part is None else part.numpy() for part in (weights, classes, rule, inputs)]
    return torch.from_numpy(counting.joint_entropies(values.numpy(), edges.numpy(), *arrays))


def _summed(mass: Tensor, groups: Tensor) -> Tensor:
    return torch.zeros(int(groups.max()) + 1, dtype=torch.float64, device=mass.device).index_add_(0, groups, mass)


def _entropy(masses: Tensor) -> Tensor:
    return torch.special.entr(masses).sum() / np.log(2.0)


def _last_closed(edges: np.ndarray) -> float:
    """The greatest value that is inside: for the published setting its last finite edge."""
    return float(edges[-1] if np.isfinite(edges[-1]) else edges[-2])


def _open(edges: np.ndarray, dtype: torch.dtype) -> Float[Tensor, " edge"]:
    """The edges in the values' precision, the outermost moved to infinity.

    The others are rounded up: x ≥ edge holds for the rounded edge exactly when it held before.
    """
    exact = torch.from_numpy(np.array(edges, np.float64))
    rounded = exact.to(dtype)
    up = torch.nextafter(rounded, torch.tensor(torch.inf, dtype=dtype)) if dtype != torch.float64 else rounded
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
    pooled = pooled[:: -(-len(pooled) // QUANTILE_VALUES)]
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
    if not increasing or len(numbers) < 2 or (length and len(numbers) != length) or not np.isfinite(numbers).all():
        raise InputError(name, values, expected)
    return numbers
