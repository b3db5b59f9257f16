"""What a report says, that it says it of these numbers, and that nothing in it is taken for a tag."""

import json
import re

import numpy as np
import pytest
import xarray as xr
from page_reading import Read

import flowplane as fp
from flowplane.analysis.explaining import flag_words
from flowplane.core.results import stamp
from flowplane.information.schema import FLAGS, QUANTITIES, estimate_dataset
from flowplane.reporting import page, provenance, recordings
from flowplane.reporting.layers import layer_numbers
from flowplane.reporting.markup import interval
from flowplane.reporting.sections import SECTIONS

FLOWS = ("movement", "cost", "steps")

MEGABYTES = 10_000_000
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def path(small, tmp_path_factory):
    return fp.report(small, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def read(path) -> Read:
    return Read(path.read_text(encoding="utf-8"))


def test_every_section_in_its_order(read):
    expected = [name for name in SECTIONS if name not in ("figures", "layers", "claims", "stream", *FLOWS)]
    assert list(read.sections) == expected
    assert [link["href"] for link in read.of("a") if link["href"].startswith("#")][1 : len(expected) + 1] == [
        f"#{name}" for name in expected
    ]


def test_the_summary_gives_the_numbers_of_the_plane(read, small):
    layers = layer_numbers(fp.information_plane(small))
    last = fp.information_plane(small).isel(epoch=-1)
    for k, layer in enumerate(layers):
        assert layer.i_xt.value == pytest.approx(float(last.i_xt.isel(layer=k).mean()))
        assert f"{layer.i_xt.value:.2f} [" in read.sections["summary"]
        assert layer.name in read.sections["summary"]
    assert f"{layers[-1].i_xt.value:.2f} of the 7.00 bits" in read.sections["summary"]


def test_the_flags_raised_are_explained(small, read):
    plane = fp.information_plane(small)
    raised = {line.split(" ")[0].split(":")[0] for line in fp.explain(plane).splitlines()[1:]} - {"No"}
    assert raised
    for name in raised:
        assert name.replace("_", " ") in read.sections["validity"]
        assert flag_words(plane)[name].advice in " ".join(read.sections["validity"].split())
    assert "no turn" in read.sections["validity"]


def test_provenance(read, small):
    said = " ".join(read.sections["provenance"].split())
    for text in ("a <b>small</b> & task", "adam", "arXiv:1703.00810", "arXiv:1605.02832", fp.__version__, str(small.path)):
        assert text in said
    assert "rec = fp.train(task, hidden=(5, 3), replicas=3, epochs=60" in said


def test_the_citation_is_that_of_the_project():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "CITATION.cff").read_text()
    for part in re.findall(r'title: "(.*)"', text) + re.findall(r'notes: "(.*)"', text):
        assert any(part in line for line in provenance.CITATIONS), part


def test_figures_have_a_name_for_those_who_do_not_see_them(read):
    plots = [attrs for attrs in read.of("div") if "data-figure" in attrs and attrs.get("role") == "img"]
    assert {attrs["data-figure"] for attrs in plots} == set(read.figures())
    assert all(len(attrs["aria-label"]) > 20 for attrs in plots)
    sliders = [attrs for attrs in read.of("input") if attrs["type"] == "range"]
    labelled = {attrs["for"] for attrs in read.of("label")}
    assert sliders
    assert all(slider["id"] in labelled for slider in sliders)
    assert all(cell.get("scope") in ("row", "col") for cell in read.of("th"))
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_a_figure_has_one_control_and_no_fixed_width(read):
    for figure in read.figures().values():
        for layout in filter(None, (figure["wide"], figure["middle"], figure["narrow"])):
            assert not {"sliders", "updatemenus", "width", "title"} & set(layout)
        assert not any(trace["type"].endswith("gl") for trace in figure["data"])
    plane = read.figures()["information-plane"]
    assert plane["controls"]["frames"] == [frame["name"] for frame in plane["frames"]]


