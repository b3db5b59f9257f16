"""The command line. Heavy imports happen inside the commands, so that `flowplane --help` answers at once."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["app", "main"]

app = typer.Typer(
    help="What each layer of a deep network knows, and how each layer moves its data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130

Workers = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler for the analysis, tcp://host:port; without it, this machine.")
]


class _Stopped(Exception):
    """Ctrl-C, with what to tell the user."""


class Device(StrEnum):
    """What to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class _Measuring(TyperCommand):
    """Help that lists the estimators: they are imported when it is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from flowplane.analysis.estimators import estimator_help

        for parameter in self.params:
            if parameter.name == "estimator":
                parameter.help = f"{estimator_help()} Without it, what fp.information_plane chooses."  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def _version(wanted: bool) -> None:
    if wanted:
        from flowplane.version import __version__

        _console().print(f"flowplane {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """What each layer of a deep network knows, and how each layer moves its data."""


@app.command()
def experiments() -> None:
    """List the experiments: their claims, their figure, and the seconds that each scale takes."""
    from rich import box
    from rich.table import Table

    from flowplane.experiments.registry import EXPERIMENTS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("experiment", no_wrap=True, style="bold")
    table.add_column("what it shows")
    for name in ("claims", "figure", "quick", "full"):
        table.add_column(name, no_wrap=True)
    for experiment in EXPERIMENTS.values():
        seconds = [f"{each} s" for each in experiment.seconds]
        table.add_row(experiment.name, experiment.title, ", ".join(experiment.claims), experiment.figure, *seconds)
    _console().print(table)


@app.command()
def reproduce(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Experiments by name, or 'all'.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute or a few per experiment; may be inconclusive (default).")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="The paper's scale.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for claims, data, figures and recordings.")] = Path("results"),
    device: Annotated[Device, typer.Option(help="Training device.")] = Device.auto,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler for sweeps, tcp://host:port; without it, one worker per core here."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Train again instead of reusing the recordings in the folder.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Each figure's page holds plotly.js, 5 MB, instead of sharing one copy.")
    ] = False,
) -> None:
    """Reproduce figures and claims of the papers. After Ctrl-C, the same command continues where it stopped.

    'all' skips what this version has finished in the folder, at the same scale and with the same seed.
    """
    from flowplane.errors import InputError, unknown
    from flowplane.experiments.registry import EXPERIMENTS, finished

    if quick and full:
        raise InputError("scale", "--quick and --full", "one of them")
    wanted = list(EXPERIMENTS) if "all" in names else names
    for name in wanted:
        if name not in EXPERIMENTS:
            raise unknown("experiment", name, [*EXPERIMENTS, "all"])
    scale = "full" if full else "quick"
    if "all" in names and not overwrite:
        done = [name for name in wanted if finished(name, scale, out, seed)]
        if done:
            _console().print(f"already finished in {out}: {', '.join(done)} (--overwrite runs them again)")
        wanted = [name for name in wanted if name not in done]
    given = scale, out, device, seed, overwrite, cluster, offline
    failed = [name for name in dict.fromkeys(wanted) if not _reproduced(name, *given)]
    if failed:
        raise typer.Exit(1)


def _reproduced(
    name: str, scale: str, out: Path, device: Device, seed: int, overwrite: bool, cluster: str | None, offline: bool
) -> bool:
    """Run one experiment and print its ledger; False where it failed."""
    import traceback

    from flowplane.errors import InputError, Interrupted, MissingRequirement, SweepFailed
    from flowplane.experiments.registry import EXPERIMENTS, SCALES, run
    from flowplane.reporting.ledger import claims_table, inconclusive_words

    experiment = EXPERIMENTS[name]
    console = _console()
    console.print(f"{name}: {experiment.title} ({scale} scale, about {experiment.seconds[SCALES.index(scale)]} s)")
    try:
        result = run(name, scale, out, device.value, seed, overwrite, cluster, offline)
    except (InputError, MissingRequirement):
        raise
    except KeyboardInterrupt as stop:
        rec = stop.recording if isinstance(stop, Interrupted) else None
        kept = f"recordings in {out / name} are kept"
        if rec is not None:
            from flowplane.core.paths import from_here

            kept = f"everything up to epoch {rec.epochs[-1]} is kept in {from_here(str(rec.path))}"
        raise _Stopped(f"stopped: {kept}; run the same command again to go on from there") from stop
    except SweepFailed as failure:
        _complaint(f"error: {failure}", 1)
        return False
    except Exception:
        traceback.print_exc()
        return False
    console.print(claims_table(result.claims))
    for line in inconclusive_words(result.claims):
        console.print(line)
    training = f", of which training {result.training_seconds:.0f} s" if result.training_seconds else ""
    console.print(f"{result.claims[0].seconds:.0f} s{training}")
    console.print(f"figure: {out / name / experiment.figure}", soft_wrap=True)
    return True


@app.command(cls=_Measuring)
def measure(
    recording: Annotated[Path, typer.Argument(metavar="RUN", help="A recording, such as fp.train(task, path=…) makes.")],
    estimator: Annotated[str | None, typer.Option(show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Also write the whole plane: a NetCDF file (.nc), or a long table (.csv), a row per number with its units.",
        ),
    ] = None,
    samples: Annotated[str, typer.Option(help="Which samples: all, train or test.")] = "all",
    cluster: Workers = None,
) -> None:
    """Estimate the information plane of a recording; prints the last epoch and what its flags mean."""
    from flowplane.analysis.estimators import parse_estimator
    from flowplane.errors import InputError

    chosen = None if estimator is None else parse_estimator(estimator)
    if output is not None:
        folder = output.absolute().parent
        suffix = output.suffix.lower() in (".nc", ".csv")
        if not suffix or output.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            wanted = "a file name that ends in .nc or .csv, in a folder that can be written to"
            raise InputError("output", str(output), wanted)
    from flowplane.analysis.plane import information_plane
    from flowplane.core.results import save
    from flowplane.recording import open_recording
    from flowplane.reporting.terminal import last_epoch_table, warning_lines

    plane = information_plane(open_recording(recording), chosen, samples=samples, cluster=cluster)
    console = _console()
    console.print(last_epoch_table(plane))
    for line in warning_lines(plane):
        console.print(line)
    if output is not None:
        try:
            save(plane, output)
        except OSError as error:
            raise InputError("output", str(output), "a file that can be written") from error
        console.print(f"written: {output}", soft_wrap=True)


@app.command()
def report(
    sources: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Recordings, or folders of results.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, a .html file.")] = Path("report.html"),
    denoising: Annotated[
        bool,
        typer.Option("--denoising", help="Also measure how hard the layers of recordings are to denoise; takes minutes."),
    ] = False,
    cluster: Workers = None,
) -> None:
    """Make one page about a recording or an experiment, or about several side by side; it opens offline, and every figure
    on it exports its data as CSV."""
    from flowplane.reporting.making import report as make

    path = make(list(sources), output, denoising=denoising, cluster=cluster)
    _console().print(f"report: {path}", soft_wrap=True)


@app.command()
def watch(
    sources: Annotated[
        list[Path], typer.Argument(metavar="RUN…", help="Recordings, or a folder of them; they need not exist yet.")
    ],
    port: Annotated[
        int | None, typer.Option(help="Port of the page; by default the first free one from 8060 on.", show_default=False)
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Show recordings on a page while they are written: curves, plane, decodable bits, gradients, layers. Ctrl-C ends it."""
    try:
        from flowplane.reporting.live import watch as show

        with show(list(sources), port=port, browser=browser) as page:
            _console().print(f"watching on {page.url} (Ctrl-C ends it)", soft_wrap=True)
            page.wait()
    except KeyboardInterrupt:  # how it is meant to end
        return


