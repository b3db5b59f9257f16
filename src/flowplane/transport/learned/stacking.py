"""Training a stack layer by layer, and stacks on disk (§A9)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowplane.core.points import as_matrix, as_points, check_count, check_seed
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.learned.checkpoint import build_network, described, filled, history_of, last_numbers, read, write
from flowplane.transport.learned.decoding import Decoders, own_rows
from flowplane.transport.learned.denoiser import LearnedDenoiser
from flowplane.transport.learned.fitting import POOL
from flowplane.transport.learned.networks import Autoencoder, as_sizes
from flowplane.transport.learned.stacked import Stack, checked_layers, require_injective
from flowplane.transport.learned.training import train_denoiser

__all__ = ["continued", "grown", "load_stack", "save_stack", "stack"]

#: Stream of the points whose features later layers are trained on.
POINTS = 9


def stack(
    network: Any,
    data: Any,
    covariance: Any,
    depth: int,
    *,
    features: int | None = None,
    activation: str = "gelu",
    decoder_hidden: Any = (),
    steps: int = 3000,
    batch_size: int = 512,
    learning_rate: float = 1e-2,
    patience: int | None = None,
    validation: float = 0.1,
    source: Density | None = None,
    seed: int = 0,
    device: Any = "auto",
) -> Stack:
    """A stack of denoising autoencoders, trained one after another: the first on x, the next on its features h_1(x), …
    (§A9).

    Arguments:
        network: widths of the hidden layers of every encoder such as (64, 64), () for affine ones; or a list of `depth`
            `Autoencoder`s, the dimension of each the features of the one before. They are copied, not changed.
        data: points (n, d), or a density; layers after the first are trained on the features of 65,536 points of it.
        covariance: of the noise: a variance t for N(0, tI) in the space of each layer, in squared units of that space; a
            matrix where all spaces have its size; or a list of these, one a layer.
        depth: how many layers.
        features: units of every layer's h; None is d. More than d only where depth is 1.
        activation: of hidden layers: "gelu", "tanh", "silu", "softplus" or "relu".
        decoder_hidden: widths of the hidden layers of every decoder; none leaves them affine: §A9 is exact then.
        steps, batch_size, learning_rate, patience, validation, device: as in `train_denoiser`, for each layer.
        source: the density that the map is to move; None is `data` where that is a density.
        seed: of everything random; every layer has numbers of its own.

    Returns:
        The stack: `features`, `decode`, `decoded`, `noise`, `composition`, and all of a transport map.

    Raises:
        InputError: an argument out of range, features that are wider than the space they are decoded into, networks that
            do not fit on each other.

    Example:
        >>> import flowplane as fp
        >>> s = fp.transport.stack((), fp.Normal([0.0, 0.0], [[2.0, 0.0], [0.0, 0.5]]), 0.5, depth=2, steps=100)
        >>> len(s.layers), s.features([[1.0, 1.0]], 1).shape, s.noise([[1.0, 1.0]], 2).shape
        (2, (1, 2), (1, 2, 2))
    """
    depth = check_count("depth", depth)
    d = data.dimension if isinstance(data, Density) else as_points("data", data, None)[0].shape[1]
    networks = _networks(network, d, depth, features, activation, decoder_hidden, check_seed(seed))
    training = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "validation": validation,
        "device": device,
    }
    return grown([], networks, data, _covariances(covariance, networks), source, seed, training)


def grown(
    layers: list[LearnedDenoiser],
    networks: Sequence[Autoencoder],
    data: Any,
    covariances: Sequence[Tensor],
    source: Density | None,
    seed: int,
    training: dict[str, Any],
) -> Stack:
    """The layers, and one more for each network, trained on the features of the last one."""
    layers = list(layers)
    begun = len(layers)
    points: Any = None
    for network, covariance in zip(networks, covariances, strict=True):
        k = len(layers)
        if not layers:
            seen = data
        else:
            if points is None:
                points = _points(data, layers[0], seed)
            with torch.no_grad():
                seen = Decoders(layers).encode(points)
        layers.append(train_denoiser(network, seen, covariance, seed=layer_seed(seed, k), **training))
    made = Stack(layers, data if source is None and isinstance(data, Density) else source)
    made.train(layers[0].training if begun else False)
    return made


def continued(
    layers: list[LearnedDenoiser], data: Any, depth: int, network: Any, covariance: Any, seed: int, training: dict[str, Any]
) -> Stack:
    """A stack that goes on from trained layers. See `LearnedDenoiser.stack` and `Stack.stack`."""
    begun = copy.deepcopy(checked_layers(layers))
    more = check_count("depth", depth, len(begun)) - len(begun)
    last: Any = begun[-1].network
    width = int(last.features)
    if more:
        require_injective(len(begun) - 1, width, begun[-1].dimension)
    activation = training.pop("activation", getattr(last, "activation", "gelu"))
    outward = training.pop("decoder_hidden", getattr(last, "decoder_hidden", ()))
    hidden = getattr(last, "hidden", (64, 64)) if network is None else network
    features = training.pop("features", None)
    networks = _networks(hidden, width, more, features, activation, outward, check_seed(seed), first=len(begun))
    covariances = _covariances(begun[-1].time if covariance is None else covariance, networks)
    return grown(begun, networks, data, covariances, training.pop("source", begun[0].source), seed, training)


def layer_seed(seed: int, k: int) -> int:
    """A layer's own seed; the first layer's is the seed itself, so that it is what `train_denoiser` makes."""
    return seed if k == 0 else int(np.random.SeedSequence([seed, k]).generate_state(1)[0])


def save_stack(made: Stack, path: Any) -> Any:
    """Write a stack to `path`. See `Stack.save`."""
    rows = [
        {
            "dimension": layer.dimension,
            "covariance": layer.noise_covariance.tolist(),
            "time": layer.time,
            "network": described(layer.network),
            "history": last_numbers(layer.history),
        }
        for layer in made._parts
    ]
    return write(path, "stack", made, {"layers": rows})


def load_stack(path: Any, networks: Sequence[nn.Module] | None = None, source: Density | None = None) -> Stack:
    """A stack as `Stack.save` wrote it: the same numbers, on the CPU.

    Arguments:
        path: the file.
        networks: modules built like those that were trained, where they were no Autoencoders; they are copied.
        source: the density that the map is to move; files hold none.

    Raises:
        InputError: no file, no stack of flowplane, one that is cut off or of a newer version, modules that are missing or
            built differently.

    Example:
        >>> import tempfile
        >>> from flowplane.transport import Autoencoder, LearnedDenoiser
        >>> s = Stack([LearnedDenoiser(Autoencoder(2, 2, seed=k), 0.1) for k in range(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     same = load_stack(s.save(f"{folder}/s.safetensors"))
        >>> bool((same([[1.0, 2.0]]) == s([[1.0, 2.0]])).all())
        True
    """
    about, tensors = read(path, "stack")
    rows = about["layers"]
    if networks is not None and len(networks) != len(rows):
        raise InputError("networks", Text(f"{len(networks)} modules"), f"{len(rows)}, one a layer")
    given: Sequence[nn.Module | None] = [None] * len(rows) if networks is None else networks
    layers = []
    for k, (row, network) in enumerate(zip(rows, given, strict=True)):
        built = build_network(row["network"], network)
        layer = LearnedDenoiser(built, tensors[f"layers.{k}.noise_covariance"], row["dimension"])
        layer.time, layer.history = row["time"], history_of(row["history"])
        layers.append(layer)
    made = Stack(layers, source)
    filled(made, tensors)
    return made.eval()


def _networks(
    given: Any, d: int, depth: int, features: int | None, activation: str, decoder_hidden: Any, seed: int, first: int = 0
) -> list[Autoencoder]:
    """One autoencoder a layer, for layers `first` and on."""
    if isinstance(given, Sequence) and any(isinstance(part, nn.Module) for part in given):
        if len(given) != depth or not all(isinstance(part, Autoencoder) for part in given):
            found = Text(f"{[type(part).__name__ for part in given]}")
            raise InputError("network", found, f"widths of hidden layers, or {depth} Autoencoders, one a layer")
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
            made.append(Autoencoder(spaces[k], width, hidden, activation, decoder_hidden, seed=own))
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
    """One covariance a layer."""
    many = isinstance(given, list | tuple)
    if many and len(given) != len(networks):
        raise InputError("covariance", Text(f"a list of {len(given)}"), f"one, or a list of {len(networks)}, one a layer")
    names = [f"covariance[{k}]" if many else "covariance" for k in range(len(networks))]
    parts = given if many else [given] * len(networks)
    return [as_matrix(name, part, net.dimension) for name, part, net in zip(names, parts, networks, strict=True)]


def _points(data: Any, first: LearnedDenoiser, seed: int) -> Tensor:
    """The points of the first layer, whose features the next ones see."""
    if isinstance(data, Density):
        own = int(np.random.SeedSequence([seed, 0, POINTS]).generate_state(1)[0])
        rows = data.draw(POOL, own)
    else:
        rows, _ = as_points("data", data, first.dimension)
    return own_rows(first, rows)
