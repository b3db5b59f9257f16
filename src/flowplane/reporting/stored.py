"""What an experiment left in its folder: Datasets, figures, claims, and how it was run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from flowplane.core.older import load
from flowplane.errors import InputError
from flowplane.plot.page.document import page_figures
from flowplane.plot.page.drawing import Drawn, drawn

__all__ = ["stored_about", "stored_datasets", "stored_figure", "stored_figures"]


def stored_about(folder: Path) -> dict[str, Any]:
    """run.json; empty where there is none. Raises InputError for one that is not valid JSON."""
    file = folder / "run.json"
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("source", str(file), f"a readable run.json ({error})") from error
    if not isinstance(found, dict):
        return {}
    if "flowplane" in found:  # version 0.1 named itself alone
        found["versions"] = {"flowplane": found.pop("flowplane")}
    return found


def stored_datasets(folder: Path) -> dict[str, xr.Dataset]:
    """The folder's .nc files, by name, those that can be read; values are read when they are used."""
    found = {}
    for file in sorted(folder.glob("*.nc")):
        try:
            found[file.stem] = load(file)
        except (OSError, ValueError) as error:
            raise InputError("source", str(file), f"a Dataset that can be read ({error})") from error
    return found


def stored_figures(folder: Path) -> dict[str, Path]:
    """The folder's pages with a figure, by name, the lightest first."""
    return {file.stem: file for file in sorted(folder.glob("*.html"), key=lambda file: (file.stat().st_size, file.stem))}


def stored_figure(page: Path) -> Drawn | None:
    """The figure of a page that `fp.plot.save` wrote, or None for any other page.

    Example:
        >>> import tempfile, flowplane as fp
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = fp.plot.save(go.Figure(go.Scatter(y=[1, 2])), f"{folder}/figure.html")
        ...     stored_figure(page).content["data"][0]["y"]
        [1, 2]
    """
    text = page.read_text(encoding="utf-8")
    found = page_figures(text)
    if found:
        return found[0] if len(found) == 1 else None
    older = _older_figure(text)
    return None if older is None else drawn(page.stem, older)


def _older_figure(text: str) -> go.Figure | None:
    """The figure of a page as Plotly writes it, which is how figures were saved until 0.2."""
    called = text.rfind("Plotly.newPlot(")
    if called < 0:
        return None
    try:
        _, at = _argument(text, called + len("Plotly.newPlot("))
        data, at = _argument(text, at)
        layout, at = _argument(text, at)
        added = text.find("Plotly.addFrames(", at)
        frames = None
        if added >= 0:
            frames, _ = _argument(text, text.index(",", added))  # after the name, which is no JSON
        return go.Figure(data, layout, frames, skip_invalid=True)
    except (ValueError, TypeError, IndexError):
        return None


def _argument(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins after blanks and a comma, and where it ends."""
    while text[at] in " \n\r\t,":
        at += 1
    return json.JSONDecoder().raw_decode(text, at)
