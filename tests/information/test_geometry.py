"""Matrix entropy, curvature and neural collapse against closed forms and slow sums (§D3, §D4, §D7)."""

import math

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError, NotRecorded
from flowplane.information.geometry import collapse, curvature, invariance, matrix_entropy


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
    figure = fp.plot.show(found)
    assert figure.layout.title.text == "How the layers lay out their points"
    named = [trace for trace in figure.data if trace.showlegend]
    assert (
        len({trace.name for trace in named}) == len({(trace.line.color, trace.line.dash) for trace in named}) == len(named)
    )


def test_what_is_missing_says_why():
    x = torch.randn(60, 4)
    rec = fp.record(torch.nn.Linear(4, 3), x, x[:, 0])
    found = fp.layer_geometry(rec, ["entropy", "curvature", "collapse"])
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


def test_invariance_by_its_definitions():
    """One pair of views at a time, with loops."""
    n, d = 7, 4
    first, second = drawn(3, n, d), drawn(4, n, d)
    second = first + 0.5 * second
    found = invariance(first[None], second[None])
    a, b = (each.numpy() / np.linalg.norm(each.numpy(), axis=1, keepdims=True) for each in (first, second))
    loss = 0.0
    for i in range(n):
        right = math.exp(a[i] @ b[i] / 0.1)
        loss -= 0.5 * math.log2(right / sum(math.exp(a[i] @ b[j] / 0.1) for j in range(n)))
        loss -= 0.5 * math.log2(right / sum(math.exp(a[j] @ b[i] / 0.1) for j in range(n)))
    assert float(found.infonce) == pytest.approx(math.log2(n) - loss / n, abs=1e-9)
    means = (a + b) / 2
    between = sum(np.outer(row, row) for row in means - means.mean(0)) / n
    within = sum(np.outer(row, row) for row in np.concatenate([a - means, b - means])) / (2 * n) + 1e-4 * np.eye(d)
    sizes, axes = np.linalg.eigh(within)
    half = axes @ np.diag(sizes**-0.5) @ axes.T
    shares = np.linalg.eigvalsh(half @ between @ half)
    shares = shares / shares.sum()
    assert float(found.lidar) == pytest.approx(math.exp(-sum(s * math.log(s) for s in shares)), rel=1e-9)

    def entropy(one, other):
        values = np.linalg.eigvalsh((one @ one.T) * (other @ other.T) / n)
        return -sum(value * math.log2(value) for value in values if value > 1e-13)

    own = entropy(a, b)
    assert float(found.dime) > 0 and own < math.log2(n)
    assert float(invariance(first[None], first[None, torch.randperm(n)]).infonce) < float(
        invariance(first[None], first[None]).infonce
    )


def test_views_of_a_recording():
    torch.manual_seed(0)
    x = torch.randn(60, 8)
    rec = fp.record(torch.nn.Sequential(torch.nn.Linear(8, 5), torch.nn.Tanh()), x, views=x + 0.1 * torch.randn(60, 8))
    found = fp.layer_geometry(rec, "invariance")
    first, second = (torch.from_numpy(part.values[0]) for part in (rec.activations("0"), rec.views("0")))
    assert float(found.infonce.sel(layer="0")[0, 0]) == pytest.approx(float(invariance(first, second).infonce), abs=1e-9)
    assert 3 < float(found.infonce.sel(layer="0")[0, 0]) < math.log2(60) and not Flags.names(found.flags)
    without = fp.record(torch.nn.Linear(8, 5), x)
    assert Flags.names(fp.layer_geometry(without, "invariance").infonce_flags) == ("no_views",)
    with pytest.raises(NotRecorded, match="views="):
        without.views("output")
    with pytest.raises(InputError, match="views: found 59 samples"):
        fp.record(torch.nn.Linear(8, 5), x, views=x[1:])
    with pytest.raises(InputError, match="views: found tokens that are rows"):
        fp.record(torch.nn.Linear(8, 5), x.reshape(30, 2, 8), views=x.reshape(30, 2, 8), reduce="tokens")


