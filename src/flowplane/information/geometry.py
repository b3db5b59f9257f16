"""How a layer lays out its points: matrix entropy, curvature, classes that collapse, views that are alike (§D3–§D5, §D7)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.streams import SUBSETS, generator

__all__ = ["Collapse", "Invariance", "collapse", "curvature", "invariance", "matrix_entropy"]

#: Of InfoNCE; added to the variance within samples; shuffles of the second view.
TEMPERATURE, RIDGE, SHUFFLES = 0.1, 1e-4, 10


def matrix_entropy(rows: Float[Tensor, "*batch row unit"], alpha: float = 1.0) -> Float[Tensor, "*batch"]:
    """S_α of K = ZZᵀ/tr ZZᵀ in bits: −Σ λ log2 λ over its eigenvalues, log2(Σ λ^α)/(1 − α) for α other than 1; 2^S is the
    effective rank. NaN where all rows are 0.

    See also: Giraldo, Rao and Principe, IEEE Trans. Inf. Theory 61 (2015); Skean et al., Layer by Layer (ICML 2025). §D3.

    Example:
        >>> float(matrix_entropy(torch.eye(8))), float(matrix_entropy(torch.eye(8), 2.0))
        (3.0, 3.0)
    """
    wide = rows.double()
    wide = wide / wide.abs().amax((-2, -1), keepdim=True)  # NaN for nothing but zeros
    gram = wide @ wide.mT if wide.shape[-2] <= wide.shape[-1] else wide.mT @ wide
    total = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    known = torch.isfinite(total)
    shares = torch.linalg.eigvalsh(torch.where(known[..., None, None], gram, 0.0)) / total[..., None]
    shares = torch.where(shares <= 1e-13, 0.0, shares)  # roundings of nothing, which orders below 1 would count
    if alpha == 1.0:
        return torch.special.entr(shares).sum(-1) / math.log(2.0)
    return shares.pow(alpha).sum(-1).log2() / (1.0 - alpha)


def curvature(
    rows: Float[Tensor, "batch row unit"], samples: Int[Tensor, " row"], tokens: Int[Tensor, " row"]
) -> Float[Tensor, "batch sample"]:
    """The mean angle in degrees between successive steps z_{k+1} − z_k along the tokens of each sample; NaN for samples of
    fewer than three tokens in a row. Tokens that are not next to one another make no step.

    See also: Hosseini and Fedorenko, Large language models implicitly learn to straighten neural sentence trajectories
    (NeurIPS 2023). §D4.

    Example:
        >>> square = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
        >>> curvature(square, torch.zeros(4, dtype=torch.long), torch.arange(4)).tolist()
        [[90.0]]
    """
    order = torch.argsort(samples * (int(tokens.max()) + 1) + tokens)
    samples, tokens, rows = samples[order], tokens[order], rows[:, order].double()
    steps = rows[:, 1:] - rows[:, :-1]
    joined = (samples[1:] == samples[:-1]) & (tokens[1:] == tokens[:-1] + 1)
    both = joined[1:] & joined[:-1]
    lengths = steps.norm(dim=2)
    cosines = (steps[:, 1:] * steps[:, :-1]).sum(2) / (lengths[:, 1:] * lengths[:, :-1])
    angles = torch.rad2deg(torch.arccos(cosines.clamp(-1.0, 1.0)))
    good = both & torch.isfinite(angles)
    names, place = torch.unique(samples, return_inverse=True)
    sums = angles.new_zeros(len(rows), len(names)).index_add_(1, place[2:], torch.where(good, angles, 0.0))
    counts = angles.new_zeros(len(rows), len(names)).index_add_(1, place[2:], good.double())
    return sums / counts


class Collapse(NamedTuple):
    """Neural collapse (§D7), (batch,): tr(Σ_w Σ_b⁺)/C; the standard deviation of the cosines between class means, centred by
    the global mean; and their mean distance from −1/(C − 1), the cosine of a simplex."""

    within: Float[Tensor, " batch"]
    cosine_spread: Float[Tensor, " batch"]
    simplex_distance: Float[Tensor, " batch"]


def collapse(rows: Float[Tensor, "batch row unit"], classes: Int[Tensor, " row"]) -> Collapse:
    """How far within-class variation has vanished, and the class means form a simplex; all three tend to 0 as it completes.

    See also: Papyan, Han and Donoho, Prevalence of neural collapse (PNAS 2020). §D7.

    Example:
        >>> corners = torch.eye(3).repeat(4, 1)[None]
        >>> [round(float(part), 6) for part in collapse(corners, torch.arange(12) % 3)]
        [0.0, 0.0, 0.0]
    """
    wide = rows.double()
    names, place = torch.unique(classes, return_inverse=True)
    count = len(names)
    members = torch.nn.functional.one_hot(place, count).double()
    means = (members.T @ wide) / members.sum(0)[:, None]
    middle = means.mean(1, keepdim=True)  # the mean of class means, as in the paper
    centred = means - middle
    apart = wide - means[:, place]
    n = wide.shape[1]
    # Σ_b has rank C − 1 at most: its pseudo-inverse acts between the class means
    _, sizes, right = torch.linalg.svd(centred / math.sqrt(count), full_matrices=False)
    kept = sizes > 1e-10 * sizes.amax(1, keepdim=True)
    along = apart @ right.mT
    shares = torch.where(kept, along.square().sum(1) / n / sizes.square().clamp_min(1e-300), 0.0)
    within = shares.sum(1) / count
    unit = centred / centred.norm(dim=2, keepdim=True)
    pairs = torch.triu_indices(count, count, 1, device=centred.device)
    cosines = (unit @ unit.mT)[:, pairs[0], pairs[1]]
    nothing = ~kept.any(1)
    spread, distance = cosines.std(1, correction=0), (cosines + 1.0 / (count - 1)).abs().mean(1)
    return Collapse(*(torch.where(nothing, torch.nan, part) for part in (within, spread, distance)))


class Invariance(NamedTuple):
    """How alike a layer makes two views of a sample, compared with other samples (§D5), (batch,): a lower bound in bits on
    what one view says about which sample the other is of (InfoNCE); directions that separate samples but not views
    (LiDAR); and bits by which the matrix entropy of both views together grows when views are shuffled (DiME)."""

    infonce: Float[Tensor, " batch"]
    lidar: Float[Tensor, " batch"]
    dime: Float[Tensor, " batch"]


def invariance(
    rows: Float[Tensor, "batch sample unit"], views: Float[Tensor, "batch sample unit"], seed: int = 0
) -> Invariance:
    """InfoNCE, log2 n less the loss, symmetric, at temperature 0.1; LiDAR, the effective rank of Σ_w^{−½} Σ_b Σ_w^{−½};
    DiME, over ten shuffles by the seed. Rows have unit length first.

    See also: van den Oord et al. (2018), arXiv 1807.03748; Thilak et al., LiDAR (ICLR 2024); Skean et al., DiME (2023). §D5.

    Example:
        >>> points = torch.eye(16)[None]
        >>> found = invariance(points, points)
        >>> round(float(found.infonce), 2), round(float(found.lidar), 2)
        (4.0, 15.0)
    """
    first, second = (each.double() / each.double().norm(dim=2, keepdim=True) for each in (rows, views))
    n = first.shape[1]
    logits = first @ second.mT / TEMPERATURE
    own = logits.diagonal(dim1=1, dim2=2)
    loss = 0.5 * ((logits.logsumexp(2) - own).mean(1) + (logits.logsumexp(1) - own).mean(1))
    means = 0.5 * (first + second)
    centred = means - means.mean(1, keepdim=True)
    between = centred.mT @ centred / n
    within = torch.stack([(each - means).mT @ (each - means) for each in (first, second)]).sum(0) / (2 * n)
    within = within + RIDGE * torch.eye(within.shape[1], dtype=within.dtype, device=within.device)
    known = torch.isfinite(between).all(2).all(1)
    sizes, axes = torch.linalg.eigh(
        torch.where(known[:, None, None], within, torch.eye(within.shape[1], dtype=within.dtype, device=within.device))
    )
    half = axes * sizes.rsqrt()[:, None]
    shares = torch.linalg.eigvalsh(half.mT @ torch.where(known[:, None, None], between, 0.0) @ half).clamp_min(0.0)
    shares = shares / shares.sum(1, keepdim=True)
    lidar = torch.special.entr(shares).sum(1).exp()
    grams = [torch.where(known[:, None, None], each @ each.mT, 0.0) for each in (first, second)]
    orders = [torch.from_numpy(generator(seed, SUBSETS, k).permutation(n)).to(rows.device) for k in range(SHUFFLES)]
    apart = torch.stack([_joint_entropy(grams[0], grams[1][:, order][:, :, order]) for order in orders]).mean(0)
    dime = apart - _joint_entropy(*grams)
    return Invariance(*(torch.where(known, part, torch.nan) for part in (math.log2(n) - loss / math.log(2.0), lidar, dime)))


def _joint_entropy(one: Tensor, other: Tensor) -> Float[Tensor, " batch"]:
    """Matrix entropy in bits of the product, entry by entry, of two Gram matrices."""
    shares = torch.linalg.eigvalsh(one * other / one.shape[1])
    return torch.special.entr(torch.where(shares <= 1e-13, 0.0, shares)).sum(1) / math.log(2.0)
