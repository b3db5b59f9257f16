"""Denoising autoencoders as transport: shallow, composed, continuous (§A3–§A6)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from flowplane.core.points import as_matrix, check_count, check_positive, check_seed
from flowplane.core.renamed import renamed
from flowplane.core.streams import COMPARED, generator
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.estimate import Estimate
from flowplane.transport.flows.denoiser import Denoiser
from flowplane.transport.flows.heat import heat_flow, singular_time
from flowplane.transport.flows.running import NODE_LAYERS, REPRESENTATIONS, running_density
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.composition import Composition
from flowplane.transport.maps.wrapped import WrappedMap

__all__ = ["DenoisingFlow", "denoising_flow"]


@renamed
def denoising_flow(
    density: Density,
    time: float,
    layers: float,
    *,
    noise_covariance: Any = None,
    representation: str = "auto",
    max_step: float | None = None,
) -> DenoisingFlow:
    """The denoising autoencoder of a density as a transport map.

    One layer is the shallow autoencoder for noise N(0, tD), g(x) = x + tD∇log(p_0 * N(0, tD))(x). L layers are L of them,
    each for noise N(0, tD/L) and for the density that the layers before it made. ∞ is the limit of infinitely many:
    dx/dt = D∇log p_t(x), the backward heat equation, which ends at a singular time t*. (SM; docs/papers.md §A3–§A6.)

    Arguments:
        density: p_0: a Normal, a GaussianMixture (also two_moons, …), or an Empirical; bare points need layers.
        time: t, the variance of the noise; with infinitely many layers below t*.
        layers: 1 shallow, L composed, `math.inf` continuous.
        noise_covariance: D, of the noise for each unit of time, symmetric positive definite; None is the identity.
        representation: how the density between the layers is carried: "nodes", "refit" or "points", see
            `flowplane.transport.flows.running`; "auto" chooses. Without effect where it is known exactly.
        max_step: the longest step in time of the solver of the continuous flow, as in `ODEMap`: without it a component so
            narrow that particles pass it within a step may be missed. Without effect where nothing is solved.

    Returns:
        The flow; `flow.profile()` measures it, `flow.representation` says how the density between layers is carried.

    Raises:
        InputError: time or max_step not positive; with infinitely many layers time at or past t*, or bare points; layers
            neither a whole number nor ∞; D not a covariance of this dimension; a representation that this density does not
            allow.

    Example:
        >>> import math
        >>> import flowplane as fp
        >>> p = fp.Normal(0.0, 1.0)
        >>> x = np.array([[1.0]])
        >>> [fp.denoising_flow(p, 0.4, layers)(x).round(4).item() for layers in (1, 2, 4, math.inf)]
        [0.7143, 0.647, 0.5857, 0.4472]
    """
    if not isinstance(density, Density):
        raise InputError("density", Text(type(density).__name__), "a density, such as fp.Normal or fp.Empirical(points)")
    number = isinstance(time, (int, float, np.number)) and not isinstance(time, bool)
    if not number or not 0 < time < math.inf:
        raise InputError("time", time, "a positive number")
    if layers is None:
        raise InputError("layers", None, "a whole number, 1 or more, or math.inf for the continuous flow")
    if layers != math.inf:
        layers = check_count("layers", layers)
    elif not density.has_density:
        expected = (
            "a number of layers: the continuous flow of bare points is over at once (t* = 0). Smooth them first, "
            f"Empirical(points, kernel_covariance=h) with h above {2 * float(time):g}"
        )
        raise InputError("layers", layers, expected)
    return DenoisingFlow(
        density,
        float(time),
        layers,
        noise_covariance=noise_covariance,
        representation=representation,
        max_step=None if max_step is None else check_positive("max_step", max_step),
    )


class DenoisingFlow(WrappedMap):
    """What `denoising_flow` makes. With a covariance D it is the isotropic flow in the coordinates D^{−1/2}x."""

    def __init__(
        self,
        density: Density,
        time: float,
        layers: float,
        *,
        noise_covariance: Any = None,
        representation: str = "auto",
        max_step: float | None = None,
        seed: Any = 0,
    ) -> None:
        #: How many; infinite for the continuous flow.
        self.layers = layers
        #: D, of the noise for each unit of time; None is the identity.
        self.noise_covariance = None
        root = None
        inner = density
        if noise_covariance is not None:
            matrix = as_matrix("noise_covariance", noise_covariance, density.dimension)
            self.noise_covariance = self.metric = matrix.to(density.smoothing.device)
            values, vectors = torch.linalg.eigh(self.noise_covariance)
            root = (vectors * values.sqrt()) @ vectors.T
            inner = density.whitened(torch.linalg.inv(root))
        #: t*, up to which the continuous flow goes.
        self.singular_time = singular_time(inner)
        core, self.representation = _core(inner, time, layers, representation, max_step, check_seed(seed))
        super().__init__(core, density, root)
        self.time = time  # the sum of the layers' times may be off by rounding

    def representation_error(self, samples: int = 1000, *, seed: Any = 0) -> Estimate:
        """How far the layers' running density may be off: root mean square distance, at the end, between particles moved by
        this flow and by the same one with other nodes or points; 0 where the representation is exact.

        A refit in one or two dimensions and up to 16 layers is compared with nodes, which shows the cost of fitting a
        mixture to something else; otherwise only the scatter of the points is seen.
        """
        choice = self.representation.partition(":")[0]
        if choice not in REPRESENTATIONS:
            return Estimate(0.0, 0.0, self.representation, "units of x")
        source, seed = self.known_source(), check_seed(seed)
        against = "nodes" if choice == "refit" and self.dimension <= 2 and self.layers <= 2 * NODE_LAYERS else choice
        other = DenoisingFlow(
            source,
            self.time,
            self.layers,
            noise_covariance=self.noise_covariance,
            representation=against,
            seed=seed + 1,  # 0 is the flow's own
        )
        x = source.draw(check_count("samples", samples, 2), generator(seed, COMPARED))
        squares = (self.forward(x) - other.forward(x)).square().sum(1)
        value = float(squares.mean().sqrt())
        error = float(squares.std()) / math.sqrt(samples) / (2 * value) if value > 0 else 0.0
        method = f"{choice} against other {against}, {samples} particles"
        return Estimate(value, error, method, "units of x")

    def variance_change(self, t: float) -> float | None:
        """−2t tr D for the continuous flow, the trace law (§A5)."""
        if self.layers != math.inf:
            return None
        return -2 * t * (self.dimension if self.noise_covariance is None else float(torch.trace(self.noise_covariance)))

    def __repr__(self) -> str:
        depth = "continuous" if self.layers == math.inf else f"{self.layers} layer{'s' if self.layers > 1 else ''}"
        return f"DenoisingFlow({self.source!r}, time {self.time:g}, {depth})"


def _core(
    density: Density, time: float, layers: float, representation: str, max_step: float | None, seed: int
) -> tuple[TransportMap, str]:
    """The isotropic flow, and how its running density is represented."""
    if layers == math.inf:
        return heat_flow(density, time, +1.0, max_step), "closed form at every time"
    layers = int(layers)
    step = time / layers
    first = Denoiser(density.smoothing, step, source=density)
    if layers == 1:
        return first, "closed form"
    running = running_density(density, step, layers, representation, seed)
    maps = [first]
    for _ in range(layers - 1):
        running = running.moved(maps[-1])
        maps.append(Denoiser(running.smoothing, step))
    return Composition(maps), running.description
