"""A sweep on disk.

| in the sweep's folder | |
|---|---|
| `sweep.json` | format, description of the study, every value of the grid so far |
| `driver.lock` | held by the one process that runs the sweep; a dead process does not keep it |
| `workers.log` | what the workers of an embedded cluster printed |
| `tasks/<parameters>-<digits>/` | one folder per task |

| in a task's folder | |
|---|---|
| `parameters.json` | what the study is called with |
| `recording.fp` | the path that the study is given |
| `task.lock` | held while the task runs |
| `result.nc` | the Dataset that the study returned, if any |
| `failure.txt` | the traceback, if it failed last time |
| `finished.json` | written last, in one step: the task is done and never run again |
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from flowplane.cluster.grid import RESERVED, Grid, Value, task_name
from flowplane.core.files import write_text
from flowplane.core.older import load
from flowplane.core.paths import as_path
from flowplane.core.results import save
from flowplane.errors import InputError, Text
from flowplane.recording import Recording
from flowplane.version import __version__

__all__ = ["FORMAT", "SweepFolder", "TaskFolder"]

FORMAT = 1


@dataclass(frozen=True)
class TaskFolder:
    """The folder of one task."""

    path: Path

    @property
    def recording(self) -> Path:
        """Where the study puts its recording."""
        return self.path / "recording.fp"

    @property
    def lock(self) -> Path:
        """Held while the task runs."""
        return self.path / "task.lock"

    @property
    def finished(self) -> bool:
        """Whether the task is done."""
        return (self.path / "finished.json").exists()

    @property
    def status(self) -> str:
        """ "done", "failed" or "missing" (not run yet, or not finished)."""
        if self.finished:
            return "done"
        return "failed" if (self.path / "failure.txt").exists() else "missing"

    def prepare(self, parameters: dict[str, Value]) -> None:
        """Make the folder."""
        file = self.path / "parameters.json"
        if not file.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(parameters, indent=1))

    def parameters(self) -> dict[str, Value]:
        """What the study is called with."""
        return _values(json.loads((self.path / "parameters.json").read_text(encoding="utf-8")))

    def finish(self, returned: Any) -> None:
        """Keep what the study returned, and say that the task is done.

        Raises:
            InputError: it returned something other than a Dataset, a Recording on disk or None, or a Dataset that uses the
                name of a parameter.
        """
        place = str(self.recording) if self.recording.exists() else None
        if isinstance(returned, Recording):
            if returned.path is None:
                raise InputError("function", Text("a Recording in memory"), "one at the path that the function is given")
            place = returned.path
        elif isinstance(returned, xr.Dataset):
            taken = sorted({*self.parameters(), *RESERVED} & {str(name) for name in (*returned.variables, *returned.dims)})
            if taken:
                raise InputError("function", Text(f"a Dataset with {taken[0]!r}"), "names other than those of the grid")
            save(returned, self.path / "result.nc")
        elif returned is not None:
            found = Text(f"a function that returned {type(returned).__name__}")
            raise InputError("function", found, "one that returns an xarray Dataset, a Recording or None")
        if place is not None and place == str(self.recording):
            place = self.recording.name
        about = {"recording": place, "result": isinstance(returned, xr.Dataset), "flowplane": __version__}
        write_text(self.path / "finished.json", json.dumps(about, indent=1))
        (self.path / "failure.txt").unlink(missing_ok=True)

    def fail(self, text: str) -> None:
        """Keep the traceback of a task that failed."""
        write_text(self.path / "failure.txt", text)

    def results(self) -> tuple[str, xr.Dataset]:
        """Where a finished task's recording is ("" where it left none), and its Dataset."""
        about = json.loads((self.path / "finished.json").read_text(encoding="utf-8"))
        place = about["recording"]
        if place == self.recording.name:
            place = str(self.recording)
        found = load(self.path / "result.nc").load() if about["result"] else xr.Dataset()
        return place or "", found


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep."""

    path: Path

    @classmethod
    def of(cls, out: Any) -> SweepFolder:
        """An existing folder, or a path that does not exist. Raises InputError for anything else."""
        path = as_path("out", out).absolute()
        if path.exists() and not path.is_dir():
            raise InputError("out", str(out), "a folder, or a path that does not exist yet")
        return cls(path)

    @property
    def lock(self) -> Path:
        """Held by the one process that runs the sweep."""
        return self.path / "driver.lock"

    def task(self, parameters: dict[str, Value]) -> TaskFolder:
        """The folder of one task."""
        return TaskFolder(self.path / "tasks" / task_name(parameters))

    def recorded(self) -> tuple[str, Grid] | None:
        """The description of the study, and every value of the grid so far; None before the first sweep.

        Raises:
            InputError: a newer flowplane wrote it.
        """
        file = self.path / "sweep.json"
        if not file.exists():
            return None
        about = json.loads(file.read_text(encoding="utf-8"))
        if about["format"] > FORMAT:
            found = Text(f"{self.path} in format {about['format']}")
            raise InputError("out", found, f"format {FORMAT} or older: update flowplane")
        return about["study"], Grid({name: tuple(_values(about["grid"])[name]) for name in about["grid"]})  # type: ignore[arg-type]

    def record(self, study: str, grid: Grid) -> None:
        """Add the values of `grid`.

        Raises:
            InputError: the folder holds another study, or a sweep over other parameters.
        """
        known = self.recorded()
        if known is not None:
            if known[0] != study:
                raise InputError("function", Text(study), f"{known[0]}, whose results are in {self.path}; or another `out`")
            if set(known[1].values) != set(grid.values):
                found, expected = list(grid.values), ", ".join(known[1].values)
                raise InputError("grid", found, f"the parameters of the sweep in {self.path}: {expected}; or another `out`")
            grid = known[1].joined(grid)
        write_text(self.path / "sweep.json", json.dumps({"format": FORMAT, "study": study, "grid": grid.values}, indent=1))


def _values(read: dict[str, Any]) -> dict[str, Value]:
    """Tuples are lists in JSON."""
    return {name: _tuples(value) for name, value in read.items()}


def _tuples(value: Any) -> Value:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
