"""The experiments by name, and how one is run. A new experiment is one module and one line here."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowplane.core.paths import as_path
from flowplane.errors import InputError, unknown
from flowplane.experiments.claim import Claim, claims_frame
from flowplane.experiments.papers import head_of
from flowplane.version import __version__

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    import xarray as xr

    from flowplane.recording import Recording
    from flowplane.tasks import Task

__all__ = ["EXPERIMENTS", "SCALES", "Context", "Experiment", "Result", "experiments_of", "finished", "run"]

#: Quick takes a minute or two and may be inconclusive, full is the papers' scale; tiny shows in seconds that an experiment
#: runs, and decides nothing.
SCALES = ("quick", "full", "tiny")


@dataclass(frozen=True)
class Experiment:
    """What `flowplane experiments` lists; the module's `run(context)` returns a Result."""

    #: Named after the experiment; a leading dot stands for `flowplane.experiments`.
    module: str
    title: str
    #: Those that `flowplane experiments` names.
    claims: tuple[str, ...]
    #: On two cores, as measured: quick, full.
    seconds: tuple[int, int]
    #: The name of the first figure, where that is not the experiment's.
    shown: str = ""

    @property
    def name(self) -> str:
        """The experiment's name: `flowplane reproduce NAME`."""
        return self.module.rpartition(".")[2].replace("_", "-")

    @property
    def figure(self) -> str:
        """The first figure's file."""
        return f"{self.shown or self.name}.html"


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment(".information.information_plane", "fit first, then compress", ("B-1",), (55, 85)),
        Experiment(".information.training_size", "few samples: over-compression loses I(T;Y)", ("B-2",), (60, 820)),
        Experiment(
            ".information.estimators", "compression without saturation? read by every estimator", ("B-10",), (320, 2800)
        ),
        Experiment(
            ".information.digits",
            "do ReLU and tanh classifiers of digits compress?",
            ("B-10.digits-tanh", "B-10.digits-relu"),
            (120, 400),
        ),
        Experiment(
            ".information.ib_bound", "how near do layers come to the information bottleneck's bound?", ("B-4",), (30, 370)
        ),
        Experiment(
            ".information.critical_points",
            "do layers settle near the bound's critical points?",
            ("B-9",),
            (175, 830),
            shown="critical-points-sharp",
        ),
        Experiment(
            ".dynamics.gradient_phases",
            "gradients pass from drift to diffusion when compression starts",
            ("B-3",),
            (30, 180),
            shown="gradient-phases-sgd",
        ),
        Experiment(
            ".dynamics.diffusion", "do the weights diffuse like a Wiener process?", ("B-7",), (15, 30), shown="diffusion-sgd"
        ),
        Experiment(
            ".dynamics.relaxation",
            "does the time to compress grow exponentially with the compression?",
            ("B-6",),
            (15, 20),
            shown="relaxation-sgd",
        ),
        Experiment(
            ".dynamics.replicas",
            "do very different networks reach the same optimum?",
            ("B-8",),
            (15, 15),
            shown="spread-sgd",
        ),
        Experiment(
            ".dynamics.depth",
            "more hidden layers: fewer epochs to the same generalisation",
            ("B-5",),
            (60, 1070),
            shown="epochs_to_accuracy",
        ),
        Experiment(
            ".information.activations",
            "which activations compress, by bins?",
            ("B-10.binned",),
            (70, 610),
            shown="activations-sgd",
        ),
        Experiment(
            ".bridge.bridge",
            "information by denoising: both papers' quantities by one law",
            ("X-bridge.exact", "X-bridge.debruijn", "X-bridge.ceiling", "X-bridge.benchmark"),
            (130, 2700),
            shown="spectrum",
        ),
        Experiment(".transport.gaussian_dae", "deeper autoencoders transport faster", ("A-1", "A-4"), (7, 20)),
        Experiment(
            ".transport.mixture_dae", "mixtures: depth and the continuous limit", ("A-1.limit", "A-3.mixture"), (9, 15)
        ),
        Experiment(".transport.planar_dae", "two moons, a swiss roll and rings flow", ("A-3.planar",), (15, 45)),
        Experiment(".transport.backward_heat", "the flow solves the backward heat equation", ("A-2", "A-3"), (7, 30)),
        Experiment(".learned.learned_dae", "trained autoencoders and the optimal map", ("A-7",), (50, 800)),
        Experiment(".learned.score_flow", "a learned score makes the continuous flow", ("X-learned-flow",), (50, 340)),
        Experiment(
            ".learned.stacked_dae",
            "is a stack of autoencoders a composition of them?",
            ("A-6", "A-6.affine", "A-6.curved", "A-6.linear", "A-6.local"),
            (55, 300),
        ),
        Experiment(
            ".learned.deep_features",
            "do deeper autoencoders separate classes better?",
            ("A-5", "A-5.digits", "A-5.moons"),
            (50, 370),
        ),
        Experiment(
            ".transport.embeddings",
            "layers of different width as transport: does the common space matter?",
            ("X-embedding",),
            (10, 180),
        ),
        Experiment(
            ".transport.transport_cost", "each depth's distance from optimal transport", ("X-shallow-optimal",), (20, 90)
        ),
        Experiment(".flows.budget", "what flows waste: trained three ways, and the papers' own", ("X-budget",), (150, 750)),
        Experiment(".flows.steps", "the less a flow bends, the fewer steps it takes", ("X-steps",), (150, 750)),
        Experiment(
            ".ridgelet.ridgelet",
            "a network as an integral over its hidden units",
            ("A-8", "A-8.truncation", "A-8.width"),
            (40, 225),
            shown="spectrum",
        ),
        Experiment(
            ".ridgelet.double_limit", "residual networks built without training converge to the flow", ("A-9",), (45, 1100)
        ),
    )
}


