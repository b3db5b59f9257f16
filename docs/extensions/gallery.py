"""The gallery's pages as docs/execute.py left them: their style, and one copy of plotly.js for those that have figures."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from plotly.offline import get_plotlyjs
from sphinx.application import Sphinx
from sphinx.util.osutil import ensuredir


def _plotly(app: Sphinx) -> None:
    if app.builder.format == "html":
        folder = Path(app.outdir) / "_static"
        ensuredir(folder)
        (folder / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")


def _scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    if doctree is not None and any("Plotly.newPlot" in node.astext() for node in doctree.findall(nodes.raw)):
        app.add_js_file("plotly.min.js")


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx_gallery.load_style")
    app.connect("builder-inited", _plotly)
    app.connect("html-page-context", _scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
