"""The section on a residual stream: where there is one, what it says of the budget, and nothing elsewhere."""

import numpy as np
import pytest
import torch
from page_reading import Read

import flowplane as fp
from flowplane.reporting.flow_numbers import share
from flowplane.reporting.stream_words import stream_words


class Block(torch.nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.inside = torch.nn.Linear(width, width)

    def forward(self, x):
        return x + torch.tanh(self.inside(x))


@pytest.fixture(scope="module")
def rec():
    torch.manual_seed(0)
    model = torch.nn.Sequential(Block(), Block(), Block(), torch.nn.Linear(6, 2))
    x = torch.randn(60, 6)
    with fp.Recorder(model, x, x[:, 0] > 0, snapshots=3) as recorder:
        for epoch in range(2):
            with torch.no_grad():
                for block in model[:3]:
                    block.inside.weight.mul_(1.5)
            recorder.step(epoch + 1)
    return recorder.recording


def test_a_page_has_the_streams_budget(rec, tmp_path):
    read = Read(fp.report(rec, tmp_path / "report.html").read_text(encoding="utf-8"))
    said = " ".join(read.sections["stream"].split())
    found = fp.layer_budget(rec.sel(layer=["0", "1", "2"]), from_inputs=True).isel(replica=0, epoch=-1)
    assert "A residual stream, each block adding to the one before: from the inputs through 3 blocks" in said
    assert f"{share(found, 'bending')} on bending" in said
    assert "60 samples; ± is one standard error" in said
    assert "layer-budget" in read.figures()


def test_words_of_few_of_nothing_and_of_one_epoch():
    x = np.random.default_rng(0).normal(size=(40, 60))
    wide = stream_words(fp.layer_budget(fp.from_arrays({"0": x, "1": x[:, ::-1] + 0.1, "2": x})))
    assert any(sentence.startswith("At epoch 0 the points lie too far apart") for sentence in wide)
    still = stream_words(fp.layer_budget(fp.from_arrays({"0": x, "1": x})))
    assert "costs 0 squared units of x" in " ".join(still) and not any("spends most" in sentence for sentence in still)
    assert stream_words(fp.layer_budget(fp.from_arrays({"0": x, "1": x * np.nan}))) == [
        "Activations are NaN or infinite, so nothing is said of the residual stream."
    ]
