"""The running density of a deep denoiser: what a layer is optimal for after the layers before it moved the data (§A4).

After one layer a mixture is no longer a mixture. How the density is carried on is a choice:

- a Gaussian stays a Gaussian, bare points stay points: exact;
- `nodes`, for densities in one or two dimensions: the nodes of a trapezoidal rule over p_0, moved by the layers and
  smoothed by the next layer's own noise. The rule converges faster than any power of the spacing, which is chosen well
  below both the width of the density and that of the noise, up to 16,384 nodes. This is the composition of §A4 itself, and
  inherits its instability: it is the explicit Euler method for an ill-posed equation, and multiplies whatever disturbs the
  density at the scale of the noise by up to 1 + 2/e = 1.74 per layer, be it rounding or the layers' own distance from the
  continuous flow;
- `refit`, for mixtures: 16,384 points, moved by the layers; after each layer a mixture of as many components is fitted to
  them anew by expectation–maximisation, starting from the shares that the components had before. The fit smooths
  disturbances away, so that any depth is stable and the continuous flow is reached at rate 1/L;
- `points`, for smoothed clouds in three dimensions and more: 16,384 points, moved by the layers, smoothed by the next
  layer's noise.

The default is nodes where they can be made fine enough, for a mixture up to 8 layers, and refit for mixtures otherwise.
`DenoisingFlow.representation_error` measures what the choice costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.streams import CARRIED, generator
from flowplane.errors import InputError, unknown
from flowplane.transport.densities import Density
from flowplane.transport.densities.attention import PointSmoothing
from flowplane.transport.densities.smoothing import MixtureSmoothing, Smoothing, in_chunks, mixture_smoothing
from flowplane.transport.flows.denoiser import Denoiser

__all__ = ["NODE_LAYERS", "REPRESENTATIONS", "Running", "quadrature_nodes", "running_density"]

REPRESENTATIONS = ("auto", "nodes", "refit", "points")

NODES = 16_384
#: The grid that is searched for nodes may be this many times as large.
GRID = 64 * NODES
#: More layers than this, and a mixture is fitted anew after each.
NODE_LAYERS = 8
#: Spacing of the nodes in units of the width that the integrand has; the rule's error is about exp(−2π²/SPACING²).
SPACING = 0.6
#: Nodes whose density is below exp(−NEGLIGIBLE) of the largest carry nothing.
NEGLIGIBLE = 34.0
#: Nodes that are farther apart than this, in standard deviations of the noise, draw the points to themselves.
COARSEST = 1.25
#: The grid reaches this many standard deviations beyond the outermost component.
REACH = 8.5
#: Of expectation–maximisation after each layer: it starts close, and more rounds only follow the scatter of the points.
ROUNDS = 8
TOLERANCE = 1e-9


class Running(ABC):
    """A density that layers have moved, in the form in which the next layer can smooth it."""

    #: The choice, in words.
    description: str
    smoothing: Smoothing

    @abstractmethod
    def moved(self, layer: Denoiser) -> Running:
        """After one more layer."""


class _Gaussian(Running):
    description = "Gaussian, closed form"

    def __init__(self, smoothing: MixtureSmoothing) -> None:
        self.smoothing: MixtureSmoothing = smoothing

    def moved(self, layer: Denoiser) -> _Gaussian:
        """Σ ← Σ(I + tΣ⁻¹)⁻²; a covariance that would underflow stays just above zero."""
        old = self.smoothing
        values, vectors = torch.linalg.eigh(old.covariances[0])
        values = (values * (values / (values + layer.variance)).square()).clamp_min(1e-200)
        return _Gaussian(mixture_smoothing(old.weights, old.means, ((vectors * values) @ vectors.T).unsqueeze(0)))


class _Points(Running):
    def __init__(self, points: Tensor, log_weights: Tensor | None, description: str, first: Smoothing | None = None) -> None:
        self.points, self.log_weights, self.description = points, log_weights, description
        self.smoothing = PointSmoothing(points, log_weights) if first is None else first

    def moved(self, layer: Denoiser) -> _Points:
        """The layer moves the points."""
        return _Points(layer.forward(self.points), self.log_weights, self.description)


class _Refit(Running):
    description = f"refit: a mixture fitted to {NODES} points anew after each layer"

    def __init__(self, points: Tensor, smoothing: MixtureSmoothing) -> None:
        self.points = points
        self.smoothing: MixtureSmoothing = smoothing

    def moved(self, layer: Denoiser) -> _Refit:
        """The layer moves the points, then expectation–maximisation."""
        points = layer.forward(self.points)
        shares, _ = _shares(self.smoothing, self.points)
        middle = points.mean(0)
        apart = points - middle
        products = (apart.unsqueeze(2) * apart.unsqueeze(1)).reshape(len(apart), -1)
        columns = torch.cat([torch.ones_like(apart[:, :1]), apart, products], 1)
        before = -torch.inf
        for _ in range(ROUNDS):
            fitted = _maximised(shares.T @ columns, middle)
            shares, likelihood = _shares(fitted, points)
            if likelihood - before < TOLERANCE:
                break
            before = likelihood
        return _Refit(points, fitted)


def _shares(smoothing: MixtureSmoothing, points: Tensor) -> tuple[Float[Tensor, "sample component"], float]:
    """Each component's share of each point, and the mean log likelihood."""

    def rows(points: Tensor) -> tuple[Tensor, Tensor]:
        logs = smoothing.component_log_probs(0.0, points)
        total = logs.logsumexp(1, keepdim=True)
        return (logs - total).exp(), total[:, 0]

    shares, likelihoods = in_chunks(rows, points, smoothing.means.numel())
    return shares, float(likelihoods.mean())


