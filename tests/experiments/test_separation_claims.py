"""Claims on features by depth: the data they rest on, and verdicts from data made to deserve them."""

import math

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.experiments.learned.class_separation import MAPS, MEASURES, digit_data, measured, moon_data, nearest_points
from flowplane.experiments.learned.deep_features import both_claim, control_claims, depth_claims
from flowplane.experiments.transport.embeddings import influence_claims
from flowplane.transport import denoising_flow
from flowplane.transport.densities import Empirical

DEPTHS = [0.0, 1.0, 2.0, 4.0, np.inf]


def made(gain=0.01, noise=0.001, splits=6, truth=np.nan, bits=0.0, valid=1.0, bare=False):
    """Measures that rise by `gain` from each depth to the next."""
    rng = np.random.default_rng(0)
    shape = ("data", "map", "split", "depth")
    rise = np.broadcast_to(0.5 + gain * np.arange(5.0), (1, 3, splits, 5)).copy()
    rise[:, 1] = rise[:, 1, :, :1]  # shrunk: as the raw data
    rise[:, 2] = 0.1  # shuffled: at chance
    half = rng.normal(size=(1, 3, splits // 2, 5))
    spread = noise * np.concatenate([half, -half], 2)  # nothing in the mean
    values = {name: np.add(rise, spread) for name in MEASURES}
    for name in values:
        values[name][:, 1] = values[name][:, 0, :, :1]
    values["information"] = (0.0 if np.isnan(truth) else truth) + bits + spread
    values["information_valid"] = np.full(rise.shape, valid)
    coords = {"data": ["made"], "map": list(MAPS), "depth": DEPTHS, "bare": ("data", [bare]), "drawn": ("data", ["draws"])}
    parts = {name: (shape, array) for name, array in values.items()}
    return xr.Dataset(parts | {"truth": ("data", [truth]), "chance": ("data", [0.1])}, coords)


def verdicts(found, name="moons"):
    return {claim.id.removeprefix(f"A-5.{name}"): claim for claim in depth_claims(name, found.isel(data=0))}


def test_rising_measures_reproduce_and_falling_ones_contradict():
    up, down, still = (verdicts(made(gain)) for gain in (0.01, -0.01, 0.0))
    for key in ("", "-probe", "-neighbours", "-fisher", "-distances"):
        assert up[key].verdict == "reproduced"
        assert down[key].verdict == "contradicted"
        assert still[key].verdict == "inconclusive"
    assert up[""].measured == pytest.approx((0.03,) * 4, abs=0.003)  # ∞ less L = 1
    assert up["-probe"].measured == pytest.approx((0.01, 0.02, 0.03), abs=0.003)
    assert "largest at continuous" in up["-probe"].statement and "largest at L = 1" in down["-probe"].statement.replace(
        "shallow, ", ""
    )


def test_bare_points_are_claimed_at_a_depth_that_is_a_flow():
    assert verdicts(made(bare=True))[""].measured == pytest.approx((0.02,) * 4, abs=0.003)  # L = 4 less L = 1


def test_information_is_held_to_the_truth_where_it_is_known():
    assert verdicts(made(truth=0.5))["-information"].verdict == "reproduced"
    assert verdicts(made(truth=0.5, bits=-0.2))["-information"].verdict == "contradicted"
    flagged = verdicts(made(truth=0.5, valid=0.0))["-information"]
    assert flagged.verdict == "inconclusive" and "24 of 24 estimates flagged" in flagged.statement


def test_what_a_classifier_finds_is_compared_with_the_shallow_one():
    rising = made()
    rising["information"] = rising.information + 0.01 * np.arange(5.0)
    assert verdicts(rising)["-information"].verdict == "reproduced"
    assert verdicts(rising)["-information"].measured == pytest.approx((0.01, 0.02, 0.03), abs=0.003)
    rising["information"] = -rising.information
    assert verdicts(rising)["-information"].verdict == "contradicted"
    assert verdicts(made())["-information"].verdict == "inconclusive"


def test_the_raw_data_are_beside_every_depth():
    better, worse = verdicts(made())["-raw"], verdicts(made(-0.01))["-raw"]
    assert better.measured == pytest.approx((0.04,) * 4, abs=0.003)
    assert (better.verdict, worse.verdict) == ("reproduced", "contradicted")


def test_both_data_sets_decide():
    digits, moons, fallen = (
        depth_claims(*args)
        for args in (("digits", made().isel(data=0)), ("moons", made().isel(data=0)), ("moons", made(-0.01).isel(data=0)))
    )
    assert both_claim(digits + moons).verdict == "reproduced"
    assert both_claim(digits + fallen).verdict == "contradicted"
    assert len(both_claim(digits + moons).measured) == 8


def test_controls_fail_where_they_should():
    good = {claim.id: claim.verdict for claim in control_claims(made(0.0, bare=True), "made")}
    assert good["A-5.shrunk"] == "reproduced" and good["A-5.shuffled"] == "reproduced"
    assert good["A-5.frozen"] == "contradicted"  # it still moves as at L = 1
    frozen = made(0.0, bare=True)
    frozen["moved"][..., 3] = 0.0
    assert control_claims(frozen, "made")[2].verdict == "reproduced"
    leaking = made(0.0, bare=True)
    leaking["probe"][0, 2] = 0.4
    leaking["fisher"][0, 1, :, 2] += 0.1
    bad = {claim.id: claim.verdict for claim in control_claims(leaking, "made")}
    assert bad["A-5.shrunk"] == bad["A-5.shuffled"] == "contradicted"


def test_many_layers_over_bare_points_are_the_rule_of_the_nearest_point():
    rng = np.random.default_rng(1)
    known, new = rng.normal(size=(40, 3)), rng.normal(size=(60, 3))
    flow = denoising_flow(Empirical(known), 0.5, 400)
    # near the wall between two cells of 40 points the noise of a layer, 0.035 across, decides otherwise
    far = np.abs(flow(new) - nearest_points(known, new)).max(1) > 0.05
    assert far.mean() < 0.1
    np.testing.assert_allclose(flow(known), known, atol=0.05)


def test_moons_are_drawn_from_their_density_with_the_class_they_come_from():
    data = moon_data(0.3, 0.9, (1,), 2, (4000, 1000), 0)
    split = data.splits[0]
    points, labels = np.concatenate([split.train, split.test]), np.concatenate([split.train_labels, split.test_labels])
    density = fp.densities.two_moons(0.3)
    error = np.sqrt(np.diag(density.covariance) / 5000)
    assert (np.abs(points.mean(0) - density.mean) < 4 * error).all()
    # the first moon, around (0, 2/π), the second around (1, 1/2 − 2/π)
    for label, centre in enumerate(([0.0, 2 / np.pi], [1.0, 0.5 - 2 / np.pi])):
        assert (np.abs(points[labels == label].mean(0) - centre) < 0.08).all()
    assert not np.array_equal(split.train, data.splits[1].train)
    plug_in = fp.KSG()(split.train, split.train_labels)
    assert float(plug_in.i_ty_lower) < data.truth < float(plug_in.i_ty_upper)


@pytest.mark.slow
def test_what_is_measured_of_digits():
    data = digit_data(0.6, None, (1, 2, math.inf), 2, 0)
    assert len(np.unique(np.concatenate([data.splits[0].train, data.splits[0].test]), axis=0)) == 1797
    found = measured([data], 0).isel(data=0)
    assert found.depth.values.tolist() == [0.0, 1.0, 2.0, np.inf]
    assert (found.moved.sel(map="flow", depth=[0, np.inf]) == 0).all()
    assert (found.probe.sel(map="flow") > 0.93).all()
    assert (found.probe.sel(map="shuffled") < 0.2).all()
    assert (found.information_valid.sel(map="flow") == 1).all()
    raw = found.sel(map="flow", depth=0.0)
    for name in ("probe", "neighbours", "fisher", "distances"):
        np.testing.assert_allclose(found[name].sel(map="shrunk", depth=1.0), raw[name], atol=0.003)
    assert all(found[name].attrs["units"] for name in MEASURES)


def test_verdicts_on_embeddings():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4))
    layers = [x, x[:, :3] @ rng.normal(size=(3, 3)), np.tanh(x[:, :2]), x[:, 1:3]]
    part = fp.transport.embedding_influence(layers, draws=2)
    found = xr.concat([part] * 3, "network", combine_attrs="override")
    claims = {claim.id: claim for claim in influence_claims(found)}
    assert claims["X-embedding.isometry"].verdict == "reproduced"
    assert claims["X-embedding.alignment"].measured == pytest.approx(
        (part.cost.sel(embedding="procrustes") / part.cost.sel(embedding="pad")).values[1:]
    )
    same = found.copy(deep=True)
    same["order"][:] = 1.0
    same["range"].loc[{"measure": "participation"}] = 0.1
    claims = {claim.id: claim.verdict for claim in influence_claims(same)}
    assert claims["X-embedding.cost"] == "contradicted" and claims["X-embedding.isometry"] == "contradicted"
    same["order"][:] = -1.0
    assert influence_claims(same)[1].verdict == "reproduced"
