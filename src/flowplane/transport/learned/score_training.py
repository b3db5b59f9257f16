"""Scores by training: denoising at all variances at once (§A3, §A5)."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.transport.densities import Empirical
from flowplane.transport.learned.fitting import Data, Plan, fit, own_network
from flowplane.transport.learned.score import LearnedScore
from flowplane.transport.learned.score_network import ScoreNetwork, as_variances

__all__ = ["train_score"]


def train_score(
    network: Any,
    data: Any,
    *,
    variances: Any,
    activation: str = "gelu",
    steps: int = 5000,
    batch_size: int = 512,
    learning_rate: float = 1e-2,
    patience: int | None = None,
    validation: float = 0.1,
    seed: Any = 0,
    device: Any = "auto",
) -> LearnedScore:
    """The score of p * N(0, sI) for all s in a range, by denoising score matching (§A3, §A5).

    The network g(x, s) minimises E|g(x + √s·n, s) − x|²/s = E s|score + n/√s|², with log s uniform: every scale counts
    alike (Song & Ermon, NeurIPS 2019, arXiv 1907.05600). Trained as in `train_denoiser`.

    Arguments:
        network: widths of hidden layers, such as (64, 64, 64): a `ScoreNetwork`. Or any torch module (x, s) ↦ g(x, s) from
            rows (n, d) and variances (n,) to rows (n, d); it is copied, not changed.
        data: points (n, d), or a density.
        variances: (low, high), in squared units of x.
        activation, steps, batch_size, learning_rate, patience, validation, seed, device: as in `train_denoiser`.

    Returns:
        The score; the source of its flow is data * N(0, high·I).

    Raises:
        InputError: an argument out of range, a module that is not a map of R^d, NaN, a loss that grows beyond all bounds.

    Example:
        >>> import flowplane as fp
        >>> score = fp.transport.train_score((16,), fp.Normal(0.0, 1.0), variances=(0.1, 1.0), steps=200)
        >>> score.score([[1.0]], 1.0).round(1)  # −1/2
        array([[-0.5]])
    """
    low, high = as_variances(variances)
    plan = Plan(steps, batch_size, learning_rate, patience, validation, seed, device)
    points = Data(data, plan)
    learner = _learner(network, points, (low, high), activation, plan.seed).to(plan.device, torch.float32)

    def loss_of(
        x: Float[Tensor, "sample feature"], normal: Float[Tensor, "sample feature"], uniform: Float[Tensor, " sample"]
    ) -> Tensor:
        s = low * (uniform * math.log(high / low)).exp()
        found = learner(x + s.sqrt().unsqueeze(1) * normal, s.clone())
        return ((found - x).square().sum(1) / s).mean()

    fixed, levels = points.fixed()
    middle = math.sqrt(low * high)
    history = fit(
        learner,
        lambda: loss_of(x := points.batch(), points.normal(len(x)), points.uniform(len(x))),
        lambda: loss_of(points.held_out, fixed, levels),
        plan,
        float((points.variance / (points.variance + middle)).sum().clamp(min=1e-30)),
        "training a score",
        "1",
    )
    clean = points.density if points.density is not None else Empirical(data)
    source = clean.smoothed(high)
    made = LearnedScore(learner.double().eval(), (low, high), dimension=points.dimension, source=source).eval()
    made.history = history
    return made


def _learner(network: Any, points: Data, variances: tuple[float, float], activation: str, seed: int) -> nn.Module:
    """A module of its own, which knows the size of the data."""
    learner = own_network(
        network,
        LearnedScore,
        lambda hidden: ScoreNetwork(points.dimension, variances, hidden=hidden, activation=activation, seed=seed),
    )
    LearnedScore(learner, variances, dimension=points.dimension)
    if isinstance(learner, ScoreNetwork) and not learner.standardised:
        learner.standardise(points.mean, points.variance)
    return learner.train()
