"""Snapshots are written while training goes on, and nothing of that is left when the block is."""

import os
import signal
import subprocess
import sys
import threading
import warnings

import pytest
import torch
from forked import Forked
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recording import ModelWriter

X = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def writers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("flowplane-recorder")]


@pytest.fixture
def held(monkeypatch):
    """Snapshots are written only while this is set."""
    allowed, append = threading.Event(), ModelWriter.append

    def waiting(self, snapshot, metrics):
        assert allowed.wait(60)
        append(self, snapshot, metrics)

    monkeypatch.setattr(ModelWriter, "append", waiting)
    yield allowed
    allowed.set()


def test_training_goes_on_while_a_snapshot_is_written(tmp_path, held):
    model = network()
    with fp.Recorder(model, X, path=tmp_path / "run.fp", epochs=100, snapshots=3) as recorder:
        first = model(X).detach()
        recorder.step(loss=1.0)
        nn.init.zeros_(model[2].weight)  # what is on its way is what the model was
        for _ in range(20):
            recorder.step(loss=0.5)
        assert fp.open(tmp_path / "run.fp").epochs.tolist() == [0] and len(writers()) == 1
        held.set()
        rec = recorder.recording  # waits for what is being written
        assert rec.epochs.tolist() == [0, 1]
        torch.testing.assert_close(torch.from_numpy(rec.activations("2").values[0, 1]), first)
    assert not writers()
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist() == [0, 1, 21] and rec.metrics.loss.values[0].tolist() == [1.0] + [0.5] * 20


def test_one_snapshot_is_on_its_way_at_most(monkeypatch):
    append, seen = ModelWriter.append, []

    def counted(self, snapshot, metrics):
        seen.append((snapshot.epoch, recorder._session.committed))
        append(self, snapshot, metrics)

    monkeypatch.setattr(ModelWriter, "append", counted)
    with fp.Recorder(network(), X, epochs=12, snapshots=13) as recorder:
        for _ in range(12):
            recorder.step()
    assert seen == [(epoch, epoch - 1) for epoch in range(1, 13)]


def test_without_a_snapshot_there_is_no_thread():
    with fp.Recorder(network(), X, epochs=50, snapshots=2) as recorder:
        recorder.step(loss=1.0)
        assert not writers()
    assert not writers()


def test_an_error_in_the_block_is_worth_more_than_one_of_the_recording(monkeypatch):
    def failing(self, session, message):
        raise OSError(28, "No space left on device")

    said = pytest.warns(RuntimeWarning, match="epoch 1 could not be taken: .*No space left on device")
    with said as caught, pytest.raises(ZeroDivisionError), fp.Recorder(network(), X) as recorder:
        monkeypatch.setattr(ModelWriter, "commit", failing)
        recorder.step(loss=1.0)
        raise ZeroDivisionError
    assert len(caught) == 1 and caught[0].filename == __file__ and "training goes on" not in str(caught[0].message)
    assert not writers()


def test_ctrl_c_while_a_snapshot_is_written_waits_for_it(tmp_path, held):
    def press():
        os.kill(os.getpid(), signal.SIGINT)
        held.set()

    with pytest.raises(KeyboardInterrupt), fp.Recorder(network(), X, path=tmp_path / "run.fp", epochs=9) as recorder:
        recorder.step(loss=1.0)
        pressing = threading.Timer(0.1, press)
        pressing.start()
        recorder.step(loss=0.5)  # waits until the first is written
    pressing.join()
    assert fp.open(tmp_path / "run.fp").epochs.tolist() == [0, 1] and not writers()
    with fp.Recorder(network(), X, path=tmp_path / "run.fp", mode="resume") as recorder:  # nothing holds the lock
        recorder.step()


def test_ctrl_c_again_and_again_does_not_wait(tmp_path, held):
    left, path = threading.Event(), tmp_path / "run.fp"

    def press():
        """Twice where a step waits, twice where the block's end does; more only if some were taken for one."""
        for pause in (0.2, 0.2, 0.2, 0.2, 5.0, 5.0, 5.0):
            if left.wait(pause):
                return
            os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    try:
        with fp.Recorder(network(), X, path=path, epochs=9) as recorder:
            recorder.step(loss=1.0)
            pressing.start()
            recorder.step(loss=0.5)
    except KeyboardInterrupt:
        left.set()
    pressing.join()
    assert left.is_set()
    with pytest.raises(InputError, match="no other process is writing to"):
        fp.Recorder(network(), X, path=path, mode="resume").start()
    held.set()
    for thread in writers():
        thread.join()
    assert fp.open(path).epochs.tolist() == [0, 1]
    with fp.Recorder(network(), X, path=path, mode="resume") as recorder:
        recorder.step()


