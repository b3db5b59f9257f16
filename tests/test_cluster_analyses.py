"""Analyses on a cluster: what workers find where the recording lies is what is found here, whatever dies."""

import os
import re
import shutil
import signal
import threading
import time
from contextlib import ExitStack
from functools import partial

import cloudpickle
import numpy as np
import pytest
import torch
import xarray as xr
from processes import ByHand, object_store
from slower import first_ones
from typer.testing import CliRunner

import flowplane as fp
from flowplane.cli import app
from flowplane.cluster import executing
from flowplane.cluster.work import run_item
from flowplane.core.executors import executor_of
from flowplane.core.threads import one_thread
from flowplane.errors import ClusterFailed, InputError
from flowplane.version import __version__

RESOLUTIONS = (0.03, 0.3)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler that gives a task up at the second death, with two workers."""
    running = ByHand(tmp_path_factory.mktemp("dask"), DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")
    yield running.address
    running.close()


def record(path, break_at=None):
    """A small classifier while it is trained; from `break_at` on it gives NaN."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 6, generator=generator)
    y = (x[:, 0] * x[:, 1] > 0).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Tanh(), torch.nn.Linear(12, 5), torch.nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with fp.Recorder(model, x, y, path=path, epochs=4) as recorder:
        for epoch in range(4):
            if epoch + 1 == break_at:
                torch.nn.init.constant_(model[0].weight, torch.nan)
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(epoch=epoch + 1, loss=loss.item())
    return recorder.recording


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return record(tmp_path_factory.mktemp("model") / "run.fp")


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    path = tmp_path_factory.mktemp("ensemble") / "run.fp"
    return fp.train(fp.tasks.spherical_rule(), path=path, hidden=(4, 3), replicas=3, epochs=4, snapshots=3)


def small(rec):
    """Few enough snapshots and layers for what takes its time."""
    return rec.sel(epoch=rec.epochs[[-1, 0]].tolist(), layer=list(rec.layers[:2]))


ANALYSES = {
    "plane": ("model", fp.information_plane),
    "plane by bins": ("model", lambda rec, **more: fp.information_plane(rec, fp.Binned(8), **more)),
    "plane of an ensemble": ("ensemble", partial(fp.information_plane, samples="test")),
    "measure": ("model", lambda rec, **more: rec.measure(fp.Pairwise(0.1, relative="recording"), **more)),
    "several blocks": ("model", lambda rec, **more: rec.measure(fp.KSG(), memory_budget=2000, **more)),
    "several blocks of an ensemble": (
        "ensemble",
        lambda rec, **more: rec.measure(fp.Binned(30), "train", memory_budget=5_000_000, **more),
    ),
    "transport": ("model", fp.layer_transport),
    "budget": ("model", lambda rec, **more: fp.layer_budget(rec.sel(layer=list(rec.layers[:2])), samples=60, **more)),
    "transport of an ensemble": ("ensemble", partial(fp.layer_transport, samples=100, replica=[1, 0])),
    "spectrum": (
        "model",
        lambda rec, **more: fp.denoising_spectrum(small(rec), denoiser="linear", resolution=RESOLUTIONS, **more),
    ),
}


@pytest.mark.parametrize("name", ANALYSES)
def test_what_workers_find_is_what_is_found_here_to_the_last_bit(name, model, ensemble, cluster):
    which, analysis = ANALYSES[name]
    rec = model if which == "model" else ensemble
    with one_thread():  # as the workers have it
        expected = analysis(rec)
    xr.testing.assert_identical(analysis(rec, cluster=cluster), expected)


def test_workers_here_by_their_number_are_sent_what_is_in_memory():
    rec = record(None)
    with one_thread():
        expected = rec.measure(fp.Binned(8))
    xr.testing.assert_identical(rec.measure(fp.Binned(8), cluster=1), expected)


def test_a_large_recording_in_memory_is_not_sent(cluster, monkeypatch):
    monkeypatch.setattr(executing, "MOST", 1000)
    with pytest.raises(InputError, match="bytes in memory, with cluster=, expected at most 1,000, or one at a path="):
        record(None).measure(fp.Binned(8), cluster=cluster)


class Locked:
    """A measure that no other process can be given."""

    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, activations, labels=None, **rest):
        return fp.Binned(8)(activations, labels, **rest)


def test_a_measure_that_cannot_be_sent_is_named_as_the_reason(model, cluster):
    with pytest.raises(InputError, match="cluster: found an analysis that cannot be sent to another process"):
        model.measure(Locked(), cluster=cluster)


