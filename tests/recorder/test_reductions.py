"""From what a layer returns to a row a sample: each rule against a loop over samples, padding passed over."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recorder.hashing import HASHED, hashed

GENERATOR = torch.Generator().manual_seed(0)
IDS = torch.randint(1, 9, (30, 7), generator=GENERATOR)
LENGTHS = torch.randint(1, 8, (30,), generator=GENERATOR)


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Embedding(9, 6), nn.Linear(6, 4)

    def forward(self, input_ids, attention_mask):
        return self.mix(self.embed(input_ids)).relu()


MODEL = Tokens()
#: What each rule makes of the tokens of one sample that are none of padding, (token, unit).
RULES = {
    "mean": lambda tokens: tokens.mean(0),
    "max": lambda tokens: tokens.amax(0),
    "last": lambda tokens: tokens[-1],
    "cls": lambda tokens: tokens[0],
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("left", [False, True], ids=["padded right", "padded left"])
def test_padding_is_passed_over(rule, left):
    place = torch.arange(7)
    mask = place >= 7 - LENGTHS[:, None] if left else place < LENGTHS[:, None]
    rec = fp.record(MODEL, {"input_ids": IDS, "attention_mask": mask.long()}, reduce=rule)
    outputs = MODEL.mix(MODEL.embed(IDS)).detach()
    expected = torch.stack([RULES[rule](row[kept]) for row, kept in zip(outputs, mask, strict=True)])
    np.testing.assert_allclose(rec.activations("mix").values[0, 0], expected, atol=1e-6)


def test_a_callable_gets_the_mask_if_it_takes_one():
    mask = torch.arange(7) < LENGTHS[:, None]
    inputs = {"input_ids": IDS, "attention_mask": mask.long()}
    outputs = MODEL.mix(MODEL.embed(IDS)).detach()
    first = fp.record(MODEL, inputs, reduce=lambda rows: rows[:, 0])
    np.testing.assert_allclose(first.activations("mix").values[0, 0], outputs[:, 0], atol=1e-6)
    summed = fp.record(MODEL, inputs, reduce=lambda rows, mask: (rows * mask.unsqueeze(2)).sum(1))
    expected = (outputs * mask.unsqueeze(2)).sum(1)
    np.testing.assert_allclose(summed.activations("mix").values[0, 0], expected, atol=1e-5)


def test_a_mask_of_other_places_than_the_layers_is_not_taken():
    """A layer with half as many places as the mask is averaged over all of them."""

    class Strided(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv1d(3, 5, 2, stride=2), nn.Linear(5, 2)

        def forward(self, x, attention_mask):
            return self.head(self.conv(x.mT).mT)

    model, x = Strided(), torch.randn(30, 8, 3, generator=GENERATOR)
    mask = torch.arange(8) < LENGTHS[:, None]
    rec = fp.record(model, {"x": x, "attention_mask": mask.long()}, layers="head", reduce="mean")
    expected = model(x, mask).detach().mean(1)
    np.testing.assert_allclose(rec.activations("head").values[0, 0], expected, atol=1e-6)


class Scaled(nn.Module):
    """Nothing tells which axis of its maps is units."""

    def __init__(self):
        super().__init__()
        self.scale, self.head = nn.Softplus(), nn.Linear(60, 2)

    def forward(self, x):
        return self.head(self.scale(x).flatten(1))


def test_units_that_are_not_known_are_said_and_can_be_given():
    model, x = Scaled(), torch.randn(30, 3, 4, 5, generator=GENERATOR)
    values = nn.functional.softplus(x)
    lost = fp.record(model, x, reduce="mean")
    assert lost.attrs["layers"][0]["reduce"] == "flattened (which axis is units is not known)"
    np.testing.assert_allclose(lost.activations("scale").values[0, 0], values.flatten(1), atol=1e-6)
    for layout, axis in (("channels_last", (1, 2)), ("channels_first", (2, 3))):
        rec = fp.record(model, x, reduce="mean", layout={"sc*": layout})
        np.testing.assert_allclose(rec.activations("scale").values[0, 0], values.mean(axis), atol=1e-6)
    with pytest.raises(InputError, match=r"layout: found 'channels_last' for layer 'head' with outputs of shape"):
        fp.record(model, x, layout={"head": "channels_last"})
    with pytest.raises(InputError, match="layout: found 'middle', expected one of channels_first, channels_last"):
        fp.record(model, x, layout={"scale": "middle"})


def test_hashing_keeps_distances_and_is_one_linear_map():
    one, other = torch.randn(2, 60, 20_000, generator=GENERATOR)
    both = hashed(one), hashed(other)
    assert both[0].shape == (60, HASHED)
    torch.testing.assert_close(hashed(one + other), both[0] + both[1], rtol=0, atol=1e-3)
    ratio = torch.cdist(*both) / torch.cdist(one, other)
    # of Gaussian points: a chi-square of 512 numbers, relative spread of its root 1/√1024
    assert abs(ratio.mean() - 1) < 0.01 and ratio.std() < 0.05


def test_facts_of_layers_are_coordinates_of_results():
    mask = torch.ones(30, 7, dtype=torch.long)
    rec = fp.record(MODEL, {"input_ids": IDS, "attention_mask": mask}, torch.arange(30) % 2)
    plane = fp.information_plane(rec, fp.KSG(noise_variance=0.1))
    assert plane["layer_type"].values.tolist() == ["Embedding", "Linear", "Tokens"]
    assert set(plane["reduction"].values) == {"mean over tokens"} and plane["deterministic"].values.all()
