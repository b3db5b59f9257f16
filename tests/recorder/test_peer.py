"""Which calls there are: the tracer against torchlens, which logs every operation of a model."""

from collections import Counter

import pytest
import torch
import torchlens
from torch import nn
from tracing_architectures import ARCHITECTURES

from flowplane.recorder.looking import side_effect_free
from flowplane.recorder.tracing.functions import NONLINEARITIES, POOLING
from flowplane.recorder.tracing.trace import traced

NAMES = ["ResNet", "U-Net", "ViT", "decoder only"]
COUNTED = NONLINEARITIES | POOLING | {"conv1d", "conv2d", "linear", "embedding"}


def alike(name):
    return name.strip("_").replace("_", "")


@pytest.mark.parametrize("case", [case for case in ARCHITECTURES if case.name in NAMES], ids=lambda case: case.name)
def test_every_call_is_met(case):
    model, x = case.model().eval(), case.inputs()
    with torch.no_grad(), side_effect_free(model):
        log = torchlens.trace(model, x[:4])
    theirs = Counter(alike(log[label].func_name) for label in log.layer_labels if log[label].func_name)
    with side_effect_free(model):
        trace = traced(model, lambda some: ([given := x[some].clone()], lambda: model(given)), len(x))
    closed = {name for name, part in model.named_modules() if isinstance(part, nn.MultiheadAttention)}
    ours = Counter(alike(each.call.function) for each in trace.calls if each.call.function)
    assert sum(theirs[alike(name)] for name in COUNTED) > 3
    for name in map(alike, COUNTED):
        inside = sum(
            alike(log[label].func_name or "") == name and any(str(log[label].module).startswith(part) for part in closed)
            for label in log.layer_labels
        )
        assert ours[name] == theirs[name] - inside, name
