"""Velocities by training: flow matching, and the straightening of a flow (§E1, §E2)."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.arrays import as_numbers
from flowplane.core.points import check_count
from flowplane.core.streams import STARTS, generator
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density, Empirical
from flowplane.transport.learned.coupling import Coupling, coupled
from flowplane.transport.learned.fitting import JUDGES, Plan, fit, own_network
from flowplane.transport.learned.networks import as_sizes
from flowplane.transport.learned.velocity import LearnedVelocity
from flowplane.transport.learned.velocity_network import VelocityNetwork
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.models.model_flow import ModelFlow

__all__ = ["rectify", "train_velocity"]


def train_velocity(
    network: Any,
    source: Any,
    target: Any,
    *,
    coupling: str = "independent",
    shape: Any = None,
    activation: str = "gelu",
    steps: int = 5000,
    batch_size: int = 256,
    learning_rate: float = 1e-2,
    patience: int | None = None,
    validation: float = 0.1,
    seed: Any = 0,
    device: Any = "auto",
) -> LearnedVelocity:
    """A flow from one density to another whose velocity a network learns: flow matching (§E1).

    The network v minimises E|v(x_s, s) − (x_1 − x_0)|², x_s = (1 − s)x_0 + s x_1 and s uniform on [0, 1], over pairs of a
    start and an end; the best velocity is E[x_1 − x_0 | x_s], and its flow carries the source to the target over s from 0 to
    1 (Lipman et al., ICLR 2023, arXiv 2210.02747; Liu et al., ICLR 2023, arXiv 2209.03003). Trained as in `train_denoiser`.

    Arguments:
        network: widths of hidden layers, such as (64, 64, 64): a `VelocityNetwork`. Or any torch module (x, s) ↦ v from
            points (n, *shape) and times (n,) to (n, *shape), in its own floating dtype; it is copied, not changed. Or a
            trained flow, from which training goes on.
        source: x_0: a density, or points (n, *shape).
        target: x_1, likewise; not necessarily as many as of the source.
        coupling: which start goes with which end. "independent": any with any. "optimal": the best plan between the starts
            and ends of each batch (Pooladian et al., ICML 2023, arXiv 2304.14772; Tong et al., TMLR 2024, arXiv 2302.00482):
            paths are straighter and shorter the larger the batch. "paired": row by row, of two arrays.
        shape: of a point as the network sees it, such as (1, 8, 8); None is that of arrays, the target's first, or (d,).
        batch_size: pairs per step; the time of "optimal" grows with its cube.
        activation, steps, learning_rate, patience, validation, seed, device: as in `train_denoiser`.

    Returns:
        The flow, of points (…, d) or (…, *shape). Its `history` holds the losses, and as `pair_cost` E|x_1 − x_0|² of
        the held-out pairs, in squared units of x. Arrays as a source make a flow of bare atoms, whose log p is not known.

    Raises:
        InputError: an argument out of range, points of different sizes, pairs of densities, a module that does not answer in
            the shape of its input, NaN, a loss that grows beyond all bounds.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.transport.train_velocity((), fp.Normal(0.0, 1.0), fp.Normal(3.0, 4.0), steps=200)
        >>> flow([[1.0]]).round(0)  # 3 + 2x
        array([[5.]])
    """
    plan = Plan(steps, batch_size, learning_rate, patience, validation, seed, device)
    form = _shape(shape, source, target)
    first, last = _rows("source", source, form), _rows("target", target, form)
    pairs = coupled(first, last, coupling, plan)
    begins = first if isinstance(first, Density) else Empirical(first)
    return _fit_velocity(network, pairs, form, plan, activation, begins)


def rectify(
    flow: TransportMap,
    network: Any = None,
    *,
    samples: int = 20_000,
    activation: str = "gelu",
    steps: int = 5000,
    batch_size: int = 256,
    learning_rate: float = 1e-2,
    patience: int | None = None,
    validation: float = 0.1,
    seed: Any = 0,
    device: Any = "auto",
) -> LearnedVelocity:
    """A straighter flow with the same ends: a velocity trained on where a flow takes points (Liu et al., ICLR 2023, arXiv
    2209.03003).

    Starts are drawn from the flow's source and follow the flow to its end; these pairs couple the two densities, and their
    flow bends less, and takes no more energy than E|x_1 − x_0|² of the pairs (§E2). Trained as in `train_velocity`.

    Arguments:
        flow: any map that knows its source: of `train_velocity`, a denoising flow, …
        network: as in `train_velocity`; None goes on from the network of a flow that was trained.
        samples: pairs.
        activation, steps, batch_size, learning_rate, patience, validation, seed, device: as in `train_velocity`.

    Returns:
        The new flow, over s from 0 to 1.

    Raises:
        InputError: a flow that does not know its source, no network, an argument out of range.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.375, float("inf"))
        >>> straight = rectify(flow, (), samples=1000, steps=200)
        >>> straight([[1.0]]).round(1)  # √(1 − 2·0.375)
        array([[0.5]])
    """
    plan = Plan(steps, batch_size, learning_rate, patience, validation, seed, device)
    if not isinstance(flow, TransportMap):
        raise InputError("flow", Text(type(flow).__name__), "a flow, such as train_velocity makes")
    if network is None and not isinstance(flow, LearnedVelocity):
        raise InputError("network", None, "widths of hidden layers, or a module: the flow has no network to go on from")
    source = flow.known_source()
    count = check_count("samples", samples, 2)
    starts = source.draw(count, generator(plan.seed, STARTS, 1)).to(flow.device, flow.dtype)
    pairs = coupled(starts, flow.forward(starts), "paired", plan)
    shape = flow.shape if isinstance(flow, ModelFlow) else (flow.dimension,)
    return _fit_velocity(flow if network is None else network, pairs, shape, plan, activation, source)


def _fit_velocity(
    network: Any, pairs: Coupling, shape: tuple[int, ...], plan: Plan, activation: str, source: Density
) -> LearnedVelocity:
    learner = _learner(network, pairs, shape, activation, plan).to(plan.device)
    dtype = LearnedVelocity(learner, shape=shape).precision

    def loss_of(
        start: Float[Tensor, "pair feature"], end: Float[Tensor, "pair feature"], s: Float[Tensor, " pair"]
    ) -> Tensor:
        move = end - start
        place = (start + s.unsqueeze(1) * move).to(dtype).reshape(-1, *shape)
        return (learner(place, s.to(dtype)).reshape(move.shape).float() - move).square().sum(1).mean()

    start, end = pairs.held_out
    cost = float((end - start).square().sum(1).mean())
    fixed = pairs.fixed()
    history = fit(
        learner,
        lambda: loss_of(*(batch := pairs.batch()), pairs.uniform(len(batch[0]))),
        lambda: loss_of(start, end, fixed),
        plan,
        max(cost, 1e-30),
        "training a velocity",
    )
    history.attrs["pair_cost"] = cost
    if isinstance(learner, VelocityNetwork):
        learner.double()
    made = LearnedVelocity(learner.eval(), shape=shape, source=source)
    made.history = history
    return made


def _learner(network: Any, pairs: Coupling, shape: tuple[int, ...], activation: str, plan: Plan) -> nn.Module:
    """A module of its own, which knows the size of the data."""
    learner = own_network(
        network,
        LearnedVelocity,
        lambda hidden: VelocityNetwork(pairs.dimension, hidden=hidden, activation=activation, seed=plan.seed),
    )
    LearnedVelocity(learner, shape=shape)
    if isinstance(learner, VelocityNetwork):
        learner.float()
        if not learner.standardised:
            batches = [pairs.batch() for _ in range(math.ceil(JUDGES / plan.batch_size))]
            learner.standardise(*(torch.cat(part) for part in zip(*batches, strict=True)))
    return learner.train()


def _shape(given: Any, source: Any, target: Any) -> tuple[int, ...]:
    """What the network sees of a point."""
    if given is not None:
        return as_sizes("shape", given, "the shape of a point, such as (1, 8, 8)")
    for name, points in (("target", target), ("source", source)):
        if not isinstance(points, Density):
            return tuple(_array(name, points).shape[1:])
    return (target.dimension,)


def _rows(name: str, given: Any, shape: tuple[int, ...]) -> Any:
    """A density as it is; points as rows, whatever their shape."""
    size = math.prod(shape)
    if isinstance(given, Density):
        if given.dimension != size:
            raise InputError(name, given, f"a density in {size} dimensions, or points of shape {_of_all(shape)}")
        return given
    points = _array(name, given)
    if math.prod(points.shape[1:]) != size:
        found = Text(f"shape {tuple(points.shape)}")
        raise InputError(name, found, f"points of shape {_of_all(shape)}, or a density in {size} dimensions")
    return points.reshape(len(points), size)


def _array(name: str, given: Any) -> Any:
    """Points as the array or tensor that they are."""
    points = given if isinstance(given, Tensor) else as_numbers(name, given)
    if points.ndim < 2:
        hint = " (in one dimension: x[:, None])" if points.ndim == 1 else ""
        raise InputError(name, Text(f"shape {tuple(points.shape)}"), f"points of shape (n, d), or a density{hint}")
    return points


def _of_all(shape: tuple[int, ...]) -> str:
    return f"(n, {', '.join(map(str, shape))})"
