"""From features to the ground space: decoders one after another, their inverse, a layer seen through them (§A9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from flowplane.transport.densities.smoothing import in_chunks
from flowplane.transport.learned.denoiser import LearnedDenoiser
from flowplane.transport.learned.networks import Decoder
from flowplane.transport.maps.state import THIRD_DIMENSION
from flowplane.transport.maps.straight import StraightMap

__all__ = ["DecodedLayer", "Decoders", "FlatteningMap", "left_inverse", "nearest_features", "own_rows", "width_of"]

#: Steps of Gauss and Newton, and how often one is halved.
STEPS, HALVINGS = 50, 10
#: Numbers per row and entry of a Jacobian.
ROW_WIDTH = 512


class Decoders:
    """d = d_1∘…∘d_k of the first k layers of a stack, from the features of layer k to the ground space.

    All kernels work on rows in the networks' own precision, and give the networks copies that they may write into. With no
    layer it is the identity.
    """

    def __init__(self, layers: Sequence[LearnedDenoiser]) -> None:
        self.layers = tuple(layers)

    @property
    def affine(self) -> bool:
        """Whether all are affine, so that §A9 is exact."""
        return all(is_affine(layer.network.decoder) for layer in self.layers)

    def encode(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample unit"]:
        """h_k∘…∘h_1."""
        for layer in self.layers:
            x = _part(layer, "encoder")(x.clone())
        return x

    def decode(self, z: Float[Tensor, "sample unit"]) -> Float[Tensor, "sample feature"]:
        """d."""
        for layer in reversed(self.layers):
            z = _part(layer, "decoder")(z.clone())
        return z

    def undo(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample unit"]:
        """d⁻¹: the features whose decoded points are nearest, one layer after another; NaN where none are found.

        The search begins at the encoder's features, whose decoded point is the denoised one, not far from x.
        """
        for layer in self.layers:
            x = nearest_features(_part(layer, "decoder"), x, _part(layer, "encoder")(x.clone()))
        return x

    def jacobian(self, z: Float[Tensor, "sample unit"]) -> Float[Tensor, "sample feature unit"]:
        """∇d(z)."""
        if not self.layers:
            return torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(z), -1, -1)
        return _jacobian(self.decode, z, self.affine)


class FlatteningMap(StraightMap):
    """A map that, where it is `flattening`, takes the space to a part of lower dimension: it has no inverse there."""

    flattening: bool = False
    time_units = "variance of noise"

    def log_det(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """−∞ where it flattens, which rounding would hide."""
        flat = self.flattening and self.fraction == 1
        return torch.full_like(x[:, 0], -torch.inf) if flat else super().log_det(x)

    def reachable(self, y: Float[Tensor, "sample feature"]) -> Bool[Tensor, " sample"]:
        """Nothing where it flattens: the answer would not be one point."""
        return torch.full_like(y[:, 0], not (self.flattening and self.fraction == 1), dtype=torch.bool)


class DecodedLayer(FlatteningMap):
    """Layer k of a stack, seen in the ground space: x ↦ x + d(g_k(z)) − d(z) with z = d⁻¹(x), d = d_1∘…∘d_{k−1} (§A9).

    On the range of d it is d∘g_k∘d⁻¹; what a point has beside that range is left as it is.
    """

    def __init__(self, layers: Sequence[LearnedDenoiser]) -> None:
        self.before, self.layer = Decoders(layers[:-1]), layers[-1]
        self.dimension, self.time = layers[0].dimension, self.layer.time
        self.source = None if self.before.layers else self.layer.source
        self.affine = self.before.affine and self.layer.affine
        self.flattening = width_of(self.layer) < self.layer.dimension

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """That of the networks."""
        return self.layer.noise_covariance.device

    def displacement(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """d(g_k(z)) − d(z)."""
        with torch.no_grad():
            return self._move(self._features(x)).to(x)

    def displacement_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """∇_z(d∘g_k − d)(z) ∇d(z)⁺, by automatic differentiation."""
        return self._derived(self._one_slope, x, self.dimension)

    def displacement_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """The derivative of that; NaN above 16 dimensions."""
        if self.dimension > THIRD_DIMENSION:
            return torch.full((1,) * 4, torch.nan, dtype=x.dtype, device=x.device).expand(len(x), *(self.dimension,) * 3)

        def bend(z: Tensor) -> Tensor:
            back = left_inverse(torch.func.jacrev(self._one_decoded)(z))
            return torch.einsum("ijl,lk->ijk", torch.func.jacrev(self._one_slope)(z), back)

        return self._derived(bend, x, self.dimension**2)

    def _features(self, x: Tensor) -> Tensor:
        return self.before.undo(own_rows(self.layer, x))

    def _move(self, z: Tensor) -> Tensor:
        return self.before.decode(self.layer.network(z.clone())) - self.before.decode(z)

    def _one_decoded(self, z: Tensor) -> Tensor:
        return self.before.decode(z.unsqueeze(0)).squeeze(0)

    def _one_slope(self, z: Tensor) -> Tensor:
        slope = torch.func.jacrev(lambda point: self._move(point.unsqueeze(0)).squeeze(0))(z)
        return slope @ left_inverse(torch.func.jacrev(self._one_decoded)(z))

    def _derived(self, function: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
        with torch.no_grad():
            return in_chunks(torch.func.vmap(function), self._features(x), ROW_WIDTH * size).to(x)


def nearest_features(
    decoder: Callable[[Tensor], Tensor], x: Float[Tensor, "sample feature"], start: Float[Tensor, "sample unit"]
) -> Float[Tensor, "sample unit"]:
    """argmin_z |d(z) − x| by Gauss and Newton with halved steps; NaN where it does not arrive."""
    affine = is_affine(decoder)

    def decoded(z: Tensor) -> Tensor:
        return decoder(z.clone())

    z = start.clone()
    gap = decoded(z) - x
    scale = torch.finfo(x.dtype).eps ** 0.75
    arrived = torch.zeros(len(z), dtype=torch.bool, device=z.device)
    for _ in range(STEPS):
        step = torch.einsum("nij,nj->ni", left_inverse(_jacobian(decoded, z, affine)), gap)
        arrived |= step.norm(dim=1) <= scale * (1 + z.norm(dim=1))
        waiting = ~arrived
        if not waiting.any():
            break
        factor = torch.ones_like(z[:, :1])
        for _ in range(HALVINGS):
            trial = z - factor * step
            found = decoded(trial) - x
            worse = waiting & ~(found.norm(dim=1) < gap.norm(dim=1))
            if not worse.any():
                break
            factor[worse] /= 2
        # at the limit of precision no step is better
        better = waiting & ~worse
        z, gap = torch.where(better.unsqueeze(1), trial, z), torch.where(better.unsqueeze(1), found, gap)
        arrived |= worse & (step.norm(dim=1) <= 1e3 * scale * (1 + z.norm(dim=1)))
        if not (better & ~arrived).any():
            break
    missed = ~arrived
    if z.shape[1] == x.shape[1]:
        missed |= gap.norm(dim=1) > 1e3 * scale * (1 + x.norm(dim=1))
    z[missed] = torch.nan
    return z


def left_inverse(matrix: Float[Tensor, "*batch feature unit"]) -> Float[Tensor, "*batch unit feature"]:
    """J⁺ = (JᵀJ)⁻¹Jᵀ; infinite where the columns of J are dependent."""
    if matrix.shape[-1] == matrix.shape[-2]:
        return torch.linalg.inv_ex(matrix)[0]
    turned = matrix.mT
    return torch.linalg.inv_ex(turned @ matrix)[0] @ turned


def is_affine(decoder: object) -> bool:
    """Whether a decoder is known to be affine."""
    linear = isinstance(decoder, Decoder) and decoder.perceptron.layers is None
    return linear or isinstance(decoder, nn.Linear | nn.Identity)


def own_rows(layer: LearnedDenoiser, rows: Tensor) -> Tensor:
    """A copy of rows, where and as a layer's numbers are."""
    numbers = (part.dtype for part in layer.network.parameters() if part.is_floating_point())
    return rows.to(layer.noise_covariance.device, next(numbers, torch.float64), copy=True)


def width_of(layer: LearnedDenoiser) -> int:
    """How many features a layer has."""
    features: Any = layer.network.features
    return int(features)


def _part(layer: LearnedDenoiser, name: str) -> nn.Module:
    part: nn.Module = getattr(layer.network, name)
    return part


def _jacobian(function: Callable[[Tensor], Tensor], z: Tensor, affine: bool) -> Tensor:
    def one(point: Tensor) -> Tensor:
        return function(point.unsqueeze(0)).squeeze(0)

    with torch.no_grad():
        if affine:
            return torch.func.jacrev(one)(torch.zeros_like(z[0])).expand(len(z), -1, -1)
        return in_chunks(torch.func.vmap(torch.func.jacrev(one)), z, ROW_WIDTH * z.shape[1])
