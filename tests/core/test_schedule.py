"""Snapshot epochs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowplane.core.schedule import even_places, log_spaced


@given(st.integers(1, 20_000), st.integers(2, 300))
def test_exactly_as_many_as_asked_both_ends_in(total, snapshots):
    epochs = log_spaced(total, snapshots)
    assert len(epochs) == min(snapshots, total + 1)
    assert epochs[0] == 0
    assert epochs[-1] == total
    assert (np.diff(epochs) > 0).all()


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True), st.integers(2, 70))
def test_thinned_to_exactly_as_many_both_ends_in(epochs, count):
    places = even_places(np.array(epochs), count)
    assert len(places) == min(count, len(epochs)) and (np.diff(places) > 0).all()
    kept = [epochs[place] for place in places]
    assert {min(epochs), max(epochs)} <= set(kept)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True).map(sorted), st.integers(2, 70))
def test_thinned_to_the_nearest_where_these_differ(epochs, count):
    times = np.log1p(epochs)
    places = np.linspace(times[0], times[-1], min(count, len(epochs)))
    nearest = [int(np.abs(times - place).argmin()) for place in places]
    if len(set(nearest)) == len(nearest):
        assert even_places(np.array(epochs), count).tolist() == nearest


def test_the_next_free_one_is_taken():
    assert even_places(np.array([0, 997, 998, 999, 1000]), 4).tolist() == [0, 1, 2, 4]  # nearest: 0, 0, 1, 4
    assert even_places(np.array([0, 1, 2, 3, 1000]), 5).tolist() == [0, 1, 2, 3, 4]  # nearest: 0, 3, 3, 3, 4
    assert even_places(np.array([1000, 999, 0]), 2).tolist() == [0, 2]


def test_even_in_the_logarithm():
    steps = np.diff(np.log(log_spaced(100_000, 50)[10:]))
    assert steps.std() < 0.02 * steps.mean()
