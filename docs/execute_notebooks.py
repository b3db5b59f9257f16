"""Run the notebooks of docs/notebooks and keep in them what they show.

python docs/execute_notebooks.py [NAME …]     all of them, or some
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import plotly.graph_objects as go
from execute import page_part
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parent / "notebooks"
FIGURE = "application/vnd.plotly.v1+json"
#: What says when and where a notebook ran, which would make every run another file.
PASSING = ("execution", "language_info")


def execute(path: Path) -> None:
    """Run a notebook in its folder, and write it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    figures = 0
    for cell in notebook.cells:
        for name in PASSING:
            cell.metadata.pop(name, None)
        for output in cell.get("outputs", ()):
            output.pop("transient", None)
            if FIGURE in output.get("data", {}):
                figures += 1
                _as_html(output, f"{path.stem}-{figures}")
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, path)


def _as_html(output: NotebookNode, name: str) -> None:
    """A figure as a part of a page that has plotly.js: notebooks know it by its type, pages do not."""
    data = output["data"].pop(FIGURE)
    figure = go.Figure({"data": data["data"], "layout": data["layout"], "frames": data.get("frames", [])})
    output["data"]["text/html"] = page_part(figure, name)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not wanted or notebook.stem in wanted:
            execute(notebook)
