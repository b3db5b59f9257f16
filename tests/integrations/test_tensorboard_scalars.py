"""What TensorBoard reads back."""

import numpy as np
import pytest
import xarray as xr
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import flowplane as fp
from flowplane.errors import InputError
from flowplane.integrations.tensorboard import ScalarWriter, write_scalars


def read(folder):
    """Every tag's epochs and numbers, as TensorBoard reads them."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_metrics_of_a_recording_are_means_over_replicas(rec, tmp_path):
    write_scalars(rec, tmp_path)
    found = read(tmp_path)
    assert set(found) == {f"metrics/{name}" for name in rec.metrics.data_vars}
    epochs, values = zip(*found["metrics/train_loss"], strict=True)
    assert list(epochs) == rec.metrics["train_epoch"].values.tolist()
    np.testing.assert_allclose(values, rec.metrics["train_loss"].mean("replica"), rtol=1e-6)


def test_a_plane_gives_both_informations_of_each_layer_and_nothing_else(rec, tmp_path):
    plane = fp.information_plane(rec, fp.Binned(30))
    write_scalars(plane, tmp_path)
    found = read(tmp_path)
    assert set(found) == {f"{name}/{layer}" for name in ("i_xt", "i_ty", "h_t") for layer in rec.layers}
    epochs, values = zip(*found["i_ty/layer6"], strict=True)
    assert list(epochs) == rec.epochs.tolist()
    np.testing.assert_allclose(values, plane["i_ty"].sel(layer="layer6").mean("replica"), rtol=1e-6)


def dataset(values, epochs):
    return xr.Dataset({"loss": (("replica", "train_epoch"), values)}, {"train_epoch": epochs})


def test_missing_numbers_are_left_out(tmp_path):
    write_scalars(dataset([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]], [0, 1, 2]), tmp_path)
    assert read(tmp_path) == {"loss": [(0, 2.0), (1, 5.0)]}


def test_a_live_writer_adds_what_is_new(tmp_path):
    whole = dataset([[1.0, 2.0, 3.0]], [0, 5, 6])
    with ScalarWriter(tmp_path) as writer:
        assert writer.write(whole.isel(train_epoch=slice(2))) == 2
        assert read(tmp_path) == {"loss": [(0, 1.0), (5, 2.0)]}  # while it is open
        assert writer.write(whole) == 1
        assert writer.write(whole) == 0
    assert read(tmp_path) == {"loss": [(0, 1.0), (5, 2.0), (6, 3.0)]}


def test_names_are_tags_as_they_are(tmp_path):
    layers = ["transformer.h.0.attn", "<script>alert(1)</script>", "net#2"]
    plane = xr.Dataset({"i_xt": (("epoch", "layer"), [[1.0, 2.0, 3.0]])}, {"epoch": [0], "layer": layers})
    write_scalars(plane, tmp_path)
    assert set(read(tmp_path)) == {f"i_xt/{layer}" for layer in layers}


@pytest.mark.parametrize(
    ("source", "message"),
    [({"loss": 1.0}, "source: found dict, expected a Recording"), (xr.Dataset({"a": ("x", [1])}), "a Dataset over epochs")],
)
def test_what_is_refused(tmp_path, source, message):
    with pytest.raises(InputError, match=message):
        write_scalars(source, tmp_path)
