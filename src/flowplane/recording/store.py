"""Icechunk and Zarr behind recordings: one atomic commit per snapshot, one writer at a time.

A recording in a folder is that folder with `writer.lock` and the Icechunk repository `data` in it, `cache` where something
was computed from it, and until its first snapshot is committed an empty file `unfinished`: only what carries that mark, or
is overwritten on demand, is ever deleted.
"""

from __future__ import annotations

import os
import platform
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import icechunk
import numpy as np
import torch
import zarr
from filelock import FileLock, Timeout

from flowplane.core.paths import as_path
from flowplane.errors import InputError, Text
from flowplane.recording import asserts  # noqa: F401
from flowplane.version import __version__

__all__ = ["BRANCH", "FORMAT", "MODES", "STATISTICS", "Writer", "array_of", "growing", "open_repository", "put"]
__all__ += [
    "CACHE",
    "DATA",
    "UNFINISHED",
    "is_repository",
    "locked",
    "remove_computed",
    "require_own_process",
    "storage_of",
    "versions",
]

#: 1: ensembles of `fp.train`. 2: recordings of a model as well. 3: arguments under their present names, and an array for
#: each variable of an online measure.
FORMAT = 3
#: What happens to a recording that exists already.
MODES = ("create", "resume", "overwrite")
STATISTICS = ("gradient_mean", "gradient_std", "weight_norm")
BRANCH = "main"
LOCK, DATA, UNFINISHED = "writer.lock", "data", "unfinished"
#: What was computed from a recording, laid out like one: a lock and a repository.
CACHE = "cache"
NEW_PATH = "a new path; mode='resume' continues the recording there, mode='overwrite' replaces it"
#: Attribute of a commit: how many files of chunks, and bytes in them, were there.
FILES = "files"

#: The process that first used a recording.
_users: dict[str, int] = {}

icechunk.set_logs_filter("error")  # its warning that folders have no concurrent commits: the lock below sees to that


def require_own_process() -> None:
    """Raise InputError in a fork of a process that has used recordings: icechunk's threads live only in that one, and would
    be waited for without end."""
    if _users.setdefault("first", os.getpid()) != os.getpid():
        found = Text("a fork of a process that has read or written recordings")
        raise InputError("process", found, "one of its own: multiprocessing.get_context('spawn')")


def open_repository(path: Any) -> tuple[icechunk.Repository, str]:
    """The repository of an existing recording, and where it is, whatever the working directory becomes.

    Raises:
        InputError: there is no recording, creating it was interrupted, or a newer flowplane wrote it.
    """
    require_own_process()
    wanted = "a recording, such as fp.train(task, path=…) and fp.Recorder make"
    if isinstance(path, icechunk.Storage):
        name = str(path)
        try:
            repository = icechunk.Repository.open(path)
        except icechunk.IcechunkError as error:
            raise InputError("path", Text(name), wanted) from error
    else:
        folder, name = as_path("path", path).absolute(), str(as_path("path", path))
        if _is_empty(folder):
            raise InputError("path", name, f"{wanted}; nothing is there")
        if not is_repository(folder):
            if _is_unfinished(folder):
                raise InputError("path", name, f"{wanted}; this one was interrupted before its first snapshot")
            raise InputError("path", name, f"{wanted}; this is not one")
        repository = icechunk.Repository.open(storage_of(folder))
    written = _format(repository, name)
    if written is None:
        raise InputError("path", name, f"{wanted}; this one holds no committed snapshot")
    if written > FORMAT:
        raise InputError("path", Text(f"{name} in format {written}"), f"format {FORMAT} or older: update flowplane")
    if isinstance(path, icechunk.Storage):
        return repository, name
    _require_whole(repository, folder, name)
    return repository, str(folder)


