"""A report in a real browser: the slider is moved, the figures are read back, nothing complains or is fetched."""

import asyncio

import numpy as np
import pytest
from chromium_page import CHROME, with_page

import flowplane as fp

pytestmark = pytest.mark.skipif(CHROME is None, reason="no browser here")

FIGURE = "window.flowplane.figures['information-plane']"
RIGHT, LEFT, HOME, SPACE = ("ArrowRight", 39), ("ArrowLeft", 37), ("Home", 36), (" ", 32)


@pytest.fixture(scope="module")
def path(small, tmp_path_factory):
    return fp.report(small, tmp_path_factory.mktemp("browser") / "report.html")


@pytest.fixture(scope="module")
def plane(small):
    return fp.information_plane(small)


def shown(traces, plane, epoch):
    """Whether the moving mean path is that of this epoch."""
    here = plane.isel(epoch=epoch).mean("replica")
    moving = traces[-1]
    return moving["visible"] is True and np.allclose([moving["x"], moving["y"]], [here.i_xt, here.i_ty], atol=1e-5)


def test_slider_keyboard_and_figures(path, plane):
    async def act(page):
        drawn = await page.value("Object.keys(window.flowplane.figures)")
        assert {"information-plane", "training-curves", "gradient-phases", "transport-profile"} <= set(drawn)
        traces = await page.value(f"{FIGURE}.read()")
        strong = next(trace for trace in traces if trace["name"] == "mean of the replicas")
        assert np.allclose(np.sort(strong["x"]), np.sort(plane.i_xt.mean("replica").values.ravel()), atol=1e-5)
        assert traces[-1]["x"] == []
        slider = "document.querySelector('[data-figure=\"information-plane\"].controls input')"
        await page.value(f"{slider}.focus()")
        for pressed, (key, epoch) in enumerate([(RIGHT, 0), (RIGHT, 1), (RIGHT, 2), (LEFT, 1)]):
            await page.press(*key)
            await page.until(f"{FIGURE}.frame === 1 + {epoch}", 10)
            assert shown(await page.value(f"{FIGURE}.read()"), plane, epoch), pressed
        assert await page.value(f"{slider}.getAttribute('aria-valuetext')") == f"epoch {plane.epoch.values[1]:,}"
        last = plane.sizes["epoch"] - 1
        await page.value(f"{slider}.value = 1 + {last}; {slider}.dispatchEvent(new Event('input'))")
        await page.until(f"{FIGURE}.frame === 1 + {last}", 10)
        assert shown(await page.value(f"{FIGURE}.read()"), plane, last)
        await page.press(*HOME)
        await page.until(f"{FIGURE}.frame === 0", 10)
        assert await page.value(f"{slider}.getAttribute('aria-valuetext')") == "epoch all"
        assert (await page.value(f"{FIGURE}.read()"))[-1]["x"] == []

    page = with_page(path, act)
    assert page.problems == []
    assert page.requests
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.requests)


def test_play_by_keyboard_reaches_the_end_and_stops(path, plane):
    async def act(page):
        button = "document.querySelector('[data-figure=\"information-plane\"].controls .play')"
        await page.value(f"{button}.focus()")
        await page.press(*SPACE)
        await page.until(f"{FIGURE}.frame === {plane.sizes['epoch']}", 30)
        await page.until(f"{button}.textContent.includes('Play')", 10)
        assert shown(await page.value(f"{FIGURE}.read()"), plane, -1)

    assert with_page(path, act).problems == []


