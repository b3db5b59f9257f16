"""Where results computed from a recording are kept: an Icechunk repository beside its data, with a lock of its own.

A recording in a folder has it in the folder `cache`, one on an object store under the prefix `cache` of its own. A group
stands for one computation; each array in it, bytes with their digest, for the results of some snapshots. What cannot be
read counts as missing, what cannot be written is not kept, both in silence. It grows until
`flowplane clean` removes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import zarr
from filelock import FileLock

from flowplane.core.packing import packed, unpacked
from flowplane.errors import InputError
from flowplane.recording.copying import InMemory
from flowplane.recording.store import (
    BRANCH,
    CACHE,
    DATA,
    locked,
    open_repository,
    remove_computed,
    require_own_process,
    storage_of,
    versions,
)

__all__ = ["Cache", "cache_of", "clean", "made_by"]

#: Attributes: of the repository its format; of an array what it holds, and the digest of its bytes.
FORMAT, HOLDS, DIGEST = "flowplane_cache", "holds", "digest"


@cache
def made_by() -> tuple[Any, ...]:
    """What numbers depend on besides the recording and the arguments: versions, and flowplane's source as it is. A
    changed source counts as another version, so that a developer of flowplane never sees results of older code."""
    sources = blake2b(digest_size=16)
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        sources.update(path.read_bytes())
    return {name: str(version) for name, version in versions().items()}, sources.hexdigest()


def cache_of(rec: Any) -> Cache | None:
    """The cache of a recording; None for one in memory, and in a fork, where nothing can be read."""
    try:
        require_own_process()
    except InputError:
        return None
    if isinstance(rec._store, InMemory):
        return None
    folder = Path(rec.path) if rec.path is not None else None
    if folder is not None and folder.is_dir():
        return Cache(folder / CACHE)
    storage = _under(rec._repository, CACHE)
    return None if storage is None else Cache(storage)


def clean(path: Any) -> int:
    """Remove the cache of a recording in a folder; returns how many bytes it took.

    Raises:
        InputError: there is no recording, or another process is writing to its cache at this moment.
    """
    folder = Path(open_repository(path)[1])
    if not (folder / CACHE / DATA).is_dir():
        return 0
    lock = locked(folder / CACHE)
    try:
        return remove_computed(folder)
    finally:
        lock.release()


def _under(repository: icechunk.Repository, name: str) -> icechunk.Storage | None:
    """The Storage of a repository with `name` behind its prefix; None where the prefix is not known.

    Icechunk cannot derive one Storage from another, but a repository pickled in MessagePack contains its own.
    """
    known = re.search(r"\b(prefix|path)=([^,)]+)", str(repository.storage))
    if known is None:
        return None
    key, place = (part.encode() for part in known.groups())
    state = repository.__getstate__()["_repository"]  # type: ignore[index]
    moved = icechunk.Repository.__new__(icechunk.Repository)
    deeper = place.rstrip(b"/") + b"/" + name.encode()
    with suppress(Exception):
        moved.__setstate__({"_repository": state.replace(_text(key) + _text(place), _text(key) + _text(deeper))})
        return None if str(moved.storage) == str(repository.storage) else moved.storage
    return None


def _text(value: bytes) -> bytes:
    """A text in MessagePack: its length before it."""
    size = len(value)
    head = bytes([0xA0 | size]) if size < 32 else bytes([0xD9, size]) if size < 256 else b"\xda" + size.to_bytes(2, "big")
    return head + value


class Cache:
    """The repository of computed results, as it was when this was made.

    Arguments:
        place: a folder, or an icechunk Storage.
    """

    def __init__(self, place: Path | icechunk.Storage) -> None:
        self._place = place
        self._root: zarr.Group | None = None
        if isinstance(place, Path) and not place.is_dir():
            return  # asking Icechunk would make the folder
        with suppress(Exception):  # nothing there, damaged, or something else
            root = zarr.open_group(icechunk.Repository.open(self._storage()).readonly_session(BRANCH).store, mode="r")
            self._root = root if root.attrs.get(FORMAT) == 1 else None

    def holds(self, computation: str) -> dict[str, Any]:
        """What the arrays of a computation hold, by their names."""
        with suppress(Exception):
            group = None if self._root is None else self._root[computation]
            if isinstance(group, zarr.Group):
                return {name: array.attrs[HOLDS] for name, array in group.arrays()}
        return {}

    def read(self, computation: str, name: str) -> Any:
        """What was found; None where it cannot be read."""
        with suppress(Exception):
            array = None if self._root is None else self._root[f"{computation}/{name}"]
            if isinstance(array, zarr.Array):
                data = np.asarray(array[:]).tobytes()
                return unpacked(data) if _digest(data) == array.attrs[DIGEST] else None
        return None

    def write(self, found: Mapping[str, Mapping[str, Any]], instead: Mapping[str, Collection[str]] | None = None) -> None:
        """Keep what was found, all of it or nothing, unless another process is writing or nothing can be written.

        Arguments:
            found: by computation and by what it holds, as JSON, the value.
            instead: by computation, the names of arrays that this replaces.
        """
        with suppress(Exception):
            lock = self._locked()
            try:
                self._write(found, instead or {})
            finally:
                if lock is not None:
                    lock.release()

    def _write(self, found: Mapping[str, Mapping[str, Any]], instead: Mapping[str, Collection[str]]) -> None:
        session = icechunk.Repository.open_or_create(self._storage()).writable_session(BRANCH)
        root = zarr.open_group(session.store, mode="a")
        if root.attrs.get(FORMAT, 1) != 1:
            return
        root.attrs[FORMAT] = 1
        for computation, parts in found.items():
            group = root.require_group(computation)
            for name in instead.get(computation, ()):
                if name in group:
                    del group[name]
            for holds, value in parts.items():
                data = packed(value)
                name = blake2b(holds.encode(), digest_size=8).hexdigest()
                array = group.create_array(name, data=np.frombuffer(data, np.uint8), chunks=(len(data),), overwrite=True)
                array.attrs.update({HOLDS: json.loads(holds), DIGEST: _digest(data)})
        session.commit("computed")

    def _locked(self) -> FileLock | None:
        """The lock on a folder; on an object store Icechunk itself refuses a second writer."""
        if not isinstance(self._place, Path):
            return None
        if not (self._place.parent / DATA).is_dir():
            raise FileNotFoundError(self._place)  # moved away in the meantime
        return locked(self._place)

    def _storage(self) -> icechunk.Storage:
        return storage_of(self._place) if isinstance(self._place, Path) else self._place


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
