"""Verdicts: reproduced, contradicted, inconclusive, each from data made to deserve it."""

import json

import numpy as np
import pytest
import xarray as xr

from flowplane.errors import InputError
from flowplane.experiments.claim import Claim
from flowplane.experiments.information.information_plane import gain_and_loss
from flowplane.experiments.information.readings import held_out_peaks
from flowplane.experiments.information.training_size import label_loss
from flowplane.experiments.verdicts import agreement, mean_and_ends, sign, verdict_of_all


def claim(**changes):
    row = {
        "id": "B-1",
        "role": "headline",
        "statement": "it is so",
        "measured": (1.0,),
        "interval": ((0.5, 1.5),),
        "reference": (1.1,),
        "tolerance": (0.3,),
        "verdict": "reproduced",
        "scale": "quick",
        "seconds": 1.5,
        "units": "bits",
    }
    return Claim(**(row | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"interval": None, "reference": None, "tolerance": None},
        {
            "measured": (1.0, float("nan")),
            "interval": ((0.0, 1.0), (0.0, 2.0)),
            "reference": (1.0, 2.0),
            "tolerance": (1.0, 1.0),
        },
    ],
)
def test_claims_survive_json(changes):
    original = claim(**changes)
    again = Claim.from_json(json.loads(json.dumps(original.to_json(), allow_nan=False)))
    assert repr(again) == repr(original)


@pytest.mark.parametrize(
    ("name", "statement", "role", "said"),
    [
        ("B-3.correlation.adam", "reported: it is so", "reported", "it is so"),
        ("B-1.control", "control: it is so", "control", "it is so"),
        ("B-1", "it is so", "headline", "it is so"),
        ("B-1.peak", "what is reported: it is so", "part", "what is reported: it is so"),
        ("A7.shallow", "it is so", "part", "it is so"),
    ],
)
def test_rows_of_0_1_say_their_role_in_the_statement(name, statement, role, said):
    row = claim(id=name, statement=statement).to_json()
    del row["role"]
    assert Claim.from_json(row) == claim(id=name, statement=said, role=role)


def test_verdicts_are_four_words_and_roles_as_well():
    with pytest.raises(InputError, match="verdict: found 'maybe'"):
        claim(verdict="maybe")
    with pytest.raises(InputError, match="role: found 'extra', expected one of headline, part, reported, control"):
        claim(role="extra")
    with pytest.raises(TypeError, match="role"):
        Claim(id="B-1", statement="it is so", measured=(1.0,), verdict="reproduced")
    with pytest.raises(TypeError, match="positional"):
        Claim("B-1", "headline", "it is so", (1.0,), None, None, None, "reproduced")
    with pytest.raises(InputError, match="the fields measured"):
        Claim.from_json({key: value for key, value in claim().to_json().items() if key != "measured"})


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    _, lower, upper = mean_and_ends(rng.normal(3, 2, (8, 4000)))
    covered = ((lower < 3) & (upper > 3)).mean()
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 4000))
    assert np.isnan(mean_and_ends(np.ones((1, 2)))[1:]).all()


def test_replicas_do_not_speak_for_one_that_has_no_number():
    values = 3 + np.linspace(-0.1, 0.1, 8)[:, None] * [[1.0, 1.0]]
    assert sign(values)["verdict"] == "reproduced"
    values[0, 1] = np.nan
    assert np.isnan(mean_and_ends(values)[0]).tolist() == [False, True]
    assert sign(values)["verdict"] == "inconclusive"


def test_nothing_decides_nothing():
    assert sign(np.empty((8, 0))) == {
        "measured": pytest.approx((np.nan,), nan_ok=True),
        "interval": None,
        "verdict": "inconclusive",
    }


def test_agreement():
    rng = np.random.default_rng(1)
    values = rng.normal([9.0, 3.0], 0.2, (50, 2))
    assert agreement(values, (9.1, 3.1), 0.3)["verdict"] == "reproduced"
    assert agreement(values, (9.1, 3.9), 0.3)["verdict"] == "contradicted"
    assert agreement(rng.normal(9.0, 3.0, (6, 1)), (9.0,), 0.3)["verdict"] == "inconclusive"
    assert agreement(values[:1], (9.0, 3.0), 0.3)["verdict"] == "inconclusive"


def test_sign():
    rng = np.random.default_rng(2)
    assert sign(rng.normal(1, 0.1, (20, 3)))["verdict"] == "reproduced"
    assert sign(rng.normal([1, -1], 0.1, (20, 2)))["verdict"] == "contradicted"
    assert sign(rng.normal([1, 0], 0.1, (20, 2)))["verdict"] == "inconclusive"


def test_held_out_peaks_are_unbiased_on_noise():
    rng = np.random.default_rng(3)
    curves = rng.normal(size=(400, 30, 1))
    place = held_out_peaks(curves)[:, None]
    at_peak = np.take_along_axis(curves, place, axis=1).ravel()
    assert abs(at_peak.mean()) < 4 / np.sqrt(400)
    assert curves.max(axis=1).mean() > 1.5  # what a replica's own maximum would have claimed


def plane_of(i_xt, i_ty):
    return xr.Dataset({"i_xt": (("replica", "epoch", "layer"), i_xt), "i_ty": (("replica", "epoch", "layer"), i_ty)})


def test_gain_and_loss():
    course = np.array([2.0, 5.0, 4.0, 3.0])[None, :, None] + np.zeros((5, 4, 6))
    label = np.array([0.0, 0.6, 0.8, 0.9])[None, :, None] + np.zeros((5, 4, 6))
    fitted, risen, lost = gain_and_loss(plane_of(course, label))
    assert fitted == pytest.approx(np.full((5, 3), 0.6))
    assert risen == pytest.approx(np.full((5, 3), 3.0))
    assert lost == pytest.approx(np.full((5, 3), 2.0))
    assert label_loss(plane_of(course, 1 - label)) == pytest.approx(np.full((5, 1), 0.9))


def test_a_claim_holds_with_all_its_parts():
    assert verdict_of_all(["reproduced"] * 3) == "reproduced"
    assert verdict_of_all(["reproduced", "inconclusive", "contradicted"]) == "contradicted"
    assert verdict_of_all([]) == "inconclusive"
