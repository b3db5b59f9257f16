"""The information plane of a recording."""

from __future__ import annotations

import xarray as xr

from flowplane.analysis.reading import reading
from flowplane.core.measure import Measure
from flowplane.core.renamed import renamed
from flowplane.recording import Recording

__all__ = ["information_plane"]


@renamed
def information_plane(
    rec: Recording, estimator: Measure | None = None, *, samples: str = "all", noise_variance: float | None = None
) -> xr.Dataset:
    """Where each layer stands in the plane (I(X;T), I(T;Y)), replica by replica, epoch by epoch (§B3).

    Arguments:
        rec: from `fp.train`, `fp.Recorder` or `fp.open`, or a part of it from `rec.sel`.
        estimator: None: of an ensemble `fp.Binned(30)`, or `fp.KSG()` where the networks have noise of their own; of a model
            the first measure that was taken online or, without any, `flowplane.analysis.reading.suitable_measure`.
        samples: "all", or each replica's own "train" or "test" part.
        noise_variance: of Gaussian noise added to each unit, the channel of an estimator that has none of its own.

    Returns:
        Dataset (replica, epoch, layer): `i_xt`, `i_ty`, `h_t` in bits, each with `_lower` and `_upper`, `_flags`, and
        attributes that say its bound, estimator and channel (a coordinate along `layer` where layers differ); `flags`. Its
        attributes hold the ceilings `input_entropy` = H(X) and `label_information` = I(X;Y), in bits: H(Y) for hard labels.

    Raises:
        InputError: not a Recording, a noise variance that cannot be honoured, or what `Recording.measure` refuses.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> plane = fp.information_plane(rec, fp.Binned(30))
        >>> dict(plane.i_xt.sizes), plane.i_xt.units
        ({'replica': 2, 'epoch': 2, 'layer': 2}, 'bits')
        >>> plane.i_xt.attrs["channel"]
        '30 equal bins on [-1, 1]; 30 equal bins on [0, 1]'
        >>> plane.channel.sel(layer="layer2").item()
        '30 equal bins on [0, 1]'
    """
    return reading(rec, estimator, samples=samples, noise_variance=noise_variance).plane
