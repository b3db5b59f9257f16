"""What a denoiser gets wrong, and what the best one does: the same points, the same noise."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_matrix, check_count, check_seed
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density, Empirical
from flowplane.transport.densities.base import random_numbers
from flowplane.transport.flows.denoise import denoising_flow
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.profiles.estimate import Estimate

__all__ = ["denoising_loss", "noisy_pairs", "optimal_loss"]

#: Stream of the noise, apart from those that densities draw from.
NOISE = 7


def denoising_loss(denoiser: TransportMap, density: Any, covariance: Any, samples: int = 10_000, seed: int = 0) -> Estimate:
    """E|g(x + ε) − x|² with ε ~ N(0, C), the loss of a denoising autoencoder (§A3), on fresh draws.

    Arguments:
        denoiser: g, any transport map.
        density: what x is drawn from: a density, or points (n, d), drawn from with replacement.
        covariance: C, in squared units of x.
        samples: pairs of x and ε.
        seed: of the draws; the same seed gives the same pairs to every map, so that differences of losses are less noisy
            than the losses.

    Returns:
        The mean in squared units of x, with its standard error.

    Raises:
        InputError: an argument out of range, another dimension.

    Example:
        >>> import flowplane as fp
        >>> p = fp.Normal(0.0, 1.0)
        >>> denoising_loss(fp.denoising_flow(p, 1.0, 1), p, 1.0)
        0.505885 ± 0.0072 squared units of x (10000 draws)
    """
    if not isinstance(denoiser, TransportMap):
        raise InputError("denoiser", Text(type(denoiser).__name__), "a transport map, such as train_denoiser makes")
    clean, noisy = noisy_pairs(density, covariance, samples, seed)
    if denoiser.dimension != clean.shape[1]:
        raise InputError("denoiser", Text(f"a map of {denoiser.dimension} dimensions"), f"one of {clean.shape[1]}")
    with torch.no_grad():
        moved = denoiser.forward(noisy.to(denoiser.device, denoiser.dtype)).to(clean)
    losses = (moved - clean).square().sum(1)
    return Estimate(float(losses.mean()), float(losses.std()) / samples**0.5, f"{samples} draws", "squared units of x")


def optimal_loss(density: Any, covariance: Any, samples: int = 10_000, seed: int = 0) -> Estimate:
    """E tr Cov(x|x + ε), the least loss that a denoiser can have (§A3): that of g_t in closed form.

    Arguments:
        density, covariance, samples, seed: as in `denoising_loss`, which draws the same pairs. For bare points it is the
            empirical denoiser's: attention over the points.

    Returns:
        The mean in squared units of x, with its standard error.

    Raises:
        InputError: an argument out of range.

    Example:
        >>> import flowplane as fp
        >>> optimal_loss(fp.Normal(0.0, 1.0), 1.0)  # 1/2
        0.505885 ± 0.0072 squared units of x (10000 draws)
    """
    known = _density(density)
    matrix = as_matrix("covariance", covariance, known.dimension)
    return denoising_loss(denoising_flow(known, 1.0, 1, matrix), known, matrix, samples, seed)


def noisy_pairs(
    density: Any, covariance: Any, samples: int, seed: int
) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, "sample feature"]]:
    """x and x + ε in float64, where the density's own points are."""
    known = _density(density)
    matrix = as_matrix("covariance", covariance, known.dimension)
    clean = known.draw(check_count("samples", samples, 2), check_seed(seed)).double()
    normal = torch.from_numpy(random_numbers(seed, NOISE).standard_normal(tuple(clean.shape)))
    return clean, clean + (normal @ torch.linalg.cholesky(matrix.cpu()).T).to(clean)


def _density(given: Any) -> Density:
    return given if isinstance(given, Density) else Empirical(given)
