"""Denoisers for noise N(0, tD): D of any rank, and D that differs from point to point (§A3, §A9)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.transport.densities import Density
from flowplane.transport.densities.smoothing import in_chunks
from flowplane.transport.flows.denoiser import Denoiser
from flowplane.transport.learned.decoders import Decoders, FlatteningMap, left_inverse, nearest_features, own_rows
from flowplane.transport.learned.denoiser import LearnedDenoiser

__all__ = ["AnisotropicDenoiser", "ConstrainedMap", "DecoderRange", "LocalDenoiser"]


class ConstrainedMap(FlatteningMap):
    """A denoiser, and after it the nearest point of a decoder's range where that is only a part of the space."""

    onto: DecoderRange | None

    @abstractmethod
    def free(self, x: Tensor) -> Tensor:
        """The denoiser's displacement."""

    @abstractmethod
    def free_jacobian(self, x: Tensor) -> Tensor:
        """Its derivative."""

    @abstractmethod
    def free_hessian(self, x: Tensor) -> Tensor:
        """Its second derivative."""

    def displacement(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """Where the denoiser leads, in the range, minus x."""
        found = self.free(x)
        return found if self.onto is None else self.onto.nearest(x + found) - x

    def displacement_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """∇u(x); into a curved range without the curvature's own part."""
        slope = self.free_jacobian(x)
        if self.onto is None:
            return slope
        identity = torch.eye(self.dimension, dtype=x.dtype, device=x.device)
        return self.onto.jacobian(x + self.free(x)) @ (identity + slope) - identity

    def displacement_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """∂_k∂_j u_i(x); NaN into a curved range."""
        bend = self.free_hessian(x)
        if self.onto is None:
            return bend
        if not self.onto.affine:
            return torch.full_like(bend, torch.nan)
        return torch.einsum("nil,nljk->nijk", self.onto.jacobian(x), bend)


class AnisotropicDenoiser(ConstrainedMap):
    """g(x̃) = x̃ + tD∇log(p * N(0, tD))(x̃) with a constant D (§A3), by an isotropic denoiser in the coordinates R⁺x, D = RRᵀ.

    A singular D moves points within the range of R only. There the density is that of the points' components in the range,
    and D⁻¹ the pseudo-inverse: exact where the points lie in the range, or in a parallel of it.

    Arguments:
        inner: of the density of R⁺x, for noise N(0, tI).
        root: R, shape (d, rank).
        source: the density that the map moves.
        onto: the range in which the answers are to lie, where that is not the whole space.
    """

    def __init__(
        self,
        inner: Denoiser,
        root: Float[Tensor, "feature rank"],
        source: Density | None = None,
        onto: DecoderRange | None = None,
    ) -> None:
        self.inner, self.root, self.source, self.onto = inner, root, source, onto
        self.back, self.flattening = left_inverse(root), onto is not None
        self.dimension, self.time, self.device = root.shape[0], inner.time, inner.device
        self.affine = inner.affine and (onto is None or onto.affine)

    def free(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """tD∇log(p * N(0, tD))."""
        return self.inner.displacement(x @ self.back.T) @ self.root.T

    def free_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """R ∇u R⁺."""
        return self.root @ self.inner.displacement_jacobian(x @ self.back.T) @ self.back

    def free_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """R ∇²u with R⁺ in both places."""
        bend = self.inner.displacement_hessian(x @ self.back.T)
        return torch.einsum("ia,nabc,bj,ck->nijk", self.root, bend, self.back, self.back)


class LocalDenoiser(ConstrainedMap):
    """x̃ + tD∇log(p * N(0, tD))(x̃) with D = D(x̃) = ∇d∇dᵀ at the features of x̃: each row has its own noise (§A9).

    p are points x_j of weights w_j; with K⁺ the pseudo-inverse of K = ∇d(z) the answer is attention over them,
    K Σ_j softmax_j(−|K⁺(x_j − x̃)|²/2t + log w_j) K⁺(x_j − x̃), which depends on K only through D.

    Arguments:
        decoders: d.
        frame: a root of the noise's covariance among the features, divided by t.
        points, log_weights: p.
        time: t.
        onto: the range in which the answers are to lie, where that is not the whole space.
    """

    def __init__(
        self,
        decoders: Decoders,
        frame: Float[Tensor, "unit unit"],
        points: Float[Tensor, "point feature"],
        log_weights: Float[Tensor, " point"] | None,
        time: float,
        onto: DecoderRange | None = None,
    ) -> None:
        self.decoders, self.frame, self.points, self.log_weights = decoders, frame, points, log_weights
        self.dimension, self.time, self.device, self.onto = points.shape[1], time, points.device, onto
        self.source, self.flattening = None, onto is not None

    def free(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """Each row's attention over all points."""
        roots = self._roots(x)
        columns = torch.cat([x.unsqueeze(2), roots], 2)

        def rows(part: Tensor) -> Tensor:
            return torch.einsum("nij,nj->ni", part[:, :, 1:], self._drawn(part[:, :, 0], part[:, :, 1:]))

        return in_chunks(rows, columns, 3 * len(self.points) * roots.shape[2])

    def free_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """By automatic differentiation, through D(x) as well."""
        features = _among(self.decoders, x, self.decoders.undo)
        d = self.dimension

        def one(point: Tensor, z: Tensor) -> Tensor:
            root = torch.func.jacrev(lambda z: self.decoders.decode(z.unsqueeze(0)).squeeze(0))(z) @ self.frame
            return root @ self._drawn(point.unsqueeze(0), root.unsqueeze(0)).squeeze(0)

        def rows(both: Tensor) -> Tensor:
            here, there = torch.func.vmap(torch.func.jacrev(one, argnums=(0, 1)))(both[:, :d], both[:, d:])
            return here + there @ left_inverse(self.decoders.jacobian(both[:, d:]))

        with torch.no_grad():
            return in_chunks(rows, torch.cat([x, features], 1), 12 * d * d * len(self.points))

    def free_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """NaN: it would need third derivatives of d."""
        return torch.full((1,) * 4, torch.nan, dtype=x.dtype, device=x.device).expand(len(x), *(self.dimension,) * 3)

    def _roots(self, x: Tensor) -> Tensor:
        return _among(self.decoders, x, lambda rows: self.decoders.jacobian(self.decoders.undo(rows))) @ self.frame

    def _drawn(self, x: Tensor, roots: Tensor) -> Tensor:
        """Σ_j softmax_j K⁺(x_j − x)."""
        back = left_inverse(roots)
        apart = torch.einsum("nki,ji->njk", back, self.points) - torch.einsum("nki,ni->nk", back, x).unsqueeze(1)
        logits = -apart.square().sum(2) / (2 * self.time)
        if self.log_weights is not None:
            logits = logits + self.log_weights
        return torch.einsum("nj,njk->nk", logits.softmax(1), apart)


class DecoderRange:
    """The range of d_1∘…∘d_k among the points of that of d_1∘…∘d_{k−1}: of all answers there, the nearest one loses least,
    E|g(x̃) − x|² = E|g(x̃) − E[x|x̃]|² + const, measured among the features of layer k−1."""

    def __init__(self, layers: Sequence[LearnedDenoiser]) -> None:
        self.before, self.layer = Decoders(layers[:-1]), layers[-1]
        self.affine = Decoders(layers).affine

    def nearest(self, y: Tensor) -> Tensor:
        """What a point has beside the range of the decoders before stays as it is."""

        def rows(y: Tensor) -> Tensor:
            z, w = self._features(y)
            return y + self.before.decode(self.layer.network.decoder(w.clone())) - self.before.decode(z)  # type: ignore[operator]

        return _among(self.before, y, rows, self.layer)

    def jacobian(self, y: Tensor) -> Tensor:
        """I + B(KK⁺ − I)B⁺ with B the derivative of the decoders before, K that of the last one."""

        def rows(y: Tensor) -> Tensor:
            z, w = self._features(y)
            outer, inner = self.before.jacobian(z), Decoders([self.layer]).jacobian(w)
            identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
            moved = outer @ (inner @ left_inverse(inner) - identity) @ left_inverse(outer)
            return torch.eye(y.shape[1], dtype=y.dtype, device=y.device) + moved

        return _among(self.before, y, rows, self.layer)

    def _features(self, y: Tensor) -> tuple[Tensor, Tensor]:
        z = self.before.undo(y)
        network: Any = self.layer.network
        return z, nearest_features(network.decoder, z, network.encoder(z.clone()))


def _among(decoders: Decoders, x: Tensor, function: Any, layer: LearnedDenoiser | None = None) -> Tensor:
    """A function of rows, computed where and as the networks' numbers are."""
    layer = decoders.layers[0] if layer is None else layer
    with torch.no_grad():
        return function(own_rows(layer, x)).to(x)