def test_nothing_can_be_fetched_and_only_the_own_scripts_run(read, path):
    import base64
    import hashlib

    policy = next(attrs["content"] for attrs in read.of("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    run = [text for attrs, text in read.scripts if "id" not in attrs and attrs.get("type") is None][1:]
    for text in run:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    addresses = [attrs[key] for _, attrs in read.tags for key in ("src", "href") if key in attrs]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert path.stat().st_size < MEGABYTES


def test_hostile_names_are_shown_and_never_run(hostile, tmp_path):
    read = Read(fp.report(hostile, tmp_path / "hostile.html").read_text())
    assert HOSTILE in read.sections["summary"]
    assert "</script><b>" in read.sections["summary"]
    assert HOSTILE in read.sections["training"]
    assert not read.of("img")
    assert not read.of("b")
    assert len([attrs for attrs, _ in read.scripts if "id" not in attrs]) == 3  # the style, plotly.js and the page's own
    drawn = ("data", "frames", "wide", "middle", "narrow")  # Plotly takes tags in these; the rest is plain text
    texts = json.dumps([figure[part] for figure in read.figures().values() for part in drawn])
    assert "&lt;script&gt;" in texts
    assert "<script" not in texts
    assert not re.search(r"<(b|img|script)[ >]", re.sub(r"</?b>(?=[\d, ]*(\(softmax\))?</?b>|\")", "", texts))


def test_without_labels_the_plane_is_a_curve_and_the_reason_is_said(hostile, tmp_path):
    read = Read(fp.report(hostile, tmp_path / "report.html").read_text())
    assert "No labels were given" in read.sections["summary"]
    assert "– (no labels)" in read.sections["summary"]
    assert "input-information" in read.figures()
    assert "information-plane" not in read.figures()


def test_gradients_that_were_not_kept_are_missed_in_a_sentence(other, tmp_path):
    read = Read(fp.report(other, tmp_path / "report.html").read_text())
    assert "gradient-phases" not in read.figures()
    assert "Gradients were not kept." in read.sections["gradients"]


def test_two_recordings_share_axes_and_are_compared(small, other, tmp_path):
    read = Read(fp.report([small, other.path], tmp_path / "two.html").read_text())
    figures = read.figures()
    assert {"information-plane-1", "information-plane-2", "training-curves"} <= set(figures)
    one, two = figures["information-plane-1"]["wide"], figures["information-plane-2"]["wide"]
    for axis in [key for key in one if key[1:5] == "axis"]:
        assert one[axis]["range"] == two[axis]["range"], axis
    assert "training-curves-1" not in figures  # both are in one
    curves = {trace["name"] for trace in figures["training-curves"]["data"] if trace.get("showlegend", True)}
    assert {f"{whose}, {part}" for whose in ("small.fp", "other.fp") for part in ("train", "test")} == curves
    said = " ".join(read.sections["summary"].split())
    assert "Differences at the last epoch" in said
    assert "What was set differently" in said
    assert "cannot be compared" in said  # bins of tanh and of ReLU units are different channels
    assert "relu" in said
    assert said.count("small.fp") > 2
    first, second = (layer_numbers(fp.information_plane(rec)) for rec in (small, other))
    difference = second[0].i_xt.value - first[0].i_xt.value
    assert f"{abs(difference):.3f}" in said or f"{abs(difference):.2f}" in said


def test_page_and_function_never_disagree(small, other, read, tmp_path):
    """One recording by itself, and beside another one: the numbers are those of `fp.information_plane`."""
    both = Read(fp.report([small, other], tmp_path / "two.html").read_text()).sections["summary"]
    for rec, pages in ((small, (read.sections["summary"], both)), (other, (both,))):
        for layer in layer_numbers(fp.information_plane(rec)):
            for said in pages:
                for part in (layer.i_xt, layer.i_ty):
                    assert interval(part.value, part.lower, part.upper) in said


def test_same_names_are_numbered(small, tmp_path):
    read = Read(fp.report([small, small], tmp_path / "two.html").read_text())
    assert "small.fp (1)" in read.sections["summary"]
    assert "small.fp (2)" in read.sections["summary"]


def test_numbers_that_are_missing_say_why():
    nan, flags = np.full((2, 3, 1), np.nan), np.full((2, 3, 1), FLAGS.bits("deterministic"))
    found = estimate_dataset(
        ("replica", "epoch", "layer"),
        {"replica": [0, 1], "epoch": [0, 1, 2], "layer": ["a"]},
        dict.fromkeys(QUANTITIES, nan),
        dict.fromkeys(QUANTITIES, flags),
        about={"channel": "none", "estimator": "KSG", "parameters": ""},
    )
    plane = stamp(found, "information_plane")
    from flowplane.reporting.subject import Subject

    read = Read(page.page_of([Subject("x", "about", plane=plane)]))
    assert "– (deterministic)" in read.sections["summary"]
    assert "could not be measured" in read.sections["summary"]
    assert read.figures() == {}


def test_a_report_does_not_change_what_it_shows(small):
    before = small.metrics.load().copy(deep=True)
    recordings.of_recording(small, "x")
    xr.testing.assert_identical(before, small.metrics.load())
