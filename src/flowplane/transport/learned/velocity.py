"""A trained velocity: a flow that is a PyTorch module as well (§E1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.learned.checkpoint import (
    Trained,
    build_network,
    describe_network,
    fill,
    history_of,
    last_numbers,
    read,
)
from flowplane.transport.learned.networks import as_sizes
from flowplane.transport.models.model_flow import TOLERANCES, Asked, ModelFlow
from flowplane.transport.models.network import Network
from flowplane.transport.models.paths import as_path

__all__ = ["LearnedVelocity", "load_velocity"]

#: Tolerances of the solver with numbers of double precision.
DOUBLE = (1e-6, 1e-7)


class LearnedVelocity(ModelFlow, Trained):
    """The flow of dx/ds = v(x, s) over s from 0 to 1, v a network; what `train_velocity` and `rectify` make.

    It is a flow as `model_flow` makes it: points are rows (…, d) or have the network's own shape (…, *shape). It is a
    `torch.nn.Module` too, with parameters to read, move and save; calling it solves the equation and gives no gradients.

    Arguments:
        network: a module (x, s) ↦ v, points (n, *shape) and times (n,) to (n, *shape), in its own dtype and on its device.
        shape: of a point; None is (d,), where the network's own `dimension` says d.
        source: the density that flows.
        rtol, atol, max_step: of the solver, as in `ODEMap`; None is 1e-6 and 1e-7, finer than the error that training
            leaves, and what `model_flow` takes for a network of single precision.

    Raises:
        InputError: not a module, a module that does not answer in the shape of its input, a source of another dimension.

    Example:
        >>> from flowplane.transport import VelocityNetwork
        >>> flow = LearnedVelocity(VelocityNetwork(2, hidden=(8,)))
        >>> flow([[1.0, 2.0]]).shape, flow.velocity(0.5, [[1.0, 2.0]]).shape, flow.time
        ((1, 2), (1, 2), 1.0)
    """

    kind = "velocity"

    def __init__(
        self,
        network: nn.Module,
        *,
        shape: Any = None,
        source: Density | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        max_step: float | None = None,
    ) -> None:
        Trained.__init__(self)
        if not isinstance(network, nn.Module):
            raise InputError("network", Text(type(network).__name__), "a torch.nn.Module of (x, s)")
        self.network = network
        given = getattr(network, "dimension", None) if shape is None else shape
        asked = Asked(Network(network, as_sizes("shape", given, "the shape of a point, such as (1, 8, 8)")))
        tolerances = (TOLERANCES | {8: DOUBLE})[asked.network.dtype.itemsize]
        rtol, atol = (own if said is None else said for own, said in zip(tolerances, (rtol, atol), strict=True))
        if source is None:
            self.device = asked.network.device
        try:
            path = as_path("linear", "velocity", None)
            given = {"rtol": rtol, "atol": atol, "max_step": max_step}
            ModelFlow.__init__(self, asked, path, predicts="velocity", source=source, **given)
        except InputError as error:
            name = "network" if error.argument == "model" else error.argument
            raise InputError(name, error.found, error.expected) from error

    @property
    def precision(self) -> torch.dtype:
        """The network's own dtype."""
        return self._asked.network.dtype

    def describe(self) -> dict[str, Any]:
        """What a file says of it besides its numbers."""
        return {"shape": self.shape, "network": describe_network(self.network), "history": last_numbers(self.history)}


def load_velocity(path: Any, network: nn.Module | None = None, *, source: Density | None = None) -> LearnedVelocity:
    """A flow as `LearnedVelocity.save` wrote it: the same numbers, on the CPU.

    Arguments:
        path: the file.
        network: a module built like the one that was trained, where that was not given by widths; it is copied.
        source: the density that flows; files hold none.

    Raises:
        InputError: as in `load_denoiser`.

    Example:
        >>> import tempfile
        >>> from flowplane.transport import LearnedVelocity, VelocityNetwork
        >>> flow = LearnedVelocity(VelocityNetwork(1, hidden=(4,)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     same = load_velocity(flow.save(f"{folder}/flow.safetensors"))
        >>> bool((same([[1.0]]) == flow([[1.0]])).all())
        True
    """
    about, tensors = read(path, "velocity")
    built = build_network(about["network"], network)
    built.to(next((part.dtype for part in tensors.values() if part.is_floating_point()), torch.float64))
    made = fill(LearnedVelocity(built, shape=about["shape"], source=source), tensors)
    made.history = history_of(about["history"])
    return made
