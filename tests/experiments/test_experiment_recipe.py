"""The recipe of CONTRIBUTING.md for an experiment: one module, one line in the registry, and this test is its test file."""

import json
from pathlib import Path

import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError
from flowplane.experiments import EXPERIMENTS, Claim, Experiment

MODULE = '''"""X-coin: a fair coin is fair."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import around


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    replicas: int
    throws: int


SCALES = {
    "quick": Scale(replicas=50, throws=400),
    "full": Scale(replicas=200, throws=4000),
    "tiny": Scale(replicas=3, throws=10),
}


def run(context: Context) -> Result:
    """Throws of a fair coin; of one that always falls on its head as a control."""
    scale = SCALES[context.scale]
    rng = np.random.default_rng(context.seed)
    heads = rng.binomial(scale.throws, 0.5, (scale.replicas, 1)) / scale.throws
    found = xr.Dataset({"heads": ("replica", heads[:, 0], {"units": "share"})})
    claims = [
        Claim(id="X-coin", role="part", statement="heads are half", **around(heads, 0.5, 0.05), units="share"),
        Claim(id="X-coin.one-sided", role="control", statement="or all", **around(0 * heads + 1, 1.0, 0.05), units="share"),
    ]
    return Result(datasets={"throws": found}, figures={"coin": go.Figure(go.Histogram(x=heads[:, 0]))}, claims=claims)
'''


@pytest.fixture
def coin(tmp_path, monkeypatch):
    """A new experiment's module, and its line."""
    (tmp_path / "coin.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    experiment = Experiment("coin", "is a fair coin fair?", ("X-coin",), (1, 1))
    monkeypatch.setitem(EXPERIMENTS, experiment.name, experiment)
    return tmp_path / "results"


def rows(folder: Path) -> list[Claim]:
    return [Claim.from_json(row) for row in json.loads((folder / "claims.json").read_text())]


def test_a_new_experiment_is_a_module_and_a_line(coin):
    result = fp.experiments.run("coin", scale="tiny", out=coin)
    folder = coin / "coin"
    assert [(claim.id, claim.role, claim.scale, claim.verdict) for claim in rows(folder)] == [
        ("X-coin", "part", "tiny", "inconclusive"),
        ("X-coin.one-sided", "control", "tiny", "inconclusive"),
    ]
    with xr.open_dataset(folder / "throws.nc", engine="h5netcdf") as stored:
        xr.testing.assert_equal(stored.load(), result.datasets["throws"])
    assert EXPERIMENTS["coin"].figure == "coin.html"
    assert "plotly" in (folder / "coin.html").read_text()


def test_its_verdicts_are_its_own_at_other_scales(coin):
    found = fp.experiments.run("coin", out=coin).claims
    assert [(claim.scale, claim.verdict) for claim in found] == [("quick", "reproduced")] * 2
    assert rows(coin / "coin") == found
    assert found[0].reference == (0.5,)


def test_its_recipe_is_written_down():
    recipe = Path(__file__).parents[2].joinpath("CONTRIBUTING.md").read_text().split("## An experiment")[1].split("\n## ")[0]
    for word in ("Claim(", "SCALES", "tiny", "verdicts", "Experiment(", "tests/experiments/test_experiment_recipe.py"):
        assert word in recipe


def test_without_the_line_there_is_no_experiment(coin):
    del EXPERIMENTS["coin"]
    with pytest.raises(InputError, match="experiment: found 'coin'"):
        fp.experiments.run("coin", scale="tiny", out=coin)
