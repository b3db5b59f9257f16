"""The folder of a sweep as one Dataset."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from flowplane.cluster.folder import SweepFolder
from flowplane.cluster.grid import Grid
from flowplane.core.results import stamp
from flowplane.errors import InputError

__all__ = ["gather", "gathered"]

#: A dimension that no study has.
_TASK = "task of the sweep"


def gather(out: Any) -> xr.Dataset:
    """What a sweep has found so far, as one Dataset over its grid; nothing is run.

    Arguments:
        out: the folder of `fp.sweep`. It may be running.

    Returns:
        Dataset with the grid's parameters as dimensions, ahead of those of the study's Datasets, whose `units` are kept.
        Values are NaN where a task has not finished, or has no such label. `status` is "done", "failed" or "missing";
        `recording` is the path of the task's recording, for `fp.open`, or "".

    Raises:
        InputError: there is no sweep.

    Example:
        >>> gather("nowhere")
        Traceback (most recent call last):
        ...
        flowplane.errors.InputError: out: found 'nowhere', expected the folder of a sweep, such as fp.sweep makes
    """
    folder = SweepFolder.of(out)
    known = folder.recorded()
    if known is None:
        raise InputError("out", str(out), "the folder of a sweep, such as fp.sweep makes")
    return gathered(folder, known[1])


def gathered(folder: SweepFolder, grid: Grid) -> xr.Dataset:
    """The part of a sweep that `grid` names."""
    tasks = [folder.task(parameters) for parameters in grid.tasks()]
    status = np.array([task.status for task in tasks])
    places = np.full(len(tasks), "", object)
    found = {}
    for k in np.flatnonzero(status == "done").tolist():
        places[k], found[k] = tasks[k].results()
    dataset = _on_the_grid({k: results for k, results in found.items() if results.variables}, grid)
    names = tuple(grid.values)
    dataset["status"] = (names, status.reshape(grid.shape), {"long_name": "done, failed or missing"})
    dataset["recording"] = (names, places.astype(str).reshape(grid.shape), {"long_name": "path of the recording"})
    return stamp(dataset, "sweep", of=dataset.attrs.get("result"))


def _on_the_grid(found: dict[int, xr.Dataset], grid: Grid) -> xr.Dataset:
    """Results by the number of their task, with the grid's parameters as dimensions in front."""
    axes = {name: grid.labels(name) for name in grid.values}
    if not found:
        return xr.Dataset(coords=axes)
    # what differs between tasks, including coordinates, is put along `task`; labels are those of all tasks together
    stacked = xr.concat(
        list(found.values()),
        _TASK,
        data_vars="all",
        coords="different",
        compat="equals",
        join="outer",
        combine_attrs="drop_conflicts",
    )
    stacked = stacked.assign_coords({_TASK: list(found)}).reindex({_TASK: np.arange(math.prod(grid.shape))}).drop_vars(_TASK)
    variables = {name: _unstacked(variable, grid) for name, variable in stacked.variables.items()}
    flags = {
        name: variable.fillna(0).astype(np.int32) for name, variable in variables.items() if "flag_masks" in variable.attrs
    }
    return xr.Dataset(variables | flags, axes, stacked.attrs).set_coords(list(stacked.coords))


def _unstacked(variable: xr.Variable, grid: Grid) -> xr.Variable:
    """One dimension of tasks turned into those of the grid."""
    if _TASK not in variable.dims:
        return variable
    variable = variable.transpose(_TASK, ...)
    shape = grid.shape + variable.shape[1:]
    return xr.Variable((*grid.values, *variable.dims[1:]), variable.values.reshape(shape), variable.attrs)
