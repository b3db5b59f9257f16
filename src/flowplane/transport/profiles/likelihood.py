"""The log-likelihood of points along a flow, in nats and in bits per dimension (§E4)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import xarray as xr

from flowplane.core.points import check_positive
from flowplane.core.results import stamp

if TYPE_CHECKING:
    from flowplane.transport.maps.base import TransportMap

__all__ = ["flow_likelihood"]


def flow_likelihood(flow: TransportMap, x: Any, *, width: float = 1.0) -> xr.Dataset:
    """log p(x) of the density that the flow carries its source to, and −log₂(p(x)·width^d)/d, bits per dimension (§E4).

    By change of variables. Along an ODE in more than ten dimensions the divergence is Hutchinson's estimate with random
    probes, the same along the whole path (FFJORD); each probe gives an estimate of its own, and their scatter the error.

    Arguments:
        flow: with a source density.
        x: points (…, d).
        width: of a grey level in x, where x are levels; 2/255 for 256 levels from −1 to 1. 1 is the density's own.

    Returns:
        A Dataset over `sample` of `log_prob` (nats) and `bits_per_dimension` (bits), each with the standard error that the
        probes leave, `…_error`, 0 where the divergence is exact; and `mean_log_prob` and `mean_bits_per_dimension`, whose
        errors are those over the samples, NaN for a single one.

    Raises:
        InputError: a flow without source, bad points, width not positive.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.transport.AffineMap(2.0, [0.0], source=fp.Normal(0.0, 1.0))
        >>> flow.bits_per_dimension([[0.0]]).bits_per_dimension.values.round(4)
        array([2.3257])
    """
    width = check_positive("width", width)
    rows, _ = flow._rows("x", x)
    values, errors = (part.double().cpu().numpy() for part in flow.log_likelihood(rows))
    share = 1 / (flow.dimension * math.log(2))
    bits = -values * share - math.log2(width)
    over = len(values) ** 0.5
    spread = float(values.std(ddof=1)) / over if len(values) > 1 else math.nan
    nats = {"units": "nats", "long_name": "log p(x)"}
    each = {"units": "bits", "long_name": "−log₂ p(x) per dimension"}
    variables = {
        "log_prob": ("sample", values, nats),
        "log_prob_error": ("sample", errors, nats | {"long_name": "standard error of log_prob"}),
        "bits_per_dimension": ("sample", bits, each),
        "bits_per_dimension_error": ("sample", errors * share, each | {"long_name": "standard error of bits_per_dimension"}),
        "mean_log_prob": ((), float(values.mean()), nats | {"long_name": "E log p(x)"}),
        "mean_log_prob_error": ((), spread, nats | {"long_name": "standard error of mean_log_prob"}),
        "mean_bits_per_dimension": ((), float(bits.mean()), each | {"long_name": "−E log₂ p(x) per dimension"}),
        "mean_bits_per_dimension_error": (
            (),
            spread * share,
            each | {"long_name": "standard error of mean_bits_per_dimension"},
        ),
    }
    attrs = flow.about()[1] | {"width": width, "dimension": flow.dimension}
    return stamp(xr.Dataset(variables, attrs=attrs), "bits_per_dimension")
