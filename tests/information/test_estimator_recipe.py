"""A new estimator is one file and one line in the list: the command line, comparisons and convergence then know it."""

import sys

import numpy as np
import pytest

import flowplane as fp
from flowplane import cli
from flowplane.analysis import estimators
from flowplane.core.results import Flags
from flowplane.errors import InputError

FILE = '''
"""How many different values a layer takes, in bits."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from flowplane.information.estimator import Estimates, Estimator, Known, Quantity, constant_units, raised

__all__ = ["Distinct"]


@dataclass(frozen=True)
class Distinct(Estimator):
    """log2 of the number of different rows, to so many decimals."""

    short_name: ClassVar[str] = "distinct"
    help: ClassVar[str] = "decimals=2"

    decimals: int = 2

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "decimals", (0, 1, 2, 3)

    def _about(self, known: Known) -> dict[str, Any]:
        return {"channel": f"{self.decimals} decimals", "i_xt": {"bound": "upper"}}

    def _estimate(self, values: torch.Tensor, known: Known) -> Estimates:
        counts = [len(torch.unique(member.round(decimals=self.decimals), dim=0)) for member in values]
        bits = torch.log2(torch.tensor(counts, dtype=torch.float64))
        nan = torch.full_like(bits, torch.nan)
        found, missing = Quantity(bits, nan, nan), Quantity.missing(values)
        flags = raised(known, values, constant_units=constant_units(values).any(1))
        return Estimates(found, missing, found, flags)
'''


@pytest.fixture
def distinct(tmp_path, monkeypatch):
    (tmp_path / "distinct_values.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(estimators, "ESTIMATORS", (*estimators.ESTIMATORS, "distinct_values:Distinct"))
    estimators.registered.cache_clear()
    yield estimators.registered()["distinct"]
    monkeypatch.undo()
    estimators.registered.cache_clear()
    sys.modules.pop("distinct_values")


def test_one_file_and_one_line_are_enough(distinct, rec, capsys, monkeypatch):
    layer = np.array([[0.0], [0.1], [0.101], [1.0]])
    found = distinct()(layer, [0, 1, 0, 1])
    assert float(found.i_xt) == pytest.approx(np.log2(3)) and found.i_xt.bound == "upper"
    assert (found.i_xt.estimator, found.i_xt.parameters, found.i_xt.channel) == ("Distinct", "decimals=2", "2 decimals")
    assert Flags.names(distinct()(layer * 0, [0, 1, 0, 1]).flags) == ("constant_units",)
    assert estimators.parse_estimator("distinct:decimals=1") == distinct(1)
    with pytest.raises(InputError, match="expected arguments that distinct has: decimals"):
        estimators.parse_estimator("distinct:digits=1")
    assert "Distinct" in estimators.usual_estimators()
    curve = fp.information.convergence(distinct(), layer, sizes=[4], draws=1)
    assert curve.i_xt.squeeze().values.tolist() == pytest.approx(np.log2([2, 3, 3, 4]))
    plane = fp.information_plane(rec.sel(replica=0, epoch=40), distinct())
    assert plane.i_xt.sizes["layer"] == 6 and fp.explain(plane).startswith("Distinct (I(X;T)): an upper bound, in bits;")
    monkeypatch.setattr(sys, "argv", ["flowplane", "measure", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "distinct" in capsys.readouterr().out and "decimals=2" in estimators.estimator_help()
