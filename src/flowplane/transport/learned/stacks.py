"""Autoencoders stacked: each denoises the features of the one before (§A9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.modes import in_own_modes
from flowplane.core.points import as_points, check_count
from flowplane.core.renamed import renamed
from flowplane.core.results import stamp
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.learned.checkpoint import Trained, fill, read
from flowplane.transport.learned.decoders import DecodedLayer, Decoders, own_rows, width_of
from flowplane.transport.learned.denoiser import LearnedDenoiser, rebuild_denoiser
from flowplane.transport.learned.equivalence import LOCAL_NODES, decoded_covariance, denoisers_of
from flowplane.transport.learned.module_map import ModuleMap
from flowplane.transport.maps.composition import Composition

__all__ = ["Stack", "checked_layers", "load_stack", "require_injective"]


class Stack(Trained, ModuleMap, Composition):
    """A stack of denoising autoencoders g_k = d_k∘h_k, each for the features z_{k−1} = h_{k−1}∘…∘h_1(x) (§A9).

    Read in the ground space it is a polygon: a point goes from x over x_k = d_1∘…∘d_k(z_k), its decoded features, to x_L,
    the map's value; x_1 = g_1(x). Layer k takes x_{k−1} to x_k: it is d∘g_k∘d⁻¹ with d = d_1∘…∘d_{k−1}, and moves along a
    straight line for as long as the variance of its noise says. For affine decoders it is the denoiser for noise N(0, tD),
    D = ∇d∇dᵀ, of the density that the layers before it made in the ground space; for curved ones it is so where D and its
    volume √det D change little over the reach of the noise: see `composition`.

    As a module, called with floating tensors (…, d), it is differentiable and takes hooks; everything else is answered in
    kind, as by `LearnedDenoiser`. All other methods are the transport map's; they need d⁻¹, by Newton's method where a
    decoder is curved. Features may narrow from layer to layer: the layers then move points within the decoders' range.

    Arguments:
        layers: `LearnedDenoiser`s of networks with `encoder` and `decoder`, such as `Autoencoder`, each of the dimension of
            the features before. Trained or not.
        source: the density that the map is to move; None is the first layer's.

    Raises:
        InputError: no layer, one without features or of another dimension, features that are wider than those before
            where they are to be decoded.

    Example:
        >>> from flowplane.transport import Autoencoder
        >>> s = Stack([LearnedDenoiser(Autoencoder(2, 2, seed=k), 0.1) for k in range(3)])
        >>> s([[1.0, 2.0]]).shape, s.features([[1.0, 2.0]], 2).shape, s.trajectory([[1.0, 2.0]], s.vertices).shape
        ((1, 2), (1, 2), (4, 1, 2))
    """

    kind = "stack"
    time_units = "variance of noise"
    layers: nn.ModuleList

    def __init__(self, layers: Sequence[LearnedDenoiser], *, source: Density | None = None) -> None:
        nn.Module.__init__(self)
        parts = checked_layers(layers)
        if source is not None and (not isinstance(source, Density) or source.dimension != parts[0].dimension):
            raise InputError("source", source, f"a density in {parts[0].dimension} dimensions")
        self.layers = nn.ModuleList(parts)
        self.source = parts[0].source if source is None else source
        self.dimension = parts[0].dimension
        self.maps = tuple(DecodedLayer(parts[: k + 1]) for k in range(len(parts)))
        self.affine = all(part.affine for part in self.maps)
        self._ends = np.cumsum([part.time for part in parts])
        self.time = float(self._ends[-1])

    # the module

    def forward(
        self, x: Float[Tensor, "*batch feature"], *, differentiable: bool = False
    ) -> Float[Tensor, "*batch feature"]:
        """x_L. Differentiable where it is called as a module; a kernel of transport otherwise."""
        with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
            return self._vertex(self._own(x.reshape(-1, self.dimension)), len(self)).to(x).reshape(x.shape)

    def path(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> Float[Tensor, "time sample feature"]:
        """The polygon, from the features themselves: d⁻¹ is not needed."""
        with torch.no_grad():
            vertices = [x, *(self._vertex(self._own(x), depth).to(x) for depth in range(1, len(self) + 1))]
        places = []
        for t in times:
            turn = min(int(np.searchsorted(self._ends, t, side="right")), len(self) - 1)
            part = float((t - self.vertices[turn]) / self.maps[turn].time)
            places.append(vertices[turn] + part * (vertices[turn + 1] - vertices[turn]))
        return torch.stack(places)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where the points are moved: the source's device, or the networks'."""
        return self.source.smoothing.device if self.source is not None else self._parts[0].noise_covariance.device

    def __len__(self) -> int:
        """How many layers."""
        return len(self.layers)

    # features

    @in_own_modes
    def features(self, x: Any, depth: int | None = None) -> Any:
        """z_k = h_k∘…∘h_1(x), shape (…, features of layer k); k = `depth`, None is the last layer.

        Raises:
            InputError: bad points, a depth beyond the last layer.
        """
        return self._through("x", x, self.dimension, Decoders(self._parts[: self._depth(depth)]).encode)

    def decode(self, z: Any, depth: int | None = None) -> Any:
        """d_1∘…∘d_k(z), points (…, d) for features (…, features of layer k); k = `depth`, None is the last layer.

        Raises:
            InputError: bad features, a depth beyond the last layer.
        """
        parts = self._parts[: self._depth(depth)]
        width = width_of(parts[-1]) if parts else self.dimension
        return self._through("z", z, width, Decoders(parts).decode)

    @in_own_modes
    def decoded(self, x: Any, depth: int | None = None) -> Any:
        """x_k, where a point x (…, d) is in the ground space after k = `depth` layers; None is the last one, 0 is x.

        Raises:
            InputError: bad points, a depth beyond the last layer.
        """
        known = self._depth(depth)
        return self._through("x", x, self.dimension, lambda rows: self._vertex(rows, known))

    @in_own_modes
    def decoded_covariance(self, x: Any, depth: int | None = None) -> Any:
        """D(x) = ∇d∇dᵀ of the layer at `depth`, d = d_1∘…∘d_{depth−1} at the features of x, shape (…, d, d); None: the last.

        Noise of variance t among the features is noise of covariance tD in the ground space. D is the identity for the
        first layer, constant for affine decoders, singular where features are narrower than the ground space.

        Raises:
            InputError: bad points, a depth that no layer has.
        """
        known = self._depth(depth)
        if known == 0:
            raise InputError("depth", depth, f"a layer, 1 to {len(self)}")
        rows, form = as_points("x", x, self.dimension)
        found = form.points(decoded_covariance(self._parts, known, rows).reshape(len(rows), -1))
        found = found if isinstance(found, Tensor) else np.asarray(found)
        return found.reshape(*form.batch, self.dimension, self.dimension)

    @renamed
    @in_own_modes
    def composition(self, given: Any, noise_covariances: Any = None, *, nodes: int = LOCAL_NODES) -> Composition:
        """The right-hand side of §A9: as many denoisers, each optimal for noise N(0, tD) and for what those before it made.

        D comes from the decoders alone. Affine decoders: a constant D, in closed form for a Gaussian. Curved ones: every
        point is denoised with its own D(x), as if that were the same everywhere. This leaves out ½tD∇log det D, what the
        decoder's changing volume adds, which is of the first order in t: §A9 is local in this sense. Where features are
        narrower than those before, the answers are the nearest points of the decoder's range, which lose least there.

        Arguments:
            given: the density that is to be moved, or points (n, d), the exact denoisers of which are attention.
            noise_covariances: a list of D, (d, d), one per layer, in place of the decoders'; identities give the isotropic
                composition.
            nodes: at most this many carry a density in one or two dimensions, draws in more, between layers of curved
                decoders: each sees all others through noise of its own.

        Returns:
            A transport map at the stack's own times: its `vertices` are the stack's.

        Raises:
            InputError: another dimension, decoders that are not injective, invalid covariances.

        Example:
            >>> import flowplane as fp
            >>> p = fp.Normal([0.0, 0.0], [[2.0, 0.5], [0.5, 1.0]])
            >>> s = fp.transport.stack((), p, depth=2, noise_covariance=0.5, steps=300)
            >>> exact = s.composition(p)
            >>> bool(abs(s([[1.0, -1.0]]) - exact([[1.0, -1.0]])).max() < 0.05)
            True
        """
        return denoisers_of(self._parts, given, noise_covariances, nodes)

    @property
    def history(self) -> xr.Dataset | None:  # type: ignore[override]
        """Losses over (layer, step), in squared units of the layer's own space, NaN once a layer is done; None before
        training. A layer's loss on held-out points, at its best, is in `best_loss`."""
        found = [part.history for part in self._parts]
        if any(part is None for part in found):
            return None
        known = [
            part.assign(best_loss=((), part.attrs["held_out_loss"], {"units": "squared units of the layer's input"}))
            for part in found
            if part is not None
        ]
        layers = xr.DataArray(np.arange(1, len(known) + 1), dims="layer", name="layer")
        together = xr.concat(
            known, layers, join="outer", combine_attrs="drop", coords="minimal", compat="equals", data_vars="all"
        )
        return stamp(together, "training_history")

    @property
    def held_out_loss(self) -> float:
        """That of the last layer, in squared units of its own space; NaN before training."""
        return self._parts[-1].held_out_loss

    def describe(self) -> dict[str, Any]:
        """What a file says of it besides its numbers."""
        return {"layers": [layer.describe() for layer in self._parts]}

    # inside

    @property
    def _parts(self) -> list[LearnedDenoiser]:
        return list(self.layers)  # type: ignore[arg-type]

    def _own(self, rows: Tensor) -> Tensor:
        return own_rows(self._parts[0], rows)

    def _vertex(self, rows: Tensor, depth: int) -> Tensor:
        """x_k: the last layer's network is called as a whole, so that hooks on it fire."""
        if depth == 0:
            return rows
        before = Decoders(self._parts[: depth - 1])
        found: Tensor = before.decode(self._parts[depth - 1].network(before.encode(rows)))
        return found

    def _depth(self, depth: int | None) -> int:
        known = len(self) if depth is None else check_count("depth", depth, 0)
        if known > len(self):
            raise InputError("depth", depth, f"at most {len(self)}, the number of layers")
        return known

    def _through(self, name: str, values: Any, width: int, kernel: Callable[[Tensor], Tensor]) -> Any:
        if isinstance(values, Tensor) and values.is_floating_point():
            if values.ndim == 0 or values.shape[-1] != width:
                raise InputError(name, Text(f"shape {tuple(values.shape)}"), f"points of shape (…, {width})")
            return kernel(self._own(values.reshape(-1, width))).to(values).reshape(*values.shape[:-1], -1)
        rows, form = as_points(name, values, width)
        with torch.no_grad():
            return form.points(kernel(self._own(rows)).double())


