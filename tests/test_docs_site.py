"""What can break in the documentation, without building it: unreachable pages, names without an entry, the network."""

import hashlib
import posixpath
import re
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import flowplane as fp
from flowplane.analysis.estimators import registered
from flowplane.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
KEPT = DOCS / "outputs" / "gallery"
TEXTS = [ROOT / "README.md", *DOCS.rglob("*.md")]
#: Made by the build, or no page.
NO_PAGES = ("api/generated/", "build/", "jupyter_execute/", "gallery/", "_static/")

sys.path.insert(0, str(DOCS / "extensions"))
import api_pages
import public_names


def pages():
    """Every page by its name, with its text."""
    files = [file for ending in ("md", "rst", "ipynb") for file in DOCS.rglob(f"*.{ending}")]
    names = {file.relative_to(DOCS).with_suffix("").as_posix(): file for file in files}
    return {name: file.read_text(encoding="utf-8") for name, file in names.items() if not name.startswith(NO_PAGES)}


def toctree(name, text):
    """Pages that a page's toctrees name."""
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r"^\.\. toctree::\n((?:\n|   .*\n?)+)", text, re.MULTILINE)
    entries = [line.strip() for block in blocks for line in block.splitlines() if line.strip() and ":" not in line]
    return [posixpath.normpath(posixpath.join(posixpath.dirname(name), entry)).lstrip("/") for entry in entries]


def test_every_page_is_reached_from_the_first():
    texts = pages()
    reached, waiting = set(), ["index"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        named = [entry for entry in toctree(name, texts[name]) if not entry.startswith("api/generated/")]
        assert set(named) <= set(texts), f"{name} names pages that are not there"
        waiting += set(named) - reached
    assert reached == set(texts)


def test_every_public_name_has_an_entry():
    texts = api_pages.pages()
    entries = toctree("api/index", (DOCS / "api" / "index.md").read_text(encoding="utf-8"))
    assert entries == ["api/command-line", *(f"api/generated/{face}.index" for face in public_names.FACES)]
    for face in public_names.FACES:
        module = public_names.face_module(face)
        names = {name for name in module.__all__ if not hasattr(getattr(module, name), "__path__")}
        names -= {"__version__", *(name for name in names if f"{face}.{name}" in public_names.FACES)}
        listed = dict(re.findall(r":py:obj:`(\w+) <([\w.]+)>`", texts[f"{face}.index"]))
        assert set(listed) == names
        for home in listed.values():
            assert f":: {home}\n" in texts[api_pages.page_of(home)]


def test_every_public_package_is_a_face():
    packages = {f"flowplane.{name}" for name in fp.__all__ if type(getattr(fp, name)) is type(fp)}
    assert packages <= set(public_names.FACES)


def test_every_command_has_an_entry():
    text = (DOCS / "api" / "command-line.md").read_text(encoding="utf-8")
    assert re.findall(r"\{command\} (\S+)", text) == list(get_command(app).commands)


def test_every_estimator_has_a_page():
    texts = pages()
    named = {
        re.search(r"\{flags\} (\w+)", text)[1]
        for name, text in texts.items()
        if name.startswith("science/estimators/") and "{flags}" in text
    }
    assert named == {estimator.__name__ for estimator in registered().values()} | {"MonteCarlo"}


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_names_in_text_exist(file):
    for path in set(re.findall(r"\bfp((?:\.[A-Za-z]\w*)+)", file.read_text(encoding="utf-8"))):
        found = fp
        for part in path.split(".")[1:]:
            found = getattr(found, part, None)
            assert found is not None, f"fp{path}"


def test_sections_that_are_cited_stand_in_the_papers_page():
    sections = set(re.findall(r"\*\*([A-E]\d+)\b", (DOCS / "papers.md").read_text(encoding="utf-8")))
    for file in (*ROOT.glob("src/**/*.py"), *TEXTS):
        assert set(re.findall(r"§([A-E]\d+)", file.read_text(encoding="utf-8"))) <= sections, file


def test_nothing_is_loaded_from_the_network():
    loads = re.compile(
        r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//|url\(["']?(?:https?:)?//|@import|\bcdn\b"""
    )
    for file in (
        DOCS / "conf.py",
        *DOCS.glob("_static/*.*"),
        *DOCS.glob("extensions/*.py"),
        *DOCS.rglob("outputs/**/*.html"),
        *TEXTS,
    ):
        assert not loads.search(file.read_text(encoding="utf-8")), file
    inventories = (DOCS / "inventories.txt").read_text(encoding="utf-8")
    assert "intersphinx_mapping" not in (DOCS / "conf.py").read_text(encoding="utf-8")  # docs/inventories.txt alone
    assert re.findall(r"^\[(\w+) https://", inventories, re.MULTILINE)


def test_kept_outputs_are_those_of_the_scripts():
    """`make docs-execute` renews what this finds stale."""
    scripts = {file.stem: hashlib.md5(file.read_bytes()).hexdigest() for file in DOCS.glob("gallery/*.py")}
    kept = {file.name.removesuffix(".py.md5"): file.read_text() for file in KEPT.glob("*.md5")}
    assert kept == scripts
    assert {file.stem for file in KEPT.glob("*.rst")} == {*scripts, "index"}
    figures = {re.search(r"sphx_glr_(\w+)_\d{3}", file.stem)[1] for file in KEPT.glob("images/*.html")}
    assert figures == set(scripts)
    assert sum(file.stat().st_size for file in DOCS.glob("outputs/**/*") if file.is_file()) < 8e6
