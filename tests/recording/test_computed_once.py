"""What was computed of a recording is found again: the same to the last bit, and never what was asked for otherwise."""

import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import icechunk
import numpy as np
import pytest
import torch
import xarray as xr
from forked import Forked
from torch import nn

import flowplane as fp
from flowplane.analysis import noisy
from flowplane.analysis.transport import layers as transport_layers
from flowplane.cli import app
from flowplane.core.network import Network
from flowplane.errors import InputError
from flowplane.recording import ModelRecording, cache, clean, once
from flowplane.recording.store import locked

X = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
KSG = fp.KSG()


def of_model(path, epochs=4, mode="create"):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    with fp.Recorder(model, X, X[:, 0] > 0, path=path, mode=mode) as recorder:
        for epoch in range(epochs):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X), (X[:, 0] > 0).long()).backward()
            optimizer.step()
            recorder.step(epoch + 1, loss=1.0)
    return recorder.recording


def of_ensemble(path, **more):
    task = fp.tasks.spherical_rule(information=0.99)
    given = {"hidden": (4, 3), "replicas": 3, "epochs": 30, "snapshots": 8, "labels": "sampled"} | more
    return fp.train(task, path=path, **given)


def of_noisy(path):
    return fp.train(fp.tasks.spherical_rule(), hidden=(3,), noise_variance=0.1, replicas=2, epochs=3, snapshots=3, path=path)


