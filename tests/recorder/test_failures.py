"""Recordings survive what happens to processes and disks."""

import os
import random
import time
import warnings

import numpy as np
import pytest
import torch
from forked import Forked
from torch import nn

import flowplane as fp
from flowplane.errors import InputError, RecordingFailed

X = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))

#: Trains and records until it is killed; says each epoch that is over, with the first number that a layer then gave.
SCRIPT = """
import sys, torch, flowplane as fp
torch.manual_seed(0)
x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
model = torch.nn.Sequential(torch.nn.Linear(3, 200), torch.nn.Tanh(), torch.nn.Linear(200, 2))
optimizer = torch.optim.SGD(model.parameters(), 0.01)
with fp.Recorder(model, x, x[:, 0] > 0, path=sys.argv[1], epochs=100000, snapshots=100001) as recorder:
    print(0, model(x)[0, 0].item(), flush=True)
    for epoch in range(1, 100001):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        print(epoch, model.eval()(x)[0, 0].item(), flush=True)
        recorder.step(epoch=epoch, loss=epoch)
"""


def killed(path, after):
    """Run the script, kill it so many seconds after its first snapshot; what it said by epoch."""
    child = Forked(SCRIPT, path)
    while "\n" not in child.stdout:
        assert child.poll() is None, child.stderr
        time.sleep(0.001)
    time.sleep(after)
    child.kill()
    lines = child.stdout.splitlines()
    return {int(line.split()[0]): float(line.split()[1]) for line in lines if len(line.split()) == 2}


def opened_whole(path, said):
    """The recording opens at its last snapshot, and all that is in it is what the process computed."""
    rec = fp.open(path)
    values = rec.activations("2").values[0, :, 0, 0]
    assert rec.epochs.tolist() == list(range(len(rec.epochs)))
    # every snapshot but the one that was being written when the process was killed, while the next epoch was trained
    assert max(said) - 2 <= rec.epochs[-1] <= max(said)
    np.testing.assert_allclose(values, [said[epoch] for epoch in rec.epochs.tolist()], rtol=1e-4, atol=1e-6)
    if len(rec.epochs) > 1:
        assert rec.metrics.loss.values[0].tolist() == list(range(1, len(rec.epochs)))
    assert rec.gradients.weight_norm.sel(layer="2").notnull().all()
    return len(rec.epochs)


def test_a_killed_process_leaves_everything_up_to_its_last_snapshot(tmp_path):
    moments = random.Random(0)
    counts = [
        opened_whole(tmp_path / f"{k}.fp", killed(tmp_path / f"{k}.fp", moments.uniform(0.0, 0.5)))
        for k in range(int(os.environ.get("FLOWPLANE_KILLS", "10")))
    ]
    assert max(counts) > 3


def test_a_killed_recording_can_be_resumed(tmp_path):
    said = killed(tmp_path / "run.fp", 0.3)
    model = nn.Sequential(nn.Linear(3, 200), nn.Tanh(), nn.Linear(200, 2))
    with fp.Recorder(
        model, X, X[:, 0] > 0, path=tmp_path / "run.fp", epochs=100000, snapshots=100001, mode="resume"
    ) as recorder:
        last = int(recorder.recording.epochs[-1])
        assert last >= max(said) - 2
        for epoch in range(1, last + 3):
            recorder.step(epoch=epoch, loss=0.0)
    assert fp.open(tmp_path / "run.fp").epochs.tolist() == list(range(last + 3))