def experiments_of(claim: str) -> tuple[str, ...]:
    """The experiments that test a paper's claim as a whole; where there is none, those that test parts of it.

    Example:
        >>> experiments_of("B-1"), experiments_of("A-3")
        (('information-plane',), ('backward-heat',))
    """
    whole = tuple(e.name for e in EXPERIMENTS.values() if claim in e.claims)
    return whole or tuple(e.name for e in EXPERIMENTS.values() if any(head_of(part) == claim for part in e.claims))


@dataclass(frozen=True)
class Result:
    """What an experiment found: labelled Datasets, Plotly figures, claims with verdicts."""

    datasets: dict[str, xr.Dataset]
    figures: dict[str, go.Figure]
    claims: list[Claim]
    #: Seconds of training, without what stood around it; recordings found finished count what they once took.
    training_seconds: float = 0.0

    def to_dataframe(self, name: str | None = None) -> pd.DataFrame:
        """The claims, or one of the Datasets, as a tidy table: one row per number.

        Arguments:
            name: one of `datasets`, in long form (`core.frames.long_frame`); None for the claims (`claims_frame`).

        Raises:
            InputError: no Dataset of that name.

        Example:
            >>> claim = Claim(id="A-1", role="headline", statement="faster", measured=(0.5, 0.4), verdict="reproduced")
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

    def _repr_html_(self) -> str:
        """How many claims got which verdict, above a table of them, and the names of figures and Datasets."""
        from flowplane.core.display import folded, shortened, table_html

        verdicts = Counter(claim.verdict for claim in self.claims)
        counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        table = self.to_dataframe().dropna(axis="columns", how="all").drop(columns=["scale"], errors="ignore")
        rows = [
            ("claims", folded(f"{len(self.claims)}: {counted}", table) if self.claims else ""),
            ("figures", ", ".join(map(shortened, self.figures))),
            ("datasets", ", ".join(map(shortened, self.datasets))),
        ]
        return table_html("flowplane.experiments.Result", rows)


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
        return self._sweep(self.out, name, function, grid)

    def sweep_shared(self, name: str, function: Callable[..., Any], grid: dict[str, list[Any]]) -> xr.Dataset:
        """As `sweep`, into a folder that other experiments of the same results look into as well."""
        return self._sweep(None if self.out is None else self.out.parent, name, function, grid)

    def _sweep(self, folder: Path | None, name: str, function: Callable[..., Any], grid: dict[str, list[Any]]) -> xr.Dataset:
        from flowplane.cluster import sweep

        with ExitStack() as stack:
            if folder is None:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowplane-")))
            else:
                path = folder / "sweeps" / f"{name}-{self.scale}"
                if self.overwrite and path.exists():
                    shutil.rmtree(path)
            return sweep(function, grid, path, cluster=self.cluster)


def run(
    name: str,
    scale: str = "quick",
    out: str | Path | None = "results",
    device: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
    cluster: Any = None,
    offline: bool = False,
) -> Result:
    """Run one experiment and write what it found to `out`/`name`: claims.json, Datasets, figures, recordings.

    Arguments:
        name: one of `EXPERIMENTS`.
        scale: "quick" (about a minute, may be inconclusive), "full" (the paper's scale) or "tiny" (seconds, to see that it
            runs: no claim of it is more than inconclusive).
        out: folder of all results; None writes nothing.
        device, seed: as in `fp.train`.
        overwrite: train anew even where a recording of the same experiment and scale is there.
        cluster: where sweeps run, as in `fp.sweep`; None for one worker per core on this machine.
        offline: whether each figure's page holds plotly.js itself, as in `fp.plot.save`.

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
    result = import_module(EXPERIMENTS[name].module, __package__).run(context)
    seconds = time.perf_counter() - began
    known: dict[str, Any] = {"scale": scale, "seconds": round(seconds, 1)}
    if scale == "tiny":
        known["verdict"] = "inconclusive"
    claims = [replace(claim, **known) for claim in result.claims]
    result = replace(result, claims=claims, training_seconds=round(context.training_seconds, 1))
    if folder is not None:
        about = {"experiment": name, "scale": scale, "seed": seed, "seconds": round(seconds, 1)}
        _write(result, folder, about, offline)
    return result


def finished(name: str, scale: str, out: str | Path, seed: int = 0) -> bool:
    """Whether `out` holds what this version found of an experiment, at this scale and of this seed."""
    folder = Path(out) / name
    try:
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        found = about["scale"], about["seed"], about["versions"]["flowplane"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return found == (scale, seed, __version__) and (folder / "claims.json").is_file()


def _write(result: Result, folder: Path, about: dict[str, Any], offline: bool) -> None:
    """Datasets and figures first, the claims last: a claims.json speaks for files that are there."""
    from flowplane.core import results
    from flowplane.core.compiled import machine
    from flowplane.core.files import write_text
    from flowplane.plot import save
    from flowplane.recording.store import versions

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "claims.json").unlink(missing_ok=True)
    for name, dataset in result.datasets.items():
        results.save(dataset, folder / f"{name}.nc")
    for name, figure in result.figures.items():
        save(figure, folder / f"{name}.html", offline=offline)
    about |= {"training_seconds": result.training_seconds, "machine": machine(), "versions": versions()}
    write_text(folder / "run.json", json.dumps(about, indent=1) + "\n")
    rows = [claim.to_json() for claim in result.claims]
    write_text(folder / "claims.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
