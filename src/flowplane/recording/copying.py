"""Copies of recordings: a copy in this process shares what is stored, a pickled one contains it or opens it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import icechunk
from zarr.core.buffer import default_buffer_prototype
from zarr.core.buffer.cpu import Buffer
from zarr.core.sync import sync
from zarr.storage import WrapperStore

from flowplane.errors import InputError, Text
from flowplane.recording.selection import View
from flowplane.recording.store import BRANCH, open_repository, require_own_process

if TYPE_CHECKING:
    from flowplane.recording.reader import Recording

__all__ = ["IN_MEMORY", "Copied", "InMemory", "Kept"]

#: What icechunk calls a Storage in memory that a user gives as a path.
IN_MEMORY = "ObjectStorage(backend=InMemory"


class Copied:
    """A recording that `copy` and `pickle` can copy, as it was at the commit that it shows.

    The pickle holds the contents of one in memory, also for metrics and activations read from it later, and the path of
    one in a folder, which is opened again there.
    """

    _repository: icechunk.Repository
    _store: Any
    _view: View
    path: str | None

    def __copy__(self) -> Self:
        return type(self)(self._repository, self.path, self._view)  # type: ignore[call-arg]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # what is committed never changes, so two recordings can read it
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        shown = self._view
        parts = (shown.replicas, shown.epochs, shown.layers)
        if isinstance(self._store, InMemory):
            return _in_memory, (type(self), self._store, parts)
        source: Any = self._repository  # on an object store
        if self.path is not None and Path(self.path).is_dir():
            source = self.path
        return _opened_again, (type(self), source, self.path, self._store.commit, parts)


class Kept(WrapperStore[Any]):
    """What a recording reads, and arrays that are read later, in the process that may read it."""

    @property
    def commit(self) -> str:
        """The commit that it shows."""
        return str(self._store.session.snapshot_id)

    def added(self, repository: icechunk.Repository) -> dict[str, str]:
        """The commits up to it by their messages, which are different where they add a snapshot."""
        if self._added is None:
            self._added = {one.message: one.id for one in repository.ancestry(snapshot_id=self.commit)}
        return self._added

    _added: dict[str, str] | None = None

    async def get(self, *key: Any, **options: Any) -> Any:
        """As of the store. Raises InputError in a fork."""
        require_own_process()
        return await super().get(*key, **options)


class InMemory(Kept):
    """In memory: a copy contains everything in it."""

    def __init__(self, store: Any, repository: icechunk.Repository) -> None:
        super().__init__(store)
        self.repository = repository

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # it is only read

    def __reduce__(self) -> tuple[Any, tuple[dict[str, bytes]]]:
        return _refilled, (_contents(self),)


def _contents(store: Any) -> dict[str, bytes]:
    async def read() -> dict[str, bytes]:
        return {key: (await store.get(key, default_buffer_prototype())).to_bytes() async for key in store.list()}

    return sync(read())


def _refilled(contents: dict[str, bytes]) -> InMemory:
    require_own_process()
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repository.writable_session(BRANCH)

    async def write() -> None:
        for key, values in contents.items():
            await session.store.set(key, Buffer.from_bytes(values))

    sync(write())
    session.commit("a copy")
    return InMemory(repository.readonly_session(BRANCH).store, repository)


def _in_memory(kind: type[Recording], store: InMemory, parts: tuple[Any, ...]) -> Recording:
    return kind(store.repository, None, View(store, *parts))


def _opened_again(kind: type[Recording], source: Any, name: str | None, commit: str, parts: tuple[Any, ...]) -> Recording:
    """Raises InputError where the recording is gone or has been replaced by another."""
    repository = open_repository(source)[0] if isinstance(source, str) else source
    try:
        store = repository.readonly_session(snapshot_id=commit).store
    except icechunk.IcechunkError as error:
        wanted = "the recording that was copied; another one has taken its place"
        raise InputError("path", Text(source if isinstance(source, str) else name), wanted) from error
    return kind(repository, name, View(Kept(store), *parts))
