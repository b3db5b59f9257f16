"""How long does a step of the slider take, of the demo's information plane in Chromium?

python benchmarks/slider.py [--results results] [--steps 12]

Every step is measured twice over: with everything drawn anew, as until 0.1, and with what moves alone. Processor time of the
page's own thread does not depend on what else the machine does; until the next picture does. Without results of the demo it
makes them first (a minute).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from report import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reporting"))
from chromium_page import Page, with_page

FIGURE = "window.flowplane.figures['information-plane']"
STEP = """(async () => {{
  const began = performance.now();
  await {figure}.show({k});
  await new Promise((shown) => requestAnimationFrame(() => setTimeout(shown, 0)));
  return performance.now() - began;
}})()"""


def main() -> None:
    """A row for each way of drawing: median milliseconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--steps", type=int, default=12)
    given = parser.parse_args()
    experiment = given.results / "information-plane"
    if not (experiment / "claims.json").exists():
        run("reproduce", "information-plane", "--out", str(given.results))
    print("| a step of the slider | processor time, ms | until the next picture, ms |")
    print("|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        run("report", str(experiment), "-o", str(page))

        async def act(opened: Page) -> None:
            await opened.send("Performance.enable", timeDomain="threadTicks")
            for name, redraw in (("everything is drawn anew", "true"), ("what moves is drawn", "false")):
                await opened.value(f"{FIGURE}.controls.redraw = {redraw}")
                work, wall = [], []
                for k in range(1, given.steps + 1):
                    began = await processor(opened)
                    wall.append(await opened.value(STEP.format(figure=FIGURE, k=7 * k)))
                    work.append(1000 * (await processor(opened) - began))
                print(f"| {name} | {statistics.median(work):.0f} | {statistics.median(wall):.0f} |", flush=True)

        with_page(page, act)


async def processor(opened: Page) -> float:
    """Seconds of processor time that the page's thread has taken."""
    await asyncio.sleep(0.2)
    found = (await opened.send("Performance.getMetrics"))["metrics"]
    return next(metric["value"] for metric in found if metric["name"] == "TaskDuration")


if __name__ == "__main__":
    main()
