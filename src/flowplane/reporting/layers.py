"""Layer by layer, in numbers: what it knows at the end, when it learned it, what it lost, and which flags it carries."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from flowplane.analysis.compression import LOSS
from flowplane.core.results import Flags, Z, interval, with_flags
from flowplane.information.resolution import usual_place
from flowplane.reporting.markup import called

__all__ = ["FAR", "GAIN", "SILENT", "LayerNumbers", "Learned", "Quantity", "counts", "layer_numbers", "layers_called"]

#: A layer whose I(T;Y) gains no more than this has learned nothing that could be dated, bits.
GAIN = 0.05
#: An interval wider than this share of what is possible says little: its ends are far apart.
FAR = 0.8
#: The part of the final gain of I(T;Y) at which it counts as learned.
PART = 0.9
#: Flags that say why a number is absent and cast no doubt on those that are there.
SILENT = ("no_labels",)
#: I(X;T) by denoising, a variable of its own.
DENOISED = "i_xt_denoised"


@dataclass(frozen=True)
class Quantity:
    """A mean over replicas with its interval: 95 % over the replicas, or that of the estimate where there is one only."""

    value: float
    lower: float = float("nan")
    upper: float = float("nan")


@dataclass(frozen=True)
class Learned:
    """When I(T;Y) reached 90 % of its final gain: the median of the replicas that gained, and their middle 80 %; NaN where
    the gain is no more than `doubt`."""

    before: float
    gain: float
    epoch: float
    lower: float
    upper: float
    replicas: int
    #: Changes of I(T;Y) up to this many bits are not dated.
    doubt: float = GAIN


@dataclass(frozen=True)
class LayerNumbers:
    """One layer; NaN where a number is not known."""

    name: str
    depth: int
    width: int
    i_xt: Quantity
    i_ty: Quantity
    learned: Learned
    #: Mean I(X;T) lost from its peak to the end, the epoch of the peak, and whether it had first risen and then surely fell;
    #: of a plane of several resolutions, at the one that is shown, and the others at which it does so too.
    lost: float
    peak_epoch: float
    compresses: bool = False
    elsewhere: tuple[float, ...] = ()
    #: What it is: Linear, ReLU, …
    kind: str = ""
    #: Whether I(T;Y) only says how many samples there are: what a probe decodes does not, whatever I(X;T) says.
    label_saturated: bool = False
    #: Flags raised at the last epoch, and in which share of the replicas.
    flags: dict[str, float] = field(default_factory=dict)
    #: Which of "i_xt" and "i_ty" have ends so far apart at the last epoch that the number between says little,
    #: and these ends.
    far: dict[str, tuple[float, float]] = field(default_factory=dict)
    #: I(X;T) by denoising, beside a plane's own; NaN where it was not asked for.
    denoised: Quantity = Quantity(float("nan"))

    @property
    def called(self) -> str:
        """Its name and kind in a sentence."""
        return called(self.name, self.kind)

    @property
    def warnings(self) -> dict[str, float]:
        """The flags that are a reason for doubt: where no labels were given, nothing about them is in doubt."""
        return {name: share for name, share in self.flags.items() if name not in SILENT}

    @property
    def saturated(self) -> bool:
        """Whether most of its values at the last epoch only say how many samples there are."""
        return self.flags.get("saturated", 0.0) > 0.5


def layer_numbers(plane: xr.Dataset, falls: xr.Dataset | None = None) -> list[LayerNumbers]:
    """The numbers of each layer of a plane over (replica, epoch, layer).

    Arguments:
        falls: from `compression`, where the plane was read at several resolutions.
    """
    ordered = plane.sortby("epoch").transpose("replica", "epoch", "layer", ...)
    depths = ordered["depth"].values if "depth" in ordered.coords else np.arange(ordered.sizes["layer"]) + 1
    kinds = ordered["layer_type"].values if "layer_type" in ordered.coords else [""] * ordered.sizes["layer"]
    widths = ordered["width"].values if "width" in ordered.coords else np.zeros(ordered.sizes["layer"], int)
    epochs = ordered["epoch"].values
    found = []
    for k, name in enumerate(ordered["layer"].values):
        here = ordered.isel(layer=k)
        lost, peak, compresses = _lost(here["i_xt"].values, epochs)
        elsewhere: tuple[float, ...] = ()
        if falls is not None:
            own = falls.isel(layer=k)
            usual = usual_place(own["resolution"].values)
            there = own["compresses"].values
            compresses = bool(there[usual])
            elsewhere = tuple(float(c) for c, holds in zip(own["resolution"].values, there, strict=True) if holds)
        found.append(
            LayerNumbers(
                str(name),
                int(depths[k]),
                int(widths[k]),
                _at_the_end(here, "i_xt"),
                _at_the_end(here, "i_ty"),
                when_learned(here["i_ty"].values, epochs, _doubt(here)),
                lost,
                peak,
                compresses,
                elsewhere,
                str(kinds[k]),
                _label_saturated(here),
                _flags(here),
                _far(here),
                _at_the_end(here, DENOISED) if DENOISED in here else Quantity(float("nan")),
            )
        )
    return found


def _at_the_end(here: xr.Dataset, name: str) -> Quantity:
    last = here.isel(epoch=-1)
    values = last[name].values
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return Quantity(float("nan"))
    if len(values) > 1:
        return Quantity(*(float(end) for end in interval(finite)))
    sides = [
        float(last[f"{name}_{side}"].values[0]) if f"{name}_{side}" in last else float("nan") for side in ("lower", "upper")
    ]
    return Quantity(float(values[0]), *sides)


def _doubt(here: xr.Dataset) -> float:
    """The least change of I(T;Y) from the first to the last snapshot that counts: `GAIN`, or the error of the difference."""
    if "i_ty_error" not in here:
        return GAIN
    errors = here["i_ty_error"].isel(epoch=[0, -1]).transpose("replica", "epoch").values
    return float(np.fmax(GAIN, Z * np.hypot(*errors.T).max()))


def when_learned(i_ty: np.ndarray, epochs: np.ndarray, doubt: float = GAIN) -> Learned:
    """The first snapshot, replica by replica, at which I(T;Y) has made `PART` of its final gain.

    Arguments:
        i_ty: (replica, epoch), bits.
        doubt: gains of no more than this many bits are not dated.

    Example:
        >>> when_learned(np.array([[0.0, 0.5, 0.95, 1.0]]), np.array([0, 1, 10, 100])).epoch
        10.0
    """
    gains = i_ty[:, -1] - i_ty[:, 0]
    known = np.isfinite(gains)
    before, gain = (float(part[known].mean()) if known.any() else float("nan") for part in (i_ty[:, 0], gains))
    rising = known & (gains > doubt)
    if not rising.any() or gain <= doubt:
        return Learned(before, gain, float("nan"), float("nan"), float("nan"), 0, doubt)
    reached = i_ty[rising] >= (i_ty[rising, :1] + PART * gains[rising, None])
    when = epochs[reached.argmax(axis=1)].astype(float)
    low, middle, high = np.percentile(when, [10, 50, 90])
    return Learned(before, gain, float(middle), float(low), float(high), int(rising.sum()), doubt)


def _lost(i_xt: np.ndarray, epochs: np.ndarray) -> tuple[float, float, bool]:
    """For the mean over replicas: what is lost from the peak to the end, when the peak was, and whether it is a fall by
    more than `LOSS`, beyond the spread of replicas, from above what the layer knew at the start; NaN where nothing is
    known."""
    known = np.isfinite(i_xt).all(axis=1)
    if not known.any():
        return float("nan"), float("nan"), False
    mean = i_xt[known].mean(axis=0)
    peak = int(mean.argmax())
    lost = float(mean[peak] - mean[-1])
    surely = lost > LOSS and mean[peak] > mean[0]
    if surely and known.sum() > 1:
        surely = float(interval(i_xt[known, peak] - i_xt[known, -1])[1]) > 0
    return lost, float(epochs[peak]), bool(surely)


def nothing_to_know(plane: xr.Dataset) -> bool:
    """Whether all inputs are the same, H(X) = 0: then no layer can be saturated, whatever an estimator says."""
    return abs(float(plane.attrs.get("input_entropy", np.nan))) < 1e-9


def layers_called(found: xr.Dataset) -> list[str]:
    """What sentences call the layers of a result: by name and, where that is known, by kind.

    Example:
        >>> layers_called(xr.Dataset(coords={"layer": ["0", "head"], "layer_type": ("layer", ["ReLU", "Linear"])}))
        ['layer 0 (ReLU)', 'head (Linear)']
    """
    names = [str(name) for name in found["layer"].values]
    kinds = map(str, found["layer_type"].values) if "layer_type" in found.coords else [""] * len(names)
    return [called(name, kind) for name, kind in zip(names, kinds, strict=True)]


def counts(plane: xr.Dataset, flag: str) -> bool:
    """Whether a flag of a plane says anything: where all inputs are the same, `saturated` does not."""
    return not (flag == "saturated" and nothing_to_know(plane))


def _far(here: xr.Dataset) -> dict[str, tuple[float, float]]:
    """Quantities whose interval, the estimator's own or that over replicas, is wider than `FAR` of what is possible."""
    found = {}
    for name, possible in (("i_xt", "input_entropy"), ("i_ty", "label_information")):
        most = float(here.attrs.get(possible, np.nan))
        shown = _at_the_end(here, name)
        intervals = [(shown.lower, shown.upper)]
        if {f"{name}_lower", f"{name}_upper"} <= set(here):
            last = here.isel(epoch=-1)
            sides = np.stack([last[f"{name}_{side}"].values for side in ("lower", "upper")])
            sides = sides[:, np.isfinite(sides).all(axis=0)]
            if sides.size:
                intervals.append((float(sides[0].mean()), float(sides[1].mean())))
        wide = [(low, high) for low, high in intervals if most > 0 and high - low > FAR * most]
        if wide:
            found[name] = wide[-1]
    return found


def _label_saturated(here: xr.Dataset) -> bool:
    """Whether most values of I(T;Y) at the last epoch are flagged so."""
    own = here["i_ty_flags"] if "i_ty_flags" in here else here.get("flags")
    where = None if own is None else Flags.raised(own.isel(epoch=-1)).get("saturated")
    return where is not None and counts(here, "saturated") and float(where.mean()) > 0.5


def _flags(here: xr.Dataset) -> dict[str, float]:
    if "flags" not in here:
        return {}
    if DENOISED in here:  # beside the number that is asked about
        here = with_flags(here.drop_vars(["flags", *(name for name in here if str(name).startswith(DENOISED))]))
    raised = Flags.raised(here["flags"].isel(epoch=-1))
    return {name: float(where.mean()) for name, where in raised.items() if counts(here, name)}
