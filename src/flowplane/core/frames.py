"""Labelled arrays as tidy tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["layer_table", "left_out_table", "long_frame", "wide_frame"]

LEFT_OUT = ("name", "kind", "calls", "shape", "why")


def long_frame(dataset: xr.Dataset) -> pd.DataFrame:
    """A Dataset in long form: a row for each number of each variable.

    Variables of different dimensions are stacked one below another, so that nothing is repeated; a dimension or coordinate
    that a variable does not have is missing (NaN) in its rows.

    Arguments:
        dataset: any variables; numbers, truth values and text.

    Returns:
        Columns `variable`, one for each dimension and coordinate, `value` (float), `text` (where there are variables of
        text) and `units`.

    Example:
        >>> import xarray as xr
        >>> rate = xr.DataArray([1.0, 2.0], dims="time", coords={"time": [0, 5]}, attrs={"units": "nats"})
        >>> long_frame(xr.Dataset({"rate": rate, "total": 3.0}))
          variable  time  value units
        0     rate   0.0    1.0  nats
        1     rate   5.0    2.0  nats
        2    total   NaN    3.0
    """
    import pandas as pd

    parts = [_variable_frame(array) for array in dataset.data_vars.values()]
    dims = [dim for array in dataset.data_vars.values() for dim in array.dims]
    places = [str(name) for name in dict.fromkeys([*dims, *dataset.coords])]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["variable", "value", "units"])
    columns = ["variable", *places, "value", *(["text"] if "text" in frame else []), "units"]
    return frame.reindex(columns=columns)


def _variable_frame(array: xr.DataArray) -> pd.DataFrame:
    """The rows of one variable."""
    import pandas as pd

    kind = "value" if array.dtype.kind in "biuf" else "text"
    if array.ndim == 0:
        frame = pd.DataFrame({kind: [array.item()]} | {str(name): [place.item()] for name, place in array.coords.items()})
    else:
        frame = array.to_dataframe(name=kind).reset_index()
    if kind == "value":
        frame[kind] = frame[kind].astype(np.float64)
    else:
        frame[kind] = frame[kind].astype(str)
    return frame.assign(variable=str(array.name), units=str(array.attrs.get("units", "")))


def wide_frame(dataset: xr.Dataset) -> pd.DataFrame:
    """A Dataset whose variables share their dimensions as a table: a column per variable, a row per position.

    Example:
        >>> import xarray as xr
        >>> wide_frame(xr.Dataset({"loss": (("replica", "train_epoch"), [[3.0, 2.0]])}, {"train_epoch": [0, 1]}))
           replica  train_epoch  loss
        0        0            0   3.0
        1        0            1   2.0
    """
    return dataset.to_dataframe().reset_index()


def layer_table(layers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The layers of a model, as a recording's configuration describes them: what each is, the shape of a sample, which of
    its axes are units, how it became rows, how many numbers a row has, and whether they are the same each time.

    Example:
        >>> conv = {"name": "0", "module": "Conv2d", "shape": [3, 8, 8], "units": [1], "reduce": "flattened", "width": 192}
        >>> layer_table([conv]).values.tolist()
        [['0', 'Conv2d', '(3, 8, 8)', '1', 'flattened', 192, True]]
    """
    import pandas as pd

    rows = []
    for layer in layers:
        units = layer.get("units", ())
        axes = "not known" if units is None else ", ".join(map(str, units)) or "–"
        shape = str(tuple(layer["shape"]))
        same = layer.get("deterministic", True)
        rows.append((layer["name"], layer["module"], shape, axes, layer["reduce"], layer["width"], same))
    return pd.DataFrame(rows, columns=["layer", "layer_type", "shape", "unit_axes", "reduction", "width", "deterministic"])


def left_out_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What ran in a model but is not recorded, as a table.

    Example:
        >>> row = {"name": "drop", "kind": "module", "calls": 1, "shape": "(8,)", "why": "returns its input unchanged"}
        >>> left_out_table([row]).columns.tolist(), len(left_out_table([]))
        (['name', 'kind', 'calls', 'shape', 'why'], 0)
    """
    import pandas as pd

    return pd.DataFrame(list(rows), columns=LEFT_OUT)
