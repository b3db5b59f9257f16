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
#: Pages whose code takes more than ten seconds of a processor.
SLOW = {"README.md", "docs/start/tour.md", "docs/how-to/clusters-and-object-stores.md", "docs/how-to/flows-of-others.md"}
#: What a block that does not run calls itself.
PLAIN = {"text", "console"}

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{warning}")
    for warning in (
        ":DeprecationWarning",  # diffusers makes arrays of tensors as NumPy 1 did
        r"The '(train|val)_dataloader' does not have many workers",  # Lightning
        r"`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning",  # torch's, used by Lightning
    )
]


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
        where = f"{name(page)}:{block.line}"
        if block.output is not None:
            wrong += [f"{where}: {each}" for each in differences(block.shown, printed)]
        elif block.language == "python" and not printed:
            wrong.append(f"{where}: a block that prints nothing")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", [pytest.param(page, id=name(page)) for page in PAGES])
def test_what_does_not_run_says_so(page):
    for block in blocks(page):
        directive = block.language.startswith("{")
        assert directive or block.language in {"python", *PLAIN}, f"{name(page)}:{block.line}: a block of {block.language!r}"


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
