"""What a residual stream spends: oracles of polygons, the part of each block, tokens of whole samples, what is refused."""

import numpy as np
import oracles_polygon as oracle
import pytest
import torch
from scipy.stats import ortho_group

import flowplane as fp
from flowplane.analysis.transport.budget import drawn_rows, residual_stream
from flowplane.core.results import Flags
from flowplane.core.streams import BUDGET, generator
from flowplane.errors import InputError
from flowplane.plot.registry import show

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32).astype(float)
#: Activations are stored as float32.
STORED = 1e-6
TERMS = ("transport", "coupling", "bending", "pace")
PARTS = ("progress", "bending", "pace")
A = np.array([[2.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 1.5]])  # symmetric, positive: an optimal map


def of(path, **options):
    """The budget of a polygon (vertex, row, feature)."""
    names = [f"h.{k}" for k in range(len(path))]
    return fp.layer_budget(fp.from_arrays(dict(zip(names, map(np.asarray, path), strict=True))), **options)


def total(found, name):
    return float(found[name].squeeze())


def by_layer(found, name):
    return found[f"layer_{name}"].squeeze(("replica", "epoch")).values


def straight(*shares):
    """From X to AX on straight lines, at these parts of the way."""
    return np.stack([X + share * (X @ A - X) for share in shares])


def test_an_optimal_map_at_constant_speed_wastes_nothing():
    found = of(straight(0, 0.25, 0.5, 0.75, 1))
    whole = np.square(X @ A - X).sum(1).mean()
    assert total(found, "energy") == pytest.approx(whole, rel=STORED)
    assert total(found, "transport") == pytest.approx(whole, rel=STORED)
    for waste in TERMS[1:]:
        assert total(found, waste) == pytest.approx(0, abs=STORED * whole)
    np.testing.assert_allclose(by_layer(found, "energy"), whole / 4, rtol=STORED)
    np.testing.assert_allclose(by_layer(found, "progress"), whole / 4, rtol=STORED)


def test_unequal_steps_on_a_line_change_the_pace_only():
    even, uneven = of(straight(0, 0.5, 1)), of(straight(0, 0.2, 1))
    for term in TERMS[:3]:
        assert total(uneven, term) == pytest.approx(total(even, term), abs=STORED)
    whole = np.square(X @ A - X).sum(1).mean()
    assert total(uneven, "pace") == pytest.approx((2 * (0.2**2 + 0.8**2) - 1) * whole, rel=STORED)
    # the slow block saves less than the fast one spends too much
    np.testing.assert_allclose(by_layer(uneven, "pace"), np.array([0.2 * -0.6, 0.8 * 0.6]) * whole, rtol=STORED)


def test_a_turn_that_leaves_the_cloud_as_it_is_is_all_waste():
    """Eight of 40 places round a circle in four steps: W_2 is 0, |Δ| = 2 sin(36°), ℓ = 8 sin(9°)."""
    found = of([oracle.ring(40, turned / 20) for turned in range(5)])
    chord, length = 2 * np.sin(np.pi / 5), 8 * np.sin(np.pi / 20)
    assert total(found, "transport") == pytest.approx(0, abs=1e-12)
    assert total(found, "coupling") == pytest.approx(chord**2, rel=STORED)
    assert total(found, "bending") == pytest.approx(length**2 - chord**2, rel=STORED)
    assert total(found, "pace") == pytest.approx(0, abs=1e-12)


def test_a_closed_loop_goes_nowhere():
    around = X + np.array([[0, 0, 0], [1, 0, 0], [1, 2, 0], [0, 2, 0], [0, 0, 0]])[:, None]
    found = of(around)
    assert total(found, "transport") == total(found, "coupling") == 0
    assert total(found, "bending") == pytest.approx(36, rel=STORED)
    assert total(found, "energy") == pytest.approx(4 * (1 + 4 + 1 + 4), rel=STORED)
    np.testing.assert_allclose(by_layer(found, "progress"), 0, atol=1e-12)


def test_nothing_moves():
    found = of([X, X, X])
    assert all(total(found, name) == 0 for name in ("energy", *TERMS, "sliced_wasserstein"))


