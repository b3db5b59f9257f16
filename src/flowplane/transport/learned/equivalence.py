"""The composition of denoisers that a stack is compared with (§A9).

How the density between layers is carried: a Gaussian as one, as long as the decoders are affine, and bare points as they
are: both exact. Any other density is exact for the first layer; from there on it is carried by the nodes of a
trapezoidal rule (`flows.running`) in one and two dimensions, by draws in more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_matrix
from flowplane.core.streams import CARRIED, EXTENT, generator
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density, Empirical
from flowplane.transport.densities.attention import PointSmoothing
from flowplane.transport.densities.smoothing import MixtureSmoothing, Smoothing, mixture_smoothing
from flowplane.transport.flows.denoiser import Denoiser
from flowplane.transport.flows.running import NODES, quadrature_nodes
from flowplane.transport.learned.anisotropic import AnisotropicDenoiser, ConstrainedMap, DecoderRange, LocalDenoiser
from flowplane.transport.learned.decoders import Decoders, left_inverse, own_rows, width_of
from flowplane.transport.learned.denoiser import LearnedDenoiser
from flowplane.transport.maps.composition import Composition

__all__ = ["decoded_covariance", "denoisers_of"]

#: Nodes where each of them sees all others through noise of its own.
LOCAL_NODES = 4096
#: Eigenvalues of D below this share of the largest are 0.
RANK = 1e-12
#: Share of a density that curved decoders may fail to reach.
LOST = 1e-3
#: Points at which D(x) is looked at to space the nodes.
LOOKS = 256


class _Carried:
    """A density on its path through the layers."""

    def __init__(self, density: Density, exact: bool, noise_variance: float, most: int) -> None:
        self.density: Density | None = density
        smoothing = density.smoothing
        self.mean: Tensor | None = None
        self.covariance: Tensor | None = None
        self.points: Tensor | None = None
        self.log_weights: Tensor | None = None
        if exact and isinstance(smoothing, MixtureSmoothing) and smoothing.terms == 1:
            self.mean, self.covariance = smoothing.means, smoothing.covariances[0]
        elif not density.has_density:
            assert isinstance(smoothing, PointSmoothing)
            self.points = smoothing.points.double()
        elif density.dimension <= 2:
            nodes, logs, _ = quadrature_nodes(density, noise_variance, most=most)
            self.points, self.log_weights = nodes.double(), logs.double()
        else:
            self.points = density.draw(most, generator(0, CARRIED)).double()

    def seen(self, root: Tensor) -> Smoothing:
        """The density of R⁺x."""
        back = left_inverse(root)
        if self.density is not None:
            return self.density.whitened(back).smoothing
        if self.mean is not None and self.covariance is not None:
            matrix = back @ self.covariance @ back.T
            return mixture_smoothing(
                torch.ones(1, dtype=back.dtype, device=back.device),
                self.mean @ back.T,
                ((matrix + matrix.T) / 2).unsqueeze(0),
            )
        assert self.points is not None
        return PointSmoothing(self.points @ back.T, self.log_weights)

    def move(self, layer: ConstrainedMap) -> None:
        """After one more layer."""
        self.density = None
        if self.mean is not None and self.covariance is not None:
            slope = layer.jacobian(self.mean)[0]
            self.mean, self.covariance = layer.forward(self.mean), slope @ self.covariance @ slope.T
        else:
            assert self.points is not None
            self._keep(layer.forward(self.points))

    def _keep(self, points: Tensor) -> None:
        """Points that the decoders reach; far out in the tails there may be others."""
        found = ~points.isnan().any(1)
        if not found.all():
            weights = torch.ones_like(points[:, 0]) if self.log_weights is None else self.log_weights.exp()
            lost = 1 - float(weights[found].sum() / weights.sum())
            if lost > LOST:
                shown = Text(f"decoders that do not reach {100 * lost:.2g} % of the density")
                raise InputError("layers", shown, "decoders that are injective, and reach where the layers before lead")
            if self.log_weights is not None:
                self.log_weights = self.log_weights[found].log_softmax(0)
        self.points = points[found]


def denoisers_of(
    layers: Sequence[LearnedDenoiser], given: Any, covariances: Any = None, nodes: int = LOCAL_NODES
) -> Composition:
    """The right-hand side of §A9: see `Stack.composition`."""
    d = layers[0].dimension
    density = given if isinstance(given, Density) else Empirical(given)
    if density.dimension != d:
        raise InputError("given", Text(f"{density.dimension} dimensions"), f"a density or points in {d}")
    name, place = "noise_covariances", density.smoothing.device
    if covariances is not None and (not isinstance(covariances, list | tuple) or len(covariances) != len(layers)):
        raise InputError(name, Text(f"{type(covariances).__name__}"), f"a list of {len(layers)} matrices D, one per layer")
    fixed = None
    if covariances is not None:
        fixed = [as_matrix(f"{name}[{k}]", part, d).to(place) for k, part in enumerate(covariances)]
    curved = fixed is None and not Decoders(layers[:-1]).affine
    narrow = [width_of(layer) < _width_before(layers, k) for k, layer in enumerate(layers)]
    exact = not curved and all(Decoders([layer]).affine for layer, less in zip(layers, narrow, strict=True) if less)
    least = min(_least_variance(layers, k, fixed, density) for k in range(len(layers)))
    carried = _Carried(density, exact, least, nodes if curved else NODES)
    maps: list[ConstrainedMap] = []
    for k, layer in enumerate(layers):
        onto = DecoderRange(layers[: k + 1]) if narrow[k] else None
        before = Decoders(layers[:k])
        if fixed is None and not before.affine:
            assert carried.points is not None
            made: ConstrainedMap = LocalDenoiser(
                before, _frame(layer).to(place), carried.points, carried.log_weights, layer.time, onto
            )
        else:
            matrix = (
                decoded_covariance(layers, k + 1, torch.zeros(1, d, dtype=torch.float32, device="cpu"))[0].to(place)
                if fixed is None
                else fixed[k]
            )
            root = _root(matrix, d if fixed is not None else _width_before(layers, k), k + 1)
            made = AnisotropicDenoiser(Denoiser(carried.seen(root), layer.time), root, None if k else density, onto)
        maps.append(made)
        if k + 1 < len(layers):
            carried.move(made)
    return Composition(maps)


def decoded_covariance(
    layers: Sequence[LearnedDenoiser], depth: int, x: Float[Tensor, "sample feature"]
) -> Float[Tensor, "sample feature feature"]:
    """D(x) = ∇d C∇dᵀ/t of the layer at `depth`, d the decoders before it, at the features of x; C = tI: ∇d∇dᵀ."""
    before = Decoders(layers[: depth - 1])
    with torch.no_grad():
        roots = before.jacobian(before.encode(own_rows(layers[0], x))).double()
    roots = roots @ _frame(layers[depth - 1])
    return (roots @ roots.mT).to(x.device)


def _frame(layer: LearnedDenoiser) -> Tensor:
    return torch.linalg.cholesky(layer.noise_covariance.double() / layer.time)


def _root(matrix: Tensor, rank: int, depth: int) -> Tensor:
    """R of full column rank with RRᵀ = D. Raises InputError where the decoders are not injective."""
    values, vectors = torch.linalg.eigh(matrix)
    found = int((values > RANK * values[-1]).sum())
    if found < rank:
        expected = f"injective decoders before layer {depth}, of rank {rank}"
        raise InputError("layers", Text(f"decoders of rank {found}"), expected)
    return vectors[:, -rank:] * values[-rank:].sqrt()


def _least_variance(layers: Sequence[LearnedDenoiser], k: int, fixed: list[Tensor] | None, density: Density) -> float:
    """The least variance of layer k's noise in the ground space, of the directions in which there is any."""
    if fixed is not None:
        values, rank = torch.linalg.eigvalsh(fixed[k]).unsqueeze(0), len(fixed[k])
    else:
        values = torch.linalg.eigvalsh(decoded_covariance(layers, k + 1, density.draw(LOOKS, generator(0, EXTENT)).double()))
        rank = _width_before(layers, k)
    return max(layers[k].time * float(values[:, -rank].min()), 1e-12)


def _width_before(layers: Sequence[LearnedDenoiser], k: int) -> int:
    return width_of(layers[k - 1]) if k else layers[0].dimension
