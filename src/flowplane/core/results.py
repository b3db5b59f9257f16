"""What a result says about itself: its name, what each quantity is, and why a number may not be trustworthy.

A Dataset that leaves the house has attributes `result` (a name in `RESULTS`), `version` and, where they are known, `seed`,
`task`, `network`, `activation`. Each quantity's variable says its `units` and, where it is estimated, `bound` ("estimate",
"lower" or "upper"), `estimator`, `parameters` and `channel`; `i_xt_lower`, `i_xt_upper` are the ends of an interval,
`i_xt_error` is a standard error, and `i_xt_flags` are CF bits with their meanings beside them. What differs from layer to
layer, or from estimator to estimator, is a coordinate along that dimension. `flags` is the bitwise or of all: it is added
when a Dataset is made or opened, and files do not hold it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from flowplane.core.files import whole_file
from flowplane.core.frames import long_frame
from flowplane.errors import InputError, Text
from flowplane.version import __version__

__all__ = [
    "BOUNDS",
    "CONFIDENCE",
    "RESULTS",
    "Flag",
    "Flags",
    "Z",
    "along",
    "interval",
    "joined",
    "long_name",
    "own_flags",
    "quantities",
    "result_of",
    "said",
    "save",
    "stamp",
    "with_flags",
    "without_flags",
]

#: Confidence of every interval, unless an estimator says otherwise.
CONFIDENCE = 0.95
#: Standard errors on either side of a value that make an interval at `CONFIDENCE`.
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
#: What `bound` may be, and how a sentence says it.
BOUNDS = {"estimate": "an estimate", "lower": "a lower bound", "upper": "an upper bound"}
#: Ends of the names of variables that belong to a quantity.
ENDS = ("_lower", "_upper", "_error", "_flags")
#: Dimensions along which what is said of a quantity may differ.
TOLD_APART = ("layer", "estimator")

#: Every result by its name, with what it is. A new analysis is a line here.
RESULTS = {
    "bits_per_dimension": "how likely points are under a flow",
    "budget": "the kinetic energy that a flow spends (Benamou–Brenier), and what it wastes on coupling, bending and pace",
    "class_distances": "how far apart a layer keeps the classes, in W_2",
    "compare_estimators": "the same layer read by several estimators",
    "continuity_residual": "whether a flow solves the continuity and the backward heat equation",
    "convergence": "an estimate against the number of samples and the estimator's own parameter",
    "critical_betas": "where the solution of the information bottleneck changes",
    "critical_slowing_down": "how many steps each β takes to converge",
    "denoising_spectrum": "how hard each layer is to denoise, by the noise: the curve whose area is its information",
    "deterministic_ib": "the deterministic information bottleneck's solutions",
    "embedding_influence": "how far measures of layers depend on the space they are embedded in",
    "estimate": "what a layer knows of its input and of the label",
    "experiment": "what an experiment measured",
    "flow_history": "a flow as a picture needs it: density, particles and velocity over time",
    "flow_profile": "a flow in numbers over time",
    "flow_samples": "samples on their way through a flow",
    "gaussian_ib": "the information bottleneck's bound for a Gaussian pair",
    "gradient_phases": "drift and diffusion of the gradients, their signal-to-noise ratio, and when diffusion takes over",
    "gradients": "gradient statistics of each snapshot",
    "ib_curve": "the information bottleneck's bound",
    "information_plane": "what each layer knows of its input and of the label, epoch by epoch",
    "layer_betas": "the β whose equations each layer fits best, and its distance from the bound",
    "layer_budget": "what points spend on their way through layers, and what they waste on coupling, bending and pace",
    "layer_geometry": "how each layer lays out its points",
    "layer_transport": "how each layer moves its data",
    "measure": "a measure of every layer at every snapshot",
    "metrics": "losses, accuracies and whatever else was logged while training",
    "mutual_information": "how much two arrays say about each other",
    "noisy_information": "the information of networks with noise of their own",
    "path_measures": "points on their way through layers",
    "pointwise_information": "how much each input contributes to a layer's information",
    "relaxation_times": "how long layers take to compress, and by how much",
    "replica_spread": "how far replicas are from each other in weights, in the plane and in their answers",
    "ridgelet_spectrum": "the coefficients of a function over hidden units",
    "sliced_measures": "distances and optimality by slices",
    "steps": "how many steps a flow needs: the error of its ends against their number",
    "sweep": "results over a grid of parameters",
    "training_history": "the losses of a training",
    "weight_diffusion": "how far weights move, compared with a Wiener process",
}


class Flag(NamedTuple):
    """Why a value may not be trustworthy, and what to do; sentences without and with a full stop."""

    meaning: str
    advice: str = ""


class Flags(Mapping[str, Flag]):
    """An alphabet of flags: bit k stands for the k-th name.

    Example:
        >>> alphabet = Flags({"clipped": ("values fell outside", "Wider bins."), "ties": ("equal values", "Add noise.")})
        >>> alphabet.bits("ties"), alphabet["ties"].advice
        (2, 'Add noise.')
        >>> raised = xr.DataArray([0, 3], dims="layer", attrs=alphabet.attrs())
        >>> Flags.names(raised), Flags.names(raised[0])
        (('clipped', 'ties'), ())
        >>> Flags.of(raised)["clipped"].meaning
        'values fell outside'
    """

    def __init__(self, flags: Mapping[str, tuple[str, str] | Flag]) -> None:
        self._flags = {name: Flag(*flag) for name, flag in flags.items()}

    def __getitem__(self, name: str) -> Flag:
        return self._flags[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def bits(self, *names: str) -> int:
        """The bits of some flags together."""
        order = list(self._flags)
        return sum(1 << order.index(name) for name in names)

    def attrs(self, title: str = "") -> dict[str, Any]:
        """The attributes of a variable that holds these bits, of the quantity with this long name."""
        return {
            "long_name": f"flags of {title}" if title else "flags",
            "flag_masks": np.array([1 << bit for bit in range(len(self))], np.int32),
            "flag_meanings": " ".join(self),
            "flag_descriptions": [flag.meaning for flag in self.values()],
            "flag_advice": [flag.advice for flag in self.values()],
        }

    @staticmethod
    def of(array: xr.DataArray) -> Flags:
        """The alphabet that an array of bits carries; words are empty where another version left none."""
        names = str(array.attrs.get("flag_meanings", "")).split()
        words = [array.attrs.get(key) for key in ("flag_descriptions", "flag_advice")]
        words = [[each] if isinstance(each, str) else each for each in words]  # a file keeps a list of one as its text
        told = [[""] * len(names) if each is None or len(each) != len(names) else list(map(str, each)) for each in words]
        return Flags({name: Flag(*flag) for name, *flag in zip(names, *told, strict=True)})

    @staticmethod
    def raised(array: xr.DataArray) -> dict[str, xr.DataArray]:
        """Where each of the flags that an array raises somewhere is raised, by name, from the array's own attributes."""
        names = str(array.attrs.get("flag_meanings", "")).split()
        masks = np.atleast_1d(array.attrs.get("flag_masks", [1 << bit for bit in range(len(names))])).tolist()
        bare = array.drop_attrs()
        found = {name: (bare & mask) > 0 for name, mask in zip(names, masks, strict=True)}
        return {name: where for name, where in found.items() if bool(where.any())}

    @staticmethod
    def names(array: xr.DataArray) -> tuple[str, ...]:
        """The names of the flags that are raised anywhere in an array, read from its own attributes."""
        return tuple(Flags.raised(array))


