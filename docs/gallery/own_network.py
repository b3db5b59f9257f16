"""
A network of your own
=====================

*What does each layer of my network know, and how does it arrange its data?* Any PyTorch model and any training loop
will do: a ``Recorder`` goes around the loop, and looks at the layers on a few hundred inputs that are not trained on.
Here a small convolutional network learns scikit-learn's handwritten digits.
"""

import torch
from torch import nn

import flowplane as fp

torch.manual_seed(0)
digits = fp.tasks.digits()
images = torch.tensor(digits.inputs, dtype=torch.float32).reshape(-1, 1, 8, 8)
labels = torch.tensor(digits.labels)
probe, training = slice(0, 400), slice(400, None)

model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(8, 16, 3, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(256, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
optimizer = torch.optim.Adam(model.parameters(), 3e-3)

with fp.Recorder(model, images[probe], labels[probe], epochs=20, snapshots=8) as recorder:
    for epoch in range(20):
        for rows in torch.randperm(len(images[training])).split(64):
            loss = nn.functional.cross_entropy(model(images[training][rows]), labels[training][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            right = (model(images[probe]).argmax(1) == labels[probe]).float().mean()
        recorder.step(epoch=epoch + 1, train_loss=loss.item(), probe_accuracy=right.item())
rec = recorder.recording
print(rec)
print("layers:", ", ".join(rec.layers))

# %%
# With ``path="mine.fp"`` the recording would be a folder that any other process can open, also while training goes
# on. What ran but was not recorded is listed with the reason.

print(rec.left_out[["name", "kind", "why"]].to_string(index=False))

# %%
# Two questions that mean the same in a layer of ten units and in one of five hundred. Across: how many of the 400
# inputs does the layer tell apart, if a tenth of its total variance is noise? Up: how many bits of the label does a
# linear probe decode? Ten classes hold 3.32 bits.

plane = fp.information_plane(rec)
fp.plot.information_plane(plane)

# %%
# The trained layers in numbers. What a linear probe decodes is nearly the same in all of them; what falls with depth
# is how many inputs are told apart.

last = plane.sel(epoch=20, resolution=0.1).squeeze("replica")
rank = fp.layer_geometry(rec, "entropy").dataset_rank.sel(epoch=20).squeeze("replica")
print("layer  kind       I(X;T) [bits]  decodable [bits]  accuracy of the probe  effective rank")
for name in rec.layers:
    here = last.sel(layer=name)
    print(
        f"{name:6} {here.layer_type.item():10} {here.i_xt.item():13.2f} {here.i_ty.item():17.2f}"
        f" {here.accuracy.item():22.2f} {rank.sel(layer=name).item():15.1f}"
    )

# %%
# The effective rank says over how many directions a layer spreads its points; the slider goes back to the untrained
# network.

fp.plot.layer_geometry(fp.layer_geometry(rec))
