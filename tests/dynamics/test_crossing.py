"""Crossings that are known, censored, or blurred by noise."""

import numpy as np
import pytest

from flowplane.core.schedule import log_spaced
from flowplane.dynamics import median_crossing, phase_crossing
from flowplane.errors import InputError

EPOCHS = log_spaced(8000, 60)


def power(crossing, exponent=1.0, epochs=EPOCHS):
    """Ratio that passes 1 at `crossing`, (epoch,)."""
    with np.errstate(divide="ignore"):
        return (crossing / epochs) ** exponent


@pytest.mark.parametrize("where", [1.5, 40.0, 333.3, 7000.0])
@pytest.mark.parametrize("exponent", [0.3, 2.0])
def test_a_power_law_is_read_exactly(where, exponent):
    ratio = power(where, exponent)
    ratio[0] = np.nan  # epoch 0
    found = phase_crossing(ratio[:, None], EPOCHS)
    assert found.epoch[0] == pytest.approx(where, rel=1e-9)
    assert found.state[0] == "crossed" and found.misplaced[0] == pytest.approx(0, abs=1e-12)


def brute_force(ratio, epochs):
    """The split of least misplaced log epoch, over a fine grid of splits, of the curve drawn through the points."""
    fine = np.linspace(np.log(epochs[0]), np.log(epochs[-1]), 40_001)
    drift = np.interp(fine, np.log(epochs), np.log(ratio)) > 0
    wrong = np.concatenate([[0], np.cumsum(~drift)]) + np.concatenate([[0], np.cumsum(drift)])[-1] - np.cumsum([0, *drift])
    best = wrong.argmin()
    return np.exp(fine[min(best, len(fine) - 1)]), wrong[best] / len(fine), 0 < best < len(fine)


def test_noisy_curves_against_every_split():
    rng = np.random.default_rng(0)
    epochs = EPOCHS[1:].astype(float)
    curves = power(200.0, 0.7, epochs) * np.exp(1.2 * rng.normal(size=(30, len(epochs))))
    found = phase_crossing(curves[:, :, None], epochs)
    for curve, epoch, misplaced in zip(curves, found.epoch[:, 0], found.misplaced[:, 0], strict=True):
        expected, share, inside = brute_force(curve, epochs)
        assert misplaced == pytest.approx(share, abs=2e-3)
        assert inside and np.log(epoch) == pytest.approx(np.log(expected), abs=2e-3)
    assert np.median(found.epoch) == pytest.approx(200.0, rel=0.25)
    assert (found.misplaced > 0).all()


def test_a_short_excursion_does_not_count():
    clean = power(300.0)[1:]
    early, late = clean.copy(), clean.copy()
    early[3] = 0.1  # diffusion for a moment, long before
    late[-4] = 5.0  # drift for a moment, long after
    for curve in (early, late):
        found = phase_crossing(curve[:, None], EPOCHS[1:])
        assert found.epoch[0] == pytest.approx(300.0, rel=1e-9)
        assert 0 < found.misplaced[0] < 0.1


def test_censored_curves_have_no_epoch():
    n = len(EPOCHS)
    ratio = np.stack([np.full(n, 0.5), np.full(n, 2.0), np.full(n, np.nan), power(1e5), power(0.5), 1 / power(3.0)], 1)
    found = phase_crossing(ratio, EPOCHS)
    expected = ["diffusion from the start", "never", "undefined", "never", "diffusion from the start", "never"]
    assert found.state.tolist() == expected
    assert np.isnan(found.epoch).all()
    assert np.isnan(found.misplaced[2]) and found.misplaced[5] > 0  # rose instead: the ratio says otherwise at first
    assert np.isnan(found.lower).all() and np.isnan(found.upper).all()


def test_zeros_and_gaps_have_an_answer():
    ratio = power(100.0)[1:]
    gone = ratio.copy()
    gone[ratio < 1] = 0.0  # clipped to no drift at all
    found = phase_crossing(gone[:, None], EPOCHS[1:])
    left, right = EPOCHS[1:][ratio > 1].max(), EPOCHS[1:][ratio < 1].min()
    assert found.state[0] == "crossed" and left <= found.epoch[0] <= right
    gaps = ratio.copy()
    gaps[[0, 5, 20, 21, -1]] = np.nan
    assert phase_crossing(gaps[:, None], EPOCHS[1:]).epoch[0] == pytest.approx(100.0, rel=1e-9)