def _maximised(sums: Float[Tensor, "component moment"], middle: Float[Tensor, " feature"]) -> MixtureSmoothing:
    """The mixture with given sums of 1, x − m and (x − m)(x − m)ᵀ over the shares of each component."""
    d = len(middle)
    totals = sums[:, 0].clamp_min(1e-12)
    means, seconds = (sums[:, 1:] / totals.unsqueeze(1)).split([d, d * d], 1)
    covariances = seconds.reshape(-1, d, d) - means.unsqueeze(2) * means.unsqueeze(1)
    values, vectors = torch.linalg.eigh(covariances)
    if float(values.min()) < 0:  # what merged points leave is rounding, of either sign
        covariances = (vectors * values.clamp_min(0.0).unsqueeze(1)) @ vectors.mT
    floor = (
        1e-13
        * seconds.reshape(-1, d, d).diagonal(dim1=1, dim2=2).amax()
        * torch.eye(d, dtype=means.dtype, device=means.device)
    )
    return mixture_smoothing(totals / totals.sum(), middle + means, covariances + floor)


def running_density(density: Density, noise_variance: float, layers: int, choice: str = "auto", seed: int = 0) -> Running:
    """The form in which `density` is carried through `layers` layers for noise of that variance each.

    Arguments:
        choice: one of `REPRESENTATIONS`; Gaussians and bare points are exact whatever it is.
        seed: 0 is the choice itself; another one moves the nodes or draws other points, to measure what the choice costs.

    Raises:
        InputError: an unknown choice, or one that this density does not allow.
    """
    if choice not in REPRESENTATIONS:
        raise unknown("representation", choice, REPRESENTATIONS)
    smoothing = density.smoothing
    if isinstance(smoothing, MixtureSmoothing) and smoothing.terms == 1:
        return _Gaussian(smoothing)
    if not density.has_density:
        assert isinstance(smoothing, PointSmoothing)
        return _Points(smoothing.points, None, "the points themselves, exact")
    mixture = isinstance(smoothing, MixtureSmoothing)
    automatic = choice == "auto"
    if automatic:
        flat = density.dimension <= 2 and (layers <= NODE_LAYERS or not mixture)
        choice = "nodes" if flat else "refit" if mixture else "points"
    if choice == "nodes":
        if density.dimension > 2:
            raise InputError("representation", choice, "'refit' or 'points' in three dimensions and more")
        nodes, log_weights, spacing = quadrature_nodes(density, noise_variance, seed)
        if automatic and isinstance(smoothing, MixtureSmoothing) and spacing > COARSEST * noise_variance**0.5:
            return _Refit(_even_points(smoothing, seed), smoothing)
        return _Points(nodes, log_weights, f"nodes: {len(nodes)} of a trapezoidal rule, moved by the layers", smoothing)
    if choice == "points":
        points = density.draw(NODES, generator(seed, CARRIED))
        return _Points(points, None, f"points: {NODES} of the density, moved by the layers", smoothing)
    if not isinstance(smoothing, MixtureSmoothing):
        raise InputError("representation", choice, "'nodes' or 'points' for a density that is not a mixture")
    return _Refit(_even_points(smoothing, seed), smoothing)


