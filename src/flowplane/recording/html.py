"""A recording in a notebook: a small table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flowplane.core.display import folded, frame_html, shortened, table_html
from flowplane.core.frames import layer_table, left_out_table
from flowplane.core.paths import from_here

if TYPE_CHECKING:
    from flowplane.recording.reader import Recording

__all__ = ["Layers", "recording_html"]

#: Layers that are listed; if there are more, the first and the last ones.
LISTED = 20


class Layers(tuple[str, ...]):
    """Names of layers; a notebook shows what each is, and how it became rows.

    Arguments:
        described: the layers, as a recording's configuration holds them.

    Example:
        >>> layer = {"name": "0", "module": "Linear", "shape": [3], "units": [1], "reduce": "as it is", "width": 3}
        >>> Layers([layer]), "Linear" in Layers([layer])._repr_html_()
        (('0',), True)
    """

    described: Sequence[Mapping[str, Any]]

    def __new__(cls, described: Sequence[Mapping[str, Any]]) -> Self:
        """The names are the tuple itself."""
        made = super().__new__(cls, [layer["name"] for layer in described])
        made.described = described
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (self.described,)

    def _repr_html_(self) -> str:
        return frame_html(layer_table(self.described))


def recording_html(rec: Recording) -> str:
    """What Jupyter shows of a Recording: the network, its task, layers with widths, snapshots and the last metrics.

    The table takes the notebook's own colours, light or dark. Text is escaped.
    """
    epochs, left = rec.epochs, left_out_table(rec.attrs.get("left_out", ()))
    shown = [layer for layer in rec.attrs.get("layers", ()) if layer["name"] in rec.layers]
    what = rec.architecture if not rec.activation else f"{rec.architecture}, {rec.activation}"
    if "parameters" in rec.attrs:
        what += f", {rec.attrs['parameters']:,} parameters"
    where = "in memory" if rec.path is None else from_here(rec.path)
    rows = [
        (rec.kind, shortened(what)),
        ("probe inputs" if rec.kind == "model" else "task", _task(rec)),
        ("layers", folded(_layers(rec), layer_table(shown)) if shown else _layers(rec)),
        ("left out", folded(f"{len(left)} that ran", left) if len(left) else ""),
        ("replicas", str(len(rec.replicas))),
        ("snapshots", f"{len(epochs)}, epochs {_number(epochs.min())} to {_number(epochs.max())}"),
        ("order", shortened(rec.attrs.get("order", ""))),
        ("at the end", _metrics(rec)),
    ]
    return table_html(f"flowplane.Recording {shortened(where)}", rows)


def _task(rec: Recording) -> str:
    task = rec.task
    # the task of a model has no name of its own
    count = f"{len(task)} samples" if rec.kind == "model" else f"{shortened(task.name)}: {len(task)} samples"
    if task.labels is None:
        return f"{count}, no labels"
    labels = rec.attrs.get("labels")
    said = f"{labels}, " if isinstance(labels, str) and labels.startswith("targets") else ""
    return f"{count}, {escape(said)}{task.classes} classes"


def _layers(rec: Recording) -> str:
    """Each layer and its width, in order."""
    names, widths = list(rec.layers), rec.layer_coordinates()["width"][1]
    items = [f"{shortened(name)} ({int(width)})" for name, width in zip(names, widths, strict=True)]
    if len(items) > LISTED:
        half = LISTED // 2
        items[half:-half] = [f"… {len(items) - 2 * half} more …"]
    return f"{len(names)}: {', '.join(items)}"


def _metrics(rec: Recording) -> str:
    """Every metric where it was last given, as a mean over the replicas."""
    parts = []
    for name, array in rec.metrics.data_vars.items():
        values = array.transpose(..., "train_epoch").values.reshape(-1, array.sizes["train_epoch"])
        known = np.flatnonzero(np.isfinite(values).any(axis=0))
        if len(known):
            units = array.attrs.get("units", "")
            unit = f" {units}" if units not in ("", "1", "fraction") else ""
            parts.append(f"{shortened(str(name))} {np.nanmean(values[:, known[-1]]):.4g}{escape(unit)}")
    mean = " (means)" if parts and len(rec.replicas) > 1 else ""
    return ", ".join(parts[:LISTED]) + mean


def _number(epoch: float) -> str:
    return f"{epoch:g}" if float(epoch) < 1e6 else str(int(epoch))
