"""Denoisers by training (§A3)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.points import as_matrix
from flowplane.core.renamed import renamed
from flowplane.transport.densities import Density
from flowplane.transport.learned.denoiser import LearnedDenoiser
from flowplane.transport.learned.fitting import Data, Plan, fit, own_network
from flowplane.transport.learned.networks import Autoencoder, DenoisingNetwork

__all__ = ["fit_denoiser", "train_denoiser"]


@renamed
def train_denoiser(
    network: Any,
    data: Any,
    *,
    noise_covariance: Any,
    activation: str = "gelu",
    steps: int = 3000,
    batch_size: int = 512,
    learning_rate: float = 1e-2,
    patience: int | None = None,
    validation: float = 0.1,
    source: Density | None = None,
    seed: Any = 0,
    device: Any = "auto",
) -> LearnedDenoiser:
    """The denoiser that a network learns: the minimiser of E|g(x + ε) − x|², ε ~ N(0, C), over what the network can be
    (§A3).

    Adam, with a learning rate that warms up and decays along a cosine; every step draws points and noise anew. The weights
    that are best on held-out points, under noise that stays the same, are kept.

    Arguments:
        network: widths of hidden layers such as (64, 64), one number for one layer, () for an affine map: a
            `DenoisingNetwork`. Or an `Autoencoder`, or any torch module from rows (n, d) to rows (n, d); it is copied, not
            changed.
        data: points (n, d), or a density, of which every step draws points of its own.
        noise_covariance: C, in squared units of x: a variance t, or a symmetric positive definite matrix (d, d).
        activation: of hidden layers: "gelu", "tanh", "silu", "softplus" or "relu"; without effect on a module.
        steps: of Adam, at most.
        batch_size: points per step, drawn with replacement.
        learning_rate: the largest.
        patience: steps without a better held-out loss after which training stops; None is half the steps.
        validation: share of the points that are held out; with 0 the training points themselves are used, nothing stops
            training and the last weights are kept. For a density 8192 points of its own are held out.
        source: the density that the map is to move; None is `data` where that is a density.
        seed: of everything random. The same seed gives the same weights on the same machine, device and threads; PyTorch's
            global random numbers stay untouched.
        device: "cpu", "cuda" (or "cuda:1"), or "auto": the GPU where there is one. The map stays there.

    Returns:
        The map; its `history` holds the losses, its numbers are kept in float64.

    Raises:
        InputError: an argument out of range, a covariance that is not positive definite, a module that is not a map of
            R^d, NaN, a loss that grows beyond all bounds.

    Example:
        >>> import flowplane as fp
        >>> p = fp.Normal([0.0, 0.0], [[2.0, 0.0], [0.0, 0.5]])
        >>> g = fp.transport.train_denoiser((), p, noise_covariance=0.5, steps=300)
        >>> g([[1.0, 1.0]]).round(1)
        array([[0.8, 0.5]])
    """
    plan = Plan(steps, batch_size, learning_rate, patience, validation, seed, device)
    return fit_denoiser(network, data, noise_covariance, plan, activation, source)


def fit_denoiser(
    network: Any, data: Any, noise_covariance: Any, plan: Plan, activation: str = "gelu", source: Density | None = None
) -> LearnedDenoiser:
    """`train_denoiser` by a plan."""
    points = Data(data, plan)
    matrix = as_matrix("noise_covariance", noise_covariance, points.dimension).to(plan.device)
    learner = _learner(network, points, matrix, activation, plan.seed).to(plan.device, torch.float32)
    root = torch.linalg.cholesky(matrix).T.float()

    def loss_of(x: Float[Tensor, "sample feature"], normal: Float[Tensor, "sample feature"]) -> Tensor:
        return (learner(x + normal @ root) - x).square().sum(1).mean()

    fixed, _ = points.fixed()
    history = fit(
        learner,
        lambda: loss_of(x := points.batch(), points.normal(len(x))),
        lambda: loss_of(points.held_out, fixed),
        plan,
        float(_linear_loss(points.variance, matrix.diagonal())),
        "training a denoiser",
    )
    moved = points.density if source is None else source
    made = LearnedDenoiser(learner.double().eval(), matrix, dimension=points.dimension, source=moved).eval()
    made.history = history
    return made


def _learner(network: Any, points: Data, matrix: Tensor, activation: str, seed: int) -> nn.Module:
    """A module of its own, which knows the size of the data."""
    build = partial(DenoisingNetwork, points.dimension, activation=activation, seed=seed)
    learner = own_network(network, LearnedDenoiser, build)
    # shape and type are refused before a step is taken
    LearnedDenoiser(learner, matrix, dimension=points.dimension)
    if isinstance(learner, DenoisingNetwork | Autoencoder) and not learner.standardised:
        learner.standardise(points.mean, points.variance, matrix.diagonal())
    return learner.train()


def _linear_loss(variance: Float[Tensor, " feature"], noise: Float[Tensor, " feature"]) -> Tensor:
    """What the best guess from each coordinate alone still gets wrong; the size of the losses."""
    return (variance * noise / (variance + noise)).sum().clamp(min=1e-30)
