"""Nearest neighbours in the maximum norm: the distance to the k-th, and how many points are nearer in x or t alone.

Groups of samples, each with several members, are handled at once. On a CPU lines are sorted, and points of few dimensions
go by cells or each against all, whichever is faster; on a GPU each against all. They agree to the last bit: a distance is
rounded by its one subtraction only. For divisions of the samples into parts, what does not depend on the parts is done
once: samples have the number of their part from 0 on, or −1 where they belong to none; what is then found for them means
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.all_pairs import all_pairs_classes, all_pairs_joint, all_pairs_joint_in_parts, gpu_classes, gpu_joint
from flowplane.core.cells import cell_distance, cell_nearer
from flowplane.core.lines import line_distance, line_nearer, plane_distance, sorted_lines

__all__ = [
    "ClassNeighbours",
    "JointInParts",
    "JointNeighbours",
    "class_neighbours",
    "classes_in_parts",
    "distance_in_parts",
    "joint_in_parts",
    "joint_neighbours",
    "neighbour_distance",
]

#: Number of points from which cells beat each against all, by the dimension of x and t together, and by that of t alone;
#: never where there is no entry. Measured on two processors with k = 4, normal points: 10,000 take 5 ms in 1+1 dimensions,
#: 37 ms in 2+2 and 93 ms in 3+3, each against all 130 to 200 ms. To the k-th of 100,000 in 2 … 8 dimensions, scipy's tree
#: takes 0.6 to 6 times as long as cells.
JOINT_CELLS_FROM = {2: 150, 3: 400, 4: 800, 5: 1_400, 6: 2_500, 7: 4_500, 8: 10_000}
CELLS_FROM = {2: 2, 3: 64, 4: 100, 5: 400, 6: 800, 7: 1_500, 8: 2_500}


class JointNeighbours(NamedTuple):
    """The distance to the k-th neighbour in (x, t), and how many other points are strictly nearer in x and in t alone."""

    distance: Float[Tensor, "group member sample"]
    near_x: Int[Tensor, "group member sample"]
    near_t: Int[Tensor, "group member sample"]


class ClassNeighbours(NamedTuple):
    """The distance to the k-th neighbour of the same class, and how many other points of any class are strictly nearer."""

    distance: Float[Tensor, "group member sample"]
    near: Int[Tensor, "group member sample"]


class JointInParts(NamedTuple):
    """As `JointNeighbours`, among the samples of the same part; beside it the distance to the k-th neighbour in t alone."""

    near_x: Int[Tensor, "division group member sample"]
    near_t: Int[Tensor, "division group member sample"]
    distance_t: Float[Tensor, "division group member sample"]


def joint_neighbours(
    x: Float[Tensor, "group sample feature"], t: Float[Tensor, "group member sample unit"], k: int
) -> JointNeighbours:
    """Neighbours of every sample for the first algorithm of Kraskov, Stögbauer and Grassberger; 1 ≤ k < samples.

    Example:
        >>> x, t = torch.tensor([[[0.0], [1.0], [3.0]]]), torch.tensor([[[[0.0], [5.0], [1.0]]]])
        >>> found = joint_neighbours(x, t, 1)
        >>> found.distance.tolist(), found.near_x.tolist(), found.near_t.tolist()
        ([[[3.0, 4.0, 3.0]]], [[[1, 2, 1]]], [[[1, 0, 1]]])
    """
    x, t = x.double(), t.double()
    if t.device.type != "cpu":
        return JointNeighbours(*gpu_joint(x, t, k))
    few = _beyond(JOINT_CELLS_FROM, x.shape[1], x.shape[2] + t.shape[3])
    way = _joint_by_parts if few else all_pairs_joint
    return JointNeighbours(*map(torch.from_numpy, way(x.numpy(), t.numpy(), k)))


def neighbour_distance(t: Float[Tensor, "*batch sample unit"], k: int) -> Float[Tensor, "*batch sample"]:
    """The distance from every sample to its k-th neighbour; 1 ≤ k < samples.

    Example:
        >>> neighbour_distance(torch.tensor([[0.0], [1.0], [3.0]]), 1).tolist()
        [1.0, 1.0, 2.0]
    """
    n, units = t.shape[-2:]
    members = t.reshape(-1, n, units).double()
    if t.device.type == "cpu" and (units == 1 or _beyond(CELLS_FROM, n, units)):
        found = torch.from_numpy(_distance(members.numpy(), k))
    else:
        found = class_neighbours(members[None], torch.zeros((1, n), dtype=torch.int64, device=t.device), k).distance
    return found.reshape(t.shape[:-1])


def class_neighbours(
    t: Float[Tensor, "group member sample unit"], classes: Int[Tensor, "group sample"], k: int
) -> ClassNeighbours:
    """Neighbours of every sample for Ross's estimator; in a class of n_y ≤ k samples the (n_y − 1)-th, and n_y ≥ 2.

    Classes are numbered from 0.

    Example:
        >>> found = class_neighbours(torch.tensor([[[[0.0], [1.0], [3.0], [7.0]]]]), torch.tensor([[0, 1, 0, 1]]), 1)
        >>> found.distance.tolist(), found.near.tolist()
        ([[[3.0, 6.0, 3.0, 6.0]]], [[[1, 2, 1, 1]]])
    """
    t = t.double()
    if t.device.type != "cpu":
        return ClassNeighbours(*gpu_classes(t, classes, k))
    n, units = t.shape[2:]
    few = _beyond(CELLS_FROM, n // (int(classes.max()) + 1), units)
    way = _classes_on_lines if units == 1 else _classes_by_parts if few else all_pairs_classes
    return ClassNeighbours(*map(torch.from_numpy, way(t.numpy(), classes.numpy(), k)))


def joint_in_parts(
    x: Float[Tensor, "group sample feature"],
    t: Float[Tensor, "group member sample unit"],
    parts: Int[Tensor, "division sample"],
    k: int,
) -> JointInParts:
    """Neighbours of every sample in its part, for several divisions into parts; 1 ≤ k < samples of a part.

    Example:
        >>> x, t = torch.tensor([[[0.0], [1.0], [3.0]]]), torch.tensor([[[[0.0], [5.0], [1.0]]]])
        >>> found = joint_in_parts(x, t, torch.tensor([[0, 0, 0], [0, -1, 0]]), 1)
        >>> found.near_x[0].tolist(), found.near_x[1, 0, 0, [0, 2]].tolist()
        ([[[1, 2, 1]]], [0, 0])
    """
    x, t = x.double(), t.double()
    n, features, units = *x.shape[1:], t.shape[3]
    cpu = t.device.type == "cpu"
    if cpu and features == units == 1:
        return JointInParts(*map(torch.from_numpy, _joint_in_plane(x.numpy(), t.numpy(), parts.numpy(), k)[1:]))
    if cpu and not _beyond(JOINT_CELLS_FROM, n, features + units):
        return JointInParts(*map(torch.from_numpy, all_pairs_joint_in_parts(x.numpy(), t.numpy(), parts.numpy(), k)))
    shape = (len(parts), *t.shape[:3])
    near_x, near_t = (torch.zeros(shape, dtype=torch.int64, device=t.device) for _ in range(2))
    for division, places in _places(parts):
        found = joint_neighbours(x[:, places].flatten(0, 1), t[:, :, places].transpose(1, 2).flatten(0, 1), k)
        for near, own in ((near_x, found.near_x), (near_t, found.near_t)):
            near[division][..., places] = own.unflatten(0, (len(x), -1)).transpose(1, 2)
    return JointInParts(near_x, near_t, distance_in_parts(t, parts, k))


def distance_in_parts(
    t: Float[Tensor, "*batch sample unit"], parts: Int[Tensor, "division sample"], k: int
) -> Float[Tensor, "division *batch sample"]:
    """As `neighbour_distance`, among the samples of the same part, for several divisions into parts.

    Example:
        >>> t, parts = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0, 0, 0], [0, -1, 0]])
        >>> distance_in_parts(t, parts, 1)[:, [0, 2]].tolist()
        [[1.0, 2.0], [3.0, 3.0]]
    """
    n, units = t.shape[-2:]
    if t.device.type == "cpu" and units == 1:
        lines = sorted_lines(t.reshape(-1, n).double().numpy())
        return torch.from_numpy(line_distance(lines, parts[:, None].numpy(), k)).reshape(-1, *t.shape[:-1])
    distance = torch.zeros((len(parts), *t.shape[:-1]), dtype=torch.float64, device=t.device)
    for division, places in _places(parts):
        distance[division][..., places] = neighbour_distance(t[..., places, :], k)
    return distance


def classes_in_parts(
    t: Float[Tensor, "member sample unit"], classes: Int[Tensor, " sample"], parts: Int[Tensor, "division sample"], k: int
) -> Int[Tensor, "division member sample"]:
    """As `class_neighbours`' `near`, among the samples of the same part, for several divisions into parts.

    Example:
        >>> t, y = torch.tensor([[[0.0], [1.0], [3.0], [7.0]]]), torch.tensor([0, 1, 0, 1])
        >>> classes_in_parts(t, y, torch.tensor([[0, 0, 0, 0], [0, -1, 0, -1]]), 1)[:, 0, [0, 2]].tolist()
        [[1, 1], [0, 0]]
    """
    if t.device.type == "cpu" and t.shape[2] == 1:
        labels = torch.where(parts < 0, parts, parts * (classes.max() + 1) + classes)
        lines = sorted_lines(t[:, :, 0].double().numpy())
        bounds = line_distance(lines, labels[:, None].numpy(), k)
        return torch.from_numpy(line_nearer(lines, bounds[:, :, None], parts.numpy())[:, :, 0])
    near = torch.zeros((len(parts), *t.shape[:2]), dtype=torch.int64, device=t.device)
    for division, places in _places(parts):
        near[division][:, places] = class_neighbours(t[:, places].transpose(0, 1), classes[places], k).near.transpose(0, 1)
    return near


def _places(parts: Int[Tensor, "division sample"]) -> Iterator[tuple[int, Int[Tensor, "part chosen"]]]:
    """The samples of each division's parts, equally large ones together."""
    for division, own in enumerate(parts):
        sizes = torch.bincount(own + 1).tolist()
        each = own.argsort(stable=True).split(sizes)[1:]
        for size in set(sizes[1:]) - {0}:
            yield division, torch.stack([places for places in each if len(places) == size])


