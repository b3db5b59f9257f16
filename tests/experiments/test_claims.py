"""Verdicts: reproduced, contradicted, inconclusive, each from data made to deserve it."""

import json

import numpy as np
import pytest
import xarray as xr

from flowplane.errors import InputError
from flowplane.experiments.claim import Claim, agreement, mean_interval, sign
from flowplane.experiments.information.information_plane import gain_and_loss
from flowplane.experiments.information.peaks import held_out_peaks
from flowplane.experiments.information.training_size import label_loss


def claim(**changes):
    row = {
        "id": "B-1",
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


def test_verdicts_are_four_words():
    with pytest.raises(InputError, match="verdict: found 'maybe'"):
        claim(verdict="maybe")
    with pytest.raises(InputError, match="the fields measured"):
        Claim.from_json({key: value for key, value in claim().to_json().items() if key != "measured"})


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    _, interval, _ = mean_interval(rng.normal(3, 2, (8, 4000)))
    covered = ((interval[:, 0] < 3) & (interval[:, 1] > 3)).mean()
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 4000))
    assert np.isnan(mean_interval(np.ones((1, 2)))[1]).all()


def test_agreement():
    rng = np.random.default_rng(1)
    values = rng.normal([9.0, 3.0], 0.2, (50, 2))
    assert agreement(values, (9.1, 3.1), 0.3)[-1] == "reproduced"
    assert agreement(values, (9.1, 3.9), 0.3)[-1] == "contradicted"
    assert agreement(rng.normal(9.0, 3.0, (6, 1)), (9.0,), 0.3)[-1] == "inconclusive"
    assert agreement(values[:1], (9.0, 3.0), 0.3)[-1] == "inconclusive"


def test_sign():
    rng = np.random.default_rng(2)
    assert sign(rng.normal(1, 0.1, (20, 3)))[-1] == "reproduced"
    assert sign(rng.normal([1, -1], 0.1, (20, 2)))[-1] == "contradicted"
    assert sign(rng.normal([1, 0], 0.1, (20, 2)))[-1] == "inconclusive"


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
