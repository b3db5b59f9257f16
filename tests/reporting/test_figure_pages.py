"""A figure's own page: its numbers leave it as they are in the Dataset, on any screen and without a network."""

import asyncio
import csv
import io

import numpy as np
import plotly.graph_objects as go
import pytest
from chromium_page import CHROME, with_page
from page_reading import Read

import flowplane as fp
from flowplane.plot.page.document import PLOTLY

needs_browser = pytest.mark.skipif(CHROME is None, reason="no browser here")
FIGURE = "Object.values(window.flowplane.figures)[0]"


@pytest.fixture(scope="module")
def plane(small):
    return fp.information_plane(small)


@pytest.fixture(scope="module")
def page(plane, tmp_path_factory):
    return fp.plot.save(fp.plot.information_plane(plane), tmp_path_factory.mktemp("figures") / "plane.html")


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_pages_of_a_folder_share_one_plotly(page, small):
    fp.plot.save(fp.plot.metrics(small.metrics), page.parent / "curves.html")
    assert sorted(file.name for file in page.parent.iterdir()) == sorted(["plane.html", "curves.html", PLOTLY])
    read = Read(page.read_text(encoding="utf-8"))
    assert [attrs["src"] for attrs in read.of("script") if "src" in attrs] == [PLOTLY]
    assert read.of("html") == [{"lang": "en"}]
    assert "<title>Information plane</title>" in page.read_text(encoding="utf-8")
    (seen,) = (attrs["aria-label"] for attrs in read.of("div") if attrs.get("role") == "img")
    assert seen.startswith("Information plane.") and "I(T;Y) [bits] against I(X;T) [bits]: one replica" in seen


def test_an_offline_page_is_alone(plane, tmp_path):
    alone = fp.plot.save(fp.plot.information_plane(plane), tmp_path / "plane.html", offline=True)
    assert [file.name for file in tmp_path.iterdir()] == ["plane.html"]
    assert not any("src" in attrs for attrs in Read(alone.read_text(encoding="utf-8")).of("script"))


@needs_browser
def test_numbers_and_pictures_leave_the_page(page, plane, tmp_path):
    async def act(opened):
        means = plane[["i_xt", "i_ty"]].mean("replica")
        rows = rows_of(await opened.value(f"{FIGURE}.csv()"))
        strong = [row for row in rows if row["trace"] == "mean of the replicas"]
        assert len(strong) == means.i_xt.size
        for row in strong:
            there = means.sel(layer=row["layer"], epoch=int(row["epoch"]))
            assert (float(row["I(X;T) [bits]"]), float(row["I(T;Y) [bits]"])) == (there.i_xt, there.i_ty)
        faint = [row for row in rows if row["trace"] == "one replica, one epoch" and row["layer"] == "layer2"]
        expected = np.sort(plane.i_xt.sel(layer="layer2").values.ravel().astype(np.float32))
        assert np.array_equal(np.sort([np.float32(row["I(X;T) [bits]"]) for row in faint]), expected)
        await opened.value(f"{FIGURE}.show(3)")
        moved = [
            row for row in rows_of(await opened.value(f"{FIGURE}.csv()")) if row["trace"].endswith("replicas at one epoch")
        ]
        path = [row for row in moved if row["trace"].startswith("mean")]
        assert {row["epoch"] for row in moved} == {str(plane.epoch.values[2])}
        assert [float(row["I(X;T) [bits]"]) for row in path] == means.i_xt.isel(epoch=2).values.tolist()

        await opened.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        for kind in ("svg", "png", "csv"):
            await opened.value(f"document.querySelector('.export [data-kind={kind}]').click()")
            for _ in range(600):
                if (file := tmp_path / f"plane.{kind}").exists():
                    break
                await asyncio.sleep(0.05)
            assert file.exists(), kind
        assert (tmp_path / "plane.csv").read_bytes().decode() == await opened.value(f"{FIGURE}.csv()")
        drawing = (tmp_path / "plane.svg").read_text(encoding="utf-8")
        assert drawing.startswith("<svg") and "Information plane" in drawing and f"epoch {plane.epoch.values[2]}" in drawing
        assert (tmp_path / "plane.png").read_bytes().startswith(b"\x89PNG")

    opened = with_page(page, act)
    assert opened.problems == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in opened.requests)


@needs_browser
def test_maps_and_gaps_and_names_in_a_table(tmp_path):
    z = np.array([[0.1, 1 / 3], [2.0, 3.0]])
    heat = go.Heatmap(x=["a", "b,c"], y=[0.5, 1.5], z=z, coloraxis="coloraxis", name="<b>map</b>")
    figure = go.Figure([heat, go.Scatter(x=[1, None, 3], y=[4, None, 1e-20], name='"line"', xaxis="x2", yaxis="y2")])
    figure.update_layout(
        coloraxis={"colorbar": {"title": {"text": "cost [nats]"}}},
        xaxis={"domain": [0, 0.4], "title": {"text": "layer"}},
        xaxis2={"domain": [0.6, 1], "title": {"text": "epoch"}, "anchor": "y2"},
        yaxis2={"title": {"text": "loss"}, "anchor": "x2"},
    )

    async def act(opened):
        text = await opened.value(f"{FIGURE}.csv()")
        first, *rows = csv.reader(io.StringIO(text))
        assert first == ["trace", "layer", "y", "cost [nats]", "epoch", "loss"]
        assert rows == [
            ["map", "a", "0.5", "0.1", "", ""],
            ["map", "b,c", "0.5", str(1 / 3), "", ""],
            ["map", "a", "1.5", "2", "", ""],
            ["map", "b,c", "1.5", "3", "", ""],
            ['"line"', "", "", "", "1", "4"],
            ['"line"', "", "", "", "3", "1e-20"],
        ]

    assert with_page(fp.plot.save(figure, tmp_path / "map.html"), act).problems == []


@needs_browser
def test_a_phone_at_night_and_a_page_that_was_moved_alone(page, tmp_path):
    async def act(opened):
        await opened.theme("dark")
        await opened.size(360, 740, mobile=True)
        await opened.until(f"{FIGURE}.element._fullLayout.width < 360", 20)
        assert await opened.value("document.documentElement.scrollWidth") <= 360
        assert await opened.value("getComputedStyle(document.body).backgroundColor") == "rgb(24, 26, 31)"
        assert await opened.value(f"{FIGURE}.element._fullLayout.paper_bgcolor") == "rgba(24,26,31,1)"
        under = "document.querySelector('.export').getBoundingClientRect().top"
        assert await opened.value(f"{under} >= {FIGURE}.element.getBoundingClientRect().bottom")

    assert with_page(page, act).problems == []
    alone = tmp_path / "plane.html"
    alone.write_bytes(page.read_bytes())

    async def look(opened):
        assert "needs the file" in await opened.value(f"{FIGURE}.element.textContent")

    with_page(alone, look)
