"""The command line: tables, one clear line for a mistake, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

import flowplane as fp
from flowplane import cli
from flowplane.core.older import load
from flowplane.experiments import registry
from flowplane.experiments.information import information_plane


def run(capsys, monkeypatch, *arguments):
    """Exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["flowplane", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


@pytest.fixture(scope="module")
def recording(task, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "run.fp"
    fp.train(task, path=path, replicas=2, epochs=5, snapshots=3)
    return path


@pytest.fixture
def tiny(monkeypatch):
    """The command line's scales, as small as the scale tiny; only that they are called quick and full is theirs."""
    for scale in ("quick", "full"):
        monkeypatch.setitem(information_plane.SCALES, scale, information_plane.SCALES["tiny"])


def test_experiments(capsys, monkeypatch):
    code, out, _ = run(capsys, monkeypatch, "experiments")
    assert code == 0
    for experiment in registry.EXPERIMENTS.values():
        for text in (experiment.name, experiment.figure, *experiment.claims):
            assert text in out


def test_version_and_help(capsys, monkeypatch):
    assert run(capsys, monkeypatch, "--version")[:2] == (0, f"flowplane {fp.__version__}\n")
    code, out, err = run(capsys, monkeypatch)
    assert (code, err) == (2, "")
    assert "reproduce" in out


def test_all_with_a_name_is_all(capsys, monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(cli, "_reproduced", lambda name, *rest: ran.append(name) or True)
    assert run(capsys, monkeypatch, "reproduce", "all", "training-size", "--out", tmp_path)[0] == 0
    assert ran == list(registry.EXPERIMENTS)


def test_all_goes_on_where_it_stopped(capsys, monkeypatch, tmp_path, tiny):
    assert run(capsys, monkeypatch, "reproduce", "information-plane", "--out", tmp_path)[0] == 0
    ran = []
    monkeypatch.setattr(cli, "_reproduced", lambda name, *rest: ran.append(name) or True)

    def left(*options):
        ran.clear()
        code, out, _ = run(capsys, monkeypatch, "reproduce", "all", "--out", tmp_path, *options)
        missing = [name for name in registry.EXPERIMENTS if name not in ran]
        assert (code, "information-plane (--overwrite runs them again)" in out) == (0, bool(missing))
        return missing

    assert left() == ["information-plane"]
    assert left("--full") == left("--seed", "1") == left("--overwrite") == []
    monkeypatch.setattr(registry, "__version__", "9.9")
    assert left() == []
    monkeypatch.undo()
    (tmp_path / "information-plane" / "claims.json").unlink()
    assert not registry.finished("information-plane", "quick", tmp_path)


def test_measure_leaves_nothing_half_written(capsys, monkeypatch, tmp_path, recording):
    (tmp_path / "dir.nc").mkdir()
    code, _, err = run(capsys, monkeypatch, "measure", recording, "-o", tmp_path / "dir.nc")
    assert (code, "ends in .nc" in err) == (2, True)
    monkeypatch.setattr(xr.Dataset, "to_netcdf", lambda self, path, **k: path.write_text("half") / 0)
    with pytest.raises(ZeroDivisionError):
        run(capsys, monkeypatch, "measure", recording, "-o", tmp_path / "plane.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["dir.nc"]


def test_reproduce_then_claims_and_report(capsys, monkeypatch, tmp_path, tiny):
    code, out, _ = run(capsys, monkeypatch, "reproduce", "information-plane", "--out", tmp_path)
    assert code == 0
    lines = out.strip().splitlines()
    assert lines[-1] == f"figure: {tmp_path}/information-plane/information-plane.html"
    ids = [claim["id"] for claim in json.loads((tmp_path / "information-plane" / "claims.json").read_text())]
    for name in ids:
        assert any(line.split()[:1] == [name] for line in lines)
    code, ledger, _ = run(capsys, monkeypatch, "claims", tmp_path)
    assert code == 0
    assert all(name in ledger for name in ids)
    assert all(role in ledger for role in ("headline", "part", "control"))
    page = tmp_path / "report.html"
    code, out, err = run(capsys, monkeypatch, "report", tmp_path / "information-plane", "-o", page)
    assert (code, out, err) == (0, f"report: {page}\n", "")
    assert "B-1.peak" in page.read_text()
    code, _, err = run(capsys, monkeypatch, "report", tmp_path / "information-plane", "--denoising", "-o", page)
    assert (code, "denoising: found True, expected False" in err) == (2, True)
    assert any(word in ledger for word in ("inconclusive", "contradicted"))
    code, out, _ = run(capsys, monkeypatch, "reproduce", "information-plane", "--full", "--out", tmp_path)
    assert (code, "full scale" in out) == (0, True)


def test_a_contradicted_claim_is_a_result_and_a_failed_experiment_is_not(capsys, monkeypatch, tmp_path, tiny):
    monkeypatch.setattr(information_plane, "START", (0.0,) * 6)
    code, out, _ = run(capsys, monkeypatch, "reproduce", "information-plane", "--out", tmp_path)
    assert (code, "contradicted" in out) == (0, True)
    monkeypatch.setattr(information_plane, "gradient_phases", lambda *a: 1 / 0)
    code, _, err = run(capsys, monkeypatch, "reproduce", "information-plane", "--out", tmp_path)
    assert (code, "ZeroDivisionError" in err) == (1, True)


def test_measure(capsys, monkeypatch, tmp_path, recording):
    target = tmp_path / "plane.nc"
    estimator = ("--estimator", "binned:bins=12,range=-1..1")
    code, out, _ = run(capsys, monkeypatch, "measure", recording, *estimator, "-o", target)
    assert code == 0
    assert "layer6" in out
    assert "I(X;T) [bits]" in out
    assert f"written: {target}" in out
    code, out, _ = run(capsys, monkeypatch, "measure", recording, *estimator, "-o", tmp_path / "plane.csv")
    assert code == 0 and (tmp_path / "plane.csv").read_text().startswith("variable,replica,epoch,layer")
    with load(target) as plane:
        expected = fp.information_plane(fp.open(recording), fp.Binned(12, range=(-1, 1)))
        xr.testing.assert_equal(plane.load(), expected)
        assert plane.i_xt.channel == expected.i_xt.channel and "flags" not in xr.open_dataset(target, engine="h5netcdf")
    code, out, _ = run(capsys, monkeypatch, "measure", recording, "--estimator", "binned-published", "--samples", "test")
    assert (code, "saturated: almost every input occupies its own cell" in " ".join(out.split())) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "information-plan"], "experiment: found 'information-plan', expected one of"),
        (["reproduce", "information-plane", "--quick", "--full"], "scale: found '--quick and --full'"),
        (["reproduce", "information-plane", "--seed", "-1", "--out", "{tmp}/out"], "seed: found -1"),
        (["reproduce", "information-plane", "--device", "tpu"], "'tpu' is not one of"),
        (["reproduce"], "Missing argument"),
        (["publish"], "No such command 'publish'"),
        (["measure", "{run}", "--estimator", "bined"], "estimator: found 'bined', expected one of binned"),
        (["measure", "{run}", "--estimator", "binned:bin=3"], "expected arguments that binned has"),
        (["measure", "{run}", "--estimator", "binned:bins"], "expected binned:argument=value"),
        (["measure", "{run}", "--estimator", "binned:bins=0"], "bins: found 0"),
        (["measure", "{run}", "--samples", "some"], "samples: found 'some'"),
        (["measure", "{run}", "-o", "{tmp}/plane.txt"], "a file name that ends in .nc or .csv"),
        (["measure", "{run}", "-o", "{tmp}/no/plane.nc"], "in a folder that can be written to"),
        (["measure", "{run}", "--estimator", "binned:bins=1000000000000"], "bins: found 1000000000000"),
        (["measure", "{tmp}/nowhere.fp"], "nothing is there"),
        (["measure", "{tmp}"], "path: found"),
        (["report", "{tmp}/nowhere.fp"], "nothing is there"),
        (["report", "{tmp}", "-o", "{tmp}/report.html"], "source: found"),
        (["report", "{run}", "-o", "{tmp}/report.pdf"], "ends in .html"),
        (["claims", "{tmp}/nowhere"], "folder: found"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(capsys, monkeypatch, tmp_path, recording, arguments, message):
    filled = [part.format(tmp=tmp_path, run=recording) for part in arguments]
    code, out, err = run(capsys, monkeypatch, *filled)
    assert code == 2
    assert message in err
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
    assert "figure:" not in out


def test_an_empty_folder_of_results_is_a_ledger_of_what_to_run(capsys, monkeypatch, tmp_path):
    code, out, _ = run(capsys, monkeypatch, "claims", tmp_path)
    assert code == 0
    assert out.endswith("the papers' 19 claims: 19 not run\n")


def test_broken_ledger(capsys, monkeypatch, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "claims.json").write_text("[{]")
    code, _, err = run(capsys, monkeypatch, "claims", tmp_path)
    assert (code, "a readable ledger of claims" in err) == (2, True)


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(tmp_path):
    main = "import flowplane.cli; flowplane.cli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", main, "reproduce", "information-plane", "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run_path = tmp_path / "information-plane" / "recordings" / "reference-quick.fp"
    for _ in range(6000):
        assert process.poll() is None
        try:
            if len(fp.open(run_path).epochs) > 3:
                break
        except fp.errors.InputError:
            time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    epoch = fp.open(run_path).epochs[-1]
    assert process.returncode == 130
    assert f"everything up to epoch {epoch} is kept in {run_path}; run the same command again" in err
    assert "Traceback" not in err
