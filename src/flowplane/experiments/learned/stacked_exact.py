"""Stacks in closed form: affine layers of a Gaussian, and decoders whose curvature is known (A-6; docs/papers.md §A9).

Both are about limits, so both have settings where the limit is seen: decoders of moderate condition (with normal entries in
five dimensions rounding alone grows to 3e-9), and noise that is small beside the curvature (from t = 0.16 to 0.02 the order
is 0.72 and still rising).
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from flowplane.core.streams import EVALUATION, generator
from flowplane.experiments.claim import Claim
from flowplane.experiments.transport.flows import order_of
from flowplane.experiments.verdicts import exactly, mean_and_ends, means
from flowplane.transport import Autoencoder, LearnedDenoiser, Stack, TransportMap, denoising_flow
from flowplane.transport.densities import GaussianMixture, Normal
from flowplane.transport.learned.anisotropic import LocalDenoiser
from flowplane.transport.learned.decoders import Decoders

__all__ = ["layer_errors", "linear_claims", "linear_errors", "linear_stack", "local_claims", "local_errors"]

#: What two ways of computing the same in float64 may differ by.
EXACT = 1e-9
#: An error that is not small.
FAR = 0.1
#: Noise of the affine layers, and the curved decoders' size and noise.
TIME, BEND, TIMES = 0.3, 0.5, (0.04, 0.02, 0.01, 0.005)
#: How far the measured order may be from 1.
ORDER_REACH = 0.25
#: The grid that carries the features' density, and what is left out of it.
GRID, EDGE = 0.045, 20.0


def layer_errors(made: TransportMap, other: TransportMap, x: np.ndarray, shift: int = 0) -> np.ndarray:
    """For each layer of two polygons with the same vertices: the rms difference of what it moves points by, over the rms of
    what the other one's layer does. A `shift` pairs each point with another one."""
    moves = [np.diff(flow.trajectory(x, flow.vertices), axis=0) for flow in (made, other)]  # type: ignore[attr-defined]
    gap = moves[0] - np.roll(moves[1], shift, axis=1)
    return np.sqrt((gap**2).sum(2).mean(1) / (moves[1] ** 2).sum(2).mean(1))


def linear_stack(density: Normal, decoders: list[np.ndarray], time: float = TIME) -> Stack:
    """Affine autoencoders for noise of one variance, each the best for the Gaussian features before it, with decoders Vz.

    Example:
        >>> s = linear_stack(Normal(0.0, 1.0), [np.array([[2.0]])] * 2, 1.0)
        >>> s.decoded([[1.0]], 1), s.decoded_covariance([[1.0]], 2).round(12)
        (array([[0.5]]), array([[[4.]]]))
    """
    mean, covariance = np.asarray(density.mean), np.asarray(density.covariance)
    layers = []
    for decoder in decoders:
        d = len(mean)
        matrix = covariance @ np.linalg.inv(covariance + time * np.eye(d))
        inward = np.linalg.solve(decoder, matrix)
        shift = np.linalg.solve(decoder, mean - matrix @ mean)
        network = Autoencoder(d, d, hidden=()).double()
        for part, weight, bias in ((network.decoder, decoder, 0 * mean), (network.encoder, inward, shift)):
            part.perceptron.skip.weight.data = torch.from_numpy(weight)
            part.perceptron.skip.bias.data = torch.from_numpy(bias)
        layers.append(LearnedDenoiser(network, time))
        mean, covariance = inward @ mean + shift, inward @ covariance @ inward.T
    return Stack(layers, source=density)


def linear_errors(draws: int, seed: int) -> xr.Dataset:
    """Random Gaussians and random decoders: layers 2 and 3 against the composition, and against isotropic ones."""
    rng = np.random.default_rng([seed, 6])
    rows = []
    for draw in range(draws):
        d = 2 + draw % 4
        root = rng.normal(size=(d, d))
        density = Normal(rng.normal(size=d), root @ root.T + 0.3 * np.eye(d))
        made = linear_stack(density, [_decoder(d, rng) for _ in range(3)])
        x = np.asarray(density.sample(500, draw))
        alike = [np.trace(made.decoded_covariance(x[0], k)) / d * np.eye(d) for k in (1, 2, 3)]
        noises = (None, alike, [np.eye(d)] * 3)
        rows.append([layer_errors(made, made.composition(density, noise), x)[1:] for noise in noises])
    about = {"long_name": "rms difference over rms displacement", "units": "1"}
    return xr.Dataset(
        {"error": (("draw", "noise", "layer"), np.array(rows), about)},
        {"noise": ["D = ∇d∇dᵀ", "isotropic, same trace", "D = I"], "layer": [2, 3]},
    )


def _decoder(d: int, rng: np.random.Generator) -> np.ndarray:
    """Singular values from 1/3 to 3 in random directions: rounding grows with the square of their ratio."""
    turns = [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2)]
    return turns[0] * 3.0 ** rng.uniform(-1, 1, d) @ turns[1]


