"""Networks read by many estimators: which read what, and what a curve over training says about compression, if anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from flowplane.analysis.comparison import compare_estimators
from flowplane.analysis.estimators import OTHER_QUANTITIES
from flowplane.core.results import interval, joined, stamp
from flowplane.information.binned import Binned
from flowplane.information.estimator import Estimator
from flowplane.information.gaussian import GaussianMI
from flowplane.information.ksg import KSG
from flowplane.information.monte_carlo import MonteCarlo
from flowplane.information.pairwise import Pairwise
from flowplane.information.renyi import MatrixRenyi
from flowplane.information.schema import FLAGS
from flowplane.information.sliced import SlicedMI
from flowplane.information.variational import Variational
from flowplane.recording import Recording

__all__ = [
    "ENOUGH_ROWS",
    "INVALID",
    "NOT_SEEN",
    "SEEN",
    "UNDECIDED",
    "at_peak",
    "counted",
    "curves_of",
    "every_reader",
    "for_training",
    "held_out_peaks",
    "of_shannon",
    "read_by_all",
    "readers_without_channel",
    "readings",
]

SEEN, NOT_SEEN, UNDECIDED, INVALID = "compression seen", "not seen", "undecided", "estimator invalid"
#: A verdict rests on at least this many decided rows.
ENOUGH_ROWS = 6
#: A fall of I(X;T) from its peak by less is not compression, in bits.
LEAST_FALL = 0.1
#: The estimate is not to be believed where more of its values at the peak and at the end are flagged or missing.
FLAGGED = 0.5


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale, for every experiment that reads so."""

    #: Of SlicedMI.
    slices: int
    #: Those given to an estimator that trains networks itself.
    epochs: int
    replicas: int
    #: Those that read; None for all.
    names: tuple[str, ...] | None = None

    def chosen(self, readers: dict[str, Estimator]) -> dict[str, Estimator]:
        """Those of them that read."""
        return {name: reader for name, reader in readers.items() if self.names is None or name in self.names}


SCALES = {
    "quick": Scale(slices=8, epochs=3, replicas=1),
    "full": Scale(slices=32, epochs=6, replicas=2),
    "tiny": Scale(slices=2, epochs=2, replicas=1, names=("Monte Carlo", "Binned", "GaussianMI")),
}


def every_reader(scale: str, channel: float) -> dict[str, Estimator]:
    """Every estimator of §B4; those without a channel of their own get the same Gaussian noise."""
    at = SCALES[scale]
    readers: dict[str, Estimator] = {
        "Monte Carlo": MonteCarlo(channel),
        "Binned": Binned(30),
        "Binned, snapshot": Binned(30, range="snapshot"),
        "Pairwise": Pairwise(channel),
        "Pairwise, relative": Pairwise(channel, relative="recording"),
        "KSG": KSG(noise_variance=channel),
        "GaussianMI": GaussianMI(noise_variance=channel),
        "MatrixRenyi": MatrixRenyi(),
        "SlicedMI": SlicedMI(slices=at.slices, noise_variance=channel),
        "Variational": Variational(noise_variance=channel),
    }
    return at.chosen(readers)


def readers_without_channel(scale: str) -> dict[str, Estimator]:
    """Those that can read a network with noise of its own: they take the inputs and need no channel."""
    at = SCALES[scale]
    readers: dict[str, Estimator] = {
        "KSG": KSG(),
        "GaussianMI": GaussianMI(),
        "MatrixRenyi": MatrixRenyi(),
        "SlicedMI": SlicedMI(slices=at.slices),
        "Variational": Variational(),
    }
    return at.chosen(readers)


def for_training(rec: Recording, scale: str) -> Recording:
    """The replicas and epochs, spread over training, that are given to an estimator that trains networks itself."""
    at = SCALES[scale]
    # the first epoch has nothing to lose yet
    places = np.unique(np.linspace(1, len(rec.epochs) - 1, min(at.epochs, len(rec.epochs))).round().astype(int))
    return rec.sel(replica=rec.replicas[: at.replicas].tolist(), epoch=rec.epochs[places].tolist())


def curves_of(plane: xr.Dataset, name: str) -> Float[np.ndarray, "replica epoch layer"]:
    """One variable of a plane, replica by replica, epoch by epoch, layer by layer."""
    return plane[name].transpose("replica", "epoch", "layer").values


def held_out_peaks(curves: Float[np.ndarray, "replica epoch quantity"]) -> Int[np.ndarray, "replica quantity"]:
    """For each replica where the mean curve of all the *others* peaks.

    A replica's own value there is not biased upwards by having chosen the place, as it would be at its own maximum.

    Example:
        >>> curves = np.array([[0.0, 1.0, 0.5], [0.0, 0.9, 0.4], [0.1, 1.1, 0.6]])[:, :, None]
        >>> held_out_peaks(curves)[:, 0].tolist()
        [1, 1, 1]
    """
    if len(curves) < 2:
        return curves.argmax(axis=1)
    others = curves.sum(axis=0) - curves
    return others.argmax(axis=1)


