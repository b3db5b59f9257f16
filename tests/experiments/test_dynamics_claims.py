"""What the experiments on training make of findings that were made to be judged."""

import numpy as np
import pytest
import xarray as xr

from flowplane.experiments.dynamics import depth, diffusion, gradient_phases, relaxation, replicas
from flowplane.experiments.information import activations, training_size


def by_layer(**columns):
    return {name: ("layer", np.asarray(values, float)) for name, values in columns.items()}


def phases(crossed=(1.0, 1.0, 1.0), lag=(np.nan, 0.3, -0.2), reach=0.2, pairs=(0, 10, 10), correlation=0.6):
    lag = np.asarray(lag)
    return xr.Dataset(
        {
            **by_layer(crossed=crossed, crossing_median=[40, 50, 60], crossing_lower=[38, 47, 55], pairs=pairs),
            **by_layer(
                crossing_upper=[44, 55, 64], lag=lag, lag_lower=lag - reach, lag_upper=lag + reach, p_value=[0.01] * 3
            ),
            **by_layer(correlation=[correlation] * 3, correlation_lower=[correlation - 0.3] * 3),
            **by_layer(correlation_upper=[correlation + 0.3] * 3),
        },
        {"layer": ["layer1", "layer2", "layer3"], "depth": ("layer", [1, 2, 3]), "replica": range(10)},
    )


@pytest.mark.parametrize(
    ("judge", "changes", "verdict"),
    [
        (gradient_phases._crossing, {}, "reproduced"),
        (gradient_phases._crossing, {"crossed": (1.0, 0.8, 1.0)}, "inconclusive"),
        (gradient_phases._crossing, {"crossed": (1.0, 0.3, 1.0)}, "contradicted"),
        (gradient_phases._near, {}, "reproduced"),
        (gradient_phases._near, {"reach": 0.9}, "inconclusive"),
        (gradient_phases._near, {"lag": (np.nan, 0.3, -1.5)}, "contradicted"),
        (gradient_phases._near, {"lag": (5.0, 0.3, -0.2), "pairs": (2, 10, 10)}, "reproduced"),  # too few compress there
        (gradient_phases._near, {"pairs": (0, 0, 0)}, "inconclusive"),
        (gradient_phases._together, {}, "reproduced"),
        (gradient_phases._together, {"correlation": 0.1}, "inconclusive"),
        (gradient_phases._together, {"correlation": -0.6}, "contradicted"),
    ],
)
def test_drift_and_diffusion(judge, changes, verdict):
    assert judge(phases(**changes), "adam").verdict == verdict


def test_layers_that_compress_when_diffusion_begins():
    assert gradient_phases._share(phases(lag=(9.0, 0.3, -1.5))) == 0.5
    assert np.isnan(gradient_phases._share(phases(pairs=(0, 0, 0))))


def moves(exponent=1.0, reach=0.03, memory=0.02):
    exponent, memory = np.full(3, exponent), np.full(3, memory)
    return xr.Dataset(
        {
            **by_layer(exponent_mean=exponent, exponent_lower=exponent - reach, exponent_upper=exponent + reach),
            **by_layer(autocorrelation=memory, autocorrelation_lower=memory - reach, autocorrelation_upper=memory + reach),
            **by_layer(origin=[40, 50, 60], wiener_lower=[0.9] * 3, wiener_upper=[1.1] * 3),
        }
    )


@pytest.mark.parametrize(
    ("judge", "changes", "verdict"),
    [
        (diffusion._exponent, {}, "reproduced"),
        (diffusion._exponent, {"reach": 0.3}, "inconclusive"),
        (diffusion._exponent, {"exponent": 1.4}, "contradicted"),
        (diffusion._exponent, {"exponent": 0.6}, "contradicted"),
        (diffusion._independent, {}, "reproduced"),
        (diffusion._independent, {"reach": 0.3}, "inconclusive"),
        (diffusion._independent, {"memory": 0.95}, "contradicted"),
    ],
)
def test_diffusion(judge, changes, verdict):
    assert judge(moves(**changes), "sgd").verdict == verdict


def relaxed(slope=1.0, reach=0.2, weights=(0.97, 0.01, 0.01, 0.01), points=40):
    fitted = (("replica", "layer"), np.arange(60).reshape(20, 3) < points)
    return xr.Dataset(
        {
            "slope": slope,
            "slope_lower": slope - reach,
            "slope_upper": slope + reach,
            "weight": ("law", list(weights)),
            "fitted": fitted,
            "cost_by_layer": ("replica", np.linspace(4, 5, 20)),
            "cost_at_once": ("replica", np.linspace(9, 10, 20)),
        },
        {"law": ["exponential", "linear", "power", "constant"]},
    )


@pytest.mark.parametrize(
    ("judge", "changes", "verdict"),
    [
        (relaxation._law, {}, "reproduced"),
        (relaxation._law, {"weights": (0.5, 0.5, 0.0, 0.0)}, "inconclusive"),
        (relaxation._law, {"weights": (0.05, 0.95, 0.0, 0.0)}, "contradicted"),
        (relaxation._law, {"slope": -1.0}, "contradicted"),
        (relaxation._law, {"points": 10}, "inconclusive"),
        (relaxation._rate, {}, "reproduced"),
        (relaxation._rate, {"slope": 0.3}, "contradicted"),
        (relaxation._rate, {"slope": 0.5, "reach": 1.0}, "inconclusive"),
        (relaxation._costs, {}, "reproduced"),
    ],
)
def test_relaxation(judge, changes, verdict):
    assert judge(relaxed(**changes), "adam").verdict == verdict


