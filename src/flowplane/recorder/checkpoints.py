"""A recording from saved weights: the same snapshots that a Recorder would have taken."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowplane.core.paths import as_path
from flowplane.core.points import check_count
from flowplane.core.progress import progress_bar
from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text, unknown
from flowplane.recorder.probe import unwrapped
from flowplane.recorder.session import Session
from flowplane.recording import Metrics, ModelRecording

__all__ = ["from_checkpoints"]

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
ENDINGS = (*PICKLED, ".safetensors")
#: What a Hugging Face checkpoint folder holds, the first that is there.
WEIGHTS = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin")
#: Where training loops put the weights in a larger dict, and what wrappers put before names.
INNER = ("state_dict", "model_state_dict", "model", "weights")
#: What lies beside weights and is none.
OTHERS = ("optimizer", "scheduler", "scaler", "rng_state", "training_args")
#: The arguments of `Recorder` that it shares.
DEFAULTS = {"layers": None, "measures": (), "reduce": "auto", "dtype": "float32", "mode": "create"}
DEFAULTS |= {"mask": None, "forward": None, "batch": "auto"}
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")


@renamed
def from_checkpoints(
    model: nn.Module,
    paths: Any,
    inputs: Any,
    labels: Any = None,
    *,
    at: Sequence[int] | None = None,
    path: Any = None,
    **arguments: Any,
) -> ModelRecording:
    """The Recording that a Recorder would have made, from weights saved on the way; gradients are not in it.

    Weights are read without pickle: .safetensors, a Hugging Face checkpoint folder, or .pt, .pth, .bin and .ckpt files that
    `torch.load` reads with weights_only=True. A state_dict may stand in a larger dict under "state_dict",
    "model_state_dict", "model" or "weights", and its names may begin with "module." or the like. The model gets its own
    weights back in the end.

    Arguments:
        model: of the architecture that was saved.
        paths: files and folders in any order, a folder that holds them, or a pattern such as "run/epoch*.pt".
        inputs, labels, path: as of `fp.Recorder`.
        at: the epoch of each path; None: the numbers in the names: "epoch=3-step=120.ckpt" is 3, "checkpoint-500" is 500. A
            list of paths without any numbers is taken in its order.
        arguments: others of `fp.Recorder`: layers, measures, reduce, mask, forward, batch, dtype, mode.

    Raises:
        InputError: no checkpoints, one that does not fit the model or that only pickle could read, names that do not tell
            the epochs, epochs that are not distinct, what `fp.Recorder` refuses.

    Example:
        >>> import tempfile, flowplane as fp
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for epoch in (1, 10, 2):
        ...         torch.save(model.state_dict(), f"{folder}/epoch{epoch}.pt")
        ...     fp.from_checkpoints(model, folder, torch.eye(2)).epochs.tolist()
        [1, 2, 10]
    """
    for name in arguments:
        if name not in DEFAULTS:
            raise unknown("argument", name, DEFAULTS)
    found = _found(paths)
    numbers = _epochs(found, at, ordered=isinstance(paths, Sequence) and not isinstance(paths, str))
    bare = unwrapped(model)
    own = {name: values.detach().clone() for name, values in bare.state_dict().items()}
    ordered = sorted(zip(numbers, found, strict=True), key=lambda pair: pair[0])
    options = DEFAULTS | arguments
    session = Session(model, inputs, labels, path, keep=("activations",), **options)
    try:
        with progress_bar("reading checkpoints", len(found)) as advance:
            for number, file in ordered:
                _load(bare, file)
                if session.committed is None:
                    session.begin({"snapshots": len(found), "epochs": None}, len(found), epoch=number)
                elif number > session.committed:
                    session.append(Metrics(), epoch=number)
                advance(1)
    finally:
        session.close()
        bare.load_state_dict(own)
    return session.recording


def _found(paths: Any) -> list[Path]:
    wanted = "checkpoints: files that end in " + ", ".join(ENDINGS) + ", or Hugging Face checkpoint folders"
    if isinstance(paths, Iterable) and not isinstance(paths, str):
        found = [as_path("paths", each) for each in paths]
    elif isinstance(paths, str | os.PathLike) and any(mark in os.fspath(paths) for mark in "*?["):
        fitting = sorted(glob(os.path.expanduser(paths), recursive=True))
        found = [Path(each) for each in fitting if _is_checkpoint(Path(each))]
    else:
        one = as_path("paths", paths)
        inside = sorted(one.iterdir()) if one.is_dir() else []
        saved = [each for each in inside if each.is_dir() and _weights_in(each) is not None]
        # a Trainer's folder has the checkpoints in it, and beside them the model as it was saved at the end
        if saved or (one.is_dir() and _weights_in(one) is None):
            found = saved or [each for each in inside if _is_checkpoint(each)]
        else:
            found = [one]
    if not found:
        raise InputError("paths", Text(f"{paths}, where none are"), wanted)
    for each in found:
        if not each.exists():
            raise InputError("paths", str(each), f"{wanted}; it is not there")
        if (each.is_dir() and _weights_in(each) is None) or (not each.is_dir() and each.suffix not in ENDINGS):
            raise InputError("paths", str(each), wanted)
    return found


def _is_checkpoint(path: Path) -> bool:
    if path.is_dir():
        return _weights_in(path) is not None
    return path.suffix in ENDINGS and not path.stem.startswith(OTHERS)


def _weights_in(folder: Path) -> Path | None:
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def _epochs(found: Sequence[Path], at: Any, ordered: bool) -> list[int]:
    """The epoch of each checkpoint; of names without numbers their place, if the user put them in order."""
    if at is not None:
        if not isinstance(at, Iterable) or isinstance(at, str):
            raise InputError("at", at, "a list of epochs, one a checkpoint")
        numbers = [check_count(f"at[{k}]", each, 0) for k, each in enumerate(at)]
        if len(numbers) != len(found) or len(set(numbers)) < len(numbers):
            raise InputError("at", Text(f"{len(set(numbers))} different numbers"), f"{len(found)}, one a checkpoint")
        return numbers
    named = [_number_in(each) for each in found]
    if (ordered or len(found) == 1) and not any(re.search(r"\d", each.name) for each in found):
        return list(range(len(found)))
    for each, number in zip(found, named, strict=True):
        if number is None:
            unknown_epoch = Text(f"none for {each.name}, whose name does not tell it")
            raise InputError("at", unknown_epoch, "at=[…], or another list of paths")
    numbers = [number for number in named if number is not None]
    if len(set(numbers)) < len(numbers):
        twice = next(each.name for k, each in enumerate(found) if numbers[k] in numbers[:k])
        raise InputError("at", Text(f"one that two checkpoints have, {twice} and another"), "at=[…], or other paths")
    return numbers


def _number_in(path: Path) -> int | None:
    """The epoch in a name: what follows "epoch", or else "checkpoint" or "step", or the only number that is there."""
    name = path.name if path.is_dir() else path.stem
    for word in ("epoch", "checkpoint", "step"):
        marked = re.findall(rf"{word}[-_=]?(\d+)", name, re.IGNORECASE)
        if marked:
            return int(marked[-1])
    numbers = re.findall(r"\d+", name)
    return int(numbers[0]) if len(numbers) == 1 else None


def _load(model: nn.Module, file: Path) -> None:
    """Put a checkpoint's weights into the model. Raises InputError where they do not fit it."""
    state = _unwrapped(_read(file), set(model.state_dict()))
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError("paths", str(file), f"weights of this model ({str(error).splitlines()[-1].strip()})") from error
    tied = {id(part) for name, part in model.named_parameters(remove_duplicate=False) if name in state}
    parts = dict(model.named_parameters(remove_duplicate=False))
    absent = [name for name in missing if name not in parts or id(parts[name]) not in tied]
    if absent or unexpected:
        what = f"lacks {absent[0]!r}" if absent else f"holds {unexpected[0]!r} as well"
        raise InputError("paths", Text(f"{file}, which {what}"), "weights of this model")


