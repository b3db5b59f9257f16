"""What a report can be made of, what it refuses, and what it leaves out of what is large."""

import json

import pytest
import xarray as xr
from page_reading import Read

import flowplane as fp
from flowplane.analysis import reading
from flowplane.errors import InputError
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Result
from flowplane.plot import save
from flowplane.plot.page.drawing import drawn
from flowplane.reporting import thinning
from flowplane.reporting.provenance import run_recipe
from flowplane.reporting.sections import SECTIONS

FLOWS = ("movement", "cost", "steps")


@pytest.fixture(scope="module")
def result(small) -> Result:
    plane = fp.information_plane(small, fp.Binned(30))
    claims = [
        Claim(
            id="B-1",
            role="headline",
            statement="I(X;T) < H(X)",
            measured=(1.25, 2.0),
            interval=((1.0, 1.5), (1.9, 2.1)),
            reference=(1.3, 2.0),
            tolerance=(0.3, 0.3),
            verdict="reproduced",
            scale="quick",
            seconds=1.0,
            units="bits",
        ),
        Claim(
            id="B-1.peak",
            role="control",
            statement="it falls",
            measured=(0.1,),
            verdict="contradicted",
            scale="quick",
            seconds=1.0,
        ),
    ]
    figures = {
        "information-plane": fp.plot.information_plane(plane),
        "controls": fp.plot.information_planes({"<i>x": plane}),
    }
    return Result({"plane": plane, "metrics": small.metrics.load()}, figures, claims)


def test_an_experiments_claims(result, tmp_path):
    read = Read(fp.report(result, tmp_path / "report.html").read_text())
    assert list(read.sections) == [name for name in SECTIONS if name not in ("geometry", "layers", "stream", *FLOWS)]
    said = " ".join(read.sections["claims"].split())
    for text in (
        "B-1.peak",
        "headline",
        "control",
        "1.25 [1.00, 1.50]",
        "2.00 ± 0.300",
        "✗ contradicted",
        "Of 2 claims: 1 reproduced and 1 contradicted",
    ):
        assert text in said
    assert set(read.figures()) == {"information-plane", "training-curves", "controls"}
    assert "flowplane reproduce information-plane --quick" in read.sections["provenance"]


def test_a_folder_of_results_is_read_and_nothing_measured(result, tmp_path, monkeypatch):
    home = tmp_path / "results" / "information-plane"
    home.mkdir(parents=True)
    for name, dataset in result.datasets.items():
        dataset.to_netcdf(home / f"{name}.nc", engine="h5netcdf")
    for name, figure in result.figures.items():
        save(figure, home / f"{name}.html")
    (home / "claims.json").write_text(json.dumps([claim.to_json() for claim in result.claims]))
    (home / "run.json").write_text(json.dumps({"experiment": "information-plane", "scale": "quick", "seed": 3}))
    monkeypatch.setattr(fp.Recording, "measure", lambda *rest: 1 / 0)
    for folder in (home, home.parent):
        read = Read(fp.report(folder, tmp_path / "report.html").read_text())
        assert {"information-plane", "training-curves"} <= set(read.figures())
        assert any(name.endswith("controls") for name in read.figures())
        assert "--seed 3" in read.sections["provenance"]
        assert "B-1.peak" in read.sections["claims"]


def test_figures_that_would_make_the_page_heavy_are_named(result, tmp_path, monkeypatch):
    from flowplane.reporting import results

    home = tmp_path / "information-plane"
    home.mkdir()
    save(result.figures["controls"], home / "controls.html")
    (home / "claims.json").write_text(json.dumps([claim.to_json() for claim in result.claims]))
    monkeypatch.setattr(results, "FIGURE_BYTES", 100)
    read = Read(fp.report(home, tmp_path / "report.html").read_text())
    assert "controls.html" in read.sections["figures"]
    assert not read.figures()


