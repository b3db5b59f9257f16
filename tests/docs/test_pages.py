"""Every code block of README and of the docs runs as it stands and prints what stands under it.

FLOWPLANE_WRITE_OUTPUT=1 writes what the blocks print into the pages instead of comparing it.
"""

import os
from pathlib import Path

import pytest
from documents import blocks, differences, run, write

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Pages that are made, not written.
MADE = {"outputs", "_build"}
PAGES = sorted(path for path in DOCS.rglob("*.md") if not MADE & set(path.relative_to(DOCS).parts))
#: Pages whose code takes more than a few seconds.
SLOW = {"README.md"}
#: What a block without code that runs may call itself.
PLAIN = {"text", "console"}


def name(page):
    return str(page.relative_to(ROOT))


def marked(page):
    return pytest.param(page, id=name(page), marks=[pytest.mark.slow] if name(page) in SLOW else [])


@pytest.mark.parametrize("page", [marked(page) for page in [ROOT / "README.md", *PAGES] if blocks(page)])
def test_the_code_of_a_page_runs_and_prints_what_is_shown(page, tmp_path):
    found = run(page, tmp_path)
    if os.environ.get("FLOWPLANE_WRITE_OUTPUT"):
        write(page, found)
        return
    wrong = []
    for block, printed in found:
        if block.output is not None or page in PAGES:
            wrong += [f"{name(page)}:{block.line}: {each}" for each in differences(block.shown, printed)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", [pytest.param(page, id=name(page)) for page in PAGES])
def test_what_does_not_run_says_so_and_what_runs_prints(page):
    for block in blocks(page):
        where = f"{name(page)}:{block.line}"
        if block.language == "python":
            assert block.shown.strip(), f"{where}: a block that prints nothing"
        else:
            assert block.language in PLAIN or block.language.startswith("{"), f"{where}: a block of {block.language!r}"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("0.12 bits", "0.14 bits", True),
        ("0.12 bits", "0.15 bits", False),
        ("0.12 bits", "0.12 nats", False),
        ("fc1: 3 layers", "fc1: 4 layers", False),
        ("fc1", "fc2", False),
        ("relu#1 [1.5, 2.5]", "relu#1  [1.6,\n2.4]", True),
        ("1.2e-05", "1.3e-05", True),
        ("1.2e-05", "1.2e-04", False),
        ("−0.5", "0.5", False),
        ("kept in …: 3", "kept in /tmp/x7: 3", True),
        ("1 2", "1", False),
        ("", "1", False),
    ],
)
def test_two_texts_are_alike_but_for_the_last_digits(shown, printed, same):
    assert (differences(shown, printed) == []) == same
