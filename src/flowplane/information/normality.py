"""Whether samples are normally distributed, judged by their third and fourth moments and, in few dimensions, by waves."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["not_normal", "not_normal_pairs", "standard"]

#: How often normal samples would be taken for others (Bonferroni over all moments). Moments have longer tails than that
#: takes them to have: measured 2.5 to 4 % at n from 300 to 1000.
FALSE_ALARMS = 0.01
#: Groups of fewer samples are not judged on their own.
SMALLEST = 8
#: Up to so many directions they are also taken in pairs, which cost their square.
PAIRED = 4
#: Waves along so many angles in the plane of each pair, of these frequencies. Half planes wound up into a spiral, 500
#: samples each, have a normal's moments in a fifth of all draws; their waves tell them apart in all.
ANGLES, FREQUENCIES = 8, (1.0, 2.0, 3.0)


def standard(values: Float[Tensor, "batch sample direction"]) -> Float[Tensor, "batch sample direction"]:
    """Each direction with mean 0 and variance 1."""
    centred = values - values.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt().clamp_min(1e-300)


def not_normal(z: Tensor, groups: Float[Tensor, "sample group"]) -> Bool[Tensor, " batch"]:
    """Whether whitened samples (batch, sample, direction) have, in any group of them, other third or fourth moments than a
    normal: of each direction, of few directions in pairs, and of the distance from the mean; or other waves."""
    d = z.shape[2]
    radius = z.square().sum(2, keepdim=True)
    square = z * z
    terms = [square * z, square * square - 3.0, radius * radius - d * (d + 2)]
    variances = [6.0] * d + [24.0] * d + [8.0 * d * (d + 2)]
    if d <= PAIRED:
        for shift in range(1, d):
            other, other_square = z.roll(shift, 2), square.roll(shift, 2)
            terms += [(square - 1.0) * other, (square - 1.0) * (other_square - 1.0)]
            variances += [2.0] * d + [4.0] * d
        waves, of_waves = _waves(z)
        terms.append(waves)
        variances += of_waves
    z = torch.cat(terms, 2)
    variance = torch.tensor(variances, dtype=z.dtype, device=z.device)
    return _beyond(z, groups, variance)


def _waves(z: Float[Tensor, "batch sample direction"]) -> tuple[Float[Tensor, "batch sample wave"], list[float]]:
    """cos ωp − e^(−ω²/2) and sin ωp of whitened samples along many directions p, and how much their means vary (times n),
    the samples having been whitened by themselves (Epps and Pulley, 1983)."""
    d = z.shape[2]
    turned = [torch.eye(d, dtype=z.dtype, device=z.device)]
    for first, second in combinations(range(d), 2):
        angles = torch.arange(1, ANGLES) * (math.pi / ANGLES)
        angles = angles[(angles - math.pi / 2).abs() > 1e-6].to(turned[0])
        along = torch.zeros(len(angles), d, dtype=z.dtype, device=z.device)
        along[:, first], along[:, second] = angles.cos(), angles.sin()
        turned.append(along)
    projected = z @ torch.cat(turned).T
    terms, variances = [], []
    for frequency in FREQUENCIES:
        square = frequency**2
        damped = math.exp(-square)
        terms += [(frequency * projected).cos() - math.sqrt(damped), (frequency * projected).sin()]
        even = (1 + damped**2) / 2 - damped - square**2 * damped / 2
        odd = (1 - damped**2) / 2 - square * damped
        variances += [even] * projected.shape[2] + [odd] * projected.shape[2]
    return torch.cat(terms, 2), variances


def not_normal_pairs(u: Tensor, v: Tensor) -> Bool[Tensor, " batch"]:
    """Whether canonical variates (batch, sample, pair) are anything but pairs of normals: independent ones, once the second
    is freed from the first."""
    rho = (u * v).mean(1, keepdim=True)
    w = (v - rho * u) / (1 - rho.square()).clamp_min(1e-12).sqrt()
    free = torch.cat([u, w], 2)
    pairs = torch.cat([(u**2 - 1) * w, (u**3 - 3 * u) * w, (u**2 - 1) * (w**2 - 1)], 2)
    variance = torch.tensor([2.0, 6.0, 4.0], dtype=u.dtype, device=u.device).repeat_interleave(u.shape[2])
    everyone = torch.ones_like(u[0, :, :1])
    return not_normal(free, everyone) | _beyond(pairs, everyone, variance)


def _beyond(terms: Tensor, groups: Tensor, variance: Tensor) -> Bool[Tensor, " batch"]:
    """Whether a mean over a group, or over all samples, is further from 0 than chance allows, given the variance of its
    terms."""
    groups = torch.cat([groups[:, groups.sum(0) >= SMALLEST], groups.sum(1, keepdim=True)], 1)
    size = groups.sum(0)
    means = (groups / size).T @ terms
    errors = (means.abs() * (size.unsqueeze(1) / variance).sqrt()).flatten(1)
    limit = -torch.special.ndtri(torch.tensor(FALSE_ALARMS / (2 * errors.shape[1]), dtype=torch.float64))
    return errors.amax(1) > float(limit)