def test_large_recordings_are_thinned_and_that_is_said(small, monkeypatch):
    part, said = thinning.small_part(small, snapshots=4, replicas=2)
    assert len(part.epochs) == 4
    assert {small.epochs[0], small.epochs[-1]} <= set(part.epochs)
    assert part.replicas.tolist() == [0, 1]
    assert said == "To stay fast, this page measures 4 of 8 snapshots, evenly in log(epoch) and the first 2 of 3 replicas."
    assert thinning.small_part(small)[1] == ""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "at least one: a Recording"),
        (7, "source: found int, expected a Recording"),
        (xr.Dataset(), "source: found Dataset, expected .*; fp.plot.show draws a Dataset"),
        ([1, 2, 3, 4, 5, 6, 7], "found 7 things, expected at most 6"),
        ("nowhere.fp", "nothing is there"),
        (Result({}, {}, []), "a Result without claims"),
    ],
)
def test_what_is_no_source(source, message, tmp_path):
    with pytest.raises(InputError, match=message):
        fp.report(source, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_folders_without_claims_and_places_that_cannot_be_written(small, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"source: .*folder of results, with claims\.json"):
        fp.report(tmp_path / "empty", tmp_path / "report.html")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "report.pdf", tmp_path / "empty", tmp_path / "file" / "report.html"):
        with pytest.raises(InputError, match="path: found"):
            fp.report(small, path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "claims.json").write_text("[]")
    (tmp_path / "broken" / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json"):
        fp.report(tmp_path / "broken", tmp_path / "report.html")


def test_a_stored_figure_keeps_its_frames(result, tmp_path):
    from flowplane.reporting.stored import stored_figure

    figure = result.figures["information-plane"]
    found = stored_figure(save(figure, tmp_path / "plane.html"))
    assert found == drawn("plane", figure)
    (tmp_path / "other.html").write_text('<script type="application/json" id="figure-data">{')
    assert stored_figure(tmp_path / "other.html") is None


def test_numbers_that_are_bounds_are_called_so(small, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BINS", fp.Pairwise(0.1))
    read = Read(fp.report(small, tmp_path / "report.html").read_text())
    assert "keeps at most" in read.sections["summary"]
    assert "though not as a bound" in read.sections["summary"]
    assert "I(X;T) is an upper bound" in read.sections["summary"]
    assert "Pairwise(noise_variance=0.1" in read.sections["provenance"]


def test_a_recording_of_measures_alone_shows_what_was_measured(small_task, tmp_path):
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(7, 3), torch.nn.Tanh())
    inputs, labels = torch.tensor(small_task.inputs), torch.tensor(small_task.labels)
    path, wanted = tmp_path / "measures.fp", fp.Binned(12, range=(-1, 1))
    with fp.Recorder(model, inputs, labels, path=path, epochs=3, snapshots=3, measures=(wanted,), keep=()) as recorder:
        for epoch in range(3):
            recorder.step(epoch=epoch + 1)
    read = Read(fp.report(path, tmp_path / "report.html").read_text())
    assert "Binned(bins=12" in read.sections["plane"]
    assert "information-plane" in read.figures()
    assert "No loss or other number was given" in read.sections["training"]
    assert read.sections["transport"].strip() != ""


def test_many_channels_are_not_all_named():
    import xarray as xr

    from flowplane.reporting.subject import readable

    channels = [f"30 equal bins on [0, {k}]" for k in range(9)]
    plane = xr.Dataset({"i_xt": ((), 1.0, {"channel": "; ".join(channels)})})
    assert readable(plane).i_xt.channel == "30 equal bins on [0, 0]; 30 equal bins on [0, 1]; … (9 different ones)"
    assert plane.i_xt.channel == "; ".join(channels)  # what was given stays as it is
    few = xr.Dataset({"i_xt": ((), 1.0, {"channel": "; ".join(channels[:3])})})
    assert readable(few).i_xt.channel == few.i_xt.channel


def test_a_tiny_run_is_made_again_from_python():
    """The command line knows quick and full alone."""
    assert run_recipe({"experiment": "depth", "scale": "full", "seed": 3}) == "flowplane reproduce depth --full --seed 3"
    assert run_recipe({"experiment": "depth", "scale": "tiny"}).splitlines()[-1] == (
        "fp.experiments.run('depth', scale='tiny')"
    )
