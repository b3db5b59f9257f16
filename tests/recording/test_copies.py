"""Copies and pickles of recordings are recordings."""

import copy
import pickle
import shutil
import subprocess
import sys

import icechunk
import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError

X = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda rec: pickle.loads(pickle.dumps(rec))}
PLACES = {
    "memory": lambda folder: None,
    "folder": lambda folder: folder / "run.fp",
    "storage in memory": lambda folder: icechunk.in_memory_storage(),
    "storage in a folder": lambda folder: icechunk.local_filesystem_storage(str(folder / "run")),
}


def of_ensemble(path):
    return fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=3, snapshots=3, path=path)


def of_model(path, epochs=3):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with fp.Recorder(model, X, X[:, 0] > 0, path=path, measures=[fp.Binned(8, range=(-1, 1))]) as recorder:
        for _ in range(epochs):
            recorder.step(loss=1.0)
    return recorder.recording


def of_arrays(path):
    return fp.from_arrays({"fc": X, "head": X[:, :2]}, X[:, 0] > 0, inputs=X, path=path)


@pytest.mark.parametrize("made", [of_ensemble, of_model, of_arrays])
@pytest.mark.parametrize("where", ["memory", "folder", "storage in memory", "storage in a folder"])
@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_says_the_same(made, where, copied, tmp_path):
    rec = made(PLACES[where](tmp_path))
    whole = COPIES[copied](rec)
    assert repr(whole).split(": ")[1:] == repr(rec).split(": ")[1:] and whole.attrs == rec.attrs and type(whole) is type(rec)
    for layer in rec.layers:
        np.testing.assert_array_equal(whole.activations(layer).values, rec.activations(layer).values)
    assert fp.information_plane(whole, fp.Binned(8)).identical(fp.information_plane(rec, fp.Binned(8)))
    assert whole.metrics.identical(rec.metrics)
    last = rec.sel(epoch=[rec.epochs[-1]], layer=rec.layers[-1])
    part = COPIES[copied](last)
    assert part.epochs.tolist() == last.epochs.tolist() and part.layers == last.layers
    assert part.whole().layers == rec.layers
    again = COPIES[copied](part)
    np.testing.assert_array_equal(again.activations(last.layers[0]).values, last.activations(last.layers[0]).values)


def test_a_pickle_is_what_was_seen_then(tmp_path):
    model = nn.Linear(3, 2)
    with fp.Recorder(model, X, path=tmp_path / "run.fp", measures=()) as recorder:
        recorder.step()
        kept = pickle.dumps(recorder.recording)
        recorder.step()
    assert recorder.recording.epochs.tolist() == [0, 1, 2]
    assert pickle.loads(kept).epochs.tolist() == [0, 1]
    with fp.Recorder(model, X, path=tmp_path / "run.fp", mode="overwrite"):
        pass
    with pytest.raises(InputError, match=r"path: found .*run.fp, expected the recording that was copied; another one"):
        pickle.loads(kept)
    shutil.rmtree(tmp_path / "run.fp")
    with pytest.raises(InputError, match=r"path: found .*run.fp', expected a recording, .* nothing is there"):
        pickle.loads(kept)


def test_a_pickle_is_read_by_another_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for rec in (of_arrays("run.fp"), of_arrays(None)):
        code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).activations('head').shape)"
        found = subprocess.run(
            [sys.executable, "-c", code], input=pickle.dumps(rec), capture_output=True, check=True, cwd=tmp_path.parent
        )
        assert found.stdout.split() == b"(1, 1, 30, 2)".split()


def test_results_of_a_recording_can_be_pickled():
    rec, ensemble = of_model(None), of_ensemble(None)
    for found in (rec.metrics, rec.gradients, rec.activations("1"), *rec.online.values(), ensemble.activations("layer1")):
        assert pickle.loads(pickle.dumps(found)).identical(found)
        assert copy.deepcopy(found).identical(found)


def test_a_recorder_is_not_copied():
    model = nn.Linear(3, 2)
    recorder = fp.Recorder(model, X)
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(InputError, match=r"recorder: found a copy or a pickle of a Recorder, .* expected a copy of its"):
            attempt(recorder)


OPTIMISED = """
import sys, torch, flowplane as fp
path = sys.argv[1]
x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
with fp.Recorder(model, x, x[:, 0] > 0, path=path + "/model.fp", measures=[fp.Binned(8, range=(-1, 1))]) as recorder:
    recorder.step(loss=1.0)
rec = fp.open(path + "/model.fp")
small = {"hidden": (4,), "replicas": 1, "snapshots": 2, "path": path + "/run.fp"}
fp.train(fp.tasks.spherical_rule(), epochs=1, **small)
ensemble = fp.train(fp.tasks.spherical_rule(), epochs=2, mode="resume", **small)
torch.save(model.state_dict(), path + "/epoch3.pt")
saved = fp.from_checkpoints(model, path + "/epoch3.pt", x)
arrays = fp.from_arrays({"fc": x}, x[:, 0] > 0, path=path + "/arrays.fp")
fp.information_plane(arrays), fp.information_plane(ensemble)
print(__debug__, rec.epochs, rec.metrics.sizes["train_epoch"], len(rec.online), ensemble.epochs, saved.epochs, arrays.layers)
"""


@pytest.mark.slow
def test_python_without_asserts(tmp_path):
    """zarr 3.1 takes an entry out of a group's metadata within an assert."""
    command = [sys.executable, "-O", "-c", OPTIMISED, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout == "False [0 1] 1 1 [0 1 2] [3] ('fc',)\n", found.stderr
