"""A report of flows: what moves, how straight, what it costs, how many steps; and sentences that are so."""

import json
import math
import re

import numpy as np
import pytest
import torch
import xarray as xr
from chromium_page import CHROME, with_page
from page_reading import Read

import flowplane as fp
from flowplane.errors import InputError
from flowplane.reporting import flows
from flowplane.reporting.flow_numbers import distance_moved, numbers_table, share, with_error
from flowplane.reporting.flow_words import cost_words, path_words, step_words, straight_words
from flowplane.reporting.subject import Measured

FIELD = fp.Normal([0.0, 0.0], [[1.0, 0.3], [0.3, 0.5]])


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Pictures of few places and few particles take little time, and show as much of what is tested."""
    monkeypatch.setattr(flows, "PARTICLES", 300)
    monkeypatch.setattr(flows, "GRID", {1: 31, 2: 15})


def said(read, section) -> str:
    return " ".join(read.sections[section].split())


def page(source, tmp_path) -> Read:
    return Read(fp.report(source, tmp_path / "flow.html").read_text())


def turning(x, t):
    """A velocity that turns points about the origin: paths bend, the pace is even."""
    flat = x.reshape(len(x), -1)
    return torch.stack([-flat[:, 1], flat[:, 0], *(0 * flat[:, 2:]).T], 1).reshape(x.shape)


@pytest.fixture(scope="module")
def turn():
    return fp.transport.model_flow(turning, shape=2)


@pytest.fixture(scope="module")
def denoising():
    return fp.denoising_flow(FIELD, 0.1, math.inf)


def test_a_flow_in_the_plane(denoising, tmp_path):
    read = page(denoising, tmp_path)
    assert list(read.sections) == ["summary", "movement", "cost", "steps", "validity", "provenance"]
    figures = read.figures()
    assert set(figures) == {"flow-history", "flow-profile", "budget", "steps"}
    assert len(figures["flow-history"]["controls"]["labels"]) == 11
    spent, needed = denoising.budget(), denoising.steps(300)
    assert f"spends {float(spent.energy):.3f} squared units of x" in said(read, "cost")
    assert f"Euler’s method needs {int(needed.least_steps[0])} steps" in said(read, "steps")
    assert "in closed form" in said(read, "cost") and "±" not in said(read, "cost").split("W_2 is")[1]
    assert "No validity warnings." in said(read, "validity")
    assert "DenoisingFlow" in said(read, "provenance") and "fp.report(flow" in said(read, "provenance")
    assert "[variance of noise]" in figures["flow-history"]["controls"]["prefix"]


def test_two_flows_beside_each_other(denoising, turn, tmp_path):
    read = page([denoising, turn], tmp_path)
    assert {"flow-history-1", "flow-history-2", "steps-1", "steps-2"} <= set(read.figures())
    table = said(read, "summary").split("The flows in numbers")[1]
    assert re.search(r"energy \[squared units of x\] 0\.0\d+", table)
    assert "DenoisingFlow" in table and "ModelFlow" in table
    steps = [read.figures()[f"steps-{k}"]["wide"]["yaxis"]["range"] for k in (1, 2)]
    assert steps[0] == steps[1]
    profiles = [read.figures()[f"flow-profile-{k}"]["wide"]["xaxis"].get("range") for k in (1, 2)]
    assert profiles[0] is None  # times of other units, and of other lengths, are on axes of their own


def test_the_same_kind_twice_is_numbered(denoising, tmp_path):
    read = page([denoising, denoising], tmp_path)
    assert "DenoisingFlow (1)" in said(read, "summary") and "DenoisingFlow (2)" in said(read, "summary")


@pytest.mark.slow
def test_what_is_wasted_by_turning(turn, tmp_path):
    read = page(turn, tmp_path)
    # points at radius r run along an arc of r and end a chord of 2 sin ½ r away
    share_of_bending = 100 * (1 - (2 * math.sin(0.5)) ** 2)
    (found,) = re.findall(r"bending takes ([\d.]+) ± [\d.]+ % of the energy", said(read, "cost"))
    assert float(found) == pytest.approx(share_of_bending, abs=0.5)
    assert "The paths bend, and are run at a nearly steady pace" in said(read, "summary")
    assert "wasted on pace [squared units of x] 0 (0.0 %)" in said(read, "summary")
    assert "it tends to come out too large" in said(read, "cost")
    assert "on the path “linear”, followed from τ = 0 to τ = 1" in said(read, "summary")


def test_without_a_source_a_sentence_says_what_is_missing(tmp_path):
    flow = fp.transport.ODEMap(lambda t, x: -x, 2, time=1.0)
    read = page(flow, tmp_path)
    assert "does not know the density that it moves" in said(read, "summary")
    assert "ODEMap(2 dimensions, time 1)" in said(read, "summary")
    assert not read.figures() and "Nothing was measured" in said(read, "validity")
    beside = page([flow, fp.denoising_flow(FIELD, 0.2, 3)], tmp_path)
    assert "budget-2" in beside.figures() and "does not know" in said(beside, "summary")


def test_layers_are_steps(tmp_path):
    read = page(fp.denoising_flow(FIELD, 0.2, 3), tmp_path)
    assert "each of which is one step already" in said(read, "steps")
    assert "steps" not in read.figures() and "budget" in read.figures()


def test_bare_points_have_no_entropy_and_no_empty_panel(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 2))
    flow = fp.transport.model_flow(turning, source=fp.Empirical(points))
    read = page(flow, tmp_path)
    assert "neither an entropy nor a density" in said(read, "movement") and "entropy goes" not in said(read, "movement")
    titles = [note["text"] for note in read.figures()["flow-profile"]["wide"]["annotations"]]
    assert "entropy" not in titles and "variance" in titles
    assert read.figures()["flow-history"]["wide"]["coloraxis"]["showscale"] is False


def test_on_a_line(tmp_path):
    read = page(fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, math.inf), tmp_path)
    assert "flow-history" in read.figures()


def test_images_are_a_film(tmp_path):
    flow = fp.transport.model_flow(turning, shape=(1, 4, 5))
    read = page(flow, tmp_path)
    film = read.figures()["flow-samples"]
    assert film["data"][0]["type"] == "image" and film["data"][0]["source"].startswith("data:image/png;base64,")
    assert len(film["frames"]) == 11 and film["frames"][0]["data"][0]["source"] != film["data"][0]["source"]
    assert "few for dimension" in said(read, "validity")
    assert "the optimality near 1 whatever the flow does" in said(read, "movement")
    assert "cannot be separated from it" in said(read, "cost") and "*" in said(read, "summary")


@pytest.mark.skipif(CHROME is None, reason="no browser here")
def test_the_film_moves_in_a_browser(tmp_path):
    async def act(page):
        film = "window.flowplane.figures['flow-samples']"
        source = f"{film}.element._fullData[0].source"
        end = await page.value(source)
        slider = "document.querySelector('[data-figure=\"flow-samples\"].controls input')"
        await page.value(f"{slider}.value = 0; {slider}.dispatchEvent(new Event('input'))")
        await page.until(f"{film}.frame === 0 && {source} !== {json.dumps(end)}", 10)
        await page.value("window.flowplane.setTheme('dark')")
        assert await page.value(f"{film}.frame") == 0 and await page.value(source) != end

    read = with_page(fp.report(fp.transport.model_flow(turning, shape=(1, 4, 5)), tmp_path / "flow.html"), act)
    assert read.problems == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in read.requests)


def test_more_dimensions_are_seen_along_principal_axes(tmp_path):
    read = page(fp.denoising_flow(fp.Normal([0.0] * 3, np.diag([9.0, 4.0, 1.0])), 0.4, math.inf), tmp_path)
    assert read.figures()["flow-samples"]["wide"]["xaxis"]["title"]["text"] == "first principal axis [units of x]"


def test_the_plane_is_that_in_which_the_ends_spread():
    flow = fp.denoising_flow(fp.Normal([0.0] * 3, np.diag([1.0, 9.0, 4.0])), 0.4, math.inf)
    found = fp.transport.flow_samples(flow, 300, times=[0.0, 0.4])
    ends = found.position.values[-1] - found.position.values[-1].mean(0)
    spread = np.linalg.eigvalsh(ends.T @ ends)[::-1]
    np.testing.assert_allclose(np.square(found.principal.values[-1]).sum(0), spread[:2], rtol=1e-9)
    assert found.attrs["explained"] == pytest.approx(spread[:2].sum() / spread.sum())
    plane = fp.transport.flow_samples(fp.denoising_flow(FIELD, 0.2, 2), 9)
    np.testing.assert_array_equal(plane.principal, plane.position)


def test_very_wide_flows_are_not_followed_over_time(tmp_path, monkeypatch):
    monkeypatch.setattr(flows, "WIDE", 50)
    monkeypatch.setattr(flows, "NUMBERS", 15_000)
    read = page(fp.transport.model_flow(turning, shape=(3, 5, 5)), tmp_path)
    assert "dimensions this page does not follow" in said(read, "movement")
    assert {"flow-samples", "budget", "steps"} == set(read.figures())
    assert "particles 200, seed 0" in said(read, "provenance")


def test_a_velocity_that_torch_cannot_differentiate(tmp_path):
    flow = fp.transport.ODEMap(lambda t, x: torch.from_numpy(-x.detach().numpy()), 2, time=1.0, source=FIELD)
    read = page(flow, tmp_path)
    assert "How the flow moves its points could not be measured; `flow.profile()` says why." in said(read, "movement")
    assert {"flow-samples", "budget", "steps"} == set(read.figures())


@pytest.mark.slow
def test_a_guided_model_belongs_to_no_path(tmp_path):
    options = {"conditions": {"y": 1.0}, "unconditional": {"y": 0.0}, "guidance": 2.0}
    flow = fp.transport.model_flow(lambda x, t, y: -y[:, None] * x, shape=2, **options)
    read = page(flow, tmp_path)
    assert "guided with weight 2" in said(read, "summary") and "belongs to no Gaussian path" in said(read, "summary")


def test_hostile_names(tmp_path):
    model = type("<script>alert(1)</script>", (), {"__call__": lambda self, x, t: turning(x, t)})()
    read = page(fp.transport.model_flow(model, shape=2), tmp_path)
    assert "<script>alert(1)</script>" in said(read, "summary")
    assert len(read.of("script")) == 3


def test_what_is_refused(denoising, tmp_path):
    target = tmp_path / "flow.html"
    recording = fp.from_arrays({"layer": np.zeros((20, 2), np.float32)})
    with pytest.raises(
        InputError, match="source: found flows beside something else, expected either flows only, or recordings"
    ):
        fp.report([denoising, recording], target)
    with pytest.raises(InputError, match="denoising: found True, expected False: a flow has no layers"):
        fp.report(denoising, target, denoising=True)
    assert not target.exists()


def spent(**terms) -> xr.Dataset:
    named = {"energy": 1.0, "transport": 0.9, "coupling": 0.0, "bending": 0.05, "pace": 0.05} | terms
    errors = {f"{name}_error": 0.0 for name in named}
    return xr.Dataset(named | errors, attrs={"method": "closed form", "samples": 9})


def test_words_of_flows_that_do_nothing():
    nothing = spent(energy=0.0, transport=0.0, bending=0.0, pace=0.0)
    assert straight_words(nothing) == ["Nothing moves, so there is nothing to waste."]
    assert len(cost_words(nothing)) == 1 and share(nothing, "pace") == "–"
    assert distance_moved(nothing) == (0.0, 0.0)
    still = fp.transport.ODEMap(lambda t, x: 0 * x, 1, time=1.0, source=fp.Normal(0.0, 1.0)).steps(9, (1, 2))
    assert step_words(still) == ["Nothing moves, so no step is needed."]
    assert path_words({}) == "" and numbers_table({"a": Measured(2)}) == ""


def test_words_of_straight_flows():
    straight = straight_words(spent(bending=0.001, pace=0.0))[0]
    assert straight.startswith("The paths are straight lines, or nearly so, and are run at a nearly steady pace")
    assert "0.1 % of the energy" in straight


def test_spaces_of_different_size_do_not_compare():
    told = numbers_table({"a": Measured(2, budget=spent()), "b": Measured(64, budget=spent())})
    assert "They run in 2 and 64 dimensions: energies and distances cannot be compared." in told


def test_errors_have_two_digits():
    assert with_error(0.0102, 0.00042) == "0.01020 ± 0.00042"
    assert with_error(3.7e-7, 6.4e-8) == "3.7e-07 ± 6.4e-08"
    assert with_error(1.0, float("nan")) == "1.00"
