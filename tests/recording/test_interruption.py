"""Stopping and going on: Ctrl-C, SIGKILL, locks, modes."""

import os
import signal
import time

import numpy as np
import pytest
from forked import Forked

import flowplane as fp
from flowplane.errors import InputError, Interrupted

ARGUMENTS = {"replicas": 3, "epochs": 400, "snapshots": 40, "hidden": (6, 4)}
CODE = """
import sys, flowplane as fp
task = fp.tasks.spherical_rule()
fp.train(task, path=sys.argv[1], mode=sys.argv[2], replicas=3, epochs=400, snapshots=40, hidden=(6, 4))
"""


@pytest.fixture(scope="module")
def uninterrupted(task):
    return fp.train(task, **ARGUMENTS)


def same(a, b):
    return (
        np.array_equal(a.weights.values, b.weights.values)
        and a.metrics.equals(b.metrics)
        and np.array_equal(a.gradients.to_array().values, b.gradients.to_array().values, equal_nan=True)
        and np.array_equal(a.state(), b.state())
        and a.epochs.tolist() == b.epochs.tolist()
    )


def start(path, mode="create"):
    return Forked(CODE, path, mode)


def wait_for_snapshots(path, count, process):
    for _ in range(6000):
        assert process.poll() is None, process.stderr
        try:
            if len(fp.open(path).epochs) >= count:
                return
        except InputError:
            pass
        time.sleep(0.01)
    raise AssertionError("no snapshot in a minute")


@pytest.mark.parametrize("count", [1, 6, 20])
def test_killed_at_any_moment_it_resumes_to_the_same_bits(task, uninterrupted, tmp_path, count):
    path = tmp_path / "run.fp"
    process = start(path)
    wait_for_snapshots(path, count, process)
    time.sleep(0.002 * count)
    process.kill()
    left = fp.open(path)
    committed = len(left.epochs)
    assert committed >= count
    assert np.array_equal(left.weights.values, uninterrupted.weights.values[:, :committed])
    assert left.metrics.sizes["train_epoch"] == left.epochs[-1] + 1
    assert same(fp.train(task, path=path, mode="resume", **ARGUMENTS), uninterrupted)


def test_killed_before_the_first_snapshot(task, uninterrupted, tmp_path):
    path = tmp_path / "run.fp"
    process = start(path)
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.0005)
    process.kill()
    try:
        fp.open(path)
        mode = "resume"
    except InputError as error:
        assert "this is not one" not in str(error)
        mode = "create"
    assert same(fp.train(task, path=path, mode=mode, **ARGUMENTS), uninterrupted)


def test_ctrl_c_says_where_and_how_to_go_on(task, uninterrupted, tmp_path):
    path = tmp_path / "run.fp"
    process = start(path)
    wait_for_snapshots(path, 5, process)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    error = process.stderr
    epoch = fp.open(path).epochs[-1]
    assert f"everything up to epoch {epoch} of 400 is kept in {path}; the same call with mode='resume'" in error
    assert same(fp.train(task, path=path, mode="resume", **ARGUMENTS), uninterrupted)


@pytest.mark.parametrize("compile", ["auto", False], ids=["fused", "torch"])
def test_ctrl_c_in_memory_keeps_the_recording(task, monkeypatch, compile):
    from flowplane.recording import EnsembleWriter

    append = EnsembleWriter.append

    def interrupting(writer, snapshot):
        append(writer, snapshot)
        if snapshot.epoch >= 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(EnsembleWriter, "append", interrupting)
    with pytest.raises(Interrupted, match="in this exception's `recording`") as caught:
        fp.train(task, replicas=2, epochs=500, snapshots=100, compile=compile)
    rec = caught.value.recording
    assert rec.epochs[-1] >= 3
    assert rec.metrics.sizes["train_epoch"] == rec.epochs[-1] + 1


def test_resuming_to_more_epochs(task, tmp_path):
    for compile in ("auto", False):
        path = tmp_path / f"{compile}.fp"
        fp.train(task, path=path, replicas=2, epochs=10, snapshots=4, compile=compile)
        longer = fp.train(task, path=path, replicas=2, epochs=25, snapshots=6, mode="resume", compile=compile)
        straight = fp.train(task, replicas=2, epochs=25, snapshots=6, compile=compile)
        assert longer.epochs[-1] == 25
        assert longer.attrs["epochs"] == 25
        assert np.array_equal(longer.weights.values[:, -1], straight.weights.values[:, -1])
        assert longer.metrics.equals(straight.metrics)
        assert float(longer.seconds[-1]) > 0


def test_resuming_what_another_loop_began_says_so(task, tmp_path, monkeypatch):
    path = tmp_path / "run.fp"
    arguments = {"path": path, "replicas": 1, "snapshots": 2, "device": "cpu"}
    with monkeypatch.context() as of:
        of.setattr("flowplane.core.lanes.LANES", 3)
        fp.train(task, epochs=2, **arguments)
    with pytest.warns(RuntimeWarning, match="begun by flowplane 0.1 or on another kind of processor"):
        fp.train(task, epochs=4, mode="resume", **arguments)