def spread(distance=0.8, random=0.9, last=0.03, replicas=12):
    pairs = np.array([(i, j) for i in range(replicas) for j in range(i)])
    wobble = 1 + 0.01 * np.sin(np.arange(len(pairs)))
    relative = (("epoch", "layer"), np.array([[0.2] * 3, [last] * 3]))
    return xr.Dataset(
        {
            "distance": ("pair", distance * wobble),
            "distance_random": ("pair", random * wobble[::-1]),
            "agreement": ("pair", 0.97 * np.ones(len(pairs))),
            "relative_xt": relative,
            "relative_ty": relative,
        },
        {"first": ("pair", pairs[:, 1]), "second": ("pair", pairs[:, 0])},
    )


@pytest.mark.parametrize(("distance", "verdict"), [(0.8, "reproduced"), (0.55, "inconclusive"), (0.3, "contradicted")])
def test_weights_that_differ(distance, verdict):
    assert replicas._different(spread(distance), 12, "adam").verdict == verdict


@pytest.mark.parametrize(("last", "verdict"), [(0.02, "reproduced"), (0.05, "inconclusive"), (0.12, "contradicted")])
def test_places_that_are_the_same(last, verdict):
    assert replicas._same(spread(last=last), "ty", 12, "adam").verdict == verdict


def speeds(slope=-0.5, missing=0.0, replicas=20):
    rng = np.random.default_rng(0)
    depths = np.array([1, 3, 5])
    times = 2.0 ** (10 + slope * depths[None, :, None] + 0.1 * rng.normal(size=(2, 3, replicas)))
    times[:, 0, : int(missing * replicas)] = np.nan
    variable = (("optimizer", "hidden", "replica"), times)
    return xr.Dataset(
        {"epochs_to_accuracy": variable, "epochs_to_information": variable}, {"optimizer": ["adam", "sgd"], "hidden": depths}
    )


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "reproduced"),
        ({"slope": 0.5}, "contradicted"),
        ({"missing": 0.5}, "inconclusive"),
        ({"missing": 1.0}, "inconclusive"),
    ],
)
def test_depth(changes, verdict):
    wide = speeds().isel(hidden=[0])
    claims = {claim.id: claim for claim in depth._claims(speeds(**changes), wide)}
    assert claims["B-5"].verdict == verdict
    if changes == {}:
        assert claims["B-5.accuracy.adam"].measured[0] == pytest.approx(-0.5, abs=5 * 0.1 / np.sqrt(8 * 20))


def test_the_slowest_of_all_depths_counts_only_where_it_arrives():
    times = np.array([[80.0, 80.0], [40.0, np.nan], [20.0, 5.0]])
    np.testing.assert_allclose(depth.slopes(times, np.array([1, 2, 3])), [-1.0])


def test_loss_falls_with_size():
    losses = np.linspace(0.2, 0.0, 5)[None, :] + np.random.default_rng(0).normal(scale=0.01, size=(10, 5))
    found = xr.Dataset({"label_loss": (("replica", "train_fraction"), losses)}, {"train_fraction": np.linspace(0.1, 0.9, 5)})
    assert training_size._falls_with_size(found, "adam").verdict == "reproduced"
    assert training_size._falls_with_size(found.assign(label_loss=-found.label_loss), "adam").verdict == "contradicted"
    assert training_size._falls_with_size(found.assign(label_loss=0 * found.label_loss), "adam").verdict != "reproduced"


@pytest.mark.parametrize(
    ("activation", "read", "accuracy", "verdict"),
    [
        ("tanh", ("compression seen", "compression seen"), 0.97, "reproduced"),
        ("tanh", ("not seen", "undecided"), 0.97, "contradicted"),
        ("tanh", ("not seen", "not seen"), 0.52, "inconclusive"),  # it did not learn
        ("relu", ("not seen", "estimator invalid"), 0.95, "reproduced"),
        ("relu", ("not seen", "compression seen"), 0.95, "inconclusive"),
        ("relu", ("estimator invalid", "estimator invalid"), 0.95, "inconclusive"),
        ("linear", ("undecided", "compression seen"), 0.87, "contradicted"),
    ],
)
def test_activations(activation, read, accuracy, verdict):
    dims = ("optimizer", "activation", "estimator", "layer")
    labels = {"optimizer": ["adam"], "activation": [activation], "estimator": ["equal", "quantiles"]}
    reading = np.full((1, 1, 2, 2), "not seen", dtype="U20")
    reading[0, 0, :, 0] = read
    fall = (dims, np.zeros((1, 1, 2, 2)))
    rows = xr.Dataset({"reading": (dims, reading), "fall": fall, "fall_lower": fall, "fall_upper": fall}, labels)
    right = (("optimizer", "activation", "replica"), np.full((1, 1, 3), accuracy))
    planes = xr.Dataset({"test_accuracy": right}, {name: labels[name] for name in ("optimizer", "activation")})
    assert activations._of_last_hidden(rows, planes, "adam", activation).verdict == verdict