@app.command()
def clean(recordings: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Recordings.")]) -> None:
    """Delete cached analyses of recordings; they are computed again when needed. The recordings stay."""
    from flowplane.recording import clean as remove

    for recording in recordings:
        size = remove(recording)
        said = f"removed {size / 1e6:.1f} MB of cached analyses" if size else "no cached analyses"
        _console().print(f"{recording}: {said}", soft_wrap=True)


@app.command()
def claims(folder: Annotated[Path, typer.Argument(help="A folder of results.")] = Path("results")) -> None:
    """Print the ledger of both papers' claims: what a folder of results says about each, and what has not been run."""
    from flowplane.reporting.ledger import count_verdicts, inconclusive_words, paper_tables, read_claims

    found = read_claims(folder)
    console = _console()
    for table in paper_tables(found):
        console.print(table)
    for line in inconclusive_words(found):
        console.print(line)
    console.print(count_verdicts(found))


def _console() -> Console:
    """Standard output; where it is not a terminal, wide enough for a table. Brackets are not read as markup."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=140)


def main() -> None:
    """The `flowplane` command: bad input is one line and exit code 2, Ctrl-C says what is kept and exits 130."""
    from flowplane.core.signs import show_anything
    from flowplane.errors import ClusterFailed, InputError, MissingRequirement

    show_anything(sys.stdout)
    show_anything(sys.stderr)
    said = 0
    try:
        code = app(standalone_mode=False)
    except _Stopped as stop:
        code = said = _complaint(str(stop), INTERRUPTED)
    except InputError as error:
        code = _complaint(f"error: {error}", 2)
    except (ClusterFailed, MissingRequirement) as error:
        code = _complaint(f"error: {error}", 1)
    except Exception as error:
        if type(error).__module__.startswith("icechunk"):
            code = _complaint("error: a recording is damaged, or was overwritten while it was read", 1)
        elif hasattr(error, "format_message"):  # typer's own complaints about options and arguments
            text = error.format_message()
            code = _complaint(f"error: {text}", 2) if text else 2
        else:
            raise
    if code == INTERRUPTED and not said:
        _complaint("stopped", INTERRUPTED)
    sys.exit(code)


def _complaint(text: str, code: int) -> int:
    print(text, file=sys.stderr)  # noqa: T201
    return code
