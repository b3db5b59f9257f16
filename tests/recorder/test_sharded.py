"""Models whose parameters are split over processes: all of them look, the first one writes."""

import os
import warnings
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import Forked
from torch import nn

import flowplane as fp
from flowplane.errors import InputError, RecordingFailed

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="a torch without processes")

X = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long()

#: Two processes, the second a child of the first; a function of this module runs in both.
GROUP = """
import os, sys
sys.path.insert(0, sys.argv[1])
import test_sharded
child = os.fork()
test_sharded.in_a_group(getattr(test_sharded, sys.argv[2]), 0 if child else 1, sys.argv[3])
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def in_a_group(work, rank, folder):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    minute = timedelta(seconds=60)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2, timeout=minute)
    work(rank, Path(folder))
    torch.distributed.destroy_process_group()


def run(work, folder):
    group = Forked(GROUP, Path(__file__).parent, work, folder)
    assert group.wait() == 0, group.stderr
    return group


def network():
    """An odd width, so that the processes hold unlike parts; the last layer gathers with the outermost part."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2))


def sharded():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model, mesh = network(), init_device_mesh("cpu", (2,))
    for part in (model[0], model[2], model):
        fully_shard(part, mesh=mesh)
    return model


def train(model, recorder=None, epochs=3):
    """Every process trains on the same rows, so that what FSDP averages is what one process alone would have."""
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    torch.manual_seed(1)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(12):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), Y[rows]).backward()
            optimizer.step()
        if recorder is not None:
            recorder.step(loss=1.0)


def whole(model):
    return {name: values.full_tensor() for name, values in model.state_dict().items()}


def recorded(rank, folder):
    alone = sharded()
    train(alone)
    model = sharded()
    with fp.Recorder(model, X, Y, path=folder / "run.fp", epochs=3, measures=(fp.Pairwise(0.1),)) as recorder:
        train(model, recorder)
    watched = whole(model)
    assert all(torch.equal(values, watched[name]) for name, values in whole(alone).items())
    if rank == 1:
        with pytest.raises(InputError, match="a process other than the first"):
            _ = recorder.recording
    # and on from there
    with fp.Recorder(model, X, Y, path=folder / "run.fp", mode="resume", measures=(fp.Pairwise(0.1),)) as recorder:
        train(model, recorder, epochs=1)
        assert recorder.epoch == 4
    weights = whole(alone)
    if rank == 0:
        torch.save(weights, folder / "weights.pt")


def test_a_sharded_model_is_recorded_as_one_that_is_whole(tmp_path):
    run("recorded", tmp_path)
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist() == [0, 1, 2, 3, 4] and rec.layers == ("0", "1", "2", "3", "4")
    assert rec.attrs["model"] == "Sequential" and rec.attrs["layers"][0]["module"] == "Linear"
    model = network()
    with fp.Recorder(model, X, Y, epochs=3, measures=(fp.Pairwise(0.1),)) as recorder:
        train(model, recorder)
    expected = recorder.recording
    for layer in rec.layers:
        values = rec.activations(layer).values[:, :4]
        np.testing.assert_allclose(values, expected.activations(layer).values, atol=1e-6)
    for name in ("gradient_mean", "gradient_std", "weight_norm"):
        np.testing.assert_allclose(rec.gradients[name].values[:, :4], expected.gradients[name].values, rtol=1e-5)
    np.testing.assert_allclose(
        rec.online[repr(fp.Pairwise(0.1))].i_ty.values[:, :4], expected.online[repr(fp.Pairwise(0.1))].i_ty.values, atol=1e-5
    )
    torch.testing.assert_close(torch.load(tmp_path / "weights.pt", weights_only=True), dict(model.state_dict()))


def refused(rank, folder):
    model = sharded()
    with pytest.raises(InputError, match="an existing recording to resume; nothing is there"):
        fp.Recorder(model, X, Y, path=folder / "none.fp", mode="resume").start()
    from flowplane.recording import ModelWriter

    def failing(self, session, message):
        raise OSError(28, "No space left on device")

    commit = ModelWriter.commit
    with fp.Recorder(model, X, Y, path=folder / "run.fp") as recorder:
        ModelWriter.commit = failing
        recorder.step(loss=1.0)
        with pytest.raises(RecordingFailed, match=r"epoch 1 could not be taken: .*No space left"):
            recorder.step(loss=2.0)
        ModelWriter.commit = commit
    ModelWriter.commit = failing
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with fp.Recorder(model, X, Y, path=folder / "other.fp", on_error="warn") as recorder:
            train(model, recorder, epochs=2)
    assert len(said) == (1 if rank == 0 else 0)


def test_all_processes_hear_of_a_failure(tmp_path):
    run("refused", tmp_path)
    assert fp.open(tmp_path / "run.fp").epochs.tolist() == [0, 2]


def test_the_older_way_of_sharding_is_refused_in_words():
    class FullyShardedDataParallel(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 2)

    with pytest.raises(InputError, match=r"model: found .*FullyShardedDataParallel.*expected one sharded by .*fully_shard"):
        fp.Recorder(FullyShardedDataParallel(), X, Y)
