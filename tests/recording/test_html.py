"""What a notebook shows of a recording."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from balanced_html import Balanced

import flowplane as fp
from flowplane.recording.html import LISTED, recording_html


def model(layers=("conv", "head"), metrics=None, **changes):
    """A recording of somebody's own model, as far as the table looks at it."""
    widths = [3 + k for k in range(len(layers))]
    fake = {
        "kind": "model",
        "architecture": f"ConvNet, {len(layers)} layers",
        "activation": "",
        "path": "run.fp",
        "layers": tuple(layers),
        "layer_coordinates": lambda: {"width": ("layer", widths)},
        "epochs": np.array([0, 1, 5]),
        "replicas": np.array([0]),
        "attrs": {"labels": "classes"},
        "metrics": xr.Dataset(metrics or {}, {"train_epoch": [1, 2, 5], "replica": [0]}),
    }
    fake["task"] = Task(**{"labels": np.array([0, 1]), "classes": 2} | changes.pop("task", {}))
    return SimpleNamespace(**fake | changes)


class Task(SimpleNamespace):
    name = "probe"

    def __len__(self):
        return 7


def test_an_ensemble(rec):
    html = recording_html(rec)
    text = Balanced(html).text
    for part in ("12-10-7-5-4-3-2", "tanh", "4096 samples", "2 classes", "layer6 (2)", "8, epochs 0 to 40", "test_accuracy"):
        assert part in text
    assert f"train_loss {float(rec.metrics['train_loss'][:, -1].mean()):.4g} nats" in text
    assert len(html.encode()) < 3000


def test_a_model_of_ones_own():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh())
    with fp.Recorder(net, torch.randn(9, 2), epochs=2) as recorder:
        recorder.step(loss=0.5)
        recorder.step(loss=0.25)
    text = Balanced(recording_html(recorder.recording)).text
    for part in ("Sequential, 2 layers, 9 parameters", "9 samples, no labels", "2: 0 (3), 1 (3)", "loss 0.25", "in memory"):
        assert part in text


def test_a_model_and_its_last_known_metrics():
    known = (("replica", "train_epoch"), [[3.0, 0.25, np.nan]], {"units": "nats"})
    never = (("replica", "train_epoch"), [[np.nan] * 3])
    text = Balanced(recording_html(model(metrics={"loss": known, "other": never}))).text
    assert "loss 0.25 nats" in text
    assert "other" not in text
    assert "means" not in text
    assert "conv (3), head (4)" in text


def test_nothing_known_leaves_no_row():
    text = Balanced(recording_html(model(task={"labels": None}))).text
    assert "at the end" not in text
    assert "7 samples, no labels" in text


def test_regression_targets_are_said_to_be_classes():
    attrs = {"labels": "targets in 10 classes of equal size"}
    assert "targets in 10 classes of equal size" in recording_html(model(attrs=attrs))


@pytest.mark.parametrize("place", ["layers", "path", "architecture", "metrics"])
def test_text_is_escaped(place):
    evil = "<script>alert('1')</script>&\""
    changes = {"layers": ("a", evil)} if place == "layers" else {place: evil}
    if place == "metrics":
        changes = {"metrics": {evil: (("replica", "train_epoch"), [[1.0, 1.0, 1.0]], {"units": evil})}}
    html = recording_html(model(**changes))
    page = Balanced(html)
    assert "script" not in page.tags
    assert "<script" not in html
    assert "<script>alert('1')" in page.text


def test_many_layers_and_long_names_stay_small():
    layers = [f"transformer.h.{k}." + "attention" * 30 for k in range(200)]
    html = recording_html(model(layers=layers))
    assert f"… {200 - LISTED} more …" in html
    assert "200: transformer.h.0." in Balanced(html).text
    assert len(html.encode()) < 5000


def test_no_colours_of_its_own():
    """Dark notebooks stay readable: nothing but the notebook's own colours."""
    html = recording_html(model())
    assert "#" not in html
    assert "rgb" not in html
