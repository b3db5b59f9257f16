"""Anybody's network, called in its own precision, shape and time, some points at once."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from types import FunctionType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from flowplane.errors import InputError, Text

__all__ = ["MEMORY", "Network", "answer_of", "in_evaluation", "modules_of", "name_of"]

#: Bytes that the activations of one call take at most, by default.
MEMORY = 1 << 28


class Network:
    """model(x, t, **conditions) of rows (n, d): images for the model, and rows again.

    Arguments:
        model: a module, or any function of (x, t): it has the precision, device and mode of the modules that it uses.
        shape: of one point for the model.
        clock: from τ to the time that the model takes; None is τ itself.
        memory: bytes that the model's activations may take, which say how many points it is given at once.
    """

    def __init__(
        self, model: Callable, shape: tuple[int, ...], clock: Callable[[float], Any] | None = None, memory: int = MEMORY
    ) -> None:
        self.model, self.shape, self.clock, self.memory = model, shape, clock, memory
        self.modules = tuple(modules_of(model))
        self._bytes = 0
        if self.device.type == "meta":
            raise InputError(
                "model", Text(f"{name_of(model)} without weights, on the device meta"), "a model with its weights"
            )

    @property
    def dtype(self) -> torch.dtype:
        """The model's own precision."""
        return self._part.dtype

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._part.device

    @property
    def _part(self) -> Tensor:
        blank = torch.zeros((), dtype=torch.float64, device="cpu")
        return next((each for each in _tensors(self.modules) if each.is_floating_point()), blank)

    def __call__(
        self, tau: float, rows: Float[Tensor, "sample feature"], conditions: Mapping[str, Any]
    ) -> Float[Tensor, "sample feature"]:
        """What the model says of rows at one τ, in their precision; differentiable where they are.

        Raises:
            InputError: a model that fails, an answer of another shape, or one that is not finite.
        """
        with in_evaluation(self.modules), torch.set_grad_enabled(rows.requires_grad):
            if not self._bytes:
                with torch.no_grad():
                    self._weigh(tau, rows[:1], conditions)
            parts = [self._asked(tau, part, conditions) for part in rows.split(self.rows_at_once(len(rows)))]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def rows_at_once(self, rows: int) -> int:
        """How many points the model is given at once."""
        return max(1, min(rows, self.memory // self._bytes if self._bytes else rows))

    def time(self, tau: float, rows: int) -> Tensor:
        """The time that the model takes, for each row. Raises InputError for a clock that gives none."""
        value: Any = tau
        if self.clock is not None:
            try:
                value = self.clock(tau)
                value = value.item() if hasattr(value, "item") else value
            except Exception as error:
                raise InputError(
                    "clock", Text(f"{error} at τ = {tau:g}"), "one finite number at every τ of the path"
                ) from error
        if not isinstance(value, Real) or not math.isfinite(value):
            raise InputError("clock", Text(f"{value!r} at τ = {tau:g}"), "one finite number at every τ of the path")
        dtype = torch.int64 if isinstance(value, Integral) else self.dtype
        return torch.full((rows,), float(value), dtype=dtype, device=self.device)

    def _asked(self, tau: float, rows: Tensor, conditions: Mapping[str, Any]) -> Tensor:
        x = rows.to(self.device, self.dtype, copy=True).reshape(-1, *self.shape)
        given = {name: self._for_each(value, len(x)) for name, value in conditions.items()}
        t = self.time(tau, len(x))
        try:
            found = answer_of(self.model(x, t, **given))
        except Exception as error:
            text = Text(f"{name_of(self.model)}: {error}")
            expected = f"one that takes x of shape {tuple(x.shape)} in {_kind(x)} and t = {float(t[0]):g}, in this order"
            raise InputError("model", text, expected) from error
        if not isinstance(found, Tensor) or found.shape != x.shape or found.is_complex():
            told = f"an answer of shape {tuple(found.shape)} in {_kind(found)}" if isinstance(found, Tensor) else ""
            raise InputError("model", Text(told or type(found).__name__), f"an answer of shape {tuple(x.shape)}, that of x")
        answer = found.reshape(len(x), -1).to(rows.device, rows.dtype)
        if not bool(torch.isfinite(answer.detach().sum())):
            bad = Text(f"{int((~torch.isfinite(answer)).sum())} values that are NaN or infinite at τ = {tau:.6g}")
            raise InputError("model", bad, "finite answers along the whole path")
        return answer

    def _for_each(self, value: Any, rows: int) -> Any:
        """A condition of one point, for all of them; what is not a number is passed on as it is."""
        if isinstance(value, bool) or not isinstance(value, Tensor | int | float):
            return value
        one = torch.as_tensor(value, device=self.device)
        return (one.to(self.dtype) if one.is_floating_point() else one).expand(rows, *one.shape)

    def _weigh(self, tau: float, row: Tensor, conditions: Mapping[str, Any]) -> None:
        """Bytes that one point takes at most: all that is computed from it."""
        with _Written() as written:
            self._asked(tau, row, conditions)
        self._bytes = max(1, written.bytes)


class _Written(TorchDispatchMode):
    """Counts the bytes of every tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for each in found if isinstance(found, tuple | list) else (found,):
            if isinstance(each, Tensor):
                self.bytes += each.numel() * each.element_size()
        return found


@contextmanager
def in_evaluation(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, dropout and batch statistics are off, and nothing is cast; then every module is as it was."""
    parts = [part for module in modules for part in module.modules()]
    before = [part.training for part in parts]
    kind = next((each.device.type for each in _tensors(parts)), "cpu")
    try:
        for part in parts:
            part.training = False
        with torch.autocast(kind, enabled=False):
            yield
    finally:
        for part, training in zip(parts, before, strict=True):
            part.training = training


def name_of(model: Any) -> str:
    """What a model is called: a function by its name, a module as it shows itself."""
    if isinstance(model, nn.Module):
        return model._get_name()
    return getattr(model, "__name__", type(model).__name__)


def answer_of(found: Any) -> Any:
    """The tensor in what a model of diffusers answers."""
    if isinstance(found, Tensor):
        return found
    return getattr(found, "sample", found[0] if isinstance(found, tuple) and found else found)


def modules_of(model: Any) -> Iterator[nn.Module]:
    """A module itself; those that a function is bound to, holds or names, and those that an object holds."""
    if isinstance(model, nn.Module):
        yield model
    elif isinstance(model, functools.partial):
        for part in (model.func, *model.args, *model.keywords.values()):
            yield from modules_of(part)
    elif isinstance(plain := inspect.unwrap(model), FunctionType):
        names = inspect.getclosurevars(plain)
        given = (*(plain.__defaults__ or ()), *(plain.__kwdefaults__ or {}).values())
        yield from _modules((*names.nonlocals.values(), *names.globals.values(), *given))
    elif isinstance(owner := getattr(plain, "__self__", plain), nn.Module):
        yield owner
    else:
        yield from _modules(getattr(owner, "__dict__", {}).values())


def _kind(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _tensors(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    for module in modules:
        yield from module.parameters()
        yield from module.buffers()


def _modules(values: Iterable[Any]) -> Iterator[nn.Module]:
    return (each for each in values if isinstance(each, nn.Module))
