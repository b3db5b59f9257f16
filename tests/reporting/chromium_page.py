"""A real Chromium that opens one page, driven over the DevTools protocol by choreographer (it comes with kaleido)."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import time
from pathlib import Path
from typing import Any

CHROME = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)


#: When a page of ours has drawn all its figures.
READY = "document.documentElement?.dataset.ready === 'true'"


class Page:
    """An open page: what it said, what it asked of the network, and what can be done to it."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.problems: list[str] = []
        self.requests: list[str] = []

    async def send(self, command: str, **params: Any) -> Any:
        answer = await asyncio.wait_for(self.tab.send_command(command, params), 90)
        assert "error" not in answer, answer
        return answer["result"]

    async def open(self, address: str, ready: str = READY) -> None:
        async def said(event: dict) -> None:
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                self.problems.append(json.dumps(params["exceptionDetails"])[:600])
            elif event["method"] == "Log.entryAdded" or params["type"] in ("error", "warning", "assert"):
                self.problems.append(json.dumps(params)[:600])

        async def asked(event: dict) -> None:
            self.requests.append(event["params"]["request"]["url"])

        for name in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.tab.subscribe(name, said)
        self.tab.subscribe("Network.requestWillBeSent", asked)
        for domain in ("Runtime", "Log", "Network", "Page"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=address)
        await self.until(ready)

    async def until(self, condition: str, seconds: float = 60) -> None:
        """Wait until a condition holds; what the page complained of is said if it never does."""
        end = time.monotonic() + seconds
        while not await self.value(condition):
            assert time.monotonic() < end, (condition, self.problems)
            await asyncio.sleep(0.05)

    async def value(self, expression: str) -> Any:
        """What an expression is in the page; promises are waited for."""
        answer = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def press(self, key: str, code: int) -> None:
        """A key goes down and up."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    async def size(self, width: int, height: int = 900, mobile: bool = False) -> None:
        await self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        await asyncio.sleep(0.6)

    async def theme(self, name: str) -> None:
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    async def picture(self, target: str | Path, whole: bool = True) -> None:
        answer = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(target).write_bytes(base64.b64decode(answer["data"]))

    async def print(self, target: str | Path) -> None:
        answer = await self.send("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        Path(target).write_bytes(base64.b64decode(answer["data"]))


def with_page(page: Path | str, act: Any, ready: str = READY) -> Page:
    """Open a page in Chromium, do something with it, close it; what the page said and asked for.

    Arguments:
        page: a file, or an address.
        act: a coroutine function of the open page.
        ready: the condition in the page that it is waited for.
    """
    address = page.resolve().as_uri() if isinstance(page, Path) else page
    from choreographer import Browser

    async def run() -> Page:
        browser = Browser(path=CHROME, headless=True)
        await asyncio.wait_for(browser.open(), 90)
        try:
            opened = Page(await asyncio.wait_for(browser.create_tab("about:blank"), 90))
            await opened.open(address, ready)
            await act(opened)
            return opened
        finally:
            await asyncio.wait_for(browser.close(), 30)

    return asyncio.run(run())
