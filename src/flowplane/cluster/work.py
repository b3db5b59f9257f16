"""What a worker does with one task.

Nothing is imported until it runs: the scheduler loads this module too, to read the tasks, and needs nothing of it.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["run_task"]


def run_task(study: str, folder: str) -> str | None:
    """Run the pickled study on the task in `folder`, unless it is done; the traceback if it fails.

    The task's lock is waited for: a worker that lost its scheduler, or whose driver died, finishes what it is at, and the
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


def one_thread_a_task() -> None:
    """Torch and Numba on one thread in this process, for good: the other cores belong to other workers."""
    import numba
    import torch

    torch.set_num_threads(1)
    numba.config.NUMBA_NUM_THREADS = 1  # type: ignore[attr-defined]


@lru_cache(maxsize=2)
def _loaded(study: str) -> Any:
    """The study of a file whose name says what is in it."""
    import cloudpickle

    return cloudpickle.loads(Path(study).read_bytes())