MODEL = {
    "plane": fp.information_plane,
    "bins over all": lambda rec: fp.information_plane(rec, fp.Binned(8)),
    "transport": lambda rec: fp.layer_transport(rec, samples=60),
    "budget": lambda rec: fp.layer_budget(rec.sel(layer=list(rec.layers[:2])), samples=60),
    "geometry": fp.layer_geometry,
    "spectrum": lambda rec: fp.denoising_spectrum(rec, denoiser="linear", resolution=(0.1, 1.0)),
    "pointwise": lambda rec: fp.pointwise_information(rec, layer="2", epoch=2, denoiser="linear"),
    "measure": lambda rec: rec.measure(KSG),
    "phases": lambda rec: fp.gradient_phases(rec, fp.information_plane(rec)),
    "compare": lambda rec: fp.compare_estimators(rec, estimators=[KSG, fp.Binned(8)]),
}
ENSEMBLE = {
    "plane": fp.information_plane,
    "test set": lambda rec: fp.information_plane(rec, samples="test"),
    "transport": lambda rec: fp.layer_transport(rec, samples=100, replica=[2, 0]),
    "betas": lambda rec: fp.layer_betas(rec.thin(2)),
    "relaxation": fp.relaxation_times,
    "spread": fp.replica_spread,
    "diffusion": lambda rec: fp.weight_diffusion(rec, draws=20),
    "phases": fp.gradient_phases,
}
ANALYSES = [
    *((of_model, each) for each in MODEL.values()),
    *((of_ensemble, each) for each in ENSEMBLE.values()),
    (of_noisy, lambda rec: noisy.noisy_information(rec, draws=64, paths=8)),
]
NAMES = [*MODEL, *(f"{name} of an ensemble" for name in ENSEMBLE), "noisy"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Recordings by their maker: in a folder and in memory."""
    folder = tmp_path_factory.mktemp("once")
    return {make: (make(folder / f"{make.__name__}.fp"), make(None)) for make in (of_model, of_ensemble, of_noisy)}


@pytest.fixture
def idle(monkeypatch):
    """A function after whose call nothing can be computed any more of activations or networks."""

    def forbid():
        def computing(*args, **options):
            raise AssertionError("computed again")

        for owner, name in (
            (ModelRecording, "block"),
            (ModelRecording, "activations"),
            (Network, "forward"),
            (transport_layers, "Snapshot"),
            (noisy, "_layers"),
        ):
            monkeypatch.setattr(owner, name, computing)

    return forbid


@pytest.fixture
def computed(monkeypatch):
    """Of each time that a measure was taken: layers, and epochs."""
    from flowplane.recording import measuring

    seen, original = [], measuring._measured_blocks

    def counted(rec, measures, *rest):
        seen.append((list(measures), rec.replicas.tolist(), rec.epochs.tolist()))
        return original(rec, measures, *rest)

    monkeypatch.setattr(measuring, "_measured_blocks", counted)
    return seen


def of_bytes(folder, besides="cache"):
    files = (file for file in Path(folder).rglob("*") if file.is_file() and besides not in file.relative_to(folder).parts)
    return {str(file): blake2b(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize(("make", "analysis"), ANALYSES, ids=NAMES)
def test_the_second_time_nothing_is_computed_and_all_is_the_same(made, idle, make, analysis):
    rec, in_memory = made[make]
    before = of_bytes(rec.path)
    fresh, first = analysis(in_memory), analysis(rec)
    idle() if analysis is not ENSEMBLE["spread"] else None
    again = analysis(rec)
    opened = analysis(fp.open(rec.path))
    for found in (first, again, opened):
        assert found.identical(fresh)
        for name, variable in fresh.variables.items():
            assert found[name].dtype == variable.dtype and found[name].dims == variable.dims
            assert found[name].values.tobytes() == variable.values.tobytes(), name
    assert of_bytes(rec.path) == before


def test_a_new_snapshot_costs_only_itself(tmp_path, computed):
    rec = of_model(tmp_path / "run.fp")
    whole = rec.measure(KSG)
    before = fp.layer_transport(rec, samples=60)
    longer = of_model(tmp_path / "run.fp", epochs=6, mode="resume")
    del computed[:]
    found = longer.measure(KSG)
    assert computed == [(["0", "1", "2"], [0], [5, 6])]
    assert found.isel(epoch=slice(5)).drop_attrs(deep=False).identical(whole.drop_attrs(deep=False))
    assert found.drop_attrs().identical(of_model(None, epochs=6).measure(KSG).drop_attrs())
    followed = fp.layer_transport(longer, samples=60, smoothing=before.attrs["smoothing"])
    np.testing.assert_array_equal(followed.cost.values[:, :5], before.cost.values)


def test_what_needs_all_is_computed_anew_where_a_snapshot_is_added(tmp_path):
    bins = fp.Binned(8)
    of_model(tmp_path / "run.fp").measure(bins)
    longer = of_model(tmp_path / "run.fp", epochs=6, mode="resume").measure(bins)
    fresh = of_model(None, epochs=6).measure(bins)
    assert longer.identical(fresh)


@pytest.mark.parametrize(
    "part", [{"epoch": [3, 1]}, {"layer": "2"}, {"layer": ["2", "0"], "epoch": slice(2, None)}, {"epoch": [2, 2]}], ids=str
)
def test_a_part_finds_what_the_whole_has(tmp_path, computed, part):
    rec = of_model(tmp_path / "run.fp")
    whole = rec.measure(KSG)
    del computed[:]
    found = rec.sel(**part).measure(KSG)
    assert computed == [] and found.drop_attrs().identical(of_model(None).sel(**part).measure(KSG).drop_attrs())
    places = {"layer": found.layer.values.tolist(), "epoch": found.epoch.values.tolist()}
    np.testing.assert_array_equal(found.i_xt.values, whole.i_xt.sel(places).values)


def test_replicas_are_found_by_themselves(tmp_path, computed):
    rec = of_ensemble(tmp_path / "run.fp")
    rec.sel(replica=[1], epoch=slice(2, None)).measure(fp.Binned(8))
    rec.sel(replica=[0]).measure(fp.Binned(8))
    del computed[:]
    found = rec.sel(replica=[1, 0, 2]).measure(fp.Binned(8))
    assert [replicas for _, replicas, _ in computed] == [[1, 2]]
    assert found.identical(of_ensemble(None).sel(replica=[1, 0, 2]).measure(fp.Binned(8)))
    del computed[:]
    assert rec.thin(3).measure(fp.Binned(8)).i_xt.shape == (3, 3, 3) and computed == []


OTHERS = {
    "estimator": (fp.information_plane, {"estimator": KSG}, {"estimator": fp.KSG(3)}),
    "noise": (fp.information_plane, {"estimator": KSG, "noise_variance": 0.1}, {"estimator": KSG, "noise_variance": 0.2}),
    "resolution": (fp.information_plane, {"resolution": 0.1}, {"resolution": 0.2}),
    "seed": (fp.layer_transport, {"samples": 40}, {"samples": 40, "seed": 1}),
    "samples": (fp.layer_transport, {"samples": 40}, {"samples": 41}),
    "exact": (fp.layer_transport, {"samples": 40}, {"samples": 40, "exact": 20}),
    "no exact": (fp.layer_transport, {"samples": 40}, {"samples": 40, "exact": 0}),
    "slices": (fp.layer_transport, {"samples": 40}, {"samples": 40, "slices": 8}),
    "embedding": (fp.layer_transport, {"samples": 40}, {"samples": 40, "embedding": "random"}),
    "smoothing": (fp.layer_transport, {"samples": 40}, {"samples": 40, "smoothing": 0.5}),
    "alpha": (fp.layer_geometry, {}, {"alpha": 2.0}),
    "measures": (fp.layer_geometry, {}, {"measures": "entropy"}),
    "denoiser": (fp.denoising_spectrum, {"denoiser": "linear"}, {"denoiser": "linear", "resolution": (0.5, 1.0)}),
    "bootstrap": (fp.gradient_phases, {}, {"seed": 1}),
    "layers shown": (lambda rec, **which: fp.layer_transport(rec.sel(**which), samples=40), {}, {"layer": ["0", "2"]}),
    "order": (lambda rec, **which: fp.layer_transport(rec.sel(**which), samples=40), {}, {"layer": ["2", "1", "0"]}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_arguments_are_computed(made, what):
    rec, in_memory = made[of_model]
    analysis, one, other = OTHERS[what]
    expected = [analysis(in_memory, **arguments) for arguments in (one, other)]
    assert not expected[0].identical(expected[1])
    for _ in range(2):
        for arguments, fresh in zip((one, other), expected, strict=True):
            assert analysis(rec, **arguments).identical(fresh)


def test_the_first_replica_alone_has_exact_plans(tmp_path):
    rec, in_memory = of_ensemble(tmp_path / "run.fp"), of_ensemble(None)
    for replicas in ([0, 1], [1, 0], [1]):
        arguments = {"samples": 50, "replica": replicas}
        assert fp.layer_transport(rec, **arguments).identical(fp.layer_transport(in_memory, **arguments))


def test_a_measure_of_ones_own_is_taken_each_time(tmp_path):
    rec, times = of_model(tmp_path / "run.fp"), []

    def own(activations, labels=None, **known):
        times.append(1)
        return xr.Dataset({"mean": ("snapshot", activations.mean((1, 2)).numpy())})

    class Own(fp.KSG):
        pass

    assert rec.measure(own).identical(rec.measure(own)) and len(times) == 6
    assert rec.measure(Own()).i_xt.identical(rec.measure(Own()).i_xt)
    assert not (Path(rec.path) / "cache").exists()


def test_another_version_computes_anew(tmp_path, computed, monkeypatch):
    rec = of_model(tmp_path / "run.fp")
    rec.measure(KSG)
    monkeypatch.setattr(once, "made_by", lambda: "a changed source")
    rec.measure(KSG)
    assert len(computed) == 2


def test_in_memory_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (None, icechunk.in_memory_storage()):
        of_model(path).measure(KSG)
    assert list(tmp_path.iterdir()) == []


def test_beside_a_storage(tmp_path, idle):
    storage = icechunk.local_filesystem_storage(str(tmp_path / "bucket"))
    rec = of_model(storage)
    before = of_bytes(tmp_path / "bucket")
    found = rec.measure(KSG)
    idle()
    assert fp.open(storage).measure(KSG).identical(found)
    assert of_bytes(tmp_path / "bucket") == before and (tmp_path / "bucket" / "cache" / "snapshots").is_dir()


# -- what stands in the way is passed over ----------------------------------------------------------------------------


def test_a_locked_cache_is_passed_over(tmp_path, computed):
    rec = of_model(tmp_path / "run.fp")
    lock = locked(tmp_path / "run.fp" / "cache")
    found = [rec.measure(KSG) for _ in range(2)]
    lock.release()
    assert len(computed) == 2 and found[0].identical(found[1])
    rec.measure(KSG), rec.measure(KSG)
    assert len(computed) == 3


HOLDING = """
import sys, time, flowplane as fp
from flowplane.recording import cache
write = cache.Cache._write
def slowly(*given):
    print("writing", flush=True)
    if sys.argv[2] == "after":
        write(*given)
    time.sleep(600)
cache.Cache._write = slowly
fp.open(sys.argv[1]).measure(fp.KSG())
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_writer_that_was_killed_leaves_no_lock(tmp_path, computed, when):
    rec = of_model(tmp_path / "run.fp")
    process = Forked(HOLDING, tmp_path / "run.fp", when)
    while not (tmp_path / "run.fp" / "cache" / ("writer.lock" if when == "before" else "data/snapshots")).exists():
        assert process.poll() is None, process.stderr
        time.sleep(0.01)
    process.kill()
    process.wait()
    for _ in range(3):
        found = rec.measure(KSG)
    assert len(computed) <= 1 and found.identical(of_model(None).measure(KSG))


@pytest.mark.parametrize(
    ("what", "how"),
    [(what, "other bytes") for what in ("chunks", "manifests", "snapshots", "refs")]
    + [("chunks", "cut short"), ("chunks", "gone"), ("snapshots", "gone")],
)
def test_a_damaged_cache_is_passed_over(tmp_path, what, how):
    rec = of_model(tmp_path / "run.fp")
    fresh, plane = rec.measure(KSG), fp.information_plane(rec)
    files = [file for file in (tmp_path / "run.fp" / "cache" / "data" / what).rglob("*") if file.is_file()]
    assert files
    for file in files:
        data = file.read_bytes()
        file.unlink() if how == "gone" else file.write_bytes(data[:-7] if how == "cut short" else bytes(len(data)))
    for _ in range(2):
        assert fp.open(rec.path).measure(KSG).identical(fresh) and fp.information_plane(rec).identical(plane)


def test_something_else_in_its_place_is_passed_over_and_left_alone(tmp_path):
    rec = of_model(tmp_path / "run.fp")
    (tmp_path / "run.fp" / "cache").write_text("mine")
    assert rec.measure(KSG).identical(of_model(None).measure(KSG))
    assert (tmp_path / "run.fp" / "cache").read_text() == "mine"


def test_an_entry_of_another_computation_is_passed_over(tmp_path):
    """As it would be with a name that two computations share, or one that somebody wrote."""
    rec = of_model(tmp_path / "run.fp")
    rec.measure(KSG)
    kept = cache.cache_of(rec)
    for computation in list(kept._root.group_keys()):
        for name, holds in kept.holds(computation).items():
            assert set(holds) == {"replicas", "snapshots"} and name
            for foreign in ({"a": 1}, ({"i_xt": np.zeros((1, 2))}, None), None, (1, 2)):
                kept.write({computation: {json.dumps(holds): foreign}})
                assert rec.measure(KSG).identical(of_model(None).measure(KSG))


def test_a_reader_without_permission_to_write(monkeypatch):
    folder = Path(tempfile.mkdtemp())
    try:
        kept, bare = of_model(folder / "kept.fp"), of_model(folder / "bare.fp")
        found = kept.measure(KSG)
        before = of_bytes(folder, besides="nothing")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            for path in (kept.path, bare.path):
                assert fp.open(path).measure(KSG).identical(found)
            with pytest.raises(AssertionError, match="again"):
                monkeypatch.setattr(ModelRecording, "block", _refuses)
                bare.measure(KSG)
            assert kept.measure(KSG).identical(found)
        finally:
            if root:
                os.seteuid(0)
        assert of_bytes(folder, besides="nothing") == before
    finally:
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            path.chmod(0o755)
        shutil.rmtree(folder)


def _refuses(*given, **options):
    raise AssertionError("computed again")


# -- recordings that grow, move, are copied or overwritten ------------------------------------------------------------


def test_while_a_recorder_writes(tmp_path, computed):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with fp.Recorder(model, X, X[:, 0] > 0, path=tmp_path / "run.fp", snapshots=30, epochs=29) as recorder:
        for epoch in range(29):
            with torch.no_grad():
                model[0].weight += 0.1
            recorder.step(loss=1.0)
            found = recorder.recording.measure(KSG)
            assert found.epoch.values.tolist() == list(range(epoch + 2))
    assert [epochs for _, _, epochs in computed] == [[0, 1], *([epoch] for epoch in range(2, 30))]
    rec = fp.open(tmp_path / "run.fp")
    shutil.copytree(tmp_path / "run.fp", tmp_path / "again.fp", ignore=shutil.ignore_patterns("cache"))
    xr.testing.assert_allclose(found, fp.open(tmp_path / "again.fp").measure(KSG), rtol=1e-12)
    kept = cache.cache_of(rec)
    parts = [len(kept.holds(computation)) for computation in kept._root.group_keys()]
    assert max(parts) <= once.PARTS + 1, "many small parts are put together"
    del computed[:]
    assert rec.measure(KSG).identical(found) and computed == []


def test_moved_and_copied_it_is_found(tmp_path, idle):
    found = of_model(tmp_path / "run.fp").measure(KSG)
    shutil.copytree(tmp_path / "run.fp", tmp_path / "copy.fp")
    shutil.move(tmp_path / "run.fp", tmp_path / "moved.fp")
    idle()
    for name in ("copy.fp", "moved.fp"):
        assert fp.open(tmp_path / name).measure(KSG).identical(found)


def test_overwritten_nothing_is_left_of_it(tmp_path):
    path = tmp_path / "run.fp"
    old = of_ensemble(path).measure(fp.Binned(8))
    new = of_ensemble(path, mode="overwrite", seed=1)
    assert not (path / "cache").exists()
    assert new.measure(fp.Binned(8)).identical(of_ensemble(None, seed=1).measure(fp.Binned(8)))
    assert not new.measure(fp.Binned(8)).identical(old)


def test_threads_and_processes_at_once(tmp_path):
    path = tmp_path / "run.fp"
    rec, fresh = of_model(path), of_model(None).measure(KSG)
    code = "import sys, flowplane as fp\nfor k in range(2, 6): fp.open(sys.argv[1]).measure(fp.KSG(k))"
    others = [Forked(code, path) for _ in range(2)]
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: rec.measure(KSG), range(8)):
            assert found.identical(fresh)
    for process in others:
        assert process.wait() == 0, process.stderr
    for k in range(2, 6):
        assert rec.measure(fp.KSG(k)).identical(of_model(None).measure(fp.KSG(k)))


# -- taking it away ---------------------------------------------------------------------------------------------------


def test_clean(tmp_path, computed, capsys):
    path = tmp_path / "run.fp"
    rec = of_model(path)
    before = of_bytes(path)
    found = rec.measure(KSG)
    assert app(["clean", str(path)], standalone_mode=False) in (None, 0)
    assert "removed 0." in capsys.readouterr().out and not (path / "cache").exists() and of_bytes(path) == before
    app(["clean", str(path)], standalone_mode=False)
    assert "no cached analyses" in capsys.readouterr().out
    assert rec.measure(KSG).identical(found) and len(computed) == 2
    rec.measure(KSG)
    (path / "cache" / "mine.txt").write_text("mine")
    assert len(computed) == 2 and clean(path) > 1000
    assert [file.name for file in (path / "cache").iterdir()] == ["mine.txt"]


def test_clean_refuses(tmp_path):
    with pytest.raises(InputError, match="nothing is there"):
        clean(tmp_path / "run.fp")
    rec = of_model(tmp_path / "run.fp")
    rec.measure(KSG)
    lock = locked(tmp_path / "run.fp" / "cache")
    with pytest.raises(InputError, match="no other process is writing"):
        clean(rec.path)
    lock.release()
