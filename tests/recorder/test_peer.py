"""Which calls there are: the tracer against torchlens, which logs every operation of a model."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from slower import first_ones
from torch import nn
from tracing_architectures import ARCHITECTURES

from flowplane.recorder.looking import side_effect_free
from flowplane.recorder.tracing.functions import NONLINEARITIES, POOLING
from flowplane.recorder.tracing.trace import traced

NAMES = ["ResNet", "U-Net", "ViT", "decoder only"]
#: The slowest last.
CASES = sorted((case for case in ARCHITECTURES if case.name in NAMES), key=lambda case: case.name == "ResNet")
COUNTED = NONLINEARITIES | POOLING | {"conv1d", "conv2d", "linear", "embedding"}
#: In a process of its own: torchlens wraps the functions of torch for good.
THEIRS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch, torchlens
from tracing_architectures import ARCHITECTURES
found = {}
for case in ARCHITECTURES:
    if case.name in sys.argv[2:]:
        with torch.no_grad():
            log = torchlens.trace(case.model().eval(), case.inputs()[:4])
        found[case.name] = [(log[label].func_name or "", str(log[label].module)) for label in log.layer_labels]
print(json.dumps(found))
"""


def alike(name):
    return name.strip("_").replace("_", "")


@pytest.fixture(scope="module")
def theirs():
    here = str(Path(__file__).parent)
    run = subprocess.run(
        [sys.executable, "-c", THEIRS, here, *NAMES], capture_output=True, text=True, check=True, timeout=280
    )
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", first_ones(3, CASES), ids=lambda case: case.name)
def test_every_call_is_met(case, theirs):
    model, x = case.model().eval(), case.inputs()
    with side_effect_free(model):
        trace = traced(model, lambda some: ([given := x[some].clone()], lambda: model(given)), len(x))
    closed = tuple(name for name, part in model.named_modules() if isinstance(part, nn.MultiheadAttention))
    open_calls = [name for name, where in theirs[case.name] if not (closed and where.startswith(closed))]
    peers = Counter(map(alike, open_calls))
    ours = Counter(alike(each.call.function) for each in trace.calls if each.call.function)
    assert sum(peers[alike(name)] for name in COUNTED) > 3
    assert {name: ours[alike(name)] for name in COUNTED} == {name: peers[alike(name)] for name in COUNTED}
