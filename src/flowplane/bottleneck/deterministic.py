"""The deterministic information bottleneck, and the concave hull of points in the plane."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bottleneck.joint import Merged, States, check_betas, checked_joint
from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import check_count, check_seed
from flowplane.core.results import stamp
from flowplane.core.threads import one_thread
from flowplane.errors import InputError, Text

__all__ = ["concave_hull", "deterministic_ib"]

#: Number of values of β at which partitions are also built by joining clusters.
JOINED = 10
#: Nats by which a change must lower the cost.
ENOUGH = 1e-13
#: Numbers in the largest array of partitions that is worked on at once.
BLOCK = 1 << 22


def deterministic_ib(joint: Any, betas: Any, *, starts: int = 32, seed: int = 0) -> xr.Dataset:
    """min H(T) − β I(T;Y) over hard encoders T = f(x), for each β (Strouse and Schwab 2017).

    The cost is Σ_t p(t) (−log p(t) + β H(Y|t)) − β H(Y), concave in the encoder: x with equal p(y|x) share a cluster, and
    for two classes each cluster is an interval of p(y|x), so that the shortest path through the sorted states is the exact
    optimum. With more classes each β takes the best of all partitions that were found, for any β, by alternating
    minimisation from many starts and by joining clusters: an upper bound.

    Arguments:
        joint: p(x, y), rows x, columns y: a NumPy array, tensor or DataArray; or a Task.
        betas: values of β in any order.
        starts: random partitions to start from, with more than two classes.
        seed: of those.

    Returns:
        Dataset over `beta`, in the order given: `i_xt` = H(T), `i_ty` and `lagrangian` = H(T) − β I(T;Y) in bits,
        `clusters`, and `cluster_of_x` (beta, x), numbered from 0. In attrs: `exact`, 1 or 0.

    Raises:
        InputError: not a valid joint (NaN, negative, not summing to 1, a row of zeros, one class), β that is not above 0.

    Example:
        >>> found = deterministic_ib([[0.25, 0.0], [0.2, 0.05], [0.05, 0.2], [0.0, 0.25]], [0.5, 2.0, 50.0])
        >>> found.clusters.values, found.cluster_of_x.values[1]
        (array([1, 2, 4]), array([1, 1, 0, 0]))
    """
    given = checked_joint(joint)
    chosen = check_betas(betas)
    starts, seed = check_count("starts", starts, 0), check_seed(seed)
    states = States.of(given).merged
    distinct, place = np.unique(chosen, return_inverse=True)
    scale = torch.from_numpy(distinct)
    exact = states.conditional.shape[1] == 2
    with one_thread():
        partition = _shortest_paths(states, scale) if exact else _searched(states, scale, starts, seed)
    entropy, i_ty = (value / math.log(2.0) for value in _plane(states, partition))
    columns = {
        "i_xt": (entropy, "I(X;T) = H(T)", "bits"),
        "i_ty": (i_ty, "I(T;Y)", "bits"),
        "lagrangian": (entropy - scale * i_ty, "H(T) − β I(T;Y)", "bits"),
        "clusters": (partition.amax(1) + 1, "clusters", "1"),
    }
    variables: dict[str, Any] = {
        name: ("beta", values.numpy(), {"units": units, "long_name": long_name})
        for name, (values, long_name, units) in columns.items()
    }
    about = {"units": "1", "long_name": "cluster of each x"}
    variables["cluster_of_x"] = (("beta", "x"), partition[:, states.state].numpy(), about)
    attrs = {"units": "bits", "exact": int(exact), "starts": starts}
    return stamp(xr.Dataset(variables, {"beta": distinct}, attrs).isel(beta=place), "deterministic_ib", seed=seed)


def concave_hull(i_xt: Any, i_ty: Any) -> tuple[Float[np.ndarray, " vertex"], Float[np.ndarray, " vertex"]]:
    """The upper concave hull of points in the plane: what mixing encoders attains, from the origin to the highest point.

    Where labels are a function of x, this traces the curve, which β cannot. Units: as given.

    Raises:
        InputError: NaN, lengths that differ, or a value below 0.

    Example:
        >>> concave_hull([1.0, 1.0, 2.0, 3.0], [0.2, 0.8, 0.9, 1.2])
        (array([0., 1., 3.]), array([0. , 0.8, 1.2]))
    """
    across, up = _coordinate("i_xt", i_xt), _coordinate("i_ty", i_ty)
    if len(across) != len(up):
        raise InputError("i_ty", Text(f"{len(up)} values"), f"{len(across)}, as many as i_xt")
    hull: list[tuple[float, float]] = []
    top = max(up, default=0.0)
    points = [point for point in zip(across, up, strict=True) if point[1] > 1e-12 * top]  # without rounded zeros
    for x, y in [(0.0, 0.0), *sorted(points, key=lambda point: (point[0], -point[1]))]:
        if hull and y <= hull[-1][1]:
            continue
        while len(hull) > 1 and _below(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
        if y == top:
            break
    xs, ys = np.array(hull).T
    return xs, ys


def _below(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]) -> bool:
    """Whether the middle point is not above the line through the others."""
    return (middle[1] - first[1]) * (last[0] - first[0]) <= (last[1] - first[1]) * (middle[0] - first[0])


def _coordinate(name: str, value: Any) -> list[float]:
    tensor = as_tensor(name, value).to("cpu", torch.float64).ravel()
    require_finite(name, tensor)
    if bool((tensor < 0).any()):
        raise InputError(name, Text(f"{float(tensor.min()):g}"), "values of information, none below 0")
    return tensor.tolist()


def _plane(states: Merged, partition: Int[Tensor, "row state"]) -> tuple[Float[Tensor, " row"], Float[Tensor, " row"]]:
    """H(T) and I(T;Y) of hard encoders, in nats."""
    together = _together(states, partition)
    p = together.sum(2)
    entropy = torch.special.entr(p).sum(1)
    of_y = torch.special.entr(states.mass @ states.conditional).sum()
    joint = torch.special.entr(together).sum((1, 2))
    return entropy, (entropy + of_y - joint).clamp(min=0.0)


def _together(states: Merged, partition: Int[Tensor, "row state"]) -> Float[Tensor, "row cluster y"]:
    """p(t, y)."""
    joint = states.mass[:, None] * states.conditional
    out = joint.new_zeros(len(partition), int(partition.max()) + 1, joint.shape[1])
    return out.scatter_add_(1, partition[..., None].expand(-1, -1, joint.shape[1]), joint.expand(len(partition), -1, -1))


def _shortest_paths(states: Merged, betas: Float[Tensor, " beta"]) -> Int[Tensor, "beta state"]:
    """The optimal intervals of the states sorted by p(y|x), two classes: best[j] = min_i best[i] + cost of i … j−1."""
    n, b = len(states.mass), len(betas)
    p = states.conditional
    order = torch.from_numpy(np.lexsort((-p[:, 1].numpy(), p[:, 0].numpy())))
    sums = torch.nn.functional.pad((states.mass[:, None] * p)[order].cumsum(0), (0, 0, 1, 0))
    best = torch.zeros(b, n + 1, dtype=torch.float64, device="cpu")
    origin = torch.zeros(b, n + 1, dtype=torch.int64, device="cpu")
    for j in range(1, n + 1):
        part = sums[j] - sums[:j]
        size = torch.special.entr(part.sum(1))
        cost = best[:, :j] + size + betas[:, None] * (torch.special.entr(part).sum(1) - size)
        best[:, j], origin[:, j] = cost.min(1)
    after = torch.zeros(b, n, dtype=torch.int64, device="cpu")  # cuts to the right of each state
    cut = torch.full((b,), n, device="cpu")
    while bool((cut > 0).any()):
        cut = origin.gather(1, cut[:, None]).squeeze(1)
        after += torch.arange(n, device="cpu") < cut[:, None]
    partition = after.amax(1, keepdim=True) - after
    return torch.empty_like(partition).index_copy_(1, order, partition)


def _searched(states: Merged, betas: Float[Tensor, " beta"], starts: int, seed: int) -> Int[Tensor, "beta state"]:
    """For each β the best of all partitions found."""
    n = len(states.mass)
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, max(3, n + 1), starts)
    drawn = torch.from_numpy(rng.integers(0, sizes[:, None], (starts, n)))
    first = torch.cat([torch.zeros(1, n, dtype=torch.int64, device="cpu"), torch.arange(n, device="cpu")[None], drawn])
    moved = [_alternated(states, beta, first) for beta in betas.tolist()]
    joined = [_joined(states, beta) for beta in betas[:: -(-len(betas) // JOINED)].tolist()]
    found = torch.unique(_numbered(torch.cat([first[:2], *moved, *joined])), dim=0)
    rows = max(1, BLOCK // (n * states.conditional.shape[1]))
    entropy, i_ty = (torch.cat(parts) for parts in zip(*(_plane(states, part) for part in found.split(rows)), strict=True))
    return found[(entropy - betas[:, None] * i_ty).argmin(1)]


def _alternated(states: Merged, beta: float, partition: Int[Tensor, "row state"]) -> Int[Tensor, "row state"]:
    """Each x to the cluster that minimises −log p(t) + β KL(p(y|x) ‖ p(y|t)), until none moves: the cost falls each time."""
    tiny = torch.finfo(torch.float64).tiny
    for _ in range(100):
        together = _together(states, partition)
        p = together.sum(2)
        words = (together / p.clamp(min=tiny)[..., None]).log().clamp(min=-700.0)
        score = p.log()[:, None] + beta * (states.conditional @ words.mT)
        best = score.max(2)
        stays = score.gather(2, partition[..., None]).squeeze(2) >= best.values - ENOUGH
        moved = torch.where(stays, partition, best.indices)
        if bool(stays.all()):
            break
        partition = moved
    return partition


def _joined(states: Merged, beta: float) -> Int[Tensor, "row state"]:
    """All partitions found when, from one cluster per state, the pair whose union costs least is joined again and again."""
    together = states.mass[:, None] * states.conditional
    n = len(together)
    partition = torch.arange(n, device=together.device)
    pool = [partition]
    own = _cost(together, beta)
    excess = torch.stack([_cost(together + row, beta) - own for row in together]) - own[:, None]
    excess.fill_diagonal_(torch.inf)
    for _ in range(n - 1):
        i, j = divmod(int(excess.argmin()), n)
        partition = torch.where(partition == j, i, partition)
        pool.append(partition)
        together[i] += together[j]
        own = _cost(together, beta)
        excess[j], excess[:, j] = torch.inf, torch.inf
        gone = torch.isinf(excess[i])
        excess[i] = (_cost(together + together[i], beta) - own - own[i]).masked_fill(gone, torch.inf)
        excess[:, i] = excess[i]
    return torch.stack(pool)


def _cost(together: Float[Tensor, "cluster y"], beta: float) -> Float[Tensor, " cluster"]:
    """p(t) (−log p(t) + β H(Y|t)), for p(t, y), in nats."""
    size = torch.special.entr(together.sum(1))
    return size + beta * (torch.special.entr(together).sum(1) - size)


def _numbered(partition: Int[Tensor, "row state"]) -> Int[Tensor, "row state"]:
    """Clusters numbered 0, 1, … in the order in which the states meet them."""
    place = torch.arange(partition.shape[1], device=partition.device).expand_as(partition)
    met = torch.full_like(place, partition.shape[1]).scatter_reduce(1, partition, place, "amin")
    first = met.gather(1, partition)  # the first state of each one's cluster
    number = (first == place).cumsum(1) - 1
    return number.gather(1, first)
