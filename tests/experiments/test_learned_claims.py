"""Verdicts on trained denoisers and flows, from numbers made to deserve them."""

import numpy as np
import pytest
import xarray as xr

from flowplane.experiments.learned import learned_claims, score_flow
from flowplane.experiments.learned.learned_dae import Case
from flowplane.transport import AffineMap, optimal_loss
from flowplane.transport.densities import Normal, two_moons

SIZES = np.array([100, 400, 1600, 6400])


def curves(order, start=1.0, spread=0.1, seeds=5):
    """Errors start·(n/100)^order of one density, with some scatter over seeds."""
    scatter = np.exp(spread * np.linspace(-1, 1, seeds))
    values = start * (SIZES / 100) ** order * scatter[:, None]
    return xr.DataArray(values[:, None, :], dims=("seed", "density", "samples"), coords={"samples": SIZES, "density": ["a"]})


def errors(order, start=1.0, spread=0.1):
    found = curves(order, start, spread)
    return xr.Dataset({"error": found, "affine_error": found, "attention_error": found / 2, "excess": found / 2})


def test_reached_or_not():
    assert learned_claims.reached_claim(np.full((5, 2), 0.01), "").verdict == "reproduced"
    claim = learned_claims.reached_claim(np.array([[0.01, 0.2]] * 5), "")
    assert claim.verdict == "contradicted"
    assert claim.measured == pytest.approx((0.01, 0.2))
    vague = 10.0 ** np.linspace(-3, 0, 5)[:, None]
    assert learned_claims.reached_claim(vague, "").verdict == "inconclusive"


def test_orders_in_sample_size():
    np.testing.assert_allclose(learned_claims.orders(curves(-0.7), "samples"), -0.7)
    jitter = errors(-0.7)
    assert learned_claims.fall_claim(jitter, "").verdict == "reproduced"
    assert learned_claims.fall_claim(errors(+0.2), "").verdict == "contradicted"
    assert learned_claims.affine_claim(errors(-1.1)).verdict == "reproduced"
    assert learned_claims.affine_claim(errors(-0.5)).verdict == "contradicted"
    assert learned_claims.affine_claim(errors(-1.1).isel(seed=[0])).verdict == "inconclusive"


def test_controls_have_to_be_apart():
    last = np.full((5, 1), 0.01)

    def verdicts(value):
        controls = xr.Dataset(
            {"error": (("density", "control", "seed"), np.full((1, 2, 5), value))}, {"control": ["none", "other"]}
        )
        return [claim.verdict for claim in learned_claims.control_claims(controls, last, "")]

    assert verdicts(1.0) == ["reproduced"] * 3
    assert verdicts(0.02) == ["contradicted", "contradicted", "reproduced"]


def test_memory_and_attention():
    def memory(ratio):
        near = xr.DataArray(np.full((1, 5), ratio), dims=("density", "seed"))
        return xr.Dataset({"to_attention": near, "to_optimum": near * 0 + 1}, attrs={"points": 10})

    assert learned_claims.memory_claim(memory(0.1), "").verdict == "reproduced"
    assert learned_claims.memory_claim(memory(2.0), "").verdict == "contradicted"
    claim = learned_claims.attention_claim(errors(-1.0).isel(samples=-1), "")
    assert claim.verdict == "contradicted"
    assert claim.role == "reported"
    assert claim.measured == pytest.approx((-np.log10(2),))


def test_the_measure_of_distance():
    """The identity is off by the whole displacement; the least loss is that of the closed form, within its error."""
    p = two_moons(0.2)
    case = Case.of(p, 0.1, 4000, 0)
    assert case.error(case.optimal) == 0
    assert case.error(AffineMap(1.0, [0.0, 0.0])) == pytest.approx(1.0)
    loss = optimal_loss(p, 0.1, samples=20_000)
    assert case.least_loss == pytest.approx(float(loss), abs=5 * loss.standard_error)
    gaussian = Case.of(Normal([0.0], [[1.0]]), 1.0, 20_000, 1)
    assert gaussian.least_loss == pytest.approx(0.5, abs=5 * 0.5 * np.sqrt(2 / 20_000))


def flows(distance=0.02, control=1.0, imbalance=0.03, fall=1.0):
    rng = np.random.default_rng(0)
    scatter = np.exp(0.05 * rng.normal(size=(1, 3, 5)))
    ends = np.array([1e-9, distance, control])[None, :, None] * scatter
    return xr.Dataset(
        {
            "distance": (("density", "flow", "seed", "time"), np.stack([ends, ends], -1)),
            "imbalance": (("density", "flow", "seed"), np.full((1, 3, 5), imbalance) * scatter),
            "fall": (("density", "flow", "seed"), fall + 0.01 * (scatter - 1)),
        },
        {"density": ["a"], "flow": ["exact", "learned", "one scale"]},
    )


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("X-learned-flow", {"distance": 0.02}, {"distance": 0.3}),
        ("X-learned-flow.control", {"control": 1.0}, {"control": 0.03}),
        ("X-learned-flow.entropy", {"imbalance": 0.03}, {"imbalance": 0.5}),
        ("X-learned-flow.entropy-exact", {"imbalance": 0.03}, {"imbalance": 0.5}),
        ("X-learned-flow.trace", {"fall": 1.02}, {"fall": 0.8}),
    ],
)
def test_verdicts_on_learned_flows(name, good, bad):
    for options, verdict in ((good, "reproduced"), (bad, "contradicted")):
        claims = {claim.id: claim for claim in score_flow.all_claims(flows(**options))}
        assert claims[name].verdict == verdict
    alone = {claim.id: claim for claim in score_flow.all_claims(flows().isel(seed=[0]))}
    assert alone[name].verdict == "inconclusive"
