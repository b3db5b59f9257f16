"""What an experiment left in its folder: Datasets, figures, claims, and how it was run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from flowplane.core.older import load
from flowplane.errors import InputError
from flowplane.plot.page.document import page_figures
from flowplane.plot.page.drawing import Drawn

__all__ = ["stored_about", "stored_datasets", "stored_figure", "stored_figures"]


def stored_about(folder: Path) -> dict[str, Any]:
    """run.json; empty where there is none. Raises InputError for one that is no JSON."""
    file = folder / "run.json"
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("source", str(file), f"a readable run.json ({error})") from error
    return found if isinstance(found, dict) else {}


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
        >>> import tempfile, flowplane as fp, plotly.graph_objects as go
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = fp.plot.save(go.Figure(go.Scatter(y=[1, 2])), f"{folder}/figure.html")
        ...     stored_figure(page).content["data"][0]["y"]
        [1, 2]
    """
    found = page_figures(page.read_text(encoding="utf-8"))
    return found[0] if len(found) == 1 else None