def stamp(dataset: xr.Dataset, result: str, *, seed: int | None = None, **about: Any) -> xr.Dataset:
    """The Dataset with the result's name, the version, and what else is known of it; `flags` is added.

    Arguments:
        result: a name in `RESULTS`.
        seed: of what was drawn; None where nothing was.
        about: `task`, `network`, `activation` and other attributes of the whole.

    Example:
        >>> stamp(xr.Dataset({"loss": 0.5}), "metrics", task="digits").attrs["result"]
        'metrics'
    """
    if result not in RESULTS:
        raise KeyError(f"{result!r} is not a result: add a line to RESULTS")
    known = {key: value for key, value in {"seed": seed, **about}.items() if value is not None}
    return with_flags(dataset.assign_attrs({"result": result, "version": __version__, **known}))


def result_of(dataset: Any, argument: str = "dataset") -> str:
    """The name of a result. Raises InputError for anything that is not a result, or that this version does not know."""
    expected = "a Dataset that flowplane made, such as fp.information_plane(rec): its attribute `result` says which"
    if not isinstance(dataset, xr.Dataset):
        raise InputError(argument, Text(type(dataset).__name__), expected)
    if "result" not in dataset.attrs:
        raise InputError(argument, Text("a Dataset without a result's name"), expected)
    name = str(dataset.attrs["result"])
    if name not in RESULTS:
        version = dataset.attrs.get("version", "unknown")
        raise InputError(argument, Text(f"result {name!r} of version {version}"), f"one of {', '.join(RESULTS)}")
    return name


