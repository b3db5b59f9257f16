"""Arguments of any kind: what is cut with the samples, what is handed on as it is, how the model is called."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recorder.inputs import read_inputs

#: What torch says of CSR when it is first used.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(40, 4, generator=GENERATOR)
Y = torch.arange(40) % 3
MODEL = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
EXPECTED = MODEL(X).detach().numpy()


def last(*arguments, **named):
    rec = fp.record(*arguments, **named)
    return rec.activations(rec.layers[-1]).values[0, 0]


def matches(*arguments, **named):
    np.testing.assert_allclose(last(*arguments, **named), EXPECTED, atol=1e-6)


class Flags(nn.Module):
    """Asks for arguments that are no tensors."""

    def __init__(self):
        super().__init__()
        self.net = MODEL

    def forward(self, x, mask=None, flag=False, mode="low", scale=0.0, size=(1, 1), steps=(), choice=None):
        assert (mask, flag, mode, scale, size, choice) == (None, True, "high", 2.0, (7, 7), torch.float32)
        assert list(steps) == [1, 2, 3]
        return self.net(x)


OTHERS = {
    "mask": None,
    "flag": True,
    "mode": "high",
    "scale": 2.0,
    "size": (7, 7),
    "steps": [1, 2, 3],
    "choice": torch.float32,
}


def test_what_is_no_tensor_is_handed_on_as_it_is():
    model = Flags()
    matches(model, {"x": X, **OTHERS})
    matches(model, (X, *OTHERS.values()))
    matches(model, [X, *OTHERS.values()])
    matches(model, {"x": X.numpy(), **OTHERS}, batch=7)
    assert fp.record(model, (X, *OTHERS.values())).input_points is not None  # the only argument that samples have
    zero = read_inputs((X, torch.tensor(3.0), np.float64(2)))[0].batch(0, 3, "cpu")[0]
    assert zero[1:] == (3.0, 2.0) and zero[0].shape == (3, 4)


def test_arguments_in_arguments():
    Pair = namedtuple("Pair", "left right")

    @dataclass
    class Bag:
        values: torch.Tensor
        note: str

    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = MODEL

        def forward(self, pair, bag, table):
            assert isinstance(pair, Pair) and pair.right is None and bag.note == "n"
            assert len(pair.left) == len(bag.values) == len(table["t"])
            return self.net(pair.left + 0 * bag.values + 0 * table["t"])

    matches(Nested(), (Pair(X, None), Bag(X, "n"), {"t": X.numpy()}), batch=9)


def test_lists_are_samples():
    matches(MODEL, list(X))
    matches(MODEL, list(X.numpy()))
    matches(MODEL, X.tolist())
    matches(MODEL, [{"input": x, "labels": y} for x, y in zip(X, Y, strict=True)])
    rec = fp.record(MODEL, list(zip(X, Y.tolist(), strict=True)))
    np.testing.assert_array_equal(rec.task.labels, Y)
    matches(MODEL, [{"x": x} for x in X], forward=lambda net, batch: net(torch.stack([each["x"] for each in batch])))


class Bagged(nn.Module):
    """Reads texts, and the mean of pictures of any size."""

    def __init__(self):
        super().__init__()
        self.bag, self.net = nn.EmbeddingBag(30, 4), nn.Linear(4, 3)

    def forward(self, texts=None, pictures=None):
        assert isinstance(texts if pictures is None else pictures, list)
        if texts is not None:
            return self.net(self.bag(torch.tensor([[ord(each) % 30 for each in text] for text in texts])))
        return self.net(torch.stack([picture.mean(0) for picture in pictures]))


def test_words_and_tensors_of_any_shape_are_cut_as_lists():
    model, texts = Bagged(), [f"{k % 7}{k % 3}" for k in range(40)]
    expected = model(texts).detach()
    for given in (texts, {"texts": texts}, {"texts": np.array(texts)}, (texts,)):
        rec = fp.record(model, given, layers="net", batch=13)
        np.testing.assert_allclose(rec.activations("net").values[0, 0], expected, atol=1e-6)
    assert len(np.unique(rec.task.inputs)) == len(set(texts))
    pictures = [torch.randn(1 + k % 5, 4, generator=GENERATOR) for k in range(40)]
    expected = model(pictures=pictures).detach()
    np.testing.assert_allclose(last(model, {"pictures": pictures}, layers="net"), expected, atol=1e-6)


class Graph:
    """A sample that is an object."""

    def __init__(self, x):
        self.x = x


def test_objects_with_forward():
    graphs = [Graph(x) for x in X]

    def together(net, batch):
        return net(torch.stack([graph.x for graph in batch]))

    class Graphs(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, k):
            return graphs[k]

    matches(MODEL, graphs, forward=together)
    matches(MODEL, Graphs(), Y, forward=together, batch=11)
    matches(MODEL, Graph(X), Y, forward=lambda net, graph: net(graph.x), batch=None)


def test_a_batch_is_what_the_inputs_are():
    seen = []

    def forward(net, batch):
        seen.append(batch)
        return net(batch["x"].float())

    matches(MODEL, {"x": X.double(), "labels": Y, "name": "n"}, forward=forward, batch=17)
    assert [len(batch["labels"]) for batch in seen[-3:]] == [17, 17, 6]
    assert all(batch["name"] == "n" and batch["x"].dtype == torch.float64 for batch in seen)
    matches(MODEL, (X, None), forward=lambda net, batch: net(batch[0]))
    assert fp.record(MODEL, {"x": X, "labels": Y}, forward=lambda net, batch: net(batch["x"])).task.labels is not None


class Convolution(nn.Module):
    """A network of a whole graph."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x, edges, weight=None):
        hidden = torch.relu(self.a(x))
        return self.b(torch.zeros_like(hidden).index_add_(0, edges[1], hidden[edges[0]]))


