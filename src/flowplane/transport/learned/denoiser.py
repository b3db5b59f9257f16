"""A trained denoiser: a transport map that is a PyTorch module as well (§A3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.arrays import as_tensor
from flowplane.core.modes import in_own_modes
from flowplane.core.points import as_matrix, as_points, check_count
from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.densities.smoothing import in_chunks
from flowplane.transport.learned.checkpoint import (
    Trained,
    build_network,
    describe_network,
    fill,
    history_of,
    last_numbers,
    read,
)
from flowplane.transport.learned.module_map import ModuleMap
from flowplane.transport.maps.state import THIRD_DIMENSION
from flowplane.transport.maps.straight import StraightMap

__all__ = ["LearnedDenoiser", "load_denoiser", "rebuild_denoiser"]

#: Numbers for each row and coordinate that a Jacobian is thought to need.
ROW_WIDTH = 512


@renamed
class LearnedDenoiser(Trained, ModuleMap, StraightMap):
    """g(x̃) ≈ E[x | x + ε = x̃], ε ~ N(0, C), by a network (§A3); what `train_denoiser` makes.

    It is a transport map from x̃ at time 0 to g(x̃) at time tr C/d, the variance of the noise where that is the same in
    all directions: `inverse`, `log_det_jacobian`, `profile`, `f @ g` … are there. It is a `torch.nn.Module` too: called with
    floating tensors of shape (…, d) hooks fire, the answer is differentiable in x and in the parameters, NaN gives NaN.
    NumPy arrays and everything else are checked as points and answered in kind. All other methods, `forward` included, are
    the transport map's and give no gradients.

    Arguments:
        network: a module from rows (n, d) to rows (n, d).
        noise_covariance: C, a variance or a symmetric positive definite matrix.
        dimension: d, where neither the network's own `dimension` nor C says it.
        source: the density that the map is to move.

    Raises:
        InputError: not a module, a module that answers in another shape, not a covariance, a source of another dimension.

    Example:
        >>> from flowplane.transport import DenoisingNetwork
        >>> g = LearnedDenoiser(DenoisingNetwork(2, (8,)), 0.25)
        >>> g([[1.0, 2.0]]).shape, g(torch.ones(3, 4, 2)).requires_grad, g.time
        ((1, 2), True, 0.25)
    """

    kind = "denoiser"
    time_units = "variance of noise"
    #: C, shape (d, d).
    noise_covariance: Tensor

    def __init__(
        self, network: nn.Module, noise_covariance: Any, *, dimension: int | None = None, source: Density | None = None
    ) -> None:
        nn.Module.__init__(self)
        if not isinstance(network, nn.Module):
            raise InputError("network", Text(type(network).__name__), "a torch.nn.Module")
        said = dimension if dimension is not None else getattr(network, "dimension", None)
        shape = as_tensor("noise_covariance", noise_covariance).shape
        self.dimension = check_count("dimension", shape[0] if said is None and shape else said)
        if source is not None and (not isinstance(source, Density) or source.dimension != self.dimension):
            raise InputError("source", source, f"a density in {self.dimension} dimensions")
        matrix = as_matrix("noise_covariance", noise_covariance, self.dimension)
        self.network, self.source = network, source
        place = next((part.device for part in network.parameters()), matrix.device)
        self.register_buffer("noise_covariance", matrix.to(place))
        self.time = float(torch.trace(matrix)) / self.dimension
        self.affine = bool(getattr(network, "affine", False))
        self._require_square()

    # the module

    def forward(
        self, x: Float[Tensor, "*batch feature"], *, differentiable: bool = False
    ) -> Float[Tensor, "*batch feature"]:
        """x + θ(g(x) − x). Differentiable where it is called as a module; a kernel of transport otherwise."""
        with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
            rows = x.reshape(-1, self.dimension)
            found = self._denoised(rows) if self.fraction == 1 else rows + self.fraction * self._move(rows)
            return found.reshape(x.shape)

    # the map

    def displacement(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """g(x) − x."""
        with torch.no_grad():
            return self._move(x)

    def displacement_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """∇g(x) − I, by automatic differentiation."""
        return self._derived(torch.func.jacrev(self._one_move), x, self.dimension)

    def displacement_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """∂_k∂_j g_i(x), by automatic differentiation; NaN above 16 dimensions."""
        if self.dimension > THIRD_DIMENSION:
            return torch.full((1,) * 4, torch.nan, dtype=x.dtype, device=x.device).expand(len(x), *(self.dimension,) * 3)
        return self._derived(torch.func.jacrev(torch.func.jacrev(self._one_move)), x, self.dimension**2)

    def backward(
        self, y: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """Newton's method, to the precision of the network's own numbers."""
        origin, log_det = super().backward(y.to(self._precision))
        return origin.to(y.dtype), log_det.to(y.dtype)

    @property
    def metric(self) -> Tensor | None:  # type: ignore[override]
        """D = C/t, the covariance of the noise for each unit of time; None for the identity."""
        identity = torch.eye(self.dimension, dtype=self.noise_covariance.dtype, device=self.noise_covariance.device)
        relative = self.noise_covariance / self.time
        return None if bool((relative - identity).abs().max() <= 1e-12) else relative.to(self.device, torch.float64)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where the points are moved: the source's device, or the network's."""
        return self.source.smoothing.device if self.source is not None else self.noise_covariance.device

    # what is read off the network

    @in_own_modes
    def score(self, x: Any) -> Any:
        """C⁻¹(g(x) − x), Tweedie's estimate of ∇log(p * N(0, C))(x), shape (…, d).

        Raises:
            InputError: bad points.
        """
        rows, form = self._rows("x", x)
        covariance = self.noise_covariance.to(rows)
        return form.points(torch.linalg.solve(covariance, self.displacement(rows).T).T)

    def encoder(self, x: Any) -> Any:
        """The features h(x), shape (…, features), of a network that has an `encoder`; tensors as in calling the module.

        Raises:
            InputError: a network without one, bad points.
        """
        return self._through("encoder", x, self.dimension)

    def decoder(self, h: Any) -> Any:
        """The points (…, d) that belong to features (…, features), of a network that has a `decoder`.

        Raises:
            InputError: a network without one, bad points.
        """
        return self._through("decoder", h, getattr(self.network, "features", None))

    def describe(self) -> dict[str, Any]:
        """What a file says of it besides its numbers."""
        return {
            "dimension": self.dimension,
            "covariance": self.noise_covariance.tolist(),
            "time": self.time,
            "fraction": self.fraction,
            "network": describe_network(self.network),
            "history": last_numbers(self.history),
        }

    # inside

    @property
    def _precision(self) -> torch.dtype:
        return next((part.dtype for part in self.network.parameters() if part.is_floating_point()), torch.float64)

    def _denoised(self, rows: Tensor) -> Tensor:
        """g of rows, computed where and as the network's numbers are, on a copy that the network may write into."""
        found = self.network(rows.to(self.noise_covariance.device, self._precision, copy=True))
        if not isinstance(found, Tensor) or found.shape != rows.shape:
            shown = f"an answer of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise InputError("network", Text(shown), f"a module that answers in the shape of its input, {tuple(rows.shape)}")
        return found.to(rows)

    def _move(self, rows: Tensor) -> Tensor:
        return self._denoised(rows) - rows

    def _one_move(self, point: Tensor) -> Tensor:
        return self._move(point.unsqueeze(0)).squeeze(0)

    def _derived(self, function: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
        with torch.no_grad():
            return in_chunks(torch.func.vmap(function), x, ROW_WIDTH * size)

    def _through(self, name: str, values: Any, size: int | None) -> Any:
        part = getattr(self.network, name, None)
        if not isinstance(part, nn.Module):
            raise InputError("network", Text(type(self.network).__name__), f"a network with its {name}, such as Autoencoder")
        if isinstance(values, Tensor) and values.is_floating_point():
            rows = values.reshape(-1, values.shape[-1]).to(self.noise_covariance.device, self._precision, copy=True)
            return part(rows).to(values).reshape(*values.shape[:-1], -1)

        rows, form = as_points(
            "x" if name == "encoder" else "h", values, size, self._precision, self.noise_covariance.device
        )
        with torch.no_grad():
            return form.points(part(rows.clone()).double())

    def _require_square(self) -> None:
        """Refuse a module that is not a map of R^d."""
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad():
                self._denoised(torch.zeros(2, self.dimension, dtype=torch.float64, device="cpu"))
        except (RuntimeError, TypeError) as error:
            raise InputError(
                "network",
                Text(f"{type(self.network).__name__}: {error}"),
                f"a module that takes rows of shape (n, {self.dimension})",
            ) from error
        finally:
            self.network.train(training)


def load_denoiser(path: Any, network: nn.Module | None = None, *, source: Density | None = None) -> LearnedDenoiser:
    """A denoiser as `LearnedDenoiser.save` wrote it: the same numbers, on the CPU.

    Arguments:
        path: the file.
        network: a module built like the one that was trained, where that was neither given by widths nor an Autoencoder;
            it is copied, not changed.
        source: the density that the map is to move; files hold none.

    Raises:
        InputError: no file, not a checkpoint of flowplane, one that is cut off or of a newer version, a module that is
            missing or built differently.

    Example:
        >>> import tempfile
        >>> from flowplane.transport import DenoisingNetwork
        >>> g = LearnedDenoiser(DenoisingNetwork(1, (4,)), 0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     same = load_denoiser(g.save(f"{folder}/g.safetensors"))
        >>> bool((same([[1.0]]) == g([[1.0]])).all())
        True
    """
    about, tensors = read(path, "denoiser")
    return fill(rebuild_denoiser(about, tensors["noise_covariance"], network, source), tensors)


def rebuild_denoiser(
    about: dict[str, Any], noise_covariance: Tensor, network: nn.Module | None, source: Density | None = None
) -> LearnedDenoiser:
    """What `LearnedDenoiser.describe` describes, its numbers still to come."""
    built = build_network(about["network"], network)
    made = LearnedDenoiser(built, noise_covariance, dimension=about["dimension"], source=source)
    made.time, made.fraction = about["time"], about.get("fraction", 1.0)
    made.history = history_of(about["history"])
    return made
