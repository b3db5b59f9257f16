"""Which modules are recorded, and what they are called."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def layers(model, inputs=X, **arguments):
    return fp.Recorder(model, inputs, **arguments).layers


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.act = nn.Linear(4, 4), nn.Linear(4, 3), nn.Tanh()

    def forward(self, x):
        return torch.log_softmax(self.act(self.second(self.act(self.first(x)))), 1)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.mlp = nn.LayerNorm(width), nn.Sequential(nn.Linear(width, width), nn.GELU())

    def forward(self, x):
        return x + self.mlp(self.norm(x))


class Backbone(nn.Module):
    """As transformers are built: embeddings, a list of blocks, a norm; positions have no samples."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(11, 8), nn.Embedding(5, 8)
        self.drop = nn.Dropout(0.1)
        self.blocks = nn.ModuleList(Block(8) for _ in range(3))
        self.norm = nn.LayerNorm(8)

    def forward(self, ids):
        x = self.drop(self.tokens(ids) + self.places(torch.arange(ids.shape[1])[None]))
        for block in self.blocks:
            x = block(x)
        return {"last_hidden_state": self.norm(x)}


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = Backbone(), nn.Linear(8, 11)

    def forward(self, ids):
        return {"loss": torch.tensor(0.0), "logits": self.head(self.backbone(ids)["last_hidden_state"])}


class Wrapper(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


def test_children_in_call_order_and_the_output():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first, self.unused = nn.Linear(5, 2), nn.Linear(4, 5), nn.Linear(1, 1)

        def forward(self, x):
            return self.last(torch.relu(self.first(x))).softmax(1)

    assert layers(Backwards()) == ("first", "relu", "last", "output")


def test_the_calls_of_a_shared_module_are_numbered():
    assert layers(Shared()) == ("first", "act#1", "second", "act#2", "output")
    assert layers(Shared(), layers="act") == ("act#1", "act#2")
    assert layers(Shared(), layers=["second", "act#2"]) == ("second", "act#2")
    rec = fp.Recorder(Shared(), X).start().recording
    first, second = (rec.activations(f"act#{k}").values for k in (1, 2))
    assert first.shape[-1] == 4 and second.shape[-1] == 3
    assert rec.activation_of("act#1") == "tanh" and rec.activation_of("first") is None


def test_containers_are_opened_and_copies_left_out():
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 6), nn.ReLU()), nn.Dropout(), nn.Flatten(), nn.Linear(6, 2))
    assert layers(model) == ("0.0", "0.1", "3")
    assert layers(nn.Linear(4, 2)) == ("output",)
    assert layers(Wrapper(Wrapper(model))) == ("model.model.0.0", "model.model.0.1", "model.model.3")


def test_a_transformers_residual_stream():
    ids = torch.randint(11, (6, 5), generator=torch.Generator().manual_seed(0))
    stream = tuple(f"backbone.blocks.{k}" for k in range(3))
    assert layers(Language(), ids) == ("backbone.tokens", *stream, "backbone.norm", "head")
    left_out = fp.Recorder(Language(), ids).left_out.set_index("name")["why"]
    assert left_out["backbone.places"] == "depends on no sample"
    assert left_out["backbone.drop"] == "returns its input unchanged"
    assert layers(Language(), ids, layers="backbone.blocks.*") == stream
    inside = ("backbone.blocks.0.norm", "backbone.blocks.0.mlp.0", "backbone.blocks.0.mlp.1", "backbone.blocks.0.mlp")
    assert layers(Language(), ids, layers="backbone.blocks.0.**") == (*inside, "backbone.blocks.0")
    assert layers(Language(), ids, layers=Block) == stream
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2)
    assert layers(encoder, torch.randn(3, 5, 4)) == ("layers.0", "layers.1")


def test_by_name_pattern_and_type():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    assert layers(model, layers=["2", "0"]) == ("0", "2")
    assert layers(model, layers=[nn.ReLU, "2"]) == ("1", "2")
    assert layers(model, layers="*") == ("0", "1", "2") and layers(model, layers=["0", "output"]) == ("0", "output")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("3", "layers: found '3', expected one of 0, 1"),
        (nn.Conv2d, "layers: found 'Conv2d'"),
        ("lin*", "layers: found 'lin.'"),
        (7, "layers: found 7"),
        ([], "layers: found"),
    ],
)
def test_layers_that_are_not_there(wanted, message):
    with pytest.raises(InputError, match=message):
        layers(nn.Sequential(nn.Linear(4, 6), nn.ReLU()), layers=wanted)


def test_layers_that_cannot_be_recorded():
    ids = torch.randint(11, (6, 5), generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=r"layers: found 'backbone.places', which depends on no sample"):
        layers(Language(), ids, layers="backbone.places")
    unused = nn.Sequential(nn.Linear(4, 4))
    unused[0].register_module("b", nn.Linear(1, 1))
    with pytest.raises(InputError, match=r"layers: found '0\.b', expected modules that the model calls"):
        layers(unused, layers="0.b")
    with pytest.raises(InputError, match=r"model: found str, expected a torch\.nn\.Module"):
        layers("model")
    with pytest.raises(InputError, match=r"model: found the class Linear, expected a torch\.nn\.Module"):
        layers(nn.Linear)
    with pytest.raises(InputError, match=r"inputs: found shape \(8, 4\), on which the model fails: mat1 and mat2"):
        layers(nn.Linear(5, 2))


def test_names_that_would_be_paths_or_markup():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("a/b", nn.Linear(4, 3))
            self.add_module("<script>alert(1)</script>", nn.Linear(3, 2))

        def forward(self, x):
            for part in self.children():
                x = part(x)
            return x

    with fp.Recorder(Odd(), X) as recorder:
        pass
    rec = recorder.recording
    assert rec.layers == ("a/b", "<script>alert(1)</script>") and rec.activations("a/b").shape == (1, 1, 8, 3)
    assert rec.layer_coordinates()["width"][1] == [3, 2]


def test_a_child_that_is_called_output():
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.output = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.output(torch.relu(self.hidden(x))).log_softmax(1)

    model = Head()
    with fp.Recorder(model, X) as recorder:
        pass
    assert recorder.layers == ("hidden", "relu", "output", "output of the model")
    values = recorder.recording.activations("output of the model").values[0, 0]
    np.testing.assert_allclose(values, model(X).detach(), atol=1e-6)
    assert layers(model, layers="output") == ("output",)


def test_models_that_cannot_be_looked_into():
    with pytest.raises(InputError, match="model: found a model on the meta device"):
        layers(nn.Linear(4, 2, device="meta"))


def test_as_many_samples_as_places():
    """Positions are not taken for samples."""
    backbone = Backbone()
    assert "places" not in layers(backbone, torch.randint(5, (8, 2)))
