"""Statistics of the mini-batch gradients of one epoch (§B5), taken where the optimiser takes them: at its step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from flowplane.recorder.probe import Layer

__all__ = ["GradientStatistics"]


class GradientStatistics:
    """Streaming mean and covariance trace of each layer's gradient, one update a step of the optimiser.

    A gradient is what the optimiser steps with: accumulated over micro-batches, averaged over processes, freed of the loss
    scale of mixed precision, clipped where it was clipped. Between `arm` and `disarm` a hook sees every optimiser's step;
    otherwise nothing runs.
    """

    def __init__(self, model: nn.Module, layers: Sequence[Layer]) -> None:
        owned = {layer.name: [] if layer.module is model else list(layer.module.parameters()) for layer in layers}
        self.parameters = list({id(part): part for parts in owned.values() for part in parts}.values())
        place = {id(part): k for k, part in enumerate(self.parameters)}
        self.places = [[place[id(part)] for part in owned[layer.name]] for layer in layers]
        self.place = place
        #: Where the small numbers are kept: models may be spread over several devices.
        self.device = self.parameters[0].device if self.parameters else torch.device("cpu")
        self._handle: Any = None
        self._clear()

    def _clear(self) -> None:
        self.means: list[Tensor | None] = [None] * len(self.parameters)
        self.counts = np.zeros(len(self.parameters), np.int64)
        #: Σ|g − ḡ|² so far, one number a parameter.
        self.squares = torch.zeros(len(self.parameters), dtype=torch.float64, device=self.device)

    @property
    def batches(self) -> int:
        """Steps seen since `arm`."""
        return int(self.counts.max()) if len(self.counts) else 0

    def arm(self) -> None:
        """Begin to look at gradients."""
        self._clear()
        if self._handle is None and self.parameters:
            seen = weakref.WeakMethod(self._stepped)

            def stepped(optimizer: torch.optim.Optimizer, arguments: Any, named: Any) -> Any:
                return _seen_at_step(seen, optimizer, arguments, named)

            self._handle = register_optimizer_step_pre_hook(stepped)
            weakref.finalize(self, self._handle.remove)  # a Recorder that was dropped without being closed

    def disarm(self) -> None:
        """Look no more; what was seen is kept until `arm`."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @torch.no_grad()
    def _stepped(self, optimizer: torch.optim.Optimizer) -> None:
        scale = getattr(optimizer, "grad_scale", None)
        updated: dict[int, tuple[list[int], list[Tensor]]] = {}
        for group in optimizer.param_groups:
            for part in group["params"]:
                k = self.place.get(id(part))
                if k is None or part.grad is None:
                    continue
                gradient = part.grad.to_dense() if part.grad.is_sparse else part.grad
                gradient = gradient.float() if scale is None else gradient.float() / scale
                places, gradients = updated.setdefault(int(self.counts[k]), ([], []))
                places.append(k)
                gradients.append(gradient)
        for seen, (places, gradients) in updated.items():
            self._update(seen, places, gradients)

    def _update(self, seen: int, places: list[int], gradients: list[Tensor]) -> None:
        """Welford's update: with δ = g − ḡ the mean moves by δ/n and the squares grow by |δ|²(n − 1)/n."""
        self.counts[places] += 1
        if seen == 0:
            for k, gradient in zip(places, gradients, strict=True):
                self.means[k] = gradient.clone()
            return
        means = [mean for mean in (self.means[k] for k in places) if mean is not None]
        deltas = torch._foreach_sub(gradients, means)
        norms = torch.stack([norm.to(self.device) for norm in torch._foreach_norm(deltas)]).double()
        self.squares[torch.tensor(places, device=self.device)] += norms.square() * (seen / (seen + 1))
        torch._foreach_add_(means, deltas, alpha=1.0 / (seen + 1))

    @torch.no_grad()
    def result(self) -> Float[np.ndarray, "layer 3"]:
        """‖E g‖, √(tr Cov g) (unbiased; NaN below two batches) and ‖w‖ of each layer; NaN for layers without parameters."""
        found = np.full((len(self.places), 3), np.nan)
        mean_norms = [None if mean is None else float(mean.norm()) for mean in self.means]
        spreads = self.squares.tolist()
        norms = [float(part.detach().float().norm()) for part in self.parameters]
        for row, places in enumerate(self.places):
            if not places:
                continue
            found[row, 2] = np.sqrt(sum(norms[k] ** 2 for k in places))
            met = [k for k in places if self.counts[k] > 0]
            if met:
                found[row, 0] = np.sqrt(sum((mean_norms[k] or 0.0) ** 2 for k in met))
            if met and min(self.counts[k] for k in met) > 1:
                found[row, 1] = np.sqrt(sum(spreads[k] / (self.counts[k] - 1) for k in met))
        return found


def _seen_at_step(seen: Callable[[], Any], optimizer: torch.optim.Optimizer, arguments: Any, named: Any) -> Any:
    """Look at the gradients that a step is taken with: those that are there, or those that its closure makes first."""
    closure = named.get("closure") if len(arguments) < 2 else arguments[1]
    if not callable(closure):
        method = seen()
        if method is not None:
            method(optimizer)
        return None
    evaluated = False

    def watched() -> Any:
        nonlocal evaluated
        loss = closure()
        method = None if evaluated else seen()  # LBFGS asks several times; its step begins where it asks first
        evaluated = True
        if method is not None:
            method(optimizer)
        return loss

    if len(arguments) < 2:
        return arguments, {**named, "closure": watched}
    return (arguments[0], watched, *arguments[2:]), named
