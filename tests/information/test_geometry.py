"""Matrix entropy, curvature and neural collapse against closed forms and slow sums (§D3, §D4, §D7)."""

import math

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.geometry import collapse, curvature, matrix_entropy


def drawn(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0])
def test_matrix_entropy_in_closed_form(alpha):
    """k orthogonal rows of equal length: log2 k, whatever the order; one direction: none."""
    for k in (1, 2, 7):
        rows = 5.0 * torch.eye(9)[:k]
        assert float(matrix_entropy(rows, alpha)) == pytest.approx(math.log2(k), abs=1e-9)
        assert float(matrix_entropy(rows.repeat(3, 1), alpha)) == pytest.approx(math.log2(k), abs=1e-9)
    line = torch.linspace(1, 2, 6)[:, None] * torch.ones(4)
    assert float(matrix_entropy(line, alpha)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (3, 8, 8)])
def test_matrix_entropy_by_its_definition(shape):
    rows = drawn(0, *shape)
    for place in range(shape[0] if len(shape) == 3 else 1):
        z = (rows[place] if len(shape) == 3 else rows).numpy()
        eigenvalues = np.linalg.eigvalsh(z @ z.T / np.trace(z @ z.T))
        slow = -sum(value * math.log2(value) for value in eigenvalues if value > 1e-15)
        found = matrix_entropy(rows)
        assert float(found[place] if len(shape) == 3 else found) == pytest.approx(slow, abs=1e-9)


def test_a_layer_of_zeros_has_no_entropy():
    assert math.isnan(matrix_entropy(torch.zeros(4, 3)))


def test_curvature_by_hand():
    """A straight line, a right angle, a way back; tokens in any order; tokens that are missing make no step."""
    ways = torch.tensor([[0, 0], [1, 0], [2, 0], [2, 1], [2, 0]], dtype=torch.float64)
    samples, tokens = torch.zeros(5, dtype=torch.long), torch.arange(5)
    assert float(curvature(ways[None], samples, tokens)) == pytest.approx((0 + 90 + 180) / 3)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert float(curvature(ways[None, order], samples, tokens[order])) == pytest.approx(90.0)
    assert float(curvature(ways[None], samples, torch.tensor([0, 1, 2, 5, 6]))) == pytest.approx(0.0, abs=1e-4)
    two = curvature(torch.cat([ways, 3 * ways])[None], torch.arange(10) // 5, torch.arange(10) % 5)
    assert two.shape == (1, 2) and torch.allclose(two, torch.full((1, 2), 90.0, dtype=torch.float64))
    assert torch.isnan(curvature(ways[None, :2], samples[:2], tokens[:2])).all()


def test_random_steps_turn_by_more_than_a_right_angle():
    """Of independent points successive steps share a point: 120 degrees in many dimensions."""
    rows = drawn(1, 1, 4000, 300)
    found = curvature(rows, torch.arange(4000) // 40, torch.arange(4000) % 40)
    assert float(found.mean()) == pytest.approx(120.0, abs=0.5)


def test_collapse_by_its_definition():
    rows, classes = drawn(2, 1, 90, 6), torch.arange(90) % 3
    rows += 2.0 * torch.eye(6, dtype=torch.float64)[classes]
    found = collapse(rows, classes)
    z, y = rows[0].numpy(), classes.numpy()
    means = np.stack([z[y == c].mean(0) for c in range(3)])
    centred = means - means.mean(0)
    within = sum(np.outer(row - means[c], row - means[c]) for row, c in zip(z, y, strict=True)) / 90
    between = sum(np.outer(row, row) for row in centred) / 3
    assert float(found.within) == pytest.approx(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 3, rel=1e-9)
    cosines = [
        centred[a] @ centred[b] / np.linalg.norm(centred[a]) / np.linalg.norm(centred[b])
        for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    assert float(found.cosine_spread) == pytest.approx(np.std(cosines), abs=1e-9)
    assert float(found.simplex_distance) == pytest.approx(np.mean([abs(c + 0.5) for c in cosines]), abs=1e-9)


def test_complete_collapse_and_none():
    corners = torch.eye(5).repeat(6, 1)[None]
    assert all(float(part) == pytest.approx(0.0, abs=1e-9) for part in collapse(corners, torch.arange(30) % 5))
    none = collapse(torch.ones(1, 6, 2), torch.arange(6) % 2)
    assert all(math.isnan(part) for part in none)


def test_of_a_recording_with_tokens():
    torch.manual_seed(0)
    inputs = torch.randn(12, 6, 8)
    labels = torch.arange(12)[:, None].expand(-1, 6) % 3
    rec = fp.record(torch.nn.Sequential(torch.nn.Linear(8, 5), torch.nn.Tanh()), inputs, labels, reduce="tokens")
    found = fp.layer_geometry(rec)
    rows = rec.activations("0").values[0, 0].reshape(12, 6, 5)
    each = [float(matrix_entropy(torch.from_numpy(part).double())) for part in rows]
    at = found.sel(layer="0").isel(replica=0, epoch=0)
    assert float(at.prompt_entropy) == pytest.approx(np.mean(each), abs=1e-6)
    assert float(at.prompt_entropy_lower) < np.mean(each) < float(at.prompt_entropy_upper)
    pooled = matrix_entropy(torch.from_numpy(rows.mean(1)).double())
    assert float(at.dataset_entropy) == pytest.approx(float(pooled), abs=1e-6)
    assert float(at.dataset_share) == pytest.approx(float(pooled) / math.log2(5), abs=1e-6)
    assert float(at.dataset_rank) == pytest.approx(2 ** float(pooled), abs=1e-5)
    assert 60 < float(at.curvature) < 180
    assert not Flags.names(found.flags) and found.attrs["result"] == "layer_geometry"
    assert fp.plot.show(found).layout.title.text == "How the layers lay out their points"


def test_what_is_missing_says_why():
    x = torch.randn(60, 4)
    rec = fp.record(torch.nn.Linear(4, 3), x, x[:, 0])
    found = fp.layer_geometry(rec)
    assert Flags.names(found.curvature_flags) == ("no_tokens",) == Flags.names(found.prompt_entropy_flags)
    assert Flags.names(found.collapse_within_flags) == ("no_classes",)  # numbers cut into classes are none
    assert "no_tokens" in fp.explain(found)
    assert set(fp.layer_geometry(rec, "curvature").data_vars) == {
        *(f"curvature{end}" for end in ("", "_lower", "_upper", "_flags")),
        "flags",
    }
    dead = fp.layer_geometry(fp.from_arrays({"layer": np.zeros((30, 4))}, np.arange(30) % 2))
    assert Flags.names(dead.dataset_entropy_flags) == ("no_spread",)
    with pytest.raises(InputError, match="measures: found 'volume'"):
        fp.layer_geometry(rec, "volume")
    with pytest.raises(InputError, match="alpha: found 0"):
        fp.layer_geometry(rec, alpha=0)
    with pytest.raises(InputError, match="rec: found int"):
        fp.layer_geometry(3)
