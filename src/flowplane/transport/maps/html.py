"""A flow in a notebook: a small table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.display import shortened, table_html

if TYPE_CHECKING:
    from flowplane.transport.maps.base import TransportMap

__all__ = ["flow_html"]


def flow_html(flow: TransportMap) -> str:
    """What Jupyter shows of a flow: its class, the density that it moves, for how long, its layers and its model.

    Example:
        >>> import flowplane as fp
        >>> "Normal(2 dimensions)" in flow_html(fp.denoising_flow(fp.Normal([0.0, 0.0], 1.0), 0.4, layers=3))
        True
    """
    attrs = flow.about()[1]
    unit = "" if flow.time_units == "1" else f", {flow.time_units}"
    source = "not known" if flow.source is None else repr(flow.source)
    model = f"predicts {attrs['predicts']}, path {attrs['path']}" if "path" in attrs else ""
    rows = [
        ("dimensions", f"{flow.dimension:,}"),
        ("moves", shortened(source)),
        ("time", f"0 to {flow.time:g}{unit}"),
        ("layers", shortened(flow.made_of())),
        ("model", shortened(model)),
        ("noise", "of a covariance of its own" if attrs["metric"] == "noise_covariance" else ""),
    ]
    return table_html(f"flowplane.{shortened(type(flow).__name__)}", rows)
