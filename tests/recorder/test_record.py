"""A frozen model, recorded once."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
MODEL = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Tanh(), nn.Linear(5, 2))


def test_one_epoch_that_a_recorder_would_have_recorded():
    with fp.Recorder(MODEL, X, Y) as recorder:
        pass
    rec, other = fp.record(MODEL, X, Y), recorder.recording
    assert rec.epochs.tolist() == [0] and rec.layers == other.layers and rec.attrs["keep"] == ["activations"]
    for layer in rec.layers:
        np.testing.assert_array_equal(rec.activations(layer), other.activations(layer))
    assert MODEL.training and MODEL[1].training
    assert fp.information_plane(rec, fp.Pairwise(0.1)).i_ty.notnull().all()
    assert fp.layer_transport(rec).sizes["epoch"] == 1


def test_its_arguments_are_those_of_a_recorder(tmp_path):
    path = tmp_path / "frozen.fp"
    options = {"layers": ["0", "2"], "measures": [fp.Pairwise(0.1)], "dtype": "float16", "path": path}
    rec = fp.record(MODEL, {"input": X, "labels": Y}, **options)
    assert rec.layers == ("0", "2") and rec.attrs["dtype"] == "float16" and len(rec.online) == 1
    assert fp.open(path).epochs.tolist() == [0]
    assert fp.record(MODEL, X, Y, mode="resume", **options).epochs.tolist() == [0]
    with pytest.raises(InputError, match=r"path: found .*, expected a new"):
        fp.record(MODEL, X, Y, **options)
    fp.record(MODEL, X, Y, mode="overwrite", **options)
    alone = fp.record(MODEL, X, Y, keep=(), measures=[fp.Pairwise(0.1)])
    assert alone.measure(fp.Pairwise(0.1)).i_xt.shape == (1, 1, 3)


def test_what_it_refuses():
    with pytest.raises(InputError, match=r"keep: found .*'gradients'.*a model that is not trained has no gradients"):
        fp.record(MODEL, X, Y, keep=("activations", "gradients"))
    with pytest.raises(InputError, match=r"keep: found .*, expected 'activations' in it, or measures"):
        fp.record(MODEL, X, Y, keep=())
    with pytest.raises(TypeError, match="snapshots"):
        fp.record(MODEL, X, Y, snapshots=3)
