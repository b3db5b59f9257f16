"""Whether samples are normally distributed, judged by their third and fourth moments and, in few dimensions, by waves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain, combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

#: Values judged together: they and their waves stay in a processor's cache.
BLOCK = 1 << 14
#: Terms (batch, sample, …) that have mean 0 for normal samples, and the variance of that mean times their number.
Term = tuple[Tensor, float]

__all__ = ["not_normal", "not_normal_pairs", "standard"]

#: How often normal samples would be taken for others (Bonferroni over all moments). Moments have longer tails than that
#: takes them to have: measured 2.5 to 4 % at n from 300 to 1000.
FALSE_ALARMS = 0.01
#: Groups of fewer samples are not judged on their own.
SMALLEST = 8
#: Up to so many directions they are also taken in pairs, which cost their square.
PAIRED = 4
#: Waves along so many angles in the plane of each pair, of frequencies 1 to this. Half planes wound up into a spiral, 500
#: samples each, have a normal's moments in a fifth of all draws; their waves tell them apart in all.
ANGLES, FREQUENCIES = 8, 3


def standard(values: Float[Tensor, "batch sample direction"]) -> Float[Tensor, "batch sample direction"]:
    """Each direction with mean 0 and variance 1."""
    centred = values - values.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt().clamp_min(1e-300)


def not_normal(z: Tensor, groups: Float[Tensor, "sample group"]) -> Bool[Tensor, " batch"]:
    """Whether whitened samples (batch, sample, direction) have, in any group of them, other third or fourth moments than a
    normal: of each direction, of few directions in pairs, and of the distance from the mean; or other waves."""
    step = max(1, BLOCK // z[0].numel())
    return torch.cat([_beyond(chain(_moments(part), _waves(part)), groups) for part in z.split(step)])


def not_normal_pairs(u: Tensor, v: Tensor) -> Bool[Tensor, " batch"]:
    """Whether canonical variates (batch, sample, pair) are anything but pairs of normals: independent ones, once the second
    is freed from the first."""
    rho = (u * v).mean(1, keepdim=True)
    w = (v - rho * u) / (1 - rho.square()).clamp_min(1e-12).sqrt()
    pairs = [((u**2 - 1) * w, 2.0), ((u**3 - 3 * u) * w, 6.0), ((u**2 - 1) * (w**2 - 1), 4.0)]
    everyone = torch.ones_like(u[0, :, :1])
    return not_normal(torch.cat([u, w], 2), everyone) | _beyond(pairs, everyone)


def _moments(z: Tensor) -> Iterator[Term]:
    d = z.shape[2]
    square = z * z
    yield square * z, 6.0
    yield square * square - 3.0, 24.0
    radius = square.sum(2, keepdim=True)
    yield radius * radius - d * (d + 2), 8.0 * d * (d + 2)
    if d <= PAIRED:
        for shift in range(1, d):
            other, other_square = z.roll(shift, 2), square.roll(shift, 2)
            yield (square - 1.0) * other, 2.0
            yield (square - 1.0) * (other_square - 1.0), 4.0


def _waves(z: Float[Tensor, "batch sample direction"]) -> Iterator[Term]:
    """cos ωp − e^(−ω²/2) and sin ωp of whitened samples along many directions p, and how much their means vary (times n),
    the samples having been whitened by themselves (Epps and Pulley, 1983)."""
    d = z.shape[2]
    if d > PAIRED:
        return
    turned = [torch.eye(d, dtype=z.dtype, device=z.device)]
    for first, second in combinations(range(d), 2):
        angles = torch.arange(1, ANGLES, dtype=torch.float64, device=z.device) * (math.pi / ANGLES)
        angles = angles[(angles - math.pi / 2).abs() > 1e-6].to(turned[0])
        along = torch.zeros(len(angles), d, dtype=z.dtype, device=z.device)
        along[:, first], along[:, second] = angles.cos(), angles.sin()
        turned.append(along)
    # the means of waves are compared with chance, n^(-1/2): single precision is exact enough
    projected = (z @ torch.cat(turned).T).float()
    cosine, sine = projected.cos(), projected.sin()
    even, odd = torch.ones_like(cosine), torch.zeros_like(sine)
    for frequency in range(1, FREQUENCIES + 1):
        even, odd = even * cosine - odd * sine, odd * cosine + even * sine
        square = float(frequency**2)
        damped = math.exp(-square)
        yield even - math.sqrt(damped), (1 + damped**2) / 2 - damped - square**2 * damped / 2
        yield odd, (1 - damped**2) / 2 - square * damped


def _beyond(terms: Iterable[Term], groups: Float[Tensor, "sample group"]) -> Bool[Tensor, " batch"]:
    """Whether a mean over a group, or over all samples, is further from 0 than chance allows, given the variance of its
    terms."""
    groups = torch.cat([groups[:, groups.sum(0) >= SMALLEST], groups.sum(1, keepdim=True)], 1)
    size = groups.sum(0)
    shares = (groups / size).T
    errors = torch.cat(
        [
            (shares.to(values) @ values).abs().flatten(1).double()
            * (size / variance).sqrt().repeat_interleave(values.shape[2])
            for values, variance in terms
        ],
        1,
    )
    limit = -torch.special.ndtri(torch.tensor(FALSE_ALARMS / (2 * errors.shape[1]), dtype=torch.float64, device="cpu"))
    return errors.amax(1) > float(limit)
