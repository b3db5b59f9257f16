"""The exceptions that flowplane raises on purpose."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "ClusterFailed",
    "InputError",
    "Interrupted",
    "MissingRequirement",
    "NotRecorded",
    "RecordingFailed",
    "SweepFailed",
    "Text",
    "not_finite",
    "unknown",
]


class InputError(ValueError):
    """Bad input: the message names the argument, what was found and what is expected.

    Example:
        >>> raise InputError("train_fraction", 1.5, "a number in (0, 1]")
        Traceback (most recent call last):
        ...
        flowplane.errors.InputError: train_fraction: found 1.5, expected a number in (0, 1]
    """

    def __init__(self, argument: str, found: object, expected: str) -> None:
        self.argument = argument
        self.found = found
        self.expected = expected
        super().__init__(f"{argument}: found {_shown(found)}, expected {expected}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        return type(self), (self.argument, self.found, self.expected)


class NotRecorded(InputError):
    """What was asked of a recording was not kept while it was recorded."""


class MissingRequirement(RuntimeError):
    """Something outside the project is needed for this and is not there (a browser, an optional package)."""


class Interrupted(KeyboardInterrupt):
    """Training or a sweep was stopped by Ctrl-C; the message says what is kept, where, and how to resume.

    `recording` is the Recording up to its last committed snapshot; None for a sweep.
    """

    def __init__(self, message: str, recording: Any = None) -> None:
        super().__init__(message)
        self.recording = recording


class ClusterFailed(RuntimeError):
    """An analysis on a cluster was given up: its scheduler was lost, or workers died over and over, as the message says."""


class RecordingFailed(RuntimeError):
    """A snapshot of a model could not be taken or written (a full disk, a folder that is gone); the message says why, and
    what is kept."""


class SweepFailed(RuntimeError):
    """Tasks of a sweep failed, or its scheduler was lost; the message names the tasks by their parameters.

    `failures` are pairs of a task's parameters and its traceback, `dataset` is what all other tasks found (None where the
    scheduler was lost).
    """

    def __init__(self, message: str, failures: Iterable[tuple[dict[str, Any], str]] = (), dataset: Any = None) -> None:
        super().__init__(message)
        self.failures = list(failures)
        self.dataset = dataset


class Text(str):
    """A description of what was found, shown in an `InputError` without quotes."""


def _shown(found: object) -> str:
    text = " ".join((str(found) if isinstance(found, Text) else repr(found)).split())
    return text if len(text) <= 200 else text[:197] + "..."


def not_finite(argument: str, count: int, note: str = "") -> InputError:
    """The error for numbers that are NaN or infinite; `note` says more of them.

    Example:
        >>> str(not_finite("inputs", 1))
        'inputs: found 1 value that is NaN or infinite, expected finite numbers'
    """
    said = "1 value that is" if count == 1 else f"{count:,} values that are"
    return InputError(argument, Text(f"{said} NaN or infinite{note}"), "finite numbers")


def unknown(argument: str, found: object, known: Iterable[str]) -> InputError:
    """The error for a name that is not in `known`; it suggests the nearest known name.

    Example:
        >>> unknown("layer", "layer7", ["layer1", "layer2"]).expected
        "one of layer1, layer2 (did you mean 'layer2'?)"
    """
    names = [str(name) for name in known]
    near = difflib.get_close_matches(str(found), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return InputError(argument, found, f"one of {', '.join(names)}{hint}")
