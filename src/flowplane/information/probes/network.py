"""A small network as a probe: one hidden layer, all folds of all snapshots trained together (§D2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.streams import UNITS, torch_generator
from flowplane.information.probes.calibration import calibrated, log_prior, temperature
from flowplane.information.probes.components import SCALE
from flowplane.information.probes.folds import FOLDS, Folds

__all__ = ["network", "network_mean"]

#: Units of the hidden layer; the most steps, and after how many the network is looked at.
HIDDEN, STEPS, EVERY = 64, 200, 10
RATE, DECAY = 1e-2, 1e-2
#: Total variance of the rows that it sees.
VARIANCE = 16.0
#: Values (network, row, unit) that are worked on at once.
BLOCK = 1 << 23


def network(
    rows: Float[Tensor, "batch row component"], classes: Int[Tensor, " row"], folds: Folds
) -> Float[Tensor, "batch row class"]:
    """ln q(y|t) of a network with one hidden layer; how long it is trained, and its temperature, are chosen on a quarter of
    each training set."""
    step = max(1, BLOCK // (rows.shape[1] * FOLDS * HIDDEN))
    return torch.cat([_network(part, classes, folds) for part in rows.split(step)])


def _network(rows: Tensor, classes: Tensor, folds: Folds) -> Tensor:
    count = int(classes.max()) + 1

    def loss(outputs: Tensor, taken: Tensor) -> Tensor:
        own = classes.reshape(1, 1, -1, 1).expand(*outputs.shape[:3], 1)
        return -(torch.log_softmax(outputs, 3).gather(3, own)[..., 0] * taken).sum()

    least = torch.full((len(rows), FOLDS), torch.inf, dtype=torch.float32, device=rows.device)
    length, beta = torch.zeros_like(least), torch.ones_like(least)
    for step, outputs in _trained(rows, folds.search, count, loss):
        for k, fold in enumerate(folds):
            found, cost = temperature(
                outputs[:, k, fold.choice], log_prior(classes[fold.search], count), classes[fold.choice]
            )
            better = cost < least[:, k]
            for kept, value in ((least, cost), (beta, found), (length, torch.full_like(cost, step))):
                kept[:, k] = torch.where(better, value, kept[:, k])
    answers = rows.new_empty((*rows.shape[:2], count), dtype=torch.float64)
    for step, outputs in _trained(rows, folds.training, count, loss, int(length.max())):
        for k, fold in enumerate(folds):
            over = length[:, k] == step
            if bool(over.any()):
                prior = log_prior(classes[fold.training], count)
                there = over.nonzero()[:, 0]
                answers[there[:, None], fold.held] = calibrated(outputs[there, k][:, fold.held], prior, beta[there, k])
    return answers


def network_mean(
    rows: Float[Tensor, "batch row component"], numbers: Float[Tensor, " row"], fitted: Tensor, asked: Tensor
) -> Float[Tensor, "option batch asked"]:
    """A network's predictions of a number, after each tenth step."""
    taken = torch.zeros((rows.shape[1], 1), dtype=torch.bool, device=rows.device)
    taken[fitted] = True

    def loss(outputs: Tensor, taken: Tensor) -> Tensor:
        return 0.5 * ((outputs[..., 0] - numbers.float()).square() * taken).sum()

    return torch.stack([outputs[:, 0, asked, 0].double() for _, outputs in _trained(rows, taken, 1, loss)])


def _trained(
    rows: Tensor, taken: Tensor, count: int, loss: Callable[[Tensor, Tensor], Tensor], steps: int = STEPS
) -> Iterator[tuple[int, Float[Tensor, "batch problem row output"]]]:
    """Steps taken, and outputs for all rows, as networks learn the rows of their problem."""
    made = torch_generator(0, UNITS)
    with torch.inference_mode(False):
        x = (rows * math.sqrt(VARIANCE / SCALE)).float()[:, None].clone()
        weight = (taken.to(x) / taken.sum(0)).T[None]
        parts = []
        for wide, narrow in ((x.shape[3], HIDDEN), (HIDDEN, count)):
            drawn = torch.randn((wide, narrow), generator=made, dtype=torch.float32, device="cpu") / math.sqrt(wide)
            own = (drawn.to(x.device), x.new_zeros(1, narrow))
            parts += [part.expand(len(x), taken.shape[1], -1, -1).clone().requires_grad_() for part in own]
        optimizer = torch.optim.AdamW(parts, lr=RATE, weight_decay=DECAY, foreach=False)

    def outputs() -> Tensor:
        return torch.nn.functional.gelu(x @ parts[0] + parts[1]) @ parts[2] + parts[3]

    for step in range(1, steps + 1):
        with torch.inference_mode(False), torch.enable_grad():
            optimizer.zero_grad(set_to_none=True)
            loss(outputs(), weight).backward()
            optimizer.step()
        if step % EVERY == 0:
            with torch.no_grad():
                found = outputs()
            yield step, found
