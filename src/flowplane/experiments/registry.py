"""The experiments by name, and how one is run. A new experiment is one module and one line here."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowplane.core.paths import as_path
from flowplane.errors import InputError, unknown
from flowplane.experiments.claim import Claim
from flowplane.version import __version__

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from flowplane.recording import Recording
    from flowplane.tasks import Task

__all__ = ["EXPERIMENTS", "SCALES", "Context", "Experiment", "Result", "run"]

SCALES = ("quick", "full")


@dataclass(frozen=True)
class Experiment:
    """What `flowplane experiments` lists; the module's `run(context)` returns a Result."""

    name: str
    title: str
    claims: tuple[str, ...]
    figure: str
    module: str
    #: Seconds on two cores at each scale, as measured.
    seconds: dict[str, int]


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment("information-plane", "fit first, then compress", ("B-1",), "information-plane.html",
                   "flowplane.experiments.fit_then_compress", {"quick": 55, "full": 85}),
        Experiment("training-size", "few samples: over-compression loses I(T;Y)", ("B-2",), "training-size.html",
                   "flowplane.experiments.sample_size", {"quick": 30, "full": 95}),
        Experiment("estimators", "compression without saturation? read by every estimator", ("B-10",), "estimators.html",
                   "flowplane.experiments.compression", {"quick": 320, "full": 2800}),
        Experiment("digits", "do ReLU and tanh classifiers of digits compress?",
                   ("B-10.digits-tanh", "B-10.digits-relu"), "digits.html",
                   "flowplane.experiments.digits", {"quick": 120, "full": 400}),
        Experiment("ib-bound", "how near do layers come to the information bottleneck's bound?", ("B-4",), "ib-bound.html",
                   "flowplane.experiments.bound", {"quick": 30, "full": 370}),
        Experiment("critical-points", "do layers settle near the bound's critical points?", ("B-9",),
                   "critical-points-sharp.html", "flowplane.experiments.critical", {"quick": 175, "full": 830}),
        Experiment("gaussian-dae", "deeper autoencoders transport faster", ("A-1", "A-4"), "gaussian-dae.html",
                   "flowplane.experiments.gaussian_dae", {"quick": 7, "full": 20}),
        Experiment("mixture-dae", "mixtures: depth and the continuous limit", ("A-1.limit", "A-3.mixture"),
                   "mixture-dae.html", "flowplane.experiments.mixture_dae", {"quick": 9, "full": 15}),
        Experiment("planar-dae", "two moons, a swiss roll and rings flow", ("A-3.planar",), "planar-dae.html",
                   "flowplane.experiments.planar_dae", {"quick": 15, "full": 45}),
        Experiment("backward-heat", "the flow solves the backward heat equation", ("A-2", "A-3"), "backward-heat.html",
                   "flowplane.experiments.backward_heat", {"quick": 7, "full": 30}),
        Experiment("transport-cost", "each depth's distance from optimal transport", ("A7.shallow",), "transport-cost.html",
                   "flowplane.experiments.transport_cost", {"quick": 20, "full": 90}),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What an experiment found: labelled Datasets, Plotly figures, claims with verdicts."""

    datasets: dict[str, xr.Dataset]
    figures: dict[str, go.Figure]
    claims: list[Claim]
    #: Seconds of training, without what stood around it; recordings found finished count what they once took.
    training_seconds: float = 0.0


@dataclass
class Context:
    """Where and how an experiment runs."""

    scale: str = "quick"
    out: Path | None = None
    device: str = "auto"
    seed: int = 0
    overwrite: bool = False
    training_seconds: float = field(default=0.0, init=False)

    def train(self, name: str, task: Task, **arguments: Any) -> Recording:
        """`fp.train` into this experiment's folder; a recording there already is resumed, a finished one used again."""
        from flowplane.ensemble import train

        path = None if self.out is None else self.out / "recordings" / f"{name}-{self.scale}.fp"
        mode = "create"
        if path is not None and path.exists():
            mode = "overwrite" if self.overwrite else "resume"
        rec = train(task, path=path, device=self.device, seed=self.seed, mode=mode, **arguments)
        self.training_seconds += float(rec.seconds[-1])
        return rec


def run(
    name: str, scale: str = "quick", out: str | Path | None = "results", device: str = "auto", seed: int = 0,
    overwrite: bool = False,
) -> Result:  # fmt: skip
    """Run one experiment and write what it found to `out`/`name`: claims.json, Datasets, figures, recordings.

    Arguments:
        name: one of `EXPERIMENTS`.
        scale: "quick" (under a minute, may be inconclusive) or "full" (the paper's scale).
        out: folder of all results; None writes nothing.
        device, seed: as in `fp.train`.
        overwrite: train anew even where a recording of the same experiment and scale is there.

    Raises:
        InputError: an unknown experiment or scale, or recordings in `out` that other arguments made.
    """
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    folder = None
    if out is not None:
        root = as_path("out", out)
        if root.exists() and not root.is_dir():
            raise InputError("out", str(out), "a folder, or a path that does not exist yet")
        folder = root / name
    began = time.perf_counter()
    context = Context(scale, folder, device, seed, overwrite)
    result = import_module(EXPERIMENTS[name].module).run(context)
    seconds = time.perf_counter() - began
    claims = [replace(claim, seconds=round(seconds, 1)) for claim in result.claims]
    result = replace(result, claims=claims, training_seconds=round(context.training_seconds, 1))
    if folder is not None:
        _write(result, folder, {"experiment": name, "scale": scale, "seed": seed, "seconds": round(seconds, 1)})
    return result


def _write(result: Result, folder: Path, about: dict[str, Any]) -> None:
    """Datasets and figures first, the claims last: a claims.json speaks for files that are there."""
    from flowplane.plot import save

    folder.mkdir(parents=True, exist_ok=True)
    for name, dataset in result.datasets.items():
        dataset.to_netcdf(folder / f"{name}.nc", engine="h5netcdf")
    for name, figure in result.figures.items():
        save(figure, folder / f"{name}.html")
    about |= {"training_seconds": result.training_seconds, "flowplane": __version__}
    (folder / "run.json").write_text(json.dumps(about, indent=1) + "\n")
    rows = [claim.to_json() for claim in result.claims]
    (folder / "claims.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
