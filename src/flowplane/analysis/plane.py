"""The information plane of a recording."""

from __future__ import annotations

from typing import Any

import xarray as xr

from flowplane.analysis.reading import reading
from flowplane.core.measure import Measure
from flowplane.core.renamed import renamed
from flowplane.recording import Recording

__all__ = ["information_plane"]


@renamed
def information_plane(
    rec: Recording,
    estimator: Measure | str | None = None,
    *,
    samples: str = "all",
    noise_variance: float | None = None,
    resolution: Any = None,
    cluster: Any = None,
) -> xr.Dataset:
    """Where each layer stands in the plane (I(X;T), I(T;Y)), replica by replica, epoch by epoch (§B3).

    Arguments:
        rec: from `fp.train`, `fp.Recorder` or `fp.open`, or a part of it from `rec.sel`.
        estimator: None: for an ensemble `fp.Binned(30)`, or `fp.KSG()` where the networks have noise of their own; for a
            model how many inputs a layer tells apart at a stated resolution (§D1), `fp.Pairwise(c, relative="total")`, and
            what a linear probe decodes of the label (§D2), `fp.Decodable()`. Where no activations were kept, the first
            measure that was taken while the model was recorded; the name of one of `rec.online` reads that.
        samples: "all", or each replica's own "train" or "test" part.
        noise_variance: of Gaussian noise added to each unit, the channel of an estimator that has none of its own.
        resolution: shares c of a layer's total variance that are noise, one or several; None: for a model all of 1, 0.3,
            0.1, 0.03, 0.01, 0.003, 0.001. They read an ensemble as a model is read.
        cluster: None for this process; or workers, as for `fp.sweep`: they read the recording where it lies.

    Returns:
        Dataset (replica, epoch, layer); where it is read at resolutions, `i_xt` and `h_t` have the dimension `resolution`
        too, and y has not: `i_xt`, `i_ty`, `h_t` in bits, each with `_lower` and `_upper`, `_flags`, and
        attributes that say its bound, estimator and channel (a coordinate along `layer` where layers differ); `flags`. Its
        attributes hold the ceilings `input_entropy` = H(X) and `label_information` = I(X;Y), in bits: H(Y) for hard labels.
        A model's estimate of I(T;Y) below what a probe decodes is flagged `contradicted`, or `hidden_by_channel`.

    Raises:
        InputError: not a Recording, a noise variance or resolution that cannot be honoured, or what `Recording.measure`
            refuses.

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
    channel = {"noise_variance": noise_variance, "resolution": resolution}
    return reading(rec, estimator, samples=samples, cluster=cluster, **channel).plane
