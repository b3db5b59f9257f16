"""`fp.sweep`: a study over a grid, task by task, on as many workers as there are."""

from __future__ import annotations

import hashlib
import inspect
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr
from filelock import FileLock, Timeout

from flowplane.cluster.clients import NEEDED, check_cluster, connected
from flowplane.cluster.folder import SweepFolder
from flowplane.cluster.gathering import gathered
from flowplane.cluster.grid import Grid, Value
from flowplane.cluster.study import described
from flowplane.cluster.work import run_task
from flowplane.core.files import whole_file
from flowplane.core.points import check_count
from flowplane.core.progress import progress_bar
from flowplane.errors import InputError, Interrupted, MissingRequirement, SweepFailed, Text, unknown

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["sweep"]

#: Failures that the message of SweepFailed spells out.
_SHOWN = 10


def sweep(function: Callable[..., Any], grid: Any, out: Any, *, cluster: Any = None, retries: int = 1) -> xr.Dataset:
    """Run a study at every point of a grid, and gather what it found as one Dataset.

    Each task has a folder of its own in `out`. A finished task is never run again; one that was cut short, by Ctrl-C, a
    crash, or the death of a worker or of this process, goes on from the last snapshot of its recording when the same call
    is made again. A grid with more values adds to what is there.

    Arguments:
        function: called as `function(path, **parameters)`, in a worker process. `path` is for its recording:
            `fp.cluster.train_or_resume(task, path, …)` trains there. It returns a Dataset of results, which is kept beside
            the recording, the Recording, or None. `fp.cluster.Study(task, measure, …)` is such a function. Closures,
            lambdas and functions of a notebook will do.
        grid: dict of parameters, each with a list of values: strings, finite numbers, booleans, None, or tuples of them.
        out: folder of the sweep, which holds one study; the workers must see it too.
        cluster: None for one worker process per core on this machine, or how many. Or a running cluster: the address of a
            Dask scheduler ("tcp://host:8786"), a `distributed.Client`, or a cluster object such as those of dask-jobqueue.
        retries: how often a task that failed is run again before it is given up. A worker's death is not a failure: the task
            goes to another worker, up to three times.

    Returns:
        Dataset as `fp.cluster.gather` gives it, of this grid.

    Raises:
        InputError: an invalid argument, a folder that holds another study, or one where another process is
            running a sweep. Nothing is run then.
        SweepFailed: tasks failed, or the scheduler was lost; raised when all others are done. It names them by their
            parameters, with tracebacks, and carries the Dataset of the rest.
        Interrupted: Ctrl-C. Finished tasks and committed snapshots stay; the same call goes on.
        MissingRequirement: Dask is not installed (`pip install "flowplane[cluster]"`).

    Example:
        >>> import flowplane as fp
        >>> study = fp.cluster.Study(fp.tasks.spherical_rule(), fp.Binned(30), replicas=4, epochs=1000)
        >>> plane = fp.sweep(study, {"seed": [0, 1], "train_fraction": [0.05, 0.85]}, "sweeps/size")  # doctest: +SKIP
        >>> plane.i_ty.dims  # doctest: +SKIP
        ('seed', 'train_fraction', 'replica', 'epoch', 'layer')
    """
    chosen = Grid.checked(grid)
    check_count("retries", retries, 0)
    _check_function(function, chosen)
    folder = SweepFolder.of(out)
    pickled = _pickled(function)
    check_cluster(cluster)
    with _only_driver(folder):
        folder.record(described(function), chosen)
        tasks = chosen.tasks()
        for parameters in tasks:
            folder.task(parameters).prepare(parameters)
        ahead = [parameters for parameters in tasks if not folder.task(parameters).finished]
        failures: dict[str, str] = {}
        if ahead:
            with progress_bar("sweep", len(tasks)) as advance, _study_file(folder, pickled) as study:
                advance(len(tasks) - len(ahead))
                try:
                    with connected(cluster, len(ahead), folder.path / "workers.log") as client:
                        failures = _run(client, folder, ahead, study, retries, advance)
                except KeyboardInterrupt as interrupt:
                    raise Interrupted(f"the sweep was stopped; {_kept(folder, tasks)}") from interrupt
        dataset = gathered(folder, chosen)
    if failures:
        raise _failed(folder, tasks, failures, dataset)
    return dataset