def linear_claims(found: xr.Dataset) -> list[Claim]:
    """Equality up to rounding, and how far the isotropic compositions are off."""
    values = found["error"].values
    others = values[:, 1:].reshape(len(values), -1)
    return [
        Claim(
            id="A-6.linear",
            role="part",
            statement=f"affine layers of a Gaussian are the anisotropic composition: largest error of {len(values)} random "
            "stacks",
            **exactly([values[:, 0].max()], [0.0], EXACT),
            units="1",
        ),
        Claim(
            id="A-6.linear-isotropic",
            role="reported",
            statement="isotropic compositions are far off, layers 2, 3: with noise of the same trace, with D = I",
            **means(others),
            verdict="reproduced" if (mean_and_ends(others)[1] > FAR).all() else "inconclusive",
            units="1",
        ),
    ]


class _Bent(nn.Module):
    """(u, v) ↦ (u, v + au²), which keeps volume, or (u + au³/3, v), which does not; its own decoder."""

    dimension = features = 2

    def __init__(self, keeps_volume: bool) -> None:
        super().__init__()
        self.keeps_volume = keeps_volume
        self.encoder, self.decoder = nn.Identity(), _Bending(keeps_volume)

    def forward(self, x: Tensor) -> Tensor:
        bent: Tensor = self.decoder(x)
        return bent


class _Bending(nn.Module):
    def __init__(self, keeps_volume: bool) -> None:
        super().__init__()
        self.keeps_volume = keeps_volume

    def forward(self, z: Tensor) -> Tensor:
        u, v = z.unbind(1)
        return torch.stack([u, v + BEND * u.square()] if self.keeps_volume else [u + BEND * u**3 / 3, v], 1)


def local_errors(samples: int, seed: int) -> xr.Dataset:
    """The exact denoiser of a mixture of features, seen through two curved decoders, against the local statement of §A9.

    d(g(z)) − d(z) = tD∇log p + ½tD∇log det D + O(t²): with the middle term and without it.
    """
    features = GaussianMixture([0.5, 0.5], [[-0.6, 0.0], [0.6, 0.3]], [0.4, 0.5])
    z = features.draw(samples, generator(seed, EVALUATION))
    axis = torch.arange(-5, 5, GRID, dtype=torch.float64, device="cpu")
    nodes = torch.cartesian_prod(axis, axis)
    logs = features.smoothing.log_prob(0.0, nodes)
    kept = logs > logs.max() - EDGE
    series: dict[str, list[float]] = {}
    for name, keeps in (("volume kept", True), ("volume changed", False)):
        decoders = Decoders([LearnedDenoiser(_Bent(keeps), 1.0)])
        x, points = decoders.decode(z), decoders.decode(nodes[kept])
        slope = torch.zeros_like(z)
        slope[:, 0] = 0.0 if keeps else 2 * BEND * z[:, 0] / (1 + BEND * z[:, 0].square())  # ∇_z log|det ∇d|
        volume = torch.einsum("nij,nj->ni", decoders.jacobian(z), slope)
        for t in TIMES:
            local = LocalDenoiser(
                decoders, torch.eye(2, dtype=z.dtype, device=z.device), points, logs[kept].log_softmax(0), t
            ).displacement(x)
            exact = decoders.decode(denoising_flow(features, t, 1).forward(z)) - x
            size = float(exact.square().sum(1).mean().sqrt())
            gaps = [exact - local] + ([] if keeps else [exact - local - t * volume])
            for label, gap in zip((name, f"{name}, with its term"), gaps, strict=False):
                series.setdefault(label, []).append(float(gap.square().sum(1).mean().sqrt()) / size)
    return xr.Dataset(
        {
            "error": (
                ("series", "step"),
                np.array(list(series.values())),
                {"long_name": "rms difference over rms displacement", "units": "1"},
            ),
            "scale": ("step", list(TIMES), {"long_name": "t, variance of the noise", "units": "units of z²"}),
        },
        {"series": list(series)},
        {"order": 1, "subtitle": "exact denoiser of a mixture of features z, through curved decoders, against tD(x)∇log p"},
    )


def local_claims(found: xr.Dataset) -> list[Claim]:
    """First order in t where the decoder keeps volume; what is left where it does not."""
    errors = {str(name): found["error"].sel(series=name).values for name in found["series"].values}
    left = (float(errors["volume changed"][-1]), float(errors["volume changed, with its term"][-1]))
    return [
        Claim(
            id="A-6.local",
            role="part",
            statement="curved decoder that keeps volume: the local statement's relative error falls like t, order measured",
            **exactly([order_of(np.array(TIMES), errors["volume kept"])], [1.0], ORDER_REACH),
            units="1",
        ),
        Claim(
            id="A-6.volume",
            role="reported",
            statement="a curved decoder that changes volume adds ½tD∇log det D, which the local statement leaves out: error "
            f"at t = {TIMES[-1]:g} without and with it",
            measured=left,
            verdict="reproduced" if left[0] > FAR and left[1] < left[0] / 5 else "inconclusive",
            units="1",
        ),
    ]
