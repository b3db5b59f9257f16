"""Points on their way through layers of one width, as particles on a polygon: what they and each step spend (§E2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.transport.profiles.budget import BLOCK_BYTES, Ways

__all__ = ["PARTS", "Polygon", "polygon"]

#: Each step's part of the energy: long name. The last three add up to the first, and each over the steps to the whole's.
PARTS = {
    "energy": "E|δ|²/t, what the block spends",
    "progress": "E δ·Δ, the block's part of the straight line to the end, which is transport and coupling together",
    "bending": "E(ℓ|δ| − δ·Δ), the block's part of what bending wastes",
    "pace": "E|δ|(|δ|/t − ℓ), the block's part of what an uneven pace wastes; below 0 for a slow one",
}


class Polygon(NamedTuple):
    """What points spend on straight lines from state to state."""

    ways: Ways
    #: By the names of `PARTS`: what each point adds to each step's part.
    parts: dict[str, Float[Tensor, "step sample"]]


def polygon(path: Float[Tensor, "vertex sample feature"], durations: Float[Tensor, " step"]) -> Polygon:
    """What points spend on a polygon, at constant speed along each of its sides.

    With δ the step of a side, t its duration, Δ from the first state to the last and ℓ = Σ|δ| the length of the path, the
    energy |δ|²/t of a side is δ·Δ + (ℓ|δ| − δ·Δ) + |δ|(|δ|/t − ℓ). Over the sides these add up to |Δ|², ℓ² − |Δ|² and
    ∫(|u| − ℓ)² ds, of which the paths have values of their own.

    Arguments:
        path: two states or more.
        durations: of the sides, above 0, 1 together.

    Example:
        >>> corner = torch.tensor([[[0.0, 0.0]], [[3.0, 0.0]], [[3.0, 4.0]]])
        >>> found = polygon(corner, torch.tensor([0.5, 0.5]))
        >>> [float(part) for part in (found.ways.energy, found.ways.cost, found.ways.bending, found.ways.pace)]
        [50.0, 25.0, 24.0, 1.0]
        >>> {name: part[:, 0].tolist() for name, part in found.parts.items()}
        {'energy': [18.0, 32.0], 'progress': [9.0, 16.0], 'bending': [12.0, 12.0], 'pace': [-3.0, 4.0]}
    """
    # of wide layers all steps of all points together would take more memory than the path itself
    rows = max(1, BLOCK_BYTES // (32 * len(path) * path.shape[2]))
    blocks = [_measured(block.double(), durations.double().unsqueeze(1)) for block in path.split(rows, dim=1)]
    ways = Ways(*(torch.cat(column) for column in zip(*(block.ways for block in blocks), strict=True)))
    return Polygon(ways, {name: torch.cat([block.parts[name] for block in blocks], 1) for name in PARTS})


def _measured(path: Float[Tensor, "vertex sample feature"], durations: Float[Tensor, "step 1"]) -> Polygon:
    steps = path.diff(dim=0)
    lengths = steps.norm(dim=2)
    length, speeds = lengths.sum(0), lengths / durations
    energy = lengths * speeds
    progress = (steps * (path[-1] - path[0])).sum(2)
    parts = {
        "energy": energy,
        "progress": progress,
        # never below 0 but by rounding, |Δ| being ℓ at most
        "bending": (length * lengths - progress).clamp_min(0.0),
        "pace": lengths * (speeds - length),
    }
    pace = (durations * (speeds - length).square()).sum(0)
    return Polygon(Ways(path[0], path[-1], energy.sum(0), length, pace), parts)
