"""axe-core finds nothing wrong with our pages, light and dark, on a desktop and a phone."""

import pytest
from accessibility import violations_of
from chromium_page import CHROME

import flowplane as fp

pytest.importorskip("axe_playwright_python", reason="axe-core is in [dev]")
pytestmark = pytest.mark.skipif(CHROME is None, reason="no browser here")


def test_a_report(small, tmp_path):
    assert violations_of(fp.report(small, tmp_path / "report.html")) == []


@pytest.mark.slow
def test_reports_side_by_side(small, other, tmp_path):
    assert violations_of(fp.report([small, other], tmp_path / "two.html")) == []


@pytest.mark.slow
def test_a_flow(tmp_path):
    flow = fp.denoising_flow(fp.Normal([0.0, 0.0], [[2.0, 0.5], [0.5, 1.0]]), 0.5, layers=2)
    assert violations_of(fp.report(flow, tmp_path / "flow.html")) == []


def test_a_figure_by_itself(small, tmp_path):
    page = fp.plot.save(fp.plot.information_plane(fp.information_plane(small)), tmp_path / "plane.html")
    assert violations_of(page) == []
