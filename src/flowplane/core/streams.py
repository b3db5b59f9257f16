"""One seed, one random stream per purpose: drawing more of one thing never moves another.

Replica k of an ensemble draws from its own streams, so that its weights, split and batch order are the same whatever the
number of replicas is. What is drawn to evaluate has another purpose than what is drawn to train, so that it is never the
same, whatever seeds are given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = [
    "BOOTSTRAP",
    "BUDGET",
    "CARRIED",
    "COMPARED",
    "DIRECTIONS",
    "DRAWS",
    "ENTROPY",
    "EVALUATION",
    "EXTENT",
    "FEATURES",
    "HELD_OUT",
    "HISTORY",
    "LABELS",
    "NOISE",
    "ORDER",
    "PROBES",
    "PROFILE",
    "SAMPLES",
    "SPLIT",
    "STARTS",
    "STEPS",
    "SUBSETS",
    "SYMMETRY",
    "TRAINING",
    "UNITS",
    "WEIGHTS",
    "counter_generator",
    "generator",
    "stream_key",
    "torch_generator",
]

#: Purposes of a replica: NOISE is that of training, DRAWS whatever is drawn from trained networks.
WEIGHTS, SPLIT, ORDER, LABELS, NOISE, DRAWS = range(6)
#: Purposes of everything else, above the number of any replica. Points: SAMPLES those that a user asks for, TRAINING and
#: HELD_OUT those of training and of what judges it on the way, EVALUATION those of losses and comparisons; PROFILE, HISTORY,
#: ENTROPY, SYMMETRY, BUDGET and STEPS those of things so named; EXTENT those that show how far a flow goes, CARRIED those
#: that carry a density from layer to layer, COMPARED those between which carriers are compared. SUBSETS says which of given
#: points are taken, DIRECTIONS are random lines and turns, PROBES the signs of a trace's estimate, UNITS hidden units,
#: BOOTSTRAP draws of draws, FEATURES the points whose features the later layers of a stack are trained on, STARTS
#: those that a velocity is trained to begin at.
(
    SAMPLES,
    TRAINING,
    HELD_OUT,
    EVALUATION,
    PROFILE,
    HISTORY,
    ENTROPY,
    SYMMETRY,
    EXTENT,
    CARRIED,
    COMPARED,
    SUBSETS,
    DIRECTIONS,
    PROBES,
    UNITS,
    BOOTSTRAP,
    FEATURES,
    BUDGET,
    STEPS,
    STARTS,
) = range(1 << 24, (1 << 24) + 20)


def generator(seed: int, *stream: int) -> np.random.Generator:
    """The generator of a seed for one purpose, and for one part of it where that has parts (a layer's weights).

    Arguments:
        seed: a whole number, which `flowplane.core.points.check_seed` makes of whatever a user gives.
        stream: the purpose and its part; of an ensemble the replica before them.

    Example:
        >>> float(generator(0, 3, WEIGHTS).random()) == float(generator(0, 3, WEIGHTS).random())
        True
        >>> float(generator(0, 3, WEIGHTS).random()) == float(generator(0, 3, SPLIT).random())
        False
        >>> float(generator(0, TRAINING).random()) == float(generator(0, EVALUATION).random())
        False
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream)))


def torch_generator(seed: int, *stream: int, device: Any = "cpu") -> torch.Generator:
    """`generator` as one of PyTorch's on a device, for what is drawn where it is needed.

    Example:
        >>> float(torch.rand((), generator=torch_generator(0, TRAINING))) < 1
        True
    """
    return torch.Generator(device).manual_seed(int(generator(seed, *stream).integers(1 << 63)))


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
