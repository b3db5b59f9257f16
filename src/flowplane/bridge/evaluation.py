"""Denoisers judged on rows they have not seen: the integrands of the gap at given noise levels (§C3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.bridge.training import Denoiser, Rows

__all__ = ["Judged", "Losses", "judge"]


class Losses(NamedTuple):
    """Squared lengths, divided by τ: times a weight in log τ and ½, they are nats."""

    #: E|T − ĝ|² without the condition, and with it.
    without: Float[Tensor, "model row node"]
    given: Float[Tensor, "model row node"]
    #: E|ĝ_Y − ĝ|².
    gap: Float[Tensor, "model row node"]


class Judged(NamedTuple):
    """The same noises for both."""

    base: Losses
    learned: Losses


@torch.no_grad()
def judge(
    denoiser: Denoiser,
    rows: Rows,
    log_levels: Float[Tensor, "model node"],
    draws: int,
    generator: torch.Generator,
    conditioned: bool = True,
) -> Judged:
    """Losses at each node, the mean over some noises per row and their negatives; in float64.

    Arguments:
        rows: of each model, none of which it was trained on.
        log_levels: the nodes log τ of each model.
        draws: pairs of a noise and its negative.
        conditioned: whether there is a condition; without one, the losses with it are those without.
    """
    base, places = denoiser.base, rows.places
    clean = base.clean(places).double()
    found = clean.new_zeros((6, *places.shape, log_levels.shape[1]))
    told = [torch.full(places.shape, given, dtype=torch.bool, device=places.device) for given in (False, True)]
    for node in range(log_levels.shape[1]):
        log_level = log_levels[:, node, None].double().expand(places.shape)
        level = log_level.exp()
        for _ in range(draws):
            noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64, device=generator.device)
            for sign in (1, -1):
                noisy = clean + sign * level.sqrt()[:, :, None] * noise.to(clean.device)
                guesses = [base.guess(noisy, level, places, told[given]) for given in range(1 + conditioned)]
                learned = [denoiser(guess, log_level, bool(given)) for given, guess in enumerate(guesses)]
                pairs = (guesses[0].mean, guesses[-1].mean), (learned[0], learned[-1])
                for first, (without, given) in zip((0, 3), pairs, strict=True):
                    for place, difference in enumerate((clean - without, clean - given, given - without)):
                        found[first + place, :, :, node] += difference.square().sum(2) / (2 * draws * level)
    return Judged(Losses(*found[:3]), Losses(*found[3:]))