@pytest.mark.parametrize("clock", ["even", "depth"])
def test_against_walking_along_the_lines(clock):
    path = np.cumsum(RNG.normal(size=(6, 30, 4)) * np.array([1, 0.3, 2, 1, 0.1, 1])[:, None, None], 0)
    rec = fp.from_arrays({f"h.{k}": layer for k, layer in enumerate(path)})
    rec = rec.sel(layer=["h.0", "h.1", "h.3", "h.5"])
    found = fp.layer_budget(rec, clock=clock)
    expected = oracle.spent(path[[0, 1, 3, 5]], [1 / 3, 1 / 3, 1 / 3] if clock == "even" else [0.2, 0.4, 0.4])
    for name, value in expected.items():
        assert total(found, name) == pytest.approx(value, abs=1e-3 * expected["energy"]), name


@pytest.mark.parametrize("clock", ["even", "depth"])
def test_terms_add_up_in_each_block_and_over_blocks(clock):
    epochs = np.cumsum(RNG.normal(size=(5, 3, 40, 6)), 0)  # layer, epoch, sample, unit
    rec = fp.from_arrays({f"h.{k}": layer for k, layer in enumerate(epochs)}, epochs=[0, 1, 5])
    found = fp.layer_budget(rec.sel(layer=["h.0", "h.1", "h.2", "h.4"]), clock=clock)
    assert found.layer.values.tolist() == ["h.1", "h.2", "h.4"] and found.attrs["start"] == "h.0"
    np.testing.assert_allclose(sum(found[term] for term in TERMS), found.energy, rtol=1e-12)
    np.testing.assert_allclose(sum(found[f"layer_{part}"] for part in PARTS), found.layer_energy, rtol=1e-12)
    for name in ("energy", "bending", "pace"):
        np.testing.assert_allclose(found[f"layer_{name}"].sum("layer"), found[name], rtol=1e-10)
    np.testing.assert_allclose(found.layer_progress.sum("layer"), found.transport + found.coupling, rtol=1e-10)
    assert all((found[term] >= 0).all() for term in TERMS) and (found.layer_bending >= 0).all()


def test_blocks_and_flows_of_straight_maps_agree():
    """A composition of affine maps is such a polygon."""
    source = fp.GaussianMixture([0.4, 0.6], [[-2.0, 0.0, 0.0], [2.0, 0.5, 0.0]], 0.3)
    turn, shift = ortho_group.rvs(3, random_state=0), [0.5, 0.0, 0.0]
    affine = fp.transport.AffineMap
    flow = affine(A, shift) @ affine(turn, shift) @ affine(A, shift, source=source)
    expected = flow.budget(samples=200)
    x = source.draw(200, generator(0, BUDGET)).numpy()
    found = of(flow.trajectory(x, flow.vertices))
    for name in ("energy", *TERMS):
        assert total(found, name) == pytest.approx(float(expected[name]), rel=1e-5), name
        assert total(found, f"{name}_error") == pytest.approx(float(expected[f"{name}_error"]), rel=1e-2), name
    assert total(found, "sliced_wasserstein") == pytest.approx(float(expected.sliced_wasserstein), rel=1e-5)


def test_a_turn_of_the_space_changes_nothing_and_a_scale_all():
    path = np.cumsum(RNG.normal(size=(4, 30, 3)), 0)
    one, turned, twice = of(path), of(path @ ortho_group.rvs(3, random_state=1) + 5.0), of(2 * path)
    for name in ("energy", *TERMS, *(f"layer_{part}" for part in ("energy", *PARTS))):
        np.testing.assert_allclose(turned[name], one[name], rtol=STORED, atol=STORED, err_msg=name)
        np.testing.assert_allclose(twice[name], 4 * one[name], rtol=STORED, atol=STORED, err_msg=name)


def test_errors_are_the_scatter_over_rows():
    path = np.cumsum(RNG.normal(size=(3, 50, 2)), 0)
    found = of(path)
    each = 2 * np.square(np.diff(path, axis=0)).sum(2)
    assert total(found, "energy_error") == pytest.approx(each.sum(0).std() / np.sqrt(50), rel=STORED)
    np.testing.assert_allclose(by_layer(found, "energy_error"), each.std(1) / np.sqrt(50), rtol=STORED)
    for name in (*TERMS, "sliced_wasserstein"):
        assert total(found, f"{name}_error") > 0 and found[f"{name}_error"].units == found[name].units


