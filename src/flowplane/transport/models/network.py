"""A network of somebody else's as it is asked: in its own precision, shape and time, some points at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from flowplane.errors import InputError, Text

__all__ = ["MEMORY", "Network", "in_evaluation"]

#: Bytes that the activations of one call take at most, if nobody says otherwise.
MEMORY = 1 << 28


class Network:
    """model(x, t, **conditions) of rows (n, d): images for the model, and rows again.

    Arguments:
        model: a module, or any function of (x, t).
        shape: of one point for the model.
        clock: from τ to the time that the model takes; None is τ itself.
        memory: bytes that the model's activations may take, which say how many points it is given at once.
    """

    def __init__(
        self, model: Callable, shape: tuple[int, ...], clock: Callable[[float], Any] | None = None, memory: int = MEMORY
    ) -> None:
        self.model, self.shape, self.clock, self.memory = model, shape, clock, memory
        self._bytes = 0

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
        return next((each for each in _tensors(self.model) if each.is_floating_point()), blank)

    def __call__(
        self, tau: float, rows: Float[Tensor, "sample feature"], conditions: Mapping[str, Any]
    ) -> Float[Tensor, "sample feature"]:
        """What the model says of rows at one τ, in their precision; differentiable where they are.

        Raises:
            InputError: an answer of another shape, or one that is not finite.
        """
        with in_evaluation(self.model), torch.set_grad_enabled(rows.requires_grad):
            if not self._bytes:
                with torch.no_grad():
                    self._weigh(tau, rows[:1], conditions)
            parts = [self._asked(tau, part, conditions) for part in rows.split(self.rows_at_once(len(rows)))]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def rows_at_once(self, rows: int) -> int:
        """How many points the model is given at once."""
        return max(1, min(rows, self.memory // self._bytes if self._bytes else rows))

    def time(self, tau: float, rows: int) -> Tensor:
        """The time that the model takes, for each row."""
        value = tau if self.clock is None else self.clock(tau)
        whole = isinstance(value, int) or (isinstance(value, Tensor) and not value.is_floating_point())
        return torch.full((rows,), value, dtype=torch.int64 if whole else self.dtype, device=self.device)

    def _asked(self, tau: float, rows: Tensor, conditions: Mapping[str, Any]) -> Tensor:
        x = rows.to(self.device, self.dtype, copy=True).reshape(-1, *self.shape)
        given = {name: self._for_each(value, len(x)) for name, value in conditions.items()}
        try:
            found = _answer(self.model(x, self.time(tau, len(x)), **given))
        except (RuntimeError, TypeError, IndexError) as error:
            found_text = Text(f"{type(self.model).__name__}: {error}")
            raise InputError("model", found_text, f"one that takes x of shape {(len(x), *self.shape)} and t") from error
        if not isinstance(found, Tensor) or found.shape != (len(x), *self.shape):
            text = Text(f"an answer of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__)
            raise InputError("model", text, f"an answer of shape {(len(x), *self.shape)}, that of x")
        answer = found.reshape(len(x), -1).to(rows.device, rows.dtype)
        if not bool(torch.isfinite(answer.detach().sum())):
            bad = Text(f"{int((~torch.isfinite(answer)).sum())} values that are NaN or infinite at τ = {tau:.6g}")
            raise InputError("model", bad, "finite answers along the whole way")
        return answer

    def _for_each(self, value: Any, rows: int) -> Any:
        """A condition of one point, for all of them; what is no number is passed on as it is."""
        if isinstance(value, bool) or not isinstance(value, Tensor | int | float):
            return value
        one = torch.as_tensor(value, device=self.device)
        return (one.to(self.dtype) if one.is_floating_point() else one).expand(rows, *one.shape)

    def _weigh(self, tau: float, row: Tensor, conditions: Mapping[str, Any]) -> None:
        """Bytes that one point takes at most: all that is computed of it."""
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
def in_evaluation(model: Any) -> Iterator[None]:
    """Inside, dropout and batch statistics are off, and nothing is cast; then every module is as it was."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [part.training for part in modules]
    kind = next((each.device.type for each in _tensors(model)), "cpu")
    try:
        for part in modules:
            part.training = False
        with torch.autocast(kind, enabled=False):
            yield
    finally:
        for part, training in zip(modules, before, strict=True):
            part.training = training


def _tensors(model: Any) -> Iterator[Tensor]:
    if isinstance(model, nn.Module):
        yield from model.parameters()
        yield from model.buffers()


def _answer(found: Any) -> Any:
    """The tensor in what a model of diffusers answers."""
    if isinstance(found, Tensor):
        return found
    return getattr(found, "sample", found[0] if isinstance(found, tuple) and found else found)
