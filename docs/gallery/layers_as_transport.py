"""
A layer as optimal transport sees it
====================================

*How far does a layer move its data, and could it have done so with less?* Layers of equal width map points of a space
into the same space. The cost of the move is E|g(x) − x|²; the squared Wasserstein distance W_2² between the clouds
before and after is the least that any map with the same result would cost. Their ratio, the layer's optimality, is 1
where no shorter way exists.
"""

import numpy as np
import plotly.graph_objects as go
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
# The five residual layers after training, and how well a linear probe tells the two moons apart after each of them.
# Four layers are close to optimal, the last one too, although it moves the points farthest; the result of the second
# layer could have been had for a third less. It is also the one after which a straight line separates the moons.

last = moved.sel(epoch=80).squeeze("replica")
print("layer   E|g(x) − x|²      W_2²   optimality   accuracy of a probe")
print(f"inputs {last.probe_input.item():57.2f}")
for name in rec.layers:
    here = last.sel(layer=name)
    print(
        f"{name:6} {here.cost.item():13.2f} {here.wasserstein.item() ** 2:9.2f} {here.optimality.item():12.3f}"
        f" {here.probe.item():21.2f}"
    )
fp.plot.layer_transport(moved)

# %%
# Where the second layer takes the points. The cloud turns: its left goes down, its right up. An optimal map never
# turns, as it is the gradient of a convex function.

before, after = (rec.sel(epoch=80).activations(name).squeeze().values[:100] for name in ("0", "1"))
figure = go.Figure(layout={"template": "plotly_white", "width": 760, "height": 560, "title": "What the second layer does"})
for label, color in ((0, "#0072B2"), (1, "#E69F00")):
    rows = np.flatnonzero(classes[:100] == label)
    ways = np.stack([before[rows], after[rows], np.full_like(before[rows], np.nan)], axis=1).reshape(-1, 2)
    figure.add_scatter(
        x=ways[:, 0], y=ways[:, 1], mode="lines", line={"color": color, "width": 1}, showlegend=False, hoverinfo="skip"
    )
    figure.add_scatter(x=after[rows, 0], y=after[rows, 1], mode="markers", name=f"moon {label}", marker={"color": color})
figure.update_xaxes(title="first unit")
figure.update_yaxes(title="second unit", scaleanchor="x")
figure