def full_disk(tmp_path, on_error):
    """In a process that may write files of so many bytes only, which fails as a full disk does."""
    script = f"""
import resource, signal, sys, warnings, torch, flowplane as fp
warnings.simplefilter("always")
from flowplane.errors import RecordingFailed
x = torch.randn(4000, 3)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 50))
trained = 0
try:
    with fp.Recorder(model, x, path=sys.argv[1], on_error="{on_error}") as recorder:
        recorder.step(epoch=1, loss=1.0)
        recorder.recording
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for epoch in (2, 3, 4):
            recorder.recording  # what is being written is written, or not
            trained = epoch
            recorder.step(epoch=epoch, loss=1.0)
except RecordingFailed as error:
    print("FAILED", error)
print("TRAINED", trained, recorder.recording.epochs.tolist())
"""
    child = Forked(script, tmp_path / "run.fp")
    assert child.wait() == 0, child.stderr
    return child


def test_a_full_disk_stops_training_by_name(tmp_path):
    done = full_disk(tmp_path, "raise")
    assert "FAILED the snapshot of epoch 2 could not be taken: " in done.stdout and "File too large" in done.stdout
    assert "everything up to epoch 1 is kept in" in done.stdout
    assert "TRAINED 3 [0, 1]" in done.stdout
    assert fp.open(tmp_path / "run.fp").epochs.tolist() == [0, 1]


def test_a_full_disk_is_warned_of_and_training_goes_on(tmp_path):
    done = full_disk(tmp_path, "warn")
    assert "TRAINED 4 [0, 1]" in done.stdout
    assert done.stderr.count("training goes on") >= 2 and "the snapshot of epoch 3" in done.stderr
    assert fp.open(tmp_path / "run.fp").epochs.tolist() == [0, 1]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written():
    model = nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"path: found '/proc/run.fp', expected a folder that can be written"):
        fp.Recorder(model, X, path="/proc/run.fp").start()
    with pytest.warns(RuntimeWarning, match="epoch 0 could not be taken.*nothing is kept.*training goes on"):
        recorder = fp.Recorder(model, X, path="/proc/run.fp", on_error="warn").start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.step()
        recorder.close()


def test_what_failed_to_be_written_comes_with_the_next_snapshot(tmp_path, monkeypatch):
    from flowplane.recording import ModelWriter

    commit, failing = ModelWriter.commit, [False]

    def sometimes(self, session, message):
        if failing[0]:
            raise OSError(28, "No space left on device")
        commit(self, session, message)

    monkeypatch.setattr(ModelWriter, "commit", sometimes)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with fp.Recorder(model, X, path=tmp_path / "run.fp", snapshots=1, on_error="warn") as recorder:
        recorder.step(loss=1.0)
        assert recorder.recording.epochs.tolist() == [0, 1]  # it waits for what is being written
        failing[0] = True
        recorder.step(loss=2.0, accuracy=0.5)
        assert recorder.recording.epochs.tolist() == [0, 1]
        failing[0] = False
        with pytest.warns(
            RuntimeWarning, match="epoch 2 could not be taken: .*No space left on device; everything up to epoch 1"
        ):
            recorder.step(loss=3.0)
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist() == [0, 1, 3]
    assert rec.metrics.loss.values[0].tolist() == [1.0, 2.0, 3.0] and rec.metrics.accuracy.values[0, 1] == 0.5
    with fp.Recorder(model, X, path=tmp_path / "other.fp") as recorder:
        failing[0] = True
        recorder.step(loss=1.0)
        with pytest.raises(RecordingFailed, match=r"epoch 1 could not be taken: .*No space left.* up to epoch 0 is kept"):
            recorder.step(loss=2.0)
        failing[0] = False
    rec = fp.open(tmp_path / "other.fp")
    assert rec.epochs.tolist() == [0, 2] and rec.metrics.loss.values[0].tolist() == [1.0, 2.0]


def test_ctrl_c_between_snapshots_keeps_what_is_there(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        fp.Recorder(nn.Linear(3, 2), X, path=tmp_path / "run.fp", epochs=100, snapshots=3) as recorder,
    ):
        for epoch in range(1, 10):
            recorder.step(epoch=epoch, loss=1 / epoch)
        raise KeyboardInterrupt
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist() == [0, 1] and len(rec.metrics.train_epoch) == 9
