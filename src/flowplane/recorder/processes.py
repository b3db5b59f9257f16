"""Models that are spread over several processes (FSDP2): all of them look, the first one writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.errors import InputError, RecordingFailed

__all__ = ["Processes", "class_name", "local", "process_number", "summed", "whole_afterwards"]

Found = TypeVar("Found")


def process_number() -> int:
    """The rank of this process in its group; 0 where there is none."""
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


class Processes:
    """The processes that hold a model: this one, or, where its parameters are split, all of the group.

    Example:
        >>> alone = Processes(nn.Linear(2, 1))
        >>> alone.split, alone.first, alone.together(lambda: 3)
        (False, True, 3)
    """

    def __init__(self, model: nn.Module) -> None:
        #: Whether no process can compute the model's layers alone.
        self.split = any(_is_split(part) for part in model.parameters())

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return process_number() == 0

    def together(self, work: Callable[[], Found]) -> Found:
        """What the first process finds, in all of them; where it fails, all raise. Those of a split model wait here."""
        if not self.split:
            return work()
        found: list[Any] = [None, None]
        error: Exception | None = None
        if self.first:
            try:
                found[0] = work()
            except Exception as caught:
                error = caught
                found[1] = (
                    caught if isinstance(caught, InputError | RecordingFailed) else RuntimeError(str(caught) or repr(caught))
                )
        torch.distributed.broadcast_object_list(found, src=0)
        if found[1] is not None:
            raise error or found[1]
        return cast("Found", found[0])


@contextmanager
def whole_afterwards(model: nn.Module) -> Iterator[None]:
    """A model that was sharded before is sharded again: outside training FSDP leaves its outermost part gathered, and an
    optimiser would step with parameters that the next forward pass does not read."""
    try:
        yield
    finally:
        if sharding := sys.modules.get("torch.distributed.fsdp"):
            for part in model.modules():
                if isinstance(part, sharding.FSDPModule):
                    part.reshard()


def class_name(module: nn.Module) -> str:
    """The name of a module's class as it was written; `fully_shard` derives one of its own."""
    sharding = sys.modules.get("torch.distributed.fsdp")
    names = [kind.__name__ for kind in type(module).__mro__]
    return names[2] if sharding is not None and isinstance(module, sharding.FSDPModule) else names[0]


def local(values: Tensor) -> Tensor:
    """What this process holds of them."""
    return values.to_local() if _is_split(values) else values  # type: ignore[attr-defined,no-any-return]


def summed(parts: Sequence[Tensor], totals: Float[Tensor, "part total"]) -> Float[Tensor, "part total"]:
    """Totals over what each process holds of some parameters, added up over the processes between which each is split."""
    groups: dict[Any, list[int]] = {}
    for k, part in enumerate(parts):
        if _is_split(part):
            copied = tuple(place.is_replicate() for place in part.placements)  # type: ignore[attr-defined]
            groups.setdefault((part.device_mesh, copied), []).append(k)  # type: ignore[attr-defined]
    for (mesh, copied), places in groups.items():
        tensors = sys.modules["torch.distributed.tensor"]
        how = [tensors.Replicate() if same else tensors.Partial() for same in copied]
        totals[places] = tensors.DTensor.from_local(totals[places], mesh, how, run_check=False).full_tensor()
    return totals


def _is_split(values: Tensor) -> bool:
    # importing it takes a second, and what was never imported splits nothing
    tensors = sys.modules.get("torch.distributed.tensor")
    return tensors is not None and isinstance(values, tensors.DTensor)