def checked_layers(layers: Any) -> list[LearnedDenoiser]:
    """Layers that can be stacked. Raises InputError for others."""
    parts: list[Any] = list(layers) if isinstance(layers, Sequence | nn.ModuleList) else []
    if not parts or not all(isinstance(part, LearnedDenoiser) for part in parts):
        found = [type(part).__name__ for part in parts] or type(layers).__name__
        raise InputError("layers", Text(f"{found}"), "LearnedDenoisers, one or more, the first layer's first")
    for k, part in enumerate(parts):
        network = part.network
        width = getattr(network, "features", None)
        whole = all(isinstance(getattr(network, name, None), nn.Module) for name in ("encoder", "decoder"))
        if not whole or not isinstance(width, int):
            expected = "a network with `encoder`, `decoder` and the number of `features`, such as Autoencoder"
            raise InputError(f"layers[{k}]", Text(type(network).__name__), expected)
        if part.fraction != 1:
            raise InputError(f"layers[{k}]", Text(f"a map up to {part.fraction:g} of its time"), "a whole one")
        if k and part.dimension != width_of(parts[k - 1]):
            expected = f"{width_of(parts[k - 1])}, the features of the layer before"
            raise InputError(f"layers[{k}]", Text(f"{part.dimension} dimensions"), expected)
        if k + 1 < len(parts):
            require_injective(k, width, part.dimension)
    return parts


