"""Computed once: the results of an analysis are kept beside the recording, and found again.

What is computed snapshot by snapshot is keyed by what was computed and by the commits that added its snapshots, so that a
new snapshot costs only itself, and a part of a recording finds what the whole has; what needs all of a recording is keyed
by the commit that it shows. A snapshot keeps the value from when it was computed first: computed together with others, it
may differ in the last digit.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from jaxtyping import Bool

from flowplane.core.packing import Unpackable, digest
from flowplane.recording.cache import Cache, cache_of, made_by
from flowplane.recording.reader import Recording

__all__ = ["Block", "by_snapshot", "computed_once", "kept_value"]

#: Arguments that say where something is computed and in how much memory, not what.
MEANS = ("cluster", "memory_budget")
#: A computation kept in this many parts is put together.
PARTS = 8
#: The name of a value that does not belong to single snapshots.
WHOLE = '"whole"'

P = ParamSpec("P")
R = TypeVar("R")


class Block(NamedTuple):
    """The results for some replicas at some epochs: arrays (replica, epoch, …), and what is the same for all."""

    arrays: dict[str, np.ndarray]
    about: Any = None


#: Computes what is named for a part of a recording.
Compute = Callable[[Recording, Sequence[str]], Mapping[str, Block]]


def by_snapshot(rec: Recording, computations: Mapping[str, Any], compute: Compute) -> dict[str, Block]:
    """What each computation gives at every snapshot of a recording, computed where it was not before.

    Arguments:
        computations: what is computed, under a name such as a layer's: the function's name and all that its
            numbers depend on besides the snapshot.
        compute: is called with a part of the recording, several times where computations miss different snapshots.
    """
    cache, names = cache_of(rec), _names(computations)
    if cache is None or names is None:
        return dict(compute(rec, list(computations)))
    # what is shown twice is computed once
    replicas, epochs = (list(dict.fromkeys(places.tolist())) for places in (rec.shown.replicas, rec.shown.epochs))
    snapshots = rec.snapshots_at(epochs)
    grids = {name: _Grid(cache, key, replicas, snapshots) for name, key in names.items()}
    alike: dict[tuple[bytes, ...], list[str]] = defaultdict(list)
    for name, grid in grids.items():
        alike[tuple(part.tobytes() for part in grid.missing())].append(name)
    new: dict[str, dict[str, Any]] = {}
    for group in alike.values():
        rows, columns = map(np.flatnonzero, grids[group[0]].missing())
        if len(rows):
            part = rec.at(np.array(replicas)[rows], np.array(epochs)[columns])
            for name, block in compute(part, group).items():
                grids[name].fill(block, rows, columns)
                new[names[name]] = grids[name].to_keep(block, rows, columns)
    if new:
        cache.write(new, {names[name]: grid.superfluous for name, grid in grids.items()})
    rows = np.array([replicas.index(place) for place in rec.shown.replicas.tolist()])
    columns = np.array([epochs.index(place) for place in rec.shown.epochs.tolist()])
    return {name: grid.block(rows, columns) for name, grid in grids.items()}


def _names(computations: Mapping[str, Any]) -> dict[str, str] | None:
    """A name of each computation that is the same in every process; None where it contains a user's function, which may
    have changed."""
    try:
        return {name: digest((each, made_by())) for name, each in computations.items()}
    except Unpackable:
        return None


class _Grid:
    """The known results of one computation at the replicas and snapshots that are shown, filled from the cache."""

    def __init__(self, cache: Cache, key: str, replicas: list[int], snapshots: list[str]) -> None:
        self.replicas, self.snapshots = replicas, snapshots
        self.arrays: dict[str, np.ndarray] = {}
        self.about: Any = None
        self.filled: Bool[np.ndarray, "replica epoch"] = np.zeros((len(replicas), len(snapshots)), bool)
        #: Cached parts that hold only what is shown, and are not needed once that is kept in one part.
        self.superfluous: Collection[str] = ()
        inside = []
        for name, holds in cache.holds(key).items():
            rows, columns = _places(holds["replicas"], replicas), _places(holds["snapshots"], snapshots)
            if not (rows >= 0).any() or not (columns >= 0).any():
                continue
            if self.filled[np.ix_(rows[rows >= 0], columns[columns >= 0])].all():
                continue
            block = cache.read(key, name)
            if self._fits(block, len(rows), len(columns)):
                chosen = {each: values[rows >= 0][:, columns >= 0] for each, values in block[0].items()}
                self.fill(Block(chosen, block[1]), rows[rows >= 0], columns[columns >= 0])
                if (rows >= 0).all() and (columns >= 0).all():
                    inside.append(name)
        if len(inside) >= PARTS:
            self.superfluous = inside

    def missing(self) -> tuple[Bool[np.ndarray, " replica"], Bool[np.ndarray, " epoch"]]:
        """The replicas and the epochs at which something is missing."""
        return np.logical_not(self.filled.all(1)), np.logical_not(self.filled.all(0))

    def fill(self, block: Block, rows: np.ndarray, columns: np.ndarray) -> None:
        """Take over what was found at these places."""
        at = np.ix_(rows, columns)
        for name, values in block.arrays.items():
            if name not in self.arrays:
                self.arrays[name] = np.empty((*self.filled.shape, *values.shape[2:]), values.dtype)
            self.arrays[name][at] = values
        self.filled[at] = True
        if self.about is None or (at[0][-1, 0], at[1][0, -1]) == (len(self.replicas) - 1, len(self.snapshots) - 1):
            self.about = block.about  # of the last snapshot, as where all are computed

    def to_keep(self, block: Block, rows: np.ndarray, columns: np.ndarray) -> dict[str, Any]:
        """What to keep: the block, or all that is known where it is kept in too many parts."""
        if self.superfluous:
            block, rows, columns = self.block(), np.arange(len(self.replicas)), np.arange(len(self.snapshots))
        snapshots = [self.snapshots[place] for place in columns]
        return {json.dumps({"replicas": [self.replicas[place] for place in rows], "snapshots": snapshots}): tuple(block)}

    def block(self, rows: Any = slice(None), columns: Any = slice(None)) -> Block:
        """All that is known, at these places."""
        return Block({name: values[rows][:, columns] for name, values in self.arrays.items()}, self.about)

    def _fits(self, block: Any, rows: int, columns: int) -> bool:
        """Whether what was read has this many replicas and snapshots, and matches what is known already."""
        if not isinstance(block, tuple) or len(block) != 2 or not isinstance(block[0], dict):
            return False
        if any(not isinstance(values, np.ndarray) or values.shape[:2] != (rows, columns) for values in block[0].values()):
            return False
        shapes = {name: (values.dtype, values.shape[2:]) for name, values in block[0].items()}
        return not self.arrays or shapes == {name: (own.dtype, own.shape[2:]) for name, own in self.arrays.items()}


def _places(names: list[Any], among: list[Any]) -> np.ndarray:
    """Where each name stands; −1 where it is missing."""
    return np.array([among.index(name) if name in among else -1 for name in names], dtype=np.int64)


def kept_value(rec: Recording, computation: Any, compute: Callable[[], R]) -> R:
    """What a computation gives, kept beside a recording.

    Arguments:
        computation: the function's name and all that its value depends on, including `rec.commit` where it needs all
            of the recording.
    """
    cache = cache_of(rec)
    names = _names({WHOLE: computation})
    if cache is None or names is None:
        return compute()
    for name in cache.holds(names[WHOLE]):
        known = cache.read(names[WHOLE], name)
        if known is not None:
            return known  # type: ignore[no-any-return]
    found = compute()
    cache.write({names[WHOLE]: {WHOLE: found}})
    return found


def computed_once(function: Callable[P, R]) -> Callable[P, R]:
    """An analysis that needs all of its recording, the first argument, and is not computed twice for the same one.

    Example:
        >>> from flowplane.analysis.phases import gradient_phases
        >>> gradient_phases.__wrapped__.__name__
        'gradient_phases'
    """
    arguments = signature(function)
    first = next(iter(arguments.parameters))

    @wraps(function)
    def once(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = arguments.bind(*args, **kwargs)
        rec = bound.arguments.get(first)
        if not isinstance(rec, Recording):
            return function(*args, **kwargs)  # which says what is wrong
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if name not in (first, *MEANS)}
        shown = rec.shown
        what = (function.__module__, function.__qualname__, given, rec.commit, shown.replicas, shown.epochs, shown.layers)
        return kept_value(rec, what, lambda: function(*args, **kwargs))

    return once
