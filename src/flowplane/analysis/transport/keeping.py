"""Snapshots that were followed before are found again: what was found of each, as arrays over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from flowplane.analysis.transport.snapshot import Snapshot
from flowplane.recording import Block

__all__ = ["Followed", "apart", "together"]


class Followed(NamedTuple):
    """What a Dataset needs of a `Snapshot`."""

    columns: dict[str, np.ndarray]
    flags: dict[str, np.ndarray]
    cka: np.ndarray
    spectra: list[np.ndarray]
    straightness: tuple[float, float]


def together(snapshots: Sequence[Snapshot]) -> Block:
    """The snapshots of one replica, as arrays."""
    parts: dict[str, list[Any]] = {
        **{f"columns/{name}": [one.columns[name] for one in snapshots] for name in snapshots[0].columns},
        **{f"flags/{name}": [one.flags[name] for one in snapshots] for name in snapshots[0].flags},
        **{f"spectra/{k:03d}": [one.spectra[k] for one in snapshots] for k in range(len(snapshots[0].spectra))},
        "cka/": [one.cka for one in snapshots],
        "straightness/": [one.straightness for one in snapshots],
    }
    return Block({name: np.stack(each)[None] for name, each in parts.items()})


def apart(block: Block) -> list[Followed]:
    """The inverse of `together`."""

    def of(kind: str, place: int) -> dict[str, np.ndarray]:
        names = (name for name in block.arrays if name.startswith(f"{kind}/"))
        return {name.partition("/")[2]: block.arrays[name][0, place] for name in names}

    return [
        Followed(
            of("columns", place),
            of("flags", place),
            block.arrays["cka/"][0, place],
            list(of("spectra", place).values()),
            tuple(block.arrays["straightness/"][0, place].tolist()),
        )
        for place in range(block.arrays["cka/"].shape[1])
    ]
