"""Figures of what a flow spends and of how many steps it needs."""

import math

import numpy as np
import pytest

import flowplane as fp
from flowplane.errors import InputError

FLOW = fp.denoising_flow(fp.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.4]), 0.1, math.inf)


def test_bars_of_a_budget_fill_the_energy():
    spent = FLOW.budget(samples=60)
    figure = fp.plot.show(spent)
    assert [bar.name.split(":")[0] for bar in figure.data] == ["transport", "coupling", "bending", "pace"]
    assert sum(bar.x[0] for bar in figure.data) == pytest.approx(100, abs=1e-3)
    assert figure.data[0].x[0] == pytest.approx(100 * float(spent.transport / spent.energy))
    several = fp.plot.budget({"one": spent, "other": FLOW.budget(samples=60, seed=1)})
    assert len(several.data[0].y) == 2 and {name.strip(" *") for name in several.data[0].y} == {"one", "other"}
    raised = spent.copy()
    raised["coupling_flags"] = raised["coupling_flags"] * 0 + 1
    assert "too few particles" in fp.plot.budget(raised).layout.title.subtitle.text
    with pytest.raises(InputError, match="dataset"):
        fp.plot.budget(FLOW.steps(samples=5, numbers=(1,)))


def test_curves_of_steps():
    found = FLOW.steps(samples=30, numbers=(1, 2, 4), within=1e-9)
    figure = fp.plot.show(found)
    assert [curve.name for curve in figure.data] == ["Euler", "Heun", "adaptive"]
    np.testing.assert_allclose(figure.data[1].y, found.distance.sel(solver="heun"))
    assert list(figure.data[1].x) == [2, 4, 8]
    assert "more than 4 steps of Euler" in figure.layout.title.subtitle.text
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert len(fp.plot.steps({"a": found, "b": found}).data) == 6
    with pytest.raises(InputError, match="dataset"):
        fp.plot.steps(FLOW.budget(samples=10))