class Language(torch.nn.Module):
    """A residual stream of two blocks, whose head is its embedding turned round."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(11, 6)
        self.blocks = torch.nn.ModuleList(torch.nn.Linear(6, 6) for _ in range(2))
        self.norm = torch.nn.LayerNorm(6)
        self.head = torch.nn.Linear(6, 11)

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        return self.head(self.norm(x))


def test_logit_lens_by_hand():
    model, ids = Language(), torch.randint(0, 11, (9, 5), generator=torch.Generator().manual_seed(1))
    layers = ["embed", "output"]
    rec = fp.record(model, ids, reduce="tokens", layers=["embed", "norm"], unembed=model.head)
    found = fp.layer_geometry(rec, "lens").isel(replica=0, epoch=0)
    with torch.no_grad():
        logits = torch.log_softmax(model(ids).double(), -1)
        early = torch.log_softmax(model.head(model.embed(ids)).double(), -1)
    for name, log_q in (("embed", early), ("norm", logits)):
        at = found.sel(layer=name)
        loss = -np.mean([float(log_q[s, k, ids[s, k + 1]]) for s in range(9) for k in range(4)]) / math.log(2)
        entropy = float(-(log_q.exp() * log_q).sum(-1).mean()) / math.log(2)
        divergence = float((logits.exp() * (logits - log_q)).sum(-1).mean()) / math.log(2)
        agreement = float((logits.argmax(-1) == log_q.argmax(-1)).double().mean())
        expected = {"loss": loss, "entropy": entropy, "divergence": divergence, "agreement": agreement}
        for key, value in expected.items():
            assert float(at[f"lens_{key}"]) == pytest.approx(value, abs=1e-5), (name, key)
    counts = np.bincount(ids[:, 1:].ravel()) / 36
    assert float(found.unigram_loss[0]) == pytest.approx(-sum(p * math.log2(p) for p in counts if p > 0))
    assert layers and "logit lens" in rec.online and fp.plot.show(fp.layer_geometry(rec)).data


def test_the_lens_of_a_transformers_model():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_embd=16, n_head=2, n_layer=2, vocab_size=13, n_positions=8)
    torch.manual_seed(0)
    model, ids = transformers.GPT2LMHeadModel(config), torch.randint(0, 13, (8, 6))
    before = {name: values.clone() for name, values in model.state_dict().items()}
    rec = fp.record(model, {"input_ids": ids}, reduce="tokens", layers="transformer.h.*", unembed="auto")
    last = fp.layer_geometry(rec, "lens").isel(replica=0, epoch=0, layer=-1)
    with torch.no_grad():
        loss = float(model.eval()(ids, labels=ids).loss) / math.log(2)
    assert float(last.lens_loss) == pytest.approx(loss, abs=1e-4) and float(last.lens_agreement) == 1.0
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


def test_what_the_lens_refuses():
    model, ids = Language(), torch.randint(0, 11, (9, 5))
    with pytest.raises(InputError, match="unembed: found rows that are not tokens"):
        fp.record(model, ids, unembed=model.head, layers="norm")
    with pytest.raises(InputError, match="unembed: found 'auto' for a Language"):
        fp.record(model, ids, unembed="auto", layers="norm", reduce="tokens")
    with pytest.raises(InputError, match="unembed: found 3, expected"):
        fp.record(model, ids, unembed=3, layers="norm", reduce="tokens")
    with pytest.raises(InputError, match="unembed: found inputs without token ids"):
        fp.record(torch.nn.Linear(4, 3), torch.randn(30, 5, 4), unembed=model.head, reduce="tokens")
    wide = fp.record(model, ids, unembed=torch.nn.Linear(7, 11), layers="norm", reduce="tokens")
    assert Flags.names(fp.layer_geometry(wide, "lens").lens_loss_flags) == ("other_width",)
    rec = fp.record(model, ids, layers="norm", reduce="tokens")
    assert Flags.names(fp.layer_geometry(rec, "lens").lens_loss_flags) == ("no_lens",)
