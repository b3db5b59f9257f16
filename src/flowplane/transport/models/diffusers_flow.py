"""Pipelines of diffusers as flows: a network, and the Gaussian path that its scheduler names (§E1)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowplane.errors import InputError, Text
from flowplane.transport.models.model_flow import ModelFlow, model_flow
from flowplane.transport.models.network import answer_of, modules_of, name_of
from flowplane.transport.models.paths import PATHS, GaussianPath

__all__ = ["from_diffusers"]

#: Deterministic samplers of a variance-preserving path, given by `alphas_cumprod`, those of the linear one, and those of
#: x + σ ε with a network that is scaled by σ.
PRESERVING = (
    "CogVideoXDDIMScheduler",
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
)
LINEAR = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
SCALED = ("EDMDPMSolverMultistepScheduler", "EDMEulerScheduler")
KNOWN = tuple(sorted((*PRESERVING, *LINEAR, *SCALED)))
#: What a network of diffusers predicts, in our words.
PREDICTIONS = {"epsilon": "noise", "sample": "denoised", "v_prediction": "v", "flow_prediction": "velocity"}
#: What a network that is scaled predicts, by the sign with which it counts.
SIGNS = {"epsilon": 1, "v_prediction": -1}
#: A stochastic sampler has one of these in its name, or is one of these.
ANCESTRAL = ("Ancestral", "SDE", "Sde", "LCM", "SASolver", "Consistency", "CMStochastic")
STOCHASTIC = (
    "CogVideoXDPM",
    "CosineDPMSolverMultistep",
    "DDPM",
    "DDPMParallel",
    "DDPMWuerstchen",
    "KarrasVe",
    "RePaint",
    "SCM",
    "TCD",
    "UnCLIP",
    "VQDiffusion",
)


def from_diffusers(pipeline: Any, *, shape: Any = None, clock: Callable | None = None, **options: Any) -> ModelFlow:
    """A network of diffusers as the flow that its deterministic sampler follows (docs/papers.md §E1).

    The path is that of the training: α = √ᾱ, σ = √(1 − ᾱ) at the steps 0 … 999, splined between them, α = 1 − σ for flow
    matching, or α = 1 with σ from sigma_max to sigma_min where the network is scaled as in EDM (Karras et al., NeurIPS 2022,
    arXiv 2206.00364); how a sampler spaces its steps, clips or thresholds is not part of it. Other samplers that rescale the
    variance (EulerDiscrete, Heun, …) ask the network of a preserving path, whose flow is followed in its own variables.

    Arguments:
        pipeline: with a `unet` or a `transformer` and a `scheduler`, or (model, scheduler).
        shape: of one point; None is what the model's configuration says.
        clock: from the scheduler's step to the `timestep` of the network, where a pipeline hands it something else: lambda
            step: step / 1000 for Flux.
        options: as in `model_flow`: `conditions` (class_labels=3, encoder_hidden_states=…), `guidance`, `source`, `times`, …

    Raises:
        InputError: a stochastic sampler or one that is not known, by its name; a model without a shape.

    Example:
        >>> from diffusers import DDIMScheduler, UNet2DModel
        >>> unet = UNet2DModel(8, 1, 1, block_out_channels=(8,), down_block_types=["DownBlock2D"],
        ...                    up_block_types=["UpBlock2D"], norm_num_groups=4, layers_per_block=1)
        >>> from_diffusers((unet, DDIMScheduler()))
        ModelFlow(UNet2DModel, ddim path, noise, shape (1, 8, 8))
    """
    model, scheduler = _parts(pipeline)
    path, predicts, scale = _path(scheduler)
    sizes = _shape(model) if shape is None else shape
    if scale is not None:
        if clock is not None:
            raise InputError("clock", clock, f"None: with {type(scheduler).__name__} the network takes ¼ log σ")
        return model_flow(_Scaled(model, *scale), path, predicts, shape=sizes, **options)
    training = int(scheduler.config.num_train_timesteps) if path.name == "linear" else 1

    def timestep(tau: float) -> Any:
        return tau * training if clock is None else clock(tau * training)

    return model_flow(_Adapted(model), path, predicts, shape=sizes, clock=timestep, **options)


class _Adapted(nn.Module):
    """A network of diffusers as model(x, t): many take other inputs before their `timestep`."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.parts = network, nn.ModuleList(modules_of(network))
        called = network.forward if isinstance(network, nn.Module) else network
        self.named = "timestep" in inspect.signature(called).parameters

    def forward(self, x: Tensor, t: Tensor, **conditions: Any) -> Any:
        """What the network says."""
        return self.network(x, timestep=t, **conditions) if self.named else self.network(x, t, **conditions)

    def _get_name(self) -> str:
        return name_of(self.network)


