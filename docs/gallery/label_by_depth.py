"""
Where is the label decodable?
=============================

*Does a later layer know more about the label, or is it only easier to read there?* Two classes lie on two spirals,
wound around each other. The inputs determine the label, so that no layer can know more of it than they do; but no
straight line separates the classes. Two probes are asked, a linear one and the nearest neighbours. What either
decodes of held-out points is a lower bound on I(T;Y).
"""

import numpy as np
import torch
from torch import nn

import flowplane as fp

torch.manual_seed(0)
random = np.random.default_rng(0)
classes = random.integers(0, 2, 1500)
angle = 3 * np.pi * np.sqrt(random.uniform(size=1500))
arms = np.stack([angle * np.cos(angle + np.pi * classes), angle * np.sin(angle + np.pi * classes)], axis=1)
points = arms / 5 + random.normal(scale=0.05, size=(1500, 2))
inputs, labels = torch.tensor(points, dtype=torch.float32), torch.tensor(classes)

layers = [nn.Linear(2, 16), nn.Tanh()]
for _ in range(3):
    layers += [nn.Linear(16, 16), nn.Tanh()]
model = nn.Sequential(*layers, nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)

probe = slice(1000, None)  # 500 points that are not trained on
with fp.Recorder(model, inputs[probe], labels[probe], layers=[nn.Tanh, "8"], epochs=120, snapshots=10) as recorder:
    for epoch in range(120):
        for rows in torch.randperm(1000).split(100):
            loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        recorder.step(epoch=epoch + 1, train_loss=loss.item())
rec = recorder.recording

# %%
# The linear probe finds a little of the label in the inputs, some in the first layer and nearly all of it from the
# second layer on. Bars are 95 % intervals; grey is the network before training, and the slider shows the epochs
# between.

linear = fp.information_plane(rec, fp.Decodable())
fp.plot.decodable_depth(linear, "What a linear probe decodes, by depth")

# %%
# The nearest neighbours read the label everywhere, in the untrained network too.

neighbours = fp.information_plane(rec, fp.Decodable("neighbours"))
fp.plot.decodable_depth(neighbours, "What the nearest neighbours decode, by depth")

# %%
# The same in numbers, with the inputs themselves as a first row.


def bits(dataset):
    """The estimate with its interval."""
    return f"{dataset.i_ty.item():5.2f} [{dataset.i_ty_lower.item():5.2f}, {dataset.i_ty_upper.item():5.2f}]"


print("decodable bits of the label, of 1.00 [95 % interval]")
print("layer    linear probe          nearest neighbours")
given = (points[probe], classes[probe])
print(f"inputs   {bits(fp.Decodable()(*given))}   {bits(fp.Decodable('neighbours')(*given))}")
for name in rec.layers:
    where = {"layer": name, "epoch": 120, "replica": 0}
    print(f"{name:8} {bits(linear.sel(where))}   {bits(neighbours.sel(where))}")
