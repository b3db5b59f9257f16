"""Studies: what a sweep runs at each point of its grid."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import xarray as xr

from flowplane.core.measure import Measure, check_measure
from flowplane.core.renamed import renamed
from flowplane.ensemble import train
from flowplane.errors import InputError, Text, unknown
from flowplane.recording import Recording, open_recording
from flowplane.tasks import Task

__all__ = ["Study", "described", "train_or_resume"]

_PLAIN = (str, bool, int, float, tuple, type(None))
_OWN = ("task", "path", "mode")


def train_or_resume(task: Task, path: Any, **arguments: Any) -> Recording:
    """`fp.train`, from the last snapshot where a recording is already at the path: a finished one is only opened.

    Arguments:
        task, path: as in `fp.train`.
        arguments: of `fp.train`, but for `mode`. They must be those of the recording; only `epochs` may be more.

    Raises:
        InputError: what `fp.train` refuses.

    Example:
        >>> import flowplane as fp, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for epochs in (1, 2):
        ...         rec = train_or_resume(fp.tasks.spherical_rule(), f"{folder}/run.fp", replicas=1, epochs=epochs)
        ...     rec.epochs.tolist()
        [0, 1, 2]
    """
    try:
        open_recording(path)
        mode = "resume"
    except InputError:  # nothing there, or nothing committed; what is something else `train` refuses
        mode = "create"
    return train(task, path=path, mode=mode, **arguments)


@renamed
class Study:
    """Trains an ensemble at each point of a grid and measures it: a function for `fp.sweep`.

    Arguments:
        task: what to learn.
        measure: an estimator; the result is then `fp.information_plane(rec, measure)`. None: the result is `rec.metrics`.
        fixed: arguments of `fp.train` that are the same for all tasks. The grid takes any of the others.

    Raises:
        InputError: not a Task, not a measure, or an argument that `fp.train` does not have.

    Example:
        >>> import flowplane as fp, tempfile
        >>> study = fp.cluster.Study(fp.tasks.spherical_rule(), fp.Binned(30), hidden=(4,), replicas=1, epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     study(f"{folder}/run.fp", seed=3).i_ty.dims
        ('replica', 'epoch', 'layer')
    """

    def __init__(self, task: Task, measure: Measure | None = None, **fixed: Any) -> None:
        if not isinstance(task, Task):
            raise InputError("task", Text(type(task).__name__), "a Task, such as fp.tasks.spherical_rule()")
        if measure is not None:
            check_measure("measure", measure)
        signature = inspect.signature(train)
        free = {name: about for name, about in signature.parameters.items() if name not in _OWN}
        for name in fixed:
            if name not in free:
                raise unknown("fixed", name, free)
        self.task = task
        self.measure = measure
        self.fixed = fixed
        path = inspect.Parameter("path", inspect.Parameter.POSITIONAL_ONLY)
        parameters = [about.replace(kind=about.KEYWORD_ONLY) for name, about in free.items() if name not in fixed]
        self.__signature__ = inspect.Signature([path, *parameters])

    @property
    def description(self) -> str:
        """What distinguishes this study from others: a sweep's folder holds the results of one."""
        measured = described(self.measure) if self.measure is not None else "metrics"
        fixed = "".join(f", {name}={value!r}" for name, value in sorted(self.fixed.items()))
        return f"Study of {self.task.name} ({self.task.digest[:12]}), {measured}{fixed}"

    def __call__(self, path: Any, /, **parameters: Any) -> xr.Dataset:
        """Train at `path`, from the last snapshot there, and measure."""
        rec = train_or_resume(self.task, path, **self.fixed, **parameters)
        if self.measure is None:
            return rec.metrics
        from flowplane.analysis.plane import information_plane

        return information_plane(rec, self.measure)


def described(function: Callable[..., Any]) -> str:
    """What distinguishes a study from others: its `description`, the name of a function, the repr of an estimator; for a
    `functools.partial` also its plain arguments.

    Example:
        >>> described(functools.partial(train, replicas=2))
        'train(replicas=2)'
    """
    if isinstance(function, functools.partial):
        given = [repr(value) for value in function.args if isinstance(value, _PLAIN)]
        given += [f"{name}={value!r}" for name, value in sorted(function.keywords.items()) if isinstance(value, _PLAIN)]
        return f"{described(function.func)}({', '.join(given)})"
    if hasattr(function, "description"):
        return str(function.description)
    return getattr(function, "__qualname__", None) or repr(function)
