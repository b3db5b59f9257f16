"""What the probe sees of some hundred models: the layers that it takes, what it leaves out and why, every sample's rows."""

import functools
import random
import re
from fnmatch import fnmatchcase

import numpy as np
import pytest
import torch
from torch import nn
from tracing_architectures import ARCHITECTURES, STACKS, UNITS
from tracing_calls import CALLS, MIXTURES, NOISE
from tracing_cases import FOLDS, ORDERS, oracle
from tracing_more import MORE

import flowplane as fp
from flowplane.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")

CASES = [*ORDERS, *FOLDS, *MIXTURES, *NOISE, *CALLS, *ARCHITECTURES, *STACKS, *UNITS, *MORE]
#: Functions that one may take for a layer or not: parts and means of the layer before.
UNDECIDED = ("*getitem*", "mean*", "sum*")


def cases(*wanted):
    """All cases that have something of what is wanted."""
    chosen = [case for case in CASES if any(getattr(case, name) for name in wanted)]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


def bare(name):
    """The first call may be numbered or not."""
    return name.removesuffix("#1")


def fits(name, pattern):
    return any(fnmatchcase(bare(name), bare(each)) for each in pattern.split("|"))


def recorded(case, model=None, **arguments):
    model = case.model() if model is None else model
    arguments = {"reduce": case.reduce, **case.arguments, **arguments}
    return fp.Recorder(model, case.inputs(), **arguments).start().recording


def named(name):
    return next(case for case in CASES if case.name == name)


@functools.cache
def of_defaults(name):
    return recorded(named(name))


def state(model):
    """All that recording must not change: weights, random streams, training flags, hooks."""
    modules = list(model.modules())
    numpy = np.random.get_state()  # noqa: NPY002
    return {
        "weights": {name: values.to_dense().tolist() for name, values in model.state_dict().items()},
        "streams": (torch.get_rng_state().tolist(), random.getstate(), numpy[1].tolist(), numpy[2:]),
        "flags": [part.training for part in modules],
        "hooks": [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in modules],
    }


def agree(rows, expected, tolerance):
    """Whether rows are the same up to one order of their numbers: the same in each row, and the same products of rows."""
    if rows.shape != expected.shape:
        return False
    scale = max(1e-6, np.abs(expected).max())
    close = np.allclose(np.sort(rows, 1), np.sort(expected, 1), rtol=0, atol=tolerance * scale)
    products = np.abs(rows @ rows.T - expected @ expected.T).max()
    return close and products <= 4 * tolerance * scale**2 * rows.shape[1]


@cases("name")
def test_nothing_is_touched(case):
    model = case.model().train()
    next(iter(model.children())).eval()
    before = state(model)
    recorded(case, model)
    after = state(model)
    assert [name for name in before if before[name] != after[name]] == []


@cases("layers", "some", "never")
def test_default_layers(case):
    rec = of_defaults(case.name)
    names = [bare(name) for name in rec.layers]
    if case.layers is not None:
        wanted = [bare(name) for name in case.layers]
        free = (*case.optional, *UNDECIDED)
        assert [name for name in names if name in wanted or not any(fits(name, each) for each in free)] == wanted
    for pattern in case.some:
        assert any(fits(name, pattern) for name in names), (pattern, names)
    assert not [name for name in names for pattern in case.never if fits(name, pattern)], names
    assert case.check is None or case.check(rec)


@cases("left_out")
def test_left_out_and_why(case):
    table = of_defaults(case.name).left_out
    assert {"name", "kind", "calls", "shape", "why"} <= set(table.columns) and set(table["kind"]) <= {"module", "function"}
    for pattern, reason in case.left_out.items():
        found = table[[fits(re.sub(r"#\d+$", "", name), pattern) for name in table["name"]]]
        assert len(found), (pattern, table["name"].tolist())
        assert found["why"].str.contains(reason).all(), (pattern, reason, found["why"].tolist())


@cases("name")
def test_rows_of_every_sample(case):
    defaults = of_defaults(case.name)
    wrong = []
    for layer in case.known():
        rec = defaults if any(fits(name, layer) for name in defaults.layers) else recorded(case, layers=[layer])
        name = next(name for name in rec.layers if fits(name, layer))
        rows = rec.activations(name).values[0, 0].astype(float)
        if not agree(rows, oracle(case, layer), case.tolerance):
            wrong.append(name)
    assert not wrong


@cases("name")
def test_which_layers_draw(case):
    rec = of_defaults(case.name)
    said = dict(zip(rec.layers, map(bool, rec.layer_coordinates()["deterministic"][1]), strict=True))
    assert said == {name: not any(fits(name, pattern) for pattern in case.noisy) for name in said}


def test_lazy_modules_are_refused_by_name():
    model = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.Dropout(0.5), nn.LazyLinear(2))
    with pytest.raises(InputError, match=r"model: found .*\b0\b"):
        fp.Recorder(model, torch.randn(24, 4))


def test_nothing_that_keeps_its_samples_apart():
    mixing = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2))
    with pytest.raises(InputError, match="mix"):
        fp.Recorder(mixing, torch.randn(24, 4, generator=torch.Generator().manual_seed(0)))


def test_nothing_is_listed_inside_attention():
    case = named("tokens with a class token")
    assert not of_defaults(case.name).left_out["name"].str.contains(r"attention\.").any()
    with pytest.raises(InputError, match="layers"):
        recorded(case, layers="blocks.0.attention.*")


def test_a_length_that_depends_on_the_batch_is_not_flattened():
    with pytest.raises(InputError, match="flatten"):
        recorded(named("trimmed to the longest"), reduce="flatten")


def test_the_oracle_of_a_known_model():
    case = named("four residual blocks")
    model, x = case.model().eval(), case.inputs()
    with torch.no_grad():
        expected = model.blocks[1](model.blocks[0](model.stem(x))).double().numpy()
    assert agree(oracle(case, "blocks.1"), expected, 1e-6) and not agree(oracle(case, "blocks.1")[::-1], expected, 1e-2)
