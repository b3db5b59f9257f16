"""Layers of different width as points in one space (§A8): the embedding is a choice, and here a parameter.

Every choice is an isometry of each layer by itself, so distances within a layer never change. How far a point moves from one
layer to the next, and how straight its path is, depend on how the layers are turned against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_points, check_count, check_seed
from flowplane.core.streams import DIRECTIONS, generator
from flowplane.errors import InputError, Text, unknown

__all__ = ["EMBEDDINGS", "embed", "layer_path"]

EMBEDDINGS = ("pad", "principal", "procrustes", "random")
#: Singular values below this part of the largest are 0 but for rounding.
ROUNDING = 1e-12


def embed(*clouds: Any, dimension: int | None = None) -> tuple[Any, ...]:
    """Points of different dimension, all in one space: missing coordinates are 0, so that distances stay (§A8).

    A layer that changes the dimension is a transport there: from the embedded inputs to the embedded outputs.

    Arguments:
        clouds: points (…, d), each with its own d.
        dimension: of the common space; None is the largest d.

    Returns:
        The same points, (…, dimension), each in its own kind, dtype and device.

    Raises:
        InputError: no points, NaN, or a dimension below the largest d.

    Example:
        >>> x, y = embed([[1.0, 2.0]], [[3.0]])
        >>> x, y
        (array([[1., 2.]]), array([[3., 0.]]))
    """
    if not clouds:
        raise InputError("clouds", Text("none"), "points, one array or more")
    read = [as_points(f"clouds[{k}]", cloud, None) for k, cloud in enumerate(clouds)]
    largest = max(rows.shape[1] for rows, _ in read)
    common = largest if dimension is None else check_count("dimension", dimension)
    if common < largest:
        raise InputError("dimension", dimension, f"{largest} or more, the largest dimension given")
    return tuple(form.points(F.pad(rows, (0, common - rows.shape[1]))) for rows, form in read)


def layer_path(layers: Sequence[Any], embedding: str = "pad", *, seed: Any = 0) -> Any:
    """The same samples in layers of different width, all in the space of the widest (§A8).

    "pad" appends zeros, as `embed` does. "principal" moves each layer's mean to 0 and turns it onto its principal axes, the
    widest first; an axis points to the side on which the sample farthest out along it lies. "procrustes" pads, and turns
    each layer by the orthogonal map Q that takes it nearest to the one before, min E|x_{l−1} − Qx_l|²; where that leaves Q
    open, as in directions that no unit has, it stays as near to the identity as it can. "random" pads and turns each layer,
    the first as well, by a random orthogonal map: a control.

    Arguments:
        layers: one array (sample, width) per layer, two or more, row i the same sample in all.
        embedding: one of the four.
        seed: of "random"; without effect on the others.

    Returns:
        Points (layer, sample, dimension), the dimension being the largest width, in the kind, dtype and device of the first
        layer; a DataArray gets the dimension `layer`, from 0.

    Raises:
        InputError: fewer than two layers, another number of samples, NaN, an unknown embedding.

    Example:
        >>> layers = [[[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [-2.0, 0.0]], [[3.0], [4.0]]]
        >>> layer_path(layers)[2]
        array([[3., 0.],
               [4., 0.]])
        >>> layer_path(layers, "procrustes")[1].round(6) + 0.0  # the second layer is the first, turned
        array([[1., 0.],
               [0., 2.]])
    """
    if embedding not in EMBEDDINGS:
        raise unknown("embedding", embedding, EMBEDDINGS)
    rng = generator(check_seed(seed), DIRECTIONS)
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Sequence) or len(layers) < 2:
        found = f"{len(layers)} layers" if isinstance(layers, Sequence) else type(layers).__name__
        raise InputError("layers", Text(found), "two layers or more, each an array (sample, width)")
    read = [as_points(f"layers[{k}]", layer, None) for k, layer in enumerate(layers)]
    form = read[0][1]
    for k, (_, other) in enumerate(read):
        if len(form.batch) != 1:
            raise InputError("layers[0]", Text(f"shape {(*form.batch, read[0][0].shape[1])}"), "(sample, width)")
        if len(other.batch) != 1 or other.batch != form.batch:
            raise InputError(f"layers[{k}]", Text(f"points {other.batch}"), f"{form.batch[0]} samples, as layers[0] has")
    rows = [points.to(read[0][0].device) for points, _ in read]
    if embedding == "principal":
        rows = [_principal(points) for points in rows]
    positions = torch.stack(embed(*rows))
    if embedding == "procrustes":
        for k in range(1, len(positions)):
            positions[k] = positions[k] @ nearest_turn(positions[k - 1], positions[k]).T
    if embedding == "random":
        positions = positions @ _random_turns(len(positions), positions.shape[2], rng).to(positions)
    path = form.path(positions, np.arange(len(positions)))
    return path.rename(time="layer") if isinstance(path, xr.DataArray) else path


def nearest_turn(x: Float[Tensor, "sample feature"], y: Float[Tensor, "sample feature"]) -> Float[Tensor, "feature feature"]:
    """The orthogonal Q with the least Σ|x_i − Qy_i|²; where that leaves it open, the nearest to the identity.

    With xᵀy = USVᵀ it is U_1V_1ᵀ on the directions of positive singular values, and U_0·polar(U_0ᵀV_0)·V_0ᵀ on the rest.
    """
    left, values, right = torch.linalg.svd(x.T @ y)
    rank = int((values > ROUNDING * values[0]).sum())
    loose = left[:, rank:].T @ right[rank:].T
    first, _, last = torch.linalg.svd(loose)
    return left[:, :rank] @ right[:rank] + left[:, rank:] @ first @ last @ right[rank:]


def _principal(points: Float[Tensor, "sample width"]) -> Float[Tensor, "sample width"]:
    centred = points - points.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=True)
    scores = centred @ axes[: points.shape[1]].T
    farthest = scores.gather(0, scores.abs().argmax(0, keepdim=True))
    return torch.where(farthest < 0, -scores, scores)


def _random_turns(count: int, dimension: int, rng: np.random.Generator) -> Float[Tensor, "layer feature feature"]:
    """Orthogonal matrices, evenly over all of them (QR of normal numbers, the signs of R taken out)."""
    numbers = torch.from_numpy(rng.standard_normal((count, dimension, dimension)))
    turns, upper = torch.linalg.qr(numbers)
    return turns * upper.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)
