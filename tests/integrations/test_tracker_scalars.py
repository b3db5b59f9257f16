"""What a tracker is told: as wandb.log, trackio.log and mlflow.log_metrics are called."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError
from flowplane.integrations.trackers import log_scalars


def told(sources):
    calls = []
    log_scalars(sources, lambda numbers, step: calls.append((step, numbers)))
    return calls


def test_a_recording_and_its_plane_go_together_epoch_by_epoch(rec):
    plane = fp.information_plane(rec, fp.Binned(30))
    calls = told([rec, plane])
    steps = [step for step, _ in calls]
    assert steps == sorted({*rec.epochs.tolist(), *rec.metrics["train_epoch"].values.tolist()})
    last = dict(calls)[int(rec.epochs[-1])]
    assert last["i_ty/layer6"] == pytest.approx(float(plane["i_ty"].sel(layer="layer6").isel(epoch=-1).mean("replica")))
    assert last["metrics/train_loss"] == pytest.approx(float(rec.metrics["train_loss"].isel(train_epoch=-1).mean("replica")))
    assert all(type(value) is float for _, numbers in calls for value in numbers.values())


def test_missing_numbers_and_epochs_without_any_are_left_out():
    epochs = {"train_epoch": [1, 2, 3]}
    one = xr.Dataset({"loss": ("train_epoch", [1.0, np.nan, 3.0])}, epochs)
    assert told(one) == [(1, {"loss": 1.0}), (3, {"loss": 3.0})]


def test_what_is_refused():
    with pytest.raises(InputError, match="log: found str, expected a function"):
        log_scalars(xr.Dataset(), "wandb")
    with pytest.raises(InputError, match="a Dataset over epochs"):
        told(xr.Dataset({"a": ("x", [1])}))
