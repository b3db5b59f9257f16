"""Sweeps: each task once, whatever dies; what comes back is what direct calls give."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import xarray as xr
from processes import ByHand

import flowplane as fp
from flowplane.cluster import Study, gather, train_or_resume
from flowplane.cluster.grid import Grid, task_name
from flowplane.errors import InputError, Interrupted, SweepFailed

SMALL = {"hidden": (4,), "replicas": 2, "snapshots": 6}
LOCK = threading.Lock()
#: A script without `if __name__ == "__main__"`; its tasks stop half-way until there is a file `go`.
SCRIPT = """
import sys, time, flowplane as fp
from pathlib import Path

def study(path, seed):
    folder = path.parents[3]
    with open(folder / f"starts-{seed}", "a") as log:
        log.write("+")
    about = dict(seed=seed, hidden=(4,), replicas=2, snapshots=30)
    fp.cluster.train_or_resume(task, path, epochs=HALF, **about)
    while not (folder / "go").exists():
        time.sleep(0.05)
    return fp.cluster.train_or_resume(task, path, epochs=2 * HALF, **about).metrics.isel(train_epoch=[-1])

HALF = 100
task = fp.tasks.spherical_rule()
print(fp.sweep(study, {"seed": [0, 1]}, Path(sys.argv[1]) / "out", cluster=2).status.values.tolist())
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler with two workers, real processes all."""
    running = ByHand(tmp_path_factory.mktemp("dask"))
    yield running.address
    running.close()


def counting(folder):
    """A study that leaves a mark each time it runs; the seed 13 fails, 7 fails the first time."""
    folder.mkdir()

    def study(path, seed, scale=1.0):
        mark = folder / f"{seed}-{scale}"
        with mark.open("a") as log:
            log.write("+")
        if seed == 13 or (seed == 7 and len(mark.read_text()) == 1):
            raise ArithmeticError(f"seed {seed} is unlucky")
        values = xr.DataArray(np.arange(3) * scale + seed, dims="x", coords={"x": [10, 20, 30]}, attrs={"units": "bits"})
        return xr.Dataset({"value": values})

    return study


def runs(folder):
    return {mark.name: len(mark.read_text()) for mark in folder.iterdir()}


# -- what a sweep is of ---------------------------------------------------------------------------------------------------


def test_the_tasks_are_the_product_in_order():
    grid = Grid.checked({"b": [2, 1], "a": ["x", "y"]})
    assert grid.tasks() == [{"b": 2, "a": "x"}, {"b": 2, "a": "y"}, {"b": 1, "a": "x"}, {"b": 1, "a": "y"}]


def test_a_task_is_its_parameters_whatever_their_order_and_type_of_number():
    name = task_name({"a": 1, "b": ("x", 2.0)})
    assert task_name({"b": ("x", 2), "a": 1.0}) == name
    b = ("x", 2)
    different = [
        {"a": "1", "b": b},
        {"a": True, "b": b},
        {"a": 1.5, "b": b},
        {"a": None, "b": b},
        {"a": 1},
        {"a": 1, "b": "x-2"},
    ]
    assert len({task_name(parameters).split("-")[-1] for parameters in different} | {name.split("-")[-1]}) == 7


def test_a_name_is_safe_in_a_file_system():
    name = task_name({"a": "../../etc/passwd\n" * 20, "b": (1, "é")})
    assert Path(name).name == name and len(name) < 100 and name.isascii() and name.isprintable()


@pytest.mark.parametrize("values", [[3, 1, 2], [0.5, 1], ["b", "a"], [True, False], [None, 1, "a"], [(4,), (4, 3)]])
def test_labels_differ_and_keep_the_order(values):
    labels = Grid.checked({"a": values}).labels("a")
    assert len(set(labels.tolist())) == len(values)
    assert labels.dtype.kind in "ifUb"
    if all(isinstance(value, int | float | str) for value in values):
        assert labels.tolist() == values


BAD = [
    ({}, "grid"),
    ([1], "grid"),
    ({"seed": []}, "no values"),
    ({"seed": 3}, "a list"),
    ({"seed": "abc"}, "a list"),
    ({"seed": [1, 1]}, "differ"),
    ({"seed": [1, 1.0]}, "differ"),
    ({"seed": [None, "None"]}, "differ"),
    ({"seed": [float("nan")]}, "finite"),
    ({"seed": [{}]}, "strings"),
    ({"path": [1]}, "none of them path"),
    ({"status": [1]}, "none of them path"),
    ({"a b": [1]}, "names of parameters"),
    ({"sead": [1]}, "did you mean 'seed'"),
    ({"scale": [1]}, "missing a required argument: 'seed'"),
]


@pytest.mark.parametrize(("grid", "says"), BAD)
def test_a_grid_that_is_none(tmp_path, grid, says):
    with pytest.raises(InputError, match=says):
        fp.sweep(counting(tmp_path / "runs"), grid, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def sends_a_lock(path, seed, lock=LOCK):
    return lock


sends_a_lock.__module__ = "__main__"  # sent as it is, not by its name


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (3, "a function of a path"),
        (lambda: None, "a path first"),
        (lambda path: None, "grid"),
        (sends_a_lock, "sent to another process"),
    ],
)
def test_a_function_that_is_none(tmp_path, function, says):
    with pytest.raises(InputError, match=says):
        fp.sweep(function, {"seed": [1]}, tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"cluster": 0}, "cluster: found 0"),
        ({"cluster": True}, "cluster: found True"),
        ({"cluster": 2.5}, "address of a scheduler"),
        ({"cluster": "nowhere"}, "running scheduler"),
        ({"retries": -1}, "retries"),
        ({"out": "\0"}, "a path"),
    ],
)
def test_bad_arguments(tmp_path, arguments, says, monkeypatch):
    monkeypatch.setattr("flowplane.cluster.clients._ANSWER", 1)
    with pytest.raises(InputError, match=says):
        fp.sweep(counting(tmp_path / "runs"), {"seed": [1]}, **{"out": tmp_path / "out", **arguments})


def test_a_study_takes_what_train_takes(task):
    with pytest.raises(InputError, match="did you mean 'replicas'"):
        Study(task, replica=3)
    with pytest.raises(InputError, match="a Task"):
        Study("spherical")
    with pytest.raises(InputError, match="measure"):
        Study(task, fp.Binned)


def test_a_fixed_argument_is_no_parameter_of_the_grid(task, tmp_path):
    with pytest.raises(InputError, match="grid: found 'epochs'"):
        fp.sweep(Study(task, epochs=3), {"epochs": [1]}, tmp_path)


# -- what comes back ------------------------------------------------------------------------------------------------------


def test_it_gives_what_direct_calls_give_bit_for_bit(task, tmp_path, cluster):
    study = Study(task, fp.Binned(30), epochs=60, **SMALL)
    seeds, fractions = [3, 0], [0.85, 0.1]
    found = fp.sweep(study, {"seed": seeds, "train_fraction": fractions}, tmp_path / "out", cluster=cluster)
    assert found.i_ty.dims == ("seed", "train_fraction", "replica", "epoch", "layer")
    assert found.seed.values.tolist() == seeds and found.train_fraction.values.tolist() == fractions
    assert (found.status == "done").all() and found.i_ty.units == "bits"
    for seed in seeds:
        for fraction in fractions:
            path = tmp_path / f"{seed}-{fraction}.fp"
            direct = study(path, seed=seed, train_fraction=fraction)
            point = found.sel(seed=seed, train_fraction=fraction)
            for name in direct.data_vars:
                np.testing.assert_array_equal(point[name].values, direct[name].values, err_msg=name)
            rec = fp.open(point.recording.item())
            assert np.array_equal(rec.weights.values, fp.open(path).weights.values)
    assert gather(tmp_path / "out").identical(found)


def test_finished_tasks_are_never_run_again_and_a_grid_may_grow(tmp_path, cluster):
    study, out = counting(tmp_path / "runs"), tmp_path / "out"
    first = fp.sweep(study, {"seed": [1, 2]}, out, cluster=cluster)
    again = fp.sweep(study, {"seed": [1, 2]}, out, cluster="tcp://127.0.0.1:1")  # not even a cluster is asked for
    assert again.identical(first)
    more = fp.sweep(study, {"seed": [3, 2]}, out, cluster=cluster)
    assert more.value.values.tolist() == [[3, 4, 5], [2, 3, 4]]
    assert runs(tmp_path / "runs") == {"1-1.0": 1, "2-1.0": 1, "3-1.0": 1}
    assert gather(out).seed.values.tolist() == [1, 2, 3]
    with pytest.raises(InputError, match="the parameters of the sweep"):
        fp.sweep(study, {"seed": [1], "scale": [1.0]}, out, cluster=cluster)
    with pytest.raises(InputError, match="another `out`"):
        fp.sweep(lambda path, seed: None, {"seed": [1]}, out, cluster=cluster)


def test_a_folder_of_another_study_is_refused(task, tmp_path):
    short, long = (Study(task, fp.Binned(30), epochs=epochs, **SMALL) for epochs in (1, 2))
    assert Study(task, fp.Binned(30), epochs=1, **SMALL).description == short.description
    with pytest.raises(InputError, match="running scheduler"):  # the folder is this study's from here on
        fp.sweep(short, {"seed": [0]}, tmp_path, cluster="nowhere")
    for other in (
        long,
        Study(task, fp.Binned(20), epochs=1, **SMALL),
        Study(task.shuffled(), fp.Binned(30), epochs=1, **SMALL),
    ):
        with pytest.raises(InputError, match=r"function: found Study of .* or another `out`"):
            fp.sweep(other, {"seed": [0]}, tmp_path, cluster="nowhere")


def test_a_task_that_fails_is_tried_again_then_named_when_all_others_are_done(tmp_path, cluster):
    study, out = counting(tmp_path / "runs"), tmp_path / "out"
    grid = {"seed": [13, 1, 7], "scale": [1.0, 2.0]}
    with pytest.raises(SweepFailed, match=r"2 of 6 .*\n.*seed=13, scale=1.0: ArithmeticError: seed 13 is unlucky") as failed:
        fp.sweep(study, grid, out, cluster=cluster)
    assert runs(tmp_path / "runs") == {f"{seed}-{scale}": n for seed, n in [(13, 2), (1, 1), (7, 2)] for scale in (1.0, 2.0)}
    assert [parameters for parameters, _ in failed.value.failures] == [{"seed": 13, "scale": s} for s in (1.0, 2.0)]
    assert all("in study" in trace for _, trace in failed.value.failures)
    kept = failed.value.dataset
    assert kept.status.values.tolist() == [["failed"] * 2, ["done"] * 2, ["done"] * 2]
    assert kept.value.sel(seed=13).isnull().all() and kept.value.sel(seed=1, scale=2.0).values.tolist() == [1, 3, 5]
    with pytest.raises(SweepFailed):
        fp.sweep(study, grid, out, cluster=cluster, retries=0)
    assert runs(tmp_path / "runs")["13-1.0"] == 3 and runs(tmp_path / "runs")["1-1.0"] == 1


def returning(path, kind):
    """One of each thing that a study may, or may not, return."""
    if kind == "number":
        return 3.0
    if kind == "clash":
        return xr.Dataset({"kind": 1.0})
    if kind in ("memory", "disk"):
        return fp.train(fp.tasks.spherical_rule(), path=path if kind == "disk" else None, epochs=1, **SMALL)
    if kind == "exit":
        sys.exit(3)
    if kind == "ragged":
        return xr.Dataset({"value": ("x", [1.0, 2.0])}, {"x": [1, 2], "name": ("x", ["a", "b"])}, {"same": 1, "own": 2})
    if kind == "other":
        return xr.Dataset({"value": ("x", [3.0])}, {"x": [2], "name": ("x", ["b"])}, {"same": 1, "own": 3})
    return None


def test_what_a_study_may_return(tmp_path, cluster):
    grid = {"kind": ["number", "clash", "memory", "disk", "exit", "ragged", "other", "nothing"]}
    with pytest.raises(SweepFailed) as failed:
        fp.sweep(returning, grid, tmp_path, cluster=cluster, retries=0)
    says = {parameters["kind"]: trace.splitlines()[-1] for parameters, trace in failed.value.failures}
    assert set(says) == {"number", "clash", "memory", "exit"}
    assert "returned float" in says["number"] and "names other than those of the grid" in says["clash"]
    assert "a Recording in memory" in says["memory"] and says["exit"] == "SystemExit: 3"
    found = failed.value.dataset
    assert fp.open(found.recording.sel(kind="disk").item()).epochs.tolist() == [0, 1]
    assert found.recording.sel(kind=["ragged", "nothing"]).values.tolist() == ["", ""]
    assert found.value.sel(kind="ragged").values.tolist() == [1, 2]
    np.testing.assert_array_equal(found.value.sel(kind="other"), [np.nan, 3.0])
    assert found.attrs["same"] == 1 and "own" not in found.attrs  # what all say alike
    assert found.attrs["result"] == "sweep"


def test_one_thread_a_task(tmp_path, cluster):
    def threads(path, n):
        import numba
        import torch

        from flowplane.core.compiled import cores

        omp = int(os.environ["OMP_NUM_THREADS"])
        return xr.Dataset({"threads": ("of", [torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS, cores(), omp])})

    found = fp.sweep(threads, {"n": [0, 1, 2]}, tmp_path, cluster=cluster)
    assert (found.threads == 1).all()


def test_a_recording_is_trained_once(task, tmp_path):
    path = tmp_path / "run.fp"
    path.mkdir()
    (path / "writer.lock").touch()  # killed before anything else was there
    rec = train_or_resume(task, path, epochs=2, **SMALL)
    again = train_or_resume(task, path, epochs=2, **SMALL)
    assert np.array_equal(rec.weights, again.weights) and rec.seconds.values.tolist() == again.seconds.values.tolist()
    with pytest.raises(InputError, match="seed"):
        train_or_resume(task, path, epochs=2, seed=1, **SMALL)


def test_recordings_may_be_elsewhere(task, tmp_path, cluster):
    def study(path, seed):
        import icechunk  # a folder here, a bucket in earnest

        storage = icechunk.local_filesystem_storage(str(elsewhere / path.parent.name))
        rec = train_or_resume(task, storage, epochs=2 + (elsewhere / "again").exists(), seed=seed, **SMALL)
        if not (elsewhere / "again").exists():
            (elsewhere / "again").touch()
            raise OSError("lost the network")
        return rec.metrics.isel(train_epoch=slice(-1, None))

    elsewhere = tmp_path / "bucket"
    elsewhere.mkdir()
    found = fp.sweep(study, {"seed": [4]}, tmp_path / "out", cluster=cluster)
    direct = fp.train(task, epochs=3, seed=4, **SMALL).metrics
    assert found.train_epoch.values.tolist() == [3] and found.recording.values.tolist() == [""]
    np.testing.assert_array_equal(found.train_loss.values[0, :, 0], direct.train_loss.values[:, 3])


# -- what dies ------------------------------------------------------------------------------------------------------------


def killed_once(path, seed):
    """Training that is killed the first time, at some snapshot in the middle, with the worker that runs it."""
    out = path.parents[2]
    before = fp.open(path).epochs.tolist() if (path.parent / "killed").exists() else None
    if before is None and seed == 0:
        (path.parent / "killed").touch()
        threading.Thread(target=kill_after, args=(path, 4)).start()
    rec = train_or_resume(fp.tasks.spherical_rule(), path, seed=seed, epochs=300, **SMALL | {"snapshots": 40})
    (out / f"resumed-{seed}").write_text(str(len(before or [])))
    return rec


def kill_after(path, snapshots):
    while True:
        try:
            if len(fp.open(path).epochs) >= snapshots:
                os.kill(os.getpid(), signal.SIGKILL)
        except InputError:
            time.sleep(0.01)


def test_a_killed_worker_costs_nothing_that_was_committed(task, tmp_path, cluster):
    found = fp.sweep(killed_once, {"seed": [0, 1]}, tmp_path, cluster=cluster, retries=0)
    assert (found.status == "done").all()
    for seed in (0, 1):
        assert int((tmp_path / f"resumed-{seed}").read_text()) >= (4 if seed == 0 else 0)
        rec = fp.open(found.recording.sel(seed=seed).item())
        direct = fp.train(task, seed=seed, epochs=300, **SMALL | {"snapshots": 40})
        assert np.array_equal(rec.weights.values, direct.weights.values) and rec.metrics.equals(direct.metrics)


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_given_up(tmp_path):
    def study(path, n):
        if n == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return xr.Dataset({"n_found": float(n)})

    with pytest.raises(SweepFailed, match=r"1 of 4 .*\n  n=1: .*KilledWorker") as failed:
        fp.sweep(study, {"n": [0, 1, 2, 3]}, tmp_path, cluster=2, retries=0)
    np.testing.assert_array_equal(failed.value.dataset.n_found, [0, np.nan, 2, 3])


def started(tmp_path):
    script = tmp_path / "script.py"
    # a job that a shell put into the background ignores Ctrl-C, and so would its children
    script.write_text(f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{SCRIPT}")
    command = [sys.executable, str(script), str(tmp_path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_half(tmp_path, process):
    """Until one of the tasks has come half-way."""
    for _ in range(6000):
        assert process.poll() is None, process.stderr.read()
        for path in (tmp_path / "out").glob("tasks/*/recording.fp"):
            with suppress(InputError):
                if fp.open(path).epochs[-1] == 100:
                    return
        time.sleep(0.01)
    raise AssertionError("not half-way in a minute")


def ended(processes):
    """Whether all of them are gone in a few seconds."""
    return not psutil.wait_procs(processes, timeout=60)[1]


@pytest.mark.slow
def test_a_killed_driver_is_started_again_and_a_second_one_is_refused(tmp_path):
    process = started(tmp_path)
    wait_for_half(tmp_path, process)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 3  # the scheduler and two workers
    refused = started(tmp_path)
    assert "a folder where no other process is running a sweep" in refused.communicate()[1]
    assert gather(tmp_path / "out").status.size == 2  # reading is free
    process.kill()
    process.communicate()
    assert ended(below)
    left = {}
    for path in (tmp_path / "out").glob("tasks/*/recording.fp"):
        with suppress(InputError):  # killed before its first snapshot
            left[path] = fp.open(path)
    (tmp_path / "go").touch()
    final = started(tmp_path)
    out, err = final.communicate()
    assert out == "['done', 'done']\n", err  # printed once: no worker ran the script
    for path, before in left.items():  # nothing that was committed is trained again
        after = fp.open(path)
        assert np.array_equal(after.seconds.values[: len(before.epochs)], before.seconds.values)
    starts = [len((tmp_path / f"starts-{seed}").read_text()) for seed in range(2)]
    assert max(starts) == 2 and len(left) >= 1


def test_ctrl_c_says_what_is_kept_and_leaves_no_process(tmp_path):
    process = started(tmp_path)
    wait_for_half(tmp_path, process)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert f"{Interrupted.__name__}: the sweep was stopped; " in err and "the same call goes on from there" in err
    assert ended(below)
    assert (gather(tmp_path / "out").status == "missing").any()


def test_a_lost_scheduler_is_named(tmp_path):
    running = ByHand(tmp_path, workers=1)

    def kills_it(path, n):
        os.kill(running_pid, signal.SIGKILL)
        time.sleep(60)

    running_pid = running.processes[0].pid
    try:
        with pytest.raises(SweepFailed, match="the scheduler is gone; 0 of 2 tasks"):
            fp.sweep(kills_it, {"n": [0, 1]}, tmp_path / "out", cluster=running.address)
    finally:
        running.processes[1].kill()
        running.close()