def _read(file: Path) -> Mapping[str, Any]:
    if file.is_dir():
        inside = _weights_in(file)
        assert inside is not None
        file = inside
    if file.name.endswith(".index.json"):
        try:
            parts = sorted(set(json.loads(file.read_text())["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError("paths", str(file), "a readable index of weights") from error
        merged: dict[str, Any] = {}
        for part in parts:
            if Path(part).name != part:
                raise InputError("paths", str(file), "an index of files in the same folder")
            merged |= _read(file.parent / part)
        return merged
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
    except pickle.UnpicklingError as error:
        wanted = "weights alone, as torch.save(model.state_dict(), path) writes them: flowplane never runs a pickle"
        raise InputError("paths", str(file), wanted) from error
    except Exception as error:  # each library has its own kind for a damaged file
        raise InputError(
            "paths", str(file), f"a readable checkpoint ({(str(error) or repr(error)).splitlines()[0]})"
        ) from error


def _unwrapped(state: Any, names: set[str]) -> dict[str, Tensor]:
    """The state_dict in a larger dict, with the names that the model has."""
    while isinstance(state, Mapping) and not any(isinstance(values, Tensor) for values in state.values()):
        inner = next((key for key in INNER if isinstance(state.get(key), Mapping)), None)
        if inner is None:
            break
        state = state[inner]
    if not isinstance(state, Mapping):
        raise InputError("paths", Text(type(state).__name__), "a checkpoint that holds a state_dict")
    found = {str(name): values for name, values in state.items() if isinstance(values, Tensor)}
    for prefix in PREFIXES:
        inside = {name.removeprefix(prefix): values for name, values in found.items() if name.startswith(prefix)}
        if not names <= set(found) and len(set(inside) & names) > len(set(found) & names):
            found = inside  # what a wrapper keeps beside the model is left out
    return found