def require_injective(k: int, width: int, dimension: int) -> None:
    """Raise InputError for features that no injective decoder can have. The last layer's may have any width."""
    if width > dimension:
        expected = (
            f"{dimension} or fewer, the dimension of layer {k + 1}'s input: the decoder of wider features is not injective, "
            "so that the next layer has no place in the ground space (§A9); only the last layer may have more"
        )
        raise InputError("features", width, expected)


def load_stack(path: Any, networks: Sequence[nn.Module] | None = None, *, source: Density | None = None) -> Stack:
    """A stack as `Stack.save` wrote it: the same numbers, on the CPU.

    Arguments:
        path: the file.
        networks: modules built like those that were trained, where they were not Autoencoders; they are copied.
        source: the density that the map is to move; files hold none.

    Raises:
        InputError: no file, not a stack of flowplane, one that is cut off or of a newer version, modules that are missing or
            built differently.

    Example:
        >>> import tempfile
        >>> from flowplane.transport import Autoencoder
        >>> s = Stack([LearnedDenoiser(Autoencoder(2, 2, seed=k), 0.1) for k in range(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     same = load_stack(s.save(f"{folder}/s.safetensors"))
        >>> bool((same([[1.0, 2.0]]) == s([[1.0, 2.0]])).all())
        True
    """
    about, tensors = read(path, "stack")
    rows = about["layers"]
    if networks is not None and len(networks) != len(rows):
        raise InputError("networks", Text(f"{len(networks)} modules"), f"{len(rows)}, one per layer")
    given: Sequence[nn.Module | None] = [None] * len(rows) if networks is None else networks
    layers = [
        rebuild_denoiser(row, tensors[f"layers.{k}.noise_covariance"], network)
        for k, (row, network) in enumerate(zip(rows, given, strict=True))
    ]
    return fill(Stack(layers, source=source), tensors)
