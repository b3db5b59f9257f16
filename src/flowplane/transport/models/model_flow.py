"""Anybody's generative model as a flow from noise to data (§E1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_tensor
from flowplane.core.points import Form, as_points, check_count
from flowplane.errors import InputError, Text, unknown
from flowplane.transport.densities import Density, Normal
from flowplane.transport.maps.ode import ODEMap
from flowplane.transport.models.network import MEMORY, Network, name_of
from flowplane.transport.models.parametrisation import PREDICTIONS
from flowplane.transport.models.paths import GaussianPath, as_path

__all__ = ["TOLERANCES", "Asked", "ModelFlow", "model_flow"]

#: Relative and absolute tolerance by the bytes of a number: on a model's rounding errors the solver would only take ever
#: smaller steps.
TOLERANCES = {8: (1e-8, 1e-9), 4: (1e-5, 1e-6), 2: (1e-3, 1e-4)}
#: Up to this α/σ the density at the noise's end is taken to be that of the noise.
NOISE = 0.1
#: Least standard deviation of a source relative to σ: a noisy x has at least σ, and few points have much less by chance.
NARROW = 0.7


def model_flow(
    model: Callable[..., Any],
    path: Any = "linear",
    predicts: str = "velocity",
    *,
    shape: Any = None,
    source: Density | None = None,
    clock: Callable[[float], Any] | None = None,
    times: Any = None,
    conditions: Mapping[str, Any] | None = None,
    guidance: float | None = None,
    unconditional: Mapping[str, Any] | None = None,
    memory: int = MEMORY,
    rtol: float | None = None,
    atol: float | None = None,
    max_step: float | None = None,
    probes: int = 8,
    seed: Any = 0,
) -> ModelFlow:
    """A diffusion or flow-matching model as the flow dx/ds = u(x, s) from noise, s = 0, to data, s = 1 (docs/papers.md §E1).

    The model belongs to a Gaussian path x_τ = α_τ x_data + σ_τ ε; whatever it predicts, the probability-flow velocity is
    u = α̇ x̂ + σ̇ ε̂ (Song et al., Score-based generative modeling through SDEs, 2021; Lipman et al., Flow matching, 2023).
    τ goes evenly with s. The flow calls the model that it was given: training it further changes the flow.

    Arguments:
        model: model(x, t), a `torch.nn.Module` or a function, for x (n, *shape) in its own precision and on its own device
            and t (n,). It is called in evaluation mode, without autocast, and left as it was. An answer may have its tensor
            as `.sample`, as those of diffusers do.
        path: "linear" (α = τ, σ = 1 − τ), "vp" (α = cos πτ/2, σ = sin πτ/2), "ve" (α = 1, σ = τ from 0.002 to 80), or
            (alpha, sigma), two functions of τ ∈ [0, 1], or ∈ `times`.
        predicts: "velocity" (dx/dτ), "noise" (ε̂), "denoised" (x̂), "score", or "v" (α ε̂ − σ x̂, Salimans & Ho 2022).
        shape: of one point, a number or a tuple; None is that of `source`.
        source: the density at s = 0; None is N(0, σ²I), the noise alone.
        clock: from τ to the t that the model takes, such as lambda tau: 999 * tau; a whole number is passed on as one.
        times: the first and last τ, in any order; None is the path's own ends for a velocity, and otherwise the first and
            last time at which α, σ ≥ 1e-3.
        conditions: further arguments of the model, by name; numbers and tensors are those of one point, and repeated.
        guidance, unconditional: classifier-free guidance: what the model says with the conditions `unconditional`, plus
            `guidance` times the difference from there to what it says with `conditions`. A guided velocity makes a flow,
            but one without a Gaussian path, as its results say.
        memory: bytes that the activations of one call may take, which say how many points go together.
        rtol, atol, max_step, probes, seed: as in `ODEMap`; tolerances of 1e-8 and 1e-9 for a model in double precision, of
            1e-5 and 1e-6 in single and of 1e-3 and 1e-4 in half precision.

    Raises:
        InputError: a shape, source or path that does not fit, times that cannot be reached, a model whose answer has another
            shape; during the flow, an answer that is NaN.

    Example:
        >>> import flowplane as fp
        >>> denoise = lambda x, t: x / (1 + t[:, None] ** 2)  # the best one for data from N(0, 1), on the path ve
        >>> flow = fp.transport.model_flow(denoise, "ve", "denoised", shape=1)
        >>> flow([[80.0], [-40.0]]).round(3)
        array([[ 1. ], [-0.5]])
    """
    if not callable(model):
        raise InputError("model", Text(type(model).__name__), "a module or a function of (x, t)")
    if predicts not in PREDICTIONS:
        raise unknown("predicts", predicts, PREDICTIONS)
    if source is not None and not isinstance(source, Density):
        raise InputError("source", Text(type(source).__name__), "a density, such as fp.Normal")
    if (guidance is None) != (unconditional is None):
        given = "guidance" if guidance is not None else "unconditional"
        raise InputError(given, Text("one alone"), "both guidance and unconditional, or neither")
    for name, named in (("conditions", conditions), ("unconditional", unconditional)):
        if named is not None and not isinstance(named, Mapping):
            raise InputError(name, named, "further arguments of the model, by name")
    if guidance is not None and not (isinstance(guidance, Real) and math.isfinite(guidance)):
        raise InputError("guidance", guidance, "a finite number")
    if clock is not None and not callable(clock):
        raise InputError("clock", Text(type(clock).__name__), "a function from τ to the model's time")
    sizes = _shape(shape, source)
    chosen = as_path(path, predicts, times)
    network = Network(model, sizes, clock, check_count("memory", memory))
    asked = Asked(network, conditions, guidance, unconditional)
    tolerances = TOLERANCES[network.dtype.itemsize]
    return ModelFlow(
        asked,
        chosen,
        predicts=predicts,
        source=_noise(chosen, sizes, network) if source is None else _wide(source, chosen, predicts),
        rtol=tolerances[0] if rtol is None else rtol,
        atol=tolerances[1] if atol is None else atol,
        max_step=max_step,
        probes=probes,
        seed=seed,
    )


class Asked:
    """A network with its conditions, guided where that is wanted."""

    def __init__(
        self,
        network: Network,
        conditions: Mapping[str, Any] | None = None,
        guidance: float | None = None,
        unconditional: Mapping[str, Any] | None = None,
    ) -> None:
        self.network, self.conditions = network, dict(conditions or {})
        self.guidance, self.unconditional = None if guidance is None else float(guidance), dict(unconditional or {})

    def __call__(self, tau: float, rows: Tensor) -> Tensor:
        found = self.network(tau, rows, self.conditions)
        if self.guidance is None:
            return found
        without = self.network(tau, rows, self.unconditional)
        return without + self.guidance * (found - without)


class ModelFlow(ODEMap):
    """What `model_flow` makes. Points may have the model's own shape, (…, *shape), or be rows (…, d)."""

    def __init__(self, asked: Asked, path: GaussianPath, *, predicts: str, source: Density | None, **options: Any) -> None:
        #: Of one point, as the model takes it.
        self.shape = asked.network.shape
        super().__init__(self.field, math.prod(self.shape), time=1.0, source=source, **options)
        self.path_of, self.predicts, self._asked = path, predicts, asked
        with torch.no_grad():
            self._try()

    def _try(self) -> None:
        """Refuses a clock and a model that do not fit, and answers that depend on chance or on other rows."""
        network, tau = self._asked.network, self.path_of.tau(0.5)
        for end in (self.path_of.noise, self.path_of.data):
            network.time(end, 1)
        x = torch.linspace(-1, 1, 2 * self.dimension, dtype=torch.float64, device=self.device).reshape(2, -1)
        both = self._asked(tau, x)
        allowed = torch.finfo(network.dtype).eps ** (1 / 3) * float(both.abs().max())
        if float((self._asked(tau, x[:1]) - both[:1]).abs().max()) <= allowed:
            return
        if float((self._asked(tau, x) - both).abs().max()) > allowed:
            raise InputError(
                "model", Text("different answers to the same x and t"), "a function of x and t, without randomness"
            )
        raise InputError("model", Text("answers that depend on the other points of a batch"), "each point's own answer")

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """u = (a·x + b·prediction)·dτ/ds."""
        path = self.path_of
        tau = path.tau(t)
        of_x, of_answer = PREDICTIONS[self.predicts](path.at(tau))
        rate = path.data - path.noise
        answer = rate * of_answer * self._asked(tau, x)
        return answer if of_x == 0 else rate * of_x * x + answer

    def rows_at_once(self, rows: int) -> int:
        """As many as the model is given at once."""
        return self._asked.network.rows_at_once(rows)

    def about(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Besides: the path, its ends, and what the model predicts."""
        coords, attrs = super().about()
        path, guidance = self.path_of, self._asked.guidance
        told = path.name if guidance is None else f"none, for {path.name} is guided with weight {guidance:g}"
        return coords, attrs | {"path": told, "predicts": self.predicts, "tau": [path.noise, path.data]}

    def _rows(self, name: str, x: Any) -> tuple[Tensor, Any]:
        """Points in the model's own shape, or rows."""
        ends = tuple(x.shape if hasattr(x, "shape") else as_tensor(name, x).shape)[-len(self.shape) :]
        if len(self.shape) == 1 or ends != self.shape:
            return super()._rows(name, x)
        values = x.values if isinstance(x, xr.DataArray) else x
        flat = values.reshape(*values.shape[: -len(self.shape)], -1)
        rows, form = as_points(name, flat, self.dimension, self.dtype, self.device)
        return rows, _Shaped(form.dtype, form.device, form.batch, shape=self.shape)

    def __repr__(self) -> str:
        name = name_of(self._asked.network.model)
        guided = "" if self._asked.guidance is None else f", guided by {self._asked.guidance:g}"
        return f"{type(self).__name__}({name}, {self.path_of.name} path, {self.predicts}, shape {self.shape}{guided})"


class _Shaped(Form):
    """Points that are given back in the model's shape."""

    def __init__(self, *args: Any, shape: tuple[int, ...]) -> None:
        super().__init__(*args)
        object.__setattr__(self, "shape", shape)

    def points(self, rows: Tensor) -> Any:
        """One row per point."""
        return self._given(rows.reshape(*self.batch, *self.shape))

    def path(self, positions: Tensor, times: np.ndarray) -> Any:
        """Points at several times."""
        return self._given(positions.reshape(len(positions), *self.batch, *self.shape))

    shape: tuple[int, ...]


def _shape(shape: Any, source: Density | None) -> tuple[int, ...]:
    if shape is None:
        if source is None:
            raise InputError("shape", None, "the shape of one point, such as 2 or (3, 32, 32), or a source")
        return (source.dimension,)
    sizes = tuple(check_count("shape", each) for each in (shape if isinstance(shape, Sequence) else (shape,)))
    if not sizes:
        raise InputError("shape", shape, "a number, or one or more of them")
    if source is not None and source.dimension != math.prod(sizes):
        raise InputError("source", source, f"a density in {math.prod(sizes)} dimensions, as shape {sizes} has")
    return sizes


def _wide(source: Density, path: GaussianPath, predicts: str) -> Density:
    """A source no narrower than the noise that the path has there. Pairs of any two densities have velocities."""
    sigma = path.at(path.noise).sigma
    if predicts != "velocity" and source.scale < NARROW * sigma:
        found = Text(f"{source!r} of variance {source.scale**2:.3g} on average")
        raise InputError("source", found, f"at least σ² = {sigma**2:.3g}, that of the noise at τ = {path.noise:g}")
    return source


def _noise(path: GaussianPath, shape: tuple[int, ...], network: Network) -> Density:
    """N(0, σ²I) at the noise's end."""
    point = path.at(path.noise)
    if point.alpha > NOISE * point.sigma:
        expected = f"the density at τ = {path.noise:g}, where α = {point.alpha:.3g} and there is more than noise"
        raise InputError("source", None, expected)
    zeros = torch.zeros(math.prod(shape), dtype=torch.float64, device=network.device)
    return Normal(zeros.numpy() if network.device.type == "cpu" else zeros, point.sigma**2)
