"""A model of a hundred million parameters is probed within two GiB above its own size."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch, flowplane as fp
from torch import nn
import numpy, zarr, icechunk, xarray  # what is loaded anyway is not counted

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(1024, 2048), nn.Linear(2048, 1024)
    def forward(self, x):
        return x + self.down(torch.relu(self.up(x)))

torch.manual_seed(0)
model = nn.Sequential(*(Block() for _ in range(24)))
parameters = sum(part.numel() for part in model.parameters())
optimizer = torch.optim.SGD(model.parameters(), 1e-3)
x = torch.randn(2000, 1024)
model(x[:8]).square().mean().backward()  # gradients are the model's own size once more, with a recorder or without
optimizer.step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with fp.Recorder(model, x, x[:, 0] > 0, path=sys.argv[1], epochs=1) as recorder:
    for rows in (slice(0, 8), slice(8, 16)):
        optimizer.zero_grad()
        model(x[rows]).square().mean().backward()
        optimizer.step()
    recorder.step()
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rec = recorder.recording
assert rec.layers == tuple(map(str, range(24))) and rec.activations("23").shape == (1, 2, 2000, 1024)
assert rec.gradients.gradient_std.sel(epoch=1, layer="3").item() > 0
print(parameters, (after - before) / 2**20)
"""


@pytest.mark.slow
def test_a_hundred_million_parameters(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "run.fp")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    parameters, gibibytes = map(float, done.stdout.split())
    assert parameters > 1e8 and gibibytes < 2.0, gibibytes