def quantities(dataset: xr.Dataset) -> list[str]:
    """The names of the quantities: variables other than ends of intervals, errors and flags.

    Example:
        >>> quantities(xr.Dataset({"i_xt": 1.0, "i_xt_lower": 0.9, "i_xt_flags": 0, "flags": 0}))
        ['i_xt']
    """
    names = list(map(str, dataset.data_vars))
    belongs = {name for name in names for end in ENDS if name.endswith(end) and name.removesuffix(end) in names}
    return [name for name in names if name not in belongs and name != "flags"]


def long_name(dataset: xr.Dataset, quantity: str) -> str:
    """What a sentence calls a quantity."""
    return str(dataset[quantity].attrs.get("long_name", quantity))


def own_flags(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """The flags of each quantity that has any, by the quantity's name.

    Example:
        >>> list(own_flags(xr.Dataset({"i_xt": 1.0, "i_xt_flags": 0, "flags": 0})))
        ['i_xt']
    """
    return {name: dataset[f"{name}_flags"] for name in quantities(dataset) if f"{name}_flags" in dataset}


def with_flags(dataset: xr.Dataset) -> xr.Dataset:
    """The Dataset with `flags`, the bitwise or of its quantities' flags; as it is where they have none."""
    own = list(own_flags(dataset).values())
    if not own:
        return dataset
    # bare variables: of one Dataset, they need not be aligned, which takes ten times as long
    together = reduce(or_, (part.variable for part in own)).astype(np.int32)
    together.attrs = own[0].attrs | {"long_name": "flags of all quantities"}
    return dataset.assign(flags=together)


def without_flags(dataset: xr.Dataset) -> xr.Dataset:
    """As it is stored: without `flags`, which the quantities' own flags restore."""
    return dataset.drop_vars("flags") if own_flags(dataset) and "flags" in dataset else dataset


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a Dataset to a file, whole or not at all: a NetCDF file, which `flowplane.core.older.load` opens again, or, by a
    name that ends in .csv, a table in long form (`flowplane.core.frames.long_frame`) with the names of the flags."""
    with whole_file(Path(path)) as part:
        if part.suffix.lower() == ".csv":
            long_frame(_with_flag_names(without_flags(dataset))).to_csv(part, index=False, encoding="utf-8")
        else:
            without_flags(dataset).to_netcdf(part, engine="h5netcdf")


def _with_flag_names(dataset: xr.Dataset) -> xr.Dataset:
    """The Dataset with flags as texts, those that are raised one after another."""
    texts = {}
    for flags in own_flags(dataset).values():
        raised = Flags.raised(flags)
        text = np.full(flags.shape, "", dtype=object)
        for name, where in raised.items():
            more = np.where(where.values, name, "")
            text = np.where((text != "") & (more != ""), text + "; ", text) + more
        texts[flags.name] = (flags.dims, text.astype(str))
    return dataset.assign(texts)


def along(dataset: xr.Dataset, name: str, values: Mapping[Any, Any]) -> xr.Dataset:
    """The Dataset with a coordinate along `layer` or `estimator`, a value for each label; where one has none, NaN or "".

    Example:
        >>> plane = along(xr.Dataset(coords={"layer": ["fc", "head"]}), "channel", {"fc": "bins", "head": "noise"})
        >>> plane.channel.dims, plane.channel.values.tolist()
        (('layer',), ['bins', 'noise'])
    """
    dim = next(dim for dim in TOLD_APART if dim in dataset.coords and set(values) <= set(dataset[dim].values.tolist()))
    text = any(isinstance(value, str) for value in values.values())
    column = [values.get(label, "" if text else np.nan) for label in dataset[dim].values.tolist()]
    return dataset.assign_coords({name: (dim, list(map(str, column)) if text else column)})


def said(dataset: xr.Dataset, quantity: str, key: str, **at: Any) -> str:
    """What a quantity says of itself: its `bound`, `estimator`, `parameters` or `channel`; empty where it says nothing.

    Arguments:
        at: a label of a dimension, `layer="fc"`, for what is said there; without one, everything that is said.
    """
    for name in (f"{quantity}_{key}", key):
        if name in dataset.coords and set(dataset[name].dims) <= set(at):
            return str(dataset[name].sel({dim: at[dim] for dim in map(str, dataset[name].dims)}).values)
    return str(dataset[quantity].attrs.get(key, ""))


def joined(dataset: xr.Dataset, dim: str, parts: Mapping[Any, xr.Dataset]) -> xr.Dataset:
    """The Dataset with what its parts along a dimension say of themselves, of the whole and of each quantity.

    What all say is an attribute. What they say differently is a coordinate along the dimension, called as the attribute or,
    where quantities differ in it, `i_xt_channel`; the quantity's attribute then holds all that is said, once each. Scalar
    coordinates of the parts become coordinates along the dimension.
    """
    for key in dict.fromkeys(key for part in parts.values() for key in part.attrs):
        values = {label: part.attrs[key] for label, part in parts.items() if key in part.attrs}
        dataset = _same_or_along(dataset, dim, str(key), values, len(parts))
    told_apart = quantities(dataset)
    for name in list(map(str, dataset.data_vars)):
        own = {label: part[name].attrs for label, part in parts.items() if name in part}
        dataset[name].attrs = _common_attrs(list(own.values()))
        for key in dict.fromkeys(key for attrs in own.values() for key in attrs):
            values = {label: attrs[key] for label, attrs in own.items() if isinstance(attrs.get(key), str)}
            differ = len(set(values.values())) > 1 or 0 < len(values) < len(own)
            if differ and name in told_apart:
                told = str(key)
                if told in dataset.coords and not _holds(dataset, told, values):
                    told = f"{name}_{key}"
                dataset = along(dataset, told, values)
    scalars = {label: {str(c): part[c] for c in part.coords if part[c].ndim == 0} for label, part in parts.items()}
    for name in dict.fromkeys(name for own in scalars.values() for name in own):
        if name in dataset.coords:
            continue
        dataset = along(dataset, name, {label: own[name].item() for label, own in scalars.items() if name in own})
        dataset[name].attrs = next(own[name].attrs for own in scalars.values() if name in own)
    return dataset


def _same_or_along(dataset: xr.Dataset, dim: str, key: str, values: dict[Any, Any], count: int) -> xr.Dataset:
    if len(values) == count and len({str(value) for value in values.values()}) == 1:
        return dataset.assign_attrs({key: next(iter(values.values()))})
    return along(dataset, key, values)


def _common_attrs(parts: list[dict[Any, Any]]) -> dict[str, Any]:
    """Attributes of one variable from those of its parts: different texts one after the other."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for attrs in parts for key in attrs):
        values = [attrs[key] for attrs in parts if key in attrs]
        different = isinstance(values[0], str) and len(set(values)) > 1
        found[str(key)] = "; ".join(dict.fromkeys(values)) if different else values[0]
    return found


def _holds(dataset: xr.Dataset, name: str, values: Mapping[Any, Any]) -> bool:
    """Whether a coordinate says just this."""
    dim = dataset[name].dims[0]
    return all(str(dataset[name].sel({dim: label}).values) == value for label, value in values.items())


def interval(values: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first dimension and its interval at `CONFIDENCE` by Student's t; NaN values are left out.

    Arguments:
        values: (replica, …).

    Returns:
        Mean, lower and upper end (…); the ends are NaN for fewer than two values.

    Example:
        >>> [round(float(end), 3) for end in interval([1.0, 2.0, 3.0])]
        [2.0, -0.484, 4.484]
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    array = np.asarray(values, dtype=float)
    known = np.isfinite(array)
    count = known.sum(0)
    filled = np.where(known, array, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = filled.sum(0) / count
        spread = np.sqrt((np.where(known, array - mean, 0.0) ** 2).sum(0) / (count - 1) / count)
    reach = np.where(count > 1, stdtrit(np.maximum(count - 1, 1), 0.5 + CONFIDENCE / 2) * spread, np.nan)
    return np.asarray(mean), np.asarray(mean - reach), np.asarray(mean + reach)
