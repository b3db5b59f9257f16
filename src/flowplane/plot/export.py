"""Figures on disk: a page, or a still picture for a paper."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from flowplane.core.files import whole_file, write_text
from flowplane.core.paths import as_path
from flowplane.errors import InputError, MissingRequirement, Text
from flowplane.plot.page.document import PLOTLY, figure_page
from flowplane.plot.page.drawing import SLIDER, drawn

__all__ = ["save"]

STILL = (".svg", ".pdf", ".png", ".webp")
PAGES = (".html", ".json")


def save(figure: go.Figure, path: str | Path, *, offline: bool = False) -> Path:
    """Write a figure: .html (a page that loads nothing from the internet), .json, or .svg, .pdf, .png, .webp.

    Pages in a folder share one copy of plotly.js, a file of 5 MB beside them. Still pictures show the figure without slider
    and buttons. They need `pip install flowplane[static]` and a Chrome or Chromium on the machine.

    Arguments:
        offline: whether the page holds plotly.js itself, and may be moved alone.

    Raises:
        InputError: another ending, or a folder that cannot be written.
        MissingRequirement: kaleido or a browser is missing; the message says which.
    """
    if not isinstance(figure, go.Figure):
        raise InputError("figure", Text(type(figure).__name__), "a Plotly figure, such as fp.plot.information_plane makes")
    target = as_path("path", path)
    ending = target.suffix.lower()
    if ending not in (*PAGES, *STILL):
        raise InputError("path", str(path), f"a file name that ends in {', '.join((*PAGES, *STILL))}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".html" and not offline:
            _share_plotly(target.parent)
        with whole_file(target) as part:
            if ending == ".html":
                part.write_text(figure_page(drawn(target.stem, figure), None if offline else PLOTLY), encoding="utf-8")
            elif ending == ".json":
                part.write_text(figure.to_json(), encoding="utf-8")
            else:
                part.write_bytes(_still(figure, ending[1:]))
    except OSError as error:
        raise InputError("path", str(path), f"a file that can be written ({error.strerror})") from error
    return target


def _share_plotly(folder: Path) -> None:
    """plotly.js for all pages of a folder, unless it is there."""
    if not (folder / PLOTLY).is_file():
        write_text(folder / PLOTLY, get_plotlyjs())


def _still(figure: go.Figure, kind: str) -> bytes:
    try:
        import kaleido  # noqa: F401
    except ImportError as error:
        raise MissingRequirement("still pictures need kaleido: pip install 'flowplane[static]'") from error
    bare = go.Figure(figure.data, figure.layout)
    below = SLIDER * len(bare.layout.sliders)
    if below:
        bare.layout.height -= below
        bare.layout.margin.b -= below
    bare.layout.sliders = bare.layout.updatemenus = ()
    try:
        return bytes(bare.to_image(format=kind, scale=2))
    except RuntimeError as error:
        if "chrome" not in str(error).lower():
            raise
        raise MissingRequirement(
            "still pictures need Google Chrome or Chromium, and none was found on this machine: install one (on Debian: "
            "apt install chromium), or save the figure as .html, which needs neither"
        ) from error
