"""What axe-core finds wrong with pages of the built site, one of each kind; nothing is looked at where there is no browser.

python docs/check_site.py     after `make docs`
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "reporting"))
from accessibility import violations_of  # noqa: E402
from chromium_page import CHROME  # noqa: E402

PAGES = (
    "index",
    "start/first-report",
    "how-to/faq",
    "science/estimators/ksg",
    "papers",
    "results/index",
    "outputs/gallery/index",
    "outputs/gallery/flow_matching",
    "api/index",
    "search",
)

if __name__ == "__main__":
    if CHROME is None:
        sys.exit(0)
    found = {page: violations_of(HERE / "build" / f"{page}.html", "document.readyState === 'complete'") for page in PAGES}
    for page, complaints in found.items():
        print(*(f"{page}: {complaint}" for complaint in complaints), sep="\n", end="\n" * bool(complaints))
    sys.exit(any(found.values()))