EDGES = torch.randint(40, (2, 90), generator=GENERATOR)


def test_a_whole_graph_in_one_call():
    model = Convolution()
    expected = model(X, EDGES).detach()
    for given in ((X, EDGES), {"edges": EDGES, "x": X}, (X.double(), EDGES, torch.ones(90).double())):
        rec = fp.record(model, given, Y, batch=None)
        np.testing.assert_array_equal(rec.activations("b").values[0, 0], expected)
        assert rec.input_points is None and len(np.unique(rec.task.inputs)) == 40
    assert len(fp.record(model, (X, EDGES), batch=None).task.inputs) == 40
    with pytest.raises(InputError, match=r"inputs: found arrays of 2, 40 samples.*batch=None for .*a graph's edges"):
        fp.record(model, (X, EDGES), Y)
    square = torch.zeros(40, 40).index_put_((EDGES[1], EDGES[0]), torch.ones(90), accumulate=True)

    class Adjacent(Convolution):
        def forward(self, x, adjacency):
            return self.b(adjacency @ torch.relu(self.a(x)))

    other = Adjacent()
    other.load_state_dict(model.state_dict())
    for layout in (square, square.to_sparse(), square.to_sparse_csr()):
        np.testing.assert_allclose(last(other, (X, layout), Y, batch=None), expected, atol=1e-5)
        with pytest.raises(InputError, match=r"on which the model fails.*all of them at once.*needs batch=None"):
            fp.record(other, (X, layout), Y)


def test_the_number_of_samples_a_call():
    sizes = []

    def counted(net, batch):
        sizes.append(len(batch))
        return net(batch)

    for batch, expected in ((16, [16, 16, 8]), (None, [40]), (100, [40]), ("auto", [40])):
        sizes.clear()
        matches(MODEL, X, forward=counted, batch=batch)
        assert sizes[-len(expected) :] == expected
    for batch in (0, 2.5, "all", True):
        with pytest.raises(InputError, match="batch: found"):
            fp.record(MODEL, X, batch=batch)


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_sparse_inputs(layout):
    class Sparse(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 5, generator=torch.Generator().manual_seed(0)))
            self.out = nn.Linear(5, 3)

        def forward(self, x):
            assert x.layout == layout
            return self.out(x.to_sparse_coo() @ self.weight)

    model, dense = Sparse(), X.relu().round()
    rec = fp.record(model, dense.double().to_sparse(layout=layout), Y, batch=7)
    with torch.no_grad():
        np.testing.assert_allclose(rec.activations("out").values[0, 0], model.out(dense @ model.weight), atol=1e-6)
    assert rec.input_points is None and len(np.unique(rec.task.inputs)) == len(np.unique(dense, axis=0))


