"""Which part of a recording is shown: positions, and what a label, a list of labels or a slice of labels means."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Int

from flowplane.errors import InputError, unknown

__all__ = ["View", "positions"]


@dataclass(frozen=True, eq=False)
class View:
    """Positions of replicas and epochs, and names of layers, in a store as it was at one commit."""

    store: Any
    replicas: Int[np.ndarray, " replica"]
    epochs: Int[np.ndarray, " epoch"]
    layers: tuple[str, ...]


def positions(name: str, wanted: Any, available: Sequence[Any]) -> np.ndarray:
    """Positions of the wanted labels among the available ones; all of them for None.

    Raises:
        InputError: a label that is not available, or nothing left.
    """
    if wanted is None:
        return np.arange(len(available))
    if isinstance(wanted, slice):
        try:
            places = np.arange(len(available))[pd.Index(available).slice_indexer(wanted.start, wanted.stop, wanted.step)]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(name, wanted, f"a slice within {available[0]} … {available[-1]}") from error
    else:
        plain = wanted.values if isinstance(wanted, xr.DataArray) else wanted
        plain = plain.tolist() if hasattr(plain, "tolist") else plain
        labels = list(plain) if isinstance(plain, Iterable) and not isinstance(plain, str) else [plain]
        lookup = {label: place for place, label in enumerate(available)}
        for label in labels:
            if not isinstance(label, Hashable) or isinstance(label, bool) or label not in lookup:
                raise _not_recorded(name, label, available)
        places = np.array([lookup[label] for label in labels], dtype=np.int64)
    if len(places) == 0:
        raise InputError(name, wanted, f"a selection that leaves something of {available[0]} … {available[-1]}")
    return places


def _not_recorded(name: str, label: Any, available: Sequence[Any]) -> InputError:
    if name == "layer":
        return unknown(name, label, available)
    if isinstance(label, int | float) and not isinstance(label, bool) and np.isfinite(label):
        near = sorted(sorted(available, key=lambda value: abs(value - label))[:2])
        return InputError(name, label, f"a recorded {name}; nearest: {', '.join(map(str, near))}")
    return InputError(name, label, f"a recorded {name}, {available[0]} … {available[-1]}")