class Stream(torch.nn.Module):
    """Tokens (sample, place) in, a stream of two blocks out."""

    def __init__(self, positions=False):
        super().__init__()
        self.embedding = torch.nn.Embedding(11, 4)
        self.positions = torch.nn.Parameter(torch.randn(6, 4)) if positions else None
        self.blocks = torch.nn.ModuleList(Block() for _ in range(2))

    def forward(self, tokens):
        x = self.embedding(tokens) if self.positions is None else self.embedding(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        return x


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = torch.nn.Linear(4, 4)

    def forward(self, x):
        return x + torch.tanh(self.inside(x))


@pytest.fixture(scope="module")
def tokens():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    return fp.record(Stream(), torch.randint(0, 11, (40, 6), generator=generator), reduce="tokens")


def test_tokens_of_whole_samples_are_drawn(tokens):
    rows, told = drawn_rows(tokens, 100, 0)
    samples, counts = np.unique(tokens.row_samples[rows], return_counts=True)
    assert len(samples) == 16 and (counts == 6).all() and told == "all tokens of 16 samples"
    assert set(drawn_rows(tokens, 100, 1)[0]) != set(rows)
    # of long samples single tokens, of many samples
    assert len(np.unique(tokens.row_samples[drawn_rows(tokens, 60, 0)[0]])) > 16
    found = fp.layer_budget(tokens, samples=100)
    assert (found.attrs["samples"], found.attrs["rows"]) == (96, "all tokens of 16 samples")
    path = np.stack([tokens.activations(layer).values[0, 0, rows] for layer in tokens.layers]).astype(float)
    each = 2 * np.square(np.diff(path, axis=0)).sum((0, 2))
    assert total(found, "energy") == pytest.approx(each.mean(), rel=1e-6)
    assert total(found, "energy_error") == pytest.approx(oracle.grouped_error(each, tokens.row_samples[rows]), rel=1e-6)


class Plain(Block):
    def forward(self, x):
        return torch.tanh(self.inside(x))


class Convolved(torch.nn.Module):
    """A block of a ResNet: a branch added before the nonlinearity; the input is projected where the width changes."""

    def __init__(self, entering, width):
        super().__init__()
        self.project = torch.nn.Identity() if entering == width else torch.nn.Conv2d(entering, width, 1)
        self.first = torch.nn.Conv2d(entering, width, 3, padding=1)
        self.second = torch.nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        branch = self.second(torch.relu(self.first(x)))
        branch += self.project(x)
        return torch.relu(branch)


def test_a_stream_is_what_is_added_to(tokens):
    torch.manual_seed(0)
    ids = torch.randint(0, 11, (40, 6))
    assert residual_stream(tokens).rec.layers == ("embedding", "blocks.0", "blocks.1")
    # an embedding that lacks its positions is not where the stream begins
    assert residual_stream(fp.record(Stream(positions=True), ids, reduce="tokens")) is None
    alike = torch.nn.Sequential(*(Plain() for _ in range(4)))
    assert residual_stream(fp.record(alike, torch.randn(30, 4))) is None  # blocks of one class that add to nothing
    maps = torch.nn.Sequential(*(Convolved(*widths) for widths in ((3, 4), (4, 4), (4, 4), (4, 6), (6, 6))))
    assert residual_stream(fp.record(maps, torch.randn(30, 3, 5, 5))).rec.layers == ("0", "1", "2")


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_torchs_own_encoder_is_one(first, training):
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8, norm_first=first, batch_first=True)
    encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).train(training)
    rec = fp.record(torch.nn.Sequential(torch.nn.Linear(3, 4), encoder), torch.randn(20, 5, 3), reduce="tokens")
    assert residual_stream(rec).rec.layers == ("0", "1.layers.0", "1.layers.1")
    inner = fp.record(encoder, torch.randn(20, 5, 4), layers=["layers.*.self_attn", "layers.*"], reduce="tokens")
    assert residual_stream(inner.sel(layer=[name for name in inner.layers if name.endswith("attn")])) is None


def test_a_stream_begins_at_points_of_its_width(tokens):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), Block(), Block(), torch.nn.Linear(4, 4))
    stream = residual_stream(fp.record(net, torch.randn(30, 4)))
    assert (stream.rec.layers, stream.from_inputs) == (("0", "1", "2"), False)
    bare = fp.record(torch.nn.Sequential(Block(), Block(), torch.nn.Tanh()), torch.randn(30, 4))
    assert (residual_stream(bare).rec.layers, residual_stream(bare).from_inputs) == (("0", "1"), True)
    assert residual_stream(bare.sel(layer="1")) is None
    plain = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(4)))
    assert residual_stream(fp.record(plain, torch.randn(30, 4))) is None
    assert residual_stream(fp.record(torch.nn.Sequential(Block(), torch.nn.Tanh()), torch.randn(30, 4))) is None


