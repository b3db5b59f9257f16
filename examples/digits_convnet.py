"""A small convolutional network on handwritten digits (8 × 8, from scikit-learn), recorded stage by stage.

    python examples/digits_convnet.py [--quick] [--out results]

Writes `digits-convnet.fp`, `digits-convnet.html`, and a page with the ten digits of which the last hidden layer is least
certain and the ten of which it is most, `digits-convnet-certain.html`. About 20 seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

import flowplane as fp


class Stage(nn.Module):
    """Convolution, batch normalisation, ReLU, and half the resolution."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.normalisation = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(torch.relu(self.normalisation(self.convolution(x))), 2)


class Dense(nn.Module):
    """A linear map and ReLU."""

    def __init__(self, units_in: int, units_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(units_in, units_out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.linear(x.flatten(1)))


class ConvNet(nn.Module):
    """8 × 8 grey values to ten logits: 16 × 4 × 4, 32 × 2 × 2, 64, 10."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = Stage(1, 16)
        self.stage2 = Stage(16, 32)
        self.dense = Dense(128, 64)
        self.logits = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.dense(self.stage2(self.stage1(x))))


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs and labels to train on (1,297) and to look at (500), in an order drawn once."""
    task = fp.tasks.digits()
    order = torch.randperm(len(task), generator=torch.Generator().manual_seed(0))
    inputs, labels = torch.tensor(task.inputs).reshape(-1, 1, 8, 8)[order], torch.tensor(task.labels)[order]
    return inputs[500:], labels[500:], inputs[:500], labels[:500]


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, labels: Tensor) -> float:
    """One pass over the training set in batches of 64; the mean loss in nats."""
    losses = []
    for batch in torch.randperm(len(inputs)).split(64):
        loss = nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def main(out: Path, quick: bool) -> None:
    """Train, record, report."""
    epochs = 3 if quick else 100
    torch.manual_seed(0)
    inputs, labels, probe, probe_labels = digits()
    model = ConvNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)

    out.mkdir(parents=True, exist_ok=True)
    path = out / "digits-convnet.fp"
    # layers: the model's children; feature maps of up to 1,024 numbers are flattened
    with fp.Recorder(model, probe, probe_labels, path=path, epochs=epochs, snapshots=60, mode="overwrite") as recorder:
        for epoch in range(epochs):
            loss = train_epoch(model, optimizer, inputs, labels)
            model.eval()
            with torch.no_grad():
                right = (model(probe).argmax(1) == probe_labels).float().mean()
            model.train()
            recorder.step(epoch=epoch + 1, train_loss=loss, probe_accuracy=right.item())

    rec = recorder.recording
    print(rec)
    print(f"accuracy on the probe inputs: {float(rec.metrics['probe_accuracy'][0, -1]):.3f}")
    fp.report(rec, out / "digits-convnet.html")
    print(f"report: {out / 'digits-convnet.html'}")

    # what each digit has of the layer's information, by denoising; networks beside class-wise normals take a minute more
    last, layer = int(rec.epochs[-1]), "dense"
    each = fp.pointwise_information(rec, layer=layer, epoch=last, denoiser="linear")
    figure = fp.plot.pointwise_information(each, images=probe)
    fp.plot.save(figure, out / "digits-convnet-certain.html")
    labels = probe_labels[torch.tensor(each["i_ty_each"].values[0].argsort())].tolist()
    print(f"least certain in {layer}: {labels[:10]}, most: {labels[:-11:-1]}")
    print(f"digits: {out / 'digits-convnet-certain.html'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds, and no results worth reading")
    parser.add_argument("--out", type=Path, default=Path("results/examples"), help="where the recording and the page go")
    arguments = parser.parse_args()
    main(arguments.out, arguments.quick)
