"""Matrix-based Rényi information: entropies of the spectrum of a kernel matrix, no density estimated (§B4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import check_positive, in_scale, row_blocks, squared_distances
from flowplane.information.estimator import Estimator, constant_units, raised
from flowplane.information.known import Estimates, Known, Quantity

__all__ = ["MatrixRenyi"]

#: `saturated` where the joint entropy exceeds this share of log2 n: kernels are so narrow that few samples have neighbours.
SATURATION = 0.8


@dataclass(frozen=True)
class MatrixRenyi(Estimator):
    """S_α(A) = log2 tr(A^α) / (1 − α) of A = K/n, and I_α(X;T) = S_α(A_x) + S_α(A_t) − S_α(A_x ∘ A_t / tr).

    K is the Gaussian kernel exp(−|t − t'|²/2h²s²), s² half the mean squared distance of the samples; for labels it is 1
    where they are equal. This is an information of its own order and kernel, finite for deterministic networks: the
    kernel is the channel. It is not Shannon's: compare it with itself only.

    See also: Sánchez Giraldo, Rao and Príncipe (2015), arXiv 1211.2459; Wickstrøm et al. (2019), arXiv 1909.11396.
    docs/papers.md §B4.

    Arguments:
        alpha: the order α > 0; 1 is the limit −tr A log2 A. Order 2 needs no eigenvalues and is much faster.
        bandwidth: h, in units of the samples' own spread s, for the inputs as well.

    Intervals are those of samples from a larger population around the value in the limit of many (delta method; for order 2
    without the diagonal of K, whose part falls like 1/n). `saturated`: so few samples have neighbours that entropies are
    near their ceiling log2 n.

    Raises:
        InputError: an order or a bandwidth that is not above 0.

    Example:
        >>> import numpy as np
        >>> t = np.repeat([[0.0], [50.0]], 100, axis=0)
        >>> plane = MatrixRenyi(bandwidth=0.1)(t, np.repeat([0, 1], 100))
        >>> round(float(plane.i_ty), 6), round(float(plane.h_t), 6)
        (1.0, 1.0)
    """

    short_name: ClassVar[str] = "renyi"
    help: ClassVar[str] = "alpha=2, bandwidth=0.5"

    shannon: ClassVar[bool] = False

    alpha: float = 2.0
    bandwidth: float = 0.5

    def __post_init__(self) -> None:
        for name in ("alpha", "bandwidth"):
            object.__setattr__(self, name, check_positive(name, getattr(self, name)))

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "bandwidth", (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

    def _about(self, known: Known) -> dict[str, Any]:
        return {
            "channel": f"Gaussian kernel, width {self.bandwidth:g} of the spread",
            "quantity": f"matrix-based Rényi information of order {self.alpha:g}, not Shannon's",
            "i_xt": {"x": "not given" if known.inputs is None else "inputs as given"},
        }

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        spectrum = _Squares if self.alpha == 2.0 else _Spectra
        kernels = spectrum(values.double(), known, self.bandwidth, self.alpha)
        found = {kind: kernels.entropy(kind) for kind in kernels.kinds}
        missing = Quantity.missing(values)
        ceiling = SATURATION * math.log2(known.samples)
        full = {kind: found[kind][0] > ceiling for kind in ("t", "xt", "ty") if kind in found}
        flags = raised(
            known,
            values,
            no_inputs=known.inputs is None,
            saturated={
                "i_xt": full["t"] | full.get("xt", full["t"]),
                "i_ty": full["t"] | full.get("ty", full["t"]),
                "h_t": full["t"],
            },
            constant_units=constant_units(values).any(1),
        )
        return Estimates(
            _sum({"x": 1, "t": 1, "xt": -1}, found, known) if "xt" in found else missing,
            _sum({"y": 1, "t": 1, "ty": -1}, found, known) if "ty" in found else missing,
            _sum({"t": 1}, found, known),
            flags,
        )


#: An entropy in bits, the same for all of the population, and each sample's influence on it.
_Entropy = tuple[Float[Tensor, " batch"], Float[Tensor, " batch"], Float[Tensor, "batch sample"]]


def _sum(signs: dict[str, int], found: dict[str, _Entropy], known: Known) -> Quantity:
    value, limit, terms = (sum(sign * found[kind][k] for kind, sign in signs.items()) for k in range(3))
    assert isinstance(value, Tensor) and isinstance(limit, Tensor) and isinstance(terms, Tensor)
    error = terms.std(1, correction=0) / math.sqrt(known.samples)
    drift = limit - value
    around = Quantity.around(value, error, below=(-drift).clamp(min=0.0), above=drift.clamp(min=0.0))
    return around.within(0.0, math.inf).of_draws(known)


class _Kernels:
    """The kernel matrices of labels, inputs and each member's activations, by rows."""

    def __init__(self, values: Tensor, known: Known, bandwidth: float, alpha: float) -> None:
        self.known = known
        self.alpha = alpha
        self.t = [_scaled(layer, known.mass, bandwidth) for layer in values]
        self.x = None if known.inputs is None else _scaled(known.inputs, known.mass, bandwidth)
        self.kinds = ["t", *(["x", "xt"] if known.inputs is not None else []), *(["y", "ty"] if known.labelled else [])]

    def rows_of(self, kind: str, rows: slice, member: int) -> Tensor:
        """Rows of −log K for points, of K itself for labels."""
        scaled = self.x if kind == "x" else self.t[member]
        assert scaled is not None
        return squared_distances(*scaled, rows)

    def labels(self, rows: slice) -> Tensor:
        """How likely two samples have the same label: 1 for a sample and itself."""
        conditional = self.known.conditional
        assert conditional is not None
        same = conditional[rows] @ conditional.T
        same[
            torch.arange(len(same), device=same.device), torch.arange(rows.start, rows.start + len(same), device=same.device)
        ] = 1.0
        return same


class _Squares(_Kernels):
    """Order 2: tr A² = Σ_ij p_i p_j K_ij², a mean over pairs of samples."""

    def __init__(self, values: Tensor, known: Known, bandwidth: float, alpha: float) -> None:
        super().__init__(values, known, bandwidth, alpha)
        self.means = self._all(values)

    def _all(self, values: Tensor) -> dict[str, Float[Tensor, "batch sample"]]:
        """Σ_j p_j K_ij² of each kind of kernel."""
        known, mass = self.known, self.known.mass
        shape = len(values), known.samples
        means = {kind: torch.empty(shape, dtype=mass.dtype, device=mass.device) for kind in self.kinds}
        for rows in row_blocks(known.samples, mass.device):
            x = None if known.inputs is None else self.rows_of("x", rows, 0).mul_(-2.0).exp_()
            y = self.labels(rows).square_() if known.labelled else None
            if x is not None:
                means["x"][:, rows] = x @ mass
            if y is not None:
                means["y"][:, rows] = y @ mass
            for member in range(len(values)):
                t = self.rows_of("t", rows, member).mul_(-2.0).exp_()
                means["t"][member, rows] = t @ mass
                if x is not None:
                    means["xt"][member, rows] = (x * t) @ mass
                if y is not None:
                    means["ty"][member, rows] = (t.mul_(y)) @ mass
        return means

    def entropy(self, kind: str) -> _Entropy:
        means, mass = self.means[kind], self.known.mass
        mean = means @ mass
        own = mass.square().sum()  # of the diagonal
        apart = ((mean - own) / (1 - own)).clamp_min(1e-300)
        terms = -2 * means / (mean.unsqueeze(1) * math.log(2.0))
        return -mean.log2(), -apart.log2(), terms


class _Spectra(_Kernels):
    """Any order: by eigenvalues."""

    def entropy(self, kind: str) -> _Entropy:
        columns = [self._one(kind, member) for member in range(len(self.t))]
        value, terms = (torch.stack(part) for part in zip(*columns, strict=True))
        return value, value, terms

    def _one(self, kind: str, member: int) -> tuple[Tensor, Tensor]:
        rows, mass = slice(0, self.known.samples), self.known.mass
        kernel = torch.ones((), dtype=mass.dtype, device=mass.device)
        for part in kind:
            kernel = kernel * (self.labels(rows) if part == "y" else self.rows_of(part, rows, member).neg_().exp_())
        root = mass.sqrt()
        spectrum, vectors = torch.linalg.eigh(root[:, None] * kernel * root)
        spectrum = spectrum.clamp_min(1e-300)
        alpha = self.alpha
        # f and x f′(x), whose diagonal is what a sample does to tr f(A)
        if alpha == 1.0:
            logs = spectrum.log2()
            value, slope = -(spectrum * logs).sum(), -spectrum * (logs + 1 / math.log(2.0))
        else:
            powers = spectrum**alpha
            value = powers.sum().log2() / (1 - alpha)
            slope = alpha * powers / (powers.sum() * (1 - alpha) * math.log(2.0))
        return value, vectors.square() @ slope / mass.clamp_min(1e-300)


class _Scaled(NamedTuple):
    """Points whose squared distance is −log K, and their squared lengths."""

    points: Float[Tensor, "sample feature"]
    squares: Float[Tensor, " sample"]


def _scaled(points: Float[Tensor, "sample feature"], mass: Tensor, bandwidth: float) -> _Scaled:
    """Divided by √2 h s, s² half the mean squared distance."""
    points, _ = in_scale(points, (0, 1))
    centred = points - (mass @ points)
    spread = (mass @ centred.square()).sum().sqrt()
    centred /= math.sqrt(2.0) * bandwidth * float(spread) if float(spread) > 0 else math.inf
    return _Scaled(centred, centred.square().sum(1))
