"""Training a stack layer by layer (§A9)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowplane.core.points import as_matrix, as_points, check_count
from flowplane.core.renamed import renamed
from flowplane.core.streams import FEATURES, generator
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.learned.decoders import Decoders, own_rows
from flowplane.transport.learned.denoiser import LearnedDenoiser
from flowplane.transport.learned.denoiser_training import fit_denoiser
from flowplane.transport.learned.fitting import POOL, Plan
from flowplane.transport.learned.networks import Autoencoder, as_sizes
from flowplane.transport.learned.stacks import Stack, checked_layers, require_injective

__all__ = ["layer_seed", "stack"]


@renamed
def stack(
    network: Any,
    data: Any,
    *,
    depth: int,
    noise_covariance: Any = None,
    start: LearnedDenoiser | Stack | None = None,
    features: int | None = None,
    activation: str | None = None,
    decoder_hidden: Any = None,
    steps: int = 3000,
    batch_size: int = 512,
    learning_rate: float = 1e-2,
    patience: int | None = None,
    validation: float = 0.1,
    source: Density | None = None,
    seed: Any = 0,
    device: Any = "auto",
) -> Stack:
    """A stack of denoising autoencoders, trained one after another: the first on x, the next on its features h_1(x), …
    (§A9).

    Arguments:
        network: widths of the hidden layers of every encoder such as (64, 64), () for affine ones; or a list of
            `Autoencoder`s, one for each layer that is trained, the dimension of each the features of the one before. They
            are copied, not changed. None is as in the last layer of `start`.
        data: points (n, d), or a density; layers after the first are trained on the features of 65,536 points of it.
        depth: how many layers, those of `start` included.
        noise_covariance: of the noise: a variance t for N(0, tI) in the space of each layer that is trained, in squared
            units of that space; a matrix where all spaces have its size; or a list of these, one per layer. None is the
            time t of the last layer of `start`.
        start: an autoencoder or a stack whose layers are the first ones, as they are.
        features: units of every layer's h; None is d. More than d only in the last layer.
        activation: of hidden layers: "gelu", "tanh", "silu", "softplus" or "relu". None is as in the last layer of `start`,
            and "gelu" without it.
        decoder_hidden: widths of the hidden layers of every decoder; () leaves them affine: §A9 is exact then. None is as in
            the last layer of `start`, and () without it.
        steps, batch_size, learning_rate, patience, validation, device: as in `train_denoiser`, for each layer.
        source: the density that the map is to move; None is that of `start`, or `data` where that is a density.
        seed: of everything random; every layer has numbers of its own.

    Returns:
        The stack: `features`, `decode`, `decoded`, `decoded_covariance`, `composition`, and all of a transport map.

    Raises:
        InputError: an argument out of range, features that are wider than the space they are decoded into, networks that
            do not fit onto each other, a start without features or of more layers than `depth`.

    Example:
        >>> import flowplane as fp
        >>> p = fp.Normal([0.0, 0.0], [[2.0, 0.0], [0.0, 0.5]])
        >>> s = fp.transport.stack((), p, depth=2, noise_covariance=0.5, steps=100)
        >>> len(s.layers), s.features([[1.0, 1.0]], 1).shape, s.decoded_covariance([[1.0, 1.0]], 2).shape
        (2, (1, 2), (1, 2, 2))
        >>> len(fp.transport.stack(None, p, depth=3, start=s, steps=100).layers)
        3
    """
    plan = Plan(steps, batch_size, learning_rate, patience, validation, seed, device)
    if start is None:
        layers: list[LearnedDenoiser] = []
        width = data.dimension if isinstance(data, Density) else as_points("data", data, None)[0].shape[1]
        if network is None or noise_covariance is None:
            raise InputError("network" if network is None else "noise_covariance", None, "a value where there is no start")
    else:
        layers = copy.deepcopy(checked_layers(list(start.layers) if isinstance(start, Stack) else [start]))
        last: Any = layers[-1].network
        width = int(last.features)
        network = getattr(last, "hidden", (64, 64)) if network is None else network
        noise_covariance = layers[-1].time if noise_covariance is None else noise_covariance
        activation = getattr(last, "activation", None) if activation is None else activation
        decoder_hidden = getattr(last, "decoder_hidden", None) if decoder_hidden is None else decoder_hidden
    begun = len(layers)
    more = check_count("depth", depth, max(begun, 1)) - begun
    if begun and more:
        require_injective(begun - 1, width, layers[-1].dimension)
    activation, outward = "gelu" if activation is None else activation, () if decoder_hidden is None else decoder_hidden
    networks = _networks(network, width, more, features, activation, outward, plan.seed, first=begun)
    covariances = _covariances(noise_covariance, networks)
    points: Any = None
    for autoencoder, covariance in zip(networks, covariances, strict=True):
        seen = data
        if layers:
            points = _points(data, layers[0], plan.seed) if points is None else points
            with torch.no_grad():
                seen = Decoders(layers).encode(points)
        own = replace(plan, seed=layer_seed(plan.seed, len(layers)))
        layers.append(fit_denoiser(autoencoder, seen, covariance, own))
    if source is None and begun:
        source = layers[0].source
    made = Stack(layers, source=data if source is None and isinstance(data, Density) else source)
    return made.train(layers[0].training if begun else False)


def layer_seed(seed: int, k: int) -> int:
    """A layer's own seed; the first layer's is the seed itself, so that it is what `train_denoiser` makes."""
    return seed if k == 0 else int(np.random.SeedSequence([seed, k]).generate_state(1)[0])


def _networks(
    given: Any, d: int, depth: int, features: int | None, activation: str, decoder_hidden: Any, seed: int, first: int = 0
) -> list[Autoencoder]:
    """One autoencoder per layer, from layer `first` on."""
    if isinstance(given, Sequence) and any(isinstance(part, nn.Module) for part in given):
        if len(given) != depth or not all(isinstance(part, Autoencoder) for part in given):
            found = Text(f"{[type(part).__name__ for part in given]}")
            raise InputError("network", found, f"widths of hidden layers, or {depth} Autoencoders, one per layer")
        made = list(copy.deepcopy(given))
    else:
        if isinstance(given, nn.Module):
            raise InputError("network", Text(type(given).__name__), "widths of hidden layers, or a list of Autoencoders")
        hidden = as_sizes("network", given)
        width = d if features is None else check_count("features", features)
        spaces = [d, *[width] * depth]
        made = []
        for k in range(depth):
            if k + 1 < depth:
                require_injective(first + k, width, spaces[k])
            own = layer_seed(seed, first + k)
            made.append(
                Autoencoder(spaces[k], width, hidden=hidden, activation=activation, decoder_hidden=decoder_hidden, seed=own)
            )
    before = d
    for k, part in enumerate(made):
        if part.dimension != before:
            expected = f"an Autoencoder of {before} dimensions, the features of the layer before"
            raise InputError(f"network[{k}]", Text(f"one of {part.dimension}"), expected)
        if k + 1 < len(made):
            require_injective(first + k, part.features, part.dimension)
        before = part.features
    return made


def _covariances(given: Any, networks: Sequence[Autoencoder]) -> list[Tensor]:
    """One covariance per layer."""
    many = isinstance(given, list | tuple)
    if many and len(given) != len(networks):
        raise InputError("noise_covariance", Text(f"a list of {len(given)}"), f"one, or a list of {len(networks)}")
    names = [f"noise_covariance[{k}]" if many else "noise_covariance" for k in range(len(networks))]
    parts = given if many else [given] * len(networks)
    return [as_matrix(name, part, net.dimension) for name, part, net in zip(names, parts, networks, strict=True)]


def _points(data: Any, first: LearnedDenoiser, seed: int) -> Tensor:
    """The points of the first layer, whose features the next ones see."""
    if isinstance(data, Density):
        rows = data.draw(POOL, generator(seed, FEATURES))
    else:
        rows, _ = as_points("data", data, first.dimension)
    return own_rows(first, rows)
