"""Which recordings a live page follows, each as it was at its newest commit, whatever becomes of it meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import icechunk
import numpy as np

from flowplane.core.paths import as_path
from flowplane.errors import InputError, Text
from flowplane.recording import Recording, open_recording, recording_of
from flowplane.recording.store import BRANCH, CACHE, DATA, UNFINISHED, is_repository
from flowplane.reporting.markup import count
from flowplane.reporting.sources import titles_of

__all__ = ["MOST", "Run", "Runs"]

#: Runs that a page overlays at most: those that changed last.
MOST = 8
#: A folder is searched again after a second, or after this many times as long as the last search took.
PATIENCE = 100
EXPECTED = "a Recording, the path of one, an icechunk Storage, a folder of recordings, or a list of them"


class Run:
    """One recording, as it was when it was last looked at.

    Arguments:
        source: a path, which may hold nothing yet, an icechunk Storage, or a Recording.
        title: what the page calls it.
    """

    def __init__(self, source: Any, title: str) -> None:
        self.title = title
        #: At its newest commit; None where nothing could be read so far.
        self.rec: Recording | None = None
        #: Whether it can be read now.
        self.there = False
        self._open = _opener(source)
        self._repository: icechunk.Repository | None = None

    def look(self) -> None:
        """Take over the newest commit; where nothing can be read now, what was read last stays."""
        try:
            if self._repository is None or self.rec is None or self._repository.lookup_branch(BRANCH) != self.rec.commit:
                self.rec = self._open()
                self._repository = self.rec._repository
            self.there = True
        except Exception:  # deleted, or overwritten at this moment: whatever is missing then, there is nothing to read
            self._repository, self.there = None, False


class Runs:
    """The recordings of sources that may change: a folder stands for those in it or one level further down.

    Arguments:
        sources: what `fp.watch` was given.

    Raises:
        InputError: none, too many, something else, or a recording that cannot be read.
    """

    def __init__(self, sources: Any) -> None:
        several: Sequence[Any] = list(sources) if isinstance(sources, list | tuple) else [sources]
        if not several:
            raise InputError("rec", sources, f"at least one: {EXPECTED}")
        if len(several) > MOST:
            raise InputError("rec", Text(f"{len(several)} things"), f"at most {MOST}, or a folder of recordings")
        self._sources = [_checked(source) for source in several]
        self._titles = titles_of(self._sources)
        self._runs: dict[Any, Run] = {}
        self._found: list[tuple[Any, str]] = []
        self._again = 0.0
        self.left_out = ""

    def look(self) -> list[Run]:
        """The runs there are, looked at now."""
        began = time.monotonic()
        if began >= self._again:
            self._found = self._newest(list(self._expanded()))
            self._again = began + max(1.0, PATIENCE * (time.monotonic() - began))
        known = self._runs
        self._runs = {_key(source): known.get(_key(source)) or Run(source, title) for source, title in self._found}
        for run in self._runs.values():
            run.look()
        return list(self._runs.values())

    def _expanded(self) -> Iterator[tuple[Any, str]]:
        for source, title in zip(self._sources, self._titles, strict=True):
            inside = recordings_in(source) if isinstance(source, Path) and not is_repository(source) else []
            lead = f"{title}/" if len(self._sources) > 1 else ""
            yield from ((path, f"{lead}{path.relative_to(source).as_posix()}") for path in inside)
            if not inside:
                yield source, title

    def _newest(self, found: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
        """At most as many as a page can show; those that changed last."""
        self.left_out = ""
        if len(found) <= MOST:
            return found
        self.left_out = f"{count(len(found), 'recording')} are there; shown are the {MOST} that changed last."
        latest = sorted(found, key=lambda pair: _changed(pair[0]))[-MOST:]
        return [pair for pair in found if pair in latest]


def recordings_in(folder: Path) -> list[Path]:
    """The recordings in a folder, or one level further down, by name."""
    found: list[Path] = []
    for path in _folders(folder):
        found += [path] if is_repository(path) else [deeper for deeper in _folders(path) if is_repository(deeper)]
    return found


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and entry.name != CACHE)
    except OSError:  # nothing there, or nothing that may be read
        return []


def _changed(source: Any) -> float:
    """When a recording in a folder was last written to."""
    try:
        with os.scandir(source / DATA) as entries:
            return max(entry.stat().st_mtime for entry in entries)
    except (OSError, TypeError, ValueError):
        return 0.0


def _checked(source: Any) -> Any:
    """A source, a path where it is in a folder. Raises InputError for what can never be followed."""
    if isinstance(source, Recording | icechunk.Storage):
        return source
    if not isinstance(source, str | os.PathLike):
        raise InputError("rec", Text(type(source).__name__), EXPECTED)
    path = as_path("path", source).absolute()
    if path.exists() and not path.is_dir():
        raise InputError("path", str(source), "a recording, a folder of recordings, or a path where one will be")
    if is_repository(path) and not (path / UNFINISHED).exists():
        open_recording(path)
    return path


def _opener(source: Any) -> Callable[[], Recording]:
    if not isinstance(source, Recording):
        return lambda: open_recording(source)
    whole = source.whole()
    parts = {
        "replica": None if np.array_equal(source.replicas, whole.replicas) else source.replicas.tolist(),
        "layer": None if source.layers == whole.layers else list(source.layers),
    }
    in_folder = source.path is not None and Path(source.path).is_dir()

    def newest() -> Recording:
        found = open_recording(source.path) if in_folder else recording_of(source._repository, source.path)
        return found.sel(**parts)

    return newest


def _key(source: Any) -> Any:
    return source if isinstance(source, Path) else id(source)
