"""How soon does a page of `flowplane watch` show a snapshot, while training goes on, is killed and goes on again?

python benchmarks/watching.py [--seconds 120] [--epochs 40] [--picture watched.png]

A small network trains in a process of its own and is killed half-way and resumed; Chromium follows the page, which is never
reloaded. A delay is from the end of `recorder.step` until the curves show the epoch.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import flowplane as fp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reporting"))
from chromium_page import Page, with_page

TRAINING = Path(sys.path[0]) / "trained_live.py"
SHOWN = "flowplane.figures['training-curves']?.read()[1].x.length ?? 0"


def main() -> None:
    """A table of delays, and whether the page complained or asked for anything that is not on this machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    pause, half = given.seconds / given.epochs, given.epochs // 2
    shown: dict[int, float] = {}
    ended: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.fp"

        async def until(page: Page, count: int) -> None:
            """Note when each epoch appears, until there are so many."""
            while max(shown, default=0) < count:
                now = await page.value(SHOWN)
                shown.update({epoch: time.time() for epoch in range(max(shown, default=0) + 1, now + 1)})
                await asyncio.sleep(0.05)

        async def act(page: Page) -> None:
            for mode, last in (("create", half), ("resume", given.epochs)):
                command = [sys.executable, TRAINING, path, str(given.epochs), str(pause), mode]
                with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
                    await until(page, last)
                    process.kill() if mode == "create" else process.wait()
                    assert process.stdout is not None
                    ended.update((int(epoch), float(when)) for epoch, when in map(str.split, process.stdout))
            if given.picture:
                await page.size(1280)
                await page.picture(given.picture)

        began = time.monotonic()
        with fp.watch(path) as watched:
            page = with_page(watched.url, act)
        took = time.monotonic() - began
    delays = np.array([shown[epoch] - ended[epoch] for epoch in sorted(set(shown) & set(ended))])
    elsewhere = [asked for asked in page.requests if not asked.startswith((watched.url, "data:", "blob:"))]
    print("| snapshots | watched for, s | median delay, s | 90 % within, s | longest, s | complaints | requests elsewhere |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    middle, most = np.quantile(delays, [0.5, 0.9])
    numbers = f"{middle:.2f} | {most:.2f} | {delays.max():.2f} | {len(page.problems)} | {len(elsewhere)}"
    print(f"| {len(delays)} | {took:.0f} | {numbers} |")


if __name__ == "__main__":
    main()
