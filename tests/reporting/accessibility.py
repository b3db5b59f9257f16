"""What axe-core, the usual checker of accessibility, finds wrong with an open page."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from chromium_page import READY, Page, with_page

__all__ = ["violations", "violations_of"]

#: What axe gives back, a line an element. What stands inside a picture is a part of it, whatever it is drawn with.
FOUND = """axe.run({exclude: ["[role=img] > *"]}, {resultTypes: ["violations"]}).then(({violations}) =>
  violations.flatMap(({id, help, nodes}) => nodes.map(({html, failureSummary: why}) =>
    `${id}: ${help}: ${html.slice(0, 160)}: ${why}`)))"""

#: Themes make what scrolls reachable by keys half a second after a page has changed its size.
SETTLED = "new Promise(done => setTimeout(done, 800))"


async def violations(page: Page) -> list[str]:
    """Everything that axe finds wrong with an open page, as it looks now: a line for each rule and element."""
    if not await page.value("typeof axe === 'object'"):
        await page.value(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8") + "; 0")
    return await page.value(FOUND)


def violations_of(page: Path | str, ready: str = READY, widths: tuple[int, ...] = (1280, 390)) -> list[str]:
    """Everything that axe finds wrong with a page, light and dark, on a desktop and a phone.

    Arguments:
        page: a file, or an address.
        ready: the condition in the page that says that it may be looked at.
    """
    found: dict[str, None] = {}

    async def act(opened: Page) -> None:
        for theme in ("light", "dark"):
            await opened.theme(theme)
            for width in widths:
                await opened.size(width, mobile=width < 600)
                await opened.value(SETTLED)
                found.update(dict.fromkeys(await violations(opened)))

    with_page(page, act, ready)
    return list(found)
