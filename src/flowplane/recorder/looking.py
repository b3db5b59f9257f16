"""A model looked at without leaving a trace: eval mode, no gradients, random states and buffers put back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from flowplane.errors import InputError, Text
from flowplane.recorder.state import require_initialised, state_kept

__all__ = ["device_of", "side_effect_free", "unwrapped"]

#: Wrappers around a model, and where it is in them.
WRAPPERS = ("_orig_mod", "module")


def unwrapped(model: Any) -> nn.Module:
    """The model inside torch.compile's and DataParallel's wrappers.

    Raises:
        InputError: not a Module, or one in FullyShardedDataParallel.
    """
    if not isinstance(model, nn.Module):
        found = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise InputError("model", Text(found), "a torch.nn.Module")
    wrapped = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, wrapped) or type(model).__name__ == "OptimizedModule":
        model = next(getattr(model, name) for name in WRAPPERS if hasattr(model, name))
    if any(type(part).__name__ == "FullyShardedDataParallel" for part in model.modules()):
        found = Text("a model in FullyShardedDataParallel, whose layers have no parameters of their own")
        raise InputError("model", found, "one sharded by torch.distributed.fsdp.fully_shard, or whole in this process")
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError("model", Text("a scripted model"), "the Module that it was made of: scripted ones take no hooks")
    if any(part.is_meta for part in model.parameters()):
        wanted = "one with weights: model.to_empty(device=…), then load them"
        raise InputError("model", Text("a model on the meta device"), wanted)
    require_initialised(model)
    return model


@contextmanager
def side_effect_free(model: nn.Module) -> Iterator[None]:
    """What runs inside changes no random state, training flag or gradient mode, and runs eagerly in full precision."""
    devices = sorted({part.device.index or 0 for part in model.parameters() if part.device.type == "cuda"})
    kind = device_of(model).type
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    fast = torch.backends.mha.get_fastpath_enabled()
    coarse = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(kind, enabled=False))
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and importing it takes a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(state_kept(model))  # some models count or average in eval mode as well
        try:
            torch.backends.mha.set_fastpath_enabled(False)  # it skips modules, and with them their outputs
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            for part in model.modules():
                part.training = False
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = coarse
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def device_of(model: nn.Module) -> torch.device:
    """Where a model's first parameter or buffer is."""
    tensors = [*model.parameters(), *model.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")