def test_resuming_what_is_finished_changes_nothing(task, tmp_path):
    path = tmp_path / "run.fp"
    first = fp.train(task, path=path, **ARGUMENTS)
    assert same(fp.train(task, path=path, mode="resume", **ARGUMENTS), first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "seed: found 5, expected 0, as in the recording to resume"),
        ({"hidden": (3,)}, r"hidden: found \[3\], expected \[6, 4\]"),
        ({"epochs": 5}, "epochs: found 5, expected at least 10"),
        ({"compile": False}, "the compile mode of the recording"),
        ({"keep": "weights"}, "keep: found"),
        ({"task": "other"}, "task: found 'spherical rule, labels shuffled', other arrays"),
    ],
)
def test_resuming_something_else_is_refused(task, tmp_path, changes, message):
    path = tmp_path / "run.fp"
    arguments = {"replicas": 2, "epochs": 10, "snapshots": 3, "hidden": (6, 4)}
    before = fp.train(task, path=path, **arguments).weights.values
    other = task.shuffled(0) if changes.pop("task", None) else task
    with pytest.raises(InputError, match=message):
        fp.train(other, path=path, mode="resume", **(arguments | changes))
    assert np.array_equal(fp.open(path).weights.values, before)


def test_modes(task, tmp_path):
    arguments = {"replicas": 1, "epochs": 2, "snapshots": 2}
    path = tmp_path / "deep" / "run.fp"
    with pytest.raises(InputError, match="an existing recording to resume; nothing is there"):
        fp.train(task, path=path, mode="resume", **arguments)
    assert not path.exists()
    fp.train(task, path=path, **arguments)
    with pytest.raises(InputError, match="a new path; mode='resume' continues"):
        fp.train(task, path=path, **arguments)
    assert fp.train(task, path=path, mode="overwrite", seed=9, **arguments).attrs["seed"] == 9
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("text")
    for mode in ("create", "overwrite", "resume"):
        with pytest.raises(InputError, match="this is neither"):
            fp.train(task, path=tmp_path / "thesis", mode=mode, **arguments)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "text"
    (tmp_path / "empty").mkdir()
    assert fp.train(task, path=tmp_path / "empty", **arguments).epochs.tolist() == [0, 2]
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="path: found"):
            fp.train(task, path=path, **arguments)


def test_one_writer_at_a_time(task, tmp_path):
    path = tmp_path / "run.fp"
    process = start(path)
    try:
        wait_for_snapshots(path, 2, process)
        os.kill(process.pid, signal.SIGSTOP)
        for mode in ("resume", "overwrite"):
            with pytest.raises(InputError, match="no other process is writing to"):
                fp.train(task, path=path, mode=mode, **ARGUMENTS)
    finally:
        process.kill()
    fp.train(task, path=path, mode="resume", **ARGUMENTS)  # a dead process keeps no lock


def test_nobody_elses_files_are_ever_deleted(task, tmp_path):
    arguments = {"replicas": 1, "epochs": 2, "snapshots": 2}
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "writer.lock").touch()
    (project / "data" / "mine.csv").write_text("precious")
    for mode in ("create", "resume", "overwrite"):
        with pytest.raises(InputError, match="this is neither"):
            fp.train(task, path=project, mode=mode, **arguments)
    assert (project / "data" / "mine.csv").read_text() == "precious"


def test_a_damaged_recording_is_refused_and_left_alone(task, tmp_path):
    arguments = {"replicas": 1, "epochs": 2, "snapshots": 2}
    path = tmp_path / "run.fp"
    fp.train(task, path=path, **arguments)
    for snapshot in (path / "data" / "snapshots").iterdir():
        snapshot.unlink()
    left = sorted(path.rglob("*"))
    for mode in ("create", "resume"):
        with pytest.raises(InputError, match="an intact recording"):
            fp.train(task, path=path, mode=mode, **arguments)
    with pytest.raises(InputError, match="an intact recording"):
        fp.open(path)
    assert sorted(path.rglob("*")) == left
    assert fp.train(task, path=path, mode="overwrite", **arguments).epochs.tolist() == [0, 2]


def interrupted_creation(*arguments, **named):
    raise KeyboardInterrupt


def test_an_interrupted_creation_is_begun_anew(task, tmp_path, monkeypatch):
    from flowplane.recording import EnsembleWriter

    arguments = {"replicas": 1, "epochs": 2, "snapshots": 2}
    path = tmp_path / "run.fp"
    with monkeypatch.context() as patch:
        patch.setattr(EnsembleWriter, "begin", interrupted_creation)
        with pytest.raises(Interrupted, match="before its first snapshot; nothing was kept"):
            fp.train(task, path=path, **arguments)
    with pytest.raises(InputError, match=r"interrupted before its first snapshot|holds no committed snapshot"):
        fp.open(path)
    assert fp.train(task, path=path, **arguments).epochs.tolist() == [0, 2]
    assert not (path / "unfinished").exists()
