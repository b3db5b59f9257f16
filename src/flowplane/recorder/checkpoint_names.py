"""Which files are checkpoints, and the epochs that their names give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from flowplane.core.points import check_count
from flowplane.errors import InputError, Text

__all__ = ["ENDINGS", "WEIGHTS", "epochs_of", "is_checkpoint", "weights_in"]

ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".tar")
#: Files of weights in a Hugging Face checkpoint folder; the first that exists counts.
WEIGHTS = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin")
#: What lies beside weights without being weights.
OTHERS = ("optimizer", "scheduler", "scaler", "rng_state", "training_args")
#: Before a number, or right after one, they say what the number counts; the first one found.
WORDS = ("epoch", "checkpoint", "ckpt", "step", "iteration", "iter")
SCALES = {"": 1, "k": 1_000, "m": 1_000_000}
#: 20k and 1.5M, but not the 20 of 20kb.
SCALED = r"(?:\d+(?:\.\d+)?[kKmM](?![^\W_])|\d+)"


def is_checkpoint(path: Path) -> bool:
    """Whether it is a file of weights, or a folder with one."""
    if path.is_dir():
        return weights_in(path) is not None
    return path.suffix in ENDINGS and not path.stem.startswith(OTHERS)


def weights_in(folder: Path) -> Path | None:
    """The weights of a Hugging Face checkpoint folder; None where there are none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def epochs_of(found: Sequence[Path], at: Any, ordered: bool) -> tuple[list[int], str]:
    """The epoch of each checkpoint, and where it was taken from.

    Arguments:
        at: the epochs, where the user says them; None for those in the names.
        ordered: whether the user put the paths in order, which then counts where names have no numbers.

    Raises:
        InputError: epochs that are not whole numbers, not one per checkpoint or not distinct, names that do not give
            them, or that count different things.
    """
    if at is not None:
        return _said(at, len(found)), "at="
    told = [_numbers_in(each) for each in found]
    if (ordered or len(found) == 1) and not any(numbers for numbers, _ in told):
        return list(range(len(found))), "their order in paths"
    for each, (numbers, _) in zip(found, told, strict=True):
        if len(numbers) != 1 or numbers[0] is None:
            unknown_epoch = Text(f"none for {each.name}, whose name does not give it")
            raise InputError("at", unknown_epoch, "at=[…], or another list of paths")
    epochs = [number for numbers, _ in told for number in numbers if number is not None]
    words = {word: each.name for each, (_, word) in zip(found, told, strict=True) if word}
    if len(words) > 1:
        kinds = " and ".join(f"{word}s in {name}" for word, name in words.items())
        raise InputError("at", Text(f"numbers that count {kinds}"), "at=[…], or paths whose names count one thing")
    if len(set(epochs)) < len(epochs):
        twice = next(each.name for k, each in enumerate(found) if epochs[k] in epochs[:k])
        raise InputError("at", Text(f"the same epoch for two checkpoints, {twice} and another"), "at=[…], or other paths")
    return epochs, f"the number after {next(iter(words))!r} in their names" if words else "the number in their names"


def _said(at: Any, count: int) -> list[int]:
    if not isinstance(at, Iterable) or isinstance(at, str):
        raise InputError("at", at, "a list of epochs, one per checkpoint")
    numbers = [check_count(f"at[{k}]", each, 0) for k, each in enumerate(at)]
    if len(numbers) != count or len(set(numbers)) < len(numbers):
        raise InputError("at", Text(f"{len(set(numbers))} different numbers"), f"{count}, one per checkpoint")
    return numbers


def _numbers_in(path: Path) -> tuple[list[int | None], str]:
    """What may be the epoch in a name, None for what is not a whole number, and the word before it.

    That is the last number that has one of `WORDS` beside it, or all that stand by themselves. Digits within a word, as in
    v2 and resnet18, do not count.

    Example:
        >>> [_numbers_in(Path(name)) for name in ("epoch=3-step=120.ckpt", "resnet18_20k.pth.tar", "v2.pt", "3-0.9.pt")]
        [([3], 'epoch'), ([20000], ''), ([], ''), ([3, None], '')]
    """
    name = path.name
    while not path.is_dir() and name.endswith(ENDINGS):
        name = name.rpartition(".")[0]
    for word in WORDS:
        start = "" if word in WORDS[:4] else r"(?<![^\W_])"  # "writer" does not hold "iter"
        marked = re.findall(rf"{start}{word}s?[-_=]?({SCALED})|(?<![^\W_])(\d+){word}s?(?![^\W_])", name, re.IGNORECASE)
        if marked:
            return [_whole(marked[-1][0] or marked[-1][1])], word
    alone = re.finditer(r"(?<![^\W_])(\d+(?:\.\d+)?[kKmM]?)(?![^\W_])|[^\W\d_](\d+\.\d+)", name)
    return [_whole(each[1] or each[2]) for each in alone], ""


def _whole(number: str) -> int | None:
    """The number, where it is a whole one: 20 thousand, 1.5 million."""
    digits = number.rstrip("kKmM")
    value = Fraction(digits) * SCALES[number[len(digits) :].lower()]
    # 0.0 and 1.0 are losses and versions
    return int(value) if value.denominator == 1 and ("." not in digits or number != digits) else None