@pytest.mark.filterwarnings("ignore:NaN or infinite")
def test_errors_are_those_of_a_call_here(tmp_path, cluster):
    rec = record(tmp_path / "run.fp", break_at=3)
    said = []
    for where in (None, cluster):
        with pytest.raises(InputError, match="NaN or infinite values in layer '0' at epoch 3") as caught:
            rec.measure(fp.KSG(), cluster=where)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_worker_that_cannot_read_the_recording_says_so(tmp_path):
    path = tmp_path / "run.fp"
    shutil.copytree(record(tmp_path / "there.fp").path, path)
    function = cloudpickle.dumps(partial(getattr, fp.open(path)))
    assert run_item(cloudpickle.dumps("kind"), function=function, version=__version__) == "model"
    other = cloudpickle.dumps(partial(getattr, fp.open(path).sel(epoch=0)))
    shutil.rmtree(path)
    with pytest.raises(InputError, match=r"cluster: found a worker that cannot open it .*expected workers that read"):
        run_item(cloudpickle.dumps("kind"), function=other, version=__version__)


def test_another_version_on_a_worker_is_refused():
    with pytest.raises(InputError, match=r"expected workers with 0\.0, as here"):
        run_item(cloudpickle.dumps(1), function=cloudpickle.dumps(abs), version="0.0")


@pytest.mark.parametrize("cluster", [True, 0, 1.5, {}])
def test_what_is_no_cluster_is_refused(cluster, model):
    with pytest.raises(InputError, match="cluster"):
        fp.information_plane(model, cluster=cluster)


def test_results_come_in_order_and_each_worker_keeps_to_one_thread(cluster):
    def work(item):
        time.sleep(0.2 * (item == 0))
        return item, torch.get_num_threads()

    with executor_of(cluster) as executor, executor_of(executor) as same:
        assert same is executor
        assert list(executor.map(work, range(5))) == [(item, 1) for item in range(5)]


def test_a_part_that_kills_its_workers_is_given_up(cluster):
    with executor_of(cluster) as executor, pytest.raises(ClusterFailed, match="workers died at the same part"):
        list(executor.map(lambda item: os._exit(1), [0]))


class Stumbling:
    """Bins, in a process that waits to be killed where it is called first, and leaves its number."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self, activations, labels=None, **rest):
        try:
            with self.mark.open("x") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(120)
        except FileExistsError:
            pass
        return fp.Binned(8, range=(-1, 1))(activations, labels, **rest)


def kill_first(mark):
    """The process that left its number, once it has."""
    while not (mark.exists() and mark.read_text().endswith("\n")):
        time.sleep(0.02)
    os.kill(int(mark.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("place", first_ones(1, ["object store", "folder"]))
def test_a_worker_is_killed_midway_and_nothing_is_missing(place, tmp_path, cluster):
    with ExitStack() as stack:
        where = tmp_path / "run.fp"
        if place == "object store":
            where = stack.enter_context(object_store(tmp_path))("somebody/run")
        record(where)
        rec = fp.open(where)
        measure = Stumbling(tmp_path / "first")
        killer = threading.Thread(target=kill_first, args=(measure.mark,))
        killer.start()
        found = rec.measure(measure, cluster=cluster)
        killer.join()
        assert int(measure.mark.read_text()) != os.getpid()
        xr.testing.assert_identical(found, rec.measure(measure))
        np.testing.assert_array_equal(found.i_xt, rec.measure(fp.Binned(8, range=(-1, 1))).i_xt)


def test_the_command_line_takes_the_address(model, cluster, tmp_path):
    plane, page = tmp_path / "plane.nc", tmp_path / "page.html"
    command = ["measure", str(model.path), "--estimator", "binned", "-o", str(plane), "--cluster", cluster]
    assert CliRunner().invoke(app, command).exit_code == 0
    with xr.open_dataset(plane) as found:
        np.testing.assert_array_equal(found.i_xt, fp.information_plane(model, fp.Binned()).i_xt)
    assert CliRunner().invoke(app, ["report", str(model.path), "-o", str(page), "--cluster", cluster]).exit_code == 0
    here = fp.report(model, tmp_path / "here.html")
    one, other = (re.sub(r"\d\d:\d\d UTC", "", path.read_text(encoding="utf-8")) for path in (page, here))
    assert one == other
