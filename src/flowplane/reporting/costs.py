"""How long a recording takes to analyse: each analysis timed on a few snapshots, and extrapolated to their number."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from flowplane.analysis.geometry import layer_geometry
from flowplane.analysis.plane import information_plane
from flowplane.analysis.transport.budget import layer_budget
from flowplane.analysis.transport.layers import layer_transport
from flowplane.analysis.transport.stream import residual_stream
from flowplane.errors import InputError
from flowplane.recording import Recording
from flowplane.reporting.thinning import snapshots_followed, snapshots_shown

__all__ = ["seconds_of_analyses"]

#: Seconds that a page's figures take, and those that each layer at each snapshot adds, on two cores of an AMD EPYC (Zen 5).
DRAWING, FRAME = 1.0, 0.012


def seconds_of_analyses(rec: Recording, snapshots: int) -> dict[str, float]:
    """Seconds that `fp.information_plane`, `fp.layer_transport` and `fp.report` take of a recording like this one: `plane`,
    `transport` and `report`, in wall-clock time at the machine's present load. NaN for an analysis that does not apply.

    Arguments:
        rec: three snapshots of it, in memory, so that nothing comes from the cache.
        snapshots: how many it will have.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=1, epochs=2, snapshots=3)
        >>> found = seconds_of_analyses(rec, 100)
        >>> list(found), found["plane"] > 0
        (['plane', 'transport', 'report'], True)
    """
    plane, transport, geometry = (_growth(one, rec) for one in (information_plane, layer_transport, layer_geometry))
    shown = min(snapshots, snapshots_shown(rec))
    followed = min(snapshots, snapshots_followed(rec))
    drawn = DRAWING + FRAME * shown * len(rec.layers)
    stream = residual_stream(rec)
    budget = 0.0 if stream is None else _growth(partial(layer_budget, from_inputs=stream.from_inputs), stream.rec)(followed)
    report = float(np.nansum([plane(shown), transport(followed), geometry(shown), budget, drawn]))
    return {"plane": plane(snapshots), "transport": transport(snapshots), "report": report}


def _growth(analysis: Callable[[Recording], Any], rec: Recording) -> Callable[[int], float]:
    """Seconds as a function of the number of snapshots, from what one and what three take."""
    first = rec.sel(epoch=rec.epochs[:1].tolist())
    try:
        analysis(first.sel(layer=rec.layers[:2]))  # the first call of a process compiles and imports
        one, all_ = _seconds(analysis, first), _seconds(analysis, rec)
    except InputError:
        return lambda count: np.nan
    each = max((all_ - one) / (len(rec.epochs) - 1), 0.0)
    return lambda count: max(one - each, 0.0) + each * count


def _seconds(analysis: Callable[[Recording], Any], rec: Recording) -> float:
    began = time.perf_counter()
    analysis(rec)
    return time.perf_counter() - began
