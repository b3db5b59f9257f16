"""Verdicts on flows' budgets and steps, from numbers made to deserve them; flows by other clocks."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import flowplane as fp
from flowplane.experiments.flows import budget, measured, steps

#: Bending of each flow over E|Δ|² = 1, its pace and its steps, as they would be if all claims held.
BENDING = {
    "independent": 0.5,
    "optimal": 0.05,
    "rectified": 0.01,
    "DAE": 0.004,
    "DAE, even": 0.004,
    "longer": 0.5,
    "late": 0.01,
}
PACE = {**BENDING, "DAE": 0.4, "late": 0.3}
STEPS = {**{flow: 1000 * bending for flow, bending in BENDING.items()}, "DAE": 200.0, "late": 60.0}


def table(bending=(), pace=(), counts=(), left=0.0, ends=0.0, spread=1.0, seeds=4):
    """What `measured` gives: two targets, a little scatter over seeds, W_2² = 1 and a coupling that wastes nothing."""
    bends, paces, taken = (
        np.array(list((usual | dict(other)).values()))
        for usual, other in ((BENDING, bending), (PACE, pace), (STEPS, counts))
    )
    scatter = np.broadcast_to(1 + 0.02 * np.linspace(-1, 1, seeds)[None, :, None], (2, seeds, 1))
    dims = ("case", "seed", "flow")
    parts = {"transport": 0 * bends + 1, "coupling": 0 * bends, "bending": bends, "pace": paces}
    parts["energy"] = sum(parts.values()) * (1 + left)
    found = {name: (dims, values * scatter) for name, values in parts.items()}
    found["ends"], found["spread"] = (dims, (0 * bends + ends) * scatter), (dims, (0 * bends + spread) * scatter)
    found["least_steps"] = ((*dims, "solver"), np.stack([np.round(taken * scatter)] * 2, 3))
    coords = {
        "case": ["a", "b"],
        "seed": range(seeds),
        "flow": list(BENDING),
        "solver": ["euler", "heun"],
        "steps": [1, 512],
    }
    return xr.Dataset(found, coords)


def verdicts(module, found):
    given = found if module is budget else measured.shares(found)
    return {claim.id: claim.verdict for claim in module.all_claims(given)}


def test_all_hold_where_all_is_so():
    for module in (budget, steps):
        found = verdicts(module, table())
        assert set(found.values()) == {"reproduced"}, found
    assert set(BENDING) == set(measured.FLOWS)


@pytest.mark.parametrize(
    ("contradicted", "numbers"),
    [
        ({"X-budget", "X-budget.sum"}, {"left": 0.01}),
        ({"X-budget", "X-budget.bending", "X-budget.waste"}, {"bending": {"rectified": 0.2, "late": 0.2}}),
        ({"X-budget", "X-budget.waste"}, {"pace": {"optimal": 1.9}}),
        ({"X-budget.dae"}, {"bending": {"DAE": 0.1}}),
        ({"X-budget.dae", "X-budget.dae-beside", "X-budget.dae-pace"}, {"bending": {"DAE": 0.9}}),
        ({"X-budget.dae-pace"}, {"pace": {"DAE": 0.001}}),
        ({"X-budget.ends"}, {"ends": 0.2}),
        ({"X-budget.spread"}, {"spread": 0.8}),
        ({"X-budget.longer"}, {"bending": {"longer": 0.2}}),
        ({"X-budget.clock"}, {"bending": {"late": 0.02}}),
        ({"X-budget.clock"}, {"pace": {"late": 0.001}}),
    ],
)
def test_budgets_that_contradict(contradicted, numbers):
    found = verdicts(budget, table(**numbers))
    assert {name for name, verdict in found.items() if verdict == "contradicted"} == contradicted


@pytest.mark.parametrize(
    ("contradicted", "numbers"),
    [
        ({"X-steps"}, {"counts": {"independent": 2.0, "optimal": 20.0, "rectified": 100.0, "DAE, even": 490.0}}),
        ({"X-steps.rectified"}, {"counts": {"independent": 9.0, "optimal": 8.5}}),
        ({"X-steps.clock"}, {"counts": {"late": 5.0}}),
        ({"X-steps.clocks"}, {"counts": {"DAE": 2000.0, "DAE, even": 1000.0, "independent": 500.0, "late": 600.0}}),
    ],
)
def test_steps_that_contradict(contradicted, numbers):
    found = verdicts(steps, table(**numbers))
    assert contradicted <= {name for name, verdict in found.items() if verdict == "contradicted"}


def test_steps_that_were_not_enough_count_as_most():
    """A flow that no number of steps was enough for stands last in the ranks."""
    parts = measured.shares(table(counts={"independent": np.nan}))
    assert (parts["steps"].sel(flow="independent") == 1024).all()
    np.testing.assert_allclose(steps.ranks(parts, "bending", steps.EVEN), 1.0)


def test_one_seed_decides_nothing():
    assert verdicts(budget, table(seeds=1))["X-budget"] == "inconclusive"
    assert verdicts(steps, table(seeds=1))["X-steps"] == "inconclusive"


def test_another_clock_changes_pace_only():
    """Speed 2s for 1 along the same way spends ∫(2s)² = 4/3 of what a constant one does."""
    still = fp.denoising_flow(fp.Normal([0.0, 0.0], np.diag([1.0, 2.0])), 0.3, math.inf)
    late = measured.reclocked(still, lambda s: (s**2, 2 * s))
    x = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(late(x), still(x), atol=1e-5)
    np.testing.assert_allclose(late.velocity(0.5, x), 0.3 * still.velocity(0.075, x), rtol=1e-12)
    one, other = still.budget(samples=200), late.budget(samples=200)
    for term in ("transport", "coupling"):
        assert float(other[term]) == pytest.approx(float(one[term]), abs=0.02)
    shift = fp.transport.ODEMap(lambda t, x: torch.ones_like(x), 2, time=1.0, source=fp.Normal([0.0, 0.0], np.eye(2)))
    spent = measured.reclocked(shift, lambda s: (s**2, 2 * s)).budget(samples=50)
    assert float(spent["energy"]) == pytest.approx(8 / 3, rel=1e-4)
    assert float(spent["pace"]) == pytest.approx(2 / 3, rel=1e-4)
    assert float(spent["bending"]) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("case", measured.CASES)
def test_the_papers_flow_takes_away_the_noise(case):
    """Backward heat from p * N(0, I) for t = 1/2 ends at p: mean and covariance of its particles."""
    target = measured.CASES[case].density()
    flow = fp.denoising_flow(target.smoothed(measured.NOISE), measured.NOISE / 2, math.inf)
    ends = np.asarray(flow(flow.known_source().sample(500, seed=0)))
    scatter = np.trace(np.atleast_2d(target.covariance)) / np.sqrt(500)
    assert np.cov(ends.T).trace() == pytest.approx(np.trace(np.atleast_2d(target.covariance)), abs=6 * scatter)
    np.testing.assert_allclose(ends.mean(0), target.mean, atol=6 * np.sqrt(np.trace(target.covariance) / 500))
