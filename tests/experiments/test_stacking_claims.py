"""Verdicts on stacks, from data made to deserve them."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.experiments.learned.stacked_dae import CONTROLS, equivalence_claim
from flowplane.experiments.learned.stacked_exact import (
    TIMES,
    layer_errors,
    linear_claims,
    linear_errors,
    linear_stack,
    local_claims,
)


def errors(composition, *controls, spread=0.01, seeds=5):
    """Two densities, two layers, the same mean everywhere."""
    scatter = 1 + spread * np.random.default_rng(0).normal(size=(2, seeds, 4, 2))
    values = scatter * np.array([composition, *controls])[:, None]
    coords = {"density": ["one", "other"], "against": ["composition", *CONTROLS], "layer": [2, 3]}
    return xr.Dataset({"error": (("density", "seed", "against", "layer"), values)}, coords)


def test_verdicts_on_the_equivalence():
    def verdict(*numbers, **more):
        return equivalence_claim("affine", errors(*numbers, **more)).verdict

    assert verdict(0.1, 0.5, 2.0, 1.4) == "reproduced"
    assert verdict(0.3, 0.9, 2.0, 1.4) == "inconclusive"  # beyond the limit, better than controls
    assert verdict(0.1, 0.15, 2.0, 1.4) == "inconclusive"  # small, but so is a control's
    assert verdict(0.1, 0.08, 2.0, 1.4) == "contradicted"  # a control does better
    assert verdict(2.5, 3.0, 2.0, 1.4) == "contradicted"
    assert verdict(0.1, 0.5, 2.0, 1.4, spread=0.8, seeds=2) == "inconclusive"
    assert verdict(0.1, 0.5, 2.0, 1.4, seeds=1) == "inconclusive"
    claim = equivalence_claim("affine", errors(0.1, 0.5, 2.0, 1.4))
    assert claim.measured == pytest.approx((0.1,) * 4, rel=0.02)
    assert "largest share of a control's 0.2" in claim.statement


def test_the_error_of_a_layer():
    density = fp.Normal([0.3, -0.2], [[2.0, 0.5], [0.5, 1.0]])
    made = linear_stack(density, [np.array([[1.0, 0.5], [0.0, 0.5]])] * 3)
    x = density.sample(400, seed=0)
    exact = made.composition(density)
    assert layer_errors(made, exact, x).max() < 1e-10
    # points that are paired with others have the difference of two independent displacements
    assert layer_errors(made, exact, x, shift=1) == pytest.approx(np.full(3, np.sqrt(2)), abs=0.15)
    assert layer_errors(made, made.composition(density, [np.eye(2)] * 3), x)[1:].min() > 0.5


def test_claims_in_closed_form():
    found = linear_errors(2, 0)
    exact, isotropic = linear_claims(found)
    assert exact.verdict == "reproduced"
    assert exact.measured[0] < 1e-10
    assert len(isotropic.measured) == 4
    off = found.copy(deep=True)
    off["error"][0, 0, 0] = 1e-6
    assert linear_claims(off)[0].verdict == "contradicted"

    def local(kept, changed, corrected):
        rows = [[size * t**order for t in TIMES] for size, order in (kept, changed, corrected)]
        names = ["volume kept", "volume changed", "volume changed, with its term"]
        return local_claims(xr.Dataset({"error": (("series", "step"), rows)}, {"series": names}))

    assert [claim.verdict for claim in local((1, 1), (0.3, 0), (3, 1))] == ["reproduced"] * 2
    assert [claim.verdict for claim in local((0.3, 0), (3, 1), (3, 1))] == ["contradicted", "inconclusive"]