def _require_whole(repository: icechunk.Repository, folder: Path, name: str) -> None:
    """Raise InputError where files are missing that were there at the last commit: a copy that was cut short."""
    try:
        recorded = next(iter(repository.ancestry(branch=BRANCH))).metadata.get(FILES)
    except icechunk.IcechunkError as error:
        raise InputError("path", name, "an intact recording; this one cannot be read") from error
    if recorded is not None:
        files, size = _chunk_files(folder)
        if files < recorded[0] or size < recorded[1]:
            found = Text(f"{name}, {files} files of {size:,} bytes")
            raise InputError(
                "path", found, f"the whole recording, {recorded[0]} files of {recorded[1]:,} bytes; copy it again"
            )


def _chunk_files(folder: Path) -> tuple[int, int]:
    """How many files hold chunks, and their bytes."""
    try:
        with os.scandir(folder / DATA / "chunks") as entries:
            sizes = [entry.stat().st_size for entry in entries]
    except FileNotFoundError:
        sizes = []
    return len(sizes), sum(sizes)


def storage_of(folder: Path) -> icechunk.Storage:
    """The storage of the repository in the folder of a recording."""
    return icechunk.local_filesystem_storage(str(folder / DATA))


def is_repository(folder: Path) -> bool:
    """Whether a folder holds a recording's repository, not only a lock or other files."""
    return (folder / DATA).is_dir() and icechunk.Repository.exists(storage_of(folder))


def _is_empty(folder: Path) -> bool:
    """Whether it holds nothing, or nothing but a lock."""
    return not folder.exists() or (folder.is_dir() and all(entry.name == LOCK for entry in folder.iterdir()))


def _is_unfinished(folder: Path) -> bool:
    return folder.is_dir() and (folder / UNFINISHED).exists()


def _format(repository: icechunk.Repository, name: str) -> int | None:
    """The format of a recording; None where nothing was committed yet. Raises InputError where something is missing."""
    try:
        root = zarr.open_group(repository.readonly_session(BRANCH).store, mode="r")
    except FileNotFoundError as error:
        if _commits(repository) == 0:
            return None
        raise InputError("path", name, "an intact recording; files are missing from this one") from error
    except icechunk.IcechunkError as error:
        raise InputError("path", name, "an intact recording; this one cannot be read") from error
    written = root.attrs.get("flowplane_format")
    return written if isinstance(written, int) else None


def _commits(repository: icechunk.Repository) -> int:
    """How many commits were made after the repository's creation; −1 where its history cannot be read."""
    try:
        return len(list(repository.ancestry(branch=BRANCH))) - 1
    except icechunk.IcechunkError:
        return -1