def _run(
    client: Client,
    folder: SweepFolder,
    tasks: list[dict[str, Value]],
    study: Path,
    retries: int,
    advance: Callable[[float], None],
) -> dict[str, str]:
    """Run the tasks; the tracebacks of those that failed, by the names of their folders."""
    from distributed import as_completed

    # one group, so that a task waits at the scheduler and not at a worker, whose death it would be blamed for
    group = f"sweep-{uuid.uuid4().hex}"
    places = {task.path.name: task for task in map(folder.task, tasks)}
    attempts = dict.fromkeys(places, 0)
    failures: dict[str, str] = {}
    futures: dict[str, Any] = {}

    def submitted(names: list[str]) -> list[Any]:
        for name in names:
            attempts[name] += 1
        keys = [(group, name, attempts[name]) for name in names]
        paths = [str(places[name].path) for name in names]
        found = client.map(run_task, [str(study)] * len(names), paths, key=keys, pure=False)
        futures.update(zip(names, found, strict=True))
        return found

    try:
        waiting = as_completed(submitted(list(places)), loop=client.loop, raise_errors=False)
        for future in waiting:
            name = future.key[1]
            if future.status == "finished":
                text = future.result()
            elif future.status == "error":  # workers died, or have no flowplane
                text = "".join(traceback.format_exception_only(future.exception()))
                places[name].fail(text)
            else:
                raise SweepFailed(f"the scheduler is gone; {_kept(folder, tasks)}")
            if text is None and not places[name].finished:
                text = f"the worker finished, but nothing is in {places[name].path}: workers must share the folder"
            if text is not None and attempts[name] <= retries:
                waiting.update(submitted([name]))
                continue
            if text is not None:
                failures[name] = text
            del futures[name]
            advance(1)
    except BaseException:
        client.cancel(list(futures.values()))
        raise
    return failures


@contextmanager
def _only_driver(folder: SweepFolder) -> Iterator[None]:
    """The lock of the folder, which is made if needed."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.lock)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError("out", str(folder.path), "a folder where no other process is running a sweep") from error
    except OSError as error:
        raise InputError("out", str(folder.path), f"a folder that can be written ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _study_file(folder: SweepFolder, pickled: bytes) -> Iterator[Path]:
    """The study, for the workers to load once each; a message to the scheduler would carry it once per task."""
    for left in folder.path.glob("study-*.pickle"):
        left.unlink()
    file = folder.path / f"study-{hashlib.sha256(pickled).hexdigest()[:12]}.pickle"
    with whole_file(file) as part:
        part.write_bytes(pickled)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def _pickled(function: Callable[..., Any]) -> bytes:
    try:
        import cloudpickle
    except ImportError as error:
        raise MissingRequirement(NEEDED) from error
    try:
        return cloudpickle.dumps(function)
    except Exception as error:
        raise InputError("function", function, f"one that can be sent to another process ({error})") from error


def _check_function(function: Any, grid: Grid) -> None:
    if not callable(function) or isinstance(function, type):
        raise InputError("function", function, "a function of a path and the parameters of the grid")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C
        return
    if not signature.parameters:
        raise InputError("function", Text(f"{described(function)}{signature}"), "one that takes a path first")
    taken = list(signature.parameters.values())[1:]
    if taken and not any(about.kind is about.VAR_KEYWORD for about in taken):
        for name in grid.values:
            if name not in signature.parameters:
                raise unknown("grid", name, [about.name for about in taken])
    try:
        signature.bind(None, **grid.tasks()[0])
    except TypeError as error:
        expected = f"the parameters of {described(function)}{signature} ({error})"
        raise InputError("grid", list(grid.values), expected) from error


def _kept(folder: SweepFolder, tasks: list[dict[str, Value]]) -> str:
    done = sum(folder.task(parameters).finished for parameters in tasks)
    kept = f"{done} of {len(tasks)} tasks are finished, and every committed snapshot of the others is kept in {folder.path}"
    return f"{kept}; the same call goes on from there"


def _failed(
    folder: SweepFolder, tasks: list[dict[str, Value]], failures: dict[str, str], dataset: xr.Dataset
) -> SweepFailed:
    """The error at the end, with the tasks in the order of the grid."""
    named = [(folder.task(parameters).path.name, parameters) for parameters in tasks]
    listed = [(parameters, failures[name]) for name, parameters in named if name in failures]
    lines = [
        f"  {', '.join(f'{name}={value!r}' for name, value in parameters.items())}: {text.strip().splitlines()[-1]}"
        for parameters, text in listed[:_SHOWN]
    ]
    if len(listed) > _SHOWN:
        lines.append(f"  and {len(listed) - _SHOWN} more")
    about = f"{len(listed)} of {len(tasks)} tasks failed; the others are kept in {folder.path}"
    return SweepFailed("\n".join([f"{about}, and the same call runs only what is missing:", *lines]), listed, dataset)
