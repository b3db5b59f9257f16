"""What a denoiser gets wrong, and what the best one does: the same points, the same noise."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_matrix, check_count, check_seed
from flowplane.core.renamed import renamed
from flowplane.core.streams import EVALUATION, generator
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density, Empirical
from flowplane.transport.estimate import Estimate
from flowplane.transport.flows.denoise import denoising_flow
from flowplane.transport.maps.base import TransportMap

__all__ = ["denoising_loss", "noisy_pairs", "optimal_loss"]


@renamed
def denoising_loss(
    denoiser: TransportMap, density: Any, *, noise_covariance: Any, samples: int = 10_000, seed: Any = 0
) -> Estimate:
    """E|g(x + ε) − x|² with ε ~ N(0, C), the loss of a denoising autoencoder (§A3), on fresh draws.

    Arguments:
        denoiser: g, any transport map.
        density: what x is drawn from: a density, or points (n, d), drawn from with replacement.
        noise_covariance: C, in squared units of x.
        samples: pairs of x and ε.
        seed: of the draws, which are never those of training; the same seed gives the same pairs to every map, so that
            differences of losses are less noisy than the losses.

    Returns:
        The mean in squared units of x, with its standard error.

    Raises:
        InputError: an argument out of range, another dimension.

    Example:
        >>> import flowplane as fp
        >>> p = fp.Normal(0.0, 1.0)
        >>> denoising_loss(fp.denoising_flow(p, 1.0, 1), p, noise_covariance=1.0)
        0.493235 ± 0.007 squared units of x (10000 draws)
    """
    if not isinstance(denoiser, TransportMap):
        raise InputError("denoiser", Text(type(denoiser).__name__), "a transport map, such as train_denoiser makes")
    clean, noisy = noisy_pairs(density, noise_covariance, samples=samples, seed=seed)
    if denoiser.dimension != clean.shape[1]:
        raise InputError("denoiser", Text(f"a map of {denoiser.dimension} dimensions"), f"one of {clean.shape[1]}")
    with torch.no_grad():
        moved = denoiser.forward(noisy.to(denoiser.device, denoiser.dtype)).to(clean)
    losses = (moved - clean).square().sum(1)
    return Estimate(float(losses.mean()), float(losses.std()) / samples**0.5, f"{samples} draws", "squared units of x")


@renamed
def optimal_loss(density: Any, noise_covariance: Any, *, samples: int = 10_000, seed: Any = 0) -> Estimate:
    """E tr Cov(x|x + ε), the least loss that a denoiser can have (§A3): that of g_t in closed form.

    Arguments:
        density, noise_covariance, samples, seed: as in `denoising_loss`, which draws the same pairs. For bare points it is
            the empirical denoiser's: attention over the points.

    Returns:
        The mean in squared units of x, with its standard error.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> import flowplane as fp
        >>> optimal_loss(fp.Normal(0.0, 1.0), 1.0)  # 1/2
        0.493235 ± 0.007 squared units of x (10000 draws)
    """
    known = _density(density)
    matrix = as_matrix("noise_covariance", noise_covariance, known.dimension)
    best = denoising_flow(known, 1.0, 1, noise_covariance=matrix)
    return denoising_loss(best, known, noise_covariance=matrix, samples=samples, seed=seed)


def noisy_pairs(
    density: Any, noise_covariance: Any, *, samples: int, seed: Any
) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, "sample feature"]]:
    """x and x + ε in float64, where the density's own points are."""
    known = _density(density)
    matrix = as_matrix("noise_covariance", noise_covariance, known.dimension)
    rng = generator(check_seed(seed), EVALUATION)
    clean = known.draw(check_count("samples", samples, 2), rng).double()
    normal = torch.from_numpy(rng.standard_normal(tuple(clean.shape)))
    return clean, clean + (normal @ torch.linalg.cholesky(matrix.cpu()).T).to(clean)


def _density(given: Any) -> Density:
    return given if isinstance(given, Density) else Empirical(given)
