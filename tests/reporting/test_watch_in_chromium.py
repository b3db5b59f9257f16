"""A live page in a real browser beside a real training process: new points appear, nothing complains, nothing is fetched
from elsewhere."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from accessibility import violations
from chromium_page import CHROME, with_page

import flowplane as fp

pytestmark = pytest.mark.skipif(CHROME is None, reason="no browser here")

PARTS = ("curves", "plane", "decodable", "gradients", "layers")
EPOCHS = "flowplane.figures['training-curves']?.read()[1].x.length ?? 0"
RANGE = "flowplane.figures['training-curves'].element._fullLayout.xaxis.range.join()"
SETTLED = "document.querySelector('[aria-busy=true]') === null && document.querySelector('#layers table') !== null"


def training(path, epochs, seconds, mode="create"):
    command = [sys.executable, str(Path(__file__).with_name("trained_live.py")), str(path), str(epochs), str(seconds), mode]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def only_this_machine(page, url):
    assert page.requests
    return all(asked.startswith((url, "data:", "blob:")) for asked in page.requests)


async def zoomed(page):
    """Into the first curves, by mouse."""
    drag = "document.querySelector('#curves .nsewdrag')"
    await page.value(f"{drag}.scrollIntoView({{ block: 'center' }})")
    left, top = await page.value(f"(({{ left, top }}) => [left, top])({drag}.getBoundingClientRect())")
    for kind, place, down in (("mousePressed", 30, 1), ("mouseMoved", 130, 1), ("mouseReleased", 130, 0)):
        where = {"x": left + place, "y": top + place, "button": "left", "buttons": down, "clickCount": 1}
        await page.send("Input.dispatchMouseEvent", type=kind, **where)
    await asyncio.sleep(0.5)


def test_a_training_is_followed_without_reloading(tmp_path):
    path = tmp_path / "run.fp"

    async def act(page):
        await page.value("window.loaded = 'once'")
        await page.until("document.getElementById('state').textContent.startsWith('Nothing is recorded yet in run.fp')")
        with training(path, 9, 0.5) as process:
            await page.until(f"({EPOCHS}) >= 1", 120)
            few = await page.value(EPOCHS)
            await page.until(f"({EPOCHS}) > {few}", 120)
            process.kill()
        await page.until(SETTLED, 120)
        kept = await page.value(EPOCHS)
        await page.value("flowplane.figures['information-plane'].show(1)")
        before = await page.value(RANGE)
        await zoomed(page)
        chosen = await page.value(RANGE)
        assert chosen != before
        with training(path, 12, 0, "resume") as process:
            assert process.wait() == 0
        await page.until("document.getElementById('runs').textContent === 'epoch 12, 13 snapshots'", 120)
        await page.until(SETTLED, 120)
        assert kept < await page.value(EPOCHS) == 12
        assert await page.value("Object.keys(flowplane.figures).sort().join()") == (
            "decodable-depth,gradient-phases,information-plane,training-curves"
        )
        assert await page.value("flowplane.figures['information-plane'].frame") == 1
        decodable = "flowplane.figures['decodable-depth']"
        await page.until(f"{decodable}.labels[{decodable}.frame] === '12'", 60)  # what nobody has moved follows
        assert await page.value(RANGE) == chosen
        assert await page.value("window.loaded") == "once"
        for part in PARTS:
            name = await page.value(f"document.getElementById('{part}').getAttribute('aria-labelledby')")
            assert await page.value(f"document.getElementById('{name}').textContent")
        unnamed = "[...document.querySelectorAll('button, input')].filter(e => !e.textContent && !e.labels?.length).length"
        assert await page.value(unnamed) == 0
        assert await violations(page) == []
        shutil.rmtree(path)
        await page.until("document.getElementById('state').textContent.startsWith('run.fp cannot be read')", 60)
        assert await page.value(EPOCHS) == 12
        for theme in ("dark", "light"):
            await page.value(f"flowplane.setTheme('{theme}')")
        await page.size(390, mobile=True)
        await page.until("flowplane.figures['information-plane'].element._fullLayout.width < 390", 60)
        assert await page.value("document.documentElement.scrollWidth") <= 390

    with fp.watch(path) as watched:
        page = with_page(watched.url, act)
    assert page.problems == []
    assert only_this_machine(page, watched.url)


@pytest.mark.slow
def test_hostile_names_and_pages_in_the_background(hostile, tmp_path):
    shutil.copytree(hostile.path, tmp_path / "<script>alert(3)<")
    shutil.copytree(hostile.path, tmp_path / Path(hostile.path).name)

    async def act(page):
        await page.until(SETTLED, 120)
        assert await page.value("document.querySelectorAll('img, iframe, main script').length") == 0
        text = await page.value("document.querySelector('main').textContent")
        assert "<script>alert(3)<: epoch 6" in text and "<img src=x onerror=alert(2)>.fp: epoch 6" in text
        drawn = await page.value("[...document.querySelectorAll('.plot text')].map(t => t.textContent).join(' ')")
        assert "<script>alert(3)<" in drawn and "<img src=x" in drawn
        await page.value("Object.defineProperty(document, 'hidden', { get: () => true })")
        await asyncio.sleep(1.5)
        asked = len(page.requests)
        await asyncio.sleep(2.5)
        assert len(page.requests) == asked

    with fp.watch(tmp_path) as watched:
        page = with_page(watched.url, act)
    assert page.problems == []
    assert only_this_machine(page, watched.url)
