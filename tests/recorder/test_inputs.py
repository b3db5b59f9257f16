"""Inputs and labels as users have them, and how outputs become points."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recorder.hashing import hashed

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(40, 4, generator=GENERATOR)
Y = torch.arange(40) % 3
MODEL = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def recorded(model, inputs, labels=None, **arguments):
    with fp.Recorder(model, inputs, labels, **arguments) as recorder:
        pass
    return recorder.recording


class Named(nn.Module):
    """Takes tokens by name, returns a tuple."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(7, 6)
        self.mix = nn.Linear(6, 6)

    def forward(self, input_ids, attention_mask=None):
        return self.mix(self.tokens(input_ids)), attention_mask


IDS = torch.randint(7, (10, 4), generator=GENERATOR)
MASK = (torch.arange(4) < torch.tensor([4, 3, 2, 1, 4, 4, 2, 2, 3, 1])[:, None]).long()


@pytest.mark.parametrize(
    "given",
    [
        (X, Y),
        (X.numpy(), Y.numpy()),
        (X.double(), Y.tolist()),
        ((X,), Y),
        (DataLoader(TensorDataset(X, Y), batch_size=7), None),
        (TensorDataset(X, Y), None),
        ({"input": X, "labels": Y}, None),
    ],
    ids=["tensor", "numpy", "double", "tuple", "loader", "dataset", "dict"],
)
def test_the_same_recording_from_every_kind_of_inputs(given):
    rec = recorded(MODEL, *given)
    np.testing.assert_array_equal(rec.activations("2").values[0, 0], MODEL(X).detach().numpy())
    np.testing.assert_array_equal(rec.task.labels, Y)
    np.testing.assert_array_equal(rec.input_points, X.numpy())


def test_a_loader_that_shuffles_disturbs_no_random_state():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    rec = recorded(MODEL, DataLoader(TensorDataset(X, Y), batch_size=7, shuffle=True))
    assert torch.equal(torch.rand(1), expected)
    rows = {tuple(row): label for row, label in zip(X.numpy().tolist(), Y.tolist(), strict=True)}
    assert [rows[tuple(row)] for row in rec.input_points.tolist()] == rec.task.labels.tolist()


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (X, Y[:-1], r"labels: found shape \(39,\), expected 40 labels"),
        (X.T, Y, r"labels: found shape \(40,\), expected . labels, one per input; the inputs' first axis is the sample's"),
        (X, "labels", "labels: found 'labels', expected one label per input"),
        (X, torch.zeros(40), "labels: found one class only"),
        (X, Y * np.nan, "labels: found 40 values that are NaN"),
        (X * float("inf"), Y, "inputs: found .* NaN or infinite"),
        (X[:1], Y[:1], "inputs: found 1 sample, expected two"),
        ("text", Y, "inputs: found 'text', expected a tensor"),
        ({"a": X, "b": X[:3]}, None, "inputs: found arrays of 3, 40 samples"),
        ({}, None, "inputs: found no arrays"),
        (X, torch.zeros(40, 2, 2).long(), "labels: found"),
        (X, torch.stack([Y, Y], 1), r"labels: found shape \(40, 2\), expected shape \(40,\), or reduce='tokens'"),
    ],
)
def test_what_is_refused(inputs, labels, message):
    with pytest.raises(InputError, match=message):
        fp.Recorder(MODEL, inputs, labels)


def test_batches_of_different_shapes_are_named():
    loader = DataLoader([torch.zeros(3), torch.zeros(4)], batch_size=1)
    with pytest.raises(InputError, match=r"inputs: found batches of shapes .* pad them"):
        fp.Recorder(MODEL, loader)


def test_feature_maps():
    pictures = torch.randn(12, 1, 8, 8, generator=GENERATOR)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Conv2d(3, 65, 3), nn.Flatten())
    outputs = [part.detach() for part in (model[0](pictures), model[:2](pictures))]
    auto = recorded(model, pictures)
    assert auto.layers == ("0", "1") and [layer["reduce"] for layer in auto.attrs["layers"]] == [
        "flattened",
        "hashed to 512 numbers",
    ]
    np.testing.assert_allclose(auto.activations("0").values[0, 0], outputs[0].flatten(1), atol=1e-6)
    np.testing.assert_allclose(auto.activations("1").values[0, 0], hashed(outputs[1].flatten(1)), atol=1e-6)
    for rule, expected in (("mean", outputs[1].mean((2, 3))), ("max", outputs[1].amax((2, 3)))):
        np.testing.assert_allclose(recorded(model, pictures, reduce=rule).activations("1").values[0, 0], expected, atol=1e-6)
    flat = recorded(model, pictures, reduce="flatten")
    np.testing.assert_allclose(flat.activations("1").values[0, 0], outputs[1].flatten(1), atol=1e-6)
    top = recorded(model, pictures, reduce=lambda values: values.amax((2, 3)) if values.ndim == 4 else values)
    np.testing.assert_allclose(top.activations("1").values[0, 0], outputs[1].amax((2, 3)), atol=1e-6)
    with pytest.raises(InputError, match=r"reduce: found layers of \[16, 36\] tokens"):
        fp.Recorder(model, pictures, reduce="tokens")
    with pytest.raises(InputError, match=r"reduce: found .* for layer '0', expected a callable"):
        fp.Recorder(model, pictures, reduce=lambda values: values.sum())
    with pytest.raises(InputError, match="reduce: found 'most', expected one of auto"):
        fp.Recorder(model, pictures, reduce="most")


def test_sequences_by_their_mean_and_padding_left_out():
    model = Named()
    rec = recorded(model, {"input_ids": IDS, "attention_mask": MASK})
    values = model(IDS)[0].detach()
    expected = torch.stack([row[: int(mask.sum())].mean(0) for row, mask in zip(values, MASK, strict=True)])
    np.testing.assert_allclose(rec.activations("mix").values[0, 0], expected, atol=1e-6)
    assert rec.input_points is None and rec.attrs["layers"][0]["reduce"] == "mean over tokens"


def test_every_token_a_sample():
    model = Named()
    values = model(IDS)[0].detach()
    known = MASK.bool()
    rec = recorded(model, {"input_ids": IDS, "attention_mask": MASK}, torch.arange(10) % 2, reduce="tokens")
    np.testing.assert_allclose(rec.activations("mix").values[0, 0], values[known], atol=1e-6)
    assert rec.task.labels.tolist() == [row % 2 for row in range(10) for _ in range(int(MASK[row].sum()))]
    labels = IDS.clone()
    labels[:, 0] = -100
    own = recorded(model, {"input_ids": IDS, "attention_mask": MASK}, labels, reduce="tokens")
    shown = known & (labels >= 0)
    np.testing.assert_allclose(own.activations("mix").values[0, 0], values[shown], atol=1e-6)
    np.testing.assert_array_equal(np.array(own.attrs["classes"])[own.task.labels], labels[shown])
    assert len(np.unique(own.task.inputs)) == len(
        {(tuple(IDS[row].tolist()), place) for row, place in shown.nonzero().tolist()}
    )
