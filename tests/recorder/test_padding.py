"""Which tokens are padding: by the usual names, by what their values say, or by `mask=`."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recorder.inputs import read_inputs

GENERATOR = torch.Generator().manual_seed(0)
IDS = torch.randint(7, (24, 5), generator=GENERATOR)
LENGTHS = 1 + torch.arange(24) % 5
KEPT = torch.arange(5) < LENGTHS[:, None]
LEFT = KEPT.flip(1)


def found(model=None, **named):
    return read_inputs({"ids": IDS, **named}, model)[0].mask


@pytest.mark.parametrize(
    "named",
    [
        {"attention_mask": KEPT.long()},
        {"attention_mask": KEPT.float()},
        {"attention_mask": KEPT[:, None, None]},
        {"attention_mask": torch.zeros(24, 5).masked_fill(~KEPT, -torch.inf)},
        {"input_mask": KEPT},
        {"key_padding_mask": ~KEPT},
        {"src_key_padding_mask": ~KEPT},
        {"src_key_padding_mask": torch.zeros(24, 5).masked_fill(~KEPT, -1e9)},
        {"padding_mask": KEPT},
        {"padding_mask": ~KEPT},
        {"mask": KEPT.numpy()},
        {"mask": (~KEPT).int()},
    ],
)
def test_usual_names(named):
    assert torch.equal(found(**named), KEPT)


def test_padding_at_the_other_side():
    assert torch.equal(found(padding_mask=LEFT), LEFT) and torch.equal(found(padding_mask=~LEFT), LEFT)
    assert torch.equal(found(attention_mask=LEFT), LEFT) and torch.equal(found(key_padding_mask=~LEFT), LEFT)


def test_what_does_not_tell_is_no_padding_mask_and_said():
    either_way = (
        torch.arange(5) < (1 + torch.arange(24) % 4)[:, None]
    )  # each sample begins with one value, ends with the other
    random = torch.rand(24, 5, generator=GENERATOR) > 0.5
    for values in (either_way, random):
        with pytest.warns(RuntimeWarning, match=r"'mask' is not used as a padding mask.*mask= \(sample, token\)"):
            assert found(mask=values) is None
    assert found(mask=torch.ones(24, 5)) is None and found(mask=None) is None
    assert found(attention_mask=torch.ones(24, 5, 5)) is None  # pairs of tokens
    assert found() is None


def test_the_names_of_positional_arguments_are_those_of_forward():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(7, 6)
            self.layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, dropout=0.0)

        def forward(self, ids, src_key_padding_mask=None):
            return self.layer(self.tokens(ids), src_key_padding_mask=src_key_padding_mask)

    model = Encoder().eval()
    values = model(IDS, ~KEPT).detach()
    expected = torch.stack([row[:length].mean(0) for row, length in zip(values, LENGTHS, strict=True)])
    by_place, by_name = (IDS, ~KEPT), {"ids": IDS, "src_key_padding_mask": ~KEPT}
    given = [fp.record(model, by_place), fp.record(model, by_name)]
    asked = fp.record(model, by_name, forward=lambda net, batch: net(batch["ids"], batch["src_key_padding_mask"]))
    other = fp.record(model, IDS, mask=KEPT, forward=lambda net, ids: net(ids, ids < 0))
    for rec in (*given, asked):
        np.testing.assert_allclose(rec.activations("layer").values[0, 0], expected, atol=1e-6)
    plain = model(IDS).detach()
    expected = torch.stack([row[:length].mean(0) for row, length in zip(plain, LENGTHS, strict=True)])
    np.testing.assert_allclose(other.activations("layer").values[0, 0], expected, atol=1e-6)


def test_a_mask_of_ones_own():
    everything = {"ids": IDS, "attention_mask": torch.ones(24, 5)}
    assert torch.equal(read_inputs(everything, mask=KEPT.long().tolist())[0].mask, KEPT)
    for mask, message in (
        (KEPT[:9], r"mask: found shape \(9, 5\), expected shape \(24, tokens\)"),
        (KEPT[:, 0], r"mask: found shape \(24,\)"),
        (2 * KEPT.long(), "mask: found numbers other than 0 and 1, expected True at tokens"),
        (KEPT & (LENGTHS[:, None] > 1), "mask: found 5 samples without a token"),
    ):
        with pytest.raises(InputError, match=message):
            read_inputs(everything, mask=mask)


def test_a_mask_follows_its_samples():
    given, _ = read_inputs({"ids": IDS, "attention_mask": KEPT})
    order = torch.randperm(24, generator=GENERATOR)
    taken = given.take(order)
    assert torch.equal(taken.mask, KEPT[order]) and torch.equal(taken.given["ids"], IDS[order])
