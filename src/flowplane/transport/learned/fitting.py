"""How networks are fitted: Adam, a rate that warms up and decays, fresh noise, the best weights on what is held out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.devices import chosen_device
from flowplane.core.points import as_points, check_count, check_positive, check_seed
from flowplane.core.progress import progress_bar
from flowplane.core.results import stamp
from flowplane.core.streams import HELD_OUT, TRAINING, generator, torch_generator
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.learned.networks import as_sizes

__all__ = ["POOL", "Data", "Plan", "fit", "own_network"]

#: Share of the steps in which the rate rises, and the part of it that is left at the end.
WARM_UP, LEFT = 0.02, 0.01
#: Distance of the data's mean from the origin over their spread, beyond which float32 loses them.
FARTHEST = 1e5
#: How often the held-out loss is taken.
CHECKS = 60
#: Points that are drawn from a density at a time, and draws that the held-out loss is a mean over, at least.
POOL, JUDGES = 1 << 16, 1 << 13


@dataclass(frozen=True)
class Plan:
    """How a network is trained: the arguments that all trainings have, checked.

    Raises:
        InputError: one that is out of range, a device that is not there.
    """

    steps: int
    batch_size: int
    learning_rate: float
    #: None is half the steps.
    patience: Any
    validation: float
    seed: Any
    device: Any

    def __post_init__(self) -> None:
        share = self.validation
        if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 <= share < 1:
            raise InputError("validation", share, "a share of the points in [0, 1)")
        steps = check_count("steps", self.steps)
        known = {
            "steps": steps,
            "batch_size": check_count("batch_size", self.batch_size),
            "learning_rate": check_positive("learning_rate", self.learning_rate),
            "patience": max(1, steps // 2) if self.patience is None else check_count("patience", self.patience),
            "validation": float(share),
            "seed": check_seed(self.seed),
            "device": chosen_device(self.device),
        }
        for name, value in known.items():
            object.__setattr__(self, name, value)

    def rate(self, step: int) -> float:
        """The learning rate at a step, counted from 0: a linear rise, then half a cosine."""
        warm = max(1, round(WARM_UP * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        part = (step - warm) / max(1, self.steps - warm)
        return self.learning_rate * (LEFT + (1 - LEFT) * 0.5 * (1 + math.cos(math.pi * part)))

    @property
    def interval(self) -> int:
        """Steps from one held-out loss to the next."""
        return max(1, self.steps // CHECKS)


class Data:
    """Clean points to train on, batch by batch, and others to judge by.

    Points are drawn with replacement, so that a batch is whole however few there are; a density gives points of its own to
    every step. Errors call them by `name`.
    """

    def __init__(self, given: Any, plan: Plan, name: str = "data") -> None:
        self.plan, self.device = plan, plan.device
        self.density = given if isinstance(given, Density) else None
        self._generator = torch_generator(plan.seed, TRAINING, device=self.device)
        if self.density is not None:
            self._drawn, self._place = 0, POOL
            self.dimension = self.density.dimension
            self.training = self._fresh()
            self.held_out = self.density.draw(JUDGES, generator(plan.seed, HELD_OUT)).to(self.device, torch.float32)
            first = self.training.double()
        else:
            rows, form = as_points(name, given, None, device=self.device)
            if len(form.batch) != 1 or len(rows) < 2:
                found = Text(f"shape {(*form.batch, rows.shape[1])}")
                raise InputError(name, found, "points of shape (n, d), two or more, or a density")
            self.dimension = rows.shape[1]
            first, held = self._split(rows)
            self.training = first.float()
            self.held_out = held.float().repeat(math.ceil(JUDGES / len(held)), 1)
        self.mean, self.variance = first.mean(0), first.var(0, correction=0)
        away = float(self.mean.norm() / self.variance.sum().sqrt().clamp_min(1e-300))
        if away > FARTHEST:
            found = Text(f"points {away:.2g} times as far from the origin as they are spread")
            raise InputError(name, found, "points with their mean subtracted: training is in float32")

    def batch(self) -> Float[Tensor, "sample feature"]:
        """The points of the next step."""
        size = self.plan.batch_size
        if self.density is None:
            chosen = torch.randint(len(self.training), (size,), generator=self._generator, device=self.device)
            return self.training[chosen]
        if self._place + size > len(self.training):
            self.training, self._place = self._fresh(), 0
        self._place += size
        return self.training[self._place - size : self._place]

    def normal(self, rows: int) -> Float[Tensor, "sample feature"]:
        """Standard normal numbers, fresh."""
        return torch.randn(rows, self.dimension, generator=self._generator, device=self.device, dtype=torch.float32)

    def uniform(self, rows: int) -> Float[Tensor, " sample"]:
        """Uniform numbers, fresh."""
        return torch.rand(rows, generator=self._generator, device=self.device, dtype=torch.float32)

    def fixed(self) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """Standard normal and uniform numbers for the held-out points, always the same."""
        rng = generator(self.plan.seed, HELD_OUT, 1)
        shape = (len(self.held_out), self.dimension)
        normal, uniform = rng.standard_normal(shape, np.float32), rng.random(len(self.held_out), np.float32)
        return torch.from_numpy(normal).to(self.device), torch.from_numpy(uniform).to(self.device)

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        if self.plan.validation == 0:
            return rows, rows
        count = max(1, round(self.plan.validation * len(rows)))
        if count == len(rows):
            raise InputError("validation", self.plan.validation, f"a share that leaves some of the {len(rows)} points")
        order = torch.from_numpy(generator(self.plan.seed, HELD_OUT, 2).permutation(len(rows))).to(rows.device)
        return rows[order[count:]], rows[order[:count]]

    def _fresh(self) -> Tensor:
        assert self.density is not None
        self._drawn += 1
        self._place = 0
        count = max(POOL, self.plan.batch_size)
        return self.density.draw(count, generator(self.plan.seed, TRAINING, self._drawn)).to(self.device, torch.float32)


def own_network(given: Any, wrapper: type[nn.Module], build: Callable[[tuple[int, ...]], nn.Module]) -> nn.Module:
    """A network to train that nothing else shares.

    Arguments:
        given: widths of hidden layers, a module, which is copied, or a `wrapper` with a `network` inside.
        build: the network of some widths.

    Raises:
        InputError: anything else.
    """
    network = given.network if isinstance(given, wrapper) else given
    if isinstance(network, nn.Module):
        return copy.deepcopy(network)
    if callable(network):
        raise InputError("network", Text(getattr(network, "__name__", "a function")), "a torch.nn.Module, or widths")
    return build(as_sizes("network", network))


def fit(
    network: nn.Module,
    loss: Callable[[], Tensor],
    held_out: Callable[[], Tensor],
    plan: Plan,
    unit: float,
    description: str,
    units: str = "squared units of x",
) -> xr.Dataset:
    """Train a network in place, and leave it with the weights that were best on what is held out: the last ones where
    nothing is, as the best would be chosen by chance there.

    Arguments:
        network: in float32 on the plan's device.
        loss: of the next batch.
        held_out: of the points that judge.
        unit: what a loss is divided by for Adam, so that it is of size 1.
        description: what the progress bar says.
        units: of the losses.

    Returns:
        Over `step`: `training_loss` (its mean since the look before), `held_out_loss`, `learning_rate`.

    Raises:
        InputError: nothing to train, a network that fails, or a loss that is no longer finite.
    """
    parameters = [part for part in network.parameters() if part.requires_grad]
    if not parameters:
        raise InputError("network", Text("a module without parameters to train"), "one with some")
    optimizer = torch.optim.Adam(parameters, lr=plan.learning_rate, fused=True)
    rows: list[tuple[int, float, float, float]] = []
    best, best_step, kept = math.inf, 0, _weights(network)
    total = torch.zeros((), device=plan.device, dtype=torch.float32)
    with _own_randomness(plan.seed, plan.device), progress_bar(description, plan.steps) as advance:
        for step in range(1, plan.steps + 1):
            rate = plan.rate(step - 1)
            optimizer.param_groups[0]["lr"] = rate
            try:
                value = loss()
            except Exception as error:  # of a module of the user's
                expected = f"one that can be trained on batches of {plan.batch_size}"
                raise InputError("network", Text(f"{type(network).__name__}: {error}"), expected) from error
            optimizer.zero_grad(set_to_none=True)
            (value / unit).backward()
            optimizer.step()
            total += value.detach()
            if step % plan.interval and step != plan.steps:
                continue
            since = step - (rows[-1][0] if rows else 0)
            rows.append((step, float(total) / since, _judged(network, held_out), rate))
            total.zero_()
            advance(since)
            if not all(map(math.isfinite, rows[-1][1:3])):
                expected = f"a smaller one: the loss was NaN or infinite by step {step}"
                raise InputError("learning_rate", plan.learning_rate, expected)
            if rows[-1][2] < best or plan.validation == 0:
                best, best_step, kept = rows[-1][2], step, _weights(network)
            elif step - best_step >= plan.patience:
                break
    network.load_state_dict(kept)
    return _history(rows, best_step, plan, units)


def _judged(network: nn.Module, held_out: Callable[[], Tensor]) -> float:
    network.eval()
    with torch.no_grad():
        value = float(held_out())
    network.train()
    return value


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: part.detach().clone() for name, part in network.state_dict().items()}


def _history(rows: list[tuple[int, float, float, float]], best_step: int, plan: Plan, units: str) -> xr.Dataset:
    steps, training, held, rates = map(list, zip(*rows, strict=True))
    loss = {"units": units}
    dataset = xr.Dataset(
        {
            "training_loss": ("step", training, loss | {"long_name": "training loss, mean since the point before"}),
            "held_out_loss": ("step", held, loss | {"long_name": "loss on held-out points, at fixed noise"}),
            "learning_rate": ("step", rates, {"units": "1", "long_name": "learning rate"}),
        },
        {"step": ("step", steps, {"units": "1"})},
        {
            "best_step": best_step,
            "held_out_loss": held[steps.index(best_step)],
            "kept": "the last weights" if plan.validation == 0 else "the best weights",
        },
    )
    return stamp(dataset, "training_history", seed=plan.seed)


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """For modules that draw numbers of PyTorch's own (dropout): seeded inside, as before outside."""
    devices = [device] if device.type == "cuda" else []
    own = int(generator(seed, TRAINING, 0).integers(1 << 63))
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(own)
        if devices:
            torch.cuda.manual_seed(own)
        yield
