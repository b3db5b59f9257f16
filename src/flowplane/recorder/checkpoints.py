"""A recording from saved weights: the same snapshots that a Recorder would have taken."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowplane.core.paths import as_path
from flowplane.core.progress import progress_bar
from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text, unknown
from flowplane.recorder.checkpoint_names import ENDINGS, epochs_of, is_checkpoint, weights_in
from flowplane.recorder.looking import unwrapped
from flowplane.recorder.session import Session
from flowplane.recording import ModelRecording

__all__ = ["from_checkpoints"]

#: Where training loops put the weights in a larger dict, and what wrappers put before names.
INNER = ("state_dict", "model_state_dict", "model", "weights")
#: The arguments of `Recorder` that it shares.
DEFAULTS = {"layers": None, "measures": (), "reduce": "auto", "dtype": "float32", "mode": "create"}
DEFAULTS |= {"layout": None, "mask": None, "forward": None, "batch": "auto", "views": None, "unembed": None}
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

    Weights are read without pickle: .safetensors, a Hugging Face checkpoint folder, or .pt, .pth, .pth.tar, .bin and .ckpt
    files that `torch.load` reads with weights_only=True. A state_dict may stand in a larger dict under "state_dict",
    "model_state_dict", "model" or "weights", and its names may begin with "module." or the like. The model gets its own
    weights back in the end.

    Arguments:
        model: of the architecture that was saved.
        paths: files and folders in any order, a folder that holds them, or a pattern such as "run/epoch*.pt".
        inputs, labels, path: as of `fp.Recorder`.
        at: the epoch of each path; None: the numbers in the names: "epoch=3-step=120.ckpt" is 3, "checkpoint-500" is 500,
            "step_20k.pt" is 20000; the 2 of v2 and the 18 of resnet18 do not count. A list of paths without numbers is taken
            in its order. `rec.attrs["order"]` says what was taken.
        arguments: others of `fp.Recorder`: layers, measures, reduce, layout, mask, forward, batch, views, unembed, dtype,
            mode.

    Raises:
        InputError: no checkpoints, one that does not fit the model or that only pickle could read, names that do not give
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
    numbers, taken = epochs_of(found, at, ordered=isinstance(paths, Sequence) and not isinstance(paths, str))
    bare = unwrapped(model)
    own = {name: values.detach().clone() for name, values in bare.state_dict().items()}
    ordered = sorted(zip(numbers, found, strict=True), key=lambda pair: pair[0])
    options = DEFAULTS | arguments
    about = {"snapshots": len(found), "epochs": None, "order": _order(taken, [file.name for _, file in ordered])}
    session = Session(model, inputs, labels, path, keep=("activations",), **options)
    try:
        with progress_bar("reading checkpoints", len(found)) as advance:
            for number, file in ordered:
                _load(bare, file)
                if session.committed is None:
                    session.begin(about, len(found), epoch=number)
                elif number > session.committed:
                    session.append_now(epoch=number)
                advance(1)
    finally:
        session.close()
        bare.load_state_dict(own)
    return session.recording


def _order(taken: str, names: list[str]) -> str:
    """What the recording says of the order of its snapshots."""
    return f"checkpoints by {taken}, {names[0]} to {names[-1]}" if len(names) > 1 else f"checkpoint {names[0]}"


def _found(paths: Any) -> list[Path]:
    wanted = "checkpoints: files that end in " + ", ".join(ENDINGS) + ", or Hugging Face checkpoint folders"
    if isinstance(paths, Iterable) and not isinstance(paths, str):
        found = [as_path("paths", each) for each in paths]
    elif isinstance(paths, str | os.PathLike) and any(mark in os.fspath(paths) for mark in "*?["):
        fitting = sorted(glob(os.path.expanduser(paths), recursive=True))
        found = [Path(each) for each in fitting if is_checkpoint(Path(each))]
    else:
        one = as_path("paths", paths)
        inside = sorted(one.iterdir()) if one.is_dir() else []
        saved = [each for each in inside if each.is_dir() and weights_in(each) is not None]
        # a Trainer's folder has the checkpoints in it, and beside them the model as it was saved at the end
        if saved or (one.is_dir() and weights_in(one) is None):
            found = saved or [each for each in inside if is_checkpoint(each)]
        else:
            found = [one]
    if not found:
        raise InputError("paths", Text(f"{paths}, where there are none"), wanted)
    for each in found:
        if not each.exists():
            raise InputError("paths", str(each), f"{wanted}; it does not exist")
        if (each.is_dir() and weights_in(each) is None) or (not each.is_dir() and each.suffix not in ENDINGS):
            raise InputError("paths", str(each), wanted)
    return found


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
        inside = weights_in(file)
        assert inside is not None
        file = inside
    if file.name.endswith(".index.json"):
        try:
            parts = sorted(set(json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()))
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
    # a best accuracy beside it may be a tensor as well
    while isinstance(state, Mapping) and (inner := [key for key in INNER if isinstance(state.get(key), Mapping)]):
        state = state[inner[0]]
    if not isinstance(state, Mapping):
        raise InputError("paths", Text(type(state).__name__), "a checkpoint that holds a state_dict")
    found = {str(name): values for name, values in state.items() if isinstance(values, Tensor)}
    for prefix in PREFIXES:
        inside = {name.removeprefix(prefix): values for name, values in found.items() if name.startswith(prefix)}
        if not names <= set(found) and len(set(inside) & names) > len(set(found) & names):
            found = inside  # what a wrapper keeps beside the model is left out
    return found