def _joint_in_plane(x: np.ndarray, t: np.ndarray, parts: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    """The distance in (x, t), counts in x and in t, and the distance in t alone, for each division."""
    shape = (len(parts), *t.shape[:3])
    x_lines, t_lines = sorted_lines(x[:, :, 0]), sorted_lines(t.reshape(-1, t.shape[2]))
    distance = plane_distance(x_lines, t_lines, parts, k)
    near_x = line_nearer(x_lines, distance.reshape(shape), parts)
    near_t = line_nearer(t_lines, distance[:, :, None], parts)
    alone = line_distance(t_lines, parts[:, None], k)
    return distance.reshape(shape), near_x, near_t.reshape(shape), alone.reshape(shape)


def _beyond(least: dict[int, int], n: int, dimension: int) -> bool:
    return dimension in least and n >= least[dimension]


def _joint_by_parts(x: np.ndarray, t: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    """The distance in (x, t), then counts in x and in t."""
    groups, members, n, units = t.shape
    if x.shape[2] == units == 1:
        return tuple(part[0] for part in _joint_in_plane(x, t, np.zeros((1, n), np.int64), k)[:3])
    both = np.concatenate([np.broadcast_to(x[:, None], (*t.shape[:3], x.shape[2])), t], 3)
    distance = _distance(both.reshape(groups * members, n, -1), k)
    near_x = _counts(x, distance.reshape(t.shape[:3]))
    near_t = _counts(t.reshape(-1, n, units), distance[:, None])
    return distance.reshape(t.shape[:3]), near_x, near_t.reshape(t.shape[:3])


def _classes_on_lines(t: np.ndarray, classes: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    lines = sorted_lines(t.reshape(-1, t.shape[2]))
    distance = line_distance(lines, classes[None], k)
    near = line_nearer(lines, distance[:, :, None], np.zeros((1, t.shape[2]), np.int64))
    return distance.reshape(t.shape[:3]), near.reshape(t.shape[:3])


def _classes_by_parts(t: np.ndarray, classes: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    """The distance in each class, then counts in all."""
    _, _, n, units = t.shape
    distance = np.empty(t.shape[:3])
    for group, names in enumerate(classes):
        for name in np.unique(names):
            places = np.flatnonzero(names == name)
            distance[group][:, places] = _distance(t[group][:, places], min(k, len(places) - 1))
    near = _counts(t.reshape(-1, n, units), distance.reshape(-1, 1, n))
    return distance, near.reshape(t.shape[:3])


def _distance(points: Float[np.ndarray, "member sample feature"], k: int) -> Float[np.ndarray, "member sample"]:
    """The distance from every point to its k-th neighbour."""
    _, n, features = points.shape
    if features == 1:
        return line_distance(sorted_lines(points[:, :, 0]), np.zeros((1, 1, n), np.int64), k)[0]
    return cell_distance(points, k)


def _counts(
    points: Float[np.ndarray, "group sample feature"], bounds: Float[np.ndarray, "group member sample"]
) -> Int[np.ndarray, "group member sample"]:
    """How many others lie strictly nearer than each bound."""
    if points.shape[2] > 1:
        return cell_nearer(points, bounds)
    return line_nearer(sorted_lines(points[:, :, 0]), bounds[None], np.zeros((1, points.shape[1]), np.int64))[0]