def test_a_sparse_sample_may_have_several_axes():
    given, _ = read_inputs(X.relu().reshape(40, 2, 2).to_sparse())
    part = given.batch(3, 8, "cpu")[0][0]
    assert part.is_sparse and torch.equal(part.to_dense(), X.relu().reshape(40, 2, 2)[3:8])


def test_what_the_tracer_asks():
    given, _ = read_inputs({"x": X, "n": 3, "ids": Y, "many": [f"{k}" for k in range(40)]})
    batch = given.batch(5, 9, "cpu")
    assert [len(values) for values in given.sample_tensors(batch)] == [4, 4]
    assert given.sample_tensors(batch)[0] is batch[1]["x"]
    order = torch.randperm(40, generator=GENERATOR)
    taken = given.take(order)
    assert torch.equal(taken.given["x"], X[order]) and taken.given["many"] == [f"{k}" for k in order.tolist()]
    assert taken.count == 40 and given.take(order[:6]).count == 6
    whole, _ = read_inputs((X, EDGES), batch=None)
    assert whole.whole and whole.take(order) is whole and whole.sample_tensors(whole.batch(0, 40, "cpu"))[0].shape == (40, 4)


def test_loaders_of_anything():
    class Rows(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, k):
            return {"x": X[k], "text": f"{k}", "pair": (X[k], {"deep": X[k, 0]})}, int(Y[k])

    given, labels = read_inputs(DataLoader(Rows(), 7))
    assert given.given["text"] == [f"{k}" for k in range(40)] and torch.equal(labels, Y)
    assert torch.equal(given.given["pair"][0], X) and torch.equal(given.given["pair"][1]["deep"], X[:, 0])


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([X[0], X[0, :3]] * 20, {}, r"a list of samples of shapes \(3,\), \(4,\), expected samples of one shape: pad them"),
        ([X], {}, "found a list of 1 sample, expected two samples or more; arguments are a tuple"),
        ([X, X], {"labels": Y}, r"labels: found shape \(40,\).*; a tuple holds arguments, a list samples"),
        ([Graph(x) for x in X], {}, "a list of Graph, expected a list of tensors, or forward="),
        (DataLoader([Graph(x) for x in X], collate_fn=list), {}, r"batches of .*, expected batches of tensors, or a list"),
        (Graph(X), {"batch": None}, "expected labels, one per sample: inputs that are passed on whole do not say how many"),
        (Graph(X), {}, "inputs: found no arrays, expected a tensor, a dict or tuple of tensors"),
        (
            torch.nested.nested_tensor(list(X), layout=torch.jagged),
            {},
            "inputs: found a nested tensor, expected a padded one",
        ),
        ([[1.0, 2.0], [1.0]] * 20, {}, "all rows equally long"),
        ({"input": [[1.0, 2.0], [1.0]] * 20}, {}, "all rows equally long"),
        ({"input": X, "extra": [[1, 2]] * 3}, {}, "arrays of 3, 40 samples"),
        ({"input": X, "extra": [Graph(1)] * 3}, {}, r"inputs\['extra'\]: found list of length 3, expected 40 samples"),
        (None, {}, "inputs: found None, expected a tensor"),
        (X, {"forward": 3}, r"forward: found 3, expected a callable \(model, batch\)"),
        (X, {"forward": lambda net, batch: net(batch["x"])}, r"forward: found shape \(40, 4\), on which the model fails"),
        (X[:, :3], {}, r"inputs: found shape \(40, 3\), on which the model fails: mat1 and mat2 shapes"),
    ],
)
def test_what_is_refused_in_words(inputs, options, message):
    with pytest.raises(InputError, match=message):
        fp.record(MODEL, inputs, **options)