def quadrature_nodes(
    density: Density, noise_variance: float, seed: int = 0, most: int = NODES, negligible: float = NEGLIGIBLE
) -> tuple[Float[Tensor, "node feature"], Float[Tensor, " node"], float]:
    """Nodes, log weights and spacing of a trapezoidal rule over a density in one or two dimensions, for functions that
    vary over the standard deviation of the noise.

    Arguments:
        seed: another one shifts the grid by another part of its spacing.
        most: nodes; the spacing grows where there would be more.
        negligible: nodes whose density is below exp(−negligible) of the largest are left out.
    """
    d = density.dimension
    lower, upper = _extent(density)
    spacing = SPACING * (1 / density.smoothing.least_variance + 1 / noise_variance) ** -0.5
    sides = upper - lower
    spacing = max(spacing, float((np.prod(sides) / GRID) ** (1 / d)))
    shift = generator(seed, CARRIED).random(d) if seed else np.zeros(d)
    while True:
        axes = [
            torch.arange(low + part * spacing, high, spacing, dtype=torch.float64, device="cpu")
            for low, high, part in zip(lower, upper, shift, strict=True)
        ]
        grid = torch.cartesian_prod(*axes).reshape(-1, d).to(density.smoothing.device, density.smoothing.dtype)
        logs = density.smoothing.log_prob(0.0, grid)
        kept = logs > logs.max() - negligible
        count = int(kept.sum())
        if count <= most:
            return grid[kept], logs[kept] - logs[kept].logsumexp(0), spacing
        spacing *= 1.01 * (count / most) ** (1 / d)


def _extent(density: Density) -> tuple[np.ndarray, np.ndarray]:
    """A box that holds all but a part of about 1e-16 of the density."""
    smoothing = density.smoothing
    if isinstance(smoothing, MixtureSmoothing):
        centres, deviations = smoothing.means, smoothing.covariances.diagonal(dim1=1, dim2=2).sqrt()
    else:
        assert isinstance(smoothing, PointSmoothing)
        centres, deviations = smoothing.points, smoothing.kernel.diagonal().sqrt()
    lower = (centres - REACH * deviations).amin(0)
    upper = (centres + REACH * deviations).amax(0)
    return lower.double().cpu().numpy(), upper.double().cpu().numpy()


def _even_points(smoothing: MixtureSmoothing, seed: int) -> Float[Tensor, "sample feature"]:
    """Points of a mixture, as many of each component as its weight asks for, evenly spread (Sobol)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    shares = smoothing.weights.cpu().numpy()
    counts = np.maximum(np.round(shares * NODES).astype(int), 1)
    roots = torch.linalg.cholesky(smoothing.covariances)
    parts = []
    for k, count in enumerate(counts):
        sequence = qmc.Sobol(smoothing.dimension, rng=generator(seed, CARRIED, k))
        drawn = sequence.random_base2(int(np.ceil(np.log2(count))))[:count]
        normal = torch.from_numpy(ndtri(drawn.clip(1e-12, 1 - 1e-12))).to(smoothing.means)
        parts.append(smoothing.means[k] + normal @ roots[k].T)
    return torch.cat(parts)
