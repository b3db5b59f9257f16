"""What training leaves: a history of losses, and a module on disk, one .safetensors file with its configuration as JSON."""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import xarray as xr
from torch import Tensor, nn

from flowplane.core.files import whole_file
from flowplane.core.paths import as_path
from flowplane.errors import InputError, Text
from flowplane.transport.learned.networks import Autoencoder, DenoisingNetwork
from flowplane.transport.learned.score_network import ScoreNetwork
from flowplane.transport.learned.velocity_network import VelocityNetwork
from flowplane.version import __version__

__all__ = ["Trained", "build_network", "describe_network", "fill", "history_of", "last_numbers", "read", "write"]

#: Of the layout of a file; a newer one is refused.
VERSION = 1
KEY = "flowplane"
ENDING = ".safetensors"
#: Networks that a file describes, by what it calls them.
OWN: dict[str, Any] = {
    "perceptron": DenoisingNetwork,
    "autoencoder": Autoencoder,
    "score": ScoreNetwork,
    "velocity": VelocityNetwork,
}

Module = TypeVar("Module", bound=nn.Module)


class Trained(nn.Module):
    """A module that was trained, or will be."""

    #: What a file calls it.
    kind: ClassVar[str]
    #: Over `step`: training loss, held-out loss, learning rate. None before training.
    history: xr.Dataset | None = None

    @property
    def held_out_loss(self) -> float:
        """The loss that was least on points that were not trained on; NaN before training."""
        return float("nan") if self.history is None else float(self.history.attrs["held_out_loss"])

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a file says of it besides its numbers."""

    def save(self, path: Any) -> Path:
        """Write one .safetensors file, from which the loader of its kind makes it again; the source density is not kept.

        Raises:
            InputError: a folder that does not exist, a path that is one.
        """
        return write(path, self.kind, self, self.describe())


def write(path: Any, kind: str, module: nn.Module, about: dict[str, Any]) -> Path:
    """A module's numbers and what is said about it, whole or not at all."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    place = as_path("path", path)
    if place.is_dir():
        raise InputError("path", Text(f"{place}, a folder"), "a file in an existing folder")
    place = place if place.suffix == ENDING else place.with_name(place.name + ENDING)
    if place.is_dir() or not place.parent.is_dir():
        found = Text(f"{place}, {'a folder' if place.is_dir() else 'in a folder that does not exist'}")
        raise InputError("path", found, "a file in an existing folder")
    header = {"kind": kind, "version": VERSION, "library": __version__, **about}
    # safetensors does not take tensors that share memory
    tensors = {name: part.detach().cpu().contiguous().clone() for name, part in module.state_dict().items()}
    try:
        with whole_file(place) as part:
            save_file(tensors, part, metadata={KEY: json.dumps(header)})
    except (SafetensorError, OSError) as error:
        raise InputError("path", Text(f"{place}, where nothing can be written ({error})"), "a folder to write to") from error
    return place


def read(path: Any, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `write` wrote. Raises InputError for any other file."""
    from safetensors import SafetensorError, safe_open

    place = as_path("path", path)
    if not place.is_file() and place.with_name(place.name + ENDING).is_file():
        place = place.with_name(place.name + ENDING)
    if not place.is_file():
        raise InputError("path", str(place), "an existing file")
    wanted = f"a {kind} that flowplane saved"
    try:
        with safe_open(place, framework="pt") as file:  # type: ignore[no-untyped-call]
            header = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        found = Text(f"{place}, not a safetensors file or one that is cut off ({error})")
        raise InputError("path", found, wanted) from error
    if header is None:
        raise InputError("path", Text(f"{place}, a safetensors file of something else"), wanted)
    try:
        about = json.loads(header)
    except json.JSONDecodeError as error:
        raise InputError("path", Text(f"{place}, with a header that is not JSON"), wanted) from error
    if not isinstance(about, dict) or not {"kind", "version", "library"} <= set(about):
        raise InputError("path", Text(f"{place}, with a header that says neither kind nor version"), wanted)
    if about["version"] > VERSION:
        found = Text(f"{place} of format {about['version']}, by flowplane {about['library']}")
        raise InputError("path", found, f"format {VERSION} or older: a newer flowplane reads it")
    if about["kind"] != kind:
        raise InputError("path", Text(f"{place}, a {about['kind']}"), wanted)
    for name, part in tensors.items():
        if part.is_floating_point() and not bool(part.isfinite().all()):
            raise InputError("path", Text(f"{place}, in which {name} holds NaN or infinity"), wanted)
    return about, tensors


def build_network(about: dict[str, Any], given: nn.Module | None) -> nn.Module:
    """A network as it is described, its numbers still to come."""
    if given is not None:
        if not isinstance(given, nn.Module):
            raise InputError("network", Text(type(given).__name__), "a torch.nn.Module")
        return copy.deepcopy(given)
    arguments = dict(about)
    kind = arguments.pop("kind")
    if kind == "module":
        expected = f"network=…, a {arguments['name']} built like the one that was trained"
        raise InputError("network", None, expected)
    standardised = arguments.pop("standardised")
    made: Any = OWN[kind](**arguments)
    made.standardised = standardised
    return made


def fill(module: Module, tensors: dict[str, Tensor]) -> Module:
    """The module with these numbers, in their own dtype, ready to be used. Raises InputError where they do not fit."""
    try:
        module.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise InputError("network", Text(f"{error}"), "a module built like the one that was trained") from error
    return module.eval()


def last_numbers(history: xr.Dataset | None) -> dict[str, Any] | None:
    """The last row of a history, and its attributes."""
    if history is None:
        return None
    last = history.isel(step=-1)
    values = {str(name): float(part) for name, part in last.data_vars.items()}
    units = {str(name): part.attrs for name, part in history.data_vars.items()}
    return {"step": int(last["step"]), "values": values, "units": units, "attrs": history.attrs}


def history_of(row: dict[str, Any] | None) -> xr.Dataset | None:
    """The inverse of `last_numbers`: a history of one step."""
    if row is None:
        return None
    variables = {name: ("step", [value], row["units"][name]) for name, value in row["values"].items()}
    return xr.Dataset(variables, {"step": ("step", [row["step"]], {"units": "1"})}, row["attrs"])


def describe_network(network: nn.Module) -> dict[str, Any]:
    """What `build_network` needs."""
    if isinstance(network, DenoisingNetwork | Autoencoder | ScoreNetwork | VelocityNetwork):
        return network.configuration() | {"standardised": network.standardised}
    return {"kind": "module", "name": type(network).__name__}