def test_points_are_where_a_stream_may_begin():
    torch.manual_seed(0)
    x = torch.randn(30, 4)
    rec = fp.record(torch.nn.Sequential(Block(), Block()), x)
    found = fp.layer_budget(rec, from_inputs=True)
    assert found.layer.values.tolist() == ["0", "1"] and found.attrs["start"] == "the inputs"
    path = [x.numpy(), *(rec.activations(layer).values[0, 0] for layer in rec.layers)]
    assert total(found, "energy") == pytest.approx(2 * np.square(np.diff(path, axis=0)).sum((0, 2)).mean(), rel=1e-6)


def test_ensembles_and_parts():
    rec = fp.train(fp.tasks.spherical_rule(), hidden=(4, 4, 4), replicas=2, epochs=4, snapshots=3).sel(
        layer=["layer1", "layer2", "layer3"]
    )
    found = fp.layer_budget(rec, replica=[0, 1], samples=200)
    assert dict(found.layer_energy.sizes) == {"replica": 2, "epoch": 3, "layer": 2}
    part = fp.layer_budget(rec.sel(epoch=[int(rec.epochs[-1])]), replica=[1], samples=200)
    for name in found.data_vars:
        assert np.array_equal(found[name].isel(replica=[1], epoch=[-1]), part[name], equal_nan=True), name


@pytest.mark.parametrize(("dimension", "few"), [(2, False), (60, True)])
def test_few_rows_for_the_dimension_are_flagged(dimension, few):
    x = np.random.default_rng(0).normal(size=(400, dimension))
    turned = np.concatenate([-x[:, dimension // 2 :], x[:, : dimension // 2]], 1)
    found = of([x, (x + turned) / 2, turned])
    for name in ("transport", "coupling"):
        assert Flags.names(found[f"{name}_flags"]) == (("few_for_dimension",) if few else ())
    assert ("few_for_dimension" in fp.explain(found)) == few


def test_what_is_not_finite_is_flagged():
    path = np.repeat(np.cumsum(5 + RNG.normal(size=(3, 1, 20, 2)), 0), 2, 1)
    path[1, 1, 3, 0] = np.nan
    found = fp.layer_budget(fp.from_arrays({str(k): layer for k, layer in enumerate(path)}, epochs=[0, 1]))
    for name in ("energy", *TERMS, *(f"layer_{part}" for part in ("energy", *PARTS)), "sliced_wasserstein"):
        assert np.isfinite(found[name].sel(epoch=0)).all() and np.isnan(found[name].sel(epoch=1)).all()
        assert Flags.names(found[f"{name}_flags"].sel(epoch=1)) == ("not_finite",)
        assert Flags.names(found[f"{name}_flags"].sel(epoch=0)) == ()


def test_what_it_refuses(tokens):
    with pytest.raises(
        InputError, match=r"rec: found layers of 4, 4, 4, 2 units, expected layers .*layer=\['0', '1', '2'\]"
    ):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), Block(), Block(), torch.nn.Linear(4, 2))
        fp.layer_budget(fp.record(net, torch.randn(30, 3)))
    with pytest.raises(InputError, match="rec: found one layer"):
        fp.layer_budget(tokens.sel(layer="blocks.0"))
    with pytest.raises(InputError, match="from_inputs: found inputs that are not points, expected points of 4"):
        fp.layer_budget(tokens, from_inputs=True)
    with pytest.raises(InputError, match="clock: found 'arc'"):
        fp.layer_budget(tokens, clock="arc")
    with pytest.raises(InputError, match="rec: found layers in the order"):
        fp.layer_budget(tokens.sel(layer=["blocks.1", "blocks.0"]), clock="depth")
    with pytest.raises(InputError, match="samples: found 1001, expected at most 1,000"):
        fp.layer_budget(tokens, samples=1001)
    with pytest.raises(InputError, match="rec: found 10 samples"):
        of(np.zeros((2, 10, 3)))


def test_the_figure(tokens):
    found = fp.layer_budget(tokens)
    figure = show(found)
    assert figure.to_json() == fp.plot.layer_budget(found).to_json()
