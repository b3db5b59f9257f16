"""Where numbers come from, how to cite them, and the lines that make them again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import xarray as xr

from flowplane.core.paths import from_here
from flowplane.core.results import said
from flowplane.reporting.markup import count, number
from flowplane.version import __version__

if TYPE_CHECKING:
    from flowplane.recording import Recording

__all__ = ["CITATIONS", "about_equal", "made_now", "recording_facts", "recording_recipe", "run_facts", "run_recipe"]

#: As in CITATION.cff: flowplane, and the papers of the two lenses.
CITATIONS = (
    "The flowplane authors. flowplane: what each layer of a deep network knows, and how each layer moves its data. "
    f"Version {__version__}, Apache-2.0.",
    "Ravid Shwartz-Ziv and Naftali Tishby. Opening the Black Box of Deep Neural Networks via Information. 2017, "
    "arXiv:1703.00810.",
    "Sho Sonoda and Noboru Murata. Transport Analysis of Infinitely Deep Neural Network. Journal of Machine Learning "
    "Research 20, 2019, arXiv:1605.02832.",
)

#: What `rec.attrs` calls the settings worth a row, and what a reader calls them.
SETTINGS = {
    "optimizer": "optimizer",
    "learning_rate": "learning rate",
    "momentum": "momentum",
    "batch_size": "batch size",
    "train_fraction": "share of the inputs trained on",
    "labels": "labels",
    "noise_variance": "variance of the networks' own noise",
    "device": "device",
    "dtype": "stored as",
    "seed": "seed",
    "reduce": "reduced by",
    "tokens": "tokens that are rows",
    "order": "order of snapshots",
}
#: Arguments of `fp.train` that the reproducing line repeats where they are not the default.
ARGUMENTS = (
    "hidden",
    "activation",
    "replicas",
    "epochs",
    "train_fraction",
    "optimizer",
    "learning_rate",
    "momentum",
    "batch_size",
    "drop_last",
    "labels",
    "snapshots",
    "seed",
    "noise_variance",
)
#: Tasks that can be made by name.
TASKS = {"spherical rule": "fp.tasks.spherical_rule()", "digits": "fp.tasks.digits()"}


def made_now() -> str:
    """Date and minute, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def recording_facts(rec: Recording, plane: xr.Dataset | None, reason: str, left_out: str) -> dict[str, str]:
    """What a recording is of: what was trained and how, by which versions, and by which estimator it was read."""
    attrs = rec.attrs
    layers = rec.layer_coordinates()
    widths = [str(width) for width in layers["width"][1]]
    facts = {
        "recording": "in memory" if rec.path is None else from_here(rec.path),
        "network": f"{rec.architecture} {rec.activation}".strip(),
        "layers": str(len(rec.layers)),
        "units": ", ".join(widths[:40]) + (", …" if len(widths) > 40 else ""),
        "parameters": _parameters(rec),
        "task": f"{rec.task.name}, {len(rec.task.inputs):,} inputs",
        "replicas": str(len(rec.replicas)),
        "epochs": f"{_epochs(rec)}, {count(len(rec.epochs), 'snapshot')} kept",
    }
    facts |= {
        title: about_equal(_shown(attrs[name])) for name, title in SETTINGS.items() if attrs.get(name) not in (None, "", {})
    }
    if plane is not None:
        facts |= {"estimator": estimator(plane), "chosen because": reason, "channel": channel(plane)}
    if left_out:
        facts["thinned"] = left_out
    return {name: value for name, value in facts.items() if value} | versions(attrs.get("versions"))