class Writer:
    """The one process that may add snapshots to a recording. Use as a context manager: leaving it frees the lock.

    Arguments:
        path: a folder, an icechunk Storage, or None for memory.
        mode: "create" refuses what exists, "resume" needs it, "overwrite" replaces it.

    Raises:
        InputError: the path does not fit the mode, cannot be written, or another process writes to it.
    """

    def __init__(self, path: Any, mode: str) -> None:
        require_own_process()
        self.path = path
        self._lock: FileLock | None = None
        if path is None or isinstance(path, icechunk.Storage):
            storage = icechunk.in_memory_storage() if path is None else path
            self.repository, self.resumed = _open_or_create(storage, mode, str(path))
        else:
            self.path = as_path("path", path).absolute()
            self.repository, self.resumed = self._claim(self.path, mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def abandon(self) -> None:
        """Remove what was started and never committed, and free the lock."""
        if isinstance(self.path, Path) and _is_unfinished(self.path):
            shutil.rmtree(self.path / DATA, ignore_errors=True)
            (self.path / UNFINISHED).unlink(missing_ok=True)
        self.__exit__()

    def _claim(self, folder: Path, mode: str) -> tuple[icechunk.Repository, bool]:
        """Lock the folder, then open or make the repository in it."""
        empty, name = _is_empty(folder), str(folder)
        if not empty and not is_repository(folder) and not _is_unfinished(folder):
            raise InputError("path", name, f"an empty path, or a recording to {mode}; this is neither")
        if mode == "resume" and empty:
            raise InputError("path", name, "an existing recording to resume; nothing is there")
        self._lock = locked(folder)
        try:  # from here on, no other process can change what is there
            if is_repository(folder) and mode != "overwrite":
                repository = icechunk.Repository.open(storage_of(folder))
                if _format(repository, name) is not None:
                    if mode == "create":
                        raise InputError("path", name, NEW_PATH)
                    return repository, True
                if not _is_unfinished(folder):
                    raise InputError("path", name, "an intact recording; this one holds no committed snapshot")
            (folder / UNFINISHED).touch()
            if (folder / DATA).exists():  # an overwritten recording, or what an interrupted creation left
                shutil.rmtree(folder / DATA)
            remove_computed(folder)
            return icechunk.Repository.create(storage_of(folder)), False
        except BaseException:
            self._lock.release()
            raise

    def commit(self, session: icechunk.Session, message: str) -> None:
        """Make what a session wrote part of the recording: all of it, or nothing."""
        session.commit(message, {FILES: list(_chunk_files(self.path))} if isinstance(self.path, Path) else None)
        if isinstance(self.path, Path):
            (self.path / UNFINISHED).unlink(missing_ok=True)


def _open_or_create(storage: icechunk.Storage, mode: str, name: str) -> tuple[icechunk.Repository, bool]:
    """A repository on an object store or in memory, where Icechunk itself refuses a second writer."""
    if not icechunk.Repository.exists(storage):
        if mode == "resume":
            raise InputError("path", Text(name), "an existing recording to resume; nothing is there")
        return icechunk.Repository.create(storage), False
    repository = icechunk.Repository.open(storage)
    if _format(repository, name) is None:
        return repository, False
    if mode == "create":
        raise InputError("path", Text(name), NEW_PATH)
    if mode == "overwrite":
        first = list(repository.ancestry(branch=BRANCH))[-1]
        repository.reset_branch(BRANCH, first.id)
        return repository, False
    return repository, True


def locked(folder: Path) -> FileLock:
    """A writer's lock on a folder, which is made if needed; the system frees it when the process dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, thread_local=False)  # whichever thread writes last frees it
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError("path", str(folder), "a recording that no other process is writing to") from error
    except OSError as error:
        raise InputError("path", str(folder), f"a folder that can be written ({error.strerror})") from error
    return lock


def remove_computed(folder: Path) -> int:
    """Remove what was computed from the recording in a folder, and nothing else; returns how many bytes it took."""
    place = folder / CACHE
    size = sum(file.stat().st_size for file in (place / DATA).rglob("*") if file.is_file())
    shutil.rmtree(place / DATA, ignore_errors=True)
    (place / LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # it holds a user's own files
        place.rmdir()
    return size


def versions() -> dict[str, str]:
    """The versions of what makes a recording."""
    return {
        "flowplane": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def put(group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...]) -> None:
    """An array that stays as it is."""
    if values.dtype.kind == "U":  # of any length
        group.create_array(name, shape=values.shape, dtype=str, chunks=values.shape, dimension_names=dims)[...] = values
    else:
        group.create_array(name, data=np.ascontiguousarray(values), chunks=values.shape, dimension_names=dims)


def growing(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    kind: Any,
    dims: tuple[str, ...],
    **options: Any,
) -> None:
    """An array that is appended to; NaN, 0 or "" where nothing was written."""
    kind = np.dtype(kind)
    options = {"fill_value": np.nan if kind.kind in "fc" else "" if kind.kind == "U" else 0} | options
    options["dtype"] = str if kind.kind == "U" else kind  # texts of any length
    group.create_array(name, shape=shape, chunks=chunks, dimension_names=dims, **options)


def array_of(root: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array of a group, by its path."""
    array = root[name]
    assert isinstance(array, zarr.Array)
    return array
