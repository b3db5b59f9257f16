"""The experiments by name, and how one is run. A new experiment is one module and one line here."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowplane.core.paths import as_path
from flowplane.errors import InputError, unknown
from flowplane.experiments.claim import Claim
from flowplane.experiments.frames import claims_frame
from flowplane.version import __version__

if TYPE_CHECKING:
    import pandas as pd
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
        Experiment(
            "information-plane",
            "fit first, then compress",
            ("B-1",),
            "information-plane.html",
            "flowplane.experiments.information.information_plane",
            {"quick": 55, "full": 85},
        ),
        Experiment(
            "training-size",
            "few samples: over-compression loses I(T;Y)",
            ("B-2",),
            "training-size.html",
            "flowplane.experiments.information.training_size",
            {"quick": 60, "full": 820},
        ),
        Experiment(
            "estimators",
            "compression without saturation? read by every estimator",
            ("B-10",),
            "estimators.html",
            "flowplane.experiments.information.estimators",
            {"quick": 320, "full": 2800},
        ),
        Experiment(
            "digits",
            "do ReLU and tanh classifiers of digits compress?",
            ("B-10.digits-tanh", "B-10.digits-relu"),
            "digits.html",
            "flowplane.experiments.information.digits",
            {"quick": 120, "full": 400},
        ),
        Experiment(
            "ib-bound",
            "how near do layers come to the information bottleneck's bound?",
            ("B-4",),
            "ib-bound.html",
            "flowplane.experiments.information.ib_bound",
            {"quick": 30, "full": 370},
        ),
        Experiment(
            "critical-points",
            "do layers settle near the bound's critical points?",
            ("B-9",),
            "critical-points-sharp.html",
            "flowplane.experiments.information.critical_points",
            {"quick": 175, "full": 830},
        ),
        Experiment(
            "gradient-phases",
            "gradients pass from drift to diffusion when compression starts",
            ("B-3",),
            "gradient-phases-sgd.html",
            "flowplane.experiments.dynamics.gradient_phases",
            {"quick": 30, "full": 180},
        ),
        Experiment(
            "diffusion",
            "do the weights diffuse like a Wiener process?",
            ("B-7",),
            "diffusion-sgd.html",
            "flowplane.experiments.dynamics.diffusion",
            {"quick": 15, "full": 30},
        ),
        Experiment(
            "relaxation",
            "does the time to compress grow exponentially with the compression?",
            ("B-6",),
            "relaxation-sgd.html",
            "flowplane.experiments.dynamics.relaxation",
            {"quick": 15, "full": 20},
        ),
        Experiment(
            "replicas",
            "do very different networks reach the same optimum?",
            ("B-8",),
            "spread-sgd.html",
            "flowplane.experiments.dynamics.replicas",
            {"quick": 15, "full": 15},
        ),
        Experiment(
            "depth",
            "more hidden layers: fewer epochs to the same generalisation",
            ("B-5",),
            "epochs_to_accuracy.html",
            "flowplane.experiments.dynamics.depth",
            {"quick": 60, "full": 1070},
        ),
        Experiment(
            "activations",
            "which activations compress, by bins?",
            ("B-10.binned",),
            "activations-sgd.html",
            "flowplane.experiments.information.activations",
            {"quick": 70, "full": 610},
        ),
        Experiment(
            "gaussian-dae",
            "deeper autoencoders transport faster",
            ("A-1", "A-4"),
            "gaussian-dae.html",
            "flowplane.experiments.transport.gaussian_dae",
            {"quick": 7, "full": 20},
        ),
        Experiment(
            "mixture-dae",
            "mixtures: depth and the continuous limit",
            ("A-1.limit", "A-3.mixture"),
            "mixture-dae.html",
            "flowplane.experiments.transport.mixture_dae",
            {"quick": 9, "full": 15},
        ),
        Experiment(
            "planar-dae",
            "two moons, a swiss roll and rings flow",
            ("A-3.planar",),
            "planar-dae.html",
            "flowplane.experiments.transport.planar_dae",
            {"quick": 15, "full": 45},
        ),
        Experiment(
            "backward-heat",
            "the flow solves the backward heat equation",
            ("A-2", "A-3"),
            "backward-heat.html",
            "flowplane.experiments.transport.backward_heat",
            {"quick": 7, "full": 30},
        ),
        Experiment(
            "learned-dae",
            "trained autoencoders and the optimal map",
            ("A-7",),
            "learned-dae.html",
            "flowplane.experiments.learned.learned_dae",
            {"quick": 50, "full": 800},
        ),
        Experiment(
            "score-flow",
            "a learned score makes the continuous flow",
            ("A5.learned",),
            "score-flow.html",
            "flowplane.experiments.learned.score_flow",
            {"quick": 50, "full": 340},
        ),
        Experiment(
            "stacked-dae",
            "is a stack of autoencoders a composition of them?",
            ("A-6", "A-6.affine", "A-6.curved", "A-6.linear", "A-6.local"),
            "stacked-dae.html",
            "flowplane.experiments.learned.stacked_dae",
            {"quick": 55, "full": 300},
        ),
        Experiment(
            "deep-features",
            "do deeper autoencoders separate classes better?",
            ("A-5", "A-5.digits", "A-5.moons"),
            "deep-features.html",
            "flowplane.experiments.learned.deep_features",
            {"quick": 50, "full": 370},
        ),
        Experiment(
            "embeddings",
            "layers of different width as transport: does the common space matter?",
            ("A8.embedding",),
            "embeddings.html",
            "flowplane.experiments.transport.embeddings",
            {"quick": 10, "full": 180},
        ),
        Experiment(
            "transport-cost",
            "each depth's distance from optimal transport",
            ("A7.shallow",),
            "transport-cost.html",
            "flowplane.experiments.transport.transport_cost",
            {"quick": 20, "full": 90},
        ),
        Experiment(
            "ridgelet",
            "a network as an integral over its hidden units",
            ("A-8", "A-8.truncation", "A-8.width"),
            "spectrum.html",
            "flowplane.experiments.ridgelet.ridgelet",
            {"quick": 40, "full": 225},
        ),
        Experiment(
            "double-limit",
            "residual networks built without training converge to the flow",
            ("A-9",),
            "double-limit.html",
            "flowplane.experiments.ridgelet.double_limit",
            {"quick": 45, "full": 1100},
        ),
    )
}


@dataclass(frozen=True)
class Result:
    """What an experiment found: labelled Datasets, Plotly figures, claims with verdicts."""

    datasets: dict[str, xr.Dataset]
    figures: dict[str, go.Figure]
    claims: list[Claim]
    #: Seconds of training, without what stood around it; recordings found finished count what they once took.
    training_seconds: float = 0.0

    def to_dataframe(self, name: str | None = None) -> pd.DataFrame:
        """The claims, or one of the Datasets, as a tidy table: a row a number.

        Arguments:
            name: one of `datasets`, in long form (`core.frames.long_frame`); None for the claims (`claims_frame`).

        Raises:
            InputError: no Dataset of that name.

        Example:
            >>> claim = Claim("A-1", "faster", (0.5, 0.4), None, (0.5, 0.4), (0.1, 0.1), "reproduced", "quick", 1.0)
            >>> Result({}, {}, [claim]).to_dataframe()[["claim", "index", "measured", "verdict"]]
              claim  index  measured     verdict
            0   A-1      0       0.5  reproduced
            1   A-1      1       0.4  reproduced
        """
        from flowplane.core.frames import long_frame

        if name is None:
            return claims_frame(self.claims)
        if name not in self.datasets:
            raise unknown("name", name, self.datasets)
        return long_frame(self.datasets[name])


@dataclass
class Context:
    """Where and how an experiment runs."""

    scale: str = "quick"
    out: Path | None = None
    device: str = "auto"
    seed: int = 0
    overwrite: bool = False
    cluster: Any = None
    training_seconds: float = field(default=0.0, init=False)

    def train(self, name: str, task: Task, **arguments: Any) -> Recording:
        """`fp.train` into this experiment's folder; a recording there already is resumed, a finished one used again."""
        return self._train(self.out, name, task, arguments)

    def train_shared(self, name: str, task: Task, **arguments: Any) -> Recording:
        """As `train`, into a folder that other experiments of the same results look into as well."""
        return self._train(None if self.out is None else self.out.parent, name, task, arguments)

    def _train(self, folder: Path | None, name: str, task: Task, arguments: dict[str, Any]) -> Recording:
        from flowplane.ensemble import train

        path = None if folder is None else folder / "recordings" / f"{name}-{self.scale}.fp"
        mode = "create"
        if path is not None and path.exists():
            mode = "overwrite" if self.overwrite else "resume"
        rec = train(task, path=path, device=self.device, seed=self.seed, mode=mode, **arguments)
        self.training_seconds += float(rec.seconds[-1])
        return rec

    def sweep(self, name: str, function: Callable[..., Any], grid: dict[str, list[Any]]) -> xr.Dataset:
        """`fp.sweep` into this experiment's folder; what is finished there already is used again."""
        from flowplane.cluster import sweep

        with ExitStack() as stack:
            if self.out is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowplane-")))
            else:
                folder = self.out / "sweeps" / f"{name}-{self.scale}"
                if self.overwrite and folder.exists():
                    shutil.rmtree(folder)
            return sweep(function, grid, folder, cluster=self.cluster)


def run(
    name: str,
    scale: str = "quick",
    out: str | Path | None = "results",
    device: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
    cluster: Any = None,
) -> Result:
    """Run one experiment and write what it found to `out`/`name`: claims.json, Datasets, figures, recordings.

    Arguments:
        name: one of `EXPERIMENTS`.
        scale: "quick" (under a minute, may be inconclusive) or "full" (the paper's scale).
        out: folder of all results; None writes nothing.
        device, seed: as in `fp.train`.
        overwrite: train anew even where a recording of the same experiment and scale is there.
        cluster: where sweeps run, as in `fp.sweep`; None for a worker a core on this machine.

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
    context = Context(scale, folder, device, seed, overwrite, cluster)
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