def test_the_unit_of_time_does_not_matter_nor_do_finer_epochs():
    ratio = power(50.0, 0.8) * np.exp(0.5 * np.sin(np.arange(len(EPOCHS))))
    first = phase_crossing(ratio[1:, None], EPOCHS[1:])
    scaled = phase_crossing(ratio[1:, None], EPOCHS[1:] * 7)
    np.testing.assert_allclose(scaled.epoch, 7 * first.epoch)
    fine = np.geomspace(1, 8000, 500)
    between = np.exp(np.interp(np.log(fine), np.log(EPOCHS[1:]), np.log(ratio[1:])))
    np.testing.assert_allclose(phase_crossing(between[:, None], fine).epoch, first.epoch, rtol=0.03)


def test_leading_dimensions_are_independent():
    rng = np.random.default_rng(3)
    ratio = np.exp(rng.normal(size=(2, 3, 20, 4)) + np.linspace(1, -1, 20)[:, None])
    whole = phase_crossing(ratio, np.arange(1, 21))
    one = phase_crossing(ratio[1, 2, :, 3:], np.arange(1, 21))
    assert whole.epoch.shape == (2, 3, 4) and whole.epoch[1, 2, 3] == one.epoch[0]
    middle = median_crossing(ratio, np.arange(1, 21), draws=20)
    assert middle.epoch.shape == (2, 4)


# -- the replicas' median ----------------------------------------------------------------------------------------------


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    epochs = np.geomspace(1, 1000, 30)
    own = 50 * np.exp(0.5 * rng.normal(size=(60, 15, 1)))  # each replica crosses at its own epoch, median 50
    ratio = (own / epochs)[..., None] * np.exp(0.2 * rng.normal(size=(60, 15, 30, 1)))
    found = median_crossing(ratio, epochs, draws=300)
    covered = ((found.lower <= 50) & (found.upper >= 50)).mean()
    assert covered >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 60)
    # and is not vacuous: the median of 15 has a standard deviation of 1.25·0.5/√15 in the logarithm
    assert np.median(np.log(found.upper / found.lower)) < 1.3 * 2 * 1.96 * 1.25 * 0.5 / np.sqrt(15)
    assert (found.lower <= found.epoch).all() and (found.epoch <= found.upper).all()


def test_the_interval_is_open_to_the_side_that_is_censored():
    epochs = np.geomspace(1, 1000, 30)
    late = np.stack([power(c, 1.0, epochs) for c in (400, 600, 800, 2000, 3000)])[:, :, None]
    early = np.stack([power(c, 1.0, epochs) for c in (0.3, 0.5, 1.5, 2.0, 3.0)])[:, :, None]
    found = median_crossing(np.concatenate([late, early], -1), epochs)
    assert found.state.tolist() == ["crossed", "crossed"]
    assert np.isnan(found.upper[0]) and found.lower[0] == pytest.approx(400, rel=1e-6)
    assert np.isnan(found.lower[1]) and found.upper[1] == pytest.approx(3.0, rel=1e-6)
    never = median_crossing(np.full((5, 30, 1), 2.0), epochs)
    assert never.state[0] == "never" and np.isnan([never.epoch[0], never.lower[0], never.upper[0]]).all()


def test_undefined_replicas_are_left_out():
    epochs = np.geomspace(1, 1000, 30)
    ratio = np.stack([power(c, 1.0, epochs) for c in (40, 50, 60)])[:, :, None]
    with_gap = np.concatenate([ratio, np.full((2, 30, 1), np.nan)])
    assert median_crossing(with_gap, epochs).epoch == median_crossing(ratio, epochs).epoch == pytest.approx(50)
    nothing = median_crossing(np.full((3, 30, 1), np.nan), epochs)
    assert nothing.state[0] == "undefined" and np.isnan(nothing.epoch[0])
    single = median_crossing(ratio[:1], epochs)
    assert single.epoch[0] == pytest.approx(40) and np.isnan(single.lower[0])


def test_seeds_repeat_and_differ():
    ratio = power(50.0)[1:] * np.exp(np.random.default_rng(5).normal(size=(6, 59)))
    ends = [median_crossing(ratio[..., None], EPOCHS[1:], draws=50, seed=seed).lower[0] for seed in (1, 1, 2)]
    assert ends[0] == ends[1] != ends[2]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: phase_crossing([1.0, 2.0], [1, 2]), "ratio: "),
        (lambda: phase_crossing([[-1.0], [2.0]], [1, 2]), "ratio: "),
        (lambda: phase_crossing([[1.0], [2.0]], [1, 2, 3]), "epochs: "),
        (lambda: phase_crossing([[1.0], [2.0]], [2, 1]), "epochs: "),
        (lambda: phase_crossing([[1.0], [2.0]], [0, 1]), "epochs: "),
        (lambda: median_crossing([[1.0], [2.0]], [1, 2]), "ratio: "),
        (lambda: median_crossing([[[1.0], [2.0]]], [1, 2], draws=0), "draws: "),
        (lambda: median_crossing([[[1.0], [2.0]]], [1, 2], seed=-1), "seed: "),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()
