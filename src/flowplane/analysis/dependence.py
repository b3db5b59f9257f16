"""How much two arrays say about each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from flowplane.bridge.denoising import Denoising
from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import check_seed
from flowplane.core.results import stamp
from flowplane.errors import InputError, Text
from flowplane.information.estimator import Estimator
from flowplane.information.ksg import KSG
from flowplane.information.schema import QUANTITIES

__all__ = ["mutual_information"]

#: Dimensions of both together up to which nearest neighbours are the default.
NEIGHBOUR_DIMENSIONS = 6
#: What belongs to a quantity.
ENDS = ("", "_lower", "_upper", "_flags")


def mutual_information(x: Any, y: Any, estimator: Estimator | None = None, *, seed: int = 0) -> xr.Dataset:
    """I(X;Y) of any two arrays, in bits.

    Arguments:
        x: (sample, feature), or (sample,) for one feature.
        y: (sample,) integers, booleans or text are classes (Ross 2014, for KSG); anything else, and anything with
            two dimensions, is points (sample, feature).
        estimator: of I(T;Y) for classes, of I(X;T) for points; None for `fp.KSG()`, in more than 6 dimensions together for
            `fp.Denoising(0.)`, which trains networks for some seconds.
        seed: of everything random.

    Returns:
        Dataset: `mutual_information` in bits with `_lower`, `_upper` and `_flags`, its attributes naming bound, estimator
        and channel, and `flags`.

    Raises:
        InputError: no arrays of finite numbers, lengths that differ, or what the estimator refuses.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=1000)
        >>> found = mutual_information(x, 0.6 * x + 0.8 * rng.normal(size=1000))
        >>> bool(abs(found.mutual_information - 0.322) < 0.1), found.mutual_information.units
        (True, 'bits')
        >>> bool(abs(mutual_information(x, x > 0).mutual_information - 1) < 0.1)
        True
    """
    points, classes = _points("x", x), _classes(y)
    others = _points("y", y) if classes is None else classes
    if len(points) != len(others):
        raise InputError("y", Text(f"{len(others)} samples"), f"as many as x has, {len(points)}")
    dimensions = points.shape[1] + (others.shape[1] if classes is None else 0)
    if estimator is not None and not isinstance(estimator, Estimator):
        raise InputError("estimator", estimator, "an estimator such as fp.KSG(), or None")
    usual = KSG() if dimensions <= NEIGHBOUR_DIMENSIONS else Denoising(0.0)
    chosen, seed = usual if estimator is None else estimator, check_seed(seed)
    if classes is None:
        whole, quantity = chosen(others, inputs=points, seed=seed), "i_xt"
    else:
        whole, quantity = chosen(points, classes, seed=seed), "i_ty"
    found = xr.Dataset({f"mutual_information{end}": whole[f"{quantity}{end}"] for end in ENDS}).drop_attrs(deep=False)
    for part in found.data_vars.values():
        part.attrs["long_name"] = str(part.attrs["long_name"]).replace(QUANTITIES[quantity], "I(X;Y)")
    kind = "points" if classes is None else "classes"
    return stamp(found, "mutual_information", seed=seed, y=kind, confidence=whole.attrs["confidence"])


def _points(name: str, value: Any) -> Tensor:
    """(sample, feature), in float64."""
    array = as_tensor(name, value).double()
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(name, Text(f"shape {tuple(array.shape)}"), "(sample, feature) or (sample,), none of them 0")
    require_finite(name, array)
    return array


def _classes(y: Any) -> np.ndarray | None:
    """A number for each class, where y has one dimension and names classes; None where it is points."""
    if isinstance(y, Tensor):
        y = y.detach().cpu().numpy()
    array = np.asarray(y.values if isinstance(y, xr.DataArray) else y)
    if array.ndim != 1 or not (array.dtype.kind in "biuUST" or array.dtype == object):
        return None
    return np.unique(array.astype(str) if array.dtype.kind in "UTSO" else array, return_inverse=True)[1]
