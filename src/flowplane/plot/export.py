"""Figures on disk: an offline page, or a still picture for a paper."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from flowplane.core.files import whole_file
from flowplane.core.paths import as_path
from flowplane.errors import InputError, MissingRequirement, Text

__all__ = ["save"]

STILL = (".svg", ".pdf", ".png", ".webp")
PAGES = (".html", ".json")


def save(figure: go.Figure, path: str | Path) -> Path:
    """Write a figure: .html (one page that opens offline), .json, or .svg, .pdf, .png, .webp.

    Still pictures show the figure without slider and buttons. They need `pip install flowplane[static]` and a Chrome or
    Chromium on the machine.

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
        with whole_file(target) as part:
            if ending == ".html":
                part.write_text(figure.to_html(include_plotlyjs=True, auto_play=False), encoding="utf-8")
            elif ending == ".json":
                part.write_text(figure.to_json(), encoding="utf-8")
            else:
                part.write_bytes(_still(figure, ending[1:]))
    except OSError as error:
        raise InputError("path", str(path), f"a file that can be written ({error.strerror})") from error
    return target


def _still(figure: go.Figure, kind: str) -> bytes:
    try:
        import kaleido  # noqa: F401
    except ImportError as error:
        raise MissingRequirement("still pictures need kaleido: pip install 'flowplane[static]'") from error
    bare = go.Figure(figure.data, figure.layout)
    if bare.layout.sliders:
        bare.layout.height -= 60
        bare.layout.margin.b = 70
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
