"""
A run that is over, read from its checkpoints
=============================================

*What did my layers learn, if all that is left are the saved weights?* Recordings are made of checkpoint files too: a
folder of ``.pt``, ``.ckpt`` or ``.safetensors`` files, read without pickle. The epochs are taken from the names of
the files. Here a network on scikit-learn's digits is trained, saved on the way and forgotten; only the files are
looked at.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

import flowplane as fp

torch.manual_seed(0)
digits = fp.tasks.digits()
inputs, labels = torch.tensor(digits.inputs, dtype=torch.float32), torch.tensor(digits.labels)


def network():
    """64-32-16-10."""
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 10))


folder = Path(tempfile.mkdtemp())
model = network()
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for epoch in range(41):
    if epoch in (0, 1, 2, 5, 10, 20, 40):
        torch.save({"model_state_dict": model.state_dict()}, folder / f"digits-epoch{epoch}.pt")
    for rows in (500 + torch.randperm(1297)).split(64):
        loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print("files:", ", ".join(sorted(file.name for file in folder.iterdir())))

# %%
# The 500 digits that were not trained on are the probe inputs.

rec = fp.from_checkpoints(network(), folder, inputs[:500], labels[:500])
print(rec)
print("order of the snapshots:", rec.attrs["order"])
plane = fp.information_plane(rec)
fp.plot.decodable_depth(plane)

# %%
# How many bits of the label a linear probe decodes, of the 3.32 that there are, epoch by epoch. Most of it can be
# read from the untrained network already, as digits are nearly linearly separable; training adds most in the output,
# layer 4.

table = plane.i_ty.squeeze("replica").to_pandas()
table.columns.name, table.index.name = "layer", "epoch"
print(table.round(2).to_string())

# %%
# Bits of the input at a resolution of 0.1: how many of the 500 digits a layer tells apart where a tenth of its
# variance is noise. log2 500 = 8.97 would be all of them.

fp.plot.information_plane(plane)
