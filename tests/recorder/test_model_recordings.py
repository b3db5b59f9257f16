"""What a recording of a model holds, and what can be asked of it."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.core.results import said
from flowplane.errors import InputError
from flowplane.reporting import costs

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def trained(path=None, epochs=6, stop=None, model=None, **arguments):
    """A model that learns a little; what its layers gave after each epoch."""
    model = network() if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    seen = {0: [part.detach().clone() for part in outputs(model)]}
    with fp.Recorder(model, X, Y, path=path, epochs=epochs, **arguments) as recorder:
        for epoch in range(1, (stop or epochs) + 1):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(X), Y)
            loss.backward()
            optimizer.step()
            seen[epoch] = [part.detach().clone() for part in outputs(model)]
            recorder.step(epoch=epoch, step=10 * epoch, loss=loss, **({"late": epoch} if epoch > 3 else {}))
    return recorder.recording, seen


def outputs(model):
    values, found = X, []
    for part in model:
        values = part(values)
        found.append(values)
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("model") / "run.fp")


def test_activations_at_every_snapshot(pair):
    rec, seen = pair
    assert rec.kind == "model" and rec.epochs.tolist() == list(range(7)) and rec.replicas.tolist() == [0]
    for place, layer in enumerate(rec.layers):
        stored = rec.activations(layer)
        assert stored.dims == ("replica", "epoch", "sample", "unit") and stored.dtype == np.float32
        expected = np.stack([seen[epoch][place].numpy() for epoch in range(7)])
        np.testing.assert_allclose(stored.values[0], expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(
            stored.isel(epoch=[2, 4], sample=3, unit=slice(1)).values[0], stored.values[0, [2, 4], 3, :1]
        )


def test_metrics_steps_and_time(pair):
    rec, _ = pair
    metrics = rec.metrics
    assert metrics.loss.dims == ("replica", "train_epoch") and metrics.train_epoch.values.tolist() == [1, 2, 3, 4, 5, 6]
    assert (np.diff(metrics.loss.values[0]) < 0).all()
    np.testing.assert_array_equal(metrics.late.values[0], [np.nan, np.nan, np.nan, 4, 5, 6])
    np.testing.assert_array_equal(rec.steps, [np.nan, 10, 20, 30, 40, 50, 60])
    assert (np.diff(rec.seconds) > 0).all() and rec.seconds[0] == 0


def test_it_opens_again_as_it_was(pair):
    rec, _ = pair
    again = fp.open(rec.path)
    assert repr(again) == repr(rec) and again.attrs == rec.attrs and again.layers == ("0", "1", "2")
    assert "Sequential, 3 layers, 60 probe inputs, labels: classes; snapshots: 7, from epoch 0 to 6" in repr(rec)
    xr_equal = again.gradients.identical(rec.gradients)
    assert xr_equal and again.layer_coordinates()["width"][1] == [5, 5, 2]
    assert {"versions", "device", "created", "parameters", "classes"} <= set(rec.attrs) and rec.attrs["parameters"] == 32


def test_views(pair):
    rec, seen = pair
    part = rec.sel(epoch=slice(2, 5), layer=["2", "0"])
    assert part.epochs.tolist() == [2, 3, 4, 5] and part.layers == ("2", "0")
    np.testing.assert_allclose(part.activations("2").values[0, -1], seen[5][2], rtol=1e-5, atol=1e-7)
    assert part.layer_coordinates()["depth"][1] == [3, 1]
    assert part.gradients.layer.values.tolist() == ["2", "0"]
    with pytest.raises(InputError, match="layer: found '1', expected one of 2, 0"):
        part.activations("1")


def test_measures_are_those_of_the_bare_arrays(pair):
    rec, seen = pair
    measure = fp.Pairwise(0.1)
    plane = fp.information_plane(rec, measure)
    for place in range(3):
        values = np.stack([seen[epoch][place].numpy() for epoch in range(7)])
        alone = measure(values, Y.numpy(), inputs=X.numpy())
        np.testing.assert_allclose(plane.i_xt.values[0, :, place], alone.i_xt, rtol=1e-4)
        np.testing.assert_allclose(plane.i_ty.values[0, :, place], alone.i_ty, rtol=1e-4, atol=1e-6)
    assert plane.attrs["network"] == "Sequential, 3 layers" and plane.attrs["label_information"] == pytest.approx(
        rec.task.information
    )
    np.testing.assert_allclose(rec.measure(measure, memory_budget=60 * 5 * 64).i_xt, plane.i_xt)


def test_bins_span_a_layer_over_the_whole_recording(pair):
    rec, seen = pair
    plane = fp.information_plane(rec.sel(epoch=3), fp.Binned(30))
    values = np.stack([seen[epoch][2].numpy() for epoch in range(7)])
    expected = fp.Binned(30, range=(float(values.min()), float(values.max())))(
        seen[3][2].numpy(), Y.numpy(), inputs=X.numpy()
    )
    np.testing.assert_allclose(plane.i_xt.sel(layer="2").values.item(), expected.i_xt, atol=1e-9)
    assert "[-1, 1]" in said(plane, "i_xt", "channel", layer="1")  # of the tanh layer


def test_continuous_estimators_know_that_a_model_is_deterministic(pair):
    plane = fp.information_plane(pair[0].sel(epoch=6), fp.KSG(4))
    assert np.isnan(plane.i_xt).all() and "infinite" in fp.explain(plane)


def test_measures_taken_online(tmp_path):
    measures = (fp.Pairwise(0.1), fp.Binned(30, range=(-3, 3)))
    rec, _ = trained(tmp_path / "run.fp", measures=measures, keep=("gradients",))
    full, _ = trained(measures=measures)
    for measure in measures:
        found = rec.measure(measure)
        assert found.i_xt.dims == ("replica", "epoch", "layer") and found.flags.dtype.kind == "i"
        other = fp.information_plane(full, measure)
        for name in found.data_vars:
            np.testing.assert_allclose(found[name], other[name], err_msg=name)
            assert found[name].attrs == other[name].attrs
    assert fp.information_plane(rec, fp.Pairwise(0.1)).attrs["network"] == "Sequential, 3 layers"
    some = rec.sel(epoch=[2, 6], layer="2").measure(fp.Pairwise(0.1))
    np.testing.assert_array_equal(some.i_xt.values[0, :, 0], rec.measure(fp.Pairwise(0.1)).i_xt.values[0, [2, 6], 2])
    with pytest.raises(InputError, match=r"measure: found KSG.*, expected one taken online: Pairwise"):
        rec.measure(fp.KSG(4))
    with pytest.raises(InputError, match=r"rec: found a recording that keeps gradients, Pairwise.*'activations'"):
        rec.activations("0")
    with pytest.raises(InputError, match=r"measures: found Binned.*whole recording"):
        fp.Recorder(network(), X, Y, measures=fp.Binned(30))


def test_half_precision_storage(tmp_path):
    rec, seen = trained(dtype="float16")
    np.testing.assert_allclose(rec.activations("2").values[0, 6], seen[6][2], rtol=1e-3)
    large = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    nn.init.constant_(large[0].weight, 1e5)
    with pytest.raises(InputError, match=r"dtype: found values up to .* in layer '0', expected 'float32'"):
        fp.Recorder(large, X, Y, dtype="float16").start()


def test_what_a_model_cannot_be_asked(pair):
    rec, _ = pair
    for ask in (fp.weight_diffusion, lambda rec: rec.network, lambda rec: rec.weights):
        with pytest.raises(InputError, match=r"^rec: found a recording of Sequential, 3 layers, expected .*fp.train"):
            ask(rec)
    with pytest.raises(InputError, match="samples: found a part of the probe inputs"):
        fp.information_plane(rec, fp.Pairwise(0.1), samples="test")
    with pytest.raises(InputError, match=r"inputs: found ndarray, expected None: .* no weights"):
        rec.activations("0", inputs=X.numpy())


def test_epochs_that_do_not_increase():
    with fp.Recorder(network(), X, Y) as recorder:
        recorder.step(epoch=5)
        for epoch in (5, 3):
            with pytest.raises(InputError, match=f"epoch: found {epoch}, expected more than 5"):
                recorder.step(epoch=epoch)
        with pytest.raises(InputError, match="loss: found str, expected a number"):
            recorder.step(loss="low")
        recorder.step()
        assert recorder.epoch == 6
    with pytest.raises(InputError, match=r"a Recorder that is not started, expected .* or between start\(\) and close\(\)"):
        fp.Recorder(network(), X, Y).step()
    with pytest.raises(InputError, match="recorder: found a Recorder that has recorded nothing"):
        _ = fp.Recorder(network(), X, Y).recording


def test_the_schedule():
    from flowplane.core.schedule import log_spaced

    for total, snapshots in ((50, 7), (3, 100)):
        with fp.Recorder(network(), X, Y, epochs=total, snapshots=snapshots) as recorder:
            for _ in range(total):
                recorder.step()
        assert recorder.recording.epochs.tolist() == log_spaced(total, snapshots).tolist()
    with fp.Recorder(network(), X, Y) as recorder:
        for _ in range(60):
            recorder.step()
    epochs = recorder.recording.epochs
    assert epochs[:12].tolist() == [*range(11), 11] and epochs[-1] == 60  # the last one at the end
    late = epochs[(epochs >= 10) & (epochs < 60)]
    assert (np.diff(late) <= np.ceil(0.1 * late[:-1] + 1e-9)).all() and (late[1:] >= 1.1 * late[:-1] - 1e-9).all()
    with fp.Recorder(network(), X, Y, epochs=20, snapshots=4) as recorder:  # stopped early, in strides
        for epoch in range(3, 15, 3):
            recorder.step(epoch=epoch)
    assert recorder.recording.epochs.tolist() == [0, 3, 6, 12]


def test_the_old_name_says_the_new_one():
    with pytest.raises(TypeError, match=r"Recorder\(\) has no argument 'total' any more: it is called 'epochs' now"):
        fp.Recorder(network(), X, Y, total=3)
    with pytest.raises(TypeError, match="positional"):
        fp.Recorder(network(), X, Y, "run.fp")


def test_more_snapshots_than_there_was_room_for(tmp_path):
    with fp.Recorder(network(), X, Y, path=tmp_path / "run.fp", snapshots=2, keep="activations") as recorder:
        for epoch in range(1, 80):
            recorder.step(epoch=int(10 * 1.15**epoch), loss=epoch)
    rec = fp.open(tmp_path / "run.fp")
    assert len(rec.epochs) == 80 and rec.metrics.loss.values[0].tolist() == list(range(1, 80))
    assert np.isfinite(rec.activations("2").values).all() and (np.diff(rec.epochs) > 0).all()


def test_a_recording_is_resumed(tmp_path):
    torch.manual_seed(0)
    first, _ = trained(tmp_path / "run.fp", epochs=8, stop=4)
    assert first.epochs.tolist() == [0, 1, 2, 3, 4]
    rec, _ = trained(tmp_path / "run.fp", epochs=8, mode="resume")  # trained anew from the beginning
    whole, _ = trained(epochs=8)
    assert rec.epochs.tolist() == list(range(9)) and rec.metrics.train_epoch.values.tolist() == list(range(1, 9))
    np.testing.assert_array_equal(rec.activations("2").values, whole.activations("2").values)
    for arguments, message in (
        ({"layers": ["0"]}, "layers: found 0, expected layers, keep and dtype of the recording: 0, 1, 2"),
        ({"measures": (fp.Pairwise(0.1),)}, "measures: found"),
        ({"dtype": "float16"}, "layers: found"),
        ({"model": nn.Sequential(nn.Linear(3, 5, bias=False), nn.Tanh(), nn.Linear(5, 2))}, "model: found a model of 27"),
    ):
        with pytest.raises(InputError, match=message):
            trained(tmp_path / "run.fp", mode="resume", **arguments)
    with (
        pytest.raises(InputError, match="inputs: found other probe inputs"),
        fp.Recorder(network(), X + 1, Y, path=tmp_path / "run.fp", mode="resume"),
    ):
        pass
    with (
        pytest.raises(InputError, match="labels: found other labels"),
        fp.Recorder(network(), X, 1 - Y, path=tmp_path / "run.fp", mode="resume"),
    ):
        pass
    with pytest.raises(InputError, match="mode='resume' continues"):
        trained(tmp_path / "run.fp")
    replaced, _ = trained(tmp_path / "run.fp", epochs=2, mode="overwrite")
    assert replaced.epochs.tolist() == [0, 1, 2]


def test_one_writer_at_a_time(tmp_path):
    with (
        fp.Recorder(network(), X, Y, path=tmp_path / "run.fp"),
        pytest.raises(InputError, match="no other process is writing"),
    ):
        fp.Recorder(network(), X, Y, path=tmp_path / "run.fp", mode="resume").start()


def test_a_newer_format_and_a_copy_cut_short_are_refused_by_name(tmp_path):
    trained(tmp_path / "run.fp")
    shutil.copytree(tmp_path / "run.fp", tmp_path / "copy.fp")
    chunks = sorted((tmp_path / "copy.fp" / "data" / "chunks").iterdir(), key=lambda file: file.stat().st_size)
    whole = chunks[-1].read_bytes()
    chunks[-1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"path: found .*copy.fp, \d+ files of .* bytes, expected the whole recording"):
        fp.open(tmp_path / "copy.fp")
    chunks[-1].unlink()
    with pytest.raises(InputError, match="expected the whole recording"):
        fp.open(tmp_path / "copy.fp")
    chunks[-1].write_bytes(whole)
    assert len(fp.open(tmp_path / "copy.fp").epochs) == 7


def test_what_a_model_that_diverges_leaves(tmp_path):
    model = network()
    with fp.Recorder(model, X, Y) as recorder:
        recorder.step()
        nn.init.constant_(model[0].weight, float("nan"))
        with pytest.warns(RuntimeWarning, match="NaN or infinite values in layer '0' and 2 more at epoch 2: training has"):
            recorder.step()
    rec = recorder.recording
    assert rec.epochs.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"activations: found NaN .* in layer '0' at epoch 2, .*slice\(None, 1\)"):
        fp.information_plane(rec, fp.Pairwise(0.1))
    for measure in (
        fp.Pairwise(0.1),
        fp.Binned(30),
        fp.Pairwise(0.1, relative="recording"),
    ):  # the last two look at all snapshots
        assert np.isfinite(fp.information_plane(rec.sel(epoch=slice(None, 1)), measure).i_xt).all()


def test_the_cost_is_told_before(tmp_path):
    recorder = fp.Recorder(network(), X, Y, path=tmp_path / "run.fp", epochs=50, snapshots=20)
    cost = recorder.cost()
    assert cost.snapshots == 20 and cost.bytes == 20 * 60 * (5 + 5 + 2) * 4 and 0 < cost.seconds < 60
    assert str(cost).startswith("20 snapshots, 0.1 MiB before compression, about ")
    assert 0 < cost.plane < 600 and 0 < cost.transport < 600 and cost.report > cost.plane
    assert str(cost).endswith(f"a report {cost.report:.0f} s") and "the plane" in str(cost) and "the transport" in str(cost)
    assert not (tmp_path / "run.fp").exists()
    assert fp.Recorder(network(), X, Y, dtype="float16", epochs=50, snapshots=20).cost().bytes == cost.bytes // 2


def test_what_grows_with_snapshots_costs_more(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(clock))  # every analysis takes one second
    for name in ("information_plane", "layer_transport", "layer_geometry"):
        monkeypatch.setattr(costs, name, lambda rec: [next(clock) for _ in rec.epochs])  # and one more a snapshot
    few, many = (costs.seconds_of_analyses(fp.record(network(), X, Y).whole().sel(epoch=[0, 0, 0]), n) for n in (4, 400))
    assert (few["plane"], many["plane"]) == (1 + 4, 1 + 400) and few["transport"] == few["plane"]
    shown, followed = 100 // 3, 8  # of three layers
    assert many["report"] == 2 * (1 + shown) + (1 + followed) + costs.DRAWING + costs.FRAME * shown * 3


def test_what_cannot_be_had_costs_nothing():
    with pytest.warns(RuntimeWarning, match="only 10"):
        cost = fp.Recorder(network(), X[:10], Y[:10], snapshots=5).cost()
    assert np.isnan(cost.transport) and cost.report > cost.plane > 0 and "transport" not in str(cost)  # 16 samples at least
    only_measures = fp.Recorder(network(), X, Y, keep=(), measures=[fp.Pairwise(0.1)], snapshots=5).cost()
    assert np.isnan(only_measures.plane) and str(only_measures).endswith("in all")


def test_resuming_goes_on_where_it_stopped(tmp_path):
    trained(tmp_path / "run.fp", epochs=8, stop=4)
    with fp.Recorder(network(), X, Y, path=tmp_path / "run.fp", mode="resume") as recorder:
        recorder.step(loss=7.0)
        recorder.step(loss=8.0)
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist()[:6] == [0, 1, 2, 3, 4, 5] and rec.metrics.loss.values[0, -2:].tolist() == [7.0, 8.0]


def test_names_that_metrics_cannot_have():
    with fp.Recorder(network(), X, Y) as recorder:
        for name in ("replica", "train_epoch"):
            with pytest.raises(InputError, match=f"{name}: found 3, expected another name"):
                recorder.step(**{name: 3})
        with pytest.raises(InputError, match="loss: found int, expected a number"):
            recorder.step(loss=10**400)
        with pytest.raises(InputError, match="epoch: found 100000000000000000000"):
            recorder.step(10**20)


def test_more_epochs_than_snapshots_and_nothing_logged():
    with fp.Recorder(torch.nn.Linear(3, 2), torch.randn(30, 3), epochs=70, snapshots=3) as recorder:
        for _ in range(70):
            recorder.step()
    assert recorder.recording.metrics.sizes["train_epoch"] == 70
    assert not recorder.recording.metrics.data_vars
