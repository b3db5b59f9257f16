"""What is read off an estimator's curve, and what the headline of B-10 makes of it, on curves made to be read."""

import numpy as np
import pytest
import xarray as xr

from flowplane.experiments.information import estimators
from flowplane.experiments.information.readings import INVALID, NOT_SEEN, SEEN, UNDECIDED, counted, readings
from flowplane.information.schema import FLAGS

EPOCHS = [0, 1, 10, 100]
FALLING, FLAT, RISING = [2.0, 4.0, 3.0, 2.5], [2.0, 3.0, 3.0, 3.0], [1.0, 2.0, 3.0, 4.0]


def table(curves, noise=0.02, replicas=4, flags=0, error=0.05, upper=None):
    """One layer for each curve, read by one estimator."""
    rng = np.random.default_rng(0)
    i_xt = np.array(curves).T[None, None] + noise * rng.normal(size=(1, replicas, len(EPOCHS), len(curves)))
    dims = ("estimator", "replica", "epoch", "layer")
    return xr.Dataset(
        {
            "i_xt": (dims, i_xt),
            "i_xt_lower": (dims, i_xt - error),
            "i_xt_upper": (dims, i_xt + (error if upper is None else upper)),
            "flags": (dims, np.broadcast_to(flags, i_xt.shape).copy()),
        },
        {
            "estimator": ["reader"],
            "epoch": EPOCHS,
            "layer": [f"layer{k + 1}" for k in range(len(curves))],
            "depth": ("layer", np.arange(len(curves)) + 1),
            "width": ("layer", np.full(len(curves), 3)),
        },
    )


def test_falls_are_seen_where_they_are():
    found = readings(table([FALLING, FLAT, RISING]))
    assert found["reading"].values.tolist() == [[SEEN, NOT_SEEN, NOT_SEEN]]
    assert float(found["fall"][0, 0]) == pytest.approx(1.5, abs=0.05)
    assert float(found["fall_lower"][0, 0]) < 1.5 < float(found["fall_upper"][0, 0])
    assert counted(found) == {SEEN: 1, NOT_SEEN: 2, UNDECIDED: 0, INVALID: 0}


def test_what_replicas_disagree_on_is_undecided():
    found = readings(table([[2.0, 3.2, 3.1, 3.0]], noise=0.6))
    assert found["reading"].item() == UNDECIDED


def test_flagged_values_at_the_peak_or_the_end_are_not_believed():
    shape = (1, 4, 4, 1)
    at_the_end = np.zeros(shape, int)
    at_the_end[:, :, -1] = FLAGS.bits("saturated")
    assert readings(table([FALLING], flags=at_the_end))["reading"].item() == SEEN  # a half, and no more
    both = at_the_end.copy()
    both[:, :2, 1] = FLAGS.bits("saturated")
    assert readings(table([FALLING], flags=both))["reading"].item() == INVALID
    assert readings(table([FALLING], flags=both), {"reader": ("saturated",)})["reading"].item() == SEEN
    died = np.full(shape, FLAGS.bits("constant_units"))
    assert readings(table([FALLING], flags=died))["reading"].item() == SEEN
    nothing = table([FALLING])
    nothing["i_xt"][:] = np.nan
    assert readings(nothing)["reading"].item() == INVALID


def test_of_one_replica_the_estimators_own_interval_decides():
    assert readings(table([FALLING], replicas=1, error=0.3))["reading"].item() == SEEN
    assert readings(table([FALLING], replicas=1, error=1.0))["reading"].item() == UNDECIDED
    # a lower bound, of which no upper limit is known, decides nothing
    assert readings(table([FALLING, FLAT], replicas=1, upper=np.inf))["reading"].values.tolist() == [[UNDECIDED, UNDECIDED]]


def rows(readings_by_estimator):
    """Two hidden layers and a softmax; `readings_by_estimator` holds the hidden ones."""
    names = list(readings_by_estimator)
    reading = [[*readings_by_estimator[name], SEEN] for name in names]
    return xr.Dataset(
        {"reading": (("estimator", "layer"), np.array(reading))},
        {"estimator": names, "layer": ["layer1", "layer2", "layer3"]},
    )


def headline(tanh, others):
    names = ("Binned", "KSG", "Pairwise", "MatrixRenyi")
    networks = {"tanh": rows(dict(zip(names, tanh, strict=True)))}
    networks |= {name: rows(dict(zip(names, others, strict=True))) for name in ("relu", "linear")}
    return estimators._headline(networks)


def test_the_headline_follows_from_the_rows():
    able = [(SEEN, NOT_SEEN)] * 4
    assert headline(able, [(NOT_SEEN, NOT_SEEN)] * 4).verdict == "reproduced"
    assert headline(able, [(SEEN, SEEN)] * 4).verdict == "contradicted"
    mostly = [(NOT_SEEN, NOT_SEEN)] * 2 + [(SEEN, NOT_SEEN)] * 2
    assert headline(able, mostly).verdict == "inconclusive"
    assert headline(able, [(UNDECIDED, INVALID)] * 4).verdict == "inconclusive"


def test_the_headline_rests_on_estimators_of_shannons_information_that_see_it_under_tanh():
    blind = [(SEEN, SEEN), (NOT_SEEN, NOT_SEEN), (INVALID, UNDECIDED), (SEEN, SEEN)]
    claim = headline(blind, [(NOT_SEEN, NOT_SEEN)] * 4)
    assert claim.verdict == "inconclusive"  # one able estimator only
    assert "(Binned)" in claim.statement
    assert claim.measured == (0.0, 4.0)