def test_theme_phone_and_paper(path, plane, tmp_path):
    async def act(page):
        background = f"{FIGURE}.element._fullLayout.paper_bgcolor"
        await page.value("window.flowplane.setTheme('dark')")
        dark = await page.value(background)
        await page.value(f"{FIGURE}.show(1 + 3)")
        await page.value("window.flowplane.setTheme('light')")
        assert await page.value(background) != dark
        assert await page.value(f"{FIGURE}.frame") == 1 + 3
        assert shown(await page.value(f"{FIGURE}.read()"), plane, 3)
        await page.size(390, mobile=True)
        await page.until(f"{FIGURE}.element._fullLayout.width < 390", 20)
        await asyncio.sleep(1)
        assert await page.value("document.documentElement.scrollWidth") <= 390
        outside = "[...document.querySelectorAll('.plot svg')].filter(s => s.getBoundingClientRect().right > 391).length"
        assert await page.value(outside) == 0
        domains = "Object.keys({0}._fullLayout).filter(k => /^xaxis/.test(k)).map(k => {0}._fullLayout[k].domain[0])"
        element = "window.flowplane.figures['training-curves'].element"
        assert set(await page.value(domains.format(element))) == {0}
        await page.print(tmp_path / "report.pdf")

    assert with_page(path, act).problems == []
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_hostile_names_do_nothing(hostile, tmp_path):
    async def act(page):
        assert await page.value("document.querySelectorAll('img, iframe, main script').length") == 0
        texts = await page.value("[...document.querySelectorAll('.plot text')].map(t => t.textContent).join(' ')")
        assert "<script>" in texts

    page = with_page(fp.report([hostile, hostile], tmp_path / "hostile.html"), act)
    assert page.problems == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.requests)


@pytest.fixture(scope="module")
def resolved(tmp_path_factory):
    """A model's recording: read at seven resolutions, at two epochs."""
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    x = torch.randn(80, 6)
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    with fp.Recorder(model, x, x[:, 0] > 0, epochs=2) as recorder:
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
            optimizer.step()
            recorder.step()
    return recorder.recording


def test_two_sliders_by_keyboard(resolved, tmp_path):
    plane = fp.information_plane(resolved).isel(replica=0)

    async def act(page):
        seen = "{0}.read().filter(t => t.visible === true && t.name === 'mean of the replicas')"
        means = f"{seen.format(FIGURE)}.map(t => Array.from(t.x))"
        choice = "document.querySelector('[data-figure=\"information-plane\"].choice input')"
        epochs = "document.querySelector('[data-figure=\"information-plane\"].controls input')"

        def at(k):
            return np.sort(plane.i_xt.isel(resolution=k).values.ravel())

        assert await page.value(f"{FIGURE}.chosen") == 2
        (found,) = await page.value(means)
        np.testing.assert_allclose(np.sort(found), at(2), atol=1e-5)
        await page.value(f"{choice}.focus()")
        for key, k in ((LEFT, 1), (LEFT, 0), (RIGHT, 1)):
            await page.press(*key)
            await page.until(f"{FIGURE}.chosen === {k}", 10)
            (found,) = await page.value(means)
            np.testing.assert_allclose(np.sort(found), at(k), atol=1e-5)
        assert await page.value(f"{choice}.getAttribute('aria-valuetext')") == "resolution 0.3"
        await page.value(f"{epochs}.focus()")
        await page.press(*RIGHT)
        await page.press(*RIGHT)
        await page.until(f"{FIGURE}.frame === 1 + 1", 10)
        path = f"{FIGURE}.read().filter(t => t.visible === true).at(-1)"
        np.testing.assert_allclose(
            await page.value(f"Array.from({path}.x)"), plane.i_xt.isel(epoch=1, resolution=1), atol=1e-5
        )
        np.testing.assert_allclose(await page.value(f"Array.from({path}.y)"), plane.i_ty.isel(epoch=1), atol=1e-5)
        await page.value("window.flowplane.setTheme('dark')")  # drawn anew: both stay where they are
        np.testing.assert_allclose(
            await page.value(f"Array.from({path}.x)"), plane.i_xt.isel(epoch=1, resolution=1), atol=1e-5
        )
        drawn = await page.value("Object.keys(window.flowplane.figures)")
        assert {"decodable-depth", "resolution-curves", "layer-geometry"} <= set(drawn)
        await page.size(390, mobile=True)
        await page.until(f"{FIGURE}.element._fullLayout.width < 390", 20)
        await asyncio.sleep(1)
        assert await page.value("document.documentElement.scrollWidth") <= 390

    assert with_page(fp.report(resolved, tmp_path / "resolved.html"), act).problems == []
