"""How long does the information plane of a real network take, and what a probe decodes of very many snapshots?

The digits convnet of docs/papers.md §D1 (16 snapshots, 400 probes, ten classes) and a ResNet-18 on 64 × 64 (500 probes,
3 snapshots); then `fp.Decodable` on 100 snapshots × 10 layers × 500 samples × 64 units, two classes and ten, beside
scikit-learn's LogisticRegression with the same nested choice of the strength on a few of them; CKA of all layers beside
pytorch-cka on the same features. Prints a Markdown table.

    python benchmarks/plane.py
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

import flowplane as fp
from flowplane.transport.layers.similarity import cka_matrix


def convnet() -> nn.Sequential:
    """As docs/papers.md has it."""
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    then = [nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*first, *then, nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10))


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
        self.conv2, self.bn2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        same = stride == 1 and inside == outside
        self.around = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(inside, outside, 1, stride), nn.BatchNorm2d(outside))
        )

    def forward(self, x: Tensor) -> Tensor:
        """A residual step."""
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + self.around(x))


def resnet18() -> nn.Sequential:
    """He et al. (2016), 11 million weights."""
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    widths = [
        (64, 64, 1),
        (64, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
        (256, 512, 2),
        (512, 512, 1),
    ]
    blocks = [Block(*each) for each in widths]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def recorded(model: nn.Module, x: Tensor, y: Tensor, snapshots: int) -> fp.Recording:
    """Snapshots of a model whose weights move at random: what it costs does not depend on what it learned."""
    with fp.Recorder(model, x, y, epochs=snapshots - 1, snapshots=snapshots) as recorder:
        for _ in range(snapshots - 1):
            with torch.no_grad():
                for part in model.parameters():
                    part.add_(0.05 * part.abs().mean() * torch.randn_like(part))
            recorder.step()
    return recorder.recording


def seconds_of(call: object) -> float:
    """Of one call, after a small one that loads what is loaded late."""
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - began


def peer(rows: np.ndarray, labels: np.ndarray) -> None:
    """One snapshot by scikit-learn: five folds, five strengths chosen on a quarter of each training set."""
    for train, _ in StratifiedKFold(5, shuffle=True, random_state=0).split(rows, labels):
        search, choice = next(iter(StratifiedKFold(4, shuffle=True, random_state=0).split(train, labels[train])))
        tried = []
        for strength in (0.01, 0.1, 1.0, 10.0, 100.0):
            model = LogisticRegression(C=1 / strength, max_iter=300).fit(rows[train][search], labels[train][search])
            tried.append((model.score(rows[train][choice], labels[train][choice]), strength))
        LogisticRegression(C=1 / max(tried)[1], max_iter=300).fit(rows[train], labels[train])


def similarity(rec: fp.Recording) -> None:
    """Linear CKA between all layers of the last snapshot, beside pytorch-cka on the same features."""
    layers = [rec.activations(layer).isel(replica=0, epoch=-1).values.astype(float) for layer in rec.layers]
    spent = seconds_of(lambda: cka_matrix(layers))
    what = f"CKA of {len(layers)} layers × {len(layers[0])} samples × {min(a.shape[1] for a in layers)} to "
    what += f"{max(a.shape[1] for a in layers)} units"
    try:
        from cka import cka_from_features
    except ImportError:
        print(f"| {what} (pip install pytorch-cka for the peer) | {spent:.3f} | |")
        return
    features = [torch.from_numpy(layer) for layer in layers]
    other = seconds_of(lambda: cka_from_features(features, features))
    apart = np.abs(cka_matrix(layers) - cka_from_features(features, features).numpy()).max()
    print(f"| {what} (pytorch-cka: {other:.3f}; largest difference {apart:.0e}) | {spent:.3f} | |")


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    digits = load_digits()
    x, y = torch.tensor(digits.images[:500] / 16, dtype=torch.float32)[:, None], torch.tensor(digits.target[:500])
    fp.information_plane(fp.record(nn.Linear(64, 3), x.flatten(1)[:60], y[:60]))
    print("| | seconds | aim |\n|---|---|---|")
    large = nn.functional.interpolate(x, 64).expand(-1, 3, -1, -1).contiguous()
    jobs = {"the digits convnet": (convnet(), x[:400], y[:400], 16, 12), "a ResNet-18": (resnet18(), large, y, 3, 8)}
    for name, (model, inputs, labels, snapshots, aim) in jobs.items():
        rec = recorded(model, inputs, labels, snapshots)
        spent = seconds_of(lambda rec=rec: fp.information_plane(rec))
        what = f"plane of {name}, {len(rec.layers)} layers × {snapshots} snapshots × {len(inputs)} probes"
        print(f"| {what} | {spent:.1f} | {aim} |", flush=True)
    similarity(rec)
    rng = np.random.default_rng(0)
    layers = rng.normal(size=(10, 100, 500, 64))
    for classes, aim in ((2, 10), (10, 60)):
        labels = rng.integers(0, classes, 500)
        spent = seconds_of(lambda labels=labels: [fp.Decodable()(layer, labels) for layer in layers])
        other = seconds_of(lambda labels=labels: [peer(layer, labels) for layer in layers[0, :3]]) * 1000 / 3
        what = f"decodable bits, {classes} classes, 100 snapshots × 10 layers × 500 samples × 64 units"
        print(f"| {what} (scikit-learn, scaled up from 3: {other:,.0f}) | {spent:.1f} | {aim} |", flush=True)


if __name__ == "__main__":
    main()
