"""Pipelines of diffusers as flows: a network, and the Gaussian path that its scheduler names (§E1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flowplane.errors import InputError, Text
from flowplane.transport.models.model_flow import ModelFlow, model_flow
from flowplane.transport.models.paths import GaussianPath

__all__ = ["from_diffusers"]

#: Deterministic samplers of a variance-preserving path, given by `alphas_cumprod`, and those of the linear one.
PRESERVING = (
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
#: What a network of diffusers predicts, in our words.
PREDICTIONS = {"epsilon": "noise", "sample": "denoised", "v_prediction": "v", "flow_prediction": "velocity"}
#: A stochastic sampler has one of these in its name, or is one of these.
ANCESTRAL = ("Ancestral", "SDE", "Sde", "LCM", "SASolver", "Consistency", "CMStochastic")
STOCHASTIC = ("DDPM", "DDPMParallel", "DDPMWuerstchen", "RePaint", "TCD", "UnCLIP", "SCM", "VQDiffusion")


def from_diffusers(pipeline: Any, *, shape: Any = None, **options: Any) -> ModelFlow:
    """A network of diffusers as the flow that its deterministic sampler follows (docs/papers.md §E1).

    The path is that of the training: α = √ᾱ, σ = √(1 − ᾱ) at the steps 0 … 999, splined between them, or α = 1 − σ for flow
    matching; how a sampler spaces its steps, clips or thresholds is not part of it. Samplers that rescale the variance
    (EulerDiscrete, Heun, …) ask the same network, whose flow is followed in its own variables.

    Arguments:
        pipeline: with a `unet` or a `transformer` and a `scheduler`, or (model, scheduler).
        shape: of one point; None is what the model's configuration says.
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
    path, predicts = _path(scheduler)
    linear = path.name == "linear"
    training = int(scheduler.config.num_train_timesteps)
    clock = (lambda tau: tau * training) if linear else None
    return model_flow(model, path, predicts, shape=_shape(model) if shape is None else shape, clock=clock, **options)


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


def _path(scheduler: Any) -> tuple[GaussianPath, str]:
    """The path of a deterministic scheduler, and what its network predicts."""
    name, config = type(scheduler).__name__, scheduler.config
    kind = str(config.get("algorithm_type", ""))
    plain = name.removesuffix("Scheduler")
    random = plain in STOCHASTIC or any(part in plain for part in ANCESTRAL) or kind.startswith("sde")
    if random or config.get("stochastic_sampling"):
        told = f"{name}, a stochastic sampler{f' ({kind})' if kind.startswith('sde') else ''}"
        expected = "a deterministic one, which follows a flow: DDIMScheduler.from_config(scheduler.config), …"
        raise InputError("scheduler", Text(told), expected)
    if name not in (*PRESERVING, *LINEAR):
        raise InputError("scheduler", Text(name), f"one of {', '.join((*PRESERVING, *LINEAR))}")
    said = "flow_prediction" if name in LINEAR else str(config.prediction_type)
    if said not in PREDICTIONS:
        raise InputError("scheduler", Text(f"{name} with prediction_type={said!r}"), f"one of {', '.join(PREDICTIONS)}")
    if name in LINEAR or config.get("use_flow_sigmas"):
        # diffusers counts from data to noise
        linear = GaussianPath("linear", lambda t: 1 - t, lambda t: t, 1.0, 0.0, lambda t: (-1.0, 1.0))
        return linear, PREDICTIONS[said]
    return _preserving(plain.lower(), scheduler), PREDICTIONS[said]


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
