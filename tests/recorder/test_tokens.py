"""Every token a row: which ones, and where they come from."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.mix = nn.Embedding(11, 6), nn.Linear(6, 5)

    def forward(self, input_ids, attention_mask=None):
        return self.mix(self.tokens(input_ids))


def ids(samples, length):
    return torch.randint(11, (samples, length), generator=torch.Generator().manual_seed(0))


def test_rows_say_which_sample_and_token_they_are():
    model, x = Tagger(), ids(30, 7)
    mask = torch.arange(7) < torch.arange(30)[:, None] % 7 + 1
    rec = fp.record(model, {"input_ids": x, "attention_mask": mask.long()}, reduce="tokens")
    rows = rec.activations("mix")
    assert rows.sizes["sample"] == int(mask.sum())
    expected = model(x).detach()[rows["sample"].values.copy(), rows["token"].values.copy()]
    np.testing.assert_allclose(rows.values[0, 0], expected, atol=1e-6)
    assert mask[rows["sample"].values.copy(), rows["token"].values.copy()].all() and not rec.attrs["tokens"]


def test_at_most_4096_drawn_with_a_seed():
    model, x = Tagger(), ids(300, 40)
    labels = (x > 5).long().masked_fill(x == 0, -100)
    recs = [fp.record(model, x, labels, reduce="tokens", path=None) for _ in range(2)]
    rows = [rec.activations("tokens") for rec in recs]
    assert rows[0].sizes["sample"] == 4096 and rows[0].identical(rows[1])
    places = rows[0]["sample"].values * 40 + rows[0]["token"].values
    assert (np.diff(places) > 0).all()
    token = x[rows[0]["sample"].values.copy(), rows[0]["token"].values.copy()]
    assert (token != 0).all()  # those without a label are no rows
    np.testing.assert_array_equal(recs[0].task.labels, token > 5)
    assert recs[0].attrs["tokens"] == f"4,096 of {int((x != 0).sum()):,}, drawn with seed 0"
    # an even draw: each place is as likely as any other, within five standard errors
    drawn = np.bincount(rows[0]["token"].values, minlength=40)
    share = (x != 0).sum(0).numpy() / int((x != 0).sum())
    assert (abs(drawn - 4096 * share) < 5 * np.sqrt(4096 * share)).all()


def test_places_of_maps_are_rows_too():
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1))
    x = torch.randn(20, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = (x[:, 0] > 0).long()
    rec = fp.record(model, x, labels, reduce="tokens")
    expected = model(x).detach().movedim(1, 3).reshape(-1, 2)
    np.testing.assert_allclose(rec.activations("2").values[0, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(rec.task.labels, labels.flatten())
    with pytest.raises(InputError, match=r"reduce: found layers of \[4, 16\] tokens"):
        fp.record(nn.Sequential(nn.Conv2d(1, 3, 1), nn.MaxPool2d(2)), x[:, :, :, :4], reduce="tokens")
