"""What a Dataset says of the flow that it was measured on: its time and its metric."""

from __future__ import annotations

from typing import Any

from flowplane.transport.maps.base import TransportMap

__all__ = ["about"]


def about(flow: TransportMap) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coordinates and attributes: `metric` is "identity", or "noise_covariance" where the flow has one, which then is a
    coordinate (feature, other_feature)."""
    attrs = {"flow": repr(flow), "time_units": flow.time_units, "metric": "identity"}
    if flow.metric is None:
        return {}, attrs
    matrix = flow.metric.double().cpu().numpy()
    long_name = {"units": "1", "long_name": "D, the covariance of the noise per unit of time"}
    return {"noise_covariance": (("feature", "other_feature"), matrix, long_name)}, attrs | {"metric": "noise_covariance"}
