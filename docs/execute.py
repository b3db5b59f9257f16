"""Run the gallery's scripts, and keep what they show in docs/outputs, from which `make docs` builds.

python docs/execute.py [NAME …]     all of them, or some by name
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from sphinx.application import Sphinx

HERE = Path(__file__).parent
KEPT = HERE / "outputs" / "gallery"
#: What sphinx-gallery writes and the pages do without.
LEFT_OUT = ("*.py", "*.ipynb", "*.zip", "*.json", "sg_*", "images/*.png")


def plotly_scraper(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Keep the figure that a block of a script ends with: as a page's part, and as a picture for its thumbnail."""
    figure = block_vars["example_globals"].get("___")
    if not isinstance(figure, go.Figure) or figure is block_vars.get("kept"):  # that of an earlier block
        return ""
    block_vars["kept"] = figure
    picture = Path(next(block_vars["image_path_iterator"]))
    figure.write_image(picture, width=800, height=560)
    picture.with_suffix(".html").write_text(page_part(figure, picture.stem), encoding="utf-8")
    return f"\n.. raw:: html\n   :file: images/{picture.stem}.html\n\n"


def gallery(names: list[str]) -> None:
    """Run scripts of docs/gallery by sphinx-gallery; all of them if none is named."""
    settings = {
        "examples_dirs": str(HERE / "gallery"),
        "gallery_dirs": str(KEPT),
        "filename_pattern": "|".join(f"/{name}.py$" for name in names) or r"\.py$",
        "within_subsection_order": "FileNameSortKey",
        "image_scrapers": (plotly_scraper,),
        "reset_modules": (),
        "capture_repr": ("__repr__",),
        "ignore_repr_types": "Figure",
        "run_stale_examples": True,
        "abort_on_example_error": True,
        "download_all_examples": False,
        "show_signature": False,
        "write_computation_times": False,
    }
    overrides = {"extensions": ["sphinx_gallery.gen_gallery"], "sphinx_gallery_conf": settings}
    try:
        with tempfile.TemporaryDirectory() as folder:
            Sphinx(HERE, None, folder, folder, "html", overrides)
    finally:
        tidy()


def tidy() -> None:
    """Leave what the pages need."""
    for page in KEPT.glob("*.rst"):
        page.chmod(0o644)
        page.write_text(without_downloads(page.read_text(encoding="utf-8"), page.stem), encoding="utf-8")
    for pattern in LEFT_OUT:
        for file in KEPT.glob(pattern):
            file.unlink()


def page_part(figure: go.Figure, name: str) -> str:
    """A figure as HTML that finds plotly.js on its page, as wide as the page."""
    shown = go.Figure(figure)
    shown.layout.width = None
    settings = {"responsive": True, "displaylogo": False}
    return shown.to_html(settings, full_html=False, include_plotlyjs=False, auto_play=False, div_id=name)


def without_downloads(text: str, name: str) -> str:
    """A page with a link to its script in place of archives and notebooks, and without the machine's seconds."""
    head, *found = re.split(r"\.\. rst-class:: sphx-glr-timing|\.\. _sphx_glr_download_", text, maxsplit=1)
    if not found:
        return text
    note = ".. only:: html\n\n    .. note::\n        :class: sphx-glr-download-link-note"
    before, _, after = head.partition(note)
    body = after.partition(".. rst-class:: sphx-glr-example-title")[2]
    return f"{before}{body}:download:`The script <../../gallery/{name}.py>`\n"


if __name__ == "__main__":
    gallery(sys.argv[1:])
