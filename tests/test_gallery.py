"""The gallery: scripts say what they ask, run, and print what a reader understands; notebooks hold what they show."""

import ast
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
NOTEBOOKS = GALLERY.parent / "notebooks"
SCRIPTS = sorted(path.stem for path in GALLERY.glob("*.py"))
#: What is printed of an array, a tensor or a Dataset by itself.
BARE = re.compile(r"^\s*\[+\s*-?[\d.]+(e[+-]?\d+)?(,?\s+-?[\d.]+)*|array\(|tensor\(|<xarray", re.MULTILINE)


def source(name):
    return (GALLERY / f"{name}.py").read_text(encoding="utf-8")


def blocks(text):
    """The statements of each block of code, as sphinx-gallery cuts a script."""
    return [ast.parse(part).body for part in re.split(r"(?m)^# %%.*$", text)]


def test_there_is_a_gallery():
    assert len(SCRIPTS) >= 12


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_compiles_and_begins_with_a_title_and_a_question(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = ast.parse(source(name))
        compile(tree, name, "exec")
    title, line, empty, *text = ast.get_docstring(tree).splitlines()
    assert line == len(title) * "=" and not empty
    assert re.match(r"\*[A-Z][^*]*\?\*", " ".join(text)), "the first sentence is the question, in italics"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_shows_one_to_three_figures_and_prints(name):
    """A figure is what a block ends with, neither assigned nor printed; the first block begins with the title."""
    ends = [block[-1].value for block in blocks(source(name)) if block and isinstance(block[-1], ast.Expr)]
    shown = [end for end in ends if not ast.unparse(end).startswith(("print(", "'", '"'))]
    assert 1 <= len(shown) <= 3
    assert all(ast.unparse(end) == "figure" or ast.unparse(end).startswith("fp.plot.") for end in shown)
    assert "print(" in source(name)


def test_all_scripts_are_listed_and_what_is_linked_is_there():
    header = (GALLERY / "GALLERY_HEADER.rst").read_text(encoding="utf-8")
    assert sorted(re.findall(r":doc:`(\w+)`", header)) == SCRIPTS
    for name in SCRIPTS:
        assert set(re.findall(r":doc:`(\w+)`", source(name))) <= set(SCRIPTS)


@pytest.mark.parametrize(
    ("text", "bare"),
    [("[0.1 0.2]", True), (" [[1, 2]", True), ("array([1.0])", True), ("layer1: 0.4 [0.1, 0.7] bits", False), ("[1]", True)],
)
def test_bare_arrays_are_recognised(text, bare):
    assert bool(BARE.search(text)) == bare


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_and_prints_no_bare_array(name, tmp_path):
    command = [sys.executable, "-W", "error::FutureWarning", str(GALLERY / f"{name}.py")]
    found = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "utf-8"}, check=False
    )
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.splitlines()) >= 2
    assert not BARE.search(found.stdout)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_was_run_and_shows_tables_figures_and_progress(path):
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    html = ["".join(output["data"].get("text/html", "")) for output in outputs if "data" in output]
    for part in ("flowplane.", "Plotly.newPlot", "<progress", "xr-wrap"):
        assert any(part in each for each in html), part
    assert path.stat().st_size < 2e6
