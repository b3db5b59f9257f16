"""One seed, one random stream a replica and purpose.

Replica k draws from its own streams, so that its weights, split and batch order are the same whatever the number of
replicas is, and drawing more of one thing never moves another.
"""

from __future__ import annotations

import numpy as np

__all__ = ["DRAWS", "LABELS", "NOISE", "ORDER", "SPLIT", "WEIGHTS", "counter_generator", "generator", "stream_key"]

#: NOISE is that of training, DRAWS whatever is drawn from networks that are trained.
WEIGHTS, SPLIT, ORDER, LABELS, NOISE, DRAWS = range(6)


def generator(seed: int, replica: int, purpose: int, *part: int) -> np.random.Generator:
    """The generator of one replica for one purpose, and for one part of it where that has parts (a layer's weights).

    Example:
        >>> float(generator(0, 3, WEIGHTS).random()) == float(generator(0, 3, WEIGHTS).random())
        True
        >>> float(generator(0, 3, WEIGHTS).random()) == float(generator(0, 3, SPLIT).random())
        False
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(replica, purpose, *part))))


def stream_key(seed: int, replica: int, purpose: int) -> np.uint64:
    """A 64-bit key for a counter-based stream, such as the batch order: with an epoch it names one shuffle, so that the
    key is the whole state of the generator and resuming needs nothing else."""
    return np.random.SeedSequence(seed, spawn_key=(replica, purpose)).generate_state(1, np.uint64)[0]


def counter_generator(key: int | np.uint64, place: int) -> np.random.Generator:
    """The generator at one place, such as an epoch, of the counter-based stream of a `stream_key`.

    Places are 2^192 draws apart and are reached without passing through the ones before.

    Example:
        >>> key = stream_key(0, 3, NOISE)
        >>> float(counter_generator(key, 7).random()) == float(counter_generator(key, 7).random())
        True
    """
    return np.random.Generator(np.random.Philox(key=int(key), counter=[0, 0, 0, place]))
