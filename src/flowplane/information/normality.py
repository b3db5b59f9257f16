"""Whether samples are normally distributed, judged by their third and fourth moments and, in few dimensions, by waves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.core.points import in_scale

__all__ = [
    "far_out",
    "not_normal",
    "not_normal_classes",
    "not_normal_ends",
    "not_normal_pairs",
    "not_normal_together",
    "standard",
]

#: Values judged together: they and their waves stay in a processor's cache.
BLOCK = 1 << 15
#: Terms (batch, sample, …) that have mean 0 for normal samples, and the variance of that mean times their number.
Term = tuple[Tensor, float]


class Judged(NamedTuple):
    """The groups that are judged, of samples in the order of their own, and the stretches that they are made of."""

    groups: Float[Tensor, "sample group"]
    stretches: list[slice]

    @property
    def size(self) -> Float[Tensor, " group"]:
        """How many samples a group has."""
        return self.groups.abs().sum(0)

    @property
    def shares(self) -> Float[Tensor, "stretch group"]:
        """What makes a group's mean of sums over the stretches."""
        return self.groups[[stretch.start for stretch in self.stretches]] / self.size


class Excess(NamedTuple):
    """How many standard errors means lie from 0, the excess kurtosis of their terms, and how many terms."""

    errors: Float[Tensor, "batch mean"]
    kurtosis: float
    samples: float


#: `heavy_tails` for I(X;T), by neighbours or by networks, where a coordinate's fourth moment is more than this times its
#: squared variance (normal: 3). Measured by neighbours on uncorrelated Student x and t with 3 degrees of freedom (median
#: 17), 500 samples, 80 draws: the truth is within in 82 %, with 2 degrees (64) in 71 %, with 5 degrees in 95 %, for z^1.5 of
#: normal z (6) in 97 %.
MOST_KURTOSIS = 12.0
#: How often normal samples would be flagged (Bonferroni over all moments). Moments have longer tails than that
#: takes them to have: measured 2.5 to 4 % at n from 300 to 1000.
FALSE_ALARMS = 0.01
#: The same for other kinds: signs, ends, what two spaces share.
SELDOM = 0.003
#: And where a flag costs little: of windings, for neighbours.
OFTEN = 0.05
#: Groups of fewer samples are not judged on their own.
SMALLEST = 8
#: Up to this many directions they are also taken in pairs, whose cost is quadratic.
PAIRED = 4
#: Waves along this many angles in the plane of each pair, of frequencies 1 to this. Half planes wound up into a spiral, 500
#: samples each, have a normal's moments in a fifth of all draws; their waves tell them apart in all.
ANGLES, FREQUENCIES = 8, 3
#: How far a spiral in such a plane may turn with the squared distance, in either sense.
TURNS = 0.25, 0.5, 1.0, 1.5
#: Up to the first number of directions the signs of all are judged together, up to the second those of any three.
PARITY, TRIPLED = 12, 32


def far_out(points: Float[Tensor, "batch sample feature"]) -> Bool[Tensor, " batch"]:
    """Whether a few values of a coordinate lie far out: its fourth moment is too many times its squared variance."""
    values, _ = in_scale(points, 1)
    squares = (values - values.mean(1, keepdim=True)).square()
    return (squares.square().mean(1) > MOST_KURTOSIS * squares.mean(1).square()).any(1)


def standard(values: Float[Tensor, "batch sample direction"]) -> Float[Tensor, "batch sample direction"]:
    """Each direction with mean 0 and variance 1."""
    centred = values - values.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt().clamp_min(1e-300)


