"""Relaxation times of curves whose relaxation times are known."""

import numpy as np
import pytest

from flowplane.dynamics.relaxation import compression_costs, layer_compression, relaxation_delays
from flowplane.errors import InputError


def log_spaced(last, count):
    return np.unique(np.expm1(np.linspace(0, np.log1p(last), count)).round())


def rise_and_decay(epochs, peak, tau, fall, end):
    """Rises linearly until the peak, then falls by exp(−t/τ)."""
    rising = end + fall * epochs / max(peak, 1)
    return np.where(epochs < peak, rising, end + fall * np.exp(-np.maximum(epochs - peak, 0) / tau))


def delays(curve, epochs, **given):
    return relaxation_delays(np.asarray(curve)[None, :, None], epochs, **given).squeeze()


@pytest.mark.parametrize(("peak", "tau", "fall"), [(0, 40.0, 3.0), (50, 40.0, 1.0), (50, 300.0, 0.2), (200, 7.5, 6.0)])
def test_exponential_decays_have_their_own_time(peak, tau, fall):
    epochs = np.arange(5001.0)
    found = delays(rise_and_decay(epochs, peak, tau, fall, 2.0), epochs)
    # between snapshots one epoch apart the chord errs by at most |I''| h²/8, the crossing by that over |I'|: h²/(8τ) of an
    # epoch for I itself, and h²/(8t) for the curvature of the logarithm of the epoch
    assert abs(found.delay - tau) < 1 / 8 * (1 / tau + 1 / (peak + tau)) * 1.5 + 1e-9
    assert float(found.peak_epoch) == peak
    assert float(found.fall) == pytest.approx(fall, rel=1e-6)
    assert float(found.peak) == pytest.approx(2.0 + fall)


@pytest.mark.parametrize("tau", [20.0, 150.0, 700.0])
def test_log_spaced_snapshots(tau):
    epochs = log_spaced(8000, 200)
    found = delays(rise_and_decay(epochs, 0, tau, 3.0, 2.0), epochs)
    place = np.searchsorted(epochs, tau)
    gap = epochs[place] - epochs[place - 1]
    assert abs(found.delay - tau) < gap**2 / 8 * (1 / tau + 1 / (tau - gap)) + tau * 1e-3


def test_the_first_crossing_counts():
    epochs = np.arange(7.0)
    assert float(delays([0.0, 1.0, 0.2, 0.9, 0.9, 0.1, 0.0], epochs).delay) < 1.0


def test_the_crossing_lies_between_its_snapshots():
    rng = np.random.default_rng(0)
    epochs = log_spaced(1000, 30)
    curves = rng.normal(size=(20, len(epochs), 5))
    found = relaxation_delays(curves, epochs)
    for replica, layer in np.ndindex(20, 5):
        curve = curves[replica, :, layer]
        top = curve.argmax()
        fall = curve[top] - curve[-1]
        delay = float(found.delay[replica, layer])
        if fall < 0.1:
            assert np.isnan(delay)
            continue
        first = next(k for k in range(top + 1, len(epochs)) if curve[k] <= curve[-1] + fall / np.e)
        assert epochs[first - 1] - epochs[top] <= delay <= epochs[first] - epochs[top]


def test_what_does_not_depend_on_units_of_information_or_order():
    rng = np.random.default_rng(1)
    epochs = log_spaced(1000, 30)
    curves = rng.normal(size=(4, len(epochs), 3))
    found = relaxation_delays(curves, epochs)
    scaled = relaxation_delays(5 * curves[::-1] + 2, epochs, threshold=0.5)
    assert np.allclose(found.delay, scaled.delay[::-1], equal_nan=True)


def test_nothing_to_relax_from():
    epochs = np.arange(50.0)
    assert np.isnan(float(delays(epochs / 50, epochs).delay))
    assert np.isnan(float(delays(np.full(50, 12.0), epochs).delay))
    small = rise_and_decay(epochs, 5, 3.0, 0.09, 1.0)
    assert np.isnan(float(delays(small, epochs).delay))
    assert np.isfinite(float(delays(small, epochs, threshold=0.05).delay))


def test_unknown_values_stay_unknown():
    epochs = np.arange(50.0)
    curve = rise_and_decay(epochs, 5, 3.0, 1.0, 1.0)
    for value in (np.nan, np.inf):
        broken = curve.copy()
        broken[20] = value
        both = relaxation_delays(np.stack([broken, curve], 1)[None], epochs)
        assert all(np.isnan(both[name].values[0, 0]) for name in both)
        assert np.isfinite(both.delay.values[0, 1])


def test_compression_telescopes():
    information = np.array([[12.0, 9.0, 4.0], [11.5, 11.5, 1.0]])
    steps = layer_compression(information, 12.0)
    assert steps.tolist() == [[0.0, 3.0, 5.0], [0.5, 0.0, 10.5]]
    assert np.allclose(steps.sum(-1), 12.0 - information[:, -1])


def test_costs_against_plain_sums():
    steps = np.random.default_rng(2).uniform(0, 4, (7, 5))
    by_layer, at_once = compression_costs(steps)
    assert np.allclose(2**by_layer, (2**steps).sum(-1))
    assert np.allclose(2**at_once, np.prod(2**steps, -1))


@pytest.mark.parametrize(
    ("information", "epochs", "name"),
    [
        (np.zeros((3, 4)), np.arange(3), "information"),
        (np.zeros((2, 0, 1)), np.arange(0), "information"),
        (np.zeros((2, 3, 1)), np.arange(4), "epochs"),
        (np.zeros((2, 3, 1)), [0, 2, 1], "epochs"),
        (np.zeros((2, 3, 1)), [-1, 2, 3], "epochs"),
        (np.zeros((2, 3, 1)), [0, np.nan, 3], "epochs"),
    ],
)
def test_what_curves_are_refused(information, epochs, name):
    with pytest.raises(InputError, match=rf"^{name}: found"):
        relaxation_delays(information, epochs)


def test_other_refusals():
    with pytest.raises(InputError, match=r"^threshold"):
        relaxation_delays(np.zeros((1, 2, 1)), [0, 1], threshold=0.0)
    with pytest.raises(InputError, match=r"^input_entropy"):
        layer_compression([1.0], 0.0)
    with pytest.raises(InputError, match=r"^information"):
        layer_compression(3.0, 12.0)
    with pytest.raises(InputError, match=r"^compression"):
        compression_costs(3.0)
