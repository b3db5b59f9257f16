"""Sweeps over a grid of parameters, on this machine's cores or on a Dask cluster.

Names are imported when they are used: Dask's scheduler loads this package too, and needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.cluster.gathering import gather as gather
    from flowplane.cluster.study import Study as Study
    from flowplane.cluster.study import train_or_resume as train_or_resume
    from flowplane.cluster.sweeping import sweep as sweep
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
