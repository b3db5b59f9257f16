"""Statistics of the mini-batch gradients of one epoch (§B5), taken where the optimiser takes them: at its step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from flowplane.recorder.probe import Layer
from flowplane.recorder.processes import local, summed

__all__ = ["GradientStatistics"]

#: Numbers of gradients that are handled at once: a copy of all would be as large as the model.
PORTION = 1 << 21


class GradientStatistics:
    """Streaming mean and covariance trace of each layer's gradient, one update per step of the optimiser.

    A gradient is what the optimiser steps with: accumulated over micro-batches, averaged over processes, freed of the loss
    scale of mixed precision, clipped where it was clipped; a step that a loss scaler skips does not count. Between `arm` and
    `disarm` a hook sees every optimiser's step; otherwise nothing runs. Takes the memory of the parameters once, in single
    precision, from `arm` until `forget`.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        owned = {layer.name: list(layer.parameters) for layer in layers}
        self.parameters = list({id(part): part for parts in owned.values() for part in parts}.values())
        place = {id(part): k for k, part in enumerate(self.parameters)}
        self.places = [[place[id(part)] for part in owned[layer.name]] for layer in layers]
        self.place = place
        #: Where the small numbers are kept: models may be spread over several devices.
        self.device = self.parameters[0].device if self.parameters else torch.device("cpu")
        self._handle: Any = None
        self.forget()

    def forget(self) -> None:
        """Free what was seen."""
        self.means: list[Tensor | None] = [None] * len(self.parameters)
        self.counts = np.zeros(len(self.parameters), np.int64)
        #: Σ|g − ḡ|² so far, one number per parameter.
        self.squares = torch.zeros(len(self.parameters), dtype=torch.float64, device=self.device)

    @property
    def batches(self) -> int:
        """Steps seen since `arm`."""
        return int(self.counts.max()) if len(self.counts) else 0

    def arm(self) -> None:
        """Start looking at gradients."""
        self.forget()
        if self._handle is None and self.parameters:
            seen = weakref.WeakMethod(self._stepped)

            def stepped(optimizer: torch.optim.Optimizer, arguments: Any, named: Any) -> Any:
                return _seen_at_step(seen, optimizer, arguments, named)

            self._handle = register_optimizer_step_pre_hook(stepped)
            weakref.finalize(self, self._handle.remove)  # a Recorder that was dropped without being closed

    def disarm(self) -> None:
        """Stop looking; what was seen is kept until `forget` or `arm`."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @torch.no_grad()
    def _stepped(self, optimizer: torch.optim.Optimizer) -> None:
        if _is_skipped(optimizer):
            return
        scale = getattr(optimizer, "grad_scale", None)
        updated: dict[int, dict[int, Tensor]] = {}
        for group in optimizer.param_groups:
            for part in group["params"]:
                k = self.place.get(id(part))
                if k is not None and part.grad is not None:
                    gradient = part.grad.to_dense() if part.grad.is_sparse else part.grad
                    updated.setdefault(int(self.counts[k]), {})[k] = local(gradient)
        for seen, gradients in updated.items():
            self._update(seen, gradients, scale)

    def _update(self, seen: int, gradients: dict[int, Tensor], scale: Tensor | None) -> None:
        """Welford's update: with δ = g − ḡ the mean moves by δ/n and the squares grow by |δ|²(n − 1)/n."""
        self.counts[list(gradients)] += 1
        if seen == 0:
            for k, gradient in gradients.items():
                self.means[k] = torch.empty_like(gradient, dtype=torch.float32)
        for places, pieces, means in self._portions(gradients):
            found = [piece.float() if scale is None else piece.float() / scale.to(piece.device) for piece in pieces]
            if seen == 0:
                torch._foreach_copy_(means, found)
                continue
            deltas = torch._foreach_sub(found, means)
            norms = torch.stack([norm.to(self.device) for norm in torch._foreach_norm(deltas)]).double()
            grown = norms.square() * (seen / (seen + 1))
            self.squares.index_add_(0, torch.tensor(places, device=self.device), grown)
            torch._foreach_add_(means, deltas, alpha=1.0 / (seen + 1))

    def _portions(self, gradients: dict[int, Tensor]) -> Iterator[tuple[list[int], list[Tensor], list[Tensor]]]:
        """Gradients and their means, in portions of at most `PORTION` numbers: large ones in pieces, small ones together."""
        portion: tuple[list[int], list[Tensor], list[Tensor]] = ([], [], [])
        size = 0
        for k, gradient in gradients.items():
            mean = self.means[k]
            assert mean is not None
            pieces: Iterable[tuple[Tensor, Tensor]] = [(gradient, mean)]
            if gradient.numel() > PORTION:
                axis, rows = _cut(gradient)
                pieces = zip(gradient.split(rows, axis), mean.split(rows, axis), strict=True)
            for piece, below in pieces:
                if size + piece.numel() > PORTION and size:
                    yield portion
                    portion, size = ([], [], []), 0
                for whole, part in zip(portion, (k, piece, below), strict=True):
                    whole.append(part)  # type: ignore[attr-defined]
                size += piece.numel()
        if size:
            yield portion

    @torch.no_grad()
    def result(self) -> Float[np.ndarray, "layer 3"]:
        """‖E g‖, √(tr Cov g) (unbiased; NaN below two batches) and ‖w‖ of each layer; NaN for layers without parameters.

        Where parameters are split between processes, each adds its part: all have to ask.
        """
        found = np.full((len(self.places), 3), np.nan)
        if not self.parameters:
            return found
        means = self._squares(self.means)
        weights = self._squares([local(part.detach()) for part in self.parameters])
        totals = summed(self.parameters, torch.stack([means, self.squares, weights], 1)).tolist()
        for row, places in enumerate(self.places):
            if not places:
                continue
            found[row, 2] = np.sqrt(sum(totals[k][2] for k in places))
            met = [k for k in places if self.counts[k] > 0]
            if met:
                found[row, 0] = np.sqrt(sum(totals[k][0] for k in met))
            if met and min(self.counts[k] for k in met) > 1:
                found[row, 1] = np.sqrt(sum(totals[k][1] / (self.counts[k] - 1) for k in met))
        return found

    def _squares(self, values: Sequence[Tensor | None]) -> Float[Tensor, " parameter"]:
        """|v|² of each; in pieces, as single precision loses one per cent over a hundred million numbers."""
        totals = torch.zeros(len(values), dtype=torch.float64, device=self.device)
        pieces: dict[torch.dtype, list[tuple[int, Tensor]]] = {}
        for k, value in enumerate(values):
            if value is not None:
                cut = value.split(_cut(value)[1], _cut(value)[0]) if value.numel() > PORTION else (value,)
                dtype = torch.promote_types(value.dtype, torch.float32)
                pieces.setdefault(dtype, []).extend((k, piece) for piece in cut)
        for dtype, found in pieces.items():
            places, parts = zip(*found, strict=True)
            norms = torch.stack([norm.to(self.device) for norm in torch._foreach_norm(parts, 2, dtype)]).double()
            totals.index_add_(0, torch.tensor(places, device=self.device), norms.square())
        return totals


def _cut(values: Tensor) -> tuple[int, int]:
    """Along which axis a large tensor is cut, and how many rows a piece has: the outermost axis in memory that suffices."""
    each = [values.numel() // size for size in values.shape]
    axis = max(range(values.ndim), key=lambda axis: (each[axis] <= PORTION, values.stride(axis)))
    return axis, max(1, PORTION // each[axis])


def _is_skipped(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a fused optimiser will skip the step, because a loss scaler found infinite gradients."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def _seen_at_step(seen: Callable[[], Any], optimizer: torch.optim.Optimizer, arguments: Any, named: Any) -> Any:
    """Look at the gradients that a step is taken with: those already computed, or those that its closure computes first."""
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
        method = None if evaluated else seen()  # LBFGS calls it several times; its step starts from the first call
        evaluated = True
        if method is not None:
            method(optimizer)
        return loss

    if len(arguments) < 2:
        return arguments, {**named, "closure": watched}
    return (arguments[0], watched, *arguments[2:]), named