def not_normal(z: Tensor, groups: Float[Tensor, "sample group"]) -> Bool[Tensor, " batch"]:
    """Whether whitened samples (batch, sample, direction) have, in any group of them, other third or fourth moments than a
    normal: of each direction, of few directions in pairs, and of the distance from the mean; or other waves."""
    order, judged = _judged(groups)
    step = max(1, BLOCK // z[0].numel())
    # a direction's samples side by side
    return torch.cat([_odd(part.mT[:, :, order].mT, judged) for part in z.split(step)])


def _odd(z: Tensor, judged: Judged) -> Bool[Tensor, " batch"]:
    found = _beyond(chain(_moments_over(_moments(z), judged), _waves(z, judged))) | not_normal_ends(z)
    if 2 < z.shape[2] <= TRIPLED:
        found |= _beyond(_signs(z, judged.groups), SELDOM)
    return found | _beyond([_windings(z, judged)]) if 1 < z.shape[2] <= PAIRED else found


def not_normal_ends(z: Float[Tensor, "batch sample direction"]) -> Bool[Tensor, " batch"]:
    """Whether the largest value of a direction, of mean 0 and variance 1, lies nearer or farther out than that of normals:
    it reveals bounded values, however they are rotated."""
    tail = 2.0 * torch.special.ndtr(-z.abs().amax(1).double())
    below = z.shape[1] * torch.log1p(-tail)  # ln P(no normal is farther out)
    rare = torch.minimum(below.exp(), -torch.expm1(below)).clamp_min(1e-300)
    return _beyond([Excess(-torch.special.ndtri(rare), 0.0, 1.0)], SELDOM)


def not_normal_pairs(u: Tensor, v: Tensor) -> Bool[Tensor, " batch"]:
    """Whether canonical variates (batch, sample, pair) are anything but pairs of normals: independent ones, once the second
    is freed from the first."""
    rho = (u * v).mean(1, keepdim=True)
    w = (v - rho * u) / (1 - rho.square()).clamp_min(1e-12).sqrt()
    pairs = [((u**2 - 1) * w, 2.0), ((u**3 - 3 * u) * w, 6.0), ((u**2 - 1) * (w**2 - 1), 4.0)]
    everyone = torch.ones_like(u[0, :, :1])
    together = _judged(everyone)[1]
    found = not_normal(torch.cat([u, w], 2), everyone) | _beyond(_moments_over(pairs, together))
    found |= _beyond(_crossed(u, w), SELDOM)
    return found | _beyond(_moments_over(_wound_together(u, w), together), SELDOM) if u.shape[2] == 2 else found


def _crossed(u: Tensor, w: Tensor) -> Iterator[Excess]:
    """Means of u_a w_b times how far u, or w, lies from its mean, in their standard errors: whether what two directions have
    in common changes with the distance, as where one space is wound up."""
    n, d = u.shape[1:]
    for radius in (u.square().sum(2, keepdim=True) - d, w.square().sum(2, keepdim=True) - d):
        yield Excess(((u * radius).mT @ w / math.sqrt((2 * d + 8) * n)).flatten(1).abs(), 24.0, n)


def _wound_together(u: Tensor, w: Tensor) -> Iterator[Term]:
    """cos and sin of the angles in two planes, each less what a spiral has turned at its distance, added and subtracted."""
    turned = []
    for plane in (u, w):
        square, angle = plane.square().sum(2, keepdim=True), torch.atan2(plane[:, :, 1:], plane[:, :, :1])
        turned.append(
            angle
            - square
            * torch.tensor([sense * turn for turn in TURNS for sense in (1, -1)], dtype=plane.dtype, device=plane.device)
        )
    for sense in (1, -1):
        both = (turned[0].unsqueeze(3) + sense * turned[1].unsqueeze(2)).flatten(2).float()
        yield both.cos(), 0.5
        yield both.sin(), 0.5


def not_normal_together(
    x: Float[Tensor, "#batch sample feature"], t: Float[Tensor, "batch sample unit"]
) -> Bool[Tensor, " batch"]:
    """Whether x and t depend on each other in another way than normals do, whatever map each coordinate went through: by
    the normal scores of their ranks."""
    white_x, white_t = (_whitened(_scores(part)) for part in (x, t))
    white_x = white_x.expand(len(t), -1, -1)
    left, _, right = torch.linalg.svd(white_x.mT @ white_t, full_matrices=False)
    everyone = torch.ones_like(t[0, :, :1])
    found = not_normal_pairs(standard(white_x @ left), standard(white_t @ right.mT))
    return found | not_normal(standard(white_x), everyone) | not_normal(standard(white_t), everyone)


def not_normal_classes(t: Float[Tensor, "batch sample unit"], y: Int[Tensor, " sample"]) -> Bool[Tensor, " batch"]:
    """Whether units depend on each other, in a class, in another way than normals do, by the normal scores of their ranks;
    windings of few units are judged by their values as well, since scores unwind them."""
    sizes = torch.bincount(y)
    kept = (sizes > max(2 * t.shape[2], SMALLEST))[y]
    if not bool(kept.any()):
        return torch.zeros(len(t), dtype=torch.bool, device=t.device)
    t, names = t[:, kept].double(), y[kept]
    scores, plain = torch.empty_like(t), torch.empty_like(t)
    for name in names.unique().tolist():
        inside = t[:, names == name]
        scores[:, names == name] = standard(_whitened(_scores(inside)))
        plain[:, names == name] = standard(_whitened(standard(inside)))
    groups = torch.nn.functional.one_hot(names).double()
    groups = groups[:, groups.sum(0) > 0]
    found = not_normal(scores, groups)
    if not 1 < t.shape[2] <= PAIRED:
        return found
    order, judged = _judged(groups)
    return found | _beyond([_windings(plain.mT[:, :, order].mT, judged)], OFTEN)


def _scores(values: Float[Tensor, "batch sample direction"]) -> Float[Tensor, "batch sample direction"]:
    """Normal scores of the ranks in each direction."""
    ranks = values.argsort(1).argsort(1).double()
    return torch.special.ndtri((ranks + 0.5) / values.shape[1])


def _whitened(values: Float[Tensor, "batch sample direction"]) -> Float[Tensor, "batch sample direction"]:
    """Whitened: rotated and scaled to covariance I; a direction that others explain is left to rounding."""
    covariance = values.mT @ values / values.shape[1]
    factor = torch.linalg.cholesky(
        covariance + 1e-8 * torch.eye(len(covariance[0]), dtype=values.dtype, device=values.device)
    )
    return torch.linalg.solve_triangular(factor, values.mT, upper=False).mT


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


def _waves(z: Float[Tensor, "batch sample direction"], judged: Judged) -> Iterator[Excess]:
    """Means of cos ωp − e^(−ω²/2) and of sin ωp along many directions p of whitened samples, in their standard errors, the
    samples having been whitened by themselves (Epps and Pulley, 1983).

    p = x cos α ± y sin α, α a multiple of π/8: by the products of the waves along x cos α and along y sin α, which serve
    both signs and several planes.
    """
    d = z.shape[2]
    if d > PAIRED:
        return
    angles = torch.arange(ANGLES // 2, dtype=torch.float64, device=z.device) * (math.pi / ANGLES)
    # the means of waves are compared with chance, n^(-1/2): single precision is exact enough
    along = (z.mT.unsqueeze(1) * angles.cos()[:, None, None]).float()
    cosine, sine = along.cos(), along.sin()
    even, odd = torch.ones_like(cosine), torch.zeros_like(sine)
    size = judged.size
    level = (judged.groups.sum(0) / size)[:, None]
    first, second = torch.triu_indices(d, d, 1, device=z.device)
    turns = torch.arange(len(angles) - 1, device=z.device)[:, None]
    x, y = (turns * d + first).flatten(), ((len(angles) - 2 - turns) * d + second).flatten()
    for frequency in range(1, FREQUENCIES + 1):
        even, odd = even * cosine - odd * sine, odd * cosine + even * sine
        square = float(frequency**2)
        damped = math.exp(-square)
        units = torch.stack([even[:, 0], odd[:, 0]], 1).flatten(1, 2)
        own = _products(torch.ones_like(units[:, :1]), units, judged).unflatten(3, (2, d))[:, :, 0]
        turned = torch.stack([even[:, 1:], odd[:, 1:]], 1).flatten(1, 3)
        pairs = _products(turned, turned, judged).unflatten(3, (2, -1)).unflatten(2, (2, -1))
        cc, cs, sc, ss = (pairs[:, :, a, :, b][:, :, x, y] for a in (0, 1) for b in (0, 1))
        means = torch.cat([own[:, :, 0], cc - ss, cc + ss], 2) - level * math.sqrt(damped)
        yield _errors(means, (1 + damped**2) / 2 - damped - square**2 * damped / 2, size)
        yield _errors(torch.cat([own[:, :, 1], sc + cs, sc - cs], 2), (1 - damped**2) / 2 - square * damped, size)


def _signs(z: Tensor, groups: Float[Tensor, "sample group"]) -> Iterator[Excess]:
    """Means over each group of the product of the signs of three directions or more, in their standard errors: such products
    have no tails, and find the parity of several units in a hundred samples."""
    batch, _, d = z.shape
    counts = groups.abs().sum(0)
    if d <= PARITY:  # all products at once: the Walsh transform of how often each pattern of signs occurs
        bits = torch.arange(d, device=z.device)
        pattern = ((z > 0) * (1 << bits)).sum(2)
        sums = z.new_zeros(batch, len(counts), 1 << d)
        sums.scatter_add_(2, pattern[:, None].expand(-1, len(counts), -1), groups.T.expand(batch, -1, -1))
        for place in range(d):
            low, high = sums.unflatten(2, (-1, 2, 1 << place)).unbind(3)
            sums = torch.stack([low + high, low - high], 3).flatten(2)
        several = ((torch.arange(1 << d, device=z.device)[:, None] >> bits) & 1).sum(1) > 2
        means = sums[:, :, several].abs() / counts.sqrt()[:, None]
        for group, count in enumerate(counts.tolist()):
            yield Excess(means[:, group], 0.0, count)
    else:
        first, second = torch.triu_indices(d, d, 1, device=z.device)
        signs = z.sign().float()
        pairs = signs[:, :, first] * signs[:, :, second]
        for group, count in zip(groups.T, counts.tolist(), strict=True):
            means = (pairs * (group.float() / math.sqrt(count))[:, None]).mT @ signs
            yield Excess(means[:, torch.arange(d, device=z.device) > second[:, None]].abs(), 0.0, count)


def _moments_over(terms: Iterable[Term], judged: Judged) -> Iterator[Excess]:
    size = judged.size
    shares = (judged.groups / size).T
    for values, variance in terms:
        yield _errors((shares.to(values) @ values).double(), variance, size)


def _products(
    left: Float[Tensor, "batch left sample"], right: Float[Tensor, "batch right sample"], judged: Judged
) -> Float[Tensor, "batch group left right"]:
    """Means over each group of the products of two terms."""
    sums = torch.stack([left[:, :, part] @ right[:, :, part].mT for part in judged.stretches], 3).double()
    return (sums @ judged.shares).movedim(3, 1)


def _errors(means: Float[Tensor, "batch group mean"], variance: float, size: Float[Tensor, " group"]) -> Excess:
    """Means of `size` terms of this variance, in their standard errors."""
    return Excess((means.abs() * (size / variance).sqrt()[:, None]).flatten(1), 0.0, 1.0)


def _judged(groups: Float[Tensor, "sample group"]) -> tuple[Int[Tensor, " sample"], Judged]:
    """Samples in the order of their groups, and then the groups that are large enough, all samples together, and the
    difference of two groups, which may differ in sign."""
    order = groups.argmax(1).argsort(stable=True)
    sizes = groups.sum(0)
    stops = [int(stop) for stop in sizes.cumsum(0).tolist()]
    stretches = [slice(start, stop) for start, stop in pairwise([0, *stops]) if start < stop]
    large = groups[order][:, sizes >= SMALLEST]
    found = [large, groups[order].sum(1, keepdim=True)]
    return order, Judged(torch.cat([*found, large[:, :1] - large[:, 1:]] if large.shape[1] == 2 else found, 1), stretches)


def _windings(z: Float[Tensor, "batch sample direction"], judged: Judged) -> Excess:
    """cos and sin of the angle in the plane of each pair, less what a spiral has turned at that distance, in their standard
    errors: whether half a plane is wound up, even where waves along straight lines miss it."""
    pairs = torch.combinations(torch.arange(z.shape[2], device=z.device))
    plane = z.mT[:, pairs].flatten(0, 1)
    square = plane.square().sum(1, keepdim=True)
    turned = (square * torch.tensor(TURNS, dtype=z.dtype, device=z.device)[:, None]).float()
    direction = (plane / square.sqrt().clamp_min(1e-300)).float()
    products = _products(direction, torch.cat([turned.cos(), turned.sin()], 1), judged)
    cc, cs, sc, ss = products.unflatten(3, (2, -1)).flatten(2, 3).unbind(2)
    means = torch.cat([cc + ss, cc - ss, sc - cs, sc + cs], 2).unflatten(0, (len(z), -1)).transpose(1, 2).flatten(2)
    return _errors(means, 0.5, judged.size)


def _beyond(found: Iterable[Excess], alarms: float = FALSE_ALARMS) -> Bool[Tensor, " batch"]:
    """Whether a mean is further from 0 than chance allows."""
    parts = list(found)
    tests = sum(part.errors.shape[1] for part in parts)
    limit = -float(torch.special.ndtri(torch.tensor(alarms / (2 * tests), dtype=torch.float64, device="cpu")))
    held = [
        (part.errors > limit + (limit**3 - 3 * limit) * part.kurtosis / (24 * part.samples)).any(1)
        for part in parts
        if part.errors.shape[1]
    ]
    return torch.stack(held).any(0)