def run_facts(about: dict[str, Any], plane: xr.Dataset | None) -> dict[str, str]:
    """The same from an experiment's run.json, and from the plane that it kept."""
    said = {
        "experiment": "experiment",
        "scale": "scale",
        "seed": "seed",
        "seconds": "seconds",
        "training_seconds": "of which training, seconds",
        "machine": "machine",
    }
    facts = {title: _shown(about[name]) for name, title in said.items() if name in about}
    if plane is not None:
        facts |= {
            "network": f"{plane.attrs.get('network', '')} {plane.attrs.get('activation', '')}".strip(),
            "task": str(plane.attrs.get("task", "")),
            "replicas": str(plane.sizes["replica"]),
            "estimator": estimator(plane),
            "channel": channel(plane),
        }
    return {name: value for name, value in facts.items() if value} | versions(about.get("versions"))


def versions(found: Any) -> dict[str, str]:
    """What it was made with, where that is known, and what made this page."""
    used = ", ".join(f"{name} {version}" for name, version in found.items()) if isinstance(found, dict) else str(found or "")
    return ({"made with": used} if used else {}) | {"this page": f"flowplane {__version__}, {made_now()}"}


def estimator(plane: xr.Dataset) -> str:
    """Its name and parameters; those of several quantities one after another where they differ."""
    names = [name for name in ("i_xt", "i_ty") if name in plane]
    texts = [f"{said(plane, name, 'estimator') or 'unknown'}({said(plane, name, 'parameters')})" for name in names]
    return "; ".join(dict.fromkeys(texts))


def channel(plane: xr.Dataset) -> str:
    """What makes the information finite, the layers' channels one after another where they differ."""
    return "; ".join(dict.fromkeys(said(plane, name, "channel") for name in ("i_xt", "i_ty") if name in plane))


def about_equal(text: str) -> str:
    """What a recording calls its labels, without promising that classes cut at quantiles hold the same number each."""
    return text.replace("classes of equal size", "classes of about equal size")


def recording_recipe(rec: Recording, denoising: bool = False) -> str:
    """The lines that make a recording's report again, and the recording itself where it is an ensemble's."""
    opened = (
        [f"rec = fp.open({from_here(rec.path)!r})"] if rec.path is not None else ["rec = …  # this recording was in memory"]
    )
    if rec.kind == "ensemble":
        from inspect import signature

        from flowplane.ensemble import train

        defaults = {name: parameter.default for name, parameter in signature(train).parameters.items()}
        attrs = rec.attrs | ({"hidden": tuple(rec.attrs["sizes"][1:-1])} if "sizes" in rec.attrs else {})
        given = [
            f"{name}={attrs[name]!r}"
            for name in ARGUMENTS
            if name in attrs and name in defaults and not _same(attrs[name], defaults[name])
        ]
        task = TASKS.get(rec.task.name, f"…  # the task {rec.task.name!r}")
        opened = [f"task = {task}", f"rec = fp.train({', '.join(['task', *given])})"]
    asked = ", denoising=True" if denoising else ""
    return "\n".join(["import flowplane as fp", *opened, f'fp.report(rec, "report.html"{asked})'])


def run_recipe(about: dict[str, Any]) -> str:
    """The command that runs an experiment again."""
    name = about.get("experiment")
    if name is None:
        return ""
    if about.get("scale") == "tiny":
        return f"import flowplane as fp\nfp.experiments.run({str(name)!r}, scale='tiny')"
    options = [f"--{about['scale']}"] if about.get("scale") in ("quick", "full") else []
    options += [f"--seed {about['seed']}"] if about.get("seed") else []
    return " ".join(["flowplane reproduce", str(name), *options])


def _parameters(rec: Recording) -> str:
    if rec.kind == "ensemble":
        return f"{rec.network.parameters:,}"
    found = rec.attrs.get("parameters")
    return f"{found:,}" if isinstance(found, int) else ""


def _epochs(rec: Recording) -> str:
    first, last = int(rec.epochs.min()), int(rec.epochs.max())
    return f"{first:,} to {last:,}" if last > first else f"{first:,}"


def _same(value: Any, default: Any) -> bool:
    return (
        list(value) == list(default)
        if isinstance(value, list | tuple) and isinstance(default, list | tuple)
        else value == default
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return str(value) if isinstance(value, int) else number(float(value))
