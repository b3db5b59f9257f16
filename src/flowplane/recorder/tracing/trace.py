"""What a model does with its samples: found from the coordinates of one run, checked by further runs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowplane.recorder.hashing import HASHED
from flowplane.recorder.tracing.agreement import Observed, agree, agree_whole, hashed_rows
from flowplane.recorder.tracing.coordinates import Order, order_of, unit_axes
from flowplane.recorder.tracing.graph import Graph
from flowplane.recorder.tracing.states import chained_blocks, default_calls, states_of
from flowplane.recorder.tracing.watching import Call, Key, Watch

__all__ = ["Judged", "Trace", "traced"]

#: Samples of a run, and of the run with half of them: the first pair with which the model works. A large one takes few.
SIZES, LARGE_SIZES = ((8, 4), (16, 8), (6, 3), (2, 1)), ((4, 3), (8, 4), (2, 1))
#: Parameters above which a model is large.
LARGE = 50_000_000
#: Seeds of both streams: their first uniform numbers lie near the ends of [0, 1], so that one coin per batch differs.
STREAM, OTHER_STREAM = 3, 2469

#: Runs the model on samples of these numbers; the tensors with which it is called, and the call.
Run = Callable[[Tensor], tuple[list[Tensor], Callable[[], Any]]]


@dataclass
class Judged:
    """A call, and what is to be done with it.

    Arguments:
        bare: its name, without the number of the call.
        order: how its numbers become rows of samples; None where the call is left out.
        why: it is left out, in words; None where it is not.
        noisy: whether the same inputs give other numbers: "" (the same), "draws" (another stream changes them) or "state".
        rests_on: "coordinates" or "runs".
        units: axes of the rows that are units; None where they are not known.
        varies: whether the shape of a sample depends on the other samples.
        default: whether it is a layer where none are named.
        missing: whether it would be one if its rows were samples.
        apart: whether it returned numbers of its own that could have been rows of samples.
    """

    call: Call
    bare: str
    name: str
    order: Order | None
    why: str | None = None
    noisy: str = ""
    rests_on: str = "coordinates"
    units: tuple[int, ...] | None = None
    varies: bool = False
    default: bool = False
    missing: bool = False
    apart: bool = True

    @property
    def carried(self) -> bool:
        """Whether each batch needs coordinates of its own."""
        return self.order is not None and self.order.places is not None


@dataclass
class Trace:
    """All calls of a model in the order of their ends, judged; the last is the model's own.

    Arguments:
        samples: of the first run.
        states: nodes of the graph that every path from an input to the output passes.
        lost: modules that called too many functions to carry coordinates through all of them.
        tested: whether runs of half the samples tested the coordinates: not where the model takes one number only.
    """

    calls: list[Judged]
    samples: int
    graph: Graph
    states: set[int]
    tested: bool
    lost: tuple[str, ...] = ()


def traced(model: nn.Module, run: Run, count: int, whole: bool = False, size: int | None = None) -> Trace:
    """Looks at a model in several runs: of the same samples with the same and with another random stream, of the samples
    in another order, and of half of them.

    Arguments:
        run: of the model on some of the samples.
        count: samples that there are.
        size: of the batches that the model takes, if it is known.
        whole: they cannot be split: one call sees all of them, and its first axis of that length are the samples.

    Raises:
        Exception: whatever the model raises with each number of samples.
    """
    if whole:
        return _Tracing(model, run, count, count, whole=True).trace()
    large = sum(part.numel() for part in model.parameters() if not _lazy(part)) > LARGE
    sizes = [(n, half) for n, half in (LARGE_SIZES if large else SIZES) if n <= count] or [(count, 1)]
    failed: Exception | None = None
    for n, half in sizes:
        try:
            return _Tracing(model, run, n, half).trace()
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            failed = failed or error
    return _alone(model, run, min(size or sizes[0][0], count), failed)


def _alone(model: nn.Module, run: Run, n: int, failed: Exception | None) -> Trace:
    """Coordinates alone, for a model that works with one number of samples only."""
    assert failed is not None
    try:
        return _Tracing(model, run, n, n).trace()
    except Exception:
        raise failed from None


def _lazy(part: Tensor) -> bool:
    return isinstance(part, nn.parameter.UninitializedParameter)


class _Tracing:
    def __init__(self, model: nn.Module, run: Run, n: int, half: int, whole: bool = False) -> None:
        self.model, self.run, self.n, self.half, self.whole = model, run, n, half, whole
        step = next(step for step in (3, 5, 7, 11, 1) if np.gcd(step, n) == 1)
        #: Another order of the samples.
        self.order = (step * torch.arange(n, device="cpu") + 2) % n
        self.orders: dict[Key, Order] = {}

    def trace(self) -> Trace:
        every = torch.arange(self.n, device="cpu")
        _seeded(STREAM)
        self.run(every)[1]()
        self.first = first = self._watched(every, STREAM, carried=True)
        apart = any(order.places is not None for order in self.orders.values())
        self.same = self._watched(every, STREAM)
        self.other = self._watched(every, OTHER_STREAM)
        self.turned = self.same if self.half == self.n else self._watched(self.order, STREAM, carried=apart)
        self.halved = self._watched(every[: self.half], STREAM, carried=apart) if self.half < self.n else None
        self.rest = self._watched(every[-self.half :], STREAM, carried=apart) if self.half < self.n else None
        judged = [self._judged(key, call) for key, call in first.calls.items()]
        _name(judged)
        calls = [each.call for each in judged]
        graph = first.watch.graph
        # what the model returns need not be one tensor
        last = max((each.call.node for each in judged if each.why is None), default=-1)
        outputs = [node for node in first.watch.outputs if node >= 0] or [last]
        states = chained_blocks(graph, calls).union(*(states_of(graph, output) for output in outputs if output >= 0))
        usable = [each.call for each in judged if each.why is None and not each.call.handed_on]
        default = {id(call) for call in default_calls(calls, states, usable)}
        # those that would be layers if their rows were samples; one tensor is one layer
        able = [each.call for each in judged if each.apart and not each.call.handed_on]
        wanted = {id(call) for call in default_calls(calls, states, able)}
        kept = {call.node for call in calls if id(call) in default}
        for each in judged:
            each.default = id(each.call) in default
            each.missing = id(each.call) in wanted - default and each.call.node not in kept
        return Trace(
            judged, self.n, graph, states, tested=self.halved is not None or self.whole, lost=tuple(first.watch.lost)
        )

    def _watched(self, samples: Tensor, seed: int, carried: bool = False) -> Observed:
        tensors, call = self.run(samples)
        rows: dict[Key, Tensor] = {}
        along: dict[Key, dict[int, Tensor]] = {}
        largest: dict[Key, float] = {}
        eps: dict[Key, float] = {}
        n = len(samples)
        is_first = carried and not self.orders

        def keep(call: Call, found: Tensor) -> None:
            values = torch.view_as_real(found).flatten(-2) if found.is_complex() else found
            if values.layout != torch.strided:
                values = values.to_dense()
            largest[call.key] = float(values.detach().abs().amax()) if values.numel() else 0.0
            # of numbers that are hashed, many are added
            eps[call.key] = torch.finfo(values.dtype).eps * max(1.0, values.numel() / max(n, 1) / HASHED) ** 0.5
            order: Order | str | None = None
            if carried and call.own is not None and not call.own.mixed:
                order = order_of(call.own, n)
            elif not carried:
                order = self.orders.get(call.key)
            if isinstance(order, Order) and not (n == 1 and not order.axes):
                if is_first:
                    self.orders[call.key] = order
                rows[call.key] = hashed_rows(order.rows(values))
                return
            along[call.key] = {
                axis: hashed_rows(values.movedim(axis, 0)) for axis, length in enumerate(values.shape) if length == n
            } | {-1: hashed_rows(values.reshape(1, -1))}

        watch = Watch(self.model, tensors, carried, keep)
        _seeded(seed)
        watch.run(call)
        return Observed({each.key: each for each in watch.calls}, rows, along, largest, eps, watch)

    def _judged(self, key: Key, call: Call) -> Judged:
        judged = Judged(call, "", "", None)
        runs = [run for run in (self.same, self.other, self.turned, self.halved, self.rest) if run is not None]
        if call.shape is None:
            judged.why = "returns no tensor"
        elif not call.floating:
            judged.why = "not floating-point numbers"
        elif call.in_vmap:
            judged.why = "called inside vmap"
        elif call.absorbed:
            judged.why = f"the result of {call.parent.key[0] or 'the model'}" if call.parent is not None else None
        elif call.own is not None and not call.own.mixed and order_of(call.own, self.n) == "rows are of one sample":
            judged.why = "rows are of one sample"
        elif any(key not in run.calls or run.calls[key].shape is None for run in runs):
            judged.why = "called in some passes only"
        if judged.why:
            judged.apart = False
            return judged
        reading: Order | str | None = "depends on no sample"
        if call.own is not None:
            reading = None if call.own.mixed else order_of(call.own, self.n)
        if isinstance(reading, Order):
            judged.varies = self.halved is not None and self._varies(call, reading, self.halved.calls[key])
            self._by_coordinates(judged, reading)
        else:
            self._by_runs(judged, reading)
        if judged.order is not None and call.own is not None:
            judged.units = unit_axes(call.own, judged.order)
        return judged

    def _by_coordinates(self, judged: Judged, order: Order) -> None:
        key = judged.call.key
        rows = self.first.rows[key]
        if self.whole and order.places is not None:
            judged.why = "rows are a part of the samples"
            return

        def agrees(run: Observed, wanted: Tensor, exactly: bool = False) -> bool | None:
            return agree(run.rows.get(key), wanted, rows, self.first, key, exactly)

        # where a repetition gives the same bits, what another stream changes by more than rounding is noise
        exact = key in self.same.rows and torch.equal(torch.nan_to_num(self.same.rows[key]), torch.nan_to_num(rows))
        judged.noisy = self._noise(agrees(self.same, rows), agrees(self.other, rows, exactly=exact))
        judged.order = order
        if judged.noisy or self.halved is None or self.rest is None:
            return
        follows = agrees(self.turned, rows[self.order])
        parts = None
        if not judged.varies:
            both = [agrees(self.halved, rows[: self.half]), agrees(self.rest, rows[-self.half :])]
            parts = False if False in both else None if None in both else True
        if follows is False or key not in self.turned.rows:
            judged.order, judged.why = None, "its rows do not follow the samples"
        elif parts is False or key not in self.halved.rows:
            judged.order, judged.why = None, "mixes samples: its numbers change without the rest of the batch"

    def _by_runs(self, judged: Judged, reading: Order | str | None) -> None:
        """Where coordinates say nothing, or that samples mix or are incomplete, an axis that follows them overrules it."""
        judged.rests_on, key = "runs", judged.call.key
        mine = self.first.along.get(key, {})
        whole = mine.get(-1)

        def agrees(run: Observed, axis: int, wanted: Tensor) -> bool | None:
            return agree(run.along.get(key, {}).get(axis), wanted, mine[axis], self.first, key)

        if whole is None:
            judged.why = reading if isinstance(reading, str) else "mixes samples"
            return
        judged.noisy = self._noise(agree_whole(self.same, key, whole), agree_whole(self.other, key, whole))
        if self.whole and judged.call.shape is not None and self.n in judged.call.shape:
            judged.order = Order((judged.call.shape.index(self.n),))
            return
        if reading == "depends on no sample" and judged.noisy:
            judged.why = "noisy, and where its numbers come from is lost: no run can find its samples"
            return
        if reading == "depends on no sample" and agree_whole(self.turned, key, whole) is not False:
            judged.why = reading
            return
        if self.halved is not None and self.rest is not None and not judged.noisy:
            for axis in sorted(axis for axis in mine if axis >= 0):
                length = judged.call.shape[axis] if judged.call.shape is not None else 0
                there = self.halved.calls[key].shape or ()
                if len(there) <= axis or length * self.half != there[axis] * self.n:
                    continue
                found = agrees(self.turned, axis, mine[axis][self.order]) and agrees(
                    self.halved, axis, mine[axis][: self.half]
                )
                if found and agrees(self.rest, axis, mine[axis][-self.half :]):
                    judged.order = Order((axis,))
                    return
            if reading == "depends on no sample":  # it does: another order of the samples gives other numbers
                reading = None
        judged.why = reading if isinstance(reading, str) else "mixes samples"

    def _varies(self, call: Call, order: Order, there: Call) -> bool:
        """Whether a sample's shape depends on the rest of the batch."""
        own = order_of(there.own, self.half) if there.own is not None and not there.own.mixed else order
        axes = own.axes if isinstance(own, Order) else order.axes
        shapes = [
            tuple(length for axis, length in enumerate(shape or ()) if axis not in gone)
            for shape, gone in ((call.shape, order.axes), (there.shape, axes))
        ]
        return shapes[0] != shapes[1]

    @staticmethod
    def _noise(same: bool | None, other: bool | None) -> str:
        return "state" if same is False else "draws" if other is False else ""


def _seeded(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def _name(judged: Sequence[Judged]) -> None:
    """Names as they are shown: with the number of the call where there are several. What the model itself returns is its
    output."""
    own = "output" if all(each.call.key[0] != "output" for each in judged) else "output of the model"
    for each in judged:
        each.bare = ".".join(part for part in (each.call.key[0], each.call.function) if part) or own
    times = Counter(each.bare for each in judged if not each.call.absorbed)
    seen: Counter[str] = Counter()
    for each in judged:
        seen[each.bare] += not each.call.absorbed
        each.name = each.bare if times[each.bare] <= 1 else f"{each.bare}#{max(1, seen[each.bare])}"