def at_peak(
    curves: Float[np.ndarray, "replica epoch quantity"], *others: Float[np.ndarray, "replica epoch quantity"]
) -> list[Float[np.ndarray, "replica quantity"]]:
    """The values of curves, and of others beside them, where `held_out_peaks` finds the peaks of the first."""
    places = held_out_peaks(curves)[:, None]
    return [np.take_along_axis(each, places, axis=1)[:, 0] for each in (curves, *others)]


def read_by_all(
    rec: Recording, estimators: Mapping[str, Estimator], few: Mapping[str, Recording] | None = None
) -> xr.Dataset:
    """`compare_estimators` of a recording, where slow estimators may be given a part of it: NaN elsewhere."""
    parts = {name: (few or {}).get(name, rec) for name in estimators}
    planes = {
        name: compare_estimators(part, estimators={name: estimators[name]}).isel(estimator=0, drop=True)
        for name, part in parts.items()
    }
    same = [
        plane.reset_coords(drop=True).reindex(
            replica=rec.replicas,
            epoch=rec.epochs,
            layer=list(rec.layers),
            fill_value={str(name): 0 if plane[name].dtype.kind == "i" else np.nan for name in plane.data_vars},
        )
        for plane in planes.values()
    ]
    together = xr.concat(same, xr.Variable("estimator", list(planes)), combine_attrs="drop")
    together = together.assign_coords({key: rec.layer_coordinates()[key] for key in ("depth", "width")})
    return stamp(joined(together, "estimator", planes), "compare_estimators")


def readings(table: xr.Dataset, waived: Mapping[str, tuple[str, ...]] | None = None) -> xr.Dataset:
    """For each estimator and layer the fall of I(X;T) from its peak to the end, and what follows.

    The peak of a replica is sought in the mean of the others, so that its value there is not biased. With one replica
    the interval is the estimator's own.

    Arguments:
        table: (estimator, replica, epoch, layer).
        waived: flags that do not count against an estimator here, by its name. `constant_units` never does: a dead unit
            carries nothing, and that is what should show.

    Returns:
        Dataset (estimator, layer): `fall`, `fall_lower`, `fall_upper` in bits at 95 %, and `reading`.
    """
    names = [str(name) for name in table["estimator"].values]
    shape = (len(names), table.sizes["layer"])
    fall, lower, upper = (np.full(shape, np.nan) for _ in range(3))
    reading = np.full(shape, INVALID, dtype=object)
    for row, name in enumerate(names):
        ignored = FLAGS.bits("constant_units", *(waived or {}).get(name, ()))
        for column in range(shape[1]):
            part = table.isel(estimator=row, layer=column).transpose("replica", "epoch")
            found = _fall(part, ignored)
            if found is not None:
                fall[row, column], lower[row, column], upper[row, column] = found
                reading[row, column] = _reading(*found)
    about = {"units": "bits"}
    return xr.Dataset(
        {
            "fall": (("estimator", "layer"), fall, about | {"long_name": "fall of I(X;T) from its peak"}),
            "fall_lower": (("estimator", "layer"), lower, about),
            "fall_upper": (("estimator", "layer"), upper, about),
            "reading": (("estimator", "layer"), reading.astype(str)),
        },
        {"estimator": names, **{key: table[key] for key in ("layer", "depth", "width")}},
    )


def _fall(part: xr.Dataset, ignored: int) -> tuple[float, float, float] | None:
    """Mean fall and its interval; None where the estimate is not to be believed."""
    given = np.isfinite(part["i_xt"].values)
    replicas, epochs = given.any(1), given.any(0)
    if not replicas.any():
        return None
    kept = part.isel(replica=np.flatnonzero(replicas), epoch=np.flatnonzero(epochs))
    values = kept["i_xt"].values
    bad = ~np.isfinite(values) | ((kept["flags"].values & ~ignored) != 0)
    peaks = held_out_peaks(np.nan_to_num(values)[:, :, None])[:, 0]
    rows = np.arange(len(values))
    if np.mean([bad[rows, peaks], bad[:, -1]]) > FLAGGED:
        return None
    falls = values[rows, peaks] - values[:, -1]
    if len(falls) > 1:
        mean, lower, upper = interval(falls)
        return float(mean), float(lower), float(upper)
    low, high = kept["i_xt_lower"].values[0], kept["i_xt_upper"].values[0]
    top = peaks[0]
    if top == len(low) - 1:
        # a lower bound alone does not say what lay above it before
        return 0.0, 0.0, 0.0 if np.isfinite(high[np.isfinite(low)]).all() else np.inf
    return float(falls[0]), float(low[top] - high[-1]), float(high[top] - low[-1])


def _reading(fall: float, lower: float, upper: float) -> str:
    if fall > LEAST_FALL and lower > 0:
        return SEEN
    return NOT_SEEN if upper < LEAST_FALL else UNDECIDED


def of_shannon(rows: xr.Dataset) -> xr.Dataset:
    """The rows of estimators of Shannon's information, which the claims are about."""
    return rows.sel(estimator=[name for name in rows["estimator"].values.tolist() if name not in OTHER_QUANTITIES])


def counted(rows: xr.Dataset) -> dict[str, int]:
    """How many of the rows have each reading."""
    found = rows["reading"].values.ravel().tolist()
    return {reading: found.count(reading) for reading in (SEEN, NOT_SEEN, UNDECIDED, INVALID)}
