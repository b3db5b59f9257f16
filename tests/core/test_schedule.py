"""Snapshot epochs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowplane.core.schedule import log_spaced


@given(st.integers(1, 20_000), st.integers(2, 300))
def test_exactly_as_many_as_asked_both_ends_in(total, snapshots):
    epochs = log_spaced(total, snapshots)
    assert len(epochs) == min(snapshots, total + 1)
    assert epochs[0] == 0
    assert epochs[-1] == total
    assert (np.diff(epochs) > 0).all()


def test_even_in_the_logarithm():
    steps = np.diff(np.log(log_spaced(100_000, 50)[10:]))
    assert steps.std() < 0.02 * steps.mean()
