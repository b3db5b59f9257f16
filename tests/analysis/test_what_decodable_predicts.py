"""A control: where a layer adds nothing decodable, the network can do without it and what comes after."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

import flowplane as fp


@pytest.fixture(scope="module")
def network():
    """Two digits, and whether their sum is even: not decodable from the pictures, so that layers have to find it."""
    data = load_digits()
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(data.data), (6000, 2))
    x = torch.tensor(data.data[pairs].reshape(6000, -1) / 16, dtype=torch.float32)
    y = torch.tensor(data.target[pairs].sum(1) % 2)
    torch.manual_seed(0)
    widths = [128, 128, 64, 64, 64, 64]
    parts = []
    for before, after in pairwise(widths):
        parts += [nn.Linear(before, after), nn.ReLU()]
    model = nn.Sequential(*parts, nn.Linear(64, 2))
    optimizer = torch.optim.Adam(model.parameters(), 0.002)
    for _ in range(25):
        for rows in torch.randperm(4500).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model, x, y


def readout(model, depth, x, y):
    """Accuracy on the last 1,000 pairs of a linear readout after so many modules, fitted to what trained the network."""
    with torch.no_grad():
        rows = model[:depth](x).numpy()
    fitted = LogisticRegression(max_iter=2000, C=0.1).fit(rows[:4500], y[:4500])
    return float(fitted.score(rows[5000:], y[5000:]))


def test_what_adds_nothing_can_be_pruned(network):
    model, x, y = network
    rec = fp.record(model, x[4500:5000], y[4500:5000], layers=[str(2 * k + 1) for k in range(5)])
    plane = fp.information_plane(rec).isel(replica=0, epoch=0)
    bits, error = plane.i_ty.values, plane.i_ty_error.values
    with torch.no_grad():
        whole = float((model(x[5000:]).argmax(1) == y[5000:]).double().mean())
    accuracy = [readout(model, 2 * k + 2, x, y) for k in range(5)]
    adds = np.diff(bits) > 1.96 * np.hypot(error[1:], error[:-1])
    assert adds.any() and not adds.all()
    plateau = 1 + int(np.flatnonzero(adds).max())
    # pruned after the last layer that adds: as good as the whole network; pruned before it: worse
    assert accuracy[plateau] > whole - 0.03
    assert accuracy[0] < whole - 0.1
    assert np.corrcoef(bits, accuracy)[0, 1] > 0.95
