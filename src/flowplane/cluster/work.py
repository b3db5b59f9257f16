"""What a worker does with one task of a sweep, or with one part of an analysis.

Nothing is imported until it runs: the scheduler loads this module too, to read the tasks, and needs nothing of it.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["run_item", "run_task"]


def run_task(study: str, folder: str) -> str | None:
    """Run the pickled study on the task in `folder`, unless it is done; the traceback if it fails.

    The task's lock is waited for: a worker that lost its scheduler, or whose driver died, finishes its work, and the
    task must not run twice.
    """
    from filelock import FileLock

    from flowplane.cluster.folder import TaskFolder
    from flowplane.errors import InputError

    task = TaskFolder(Path(folder))
    one_thread_a_task()
    try:
        if not task.path.is_dir():
            raise InputError("out", folder, "a folder that the workers see too, on a shared file system")
        with FileLock(task.lock, poll_interval=0.2):
            if not task.finished:
                task.finish(_loaded(study)(task.recording, **task.parameters()))
    except (Exception, SystemExit):
        text = traceback.format_exc()
        with suppress(OSError):
            task.fail(text)
        return text
    return None


def run_item(item: bytes, *, function: bytes, version: str) -> Any:
    """What the pickled function returns for the pickled item.

    Raises:
        InputError: another version of flowplane is here, the recording cannot be read here, or what the function raises.
    """
    import cloudpickle

    from flowplane.core.modes import own_modes
    from flowplane.errors import InputError, Text
    from flowplane.version import __version__

    if version != __version__:
        raise InputError("cluster", Text(f"a worker with flowplane {__version__}"), f"workers with {version}, as here")
    one_thread_a_task()
    with own_modes():
        try:
            work = _unpickled(function)
        except InputError as error:
            expected = "workers that read the recording where it lies: a folder that all share, or an object store"
            raise InputError("cluster", Text(f"a worker that cannot open it ({error})"), expected) from error
        return work(cloudpickle.loads(item))


def one_thread_a_task() -> None:
    """Torch and Numba permanently on one thread in this process: the other cores belong to other workers."""
    import numba
    import torch

    torch.set_num_threads(1)
    numba.config.NUMBA_NUM_THREADS = 1  # type: ignore[attr-defined]


@lru_cache(maxsize=2)
def _loaded(study: str) -> Any:
    """The study of a file whose name says what is in it."""
    import cloudpickle

    return cloudpickle.loads(Path(study).read_bytes())


@lru_cache(maxsize=2)
def _unpickled(function: bytes) -> Any:
    """The function of an analysis, with the recording that it reads: opened once per worker."""
    import cloudpickle

    return cloudpickle.loads(function)
