"""Two of our own numbers that contradict each other are flagged; and three faults of 0.1 with their right answers (§D2)."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import flowplane as fp
from flowplane.analysis.consistency import fano
from flowplane.core.results import Flags


@pytest.fixture(scope="module")
def rec():
    """A small network on digits, whose output decodes ten classes."""
    data = load_digits()
    x, y = torch.tensor(data.data[:1000] / 16, dtype=torch.float32), torch.tensor(data.target[:1000])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    with fp.Recorder(model, x[:500], y[:500], epochs=30, snapshots=3) as recorder:
        for _ in range(30):
            for rows in torch.randperm(1000).split(100):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
                optimizer.step()
            recorder.step()
    return recorder.recording


def names(plane, quantity="i_ty"):
    return set(Flags.names(plane[f"{quantity}_flags"]))


def test_fano():
    """Binary: 1 − h(e); certainty: H(Y); chance: nothing."""
    fair = np.array([0.5, 0.5])
    assert float(fano(np.array(0.9), fair)) == pytest.approx(1 + 0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    assert float(fano(np.array(1.0), np.full(8, 0.125))) == pytest.approx(3.0)
    assert float(fano(np.array(0.1), np.full(10, 0.1))) == pytest.approx(0.0, abs=1e-12)
    assert float(fano(np.array(0.99), np.full(10, 0.1))) > 3.2


def test_an_output_that_decodes_ten_digits_holds_their_bits(rec):
    """0.1 said 0.12 bit, through noise of 100 variances a unit that nobody had asked for."""
    last = fp.information_plane(rec).isel(replica=0, epoch=-1, layer=-1)
    prior = np.bincount(rec.task.labels) / 500
    assert float(last.accuracy) > 0.97 and float(last.i_ty_lower) > 3.0
    assert float(last.i_ty_upper) > float(fano(last.accuracy_lower.values, prior))
    through_noise = fp.information_plane(rec, fp.Pairwise(100.0, relative="unit")).isel(replica=0, epoch=-1, layer=-1)
    assert float(through_noise.i_ty) < 0.5
    assert {"hidden_by_channel", "width_limited"} <= names(through_noise)
    assert "not a contradiction" in fp.explain(fp.information_plane(rec, fp.Pairwise(100.0, relative="unit"))).lower()


def test_the_output_reads_the_same_beside_other_layers(rec):
    """0.1: 0.11, 0.96 or 3.03 bits, by which other layers were shown."""
    found = [fp.information_plane(rec.sel(layer=layers)).sel(layer="4") for layers in (["4"], ["0", "4"], list(rec.layers))]
    for other in found[1:]:
        np.testing.assert_allclose(other.i_ty, found[0].i_ty, atol=1e-5)
        np.testing.assert_allclose(other.i_xt, found[0].i_xt, atol=1e-9)


def test_page_and_function_agree(rec, tmp_path):
    """0.1: two values of one recording on two pages."""
    import re

    value = float(fp.information_plane(rec).isel(replica=0, epoch=-1, layer=-1).i_ty)
    for source in (rec, [rec, rec.sel(layer=["2", "4"])]):
        page = fp.report(source, tmp_path / "report.html").read_text()
        assert re.search(rf">{value:.3g} \[", page), f"{value:.3g}"


def test_an_estimate_without_a_channel_is_contradicted():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600)
    layer = rng.normal(size=(600, 12)) * np.r_[1.0, np.full(11, 20.0)]
    layer[:, 0] += 6.0 * labels
    table = fp.compare_estimators(
        layer, labels, estimators=[fp.KSG(rescale=False), fp.GaussianMI(), fp.Binned(4), fp.Decodable()]
    )
    raised = {name: set(Flags.names(table.i_ty_flags.sel(estimator=name))) for name in table.estimator.values}
    assert "contradicted" in raised["KSG"] or float(table.i_ty.sel(estimator="KSG")) > 0.9
    assert "contradicted" not in raised["GaussianMI"] and not raised["Decodable"]
    sliced = fp.compare_estimators(layer, labels, estimators=[fp.SlicedMI(fp.GaussianMI()), fp.Decodable()])
    assert "contradicted" not in Flags.names(sliced.i_ty_flags)  # sliced information is another quantity
    quiet = fp.compare_estimators(layer, rng.integers(0, 2, 600), estimators=[fp.KSG(), fp.Decodable()])
    assert "contradicted" not in Flags.names(quiet.i_ty_flags)


def test_lower_bounds_are_contradicted_by_nothing(rec):
    part = rec.sel(epoch=rec.epochs[-1], layer="4")
    plane = fp.information_plane(part, fp.Variational("classifier", epochs=1))
    assert not {"contradicted", "hidden_by_channel"} & names(plane)
