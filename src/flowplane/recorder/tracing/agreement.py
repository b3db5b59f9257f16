"""What a run leaves of each call, and whether two runs agree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from flowplane.recorder.hashing import hashed
from flowplane.recorder.tracing.watching import Call, Key, Watch

__all__ = ["Observed", "agree", "agree_whole", "hashed_rows"]

#: Two runs agree within this share of a layer's spread over samples, or this many roundings of its largest number.
AGREES, ROUNDINGS = 1e-4, 16


@dataclass
class Observed:
    """One run: its calls by their keys, hashed rows, and how large the numbers were."""

    calls: dict[Key, Call]
    rows: dict[Key, Tensor]
    along: dict[Key, dict[int, Tensor]]
    largest: dict[Key, float]
    eps: dict[Key, float]
    watch: Watch


def hashed_rows(rows: Tensor) -> Tensor:
    """Rows of any shape, of at most 512 numbers each, on the CPU."""
    return hashed(rows.detach().reshape(len(rows), -1).float()).cpu()


def agree(
    found: Tensor | None, wanted: Tensor, rows: Tensor, first: Observed, key: Key, exactly: bool = False
) -> bool | None:
    """Whether two runs agree, or `exactly`, up to rounding; None where rounding is too large to tell."""
    if found is None:
        return None
    if found.shape != wanted.shape:
        return False
    finite = rows[torch.isfinite(rows).all(1)]
    spread = float((finite.amax(0) - finite.amin(0)).amax()) if len(finite) else 0.0
    rounding = ROUNDINGS * first.eps[key] * first.largest[key]
    if not torch.equal(torch.isnan(found), torch.isnan(wanted)):
        return False
    if torch.equal(torch.nan_to_num(found), torch.nan_to_num(wanted)):
        return True
    if rounding > spread / 10:
        return None
    apart = float((torch.nan_to_num(found) - torch.nan_to_num(wanted)).abs().amax())
    return apart <= (rounding if exactly else max(AGREES * spread, rounding))


def agree_whole(run: Observed, key: Key, whole: Tensor) -> bool | None:
    """Whether a run gave the same numbers as another, all of a call together; None where it kept none."""
    found = run.along.get(key, {}).get(-1)
    if found is None:
        return None
    if found.shape != whole.shape:
        return False
    return not whole.numel() or bool(
        torch.allclose(found, whole, rtol=1e-4, atol=1e-5 * float(whole.abs().amax() + 1e-30), equal_nan=True)
    )