class _Scaled(_Adapted):
    """c_skip x + c_out F(c_in x, ¼ log σ), which is x without noise (Karras et al., 2022, table 1).

    Arguments:
        deviation: that of the data, σ_data.
        sign: of c_out.
    """

    def __init__(self, network: Any, deviation: float, sign: int) -> None:
        super().__init__(network)
        self.deviation, self.sign = deviation, sign

    def forward(self, x: Tensor, t: Tensor, **conditions: Any) -> Tensor:
        """t is σ."""
        level = t.to(torch.promote_types(t.dtype, torch.float32)).reshape(-1, *(1,) * (x.ndim - 1))
        size = (level.square() + self.deviation**2).sqrt()
        found = answer_of(super().forward((x / size).to(x.dtype), t.log() / 4, **conditions))
        return (self.deviation / size).square() * x + self.sign * level * self.deviation / size * found


def _parts(pipeline: Any) -> tuple[Any, Any]:
    if isinstance(pipeline, tuple) and len(pipeline) == 2:
        model, scheduler = pipeline
    else:
        model = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
        scheduler = getattr(pipeline, "scheduler", None)
    if model is None or not hasattr(scheduler, "config"):
        found = Text(type(pipeline).__name__)
        raise InputError("pipeline", found, "a pipeline with unet or transformer and scheduler, or (model, scheduler)")
    return model, scheduler


def _path(scheduler: Any) -> tuple[GaussianPath, str, tuple[float, int] | None]:
    """The path of a deterministic scheduler, what its network predicts, and σ_data and sign of one that is scaled."""
    name, config = type(scheduler).__name__, scheduler.config
    kind = str(config.get("algorithm_type", ""))
    plain = name.removesuffix("Scheduler")
    random = plain in STOCHASTIC or any(part in plain for part in ANCESTRAL) or kind.startswith("sde")
    if random or config.get("stochastic_sampling"):
        told = f"{name}, a stochastic sampler{f' ({kind})' if kind.startswith('sde') else ''}"
        expected = "a deterministic one, which follows a flow: DDIMScheduler.from_config(scheduler.config), …"
        raise InputError("scheduler", Text(told), expected)
    if name not in KNOWN:
        raise InputError("scheduler", Text(name), f"one of {', '.join(KNOWN)}")
    said = "flow_prediction" if name in LINEAR else str(config.prediction_type)
    known = SIGNS if name in SCALED else PREDICTIONS
    if said not in known:
        raise InputError("scheduler", Text(f"{name} with prediction_type={said!r}"), f"one of {', '.join(known)}")
    if name in SCALED:
        path = PATHS["ve"].within(float(config.sigma_max), float(config.sigma_min))
        return path, "denoised", (float(config.sigma_data), SIGNS[said])
    if name in LINEAR or config.get("use_flow_sigmas"):
        # diffusers counts from data to noise
        linear = GaussianPath("linear", lambda t: 1 - t, lambda t: t, 1.0, 0.0, lambda t: (-1.0, 1.0))
        return linear, PREDICTIONS[said], None
    if config.get("timestep_type") == "continuous" and said == "v_prediction":
        ends = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt()[[-1, 0]].tolist()
        given = (config.get("sigma_max"), config.get("sigma_min"))
        path = PATHS["ve"].within(*(own if end is None else float(end) for own, end in zip(ends, given, strict=True)))
        return path, "denoised", (1.0, SIGNS[said])
    return _preserving(plain.lower(), scheduler), PREDICTIONS[said], None


def _preserving(name: str, scheduler: Any) -> GaussianPath:
    """α and σ at the steps of training, and between them a spline of log σ/α."""
    from scipy.interpolate import CubicSpline

    kept = scheduler.alphas_cumprod.double().cpu().numpy()
    usable = (kept > 1e-6) & (kept < 1)  # a last step without any signal cannot be reached
    steps, kept = np.flatnonzero(usable).astype(float), kept[usable]
    ratio = CubicSpline(steps, 0.5 * np.log((1 - kept) / kept))
    slope = ratio.derivative()

    def alpha(tau: float) -> float:
        return 1 / math.sqrt(1 + math.exp(2 * float(ratio(tau))))

    def sigma(tau: float) -> float:
        return 1 / math.sqrt(1 + math.exp(-2 * float(ratio(tau))))

    def rates(tau: float) -> tuple[float, float]:
        a, s, rate = alpha(tau), sigma(tau), float(slope(tau))
        return -a * s * s * rate, s * a * a * rate

    return GaussianPath(name, alpha, sigma, float(steps[-1]), float(steps[0]), rates)


def _shape(model: Any) -> tuple[int, ...]:
    config = getattr(model, "config", None)
    channels, size = (getattr(config, name, None) for name in ("in_channels", "sample_size"))
    if not channels or not size:
        raise InputError("shape", None, "the shape of one point, which this model's configuration does not say")
    return (channels, *(size if isinstance(size, tuple | list) else (size, size)))
