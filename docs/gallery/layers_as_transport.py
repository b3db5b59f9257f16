"""
A layer as optimal transport sees it
====================================

*How far does a layer move its data, and could it have done so with less?* Layers of equal width map points of a space into
the same space. The cost of the move is E|g(x) − x|²; the squared Wasserstein distance W_2² between the clouds before and
after is the least that any map with the same result would cost. Their ratio, the layer's optimality, is 1 where no
shorter way exists.
"""

import torch
from sklearn.datasets import make_moons
from torch import nn

import flowplane as fp

torch.manual_seed(0)
points, classes = make_moons(1500, noise=0.1, random_state=0)
inputs, labels = torch.tensor(points, dtype=torch.float32), torch.tensor(classes)


class Residual(nn.Module):
    """x + v(x): one step of a flow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.velocity = nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.velocity(x)


model = nn.Sequential(*[Residual(2) for _ in range(5)], nn.Linear(2, 2))
optimizer = torch.optim.Adam(model.parameters(), 5e-3)
with fp.Recorder(model, inputs[:500], labels[:500], layers=Residual, epochs=80, snapshots=6) as recorder:
    for epoch in range(80):
        for rows in (500 + torch.randperm(1000)).split(100):
            loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        recorder.step(epoch=epoch + 1, train_loss=loss.item())
rec = recorder.recording
moved = fp.layer_transport(rec, samples=500)

# %%
# The five residual layers after training, and the whole network from the input to the last of them.

print("layer   cost E|g(x) − x|²   W_2²      optimality")
last = moved.sel(epoch=80).squeeze("replica")
print(last)
fp.plot.layer_transport(moved)