#: Forks while a snapshot is written, as a DataLoader does: children leave the block, or report epochs themselves.
FORKS = """
import os, sys, threading, torch, flowplane as fp
from flowplane.errors import InputError
from flowplane.recording import ModelWriter
from torch.utils.data import DataLoader
append, allowed = ModelWriter.append, threading.Event()
def waiting(self, snapshot, metrics):
    assert allowed.wait(60)
    append(self, snapshot, metrics)
ModelWriter.append = waiting
x = torch.randn(50, 3)
model = torch.nn.Sequential(torch.nn.Linear(3, 4))
with fp.Recorder(model, x, path=sys.argv[1]) as recorder:
    recorder.step(loss=1.0)
    assert sum(len(rows) for rows in DataLoader(x, 10, num_workers=2)) == 50
    child = os.fork()
    if child == 0:
        recorder.step(loss=7.0)
        recorder.step(loss=8.0)
        recorder.close()
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    allowed.set()
    recorder.step(loss=0.5)
    for rows in DataLoader(x, 10, num_workers=2):
        pass
print(recorder.recording.metrics.loss.values.tolist())
"""


def test_forks_leave_the_recording_to_their_parent(tmp_path):
    child = Forked(FORKS, tmp_path / "run.fp")
    assert child.wait(60) == 0, child.stderr
    assert child.stdout.strip() == "[[1.0, 0.5]]"
    assert fp.open(tmp_path / "run.fp").epochs.tolist() == [0, 1, 2]


#: Never closes what it started.
UNCLOSED = """
import sys, torch, flowplane as fp
x = torch.randn(50, 3)
recorder = fp.Recorder(torch.nn.Sequential(torch.nn.Linear(3, 4)), x, path=sys.argv[1]).start()
for epoch in range(4):
    recorder.step(loss=1.0)
"""


def test_a_recorder_that_is_never_closed_keeps_no_process_waiting(tmp_path):
    command = [sys.executable, "-c", UNCLOSED, str(tmp_path / "run.fp")]
    subprocess.run(command, check=True, timeout=60)
    assert fp.open(tmp_path / "run.fp").epochs.tolist() == [0, 1, 2, 3, 4]


def test_a_forgotten_step_is_said():
    wanted = r"only epoch 0 was recorded, as no epoch was reported: call .*step\(\)"
    with pytest.warns(RuntimeWarning, match=wanted) as said, fp.Recorder(network(), X, epochs=20):
        pass
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ZeroDivisionError), fp.Recorder(network(), X):
            raise ZeroDivisionError
        with fp.Recorder(network(), X, epochs=20) as recorder:
            recorder.step()


def test_a_recorder_that_is_not_at_work_says_what_would_be():
    recorder = fp.Recorder(network(), X)
    wanted = r"expected steps inside its `with` block, or between start\(\) and close\(\)"
    with pytest.raises(InputError, match=f"recorder: found a Recorder that is not started, {wanted}"):
        recorder.step()
    with recorder:
        recorder.step()
    with pytest.raises(InputError, match=f"recorder: found a Recorder that is closed, {wanted}"):
        recorder.step()
    with pytest.raises(InputError, match="recorder: found a Recorder that is closed, expected a new one"):
        recorder.start()


def test_nan_while_training_is_said_once_and_at_once():
    model, nan = network(), float("nan")
    with fp.Recorder(model, X, epochs=30, snapshots=4) as recorder:  # 0, 1, 5, 30
        recorder.step(loss=1.0)
        for epoch in range(2, 5):
            recorder.step(loss=nan if epoch > 2 else 1.0, accuracy=nan)
        nn.init.constant_(model[2].bias, float("inf"))
        wanted = "NaN or infinite values in layer '2' at epoch 5, and in 'loss' at epoch 3: training has diverged"
        with pytest.warns(RuntimeWarning, match=wanted) as said:
            recorder.step(loss=nan)
        assert len(said) == 1 and said[0].filename == __file__
        for _ in range(25):
            recorder.step(loss=nan)


def test_large_numbers_are_not_taken_for_infinite_ones():
    model = nn.Sequential(nn.Linear(3, 2))
    nn.init.constant_(model[0].bias, 1e38)
    with fp.Recorder(model, X) as recorder:  # their sum overflows
        recorder.step(loss=1e300)
