"""Inputs reach the model in the precision in which the user's loop hands them over."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recorder.inputs import read_inputs

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(60, 4, generator=GENERATOR)
Y = torch.arange(60) % 3
SECONDS = 1.7e9 + torch.arange(400, dtype=torch.float64)[:, None]


def network(**options):
    return nn.Sequential(nn.Linear(4, 5, **options), nn.Tanh(), nn.Linear(5, 3, **options))


class Scaled(nn.Module):
    """Float32 behind one scale in bfloat16."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
        self.net = network()

    def forward(self, x):
        return self.net(x * self.scale)


class Clock(nn.Module):
    """Takes seconds since 1970, as only double precision tells them apart."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 2)).double()

    def forward(self, seconds):
        assert seconds.dtype == torch.float64
        return self.net((seconds - 1.7e9) / 200 - 1)


def handed(model, x):
    return read_inputs(x, model)[0].tensors[0].dtype


def test_a_cast_is_made_where_all_parameters_share_another_precision():
    assert handed(network(), X) == handed(network(), X.double()) == handed(network(), X.half()) == torch.float32
    assert handed(network().bfloat16(), X) == torch.bfloat16
    assert handed(network().double(), X) == torch.float64
    assert handed(network(), torch.arange(60)) == torch.int64 and handed(network(), X > 0) == torch.bool
    assert handed(network(), X.to(torch.uint8)) == torch.uint8
    assert handed(Scaled(), X) == torch.float32 and handed(Scaled(), X.double()) == torch.float64
    assert handed(nn.Flatten(), X.double()) == torch.float64  # without parameters nothing says otherwise
    assert handed(network(dtype=torch.complex64), X.double()) == torch.float32
    assert handed(network(dtype=torch.complex64), torch.complex(X, X).to(torch.complex128)) == torch.complex64


def test_one_parameter_in_half_precision_rounds_no_input():
    model, x = Scaled(), 1000 + X / 100
    rec = fp.record(model, x, Y)
    np.testing.assert_array_equal(rec.input_points, x.numpy())
    np.testing.assert_array_equal(rec.activations(rec.layers[-1]).values[0, 0], model(x).detach().numpy())
    with pytest.raises(InputError, match=r"they are float64, its parameters bfloat16, float32: cast them, or .* forward="):
        fp.record(model, x.double(), Y)


def test_seconds_since_1970_stay_apart():
    model = Clock()
    rec = fp.record(model, SECONDS, torch.arange(400) % 2)
    for values in (rec.input_points, rec.task.inputs, *(rec.activations(layer).values[0, 0] for layer in rec.layers)):
        assert len(np.unique(values, axis=0)) == 400
    np.testing.assert_array_equal(rec.input_points, SECONDS)
    assert fp.information_plane(rec, fp.KSG(noise_variance=0.1)).i_xt.notnull().all()


def test_a_recording_in_double_precision_is_read_as_it_was_stored(tmp_path):
    path = tmp_path / "run.fp"
    model = Clock()
    fp.record(model, SECONDS, torch.arange(400) % 2, path=path, dtype="float64")
    rec = fp.open(path)
    expected = model(SECONDS).detach().numpy()
    assert rec.activations(rec.layers[-1]).dtype == np.float64
    np.testing.assert_array_equal(rec.activations(rec.layers[-1]).values[0, 0], expected)
    again = fp.record(model, SECONDS, torch.arange(400) % 2, path=path, dtype="float64", mode="resume")
    np.testing.assert_array_equal(again.task.inputs, SECONDS)


def test_what_is_stored_in_a_lower_precision_and_becomes_equal_is_said():
    model = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 2)).double()
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.zero_()
    with pytest.warns(RuntimeWarning, match=r"layer '0' has 400 different rows, of which float32 leaves 4: dtype='float64'"):
        fp.record(model, SECONDS, layers="0")
    kept = fp.record(model, SECONDS, layers="0", dtype="float64").activations("0").values[0, 0]
    assert len(np.unique(kept, axis=0)) == 400


@pytest.mark.parametrize(
    ("model", "x", "message"),
    [
        (nn.Linear(1, 2), SECONDS, "found 400 different samples in float64, of which float32, the model's, leaves 4"),
        (network().bfloat16(), 1000 + X / 1000, "60 different samples in float32, of which bfloat16, the model's, leaves 1"),
        (network().half(), X * 1e6, "numbers that are too large for float16, the model's precision"),
    ],
    ids=["single", "bfloat16", "half"],
)
def test_a_cast_that_loses_samples_is_refused(model, x, message):
    with pytest.raises(InputError, match=message):
        fp.record(model, x)
    with pytest.raises(InputError, match=message):
        fp.record(model, (x.to_sparse(),))


def test_complex_inputs_and_activations():
    class Complex(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 5, dtype=torch.complex64), nn.Linear(5, 2)

        def forward(self, x):
            return self.b(self.a(x).abs())

    model, z = Complex(), torch.complex(X, X.flip(0))
    for given in (z, z.numpy(), z.to(torch.complex128)):
        rec = fp.record(model, given, Y)
        np.testing.assert_array_equal(rec.input_points, torch.cat([z.real, z.imag], 1))
        found = model.a(z).detach()
        np.testing.assert_allclose(rec.activations("a").values[0, 0], torch.cat([found.real, found.imag], 1), atol=1e-6)
    with pytest.raises(InputError, match="NaN or infinite"):
        fp.record(model, z * float("nan"), Y)
